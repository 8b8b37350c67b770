"""Seeded damage to good files: what comes back is the truth of the files' own headers, whole, or a refusal.

``python -m tests.mutations --count 20000`` tries many (some ten minutes on two cores) and prints what came of
them; tests/property/test_mutations.py tries a few. A case is (kind, number) and always the same.
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomosurf.data.geometry import Geometry
from tomosurf.data.series import Intake, Series, short_digest
from tomosurf.errors import InputRefused
from tomosurf.ingest.header import NotDicom, read_header
from tomosurf.ingest.read import read
from tomosurf.ingest.remains import is_uid
from tomosurf.ingest.tags import Tag
from tomosurf.ingest.values import text
from tomosurf.testing.dicom_writer import SYNTAXES, SeriesOptions, Syntax, write_series
from tomosurf.volume.build import build

KINDS: tuple[Syntax, ...] = tuple(SYNTAXES)
GRID = Geometry((40, 36, 5), np.array([[0.5, 0, 0, -7], [0, 0.75, 0, 3], [0, 0, 2, 11], [0, 0, 0, 1.0]]))
LONGEST = 10.0
"""Seconds that one case may take."""
LARGEST = 500e6
"""Bytes that this process, and any child, may take at most."""


class Broken(AssertionError):
    """A promise was broken."""


@dataclass(frozen=True, slots=True)
class Good:
    """A good series: the bytes of its files by name, its values by name, and what pydicom says of each."""

    kind: Syntax
    files: dict[str, bytes]
    values: dict[str, NDArray[Any]]
    headers: dict[str, Placed]


@dataclass(frozen=True, slots=True)
class Placed:
    """The place of one slice by pydicom's reading of its header."""

    position: tuple[float, ...]
    orientation: tuple[float, ...]
    spacing: tuple[float, ...]
    rows: int
    columns: int


def placed(path: Path) -> Placed:
    """Read it with pydicom; whatever pydicom raises means that there is no place."""
    from pydicom import dcmread

    dataset = dcmread(path, force=True, stop_before_pixels=True)

    def numbers(keyword: str) -> tuple[float, ...]:
        return tuple(float(x) for x in dataset[keyword].value)

    return Placed(
        numbers("ImagePositionPatient"),
        numbers("ImageOrientationPatient"),
        numbers("PixelSpacing"),
        int(dataset.Rows),
        int(dataset.Columns),
    )


def good(kind: Syntax, folder: Path) -> Good:
    """Write a good series of ``kind`` into ``folder``."""
    values = np.random.default_rng(3).integers(0, 2000, GRID.shape).astype(np.int16)
    paths = write_series(folder, values, GRID, SeriesOptions(syntax=kind, bits_stored=12))
    return Good(
        kind,
        {path.name: path.read_bytes() for path in paths},
        {path.name: values[:, :, k] - 1024 for k, path in enumerate(paths)},
        {path.name: placed(path) for path in paths},
    )


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """One to four changes: bytes set, flipped, taken out, put in, copied over others; or the end cut off."""
    spoilt = bytearray(data)
    reach = len(data) if rng.random() < 0.3 else min(len(data), 2000)  # headers more often than pixels
    for _ in range(int(rng.integers(1, 5))):
        at, length = int(rng.integers(reach)), int(rng.integers(1, 9))
        match int(rng.integers(7)):
            case 0:
                spoilt[at : at + length] = rng.bytes(len(spoilt[at : at + length]))
            case 1 | 2 if at < len(spoilt):
                spoilt[at] ^= 1 << int(rng.integers(8))
            case 3 if at < len(spoilt):
                spoilt[at] = (0, 0x30, 0x39, 0x5C, 0x7F, 0xFF)[int(rng.integers(6))]
            case 4:
                del spoilt[at : at + length]
            case 5:
                spoilt[at:at] = rng.bytes(length)
            case _:
                start = int(rng.integers(reach))
                spoilt[at : at + length] = spoilt[start : start + length]
    return bytes(spoilt[: int(rng.integers(len(spoilt) + 1))] if rng.random() < 0.03 else spoilt)


def try_one(series: Good, number: int, folder: Path) -> str:
    """Damage one file of a series, read the whole, and say what came of it.

    Raises:
        Broken: something else than the truth or a refusal.
    """
    rng = np.random.default_rng([KINDS.index(series.kind), number])
    names = sorted(series.files)
    victim = names[int(rng.integers(len(names)))]
    for name in names:
        (folder / name).write_bytes(series.files[name])
    (folder / victim).write_bytes(damaged(series.files[victim], rng))
    intake = read(folder, hashed=False)
    found = []
    for one in (one for study in intake.studies for one in study.series):
        try:
            volume = build(one)
        except InputRefused as error:
            found.append(error.code)
            continue
        if one.instances[0].name != victim and names_another(folder / victim, intake):
            found.append("volume without a file of another series")
        else:
            check_whole(one, names if shows_itself(folder / victim) else [n for n in names if n != victim])
            found.append("volume")
        check_place(volume.geometry, one, victim, series, folder)
        check_values(volume.array, volume.geometry, one, victim, series)
    found.sort(key=lambda what: not what.startswith("volume"))
    return (found + [notice.code for notice in intake.refused])[0]


def shows_itself(path: Path) -> bool:
    """Whether anything is left in a file: one that ends in its preamble might be anything."""
    return path.read_bytes().strip(b"\0") != b""


def names_another(path: Path, intake: Intake) -> bool:
    """Whether a file is sound in form, and names a study and a series that are UIDs, and no other file's.

    Two UIDs were damaged at once then, or one in a file that was refused for a fault of its own. Nothing in such
    a file ties it to the stack.
    """
    try:
        elements = read_header(path, hashed=False).elements
    except (NotDicom, InputRefused):
        return False
    series, study = (text(elements, tag) for tag in (Tag.SeriesInstanceUID, Tag.StudyInstanceUID))
    taken = {s.digest: s.study for each in intake.studies for s in each.series if s.instances[0].path != path}
    refused = any(path.name in notice.files for notice in intake.refused)
    if short_digest(series) in taken or not is_uid(series) or not is_uid(study):
        return False
    return refused or short_digest(study) not in taken.values()


def check_whole(series: Series, names: list[str]) -> None:
    """A volume has every slice: without one of them the rest can pass for a complete stack."""
    lost = set(names) - {instance.name for instance in series.instances}
    if lost:
        raise Broken(f"a volume without {', '.join(sorted(lost))}")


def check_place(geometry: Geometry, series: Series, victim: str, good: Good, folder: Path) -> None:
    """The grid is what pydicom's reading of the same files makes of it."""
    headers = []
    for instance in series.instances:
        known = good.headers[instance.name]
        if instance.name == victim:
            mine = Placed(
                instance.position,
                instance.orientation,
                instance.pixel_spacing,
                instance.pixels.rows,
                instance.pixels.columns,
            )
            if mine != known:
                known = placed(folder / victim)
                if mine != known:
                    raise Broken(f"{victim} lies at {mine}, by pydicom at {known}")
        headers.append(known)
    row, column = np.split(np.median([h.orientation for h in headers], axis=0), 2)
    between_rows, between_columns = np.median([h.spacing for h in headers], axis=0)
    positions = np.array(
        sorted((h.position for h in headers), key=lambda p: float(np.cross(row, column) @ p))
    )
    affine = np.eye(4)
    step = (positions[-1] - positions[0]) / (len(headers) - 1)
    affine[:3] = np.stack([row * between_columns, column * between_rows, step, positions[0]], axis=1)
    if geometry.shape != (headers[0].columns, headers[0].rows, len(headers)):
        raise Broken(f"a grid of {geometry.shape}")
    if not np.allclose(geometry.affine, affine, rtol=0, atol=1e-3):
        raise Broken(f"a grid at {geometry.affine.tolist()}, not {affine.tolist()}")


def check_values(array: NDArray[Any], geometry: Geometry, series: Series, victim: str, good: Good) -> None:
    """Slices of undamaged files hold their values, where their positions say."""
    for instance in series.instances:
        if instance.name != victim:
            k = int(np.rint(geometry.to_index(np.array([instance.position]))[0, 2]))
            if not np.array_equal(array[:, :, k], good.values[instance.name]):
                raise Broken(f"{instance.name} has other values")


def peak_bytes() -> int:
    """Largest resident size of this process and of any child so far."""
    return 1024 * max(
        resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.mutations", description=__doc__)
    parser.add_argument("--count", type=int, default=2000, help="cases in all, spread over the kinds")
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    parser.add_argument("--first", type=int, default=0, help="number of the first case of each kind")
    chosen = parser.parse_args(arguments)
    broken = 0
    for kind in chosen.kinds:
        outcomes: Counter[str] = Counter()
        slowest = 0.0
        with TemporaryDirectory() as temporary:
            folder = Path(temporary)
            series = good(kind, folder)
            for number in range(chosen.first, chosen.first + chosen.count // len(chosen.kinds)):
                start = time.perf_counter()
                try:
                    outcomes[try_one(series, number, folder)] += 1
                except Exception as error:  # noqa: BLE001 - any at all is what this looks for
                    broken += 1
                    print(f"BROKEN {kind} {number}: {type(error).__name__}: {error}", flush=True)
                seconds = time.perf_counter() - start
                if seconds > LONGEST:
                    broken += 1
                    print(f"BROKEN {kind} {number}: {seconds:.1f} s", flush=True)
                slowest = max(slowest, seconds)
        summary = ", ".join(f"{what} {count}" for what, count in outcomes.most_common())
        print(f"{kind}: slowest {slowest:.2f} s, peak {peak_bytes() / 1e6:.0f} MB; {summary}", flush=True)
    if peak_bytes() > LARGEST:
        broken += 1
        print(f"BROKEN: peak {peak_bytes() / 1e6:.0f} MB")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
