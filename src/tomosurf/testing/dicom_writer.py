"""Writing a series of CT, MR or PET slices as DICOM files, correct by default and spoilt on request.

>>> import tempfile
>>> stored = np.zeros((4, 3, 2), np.int16)
>>> with tempfile.TemporaryDirectory() as folder:
...     files = write_series(Path(folder), stored, Geometry((4, 3, 2), np.eye(4)))
...     print([file.name for file in files])
['0001.dcm', '0002.dcm']
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from tomosurf.data.geometry import ORTHOGONAL_TOLERANCE, Geometry
from tomosurf.errors import ConfigError, DataError, GeometryError
from tomosurf.progress import Progress, silent

if TYPE_CHECKING:
    from pydicom import Dataset

Syntax = Literal[
    "implicit-le",
    "explicit-le",
    "explicit-be",
    "deflated",
    "rle",
    "jpeg-lossless",
    "jpeg-lossless-any",
    "jpeg-ls",
    "jpeg-2000",
]

SYNTAXES: Mapping[Syntax, str] = MappingProxyType(
    {
        "implicit-le": "1.2.840.10008.1.2",
        "explicit-le": "1.2.840.10008.1.2.1",
        "explicit-be": "1.2.840.10008.1.2.2",
        "deflated": "1.2.840.10008.1.2.1.99",
        "rle": "1.2.840.10008.1.2.5",
        "jpeg-lossless": "1.2.840.10008.1.2.4.70",
        "jpeg-lossless-any": "1.2.840.10008.1.2.4.57",
        "jpeg-ls": "1.2.840.10008.1.2.4.80",
        "jpeg-2000": "1.2.840.10008.1.2.4.90",
    }
)
"""Every transfer syntax that can be written, all lossless, by a short name."""

ENCODERS: Mapping[Syntax, str] = MappingProxyType(
    {"rle": "pylibjpeg", "jpeg-ls": "pyjpegls", "jpeg-2000": "pylibjpeg"}
)
"""Which of pydicom's plugins encodes; JPEG lossless has none and is encoded by our own few lines."""

SELECTION: Mapping[Syntax, int] = MappingProxyType({"jpeg-lossless": 1, "jpeg-lossless-any": 6})
"""The predictor of JPEG lossless (ITU-T T.81 table H.1); one transfer syntax allows the first alone."""

JPEG_2000_LEAST = 32
"""Rows and columns below which the JPEG 2000 encoder, with its six resolutions, fails."""

Rescale = tuple[float, float]
"""Rescale Slope and Rescale Intercept."""


@dataclass(frozen=True, slots=True)
class SeriesOptions:
    """What a series says about itself; the defaults give a correct series.

    Args:
        modality: "CT", "MR" or "PT".
        study, series: any text; Study, Series and SOP Instance UIDs are derived from them, so that the same
            text gives the same UIDs. The Frame of Reference is the geometry's, else derived from ``study``.
        syntax: a key of ``SYNTAXES``.
        bits_stored: up to 16; with 12, say, the values are to fit.
        rescale: (slope, intercept) for all slices, or one pair a slice; None writes none.
        padding: Pixel Padding Value, in stored values; None writes none.
        shuffle: a seed: file names and, in another order, Instance Numbers no longer follow the stack.
        file_name: a format of ``number``, which counts from 1.
        attributes: DICOM keyword to a value that is added or replaces the default; a function is called with
            the slice's index k. The file meta information follows SOP Class and Instance UIDs.
        removed: DICOM keywords to leave out, "PixelData" among them.
    """

    modality: Literal["CT", "MR", "PT"] = "CT"
    study: str = "study"
    series: str = "series"
    syntax: Syntax = "explicit-le"
    bits_stored: int = 16
    rescale: Rescale | tuple[Rescale, ...] | None = (1.0, -1024.0)
    padding: int | None = None
    shuffle: int | None = None
    file_name: str = "{number:04d}.dcm"
    attributes: Mapping[str, Any] = field(default_factory=dict)
    removed: tuple[str, ...] = ()


def derived_uid(*names: object) -> str:
    """A UID under 2.25 that depends on ``names`` alone (PS3.5 B.2; a version 5 UUID, RFC 9562)."""
    text = "\x1f".join(str(name) for name in names)
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_DNS, 'tomosurf.testing ' + text).int}"


def write_series(
    folder: Path,
    stored: NDArray[Any],
    geometry: Geometry,
    options: SeriesOptions | None = None,
    progress: Progress = silent,
) -> tuple[Path, ...]:
    """Write one file a slice into ``folder`` (made if missing) and return them in the order of k.

    ``stored`` are stored values, (ni, nj, nk), int16 or uint16 (so Pixel Representation), of the geometry's
    shape. The same arguments give the same bytes.

    Raises:
        DataError: the array's shape or dtype doesn't fit.
        GeometryError: rows and columns don't meet at a right angle: DICOM can't say that.
        ConfigError: options that contradict each other.
    """
    options = options or SeriesOptions()
    _check(stored, geometry, options)
    folder.mkdir(parents=True, exist_ok=True)
    numbers = _numbers(geometry.shape[2], options.shuffle)
    files = []
    for k, (file_number, instance_number) in enumerate(numbers):
        dataset = slice_dataset(stored[:, :, k], geometry, k, options)
        if "InstanceNumber" not in options.removed and "InstanceNumber" not in options.attributes:
            dataset.InstanceNumber = instance_number
        path = folder / options.file_name.format(number=file_number)
        save(dataset, path, SYNTAXES[options.syntax])
        files.append(path)
        progress(f"write {options.series}", (k + 1) / len(numbers))
    return tuple(files)


def slice_dataset(stored: NDArray[Any], geometry: Geometry, k: int, options: SeriesOptions) -> Dataset:
    """The data set of slice ``k``, encoded, from its (ni, nj) stored values; Instance Number is k + 1."""
    from tomosurf.testing import dicom_modules

    dataset = dicom_modules.header(options, geometry, k)
    dicom_modules.put_pixels(dataset, np.ascontiguousarray(stored.T), options)
    for keyword, value in options.attributes.items():
        setattr(dataset, keyword, value(k) if callable(value) else value)
    _encode(dataset, options)
    for keyword in options.removed:
        if keyword in dataset:
            delattr(dataset, keyword)
    return dataset


def _check(stored: NDArray[Any], geometry: Geometry, options: SeriesOptions) -> None:
    if stored.shape != geometry.shape or stored.dtype not in (np.int16, np.uint16):
        raise DataError("stored values are int16 or uint16 of the geometry's shape")
    if abs(float(geometry.directions[:, 0] @ geometry.directions[:, 1])) > ORTHOGONAL_TOLERANCE:
        raise GeometryError("rows and columns of a DICOM slice meet at a right angle")
    if options.syntax not in SYNTAXES:
        raise ConfigError(f"no transfer syntax is called {options.syntax!r}; known: {', '.join(SYNTAXES)}")
    if options.syntax == "jpeg-2000" and min(geometry.shape[:2]) < JPEG_2000_LEAST:
        raise DataError(f"the JPEG 2000 encoder needs {JPEG_2000_LEAST} rows and columns at least")
    pairs = options.rescale
    if pairs and isinstance(pairs[0], tuple) and len(pairs) != geometry.shape[2]:
        raise ConfigError("rescale is one pair, or one pair a slice")


def _numbers(count: int, seed: int | None) -> list[tuple[int, int]]:
    """File number and Instance Number of each slice."""
    straight = list(range(1, count + 1))
    if seed is None:
        return list(zip(straight, straight, strict=True))
    rng = np.random.default_rng(seed)
    return [
        (int(a) + 1, int(b) + 1) for a, b in zip(rng.permutation(count), rng.permutation(count), strict=True)
    ]


def _encode(dataset: Dataset, options: SeriesOptions) -> None:
    """Turn native little-endian Pixel Data into the transfer syntax's."""
    from tomosurf.testing import jpeg_lossless

    if options.syntax in ENCODERS:
        dataset.compress(
            SYNTAXES[options.syntax],
            _pixels(dataset),
            encoding_plugin=ENCODERS[options.syntax],
            generate_instance_uid=False,
        )
    elif options.syntax in SELECTION:
        bits = options.bits_stored
        samples = _pixels(dataset).view(np.uint16) & ((1 << bits) - 1)
        put_encapsulated(dataset, [jpeg_lossless.encode(samples, bits, SELECTION[options.syntax])])
    elif options.syntax == "explicit-be":
        dataset.PixelData = _pixels(dataset).byteswap().tobytes()


def put_encapsulated(dataset: Dataset, frames: Sequence[bytes], *, table: bool = True) -> None:
    """Make ``frames`` the fragments of Pixel Data, one each, with or without a filled Basic Offset Table."""
    from pydicom.encaps import encapsulate

    dataset.PixelData = encapsulate(list(frames), has_bot=table)
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True


def _pixels(dataset: Dataset) -> NDArray[Any]:
    """The native little-endian Pixel Data as (rows, columns)."""
    dtype = "<i2" if dataset.PixelRepresentation else "<u2"
    return np.frombuffer(dataset.PixelData, dtype).reshape(dataset.Rows, dataset.Columns)


def save(dataset: Dataset, path: Path, syntax: str) -> None:
    """Write ``dataset`` with its file meta information, in the transfer syntax it is encoded in."""
    from pydicom import dcmwrite
    from pydicom.dataset import FileMetaDataset

    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = dataset.get("SOPClassUID", derived_uid("no class"))
    meta.MediaStorageSOPInstanceUID = dataset.get("SOPInstanceUID", derived_uid("no instance", path.name))
    meta.TransferSyntaxUID = syntax
    meta.ImplementationClassUID = derived_uid("implementation")
    meta.ImplementationVersionName = "TOMOSURF"
    dataset.file_meta = meta
    dcmwrite(path, dataset, enforce_file_format=True)
