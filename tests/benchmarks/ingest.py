"""Slices to volume: wall time and memory against SimpleITK, pydicom, and what no reader can beat."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from tests.benchmarks.harness import Figure, main, measure
from tomosurf.data.geometry import Geometry
from tomosurf.data.series import Series
from tomosurf.data.volume import Volume
from tomosurf.ingest.read import read
from tomosurf.testing.dicom_writer import SeriesOptions, Syntax, write_series
from tomosurf.volume.build import build

SHAPE = (512, 512, 300)
MANY_SHAPE = (128, 128, 1000)
SPACING = np.diag([0.8, 0.8, 1.0, 1.0])
INTERCEPT = -1024
INSPECTED = 3000


def phantom(shape: tuple[int, int, int]) -> NDArray[np.int16]:
    """Stored values of a noisy ball in air: about as compressible as a CT."""
    rng = np.random.default_rng(1)
    i, j, k = np.ogrid[tuple(slice(-1.0, 1.0, n * 1j) for n in shape)]
    values = rng.normal(0, 12, shape[:2]).astype(np.int16)[:, :, None] + np.zeros(shape[2], np.int16)
    values[i**2 + j**2 + k**2 < 0.8] += 1060
    values += 40
    return np.clip(values, 0, 4095, out=values)


def write(folder: Path, shape: tuple[int, int, int], syntax: Syntax = "explicit-le", bits: int = 12) -> Path:
    options = SeriesOptions(syntax=syntax, bits_stored=bits)
    write_series(folder, phantom(shape), Geometry(shape, SPACING), options)
    return folder


def figures() -> list[Figure]:
    with TemporaryDirectory() as temporary:
        root = Path(temporary)
        return [
            *raw_figures(write(root / "raw", SHAPE, bits=16), "300 raw slices"),
            *raw_figures(write(root / "raw-12", SHAPE), "300 raw slices, 12 of 16 bits")[:2],
            *compressed_figures(write(root / "jpeg-ls", SHAPE, "jpeg-ls"), "JPEG-LS", "jpeg-ls"),
            *compressed_figures(write(root / "jpeg-2000", SHAPE, "jpeg-2000"), "JPEG 2000", "jpeg-2000"),
            *many_figures(write(root / "many", MANY_SHAPE), root),
        ]


def raw_figures(raw: Path, what: str) -> list[Figure]:
    same_values(raw)
    ours = timed(lambda: volume_of(raw, hashed=False))
    with_digests = timed(lambda: volume_of(raw))
    simpleitk = timed(lambda: by_simpleitk(raw))
    return [
        Figure(what, ours, simpleitk, "SimpleITK", goal=0.35),
        Figure(what, ours, timed(lambda: floor(raw)), "read bytes + rescale", goal=2.5),
        Figure(what, ours, timed(lambda: by_pydicom(raw)), "pydicom pixel_array"),
        Figure(f"{what}, digests too", with_digests, simpleitk, "SimpleITK"),
        Figure(f"{what}, digests too", with_digests, timed(lambda: digests(raw)), "one thread's SHA-256"),
        Figure(f"{what}, peak / volume", peak(raw)[0], unit="x", goal=1.3),
    ]


def compressed_figures(folder: Path, name: str, codec: str) -> list[Figure]:
    same_values(folder)
    what = f"{SHAPE[2]} {name} slices"
    ours = timed(lambda: volume_of(folder, hashed=False), 3)
    simpleitk = timed(lambda: by_simpleitk(folder), 3)
    streams = unwrapped(folder, folder.parent / f"{folder.name}-streams")
    bound = timed(lambda: decoded_and_dropped(streams, codec), 3)
    processes = f"{PLAIN_PROCESSES} processes of the same decoder, nothing else"
    ratio, child = peak(folder)
    return [
        Figure(what, ours, simpleitk, "SimpleITK", goal=0.6),
        Figure(what, ours, bound, processes),
        Figure(f"{what}, {processes}", bound, simpleitk, "SimpleITK"),
        Figure(f"{what}, peak / volume", ratio, unit="x", goal=1.3),
        Figure(f"{what}, peak of one child", child, unit="MB"),
    ]


def many_figures(many: Path, root: Path) -> list[Figure]:
    """Cost a slice with 100, 300 and 1,000 of them, and headers alone of 3,000."""
    found = []
    each: dict[int, float] = {}
    for count in (100, 300, 1000):
        folder = root / f"first-{count}"
        linked(many, folder, count)
        each[count] = 1000 * timed(lambda folder=folder: volume_of(folder, hashed=False)) / count
        goal, peer = (None, None) if count == 100 else (1.25, each[100])
        found.append(Figure(f"one of {count} slices", each[count], peer, "one of 100", "ms", goal))
    folder = root / "inspected"
    for part in range(INSPECTED // MANY_SHAPE[2]):
        write_series(
            folder / str(part),
            phantom(MANY_SHAPE),
            Geometry(MANY_SHAPE, SPACING),
            SeriesOptions(series=f"{part}"),
        )
    ours = timed(lambda: read(folder, lambda stage, fraction: None, hashed=False))
    peer = timed(lambda: headers_by_pydicom(folder))
    found.append(Figure(f"headers of {INSPECTED} files", ours, peer, "pydicom stop_before_pixels", goal=0.5))
    return found


def timed(function: Callable[[], object], repeats: int = 5) -> float:
    return measure(function, repeats=repeats)


def linked(source: Path, folder: Path, count: int) -> None:
    """The first files of another folder, as hard links: they take no room."""
    folder.mkdir()
    for path in sorted(source.iterdir())[:count]:
        os.link(path, folder / path.name)


def same_values(folder: Path) -> None:
    if not np.array_equal(volume_of(folder).array, by_simpleitk(folder).T):
        raise SystemExit("tomosurf and SimpleITK don't read the same volume")


def series_of(folder: Path, *, hashed: bool) -> Series:
    ((series,),) = (study.series for study in read(folder, hashed=hashed).studies)
    return series


def volume_of(folder: Path, *, hashed: bool = True) -> Volume:
    return build(series_of(folder, hashed=hashed))


def by_simpleitk(folder: Path) -> NDArray[np.int16]:
    import SimpleITK

    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    image = reader.Execute()
    array: NDArray[np.int16] = SimpleITK.GetArrayFromImage(image)
    return array


def by_pydicom(folder: Path) -> NDArray[np.int16]:
    import pydicom

    datasets = [pydicom.dcmread(path) for path in folder.iterdir()]
    datasets.sort(key=lambda dataset: float(dataset.ImagePositionPatient[2]))
    array = np.empty((len(datasets), datasets[0].Rows, datasets[0].Columns), np.int16)
    for k, dataset in enumerate(datasets):
        np.add(dataset.pixel_array, int(dataset.RescaleIntercept), out=array[k], casting="unsafe")
    return array


def headers_by_pydicom(folder: Path) -> list[str]:
    import pydicom

    files = (path for path in folder.rglob("*") if path.is_file())
    return [pydicom.dcmread(path, stop_before_pixels=True).SeriesInstanceUID for path in files]


def digests(folder: Path) -> list[str]:
    import hashlib

    return [hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()]


def floor(folder: Path) -> NDArray[np.int16]:
    """No header is looked at, no order kept: the last bytes of every file, rescaled."""
    files = list(folder.iterdir())
    array = np.empty((len(files), SHAPE[1], SHAPE[0]), np.int16)
    for k, path in enumerate(files):
        with path.open("rb") as file:
            file.seek(-array[k].nbytes, 2)
            file.readinto(array[k].data.cast("B"))
        array[k] += INTERCEPT
    return array


def unwrapped(folder: Path, target: Path) -> Path:
    """The compressed images in the files of ``folder``, each as a file of its own in ``target``."""
    import pydicom

    target.mkdir()
    for path in folder.iterdir():
        dataset = pydicom.dcmread(path)
        (stream,) = pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=1)
        (target / path.name).write_bytes(stream)
    return target


PLAIN_PROCESSES = 2
PLAIN = """
import sys
from pathlib import Path
from tomosurf.volume.worker import decoder
folder, codec, first, step = sys.argv[1:]
decode = decoder(codec)
for path in sorted(Path(folder).iterdir())[int(first) :: int(step)]:
    decode(path.read_bytes())
"""


def decoded_and_dropped(streams: Path, codec: str) -> None:
    """Decode every compressed image in ``streams``: no headers, no checks, no limits, and nothing comes back."""
    command = [sys.executable, "-c", PLAIN, str(streams), codec]
    shares = [
        subprocess.Popen([*command, str(first), str(PLAIN_PROCESSES)]) for first in range(PLAIN_PROCESSES)
    ]
    if {share.wait() for share in shares} != {0}:
        raise SystemExit("a plain decoder failed")


PEAK = """
import json, resource, sys
from pathlib import Path
from tests.benchmarks.ingest import series_of
from tomosurf.volume.build import build
series = series_of(Path(sys.argv[1]), hashed=False)
before = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()
size = build(series).array.nbytes
own = 1024 * int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
child = 1024 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(json.dumps([(own - before) / size, child / 1e6]))
"""


def peak(folder: Path) -> tuple[float, float]:
    """Most resident memory that building takes, over the volume's size; and the largest child's, MB."""
    command = [sys.executable, "-c", PEAK, str(folder)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    ratio, child = json.loads(done.stdout)
    return ratio, child


if __name__ == "__main__":
    raise SystemExit(main("ingest", figures))
