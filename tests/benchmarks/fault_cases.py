"""How many of the hard and the hopeless inputs of ``tests/conformance/ingest_cases`` each reader gets right.

A reader is right about a good case when every true volume is among what it gives: corners within 1e-3 mm (whatever
way it flips its axes) and every value; it may give more beside. It is right about a bad case when it gives
nothing. ZIP files are left out, since no peer opens them. ``python -m tests.benchmarks.fault_cases --list`` names
the cases that a peer gets wrong.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.harness import Figure, main
from tests.conformance.ingest_cases import CASES
from tests.conformance.ingest_cases.case import Bad, Good, Truth

Image = tuple[NDArray[np.float64], NDArray[Any]]
"""Index to LPS mm, and values (ni, nj, nk)."""
Reader = Callable[[Path, Path], list[Image]]
"""An input and an empty folder to the images that a program makes of it; it raises when it refuses."""
CORNER_MM = 1e-3
PATIENCE = 60.0


def by_tomosurf(source: Path, workspace: Path) -> list[Image]:
    from tomosurf.ingest.read import read
    from tomosurf.pipeline import build_volumes

    intake = read(source, workspace=workspace)
    return [
        (volume.geometry.affine, volume.array)
        for study in intake.studies
        for volume in build_volumes(study.series)[0].values()
    ]


def by_simpleitk(source: Path, workspace: Path) -> list[Image]:
    """Every series below the folder, as GDCM groups and sorts it.

    Folders are walked for it: its own recursion follows a link to a folder above for ever.
    """
    import SimpleITK

    SimpleITK.ProcessObject.SetGlobalWarningDisplay(False)
    folders = [path for path in (source, *source.rglob("*")) if path.is_dir() and not path.is_symlink()]
    identify = SimpleITK.ImageSeriesReader.GetGDCMSeriesIDs
    find = SimpleITK.ImageSeriesReader.GetGDCMSeriesFileNames
    files: dict[str, list[str]] = {}
    for folder in folders:
        for series in identify(str(folder)):
            files.setdefault(series, []).extend(find(str(folder), series))
    images = []
    for series in sorted(files):
        reader = SimpleITK.ImageSeriesReader()
        reader.SetFileNames(files[series])
        try:
            image = reader.Execute()
        except RuntimeError:
            continue  # this series is refused
        if image.GetDimension() == 3 and image.GetNumberOfComponentsPerPixel() == 1:
            affine = np.eye(4)
            affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
            affine[:3, 3] = image.GetOrigin()
            images.append((affine, SimpleITK.GetArrayFromImage(image).T))
    return images


def by_dcm2niix(source: Path, workspace: Path) -> list[Image]:
    """Every NIfTI file that it writes, whatever its exit code."""
    import nibabel

    command = [
        _dcm2niix(),
        "-d",
        "9",
        "-b",
        "n",
        "-z",
        "n",
        "-f",
        "%s_%j_%n",
        "-o",
        str(workspace),
        str(source),
    ]
    subprocess.run(command, capture_output=True, timeout=PATIENCE, check=False)
    images = []
    for path in sorted(workspace.glob("*.nii")):
        image = nibabel.load(path)
        if image.ndim == 3:
            images.append((np.diag([-1.0, -1, 1, 1]) @ image.affine, np.asanyarray(image.dataobj)))
    return images


def _dcm2niix() -> str:
    """The program beside this interpreter or on the path; "" when there is none."""
    beside = Path(sys.executable).parent / "dcm2niix"
    return str(beside) if beside.exists() else shutil.which("dcm2niix") or ""


def is_right(images: list[Image], case: Good | Bad) -> bool:
    if isinstance(case, Bad):
        return not images
    return all(any(is_true(image, truth) for image in images) for truth in case.volumes)


def is_true(image: Image, truth: Truth) -> bool:
    """Whether an image is the true volume, some of its axes perhaps reversed."""
    affine, values = image
    if values.shape != truth.values.shape:
        return False
    last = np.array(values.shape) - 1
    for flips in product((False, True), repeat=3):
        turned = affine.copy()
        turned[:3, 3] += affine[:3, :3] @ (last * flips)
        turned[:3, :3] *= np.where(flips, -1, 1)
        if np.abs(corners(turned, last) - corners(truth.geometry.affine, last)).max() < CORNER_MM:
            axes = tuple(axis for axis in range(3) if flips[axis])
            return bool(np.allclose(np.flip(values, axes), truth.values, rtol=1e-6, atol=1e-6))
    return False


def corners(affine: NDArray[np.float64], last: NDArray[np.int64]) -> NDArray[np.float64]:
    index = np.array(list(product((0, 1), repeat=3))) * last
    placed: NDArray[np.float64] = index @ affine[:3, :3].T + affine[:3, 3]
    return placed


def verdict(name: str, reader: Reader) -> tuple[bool, bool] | None:
    """Whether a case is good, and whether the reader is right about it; None for a ZIP."""
    with TemporaryDirectory() as temporary:
        folder, workspace = Path(temporary) / "in", Path(temporary) / "workspace"
        folder.mkdir()
        workspace.mkdir()
        case = CASES[name](folder)
        source = case.source or folder
        if (source.is_file() and zipfile.is_zipfile(source)) or source.suffix == ".zip":
            return None
        try:
            images = reader(source, workspace)
        except (RuntimeError, ValueError, OSError, subprocess.TimeoutExpired):
            images = []  # it refuses
        return isinstance(case, Good), is_right(images, case)


def verdicts(reader: Reader) -> dict[str, tuple[bool, bool]]:
    """Case by case in another process: a reader that crashes is wrong, whatever the case."""
    found: dict[str, tuple[bool, bool]] = {}
    names = list(CASES)
    while names:
        with ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_quiet) as pool:
            while names:
                name = names.pop()
                try:
                    result = pool.submit(verdict, name, reader).result()
                except BrokenProcessPool:
                    found[name] = isinstance(_case(name), Good), False
                    break
                if result is not None:
                    found[name] = result
    return found


def _case(name: str) -> Good | Bad:
    with TemporaryDirectory() as folder:
        return CASES[name](Path(folder))


def _quiet() -> None:
    """Peers and their libraries talk on standard error."""
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 2)
    os.close(silent)


def peers() -> dict[str, Reader]:
    found: dict[str, Reader] = {"SimpleITK (GDCM)": by_simpleitk}
    if _dcm2niix():
        found["dcm2niix"] = by_dcm2niix
    else:
        print("dcm2niix isn't installed: left out", file=sys.stderr)
    return found


def figures(*, listed: bool = False) -> list[Figure]:
    ours = verdicts(by_tomosurf)
    rows = []
    for peer, reader in peers().items():
        theirs = verdicts(reader)
        if listed:
            wrong = sorted(name for name, (_, right) in theirs.items() if not right)
            print(f"{peer} is wrong about: {', '.join(wrong)}", file=sys.stderr)
        for good, words in ((True, "good inputs read right"), (False, "bad inputs refused")):
            total = sum(is_good == good for is_good, _ in ours.values())
            what = f"{words}, of {total}"
            counts = [sum(v == (good, True) for v in each.values()) for each in (ours, theirs)]
            rows.append(Figure(what, counts[0], counts[1], peer, "cases", goal=1.0, lower_is_better=False))
    return rows


if __name__ == "__main__":
    as_list = "--list" in sys.argv
    sys.argv = [word for word in sys.argv if word != "--list"]
    raise SystemExit(main("fault_cases", lambda: figures(listed=as_list)))
