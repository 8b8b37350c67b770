"""Predictions held against references: any model or folder of label maps, any labelled data set, one report."""
