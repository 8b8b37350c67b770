"""DICOM slices in, surgical-planning surfaces out, with their error in millimetres.

Research software, not a medical device. Importing this package loads numpy-free code only; the stages are
plain functions in the subpackages, and ``tomosurf.pipeline.run_case`` is the whole way once.
"""

__version__ = "0.1.0"
