"""How far the work is: a callback that stages call and that the command line draws."""

from __future__ import annotations

from collections.abc import Callable

Progress = Callable[[str, float], None]
"""Called as ``progress(stage, fraction)``, fraction from 0 to 1, non-decreasing within a stage."""


def silent(stage: str, fraction: float) -> None:
    """The progress callback that shows nothing."""
