"""What every registered form of data set must do, tested unasked; a new one needs a writer in labelled_sets."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.labelled_sets import NAMES, STRUCTURES, WRITERS, grid, labels, predictions
from tomosurf.datasets.dataset import DataSetReader
from tomosurf.datasets.find import open_data_set
from tomosurf.errors import ConfigError, UnknownNameError
from tomosurf.image_file import read_label_voxels, read_volume
from tomosurf.registry import DATASETS
from tomosurf.validate.run import validate


@pytest.fixture(params=DATASETS.names())
def form(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def folder(form: str, tmp_path: Path) -> Path:
    assert form in WRITERS, f"write a small data set of the form {form} in tests/labelled_sets.py"
    return WRITERS[form](tmp_path / "data")


def files_of(folder: Path, part: str) -> list[Path]:
    """The images, or the references, of a data set that was just written."""
    cases = open_data_set(folder).cases
    return [path for case in cases for path in (case.images if part == "image" else case.references)]


class TestEveryForm:
    def test_is_a_reader_with_a_title(self, form: str) -> None:
        assert isinstance(DATASETS.load(form), DataSetReader)
        assert DATASETS.load(form).title

    def test_is_recognised_as_itself_and_lists_what_is_there(self, form: str, folder: Path) -> None:
        data = open_data_set(folder)
        assert data.form == form
        assert tuple(case.name for case in data.cases) == NAMES
        assert list(data.structures) == list(STRUCTURES)
        assert data.modality == "MR"
        assert not data.findings
        for number, case in enumerate(data.cases, 1):
            assert read_volume(case.images[0], "MR").geometry.coincides(grid(number))
            drawn = np.zeros(grid(number).shape, np.uint8)
            for path in case.references:
                label = STRUCTURES[path.name.removesuffix(".nii.gz")] if case.masks else 1
                drawn += read_label_voxels(path)[0] * np.uint8(label)
            assert np.array_equal(drawn, labels(grid(number)))

    def test_names_a_missing_image(self, folder: Path) -> None:
        files_of(folder, "image")[1].unlink()
        self.check_missing(folder)

    def test_names_a_missing_reference(self, folder: Path) -> None:
        for path in open_data_set(folder).cases[1].references:
            path.unlink()
        self.check_missing(folder)

    def check_missing(self, folder: Path) -> None:
        data = open_data_set(folder)
        assert [case.name for case in data.cases] == [NAMES[0], NAMES[2]]
        assert {finding.check for finding in data.findings} == {"missing_pair"}
        assert {finding.severity for finding in data.findings} == {"error"}
        assert all(NAMES[1] in finding.message for finding in data.findings)

    @pytest.mark.parametrize("part", ["image", "reference"])
    def test_refuses_a_link_out_of_the_data_set(self, folder: Path, part: str) -> None:
        path = files_of(folder, part)[0]
        path.symlink_to(path.rename(folder.parent / "elsewhere.nii.gz"))
        with pytest.raises(ConfigError, match="outside the data set"):
            open_data_set(folder)

    def test_a_perfect_prediction_is_perfect(self, folder: Path, tmp_path: Path) -> None:
        outcome = validate(folder, str(predictions(tmp_path / "predicted")), tmp_path / "out")
        assert outcome.passed
        for about in outcome.result["structures"].values():
            assert about["found"] == 3
            for metric, best in (("dice", 1.0), ("nsd", 1.0), ("hd95_mm", 0.0), ("msd_mm", 0.0)):
                assert about["metrics"][metric]["worst"] == best
            assert about["metrics"]["mesh_msd_mm"]["worst"] < 1e-4

    def test_something_else_is_none_of_its_kind(self, form: str, tmp_path: Path) -> None:
        (tmp_path / "notes.json").write_text('{"training": "hard"}')
        assert not DATASETS.load(form).recognises(tmp_path)
        with pytest.raises(ConfigError):
            open_data_set(tmp_path, form)


@pytest.mark.parametrize(
    "name", ["/etc/passwd", "../secret.nii.gz", "C:/a.nii.gz", "a\\..\\b.nii.gz", "", 7, "a\0b"]
)
@pytest.mark.parametrize("form", ["decathlon", "monai-datalist"])
def test_a_listed_path_never_leads_out(form: str, name: object, tmp_path: Path) -> None:
    folder = WRITERS[form](tmp_path / "data")
    source = folder / ("dataset.json" if form == "decathlon" else "datalist.json")
    content = json.loads(source.read_text())
    content["training"][0]["image"] = name
    source.write_text(json.dumps(content))
    with pytest.raises(ConfigError):
        open_data_set(folder, form)


def test_no_form_and_an_unknown_one_are_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="none of the known forms"):
        open_data_set(tmp_path)
    with pytest.raises(ConfigError, match="no data set at"):
        open_data_set(tmp_path / "nowhere")
    with pytest.raises(UnknownNameError, match="known: decathlon"):
        open_data_set(tmp_path, "tiff-stack")


def test_bids_names_are_paired_by_their_entities(tmp_path: Path) -> None:
    for number in (1, 2):
        path = tmp_path / f"sub-{number}" / "anat" / f"sub-{number}_T1w.nii.gz"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"")
        label = tmp_path / "derivatives" / "by-hand" / f"sub-{number}" / "anat" / f"sub-{number}_dseg.nii.gz"
        label.parent.mkdir(parents=True)
        label.write_bytes(b"")
    (tmp_path / "derivatives" / "dseg.tsv").write_text("index\tname\n0\tbackground\n1\tLeft kidney\n")
    data = open_data_set(tmp_path)
    assert [case.name for case in data.cases] == ["sub-1_T1w", "sub-2_T1w"]
    assert dict(data.structures) == {"Left_kidney": (1,)}
    assert data.modality == "MR"
    (tmp_path / "derivatives" / "sub-1_T1w_seg.nii.gz").write_bytes(b"")
    (tmp_path / "derivatives" / "second").mkdir()
    (tmp_path / "derivatives" / "second" / "sub-1_T1w_seg.nii.gz").write_bytes(b"")
    data = open_data_set(tmp_path)
    assert [case.name for case in data.cases] == ["sub-2_T1w"]
    assert "2 label maps fit it" in " ".join(finding.message for finding in data.findings)


def test_equal_stems_in_several_folders_get_their_path_as_a_name(tmp_path: Path) -> None:
    entries = []
    for patient in ("a", "b"):
        (tmp_path / patient).mkdir()
        for file in ("image", "label"):
            (tmp_path / patient / f"{file}.nii.gz").write_bytes(b"")
        entries.append({"image": f"{patient}/image.nii.gz", "label": f"{patient}/label.nii.gz"})
    (tmp_path / "list.json").write_text(json.dumps({"training": entries}))
    names = [case.name for case in open_data_set(tmp_path / "list.json").cases]
    assert names == ["a__image", "b__image"]


def test_regions_and_the_ignored_label_of_nnunet(tmp_path: Path) -> None:
    folder = WRITERS["nnunet-raw"](tmp_path / "data")
    source = folder / "dataset.json"
    content = json.loads(source.read_text())
    content["labels"] = {"background": 0, "both": [1, 2], "small": 2, "ignore": 3}
    source.write_text(json.dumps(content))
    data = open_data_set(folder)
    assert dict(data.structures) == {"both": (1, 2), "small": (2,)}
    assert data.ignored == 3


def test_a_structure_that_only_some_cases_have_is_named(tmp_path: Path) -> None:
    folder = WRITERS["totalsegmentator"](tmp_path / "data")
    (folder / "case_2" / "segmentations" / "small.nii.gz").unlink()
    (finding,) = open_data_set(folder).findings
    assert (finding.check, finding.severity, finding.segment) == ("missing_mask", "warning", "small")
    outcome = validate(folder, str(predictions(tmp_path / "predicted")), tmp_path / "out")
    assert outcome.result["structures"]["small"]["metrics"]["dice"]["n"] == 2
    assert outcome.result["structures"]["large"]["metrics"]["dice"]["n"] == 3
