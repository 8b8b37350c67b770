"""Series to Volume: slices stacked by where they lie in the patient, or refused."""
