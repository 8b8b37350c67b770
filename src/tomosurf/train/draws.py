"""Seeds of a run's random draws: each by what it is for, so that no draw depends on those before it."""

from __future__ import annotations

import hashlib


def seed_of(seed: int, *purpose: str | int) -> int:
    """A number below 2**63: the same for the same seed and purpose, on every machine."""
    text = "/".join(map(str, (seed, *purpose)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
