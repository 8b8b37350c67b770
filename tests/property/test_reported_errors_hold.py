"""The true error of a surface never exceeds the reported one by more than 10 %."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tomosurf.data.budget import ErrorBudget
from tomosurf.data.complex import SurfaceComplex
from tomosurf.data.geometry import Geometry
from tomosurf.data.mesh import SurfaceMesh
from tomosurf.surface.decimate import Target, decimate
from tomosurf.surface.distance import samples
from tomosurf.surface.error import budget_of, rounding_step, step_between
from tomosurf.surface.extract import extract
from tomosurf.testing.grids import centred
from tomosurf.testing.phantoms import Ball, Box, Capsule, Ellipsoid, Placed, Shape, Torus, rotation_about
from tomosurf.testing.segmentations import segmentation_of

SHAPES: dict[str, Shape] = {
    "ball": Ball((0.0, 0.0, 0.0), 9.0),
    "ellipsoid": Ellipsoid((0.0, 0.0, 0.0), (6.0, 9.0, 11.0)),
    "capsule": Capsule((-5.0, -3.0, -6.0), (5.0, 4.0, 6.0), 4.0),
    "torus": Torus((0.0, 0.0, 0.0), 9.0, 4.0),
    "box": Box((0.0, 0.0, 0.0), (7.0, 6.0, 8.0)),
}


@st.composite
def grids(draw: st.DrawFn) -> Geometry:
    """Around the origin, in-plane steps of 0.6 to 1.5 mm, slices up to 5 mm apart, perhaps a tilted gantry."""
    step = draw(st.floats(0.6, 1.5))
    apart = draw(st.floats(0.6, 5.0))
    tilt = draw(st.sampled_from([0.0, 0.0, 0.25]))
    shape = (int(34 / step), int(34 / step), int(34 / apart) + 2)
    axes = np.diag([step, step, apart])
    axes[1, 2] = tilt * apart
    return centred(shape, axes, draw(st.tuples(*[st.floats(-0.5, 0.5)] * 3)))


def thinned(mesh: SurfaceMesh, allowed: float) -> tuple[SurfaceMesh, ErrorBudget]:
    sides = np.tile(np.array([[mesh.segment.label, 0]], np.uint16), (len(mesh.faces), 1))
    fewer = decimate(
        SurfaceComplex(mesh.vertices, mesh.faces, sides, mesh.vertex_data), Target(max_error_mm=allowed)
    ).mesh(mesh.segment)
    return fewer, ErrorBudget((step_between("decimation", mesh, fewer), rounding_step(fewer)))


@pytest.mark.parametrize("with_margins", [True, False], ids=["margin", "mask"])
@given(name=st.sampled_from(sorted(SHAPES)), grid=grids(), turn=st.floats(0, 90), allowed=st.floats(0.1, 0.8))
@settings(max_examples=12, deadline=None, derandomize=True)
def test_the_true_error_is_at_most_the_reported_one(
    with_margins: bool, name: str, grid: Geometry, turn: float, allowed: float
) -> None:
    shape = Placed(SHAPES[name], rotation_about((1.0, 0.4, 0.2), turn), (0.0, 0.0, 0.0))
    segmentation = segmentation_of([shape], grid, with_margins=with_margins)
    mesh = extract(segmentation).meshes[0]
    budget = budget_of(mesh, segmentation)
    fewer, more = thinned(mesh, allowed)
    for step in more.steps:
        budget = budget.after(step)
    away = np.abs(shape.signed_distance(samples(fewer.vertices[fewer.faces])[0]))
    assert away.mean() <= 1.1 * budget.bound.mean_mm
    assert np.quantile(away, 0.95) <= 1.1 * budget.bound.p95_mm
    assert away.max() <= 1.1 * budget.bound.max_mm


def test_a_well_sampled_ball_is_said_to_be_well_known() -> None:
    """The law could hold because bounds say nothing: here they must be tight."""
    grid = Geometry(
        (30, 30, 30), np.array([[1.0, 0, 0, -14.6], [0, 1, 0, -14.3], [0, 0, 1, -14.5], [0, 0, 0, 1]])
    )
    for with_margins, known in ((True, 0.15), (False, 0.95)):
        segmentation = segmentation_of([SHAPES["ball"]], grid, with_margins=with_margins)
        assert budget_of(extract(segmentation).meshes[0], segmentation).bound.mean_mm < known
