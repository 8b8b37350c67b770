"""From slices to a case folder, on a small series whose answer is known."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from tomosurf import pipeline
from tomosurf.case_folder import read_manifest
from tomosurf.config import load_protocol
from tomosurf.data.geometry import Geometry
from tomosurf.ingest.read import read
from tomosurf.pipeline import RunOptions, run
from tomosurf.testing.dicom_writer import SeriesOptions, write_series

QUICK = RunOptions(device="cpu", pictures=False)
BALL_MM3 = 4 / 3 * np.pi * 30.0**3


def bytes_of(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_ball_comes_out_where_and_as_large_as_it_is(small_ct, tmp_path):
    seen = []
    outcome = run(small_ct, tmp_path, [load_protocol("ct-bone")], QUICK, lambda *p: seen.append(p))
    manifest = outcome.cases[0].manifest
    assert manifest.usable
    mesh = manifest.meshes[0]
    assert mesh.segment == "bone"
    assert mesh.volume_mm3 == pytest.approx(BALL_MM3, rel=0.01)
    assert read_manifest(outcome.cases[0].folder).as_dict() == manifest.as_dict()
    assert [entry.name for entry in tmp_path.iterdir()] == [manifest.identity]
    stages = list(dict.fromkeys(stage for stage, _ in seen))
    assert {"ingest", "segment", "surface", "export"} <= set(stages)
    assert all(0 <= fraction <= 1 for _, fraction in seen)


def test_the_same_input_gives_the_same_bytes(small_ct, tmp_path):
    protocols = [load_protocol("ct-bone"), load_protocol("ct-skin")]
    first = run(small_ct, tmp_path / "a", protocols, QUICK).cases[0].folder
    moved = shutil.copytree(small_ct, tmp_path / "elsewhere" / "deep")
    second = run(moved, tmp_path / "b", protocols, QUICK).cases[0].folder
    assert first.name == second.name
    for part in ("meshes", "labels", "volume"):
        assert bytes_of(first / part) == bytes_of(second / part)


def test_without_protocols_everything_that_fits_is_built(small_ct, tmp_path):
    manifest = run(small_ct, tmp_path, (), QUICK).cases[0].manifest
    names = [protocol.name for protocol in manifest.protocols]
    assert names == ["ct-bone", "ct-lungs", "ct-skin"]
    assert not manifest.usable  # there are no lungs in a ball, and that is an error, not an empty file
    assert [f.check for f in manifest.findings if f.severity == "error"] == ["structure_present"]
    assert {mesh.segment for mesh in manifest.meshes} == {"bone", "skin"}


def test_a_study_that_no_protocol_fits_is_refused_by_name(small_ct, tmp_path):
    outcome = run(small_ct, tmp_path, [load_protocol("mr-hippocampus")], QUICK)
    assert not outcome.cases
    assert [notice.code for notice in outcome.refused] == ["no_matching_series"]
    assert not list(tmp_path.iterdir())


def test_one_bad_series_does_not_keep_the_good_one_from_being_built(small_ct, tmp_path):
    folder = tmp_path / "in"
    shutil.copytree(small_ct, folder / "good")
    grid = Geometry((32, 32, 12), np.eye(4))
    bad = write_series(
        folder / "bad", np.zeros(grid.shape, np.int16), grid, SeriesOptions(study="small", series="bad")
    )
    bad[5].unlink()
    outcome = run(folder, tmp_path / "out", [load_protocol("ct-bone")], QUICK)
    assert len(outcome.cases) == 1
    assert [notice.code for notice in outcome.refused] == ["missing_slice"]


def test_best_takes_the_finest_series_and_all_takes_every_one(small_ct, tmp_path):
    folder = tmp_path / "in"
    shutil.copytree(small_ct, folder / "fine")
    grid = Geometry((20, 20, 12), np.diag([5.0, 5, 5, 1]))
    write_series(
        folder / "coarse", np.full(grid.shape, 1064, np.int16), grid, SeriesOptions(study="small", series="b")
    )
    study = read(folder).studies[0]
    bone = load_protocol("ct-bone")
    every = bone.model_copy(update={"series": bone.series.model_copy(update={"take": "all"})})
    assert [len(job.series.instances) for job in pipeline.make_plan(study, [bone]).jobs] == [48]
    assert [len(job.series.instances) for job in pipeline.make_plan(study, [every]).jobs] == [48, 12]
    small = bone.model_copy(update={"series": bone.series.model_copy(update={"max_extent_mm": 110.0})})
    assert [len(job.series.instances) for job in pipeline.make_plan(study, [small]).jobs] == [12]
