"""Every case of ``ingest_cases``: the exact volume, or the refusal by name; never anything between."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import nibabel
import numpy as np
import pytest

from tests.conformance.ingest_cases import CASES
from tests.conformance.ingest_cases.case import Bad, Good, Truth
from tomosurf.cli import main
from tomosurf.data.notice import Notice
from tomosurf.data.series import Intake
from tomosurf.data.volume import Policy, Volume
from tomosurf.ingest.read import read
from tomosurf.pipeline import build_volumes

CORNER_MM = 1e-3


def codes(notices: Iterable[Notice]) -> set[str]:
    return {notice.code for notice in notices}


def is_true(volume: Volume, truth: Truth) -> bool:
    """Whether place and values are the truth's; the rest is looked at once a volume was recognised."""
    if volume.geometry.shape != truth.geometry.shape:
        return False
    off = np.abs(volume.geometry.corners() - truth.geometry.corners()).max()
    return bool(off < CORNER_MM) and truth.holds(volume.array)


def check_volume(volume: Volume, truth: Truth) -> None:
    assert {entry.code for entry in volume.ledger} == truth.ledger
    assert volume.unit == truth.unit
    if truth.padding is None:
        assert volume.padding is None
    else:
        assert volume.padding is not None
        assert np.array_equal(volume.padding, truth.padding)
    assert volume.array.dtype in (np.int16, np.float32)
    if volume.array.dtype == np.int16 and not truth.within:
        assert np.array_equal(volume.array, truth.values)  # nothing was cut by the cast in is_true


@pytest.mark.parametrize("name", CASES)
@pytest.mark.filterwarnings("ignore::UserWarning:pydicom.*")
def test_the_truth_or_a_refusal(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    case = CASES[name](folder)
    intake = taken_in(case.source or folder, tmp_path)
    volumes, more = built(intake)
    refused = [*intake.refused, *more]
    if isinstance(case, Bad):
        assert not volumes
        check_refusal(refused, case)
    else:
        assert codes(refused) == case.refused
        assert codes(intake.skipped) == case.skipped
        assert codes(intake.warnings) == case.warnings
        check_volumes(volumes, case.volumes)
    repaired, _ = built(intake, "repair")
    check_repaired(repaired, volumes)
    if isinstance(case, Bad) and case.repaired:
        check_volumes(repaired, case.repaired)


def taken_in(source: Path, tmp_path: Path) -> Intake:
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    return read(source, workspace=workspace)


def built(intake: Intake, policy: Policy = "strict") -> tuple[list[Volume], list[Notice]]:
    """All volumes of an input, and why there aren't more."""
    made, refused = build_volumes([s for study in intake.studies for s in study.series], policy=policy)
    return list(made.values()), refused


def check_volumes(volumes: list[Volume], truths: Sequence[Truth]) -> None:
    assert len(volumes) == len(truths)
    for truth in truths:
        (found,) = [volume for volume in volumes if is_true(volume, truth)]
        check_volume(found, truth)


def check_repaired(repaired: list[Volume], strict: list[Volume]) -> None:
    """The policy repair changes no sound volume, and adds none without naming what is doubtful about it."""
    taken = {volume.series: volume for volume in strict}
    for volume in repaired:
        if volume.series in taken:
            sound = taken.pop(volume.series)
            assert np.array_equal(volume.geometry.affine, sound.geometry.affine)
            assert np.array_equal(volume.array, sound.array)
            assert volume.ledger == sound.ledger
        else:
            marked = [entry for entry in volume.ledger if entry.code == "interpolated_slice"]
            assert all(entry.slices for entry in marked)
            assert marked or any(entry.code == "possibly_incomplete" for entry in volume.ledger)
    assert not taken


def check_refusal(refused: list[Notice], case: Bad) -> None:
    """The one code, the attribute, and the files at fault among those named."""
    assert codes(refused) == {case.code} | case.also
    about = [notice for notice in refused if notice.code == case.code]
    assert {notice.attribute for notice in about} == {case.attribute}
    named = {Path(name).name for notice in about for name in notice.files}
    assert case.files <= named
    assert all(notice.advice for notice in refused)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.filterwarnings("ignore::UserWarning:pydicom.*")
def test_the_command_says_the_same(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    case = CASES[name](folder)
    output = tmp_path / "out"
    code = main(["volume", str(case.source or folder), "-o", str(output), "--json"])
    document = json.loads(capsys.readouterr().out)
    assert json.loads((output / "ingest.json").read_text()) == document
    written = sorted(path.name for path in output.glob("*.nii.gz") if ".padding" not in path.name)
    assert written == sorted(entry["file"] for entry in document["volumes"])
    if isinstance(case, Bad):
        assert (code, written) == (3, [])
        assert {entry["code"] for entry in document["refused"]} == {case.code} | case.also
        return
    assert code == 0
    assert len(written) == len(case.volumes)
    for entry in document["volumes"]:
        check_nifti(output / entry["file"], case)


def check_nifti(path: Path, case: Good) -> None:
    """One of the truths lies in the file, whose frame is RAS."""
    image = nibabel.load(path)
    values = np.asanyarray(image.dataobj)
    to_lps = np.diag([-1.0, -1, 1, 1]) @ image.affine
    ends = np.array([[a, b, c, 1] for a in (0, 1) for b in (0, 1) for c in (0, 1)], float)
    ends[:, :3] *= np.array(values.shape) - 1
    for truth in case.volumes:
        if values.shape != truth.values.shape:
            continue
        off = np.abs(ends @ to_lps.T - ends @ truth.geometry.affine.T).max()
        if off < CORNER_MM and truth.holds(values):
            return
    pytest.fail("no truth lies in the file")


def test_there_are_cases_enough() -> None:
    assert len(CASES) >= 60
