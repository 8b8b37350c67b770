"""What was lost of a structure on the way from the segmenter to its surface."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

Stage = Literal["labels", "clean-up", "surface", "decimation"]
"""Where it happened: from the segmenter's grid to the scan's, by rules, by the contour, by thinning the mesh."""

Kind = Literal["vanished", "merged", "parted", "thinned"]
"""What happened: pieces that are gone; pieces that became one; a piece that became several; a part of a piece, such
as a thin wall, that is gone."""

MOST_PIECES = 20
"""Pieces of one loss that are kept, the largest; all are counted."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A connected part of a structure: volume, middle of its voxels in LPS mm, and rank.

    ``rank`` counts the structure's pieces by size before the loss, 0 the largest; -1 for a part of a piece.
    """

    volume_mm3: float
    centre: tuple[float, float, float]
    rank: int


@dataclass(frozen=True, slots=True)
class Loss:
    """One kind of loss of one structure in one stage.

    Args:
        stage: where it happened.
        kind: what happened.
        segment: the structure's name.
        pieces: those concerned, the largest first, at most ``MOST_PIECES``.
        count: how many are concerned in all.
        volume_mm3: of all of them together.
        largest_mm3: volume of the structure's largest piece before.
        remaining: pieces of the structure afterwards.
    """

    stage: Stage
    kind: Kind
    segment: str
    pieces: tuple[Piece, ...]
    count: int
    volume_mm3: float
    largest_mm3: float
    remaining: int

    def as_dict(self) -> dict[str, Any]:
        """Plain values for files and findings."""
        content = asdict(self)
        content["pieces"] = [{**piece, "centre": list(piece["centre"])} for piece in content["pieces"]]
        return content

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> Loss:
        """What :meth:`as_dict` gave."""
        pieces = tuple(Piece(p["volume_mm3"], tuple(p["centre"]), p["rank"]) for p in content["pieces"])
        return cls(**{**content, "pieces": pieces})
