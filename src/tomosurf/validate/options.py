"""What a caller may choose about a validation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from tomosurf.frozen import Frozen

Tolerance = Annotated[float, Field(gt=0, le=100)]


class ValidateOptions(Frozen):
    """How predictions are held against references.

    ``tolerances_mm`` are those of the normalised surface distance. ``component_overlap`` is the share of a piece's
    voxels that the other mask must cover for the piece to count as found. ``geometry_tolerance_mm`` is how far the
    corners of two grids may lie apart and still be one grid. ``names`` maps structures of the data set to segments
    of the model where their names don't tell; ``form`` is the data set's, "" is found out. ``keep`` writes every
    predicted label map. ``device`` says where the model runs, and half precision there may move a label;
    ``workers``, how many processes score cases, and ``scheduler``, the address of a Dask cluster whose workers do
    it instead, change nothing.
    """

    tolerances_mm: tuple[Tolerance, ...] = Field(default=(1.0,), min_length=1)
    component_overlap: float = Field(default=0.1, ge=0, le=1)
    geometry_tolerance_mm: float = Field(default=0.01, ge=0)
    names: dict[str, str] = Field(default_factory=dict)
    form: str = ""
    keep: bool = False
    device: Literal["auto", "cpu", "cuda"] = "auto"
    workers: int = Field(default=1, ge=1, le=256)
    scheduler: str = ""

    def meaning(self) -> dict[str, object]:
        """What the figures depend on, as plain values."""
        return self.model_dump(mode="json", exclude={"workers", "scheduler", "names", "form", "keep"})
