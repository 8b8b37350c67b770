from __future__ import annotations

import struct
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate

from tomosurf.data import transfer_syntax as ts
from tomosurf.data.geometry import Geometry
from tomosurf.data.series import Instance, Series
from tomosurf.errors import InputRefused
from tomosurf.ingest.read import read
from tomosurf.testing.dicom_writer import SYNTAXES
from tomosurf.volume.build import build
from tomosurf.volume.decode import raw_values

from .conftest import Written, stored

GRID = Geometry((40, 36, 3), np.eye(4))


def values_of(dtype: Any, bits: int) -> Any:
    low = -(1 << (bits - 1)) if dtype is np.int16 else 0
    values = np.random.default_rng(5).integers(low, low + (1 << bits), GRID.shape)
    values[0, 0, :], values[1, 0, :] = low, low + (1 << bits) - 1
    return values.astype(dtype)


def first(series: Series) -> Instance:
    return next(i for i in series.instances if i.name == "0001.dcm")


def refused(instance: Instance) -> InputRefused:
    with pytest.raises(InputRefused) as caught:
        raw_values(instance)
    assert caught.value.files == (instance.name,)
    return caught.value


@pytest.mark.parametrize("dtype", [np.int16, np.uint16])
@pytest.mark.parametrize(
    ("syntax", "bits"),  # the RLE encoder at hand takes no 8 bits in 16
    [(s, bits) for s in SYNTAXES for bits in (7, 8, 12, 16) if s != "rle" or bits > 8],
)
def test_every_transfer_syntax_gives_the_same_values(
    written: Written, syntax: str, dtype: Any, bits: int
) -> None:
    values = values_of(dtype, bits)
    volume = build(written(values, GRID, syntax=syntax, bits_stored=bits))
    assert np.array_equal(volume.array, values.astype(int) - 1024)


@pytest.mark.parametrize("syntax", [s for s in SYNTAXES if SYNTAXES[s] in ts.ENCAPSULATED])
def test_every_cut_is_refused(written: Written, syntax: str) -> None:
    instance = first(written(values_of(np.int16, 12), GRID, syntax=syntax, bits_stored=12))
    data = instance.path.read_bytes()
    for cut in range(instance.pixels.offset, len(data), max(1, (len(data) - instance.pixels.offset) // 25)):
        instance.path.write_bytes(data[:cut])
        assert refused(replace(instance, size=cut)).code == "truncated"


def test_a_deflated_file_that_is_cut(written: Written) -> None:
    instance = first(written(values_of(np.int16, 16), GRID, syntax="deflated"))
    data = instance.path.read_bytes()
    for cut in range(len(data) // 2, len(data) - 20, 50):
        instance.path.write_bytes(data[:cut])
        assert refused(replace(instance, size=cut)).code == "truncated"
    instance.path.write_bytes(data[: instance.pixels.deflated_at] + b"\xff" * 400)
    size = instance.path.stat().st_size
    assert refused(replace(instance, size=size)).code == "unreadable_file"


@pytest.mark.parametrize("syntax", ["jpeg-lossless", "jpeg-ls", "jpeg-2000", "rle"])
@pytest.mark.parametrize("change", [{"rows": 35}, {"columns": 41}, {"rows": 40, "columns": 36}])
def test_an_image_of_another_size(written: Written, syntax: str, change: dict[str, int]) -> None:
    instance = first(written(values_of(np.int16, 12), GRID, syntax=syntax, bits_stored=12))
    wrong = replace(instance, pixels=replace(instance.pixels, **change))
    if syntax == "rle" and "columns" in change and "rows" in change:
        return  # RLE knows the number of cells only, and that is right
    assert refused(wrong).code in {"size_mismatch", "unreadable_file"}


@pytest.mark.parametrize("syntax", ["jpeg-lossless", "jpeg-ls", "rle"])
def test_more_bits_than_a_cell(written: Written, syntax: str) -> None:
    instance = first(written(values_of(np.int16, 12), GRID, syntax=syntax, bits_stored=12))
    narrow = replace(instance.pixels, bits_allocated=8, bits_stored=8, high_bit=7)
    assert refused(replace(instance, pixels=narrow)).code == "size_mismatch"


@pytest.mark.parametrize("syntax", ["jpeg-lossless", "jpeg-ls", "jpeg-2000", "rle"])
def test_nonsense_in_the_stream_never_escapes(written: Written, syntax: str) -> None:
    instance = first(written(values_of(np.int16, 12), GRID, syntax=syntax, bits_stored=12))
    data = instance.path.read_bytes()
    for junk in (
        b"",
        b"\0" * 64,
        b"\2" + b"\0" * 80,
        b"\xff\xd8\xff\xd9",
        b"\xff\x4f\xff\x51" + b"\xff\xd9" * 30,
    ):
        items = b"".join(struct.pack("<HHL", 0xFFFE, 0xE000, len(part)) + part for part in (b"", junk))
        end = struct.pack("<HHL", 0xFFFE, 0xE0DD, 0)
        instance.path.write_bytes(data[: instance.pixels.offset] + items + end)
        size = instance.path.stat().st_size
        assert refused(replace(instance, size=size)).code in {"unreadable_file", "size_mismatch"}


def test_fragments_are_joined(written: Written) -> None:
    instance = first(written(values_of(np.int16, 12), GRID, syntax="jpeg-ls", bits_stored=12))
    whole = raw_values(instance)
    dataset = pydicom.dcmread(instance.path)
    frame = next(iter(pydicom.encaps.generate_frames(dataset.PixelData, number_of_frames=1)))
    for has_table in (True, False):
        data = instance.path.read_bytes()[: instance.pixels.offset]
        data += encapsulate([frame], fragments_per_frame=5, has_bot=has_table)
        data += b"\xfe\xff\xdd\xe0\0\0\0\0"
        instance.path.write_bytes(data)
        assert np.array_equal(raw_values(replace(instance, size=len(data))), whole)


def test_a_file_that_changed_or_went(written: Written) -> None:
    instance = first(written())
    instance.path.write_bytes(instance.path.read_bytes() + b"\0")
    assert refused(instance).code == "unreadable_file"
    instance.path.unlink()
    assert refused(instance).code == "unreadable_file"


def test_jpeg_2000_by_other_profiles(written: Written, tmp_path: Path) -> None:
    """HTJ2K syntaxes take the same road; a plain codestream under their UID is still a codestream."""
    values = values_of(np.uint16, 12)
    instance = first(written(values, GRID, syntax="jpeg-2000", bits_stored=12))
    for syntax in (ts.JPEG_2000, ts.HTJ2K_LOSSLESS, ts.HTJ2K_LOSSLESS_RPCL, ts.HTJ2K):
        pixels = replace(instance.pixels, transfer_syntax=syntax)
        assert np.array_equal(raw_values(replace(instance, pixels=pixels)), values[:, :, 0].T)


def test_native_slices_go_straight_into_the_array(written: Written) -> None:
    values = stored()
    instance = first(written(values))
    target = np.zeros((5, 7), np.uint16)
    assert raw_values(instance, target) is target
    assert np.array_equal(target.view(np.int16), values[:, :, 0].T)


def test_eight_bits(written: Written, tmp_path: Path) -> None:
    series = written(modality="MR", rescale=None)
    values = np.random.default_rng(2).integers(0, 256, (7, 5, 6)).astype(np.uint8)
    for k, file in enumerate(sorted((tmp_path / "in").iterdir())):
        dataset = pydicom.dcmread(file)
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 8, 8, 7
        dataset.PixelRepresentation = 0
        dataset.PixelData = values[:, :, k].T.tobytes()
        dataset.save_as(file)
    series = read(tmp_path / "in").studies[0].series[0]
    volume = build(series)
    assert volume.array.dtype == np.int16
    assert np.array_equal(volume.array, values)
