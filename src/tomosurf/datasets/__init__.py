"""Labelled data sets as they lie on people's disks, each form read by one file, into one kind of list."""
