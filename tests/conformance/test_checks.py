"""What every registered check must do, tested unasked."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from tests.cases import ball_case, case_of, grid, segmentation
from tomosurf.data.case import Case
from tomosurf.data.finding import Finding
from tomosurf.data.mesh import Scene
from tomosurf.data.volume import LedgerEntry
from tomosurf.qc.run import ORDER
from tomosurf.registry import CHECKS
from tomosurf.testing.phantoms import Ball


def _troubled() -> Case:
    """Cut, thick-sliced, repaired, with one structure missing and one surface lost."""
    shapes = {
        "cut": Ball((16.0, 0.0, 0.0), 6.0),
        "gone": Ball((500.0, 0.0, 0.0), 6.0),
        "lost": Ball((-6.0, 0.0, 0.0), 4.0),
    }
    case = case_of(segmentation(shapes, grid((32, 32, 16), (1.0, 1.0, 4.0))))
    kept = tuple(mesh for mesh in case.scene.meshes if mesh.segment.name != "lost")
    ledger = (
        LedgerEntry("interpolated_slice", "interpolated", (7,)),
        LedgerEntry("possibly_incomplete", "a damaged file"),
    )
    volumes = (replace(case.volumes[0], ledger=ledger),)
    return replace(case, volumes=volumes, scene=Scene(kept, case.scene.geometry), measurements={})


@pytest.fixture(scope="module")
def troubled() -> Case:
    return _troubled()


@pytest.mark.parametrize("name", CHECKS.names())
class TestEveryCheck:
    def test_says_nothing_of_a_good_case(self, name: str) -> None:
        assert CHECKS.load(name)(ball_case()) == []

    def test_copes_with_an_empty_case(self, name: str) -> None:
        assert CHECKS.load(name)(Case("0123", "0123")) == []

    def test_findings_are_its_own_plain_and_repeatable(self, name: str, troubled: Case) -> None:
        findings = CHECKS.load(name)(troubled)
        known = {"", *(segment.name for segment in troubled.segments)}
        for finding in findings:
            assert isinstance(finding, Finding)
            assert finding.check == name
            assert finding.severity in ORDER
            assert finding.segment in known
            assert finding.message.endswith(".")
            json.dumps(finding.as_dict(), allow_nan=False)
        assert [f.as_dict() for f in CHECKS.load(name)(troubled)] == [f.as_dict() for f in findings]

    def test_tells_a_surgeon_what_to_make_of_it(self, name: str) -> None:
        assert "surgeon should make of" in (CHECKS.load(name).__doc__ or "")


def test_together_they_find_every_trouble(troubled: Case) -> None:
    found = {(f.check, f.segment) for name in CHECKS.names() for f in CHECKS.load(name)(troubled)}
    assert found == {
        ("slice_spacing", ""),
        ("repaired_slices", ""),
        ("possibly_incomplete", ""),
        ("field_of_view", "cut"),
        ("structure_present", "gone"),
        ("structure_present", "lost"),
        ("closed_surface", "cut"),
    }
