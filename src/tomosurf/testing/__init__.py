"""Phantoms with exact answers, a DICOM series writer and Hypothesis strategies, for our tests and yours."""
