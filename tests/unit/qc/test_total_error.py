from dataclasses import replace

from tests.cases import ball_case
from tomosurf.data.budget import Distances, ErrorBudget, ErrorStep
from tomosurf.data.mesh import Scene
from tomosurf.qc.total_error import check


def with_error(most: float) -> Scene:
    case = ball_case()
    steps = (
        ErrorStep("surface", Distances(0.01, 0.02, 0.1)),
        ErrorStep("decimation", Distances(0.05, 0.1, most - 0.1), -3.0),
    )
    budget = ErrorBudget(steps, Distances(2.0, 3.0, 4.0))
    return replace(case.scene, meshes=tuple(replace(mesh, error=budget) for mesh in case.scene.meshes))


def test_an_error_within_what_is_allowed_is_no_finding() -> None:
    assert check(replace(ball_case(), scene=with_error(0.99))) == []


def test_an_error_beyond_it_names_the_structure_and_the_step() -> None:
    findings = check(replace(ball_case(), scene=with_error(1.5)))
    assert [finding.severity for finding in findings] == ["error"] * len(findings)
    assert findings[0].data["step"] == "decimation"
    assert "1.50 mm" in findings[0].message


def test_a_protocols_own_limit_counts_and_lighter_scenes_are_looked_at_too() -> None:
    case = replace(ball_case(), lighter={"web": with_error(0.5)})
    assert check(case) == []
    names = [mesh.segment.name for mesh in case.scene.meshes]
    strict = check(replace(case, most_error_mm=dict.fromkeys(names, 0.3)))
    assert len(strict) == len(names)
    assert {finding.data["budget"] for finding in strict} == {"web"}
