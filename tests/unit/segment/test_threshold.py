"""The threshold segmenter on phantoms whose boundaries are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tomosurf.config import CodeSpec, Halfway, Range, ThresholdMethod, ThresholdSegment
from tomosurf.data.geometry import Geometry
from tomosurf.data.volume import Volume
from tomosurf.errors import ConfigError
from tomosurf.segment.threshold import segment
from tomosurf.surface.extract import extract
from tomosurf.surface.measure import measure
from tomosurf.testing.phantoms import Ball, rasterise

GRID = Geometry((48, 44, 40), np.array([[1, 0, 0, -20.0], [0, 1, 0, 30], [0, 0, 1.5, -400], [0, 0, 0, 1]]))


def spec(**changes: object) -> ThresholdSegment:
    values = {
        "label": 1,
        "name": "bone",
        "code": CodeSpec(value="272673000", meaning="Bone structure"),
        "colour": (200, 200, 200),
        "side": "above",
        "level": 300.0,
        "seed": 500.0,
    }
    return ThresholdSegment(**{**values, **changes})


def method(*specs: ThresholdSegment) -> ThresholdMethod:
    return ThresholdMethod(method="threshold", segments=specs)


def image(*parts: tuple[Ball, float], background: float = 40.0, unit: str = "HU") -> Volume:
    """Int16 intensities with partial volume; later parts lie over earlier ones."""
    values = np.full(GRID.shape, background)
    for shape, intensity in parts:
        fraction = rasterise(shape, GRID)
        values = values * (1 - fraction) + intensity * fraction
    return Volume(GRID, np.asfortranarray(np.rint(values).astype(np.int16)), "CT", unit)


def test_labels_are_exactly_where_the_margin_is_positive():
    ball = Ball((0.0, 50.0, -370.0), 11.0)
    found = segment(image((ball, 700)), method(spec()))
    margin = found.margins[1]
    start = np.rint(GRID.to_index(margin.geometry.origin[None])[0]).astype(int)
    inside = np.zeros(GRID.shape, bool)
    inside[tuple(slice(s, s + n) for s, n in zip(start, margin.values.shape, strict=True))] = (
        margin.values > 0
    )
    assert np.array_equal(inside, found.labels == 1)


@settings(max_examples=12, deadline=None)
@given(bone=st.integers(300, 1500), tissue=st.integers(-50, 100), shift=st.floats(-0.5, 0.5))
def test_a_halfway_level_places_the_boundary_truly_whatever_the_contrast(bone, tissue, shift):
    ball = Ball((shift, 50.0 - shift, -370.0 + shift), 12.0)
    wide = Halfway(lowest=tissue + 1, highest=bone - 1)
    found = segment(
        image((ball, bone), background=tissue), method(spec(level=wide, seed=(bone + tissue) / 2))
    )
    level = found.provenance["levels"]["bone"]
    assert level["level"] == pytest.approx((bone + tissue) / 2, abs=0.02 * (bone - tissue) + 1)
    mesh = extract(found).meshes[0]
    assert np.abs(ball.signed_distance(mesh.vertices)).mean() < 0.15
    # blur and flat facets cut a curved surface short by a term of second order in voxel size over radius
    assert measure(mesh).volume_mm3 == pytest.approx(ball.volume, rel=(1.5 / 12) ** 2)


def test_a_level_out_of_bounds_is_clipped_and_written_down():
    ball = Ball((0.0, 50.0, -370.0), 11.0)
    found = segment(image((ball, 2000)), method(spec(level=Halfway(lowest=150, highest=450))))
    assert found.provenance["levels"]["bone"] == {"level": 450.5, "unit": "HU", "clipped": True}


def test_bright_voxels_without_a_seed_are_not_taken():
    bone, vessel = Ball((-8.0, 50.0, -370.0), 7.0), Ball((12.0, 50.0, -370.0), 6.0)
    found = segment(image((bone, 700), (vessel, 400)), method(spec()))
    centre = tuple(np.rint(GRID.to_index([vessel.centre])[0]).astype(int))
    assert found.labels[centre] == 0
    assert measure(extract(found).meshes[0]).components == 1


def test_air_around_the_patient_is_not_lung_and_padding_is_not_air():
    body, lung = Ball((3.0, 51.0, -370.0), 17.0), Ball((3.0, 51.0, -370.0), 8.0)
    volume = image((body, 40), (lung, -850), background=-1000)
    padding = np.zeros(GRID.shape, bool, order="F")
    padding[:6] = padding[-6:] = True
    values = np.where(padding, -2000, volume.array).astype(np.int16)
    padded = Volume(GRID, np.asfortranarray(values), "CT", "HU", padding=padding)
    lungs = spec(name="lungs", side="below", level=-400.0, seed=-700.0, touching_border="drop")
    for within_body in (False, True):
        found = segment(padded, method(lungs.model_copy(update={"within_body": within_body})))
        volume_mm3 = (found.labels == 1).sum() * GRID.voxel_volume
        assert volume_mm3 == pytest.approx(lung.volume, rel=0.03)


def test_a_pocket_of_plain_air_is_not_lung():
    body, lung, gas = (
        Ball((3.0, 51.0, -370.0), 18.0),
        Ball((-4.0, 51.0, -370.0), 7.0),
        Ball((12.0, 51.0, -370.0), 5.0),
    )
    volume = image((body, 40), (lung, -850), (gas, -1000), background=-1000)
    lungs = spec(name="lungs", side="below", level=-400.0, seed=-700.0, within_body=True)
    every = segment(volume, method(lungs))
    only = segment(volume, method(lungs.model_copy(update={"median": Range(lowest=-930, highest=-450)})))
    assert measure(extract(every).meshes[0]).components == 2
    mesh = extract(only).meshes[0]
    assert measure(mesh).components == 1
    assert np.abs(lung.signed_distance(mesh.vertices)).max() < 1.0


def test_what_is_not_there_is_an_empty_segment_not_an_error():
    found = segment(image(), method(spec()))
    assert not found.labels.any()
    assert found.segments[0].name == "bone"
    assert not found.margins


def test_the_body_needs_hounsfield_units():
    with pytest.raises(ConfigError, match="HU"):
        segment(image(unit=""), method(spec(within_body=True)))
