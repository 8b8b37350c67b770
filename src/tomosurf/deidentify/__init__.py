"""Taking the patient out of DICOM slices (PS3.15 Annex E), and looking whether that worked."""
