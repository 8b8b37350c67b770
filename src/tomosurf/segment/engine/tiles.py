"""Where windows lie on an image: so that they cover it, and as the network's own runtime lays them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import ceil

from tomosurf.segment.model.spec import Window

Triple = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Tiling:
    """Windows of one size on an image of ``image`` voxels that has ``before`` voxels of padding before it.

    ``shape`` is the padded image's; it is larger than the image only where that is smaller than a window.
    ``starts`` has an ascending tuple an axis, and every combination is a window.
    """

    image: Triple
    shape: Triple
    before: Triple
    window: Triple
    starts: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]

    @property
    def count(self) -> int:
        """How many windows there are."""
        return len(self.starts[0]) * len(self.starts[1]) * len(self.starts[2])

    @property
    def axis(self) -> int:
        """The axis with the most planes: going along it, the fewest voxels are unfinished at a time."""
        return max(range(3), key=lambda axis: (self.shape[axis] - self.window[axis], axis))

    def origins(self) -> Iterator[Triple]:
        """Every window's first voxel, those that lie first along :attr:`axis` first."""
        order = [self.axis, *(axis for axis in range(3) if axis != self.axis)]
        for place in product(*(self.starts[axis] for axis in order)):
            x, y, z = (place[order.index(axis)] for axis in range(3))
            yield x, y, z


def tiling(image: Triple, window: Window | None) -> Tiling:
    """The windows on an image of that shape; without a window the whole image is one.

    An image smaller than a window is padded, the smaller half first, which is what both runtimes do.
    """
    if window is None:
        return Tiling(image, image, (0, 0, 0), image, ((0,), (0,), (0,)))
    place = _PLACEMENTS[window.placement]
    x, y, z = (max(size, roi) for size, roi in zip(image, window.roi, strict=True))
    a, b, c = ((large - size) // 2 for large, size in zip((x, y, z), image, strict=True))
    i, j, k = (place(size, roi, window.overlap) for size, roi in zip((x, y, z), window.roi, strict=True))
    return Tiling(image, (x, y, z), (a, b, c), window.roi, (i, j, k))


def whole_fractions(size: int, roi: int, overlap: float) -> tuple[int, ...]:
    """Equal steps of ``(1 - overlap) * roi``, rounded down; the last window is pushed back to the edge.

    That is MONAI's ``dense_patch_slices`` (monai.data.utils, 1.6).
    """
    step = max(int(roi * (1 - overlap)), 1)
    return tuple(min(number * step, size - roi) for number in range(ceil((size - roi) / step) + 1))


def evenly_spread(size: int, roi: int, overlap: float) -> tuple[int, ...]:
    """As few windows as steps of at most ``(1 - overlap) * roi`` allow, spread evenly from edge to edge.

    That is nnU-Net's ``compute_steps_for_sliding_window`` with a step of ``1 - overlap`` (Isensee et al. 2021,
    doi:10.1038/s41592-020-01008-z), but for steps below a voxel, which would only repeat windows.
    """
    room = size - roi
    steps = ceil(room / max(roi * (1 - overlap), 1))
    return tuple(round(room / steps * number) for number in range(steps + 1)) if steps else (0,)


_PLACEMENTS = {"monai": whole_fractions, "nnunet": evenly_spread}
