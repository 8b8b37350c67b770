"""What a caller may choose about how a segmenter runs; never about what it finds."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class SegmentOptions:
    """How to run a segmenter.

    ``device`` is "auto" (the first CUDA device when there is one, else the CPU), "cpu" or "cuda". The labels
    don't depend on it.
    """

    device: str = "auto"
