from __future__ import annotations

import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

from tomosurf.data.geometry import Geometry
from tomosurf.data.series import Series
from tomosurf.errors import InputRefused
from tomosurf.ingest.read import read
from tomosurf.volume.build import build, examine
from tomosurf.volume.tolerances import Tolerances

from .conftest import GEOMETRY, Written, stored


def test_a_plain_ct(written: Written) -> None:
    values = stored()
    series = written(values)
    told: list[float] = []
    volume = build(series, lambda stage, fraction: told.append(fraction))
    assert volume.geometry.coincides(GEOMETRY)
    assert volume.geometry.coincides(examine(series))
    assert volume.array.dtype == np.int16
    assert volume.array.flags.f_contiguous
    assert np.array_equal(volume.array, values - 1024)
    assert (volume.modality, volume.unit, volume.series) == ("CT", "HU", series.digest)
    assert volume.ledger == ()
    assert volume.padding is None
    assert told == [(k + 1) / 6 for k in range(6)]


def test_names_and_numbers_dont_matter(written: Written) -> None:
    values = stored()
    volume = build(written(values, shuffle=7))
    assert np.array_equal(volume.array, values - 1024)
    assert volume.geometry.coincides(GEOMETRY)


def test_mr_without_rescale(written: Written) -> None:
    values = stored(dtype=np.uint16)
    volume = build(written(values, modality="MR", rescale=None, attributes={"Laterality": "L"}))
    assert np.array_equal(volume.array, values)
    assert (volume.modality, volume.unit, volume.laterality) == ("MR", "", "L")


def test_rescale_by_slice(written: Written) -> None:
    values = stored()
    pairs = tuple((0.5 * (k + 1), float(k)) for k in range(6))
    volume = build(written(values, modality="MR", rescale=pairs))
    slopes, intercepts = np.array(pairs).T
    assert volume.array.dtype == np.float32
    assert np.array_equal(volume.array, (values * slopes + intercepts).astype(np.float32))


def test_intercept_by_slice_stays_int16(written: Written) -> None:
    values = stored()
    volume = build(written(values, modality="MR", rescale=tuple((1.0, float(k)) for k in range(6))))
    assert volume.array.dtype == np.int16
    assert np.array_equal(volume.array, values + np.arange(6))


def test_sixteen_unsigned_bits_that_dont_fit(written: Written) -> None:
    values = stored(dtype=np.uint16)
    values[3, 2, 4] = 65535
    volume = build(written(values))
    assert volume.array.dtype == np.float32
    assert np.array_equal(volume.array, values.astype(int) - 1024)


def test_garbage_above_the_stored_bits(written: Written) -> None:
    values = stored()
    garbage = values.view(np.uint16) | np.random.default_rng(1).integers(0, 16, values.shape, np.uint16) << 12
    volume = build(written(garbage, bits_stored=12))
    assert np.array_equal(volume.array, values - 1024)


def test_padding_is_kept_apart(written: Written) -> None:
    values = stored()
    values[0, :, 2:4] = -2000
    volume = build(written(values, padding=-2000))
    assert volume.padding is not None
    assert volume.padding.flags.f_contiguous
    assert np.array_equal(volume.padding, values == -2000)
    assert np.array_equal(volume.array, values - 1024)
    (entry,) = volume.ledger
    assert (entry.code, entry.slices) == ("pixel_padding", (2, 3))


def test_padding_range_whatever_the_vr(written: Written, tmp_path: Path) -> None:
    values = stored()
    values[1, 1, 1], values[2, 2, 2], values[3, 3, 3] = -2000, -1995, -1989
    written(values, padding=-2000)
    for file in (tmp_path / "in").iterdir():
        dataset = pydicom.dcmread(file)
        dataset.add_new("PixelPaddingValue", "US", 65536 - 2000)
        dataset.add_new("PixelPaddingRangeLimit", "SS", -1990)
        dataset.save_as(file)
    volume = build(read(tmp_path / "in").studies[0].series[0])
    assert volume.padding is not None
    assert np.argwhere(volume.padding).tolist() == [[1, 1, 1], [2, 2, 2]]


def test_monochrome1_is_left_as_stored(written: Written) -> None:
    values = stored()
    attributes = {"PhotometricInterpretation": lambda k: "MONOCHROME1" if k in (1, 5) else "MONOCHROME2"}
    volume = build(written(values, attributes=attributes))
    assert np.array_equal(volume.array, values - 1024)
    assert [(e.code, e.slices) for e in volume.ledger] == [("monochrome1", (1, 5))]


def test_loss_is_told(written: Written) -> None:
    volume = build(written(attributes={"LossyImageCompression": "01"}))
    assert [e.code for e in volume.ledger] == ["lossy_compression"]


@pytest.mark.parametrize(("kind", "unit"), [("HU", "HU"), ("US", ""), ("", "HU")])
def test_units(written: Written, kind: str, unit: str) -> None:
    assert build(written(attributes={"RescaleType": kind})).unit == unit


def test_a_tilted_stack_is_sheared_exactly(written: Written) -> None:
    affine = np.diag([0.5, 0.75, 2.0, 1.0])
    affine[1, 2] = 2.0 * np.tan(np.radians(16.5))
    geometry = Geometry(GEOMETRY.shape, affine)
    volume = build(written(stored(), geometry))
    assert volume.geometry.coincides(geometry, 1e-3)
    assert [e.code for e in volume.ledger] == ["gantry_tilt"]


def test_a_refusal_names_series_file_and_attribute(written: Written) -> None:
    series = written(syntax="jpeg-ls")
    file = series.instances[0].path
    data = bytearray(file.read_bytes())
    offset = series.instances[0].pixels.offset
    data[offset + 16 : offset + 18] = b"xx"  # the start of the compressed image
    file.write_bytes(data)
    with pytest.raises(InputRefused) as caught:
        build(series)
    error = caught.value
    assert (error.series, error.files, error.attribute) == (
        series.digest,
        (series.instances[0].name,),
        "PixelData",
    )


@pytest.mark.parametrize("syntax", ["explicit-le", "jpeg-ls"])
def test_peak_memory_is_the_volume_and_little_more(written: Written, syntax: str) -> None:
    geometry = Geometry((128, 128, 40), np.eye(4))
    series = written(stored(geometry.shape), geometry, syntax=syntax)
    build(series)
    tracemalloc.start()
    volume = build(series)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.3 * volume.array.nbytes


def without(series: Series, *missing: int) -> Series:
    """``series`` without the slices at these places along z."""
    ordered = sorted(series.instances, key=lambda i: i.position[2])
    return replace(series, instances=tuple(i for k, i in enumerate(ordered) if k not in missing))


GAPPED = Geometry((7, 5, 12), np.diag([0.5, 0.75, 2.0, 1.0]))


def test_repair_fills_the_gap_and_says_so(written: Written) -> None:
    i, j, k = np.indices(GAPPED.shape)
    ramp = (40 * k + 3 * i - 7 * j + 500).astype(np.int16)
    series = written(ramp, GAPPED, shuffle=3)
    holes = without(series, 4, 8, 9)
    with pytest.raises(InputRefused) as caught:
        build(holes)
    assert (caught.value.code, caught.value.series) == ("missing_slice", series.digest)
    volume = build(holes, policy="repair", tolerances=Tolerances(max_added=0.25))
    whole = build(series)
    assert volume.geometry.coincides(whole.geometry)
    assert volume.array.dtype == np.int16
    assert volume.array.flags.f_contiguous
    assert np.array_equal(volume.array, whole.array)
    assert [(entry.code, entry.slices) for entry in volume.ledger] == [
        ("missing_slice", (4, 8, 9)),
        ("interpolated_slice", (4, 8, 9)),
    ]
    assert np.array_equal(build(series, policy="repair").array, whole.array)


def test_repair_keeps_acquired_slices_to_the_bit_and_marks_what_it_carries(written: Written) -> None:
    values = stored(GAPPED.shape)
    values[2, 3, 5] = values[:, :, 8] = -2000
    options = {"LossyImageCompression": lambda k: "01" if k == 3 else "00"}
    series = without(written(values, GAPPED, padding=-2000, attributes=options), 4)
    volume = build(series, policy="repair")
    kept = [k for k in range(12) if k != 4]
    assert np.array_equal(volume.array[:, :, kept], values[:, :, kept] - 1024)
    assert volume.padding is not None
    assert np.array_equal(volume.padding[:, :, kept], values[:, :, kept] == -2000)
    assert np.argwhere(volume.padding[:, :, 4]).tolist() == [[2, 3]]
    between = volume.array[:, :, 4][~volume.padding[:, :, 4]]
    sides = np.sort(volume.array[:, :, [3, 5]], axis=2)[~volume.padding[:, :, 4]]
    assert ((sides[:, 0] <= between) & (between <= sides[:, 1])).all()
    found = {entry.code: entry.slices for entry in volume.ledger}
    assert found["interpolated_slice"] == (4,)
    assert found["lossy_compression"] == (3, 4)
    assert found["pixel_padding"] == (4, 5, 8)


def test_repair_resamples_a_slice_that_is_off_its_place(written: Written) -> None:
    i, j, _ = np.indices(GAPPED.shape)
    z = np.where(np.arange(12) == 6, 12.5, 2.0 * np.arange(12))
    ramp = (40 * z + 3 * i - 8 * j + 500).astype(np.int16)
    series = written(ramp, GAPPED, attributes={"ImagePositionPatient": lambda k: [0, 0, float(z[k])]})
    with pytest.raises(InputRefused, match="nonuniform_spacing"):
        build(series)
    volume = build(series, policy="repair")
    assert volume.geometry.coincides(GAPPED)
    assert np.array_equal(volume.array, 80 * np.indices(GAPPED.shape)[2] + 3 * i - 8 * j + 500 - 1024)
    assert [entry.slices for entry in volume.ledger] == [(6,), (6,)]


def test_a_header_tilt_without_a_lean_is_told(written: Written) -> None:
    volume = build(written(attributes={"GantryDetectorTilt": "16.5"}))
    assert [entry.code for entry in volume.ledger] == ["gantry_tilt"]
    assert volume.geometry.is_orthogonal
