"""Case to files: one file a format, each with the axes and units that its viewers expect."""
