"""Files to Series: what DICOM slices are there, and which belong together. No pixels are decoded here."""
