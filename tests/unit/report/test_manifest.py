from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from jsonschema import Draft202012Validator

from tests.cases import PROTOCOL, SERIES, ball_case, case_of, grid, segmentation, write
from tomosurf import case_folder
from tomosurf.data.case import SeriesChoice
from tomosurf.data.manifest import Manifest, case_summary, plain, seal_of
from tomosurf.data.notice import Notice
from tomosurf.data.volume import LedgerEntry
from tomosurf.errors import DataError
from tomosurf.report.manifest import manifest_of
from tomosurf.testing.phantoms import Ball

SCHEMA = Path(__file__).parents[3] / "docs" / "reference" / "manifest.schema.json"


@pytest.fixture(scope="module")
def validator() -> Draft202012Validator:
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return Draft202012Validator(schema)


@pytest.fixture
def document(tmp_path: Path) -> dict[str, object]:
    """The manifest of a case with everything in it: padding, ledger, findings, notices, a missing structure."""
    shapes = {"bright": Ball((16.0, 0.0, 0.0), 6.0), "gone": Ball((500.0, 0.0, 0.0), 6.0)}
    case = case_of(segmentation(shapes, grid()))
    padding = np.zeros((32, 32, 32), bool, order="F")
    padding[0] = True
    volume = replace(
        case.volumes[0],
        padding=padding,
        laterality="L",
        ledger=(LedgerEntry("interpolated_slice", "one slice was missing", (3,)),),
    )
    notice = Notice("mixed_sizes", "some files differ", files=("DOE^JANE.dcm",))
    selection = (
        SeriesChoice(
            volume.series, "CT", "EchoTime 2.46", 32, "ct-bone", True, 2.5, ("fits", "+2.5: preferred")
        ),
        SeriesChoice("0badc0de0123", "CT", "", 3, "", False, None, ("refused: missing_slice",)),
    )
    case = replace(case, volumes=(volume,), notices=(notice,), selection=selection)
    write(case, tmp_path, exports=("stl", "ply", "glb"))
    return case_folder.read_document(tmp_path / case.identity)


def test_a_manifest_follows_its_schema(document: dict[str, object], validator: Draft202012Validator) -> None:
    assert [error.message for error in validator.iter_errors(document)] == []
    assert document["usable"] is False


def test_the_schema_is_strict(document: dict[str, object], validator: Draft202012Validator) -> None:
    for key in document:
        assert not validator.is_valid({k: v for k, v in document.items() if k != key})
    assert not validator.is_valid({**document, "patient": "x"})
    assert not validator.is_valid({**document, "outputs": [{**document["outputs"][0], "path": "../x.stl"}]})  # type: ignore[index]


def test_it_survives_json_and_back(document: dict[str, object]) -> None:
    again = Manifest.from_dict(json.loads(json.dumps(document)))
    assert again.as_dict() == document


def test_input_file_names_stay_out(document: dict[str, object]) -> None:
    assert "DOE" not in json.dumps(document)


def test_the_affine_is_exact(tmp_path: Path) -> None:
    case = ball_case(3.0)
    write(case, tmp_path)
    (volume,) = case_folder.read_manifest(tmp_path / case.identity).volumes
    assert np.array_equal(np.array(volume.affine_lps), case.volumes[0].geometry.affine)


def test_the_summary_has_the_words_of_the_command_line(document: dict[str, object]) -> None:
    summary = case_summary(Manifest.from_dict(document), Path("/cases/x"))
    assert set(summary) == {"folder", "study", "usable", "findings", "meshes"}
    assert summary["folder"] == "/cases/x"
    (mesh,) = summary["meshes"]
    named = {"segment", "label", "volume_mm3", "area_mm2", "triangles", "closed", "files"}
    assert set(mesh) == named | {"cut_area_mm2", "reliability", "error"}
    assert mesh["files"] == {"stl": "/cases/x/meshes/bright.stl", "ply": "/cases/x/meshes/bright.ply"}
    assert {"check", "severity", "message"} <= set(summary["findings"][0])


def test_the_seal_depends_on_everything_but_itself(document: dict[str, object]) -> None:
    assert document["seal"] == seal_of(document)
    assert seal_of({**document, "usable": True}) != document["seal"]
    assert seal_of({**document, "seal": "x"}) == document["seal"]


def test_numbers_that_json_doesnt_know_are_refused() -> None:
    with pytest.raises(DataError, match="finite"):
        seal_of({"volume": float("nan")})
    with pytest.raises(DataError, match="can't hold a set"):
        plain({"a": {1}})


def test_numpy_values_become_plain() -> None:
    value = plain({"a": np.float64(1.5), "b": np.arange(2), "c": (np.int16(3), True, None)})
    assert json.dumps(value) == '{"a": 1.5, "b": [0, 1], "c": [3, true, null]}'


@pytest.mark.parametrize(
    "change",
    [
        {"schema_version": 99},
        {"study": None, "nonsense": 1},
        {"labels": {}},
        {"inputs": [1]},
        {"labels": [{"segments": [1]}]},
        {"environment": "x"},
    ],
)
def test_what_is_no_manifest_is_refused(document: dict[str, object], change: dict[str, object]) -> None:
    with pytest.raises(DataError):
        Manifest.from_dict({**document, **change})


def test_what_has_no_file_or_measure_is_refused() -> None:
    case = ball_case(3.0)
    with pytest.raises(DataError, match="volume of this case has no file"):
        manifest_of(case, [])
    bare = replace(case, volumes=())
    with pytest.raises(DataError, match="label map"):
        manifest_of(bare, [])
    with pytest.raises(DataError, match="wasn't measured"):
        manifest_of(replace(bare, segmentations=(), measurements={}), [])


def test_a_protocol_that_ran_twice_is_listed_once_and_a_namesake_is_refused() -> None:
    empty = replace(
        ball_case(3.0),
        volumes=(),
        segmentations=(),
        scene=case_of(segmentation({"x": Ball((500.0, 0.0, 0.0), 1.0)}, grid())).scene,
    )
    made = manifest_of(empty, [], [PROTOCOL, PROTOCOL], datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))
    assert [record.name for record in made.protocols] == [PROTOCOL.name]
    assert made.created == "2026-01-02T03:04:05+00:00"
    other = PROTOCOL.model_copy(update={"title": "Another"})
    with pytest.raises(DataError, match="two different protocols"):
        manifest_of(empty, [], [PROTOCOL, other])


def test_a_network_is_listed_with_its_weights() -> None:
    part = segmentation({"x": Ball((0.0, 0.0, 0.0), 3.0)}, grid())
    told = {
        "method": "network",
        "model": "m",
        "model_version": "1.0.0",
        "model_licence": "Apache-2.0",
        "model_sha256": "ab" * 32,
        "device": "NVIDIA H100",
    }
    case = case_of(part)
    case = replace(case, segmentations=(replace(case.segmentations[0], provenance=told),))
    artifacts = _artifacts(case)
    made = manifest_of(case, artifacts)
    assert [(m.name, m.version, m.sha256, m.licence) for m in made.models] == [
        ("m", "1.0.0", "ab" * 32, "Apache-2.0")
    ]
    assert made.environment.device == "NVIDIA H100"
    assert made.inputs[0].series == SERIES


def _artifacts(case):
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        return case_folder.write_case(case, (), case_folder.FileWriter(Path(folder)))
