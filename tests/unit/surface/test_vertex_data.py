"""Half-widths, slice distances and floors against closed form."""

from __future__ import annotations

import math
from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest

from tomosurf.data.geometry import Geometry
from tomosurf.data.mesh import Scene, SurfaceMesh
from tomosurf.data.segmentation import Doubt, Margin, Segmentation
from tomosurf.data.volume import LedgerEntry, Volume
from tomosurf.surface.acquired import acquired_of
from tomosurf.surface.confidence import LARGEST_MM, confidence_of
from tomosurf.surface.describe import basis_of, describe
from tomosurf.surface.edge_estimate import estimate_of, noise_at
from tomosurf.surface.extract import extract
from tomosurf.testing.segmentations import segment, segmentation_of
from tomosurf.testing.shape import Shape
from tomosurf.testing.solids import Ball, Box

OBLIQUE = Geometry(
    (40, 38, 30),
    np.array([[0.0, 0.9, 0.1, -20.0], [-1.0, 0.0, 0.0, 45.0], [0.0, -0.1, 1.3, 7.0], [0.0, 0.0, 0.0, 1.0]]),
)
CENTRE = tuple(OBLIQUE.to_world([[19.6, 18.3, 14.4]])[0].tolist())


def doubt_of(segmentation: Segmentation, scale_mm: float) -> Doubt:
    """Of a boundary whose place has the logistic distribution with this scale around the shapes' surface."""
    margin = segmentation.margins[1]
    wrong = 1 / (1 + np.exp(np.abs(margin.values.astype(float)) / scale_mm))
    wrong[wrong < 1 / 512] = 0
    return Doubt(margin.geometry, wrong.astype(np.float16), calibrated=True)


@pytest.mark.parametrize("scale", [0.2, 0.4, 0.8])
def test_a_logistic_boundary_has_the_half_width_of_its_distribution(scale: float) -> None:
    found = segmentation_of([Ball(CENTRE, 12.0)], OBLIQUE)
    mesh = extract(found).meshes[0]
    widths = confidence_of(mesh, found, doubt_of(found, scale))
    # 2.5 % of a logistic distribution lie beyond ln(39) scales on either side
    error = widths - scale * math.log(39)
    assert error.min() > -0.03
    assert error.max() < 0.1  # doubt isn't kept below 1/512: to the next node it is taken to fall slowly


def test_the_far_wall_of_a_thin_plate_does_not_count() -> None:
    grid = Geometry((40, 40, 30), np.diag([0.5, 0.5, 0.5, 1.0]))
    plate = Box((10.0, 10.0, 7.0), (14.0, 14.0, 3.0))
    found = segmentation_of([plate], grid)
    mesh = extract(found).meshes[0]
    widths = confidence_of(mesh, found, doubt_of(found, 0.2))
    flat = (np.abs(np.abs(mesh.vertices[:, 2] - 7.0) - 1.5) < 1e-3) & (
        np.abs(mesh.vertices[:, :2] - 10).max(axis=1) < 4
    )
    assert flat.sum() > 100
    assert np.abs(widths[flat] - 0.2 * math.log(39)).max() < 0.03


def test_where_nothing_is_sure_the_half_width_ends_at_the_largest() -> None:
    found = segmentation_of([Ball(CENTRE, 8.0)], OBLIQUE)
    mesh = extract(found).meshes[0]
    everywhere = Doubt(OBLIQUE, np.full(OBLIQUE.shape, 0.4, np.float16), calibrated=True)
    assert (confidence_of(mesh, found, everywhere) == LARGEST_MM).all()
    nowhere = Doubt(OBLIQUE, np.zeros(OBLIQUE.shape, np.float16), calibrated=True)
    assert confidence_of(mesh, found, nowhere).max() < max(OBLIQUE.spacing)


BLUR_MM = 0.6  # 1.4 mm wide at half its height, as of a CT with voxels of 1 mm
HEIGHT, LOW = 1000.0, -200.0


def blurred(shape: Shape, noise: float) -> Volume:
    """An edge blurred by a Gaussian (that of a plane: the ball's is large beside the blur), with white noise."""
    index = np.stack(np.meshgrid(*map(np.arange, OBLIQUE.shape), indexing="ij"), -1).reshape(-1, 3)
    distance = shape.signed_distance(OBLIQUE.to_world(index)).reshape(OBLIQUE.shape)
    normal = np.vectorize(NormalDist(0, BLUR_MM).cdf)
    values = LOW + HEIGHT * normal(-distance)
    values += np.random.default_rng(5).normal(0, noise, values.shape)
    return Volume(OBLIQUE, values.astype(np.float32), "CT", "HU", series="s")


def contoured(volume: Volume, level: float) -> Segmentation:
    values = (volume.array - np.float32(level)).astype(np.float32)
    labels = (values > 0).astype(np.uint8, order="F")
    return Segmentation(
        OBLIQUE, labels, (segment(1),), {1: Margin(OBLIQUE, values)}, provenance={"method": "threshold"}
    )


@pytest.mark.parametrize("level", [300.0, 420.0, 120.0])
def test_a_level_beside_the_edge_costs_its_distance(level: float) -> None:
    volume = blurred(Ball(CENTRE, 12.0), 0.0)
    mesh = extract(contoured(volume, level)).meshes[0]
    true = np.abs(np.linalg.norm(mesh.vertices - CENTRE, axis=1) - 12.0)
    told = estimate_of(mesh, volume)
    assert np.abs(told - true).max() < 0.15
    assert told.mean() == pytest.approx(abs(NormalDist(0, BLUR_MM).inv_cdf((level - LOW) / HEIGHT)), abs=0.08)


def test_noise_widens_by_its_size_over_the_slope() -> None:
    volume = blurred(Ball(CENTRE, 12.0), 30.0)
    mesh = extract(contoured(volume, 300.0)).meshes[0]
    outer = (
        np.linalg.norm(mesh.vertices - CENTRE, axis=1) > 8
    )  # noise makes no crumbs at 30 of 1000, but be sure
    assert outer.all()
    places = OBLIQUE.to_index(CENTRE + np.random.default_rng(7).uniform(-5, 5, (6000, 3)))
    assert noise_at(volume, places) == pytest.approx(30.0, rel=0.1)
    told = estimate_of(mesh, volume)
    slope = HEIGHT / (BLUR_MM * math.sqrt(2 * math.pi))
    # the shift that noise itself makes, and the slope that interpolation flattens, come on top
    assert 1.0 < np.median(told) / (1.96 * 30.0 / slope) < 1.6
    true = np.abs(np.linalg.norm(mesh.vertices - CENTRE, axis=1) - 12.0)
    assert (true <= told).mean() > 0.9


def test_distance_to_the_nearest_acquired_slice() -> None:
    ledger = (LedgerEntry("interpolated_slice", "made up", (3, 4)),)
    volume = Volume(OBLIQUE, np.zeros(OBLIQUE.shape, np.int16), "CT", "HU", ledger)
    places = [1.0, 1.4, 2.0, 2.5, 3.0, 3.5, 4.9, 5.0, 5.5, -0.5, 29.5]
    vertices = OBLIQUE.to_world([[7.3, 4.1, k] for k in places])
    mesh = SurfaceMesh(vertices, np.array([[0, 1, 2]], np.int32), segment(1))
    found = acquired_of(mesh, volume)
    steps = np.array([0, 0.4, 0, 0.5, 1, 1.5, 0.1, 0, 0.5, 0.5, 0.5])
    assert found["acquired"] == pytest.approx(steps * OBLIQUE.slice_step, abs=1e-5)
    assert found["repaired"].tolist() == [0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0]
    assert found["acquired"].dtype == np.float32 and found["repaired"].dtype == np.uint8
    rectified = replace(volume, ledger=(LedgerEntry("rectified", "put on right angles"),))
    assert acquired_of(mesh, rectified) == {}


def test_what_is_said_depends_on_what_is_known() -> None:
    found = segmentation_of([Ball(CENTRE, 8.0)], OBLIQUE, with_margins=False)
    scene = extract(found)
    volume = Volume(OBLIQUE, np.zeros(OBLIQUE.shape, np.int16), "CT", "HU")
    sure = Doubt(OBLIQUE, np.zeros(OBLIQUE.shape, np.float16), calibrated=True)
    guess = replace(sure, calibrated=False)
    network = {"method": "network"}
    for provenance, doubt, basis, names in (
        (network, sure, "calibrated", {"confidence", "acquired", "repaired"}),
        (network, guess, "none", {"acquired", "repaired"}),
        ({"method": "threshold"}, None, "estimated", {"confidence", "acquired", "repaired"}),
        ({"method": "imported"}, None, "grid", {"confidence_floor", "acquired", "repaired"}),
    ):
        case = replace(found, provenance=provenance, doubt=doubt)
        assert basis_of(case) == basis
        data = describe(scene, case, volume).meshes[0].vertex_data
        assert set(data) - set(scene.meshes[0].vertex_data) == names
        assert all(len(values) == len(scene.meshes[0].vertices) for values in data.values())
    bare = describe(scene, replace(found, provenance={"method": "imported"}), None)
    floor = bare.meshes[0].vertex_data["confidence_floor"]
    assert floor.min() > 0.44 and floor.max() < np.linalg.norm(OBLIQUE.spacing) / 2 + 0.05
    assert describe(Scene(()), found, None).meshes == ()
