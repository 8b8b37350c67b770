"""How far slices may be from a perfect stack, and how much of one may be repaired."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Tolerances:
    """How far slices may be from a perfect stack, and how much of one may be repaired.

    Args:
        step_fraction: of the step between slices; the larger of this and ``step_mm`` holds for every slice's
            distance from its place in the affine, along the normal and in the plane.
        step_mm: mm; also the distance below which two slices lie at the same place.
        orientation: largest difference of a direction cosine between slices (unitless).
        pixel_spacing: largest relative difference of pixel spacing between slices.
        min_slices: fewer can't show that their steps are uniform.
        max_voxels: of a whole volume.
        tilt_degrees: how far Gantry/Detector Tilt may be from the lean of the positions before it is told.
        lean_degrees: steepest lean of the stack off the slices' normal; steeper, slices lie beside each other.
        max_missing: slices in a row that policy "repair" interpolates between two acquired ones.
        max_gap_mm: widest distance, mm, between acquired slices that it bridges.
        max_added: slices that it may add, as a fraction of the repaired volume's.
        min_step: smallest step that it takes, as a fraction of the usual one; closer slices are two stacks.
    """

    step_fraction: float = 0.01
    step_mm: float = 0.01
    orientation: float = 5e-4
    pixel_spacing: float = 1e-4
    min_slices: int = 3
    max_voxels: int = 1 << 31
    tilt_degrees: float = 0.5
    lean_degrees: float = 75.0
    max_missing: int = 3
    max_gap_mm: float = 20.0
    max_added: float = 0.2
    min_step: float = 0.25

    def of(self, step: float) -> float:
        """The tolerance in mm for a stack of that step in mm."""
        return max(self.step_fraction * step, self.step_mm)


DEFAULT_TOLERANCES = Tolerances()
