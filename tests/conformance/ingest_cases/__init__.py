"""Inputs whose truth is known: volumes to the last value, or a refusal by name. One function a case.

A case is a function that writes DICOM below the folder it is given and returns what must come of it; the decorator
``@case`` puts it into the table. Names of functions are names of cases.
"""

from tests.conformance.ingest_cases import (
    bad_files,
    bad_geometry,
    bad_values,
    damaged,
    encodings,
    folders,
    frames,
    headers,
    multi_frame,
    orientations,
    pixels,
    splits,
    syntaxes,
    vendors,
)
from tests.conformance.ingest_cases.case import CASES

__all__ = ["CASES", "bad_files", "bad_geometry", "bad_values", "damaged", "encodings", "folders", "frames"]
__all__ += ["headers", "multi_frame", "orientations", "pixels", "splits", "syntaxes", "vendors"]
