"""Twenty planted losses are found, each by its kind and severity; twenty clean cases raise nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from tomosurf.config import RefineRule
from tomosurf.data.case import Case
from tomosurf.data.finding import Finding
from tomosurf.data.geometry import Geometry
from tomosurf.data.mesh import Scene
from tomosurf.data.segmentation import Margin, Segmentation
from tomosurf.gather import lighter_scenes
from tomosurf.qc.survival import check
from tomosurf.refine.refine import refine
from tomosurf.surface.decimate import Target
from tomosurf.surface.extract import extract
from tomosurf.surface.measure import measure
from tomosurf.survival import lost_between, lost_to_labels, lost_to_surfaces, lost_to_thinning
from tomosurf.testing.segmentations import margin_of, segment
from tomosurf.testing.shape import Shape, Union
from tomosurf.testing.solids import Ball, Box, Capsule, Torus

EXTENT_MM = (42.0, 36.0, 30.0)


def grid(spacing: float | tuple[float, float, float], offset: float = 0.0) -> Geometry:
    """Voxels of ``spacing`` mm over the same 42 x 36 x 30 mm, the first centre ``offset`` mm off the corner."""
    steps = np.broadcast_to(np.array(spacing, float), 3)
    affine = np.diag([*steps, 1.0])
    affine[:3, 3] = np.array([-60.0, 20.0, 5.0]) + offset
    a, b, c = (int(np.ceil(extent / step)) + 1 for extent, step in zip(EXTENT_MM, steps, strict=True))
    return Geometry((a, b, c), affine)


def at(x: float, y: float, z: float) -> tuple[float, float, float]:
    """LPS mm of a place in mm from the grids' corner."""
    return (x - 60.0, y + 20.0, z + 5.0)


def ball(x: float, y: float, z: float, radius: float) -> Shape:
    return Ball(at(x, y, z), radius)


def box(low: tuple[float, float, float], high: tuple[float, float, float]) -> Shape:
    middle = (np.array(low) + high) / 2
    size = np.array(high) - low
    return Box(at(*middle.tolist()), tuple(size.tolist()))


def capsule(start: tuple[float, float, float], end: tuple[float, float, float], radius: float) -> Shape:
    return Capsule(at(*start), at(*end), radius)


@dataclass(frozen=True)
class Scenario:
    """Pieces of one structure, the grids that they pass through, and what is to be found."""

    pieces: Sequence[Shape]
    role: str = ""
    name: str = "thing"
    labels: Geometry = field(default_factory=lambda: grid(1.0))
    margins: Geometry | None = None
    rules: Mapping[str, RefineRule] = field(default_factory=dict)
    found: tuple[str, str, str] = ("", "", "")
    """Stage, kind and severity of the loss."""


def run(scenario: Scenario) -> list[Finding]:
    """What the check says of :func:`made`."""
    return check(made(scenario))


def made(scenario: Scenario) -> Case:
    """The stages themselves: label map and margins of the shapes, clean-up, surfaces."""
    shape = Union(tuple(scenario.pieces))
    fine = margin_of(shape, scenario.labels).values
    labels = np.asfortranarray(fine > 0).astype(np.uint8, order="F")
    own = replace(segment(1, scenario.name), role=scenario.role)
    margins = {} if scenario.margins is None else {1: margin_of(shape, scenario.margins)}
    found = Segmentation(scenario.labels, labels, (own,), margins)
    refined = refine(found, scenario.rules)
    scene = extract(refined)
    losses = (
        *lost_to_labels(found),
        *lost_between(found, refined),
        *lost_to_surfaces(refined, scene),
    )
    measured = {mesh.segment.name: measure(mesh) for mesh in scene.meshes}
    scene = replace(scene, losses=losses)
    return Case("s", "i", segmentations=(refined,), scene=scene, measurements=measured)


def thinned(scenario: Scenario, target: Target) -> list[Finding]:
    """What the check says beside that when a lighter scene is made, too."""
    case = made(scenario)
    lighter = lighter_scenes(case.scene, case.segmentations, {"web": target})
    known = check(case)
    return [finding for finding in check(replace(case, lighter=lighter)) if finding not in known]


BIG = ball(14, 18, 15, 9.2)
KIDNEYS = (ball(11, 18, 15, 7.1), ball(31, 18, 15, 6.2))
ONE = {"thing": RefineRule(keep=1)}
NEAR = (ball(11, 18, 15, 7.6), ball(27.2, 18, 15, 7.6))
WALL = (BIG, box((14, 17.5, 3.2), (39, 18.5, 27.2)))
KIDNEY_RULE = {"kidneys": RefineRule(keep=1)}
LARGE = {"thing": RefineRule(min_volume_mm3=50)}
COARSE = grid(3.0, 0.4)
DUMB_BELL = (ball(10, 18, 15, 7), capsule((10, 18, 15), (32, 18, 15), 0.8), ball(32, 18, 15, 7))
THREE_VOXELS = box((33.6, 17.6, 14.6), (36.4, 18.4, 15.4))
FLAT = grid((1.0, 1.0, 5.0), 0.3)

PLANTED = {
    "lesion of 3 voxels dropped by keep 1": Scenario(
        (BIG, THREE_VOXELS), "lesion", rules=ONE, found=("clean-up", "vanished", "error")
    ),
    "lesion of 3 voxels below the least volume": Scenario(
        (BIG, THREE_VOXELS), "lesion", rules=LARGE, found=("clean-up", "vanished", "error")
    ),
    "lesion of 3 voxels between a coarse margin's nodes": Scenario(
        (BIG, THREE_VOXELS), "lesion", margins=COARSE, found=("surface", "vanished", "error")
    ),
    "round lesion between thick slices": Scenario(
        (BIG, ball(34, 18, 12.8, 1.7)),
        "lesion",
        labels=FLAT,
        margins=grid(1.0),
        found=("labels", "vanished", "error"),
    ),
    "the only lesion between thick slices": Scenario(
        (ball(34, 18, 12.8, 1.7),),
        "lesion",
        labels=FLAT,
        margins=grid(1.0),
        found=("labels", "vanished", "error"),
    ),
    "two lesions of three": Scenario(
        (BIG, THREE_VOXELS, ball(34, 8, 15, 1.5)),
        "lesion",
        rules=ONE,
        found=("clean-up", "vanished", "error"),
    ),
    "the second kidney dropped by keep 1": Scenario(
        KIDNEYS, "paired", "kidneys", rules=KIDNEY_RULE, found=("clean-up", "vanished", "error")
    ),
    "a shrunken second kidney": Scenario(
        (KIDNEYS[0], ball(31, 18, 15, 3.1)),
        "paired",
        "kidneys",
        rules=KIDNEY_RULE,
        found=("clean-up", "vanished", "error"),
    ),
    "kidneys that become one on a coarse margin": Scenario(
        NEAR,
        "paired",
        "kidneys",
        labels=grid(0.7),
        margins=grid(3.0, 2.6),
        found=("surface", "merged", "error"),
    ),
    "kidneys that become one on thick voxels": Scenario(
        (ball(18, 18, 7.4, 6.1), ball(18, 18, 20.6, 6.1)),
        "paired",
        "kidneys",
        labels=grid((1, 1, 3.3)),
        margins=grid(0.6),
        found=("labels", "merged", "error"),
    ),
    "a left organ that slips between slices": Scenario(
        (ball(18, 18, 12.8, 1.8),),
        "",
        "adrenal_left",
        labels=FLAT,
        margins=grid(0.7),
        found=("labels", "vanished", "error"),
    ),
    "a right organ below the least volume": Scenario(
        (ball(18, 18, 15, 2.0),),
        "",
        "adrenal-right",
        rules={"adrenal-right": RefineRule(min_volume_mm3=50)},
        found=("clean-up", "vanished", "error"),
    ),
    "a thin wall on a ball": Scenario(WALL, margins=COARSE, found=("surface", "thinned", "warning")),
    "a thin wall of a lesion": Scenario(
        WALL, "lesion", margins=COARSE, found=("surface", "thinned", "warning")
    ),
    "a thin wall alone, beside a ball": Scenario(
        (BIG, box((33.5, 5, 5), (34.5, 30, 25))), margins=COARSE, found=("surface", "vanished", "warning")
    ),
    "a thin bar that breaks": Scenario(DUMB_BELL, margins=COARSE, found=("surface", "parted", "warning")),
    "a thin bar that breaks between slices": Scenario(
        (ball(18, 18, 7, 5), capsule((18.5, 18.5, 5), (18.5, 18.5, 24), 0.45), ball(18, 18, 23, 5)),
        labels=grid((3, 3, 1)),
        margins=grid(0.5),
        found=("labels", "parted", "warning"),
    ),
    "two balls that become one": Scenario(
        NEAR, labels=grid(0.7), margins=grid(3.0, 2.6), found=("surface", "merged", "warning")
    ),
    "a ball beside a ball": Scenario(
        (BIG, ball(34, 18, 14.9, 1.35)), margins=grid(3.0, 1.5), found=("surface", "vanished", "warning")
    ),
    "a piece that a rule drops": Scenario(
        (BIG, ball(34, 18, 15, 2)), rules=ONE, found=("clean-up", "vanished", "info")
    ),
}


@pytest.mark.parametrize("scenario", PLANTED.values(), ids=list(PLANTED))
def test_a_planted_loss_is_found(scenario: Scenario) -> None:
    findings = run(scenario)
    told = [(f.data.get("stage"), f.data.get("kind"), f.severity) for f in findings]
    assert scenario.found in told, told
    assert all(f.segment == scenario.name and f.check == "survival" for f in findings)


TWO = (ball(11, 18, 15, 7.1), ball(30, 18, 15, 6.2))
RING = (Torus(at(20, 18, 15), 11.0, 3.0),)
THICK_WALL = (BIG, box((14, 16.5, 3.2), (39, 19.5, 27.2)))
CLEAN = {
    "ball": Scenario((BIG,)),
    "ball with margin": Scenario((BIG,), margins=grid(1.0)),
    "ball with a coarser margin": Scenario((BIG,), margins=grid(1.5, 0.2)),
    "ball with a finer margin": Scenario((BIG,), margins=grid(0.7, 0.1)),
    "small lesion": Scenario((THREE_VOXELS,), "lesion"),
    "small lesion with margin": Scenario((BIG, THREE_VOXELS), "lesion", margins=grid(1.0)),
    "lesions kept by a rule": Scenario((BIG, THREE_VOXELS), "lesion", rules={"thing": RefineRule(keep=2)}),
    "kidneys": Scenario(TWO, "paired"),
    "kidneys with margin": Scenario(TWO, "paired", margins=grid(1.0)),
    "kidneys on a coarser margin": Scenario(TWO, "paired", margins=grid(1.5, 0.3)),
    "kidneys on thick slices": Scenario(TWO, "paired", labels=FLAT, margins=grid(1.0)),
    "kidneys under a rule": Scenario(TWO, "paired", rules={"thing": RefineRule(keep=2)}),
    "sided organ": Scenario((TWO[0],), "", "kidney_left", margins=grid(1.0)),
    "sided organ, largest kept": Scenario((TWO[1],), "", "thing_right", rules={"thing_right": RefineRule(keep=1)}),
    "thin wall on its own grid": Scenario((BIG, box((14, 17.4, 3.2), (39, 18.6, 27.2))), margins=grid(1.0)),
    "thick wall on a coarser margin": Scenario(THICK_WALL, margins=grid(1.5, 0.4)),
    "ring": Scenario(RING, margins=grid(1.0)),
    "ring on a coarser margin": Scenario(RING, margins=grid(1.6, 0.4)),
    "bar on its own grid": Scenario(DUMB_BELL, margins=grid(1.0)),
    "many pieces, no rule": Scenario(
        tuple(ball(x, y, 15, 1.9) for x in (6, 13, 20, 27, 34) for y in (6, 15, 24)), margins=grid(1.0)
    ),
}  # fmt: skip


@pytest.mark.parametrize("scenario", CLEAN.values(), ids=list(CLEAN))
def test_a_clean_case_raises_nothing(scenario: Scenario) -> None:
    assert run(scenario) == []


def test_there_are_twenty_of_each() -> None:
    assert len(PLANTED) == len(CLEAN) == 20


def test_a_loss_says_where_and_how_much() -> None:
    findings = run(PLANTED["a piece that a rule drops"])
    loss = findings[0].data
    assert loss["count"] == 1 and loss["remaining"] == 1
    assert loss["pieces"][0]["rank"] == 1
    assert loss["pieces"][0]["centre"] == pytest.approx(at(34, 18, 15), abs=0.5)
    assert loss["volume_mm3"] == pytest.approx(4 / 3 * np.pi * 8, rel=0.2)


def test_a_paired_organ_of_one_piece_is_worth_a_look() -> None:
    findings = run(Scenario((BIG,), "paired", "kidneys"))
    assert [(f.severity, f.data["components"]) for f in findings] == [("warning", 1)]


def test_what_one_margin_takes_from_another_is_a_loss_of_the_label_map() -> None:
    geometry = grid(1.0)
    shape = Union((BIG, THREE_VOXELS))
    margin = margin_of(shape, geometry)
    labels = (margin.values > 0).astype(np.uint8, order="F")
    labels[33:37, 17:20, 14:17] = 0  # a later structure claimed the lesion's voxels
    own = replace(segment(1, "thing"), role="lesion")
    found = Segmentation(geometry, labels, (own,), {1: Margin(geometry, margin.values)})
    losses = lost_to_labels(found)
    assert [(loss.kind, loss.count) for loss in losses] == [("vanished", 1)]


def test_a_structure_without_a_surface_has_lost_everything() -> None:
    geometry = grid(1.0)
    labels = (margin_of(Union((BIG, THREE_VOXELS)), geometry).values > 0).astype(np.uint8, order="F")
    found = Segmentation(geometry, labels, (segment(1, "thing"),))
    losses = lost_to_surfaces(found, Scene(()))
    assert [(loss.kind, loss.count, loss.remaining) for loss in losses] == [("vanished", 2, 0)]


THINNED_AWAY = {
    "lesion of 3 voxels": (Scenario((BIG, THREE_VOXELS), "lesion"), "error"),
    "the only lesion": (Scenario((THREE_VOXELS,), "lesion"), "error"),
    "the second kidney": (Scenario(KIDNEYS, "paired", "kidneys"), "error"),
    "a left organ": (Scenario((KIDNEYS[1],), "", "adrenal_left"), "error"),
    "a crumb": (Scenario((BIG, ball(34, 18, 15, 1.2))), "info"),
    "a ball beside a ball": (Scenario((BIG, ball(34, 18, 15, 3))), "warning"),
}


@pytest.mark.parametrize(("scenario", "severity"), THINNED_AWAY.values(), ids=list(THINNED_AWAY))
def test_a_piece_that_a_lighter_scene_lacks_is_found(scenario: Scenario, severity: str) -> None:
    case = made(scenario)
    (mesh,) = case.scene.meshes
    far_side = mesh.vertices[:, 0] > at(24 if len(scenario.pieces) > 1 else 0, 0, 0)[0]
    poorer = replace(mesh, faces=mesh.faces[~far_side[mesh.faces].any(axis=1)])
    losses = lost_to_thinning(case.segmentations, case.scene, Scene((poorer,)))
    lighter = {"web": Scene((poorer,), losses=(*case.scene.losses, *losses))}
    told = [
        (f.data["stage"], f.data["kind"], f.data["budget"], f.severity)
        for f in check(replace(case, lighter=lighter))
        if f not in check(case)
    ]
    assert told == [("decimation", "vanished", "web", severity)]


def test_a_piece_that_thinning_itself_wears_away_is_found() -> None:
    found = thinned(Scenario(KIDNEYS, "paired", "kidneys"), Target(triangles=10))
    assert found
    for finding in found:
        assert (finding.data["stage"], finding.data["kind"]) == ("decimation", "thinned")
        assert "for web" in finding.message


@pytest.mark.parametrize("scenario", CLEAN.values(), ids=list(CLEAN))
def test_careful_thinning_raises_nothing(scenario: Scenario) -> None:
    assert thinned(scenario, Target(max_error_mm=0.2)) == []
