"""The atlas laid over a head: rigid, then affine, by mutual information, from several starts."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomosurf.data.geometry import Geometry
from tomosurf.progress import Progress, silent
from tomosurf.segment.localise.atlas import Atlas, AtlasLevel
from tomosurf.segment.localise.crops import nodding
from tomosurf.segment.localise.head import Head

BINS = 32
"""Bins of the joint histogram, along each image's intensities."""

NODS_DEGREES = (-20.0, 0.0, 20.0)
"""How far heads nod against the patient's frame at the starts; every other angle starts at 0."""

COARSE_MM, FINE_MM = 8, 4
"""Edges of the voxels at which starts are tried, and at which the best ones are finished."""

FINISHED = 3
"""How many of the starts are finished."""

AGREE_MM = 10.0
"""Starts whose ends lay the brain within this distance of each other agree."""


LEVER_MM = 50.0
"""Distance from the brain's middle at which a turn, in radians, counts as much as a shift, in mm."""


@dataclass(frozen=True, slots=True, eq=False)
class Placement:
    """An affine map from the atlas' LPS mm to a head's (mm from its centre): ``matrix @ x + offset``.

    ``information`` is the mutual information of both images (nats) over the share ``coverage`` of the atlas' brain
    that lies in the image. Of ``starts``, ``agreeing`` ended within ``AGREE_MM`` of this one.
    """

    matrix: NDArray[np.float64]
    offset: NDArray[np.float64]
    information: float
    coverage: float
    starts: int = 0
    agreeing: int = 0

    def to_head(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, 3) atlas LPS mm to (n, 3) mm in the head."""
        return np.asarray(points @ self.matrix.T + self.offset, np.float64)

    @property
    def rotation(self) -> NDArray[np.float64]:
        """The rotation nearest to the matrix (polar decomposition)."""
        left, _, right = np.linalg.svd(self.matrix)
        upright = np.diag([1.0, 1.0, float(np.linalg.det(left @ right))])
        return np.asarray(left @ upright @ right, np.float64)

    @property
    def score(self) -> float:
        """What starts are compared by: information that rests on little of the brain counts little."""
        return self.information * self.coverage


def register(atlas: Atlas, head: Head, progress: Progress = silent) -> Placement:
    """The best placement of ``atlas`` over ``head``; the same bytes every time: no random samples, one thread.

    Only the atlas' brain and a rim around it are compared, so skull, scalp and neck don't matter. Starts lie
    where the outline of the head, its centre of mass and the image's middle suggest, upright in the patient's
    frame and nodding by ``NODS_DEGREES``. All are followed to their end at ``COARSE_MM``, the best ones then at
    ``FINE_MM`` with all twelve parameters.

    Reference: D. Mattes, D. R. Haynor et al., PET-CT image registration in the chest using free-form
    deformations, IEEE Trans Med Imaging 22:120 (2003).
    """
    coarse = _Pair(atlas, head, COARSE_MM)
    ends = []
    starts = list(product(head.guesses, NODS_DEGREES))
    for number, (guess, nod) in enumerate(starts):
        progress("localise", number / (len(starts) + FINISHED))
        ends.append(coarse.rigid(_upright(guess - atlas.centre, nod, atlas.centre)))
    ends.sort(key=lambda end: -end.score)
    fine = _Pair(atlas, head, FINE_MM)
    finished = []
    for number, end in enumerate(_different(ends, atlas.centre)[:FINISHED]):
        progress("localise", (len(starts) + number) / (len(starts) + FINISHED))
        finished.append(fine.affine(fine.rigid(end)))
    best = max(finished, key=lambda end: end.score)
    agreeing = sum(_distance(end, best, atlas.centre) <= AGREE_MM for end in ends)
    progress("localise", 1.0)
    return replace(best, starts=len(starts), agreeing=agreeing)


def _upright(shift: NDArray[np.float64], nod: float, centre: NDArray[np.float64]) -> Placement:
    """A start: moved by ``shift``, turned about the axis from right to left."""
    matrix = nodding(nod)
    return Placement(matrix, centre + shift - matrix @ centre, 0.0, 0.0)


def _distance(one: Placement, other: Placement, centre: NDArray[np.float64]) -> float:
    """How far apart two placements lay points 50 mm around the brain's middle, at most (mm)."""
    points = centre + 50.0 * np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    return float(np.linalg.norm(one.to_head(points) - other.to_head(points), axis=1).max())


def _different(ends: list[Placement], centre: NDArray[np.float64]) -> list[Placement]:
    """``ends`` without those that agree with a better one."""
    kept: list[Placement] = []
    for end in ends:
        if all(_distance(end, other, centre) > AGREE_MM for other in kept):
            kept.append(end)
    return kept


class _Pair:
    """Atlas and head at one resolution, as SimpleITK's images."""

    def __init__(self, atlas: Atlas, head: Head, edge_mm: int) -> None:
        import SimpleITK

        self.level: AtlasLevel = atlas.at(round(edge_mm / atlas.geometry.spacing[0]))
        self.head = head.coarser(round(edge_mm / head.geometry.spacing[0]))
        self.edge = float(edge_mm)
        self._centre = atlas.centre
        self._fixed = image_of(self.level.t1, self.level.geometry)
        self._near = SimpleITK.Cast(image_of(self.level.near, self.level.geometry), SimpleITK.sitkUInt8)
        self._moving = image_of(self.head.values, self.head.geometry)
        self._measured = SimpleITK.Cast(image_of(self.head.measured, self.head.geometry), SimpleITK.sitkUInt8)
        self._points = self.level.geometry.to_world(np.argwhere(self.level.near))

    def rigid(self, start: Placement) -> Placement:
        """Followed to its end with three rotations and three translations."""
        import SimpleITK

        transform = SimpleITK.Euler3DTransform()
        transform.SetCenter(self._centre.tolist())
        transform.SetMatrix(start.rotation.ravel().tolist(), 1e-6)
        transform.SetTranslation(self._translation(start))
        return self._followed(transform, self.edge / 2)

    def affine(self, start: Placement) -> Placement:
        """Followed to its end with all twelve parameters."""
        import SimpleITK

        transform = SimpleITK.AffineTransform(3)
        transform.SetCenter(self._centre.tolist())
        transform.SetMatrix(start.matrix.ravel().tolist())
        transform.SetTranslation(self._translation(start))
        return self._followed(transform, self.edge / 8)

    def _translation(self, start: Placement) -> list[float]:
        moved = start.to_head(self._centre[None])[0] - self._centre
        shift: list[float] = moved.tolist()
        return shift

    def _followed(self, transform: Any, first_step: float) -> Placement:
        """The end of a regular-step descent that begins with steps of ``first_step`` mm."""
        import SimpleITK

        method = SimpleITK.ImageRegistrationMethod()
        method.SetNumberOfWorkUnits(1)
        method.SetMetricAsMattesMutualInformation(BINS)
        method.SetMetricSamplingStrategy(method.NONE)
        method.SetMetricFixedMask(self._near)
        method.SetMetricMovingMask(self._measured)
        method.SetInterpolator(SimpleITK.sitkLinear)
        method.SetOptimizerAsRegularStepGradientDescent(first_step, first_step / 64, 150, 0.6, 1e-8)
        turning = transform.GetNumberOfParameters() - 3
        method.SetOptimizerScales([LEVER_MM**2] * turning + [1.0] * 3)
        method.SetInitialTransform(transform, True)
        try:
            method.Execute(self._fixed, self._moving)
            information = -float(method.GetMetricValue())
        except RuntimeError:  # ITK's only one: the images don't overlap any more
            information = 0.0
        matrix = np.array(transform.GetMatrix()).reshape(3, 3)
        offset = np.array(transform.TransformPoint((0.0, 0.0, 0.0)))
        end = Placement(matrix, offset, max(information, 0.0), 0.0)
        return replace(end, coverage=float(_looked_up(self.head, end.to_head(self._points)).mean()))


def _looked_up(head: Head, points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether the head was measured at each of (n, 3) places."""
    nearest = np.rint(head.geometry.to_index(points)).astype(int)
    inside = ((nearest >= 0) & (nearest < head.geometry.shape)).all(axis=1)
    found = np.zeros(len(points), bool)
    found[inside] = head.measured[tuple(nearest[inside].T)]
    return found


def image_of(values: NDArray[Any], geometry: Geometry) -> Any:
    """A SimpleITK image (float32) on an upright grid."""
    import SimpleITK

    image = SimpleITK.GetImageFromArray(np.ascontiguousarray(values.T, np.float32))
    image.SetSpacing(geometry.spacing)
    image.SetOrigin(geometry.origin.tolist())
    return image
