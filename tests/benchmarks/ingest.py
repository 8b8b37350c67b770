"""Slices to volume: wall time and memory against SimpleITK, pydicom, and what no reader can beat."""

from __future__ import annotations

import tracemalloc
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
from tomosurf.testing.dicom_writer import SeriesOptions, write_series
from tomosurf.volume.build import build

SHAPE = (512, 512, 300)
COMPRESSED_SHAPE = (512, 512, 60)
INTERCEPT = -1024


def phantom(shape: tuple[int, int, int]) -> NDArray[np.int16]:
    """Stored values of a noisy ball in air: about as compressible as a CT."""
    rng = np.random.default_rng(1)
    i, j, k = np.ogrid[tuple(slice(-1.0, 1.0, n * 1j) for n in shape)]
    values = rng.normal(0, 12, shape[:2]).astype(np.int16)[:, :, None] + np.zeros(shape[2], np.int16)
    values[i**2 + j**2 + k**2 < 0.8] += 1060
    values += 40
    return np.clip(values, 0, 4095, out=values)


def figures() -> list[Figure]:
    with TemporaryDirectory() as temporary:
        raw, compressed = Path(temporary) / "raw", Path(temporary) / "jpeg-ls"
        write_series(raw, phantom(SHAPE), Geometry(SHAPE, np.diag([0.8, 0.8, 1.0, 1.0])))
        options = SeriesOptions(syntax="jpeg-ls", bits_stored=12)
        grid = Geometry(COMPRESSED_SHAPE, np.diag([0.8, 0.8, 1.0, 1.0]))
        write_series(compressed, phantom(COMPRESSED_SHAPE), grid, options)
        if not np.array_equal(volume_of(raw).array, by_simpleitk(raw).T):
            raise SystemExit("tomosurf and SimpleITK don't read the same volume")
        ours = timed(lambda: volume_of(raw, hashed=False))
        return [
            Figure("300 raw slices", ours, timed(lambda: by_simpleitk(raw)), "SimpleITK", goal=0.35),
            Figure("300 raw slices", ours, timed(lambda: by_pydicom(raw)), "pydicom pixel_array"),
            Figure("300 raw slices", ours, timed(lambda: floor(raw)), "read bytes + rescale", goal=2.5),
            Figure("300 raw slices, digests too", timed(lambda: volume_of(raw)), ours, "without digests"),
            Figure(
                "60 JPEG-LS slices",
                timed(lambda: volume_of(compressed, hashed=False)),
                timed(lambda: by_simpleitk(compressed)),
                "SimpleITK",
            ),
            Figure(
                "headers of 300 files",
                timed(lambda: read(raw, hashed=False)),
                timed(lambda: headers_by_pydicom(raw)),
                "pydicom stop_before_pixels",
                goal=0.5,
            ),
            Figure("peak memory / volume", peak_ratio(raw), unit="x", goal=1.3),
        ]


def timed(function: Callable[[], object]) -> float:
    return measure(function, repeats=5)


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

    return [pydicom.dcmread(path, stop_before_pixels=True).SeriesInstanceUID for path in folder.iterdir()]


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


def peak_ratio(folder: Path) -> float:
    series = series_of(folder, hashed=False)
    tracemalloc.start()
    volume = build(series)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / volume.array.nbytes


if __name__ == "__main__":
    raise SystemExit(main("ingest", figures))
