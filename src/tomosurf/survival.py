"""Follows every piece of every structure from one stage to the next, and tells what vanished, merged or parted.

Two stages are compared as masks: a margin's inside, a label map's voxels, the voxel centres inside a surface.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tomosurf import components
from tomosurf.data.geometry import Geometry
from tomosurf.data.mesh import Scene, SurfaceMesh
from tomosurf.data.segmentation import Margin, Segment, Segmentation
from tomosurf.data.survival import MOST_PIECES, Kind, Loss, Piece, Stage

LEAST_PART = 3
"""Voxels that a part of a piece has at least, for its loss or its parting to be told."""

ON_GRID = 1e-3
"""How far two grids' voxel centres may lie apart, in voxels, and still be one grid's."""


@dataclass(frozen=True, slots=True, eq=False)
class _Mask:
    """Voxels of one structure, and the grid that they lie on."""

    inside: NDArray[np.bool_]
    grid: Geometry


def lost_to_labels(segmentation: Segmentation) -> tuple[Loss, ...]:
    """From the segmenter's own grid (its margins) to the label map."""
    losses: list[Loss] = []
    for segment in segmentation.segments:
        margin = segmentation.margins.get(segment.label)
        if margin is not None:
            before = _Mask(margin.values > 0, margin.geometry)
            losses += _compare(before, _labels_like(segmentation, segment, margin), segment.name, "labels")
    return tuple(losses)


def lost_between(before: Segmentation, after: Segmentation, stage: Stage = "clean-up") -> tuple[Loss, ...]:
    """From one label map to another on the same grid, with the same segments."""
    if np.may_share_memory(before.labels, after.labels):
        return ()
    losses: list[Loss] = []
    boxes = _boxes(before)
    for segment in before.segments:
        box = boxes.get(segment.label)
        if box is not None:
            grid = before.geometry.cropped(_start(box), _shape(box))
            was = _Mask(before.labels[box] == segment.label, grid)
            losses += _compare(was, _Mask(after.labels[box] == segment.label, grid), segment.name, stage)
    return tuple(losses)


def lost_to_surfaces(segmentation: Segmentation, scene: Scene, stage: Stage = "surface") -> tuple[Loss, ...]:
    """From the label map to the surfaces made of it: whose voxel centres lie no longer inside, or inside one.

    A structure without a surface has lost all its pieces.
    """
    meshes = {mesh.segment.label: mesh for mesh in scene.meshes}
    losses: list[Loss] = []
    for label, box in _boxes(segmentation).items():
        mesh = meshes.get(label)
        segment = next((s for s in segmentation.segments if s.label == label), None)
        if segment is not None:
            grid = segmentation.geometry.cropped(_start(box), _shape(box))
            was = _Mask(segmentation.labels[box] == label, grid)
            now = _Mask(np.zeros_like(was.inside), grid)
            if mesh is not None:
                now = _inside(mesh, segmentation.geometry, box)
            losses += _compare(was, now, segment.name, stage)
    return tuple(losses)


def lost_to_thinning(segmentations: Sequence[Segmentation], full: Scene, thinned: Scene) -> tuple[Loss, ...]:
    """From surfaces to the same ones with fewer triangles: whose voxel centres lie no longer inside.

    Voxels are those of each structure's label map. Thinning keeps a surface's topology, so that pieces neither
    merge nor part; one that shrinks until it holds no voxel centre has vanished. A structure without a mesh in
    ``full`` was told before.
    """
    grids = {s.name: segmentation.geometry for segmentation in segmentations for s in segmentation.segments}
    after = {mesh.segment.name: mesh for mesh in thinned.meshes}
    losses: list[Loss] = []
    for mesh in full.meshes:
        less = after[mesh.segment.name]
        if less is mesh:
            continue
        geometry = grids[mesh.segment.name]
        box = _around(mesh, less, geometry)
        was, now = _inside(mesh, geometry, box), _inside(less, geometry, box)
        found = _compare(was, now, mesh.segment.name, "decimation")
        losses += [loss for loss in found if loss.kind in {"vanished", "thinned"}]
    return tuple(losses)


def _around(mesh: SurfaceMesh, other: SurfaceMesh, geometry: Geometry) -> tuple[slice, slice, slice]:
    """The voxels whose centres either mesh may hold, at least one."""
    from tomosurf.surface.voxelise import box_of

    pairs = zip(box_of(mesh, geometry), box_of(other, geometry), geometry.shape, strict=True)
    spans = [(min(a.start, b.start, n - 1), max(a.stop, b.stop)) for a, b, n in pairs]
    a, b, c = (slice(start, max(stop, start + 1)) for start, stop in spans)
    return a, b, c


def _inside(mesh: SurfaceMesh, geometry: Geometry, box: tuple[slice, slice, slice]) -> _Mask:
    from tomosurf.surface.voxelise import voxelise

    return _Mask(voxelise(mesh, geometry, box), geometry.cropped(_start(box), _shape(box)))


def _boxes(segmentation: Segmentation) -> dict[int, tuple[slice, slice, slice]]:
    """Label to slices around its voxels, one voxel wider where the image goes on."""
    from scipy.ndimage import find_objects

    top = max((segment.label for segment in segmentation.segments), default=0)
    found = {}
    for number, box in enumerate(find_objects(segmentation.labels.T, top), 1):
        if box is not None:
            a, b, c = (
                slice(max(part.start - 1, 0), min(part.stop + 1, n))
                for part, n in zip(box[::-1], segmentation.labels.shape, strict=True)
            )
            found[number] = (a, b, c)
    return found


def _start(box: tuple[slice, slice, slice]) -> tuple[int, int, int]:
    return box[0].start, box[1].start, box[2].start


def _shape(box: tuple[slice, slice, slice]) -> tuple[int, int, int]:
    a, b, c = (part.stop - part.start for part in box)
    return a, b, c


def _labels_like(segmentation: Segmentation, segment: Segment, margin: Margin) -> _Mask:
    """The segment's voxels: on the margin's own grid where that is cut from the volume's, else in their own box."""
    geometry = segmentation.geometry
    index = geometry.to_index(margin.geometry.corners())
    first, last = np.rint(index[0]).astype(int), np.rint(index[-1]).astype(int)
    fits = np.array_equal(last - first + 1, margin.geometry.shape)
    if fits and np.abs(index - np.rint(index)).max() < ON_GRID and (first >= 0).all():
        cut = tuple(slice(int(a), int(b) + 1) for a, b in zip(first, last, strict=True))
        labels = segmentation.labels[cut]
        if labels.shape == margin.geometry.shape:
            return _Mask(labels == segment.label, margin.geometry)
    mask = segmentation.labels == segment.label
    box = components.bounding_box(mask)
    if not mask[box].size:
        return _Mask(np.zeros((1, 1, 1), bool), geometry.cropped((0, 0, 0), (1, 1, 1)))
    return _Mask(mask[box], geometry.cropped(_start(box), _shape(box)))


def _compare(before: _Mask, after: _Mask, segment: str, stage: Stage) -> Iterator[Loss]:
    """All losses of one structure; nothing is counted where both masks are equal."""
    same = before.grid is after.grid or before.grid.coincides(after.grid)
    if same and np.array_equal(before.inside, after.inside):
        return
    old = components.label_components(np.asfortranarray(before.inside))
    new = components.label_components(np.asfortranarray(after.inside))
    sizes, new_sizes = components.component_sizes(old), components.component_sizes(new)
    pairs = _pairs_on_one_grid(old, new) if same else _pairs(old, before.grid, new, after.grid)
    trace = _Trace(segment, stage, before, old, sizes, len(new_sizes) - 1)
    gone = np.setdiff1d(np.arange(1, len(sizes)), pairs[:, 0])
    yield from trace.loss("vanished", gone)
    large = pairs[new_sizes[pairs[:, 1]] >= LEAST_PART]
    owners, counts = np.unique(large[:, 0], return_counts=True)
    yield from trace.loss("parted", owners[counts > 1])
    into, counts = np.unique(pairs[:, 1], return_counts=True)
    yield from trace.loss("merged", np.unique(pairs[np.isin(pairs[:, 1], into[counts > 1]), 0]))
    if same:
        yield from _thinned(trace, before, after, gone)


@dataclass(frozen=True, slots=True, eq=False)
class _Trace:
    """The pieces of one structure before a stage, for putting losses into words."""

    segment: str
    stage: Stage
    before: _Mask
    numbered: NDArray[np.integer]
    sizes: NDArray[np.int64]
    remaining: int

    def loss(self, kind: Kind, numbers: NDArray[np.integer]) -> Iterator[Loss]:
        """The loss of the pieces ``numbers``, if there are any."""
        if not len(numbers):
            return
        ranks = np.empty(len(self.sizes), np.int64)
        ranks[np.argsort(-self.sizes, kind="stable")] = np.arange(len(self.sizes))
        chosen = numbers[np.argsort(-self.sizes[numbers], kind="stable")]
        centres = _centres(self.numbered, chosen[:MOST_PIECES], self.before.grid)
        volume = self.before.grid.voxel_volume
        pieces = tuple(
            Piece(float(self.sizes[n] * volume), centre, int(ranks[n]))
            for n, centre in zip(chosen[:MOST_PIECES], centres, strict=True)
        )
        yield self.told(kind, pieces, len(chosen), float(self.sizes[chosen].sum() * volume))

    def told(self, kind: Kind, pieces: tuple[Piece, ...], count: int, volume_mm3: float) -> Loss:
        """A loss in this stage."""
        largest = float(self.sizes.max() * self.before.grid.voxel_volume)
        return Loss(self.stage, kind, self.segment, pieces, count, volume_mm3, largest, self.remaining)


def _thinned(trace: _Trace, before: _Mask, after: _Mask, gone: NDArray[np.integer]) -> Iterator[Loss]:
    """Parts of surviving pieces that are gone: connected, and more than a voxel away from all that is left."""
    from scipy.ndimage import binary_dilation

    missing = before.inside & ~after.inside
    if len(gone):
        survives = np.ones(len(trace.sizes), bool)
        survives[gone] = False
        missing[missing] = survives[trace.numbered[missing]]
    if not missing.any():
        return
    box = components.bounding_box(missing, border=2)
    far = missing[box] & ~binary_dilation(after.inside[box], np.ones((3, 3, 3), bool))
    numbered = components.label_components(np.asfortranarray(far))
    sizes = components.component_sizes(numbered)
    parts = np.flatnonzero(sizes >= LEAST_PART)
    if not len(parts):
        return
    grid = before.grid.cropped(_start(box), far.shape)
    chosen = parts[np.argsort(-sizes[parts], kind="stable")]
    centres = _centres(numbered, chosen[:MOST_PIECES], grid)
    pieces = tuple(
        Piece(float(sizes[n] * grid.voxel_volume), centre, -1)
        for n, centre in zip(chosen[:MOST_PIECES], centres, strict=True)
    )
    yield trace.told("thinned", pieces, len(chosen), float(sizes[chosen].sum() * grid.voxel_volume))


def _centres(
    numbered: NDArray[np.integer], chosen: NDArray[np.integer], grid: Geometry
) -> list[tuple[float, float, float]]:
    """The middles in LPS mm of the pieces ``chosen``."""
    import cc3d

    index = cc3d.statistics(numbered.T, no_slice_conversion=True)["centroids"][chosen][:, ::-1]
    return [(x, y, z) for x, y, z in np.round(grid.to_world(index), 3).tolist()]


def _pairs_on_one_grid(old: NDArray[np.integer], new: NDArray[np.integer]) -> NDArray[np.int64]:
    """(n, 2) numbers of pieces before and after that share a voxel."""
    first, second = old.reshape(-1, order="F"), new.reshape(-1, order="F")
    begins = np.ones(len(first), bool)  # of a run of voxels that are all alike: few are looked at
    begins[1:] = (first[1:] != first[:-1]) | (second[1:] != second[:-1])
    first, second = first[begins], second[begins]
    shared = (first > 0) & (second > 0)
    return _unique(first[shared], second[shared])


def _pairs(
    old: NDArray[np.integer], old_grid: Geometry, new: NDArray[np.integer], new_grid: Geometry
) -> NDArray[np.int64]:
    """The same on two grids: a voxel's centre of one piece lies in a voxel of the other, either way."""
    there = _sampled(old, old_grid, new, new_grid)
    back = _sampled(new, new_grid, old, old_grid)[:, ::-1]
    return _unique(*np.concatenate([there, back]).T)


def _sampled(
    source: NDArray[np.integer], source_grid: Geometry, target: NDArray[np.integer], target_grid: Geometry
) -> NDArray[np.int64]:
    """(n, 2): number of a voxel in ``source``, and of the voxel in ``target`` that its centre lies in."""
    found = []
    limits = np.array(target.shape)
    for k in range(source.shape[2]):
        places = np.argwhere(source[:, :, k])
        if len(places):
            world = source_grid.to_world(np.column_stack([places, np.full(len(places), k)]))
            nearest = np.rint(target_grid.to_index(world)).astype(np.int64)
            valid = ((nearest >= 0) & (nearest < limits)).all(axis=1)
            there = target[tuple(nearest[valid].T)]
            here = source[:, :, k][tuple(places[valid].T)]
            found.append(_unique(here[there > 0], there[there > 0]))
    return np.concatenate(found) if found else np.empty((0, 2), np.int64)


def _unique(first: NDArray[np.integer], second: NDArray[np.integer]) -> NDArray[np.int64]:
    """Pairs, each once."""
    if not len(first):
        return np.empty((0, 2), np.int64)
    pairs: NDArray[np.int64] = np.unique(np.stack([first, second], axis=1).astype(np.int64), axis=0)
    return pairs
