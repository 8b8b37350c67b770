"""Case to findings: one file a check."""
