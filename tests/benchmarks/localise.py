"""Both hippocampi in whole heads: sides and volumes however a head is stored, cut, turned, lit; what is refused.

The real head is colin27 with its skull, and AAL's labels (37 left, 38 right), in the folder that
``TOMOSURF_SHARED_DATA`` names; without it the dressed template stands in and there is no Dice. A group alone:
``python -m tests.benchmarks.localise orientations`` (or crops, turns, light, grids, refused, time).
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import nibabel
import numpy as np
from scipy.ndimage import affine_transform
from scipy.spatial.transform import Rotation

from tests.benchmarks.harness import Figure, peak_memory_mb, table
from tests.benchmarks.harness import main as run_main
from tests.heads import dressed, stored_otherwise
from tomosurf.config import load_protocol
from tomosurf.data.geometry import Geometry
from tomosurf.data.segmentation import Segmentation
from tomosurf.data.volume import Volume
from tomosurf.errors import InputRefused
from tomosurf.localise_rule import Gates
from tomosurf.pipeline import RunOptions, clean_up, on_sides, segment_volume
from tomosurf.refine.refine import refine
from tomosurf.segment.resident import Engine

PROTOCOL = load_protocol("mr-hippocampus")
OPTIONS = RunOptions("cpu", engine=Engine())
SAME = 0.02
"""Largest relative difference of a side's volume that counts as the same."""
AAL = {"left": 37, "right": 38}


@dataclass(frozen=True, slots=True)
class Answer:
    """Volumes in mm3 and middles (LPS mm) of both sides; empty where the head was refused."""

    volumes: tuple[float, ...]
    middles: tuple[tuple[float, ...], ...]
    failures: tuple[str, ...]

    @property
    def right_sides(self) -> bool:
        return len(self.middles) == 2 and self.middles[0][0] > self.middles[1][0]

    def off(self, other: Answer) -> float:
        """The larger relative difference of both sides' volumes; 1 where something is missing."""
        if len(self.volumes) != 2 or not self.right_sides:
            return 1.0
        return max(abs(a / b - 1) for a, b in zip(self.volumes, other.volumes, strict=True))


def found_in(volume: Volume) -> Segmentation:
    found = segment_volume(volume, PROTOCOL, OPTIONS)
    return refine(found, on_sides(clean_up(PROTOCOL.segment, PROTOCOL.refine), found))


def answer(volume: Volume) -> Answer:
    try:
        found = found_in(volume)
    except InputRefused as error:
        return Answer((), (), tuple(gate for gate in Gates.model_fields if f"({gate}:" in error.message))
    sides = [np.argwhere((found.labels == first) | (found.labels == first + 1)) for first in (1, 3)]
    if not all(len(side) for side in sides):
        return Answer((), (), ())
    volumes = tuple(len(side) * found.geometry.voxel_volume for side in sides)
    return Answer(volumes, tuple(tuple(found.geometry.to_world(s).mean(axis=0)) for s in sides), ())


def shared(name: str) -> Volume | None:
    folder = Path(os.environ.get("TOMOSURF_SHARED_DATA", "")) / "head-colin27"
    if not (folder / name).is_file():
        return None
    image = nibabel.load(folder / name)
    affine = np.diag([-1.0, -1.0, 1.0, 1.0]) @ image.affine
    values = np.asfortranarray(np.asarray(image.dataobj))
    return Volume(Geometry(values.shape, affine), values, "MR")


def head() -> Volume:
    real = shared("ch2.nii.gz")
    if real is not None:
        return real
    values, grid = dressed()
    return Volume(grid, values, "MR")


def scanned(
    volume: Volume, degrees: tuple[float, ...], spacing: tuple[float, ...], shape: tuple[int, ...]
) -> Volume:
    """The head turned about its middle, on another grid."""
    grid = volume.geometry
    middle = grid.to_world([(np.array(grid.shape) - 1) / 2])[0]
    affine = np.diag([*spacing, 1.0])
    affine[:3, 3] = middle - (np.array(shape) - 1) / 2 * spacing
    turn = np.eye(4)
    turn[:3, :3] = Rotation.from_euler("xyz", degrees, degrees=True).as_matrix().T
    turn[:3, 3] = middle - turn[:3, :3] @ middle
    back = np.linalg.inv(grid.affine) @ turn @ affine
    values = affine_transform(volume.array.astype(np.float32), back[:3, :3], back[:3, 3], shape, order=1)
    a, b, c = shape
    return Volume(Geometry((a, b, c), affine), np.asfortranarray(values), "MR")


def lit(volume: Volume, values: np.ndarray) -> Volume:
    return Volume(volume.geometry, np.asfortranarray(values, np.float32), "MR")


def cut(volume: Volume, start: tuple[int, ...], stop: tuple[int, ...]) -> Volume:
    """Voxels ``start`` to ``stop`` (counted from the end)."""
    ends = tuple(n - m for n, m in zip(volume.array.shape, stop, strict=True))
    values = volume.array[tuple(slice(a, b) for a, b in zip(start, ends, strict=True))]
    return Volume(volume.geometry.cropped(start, values.shape), values, "MR")


def worst(what: str, base: Answer, volumes: Iterator[Volume], goal: float | None = SAME) -> list[Figure]:
    answers = [answer(volume) for volume in volumes]
    wrong = sum(not one.right_sides for one in answers)
    return [
        Figure(f"{what}: a side wrong or missing", float(wrong), unit="heads", goal=0),
        Figure(
            f"{what}: largest difference of a side's volume",
            100 * max(one.off(base) for one in answers),
            unit="%",
            goal=None if goal is None else 100 * goal,
        ),
    ]


def plain() -> list[Figure]:
    """The head as it is, and AAL."""
    volume, labels = head(), shared("aal.nii.gz")
    found = found_in(volume)
    figures = []
    for first, side in ((1, "left"), (3, "right")):
        own = (found.labels == first) | (found.labels == first + 1)
        figures.append(Figure(f"volume, {side}", float(own.sum()) * found.geometry.voxel_volume, unit="mm3"))
        if labels is not None:
            theirs = labels.array == AAL[side]
            dice = 2 * (own & theirs).sum() / (own.sum() + theirs.sum())
            figures.append(Figure(f"Dice with AAL, {side}", float(dice), unit="", lower_is_better=False))
    return figures


def orientations() -> list[Figure]:
    """Half of the 48 ways to store the voxels."""
    volume = head()
    return worst("24 axis orders and directions", answer(volume), iter(stored_otherwise(volume)[1::2]), 0.0)


def crops() -> list[Figure]:
    """Both hippocampi stay in, with 25 mm and more around them."""
    volume, rng = head(), np.random.default_rng(11)
    heads = (
        cut(volume, tuple(rng.integers(0, (18, 35, 28))), tuple(rng.integers(0, (18, 50, 65))))
        for _ in range(6)
    )
    return worst("6 random crops", answer(volume), heads)


def turns() -> list[Figure]:
    """The head turned in the scanner, interpolated anew; and an oblique frame around the same voxels."""
    volume, rng = head(), np.random.default_rng(12)
    base = answer(scanned(volume, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), (200, 230, 200)))
    angles = [tuple(rng.uniform(-20, 20, 3)) for _ in range(5)]
    figures = worst(
        "5 heads turned by up to 20 degrees", base,
        (scanned(volume, one, (1.0, 1.0, 1.0), (200, 230, 200)) for one in angles),
    )  # fmt: skip
    mirrored = replace(
        volume,
        geometry=Geometry(volume.geometry.shape, np.diag([-1.0, 1.0, 1.0, 1.0]) @ volume.geometry.affine),
    )
    own, other = answer(volume), answer(mirrored)
    swapped = replace(own, volumes=own.volumes[::-1])
    what = "a mirror-image person: difference from the other side's volume"
    figures.append(Figure(what, 100 * other.off(swapped), unit="%", goal=100 * SAME))
    return figures


def light() -> list[Figure]:
    """Bias, gamma, noise."""
    volume, rng = head(), np.random.default_rng(13)
    values = volume.array.astype(np.float32)
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, n, dtype=np.float32) for n in values.shape), indexing="ij")
    top = float(values.max())
    heads = (
        values * np.exp(0.2 * x + 0.2 * z - 0.2 * y),
        values * np.exp(0.5 * x + 0.4 * z - 0.5 * y**2),
        (values / top) ** 0.7 * top,
        (values / top) ** 1.5 * top,
        np.abs(values + rng.normal(0, 0.05 * top, values.shape)),
    )
    return worst("bias, gamma and noise, 5 heads", answer(volume), (lit(volume, one) for one in heads), None)


def grids() -> list[Figure]:
    """Other voxels, and a neck."""
    volume = head()
    heads = (
        scanned(volume, (0, 0, 0), (0.8, 0.8, 0.8), (240, 280, 240)),
        scanned(volume, (0, 0, 0), (1.0, 1.0, 2.0), (190, 225, 96)),
        scanned(volume, (0, 0, 0), (0.9, 1.2, 1.5), (210, 190, 128)),
        with_neck(volume),
    )
    return worst("three other grids, and a neck", answer(volume), iter(heads), None)


def with_neck(volume: Volume) -> Volume:
    """120 mm of a made-up neck and shoulders below."""
    more = 120
    values = np.zeros((*volume.array.shape[:2], volume.array.shape[2] + more), np.float32, order="F")
    values[:, :, more:] = volume.array
    x, y, z = np.ogrid[: values.shape[0], : values.shape[1], :more]
    wide = np.where(z < 50, 85, 52)
    body = ((x - values.shape[0] / 2) / wide) ** 2 + ((y - values.shape[1] / 2 + 10) / 55) ** 2 < 1
    values[:, :, :more][body] = 120.0
    return Volume(volume.geometry.cropped((0, 0, -more), values.shape), values, "MR")


def refused() -> list[Figure]:
    """What is no T1 head, or shows no hippocampus: nothing may be found in it."""
    volume, rng = head(), np.random.default_rng(14)
    values = volume.array.astype(np.float32)
    top = float(values.max())
    away = np.linalg.norm(
        (np.stack(np.indices(values.shape)).T - np.array(values.shape) / 2) / (78, 95, 85), axis=-1
    ).T
    skull = np.select([away < 0.8, away < 0.9, away < 1.0], [1040.0, 1900.0, 1000.0], 0.0)
    heads = {
        "CT-like head": lit(volume, skull + rng.normal(0, 5, values.shape)),
        "T2-like head": lit(volume, np.where(values > 0.06 * top, 1.06 * top - values, values)),
        "noise": lit(volume, rng.uniform(0, 255, values.shape)),
        "ball": lit(volume, np.where(away < 0.9, 100.0, 3.0) + rng.normal(0, 2, values.shape)),
        "trunk": lit(
            volume, np.where(away < 1.2, 60 + 40 * np.sin(away * 40), 0) + rng.normal(0, 4, values.shape)
        ),
        "head without what is below z = 24": cut(volume, (0, 0, 95), (0, 0, 0)),
        "lower third of a head": cut(volume, (0, 0, 0), (0, 0, values.shape[2] - 55)),
        "6.5 mm slices": scanned(volume, (0, 0, 0), (0.9, 0.9, 6.5), (220, 260, 26)),
    }
    kept = [name for name, one in heads.items() if not answer(one).failures]
    what = f"no T1 head, {len(heads)} of them: answered all the same" + (
        f" ({', '.join(kept)})" if kept else ""
    )
    return [Figure(what, float(len(kept)), unit="heads", goal=0)]


def timed() -> list[Figure]:
    """256^3, as processor seconds and on the wall; memory over that of the volume."""
    volume = scanned(head(), (0, 0, 0), (0.85, 0.85, 0.85), (256, 256, 256))
    answer(cut(volume, (0, 0, 0), (0, 0, 0)))  # loads the network, torch and SimpleITK
    before = peak_memory_mb()
    wall, processor = time.perf_counter(), time.process_time()
    answer(volume)
    return [
        Figure("256^3, wall", time.perf_counter() - wall, goal=60),
        Figure("256^3, processor", time.process_time() - processor),
        Figure(
            "peak memory of the process over the volume's float32",
            peak_memory_mb() / (256**3 * 4 / 1e6),
            unit="x",
        ),
        Figure("more in the second run", peak_memory_mb() - before, unit="MB"),
    ]


GROUPS: dict[str, Callable[[], list[Figure]]] = {
    "plain": plain,
    "orientations": orientations,
    "crops": crops,
    "turns": turns,
    "light": light,
    "grids": grids,
    "refused": refused,
    "time": timed,
}


def figures() -> list[Figure]:
    """All groups, one after the other."""
    return [figure for group in GROUPS.values() for figure in group()]


if __name__ == "__main__":
    if sys.argv[1:] and sys.argv[1] in GROUPS:
        print(table(f"localise: {sys.argv[1]}", GROUPS[sys.argv[1]]()))
    else:
        raise SystemExit(run_main("localise", figures))
