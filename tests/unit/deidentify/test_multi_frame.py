"""Multi-frame objects and series that only private elements explain: the same volumes after de-identification."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

from tests.conformance.ingest_cases import CASES
from tests.conformance.ingest_cases.case import Good
from tomosurf.data.volume import Volume
from tomosurf.deidentify.folder import deidentify
from tomosurf.ingest.read import read
from tomosurf.pipeline import build_volumes
from tomosurf.testing.dicom_writer import SeriesOptions
from tomosurf.testing.multi_frame import Frame, FrameOptions, write_frames

BIN = Path(sys.executable).parent
SPLIT_BY_TIME = {"an_hour_apart", "two_acquisitions"}
NAMES = sorted(
    name
    for name, case in CASES.items()
    if case.__module__.endswith((".multi_frame", ".vendors", ".frames", ".splits"))
    and name not in SPLIT_BY_TIME
)
"""Cases whose volumes are to survive; where nothing but the time of day parts two, it goes with the patient."""


def volumes(folder: Path) -> list[Volume]:
    intake = read(folder)
    made, _ = build_volumes([s for study in intake.studies for s in study.series])
    return list(made.values())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.filterwarnings("ignore::UserWarning:pydicom.*")
def test_every_volume_survives(name: str, tmp_path: Path) -> None:
    source = tmp_path / "in"
    source.mkdir()
    case = CASES[name](source)
    result = deidentify(case.source or source, tmp_path / "out")
    found = volumes(tmp_path / "out")
    if not isinstance(case, Good):
        assert not found  # what was refused before doesn't pass for a volume afterwards
        return
    assert not result.refused
    assert len(found) == len(case.volumes)
    for truth in case.volumes:
        alike = [v for v in found if v.geometry.shape == truth.geometry.shape and truth.holds(v.array)]
        (same,) = [v for v in alike if np.abs(v.geometry.corners() - truth.geometry.corners()).max() < 1e-3]
        assert {entry.code for entry in same.ledger} == truth.ledger
        assert same.unit == truth.unit


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("modality", ["CT", "MR", "PT"])
def test_dciodvfy_finds_no_error_before(modality: str, legacy: bool, tmp_path: Path) -> None:
    """What is written is what the standard wants; what de-identification leaves can be read by anybody."""
    timed = 1 if modality == "PT" and not legacy else None
    echo = 2.5 if modality == "MR" and not legacy else None
    frames = [
        Frame((0.0, 0.0, 2.0 * k), np.full((12, 10), k, np.int16), temporal=timed, echo_time=echo)
        for k in range(3)
    ]
    options = FrameOptions(SeriesOptions(modality=modality), legacy=legacy)  # type: ignore[arg-type]
    path = write_frames(tmp_path / "in" / "object.dcm", frames, options)
    checked = subprocess.run([BIN / "dciodvfy", "-new", path], check=False, capture_output=True, text=True)
    assert "Error" not in checked.stdout + checked.stderr
    assert checked.returncode == 0
    result = deidentify(tmp_path / "in", tmp_path / "out")
    (name,) = result.files
    assert (dcmread(tmp_path / "out" / name).pixel_array == dcmread(path).pixel_array).all()
