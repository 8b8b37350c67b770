"""From slices to a case folder, on a small series whose answer is known."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pydicom
import pytest

from tests.cases import bright_protocol
from tomosurf import pipeline
from tomosurf.case_folder import read_manifest
from tomosurf.config import load_protocol
from tomosurf.data.geometry import Geometry
from tomosurf.ingest.read import read
from tomosurf.pipeline import RunOptions, run
from tomosurf.plan import make_plan
from tomosurf.series_rule import Preference
from tomosurf.testing.dicom_writer import SeriesOptions, write_series
from tomosurf.verify import rebuild

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
    assert [len(job.series.instances) for job in make_plan(study, [bone]).jobs] == [48]
    assert [len(job.series.instances) for job in make_plan(study, [every]).jobs] == [48, 12]
    small = bone.model_copy(update={"series": bone.series.model_copy(update={"max_extent_mm": 110.0})})
    assert [len(job.series.instances) for job in make_plan(study, [small]).jobs] == [12]


def test_the_plan_says_why_each_series_was_or_was_not_taken(small_ct, tmp_path):
    folder = tmp_path / "in"
    shutil.copytree(small_ct, folder / "fine")
    grid = Geometry((20, 20, 12), np.diag([5.0, 5, 5, 1]))
    options = SeriesOptions(study="small", series="b", attributes={"ContrastBolusAgent": "agent"})
    write_series(folder / "coarse", np.full(grid.shape, 1064, np.int16), grid, options)
    bone = load_protocol("ct-bone")
    prefer = (Preference(contrast=True, weight=3),)
    wanting = bone.model_copy(update={"series": bone.series.model_copy(update={"prefer": prefer})})
    plan = make_plan(read(folder).studies[0], [wanting])
    assert [len(job.series.instances) for job in plan.jobs] == [12]
    assert sorted((s.protocol, s.taken, s.score) for s in plan.selection) == [
        ("ct-bone", False, 0.0),
        ("ct-bone", True, 3.0),
    ]
    outcome = run(folder, tmp_path / "out", [load_protocol("mr-hippocampus")], QUICK)
    assert [s.choice.reasons[0] for s in outcome.selection] == ["modality isn't MR"] * 2


def test_a_part_of_the_body_that_the_header_names_is_not_searched_for_a_hippocampus(tmp_path):
    grid = Geometry((40, 40, 12), np.eye(4))
    for number, part in enumerate(("KNEE", "HEAD")):
        attributes = {"BodyPartExamined": part}
        options = SeriesOptions(modality="MR", study=part, series=part, rescale=None, attributes=attributes)
        write_series(tmp_path / part, np.full(grid.shape, number, np.uint16), grid, options)
    hippocampus = load_protocol("mr-hippocampus")
    outcome = run(tmp_path / "KNEE", tmp_path / "out", [hippocampus], QUICK)
    assert not outcome.cases
    (refused,) = outcome.refused
    (series,) = read(tmp_path / "KNEE").studies[0].series
    assert (refused.code, refused.series) == ("no_matching_series", series.digest)
    assert f"series {series.digest}: body part is one of those that are excluded" in refused.message
    assert refused.advice
    assert "KNEE" not in refused.message
    head = read(tmp_path / "HEAD").studies[0]
    assert [job.series for job in make_plan(head, [hippocampus]).jobs] == list(head.series)


def test_a_place_that_is_not_found_is_refused_and_the_rest_is_made(thick_mr, far_protocol, tmp_path):
    far = load_protocol(str(far_protocol))
    outcome = run(thick_mr, tmp_path / "none", [far], QUICK)
    assert not outcome.cases
    (refused,) = outcome.refused
    (series,) = read(thick_mr).studies[0].series
    assert (refused.code, refused.series) == ("not_localised", series.digest)
    assert "largest_voxel_mm: 5 mm, bound 3" in refused.message
    assert refused.advice
    outcome = run(thick_mr, tmp_path / "one", [far, bright_protocol("MR")], QUICK)
    manifest = outcome.cases[0].manifest
    assert [notice.code for notice in outcome.refused] == ["not_localised"]
    assert [notice.code for notice in manifest.notices] == ["derived", "not_localised"]
    assert [record.name for record in manifest.protocols] == ["test-bright"]
    assert [mesh.segment for mesh in manifest.meshes] == ["bright"]
    assert rebuild(outcome.cases[0].folder).ok


def test_a_head_by_header_is_withheld_where_none_is_found_and_made_so_again(small_ct, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for path in small_ct.iterdir():
        dataset = pydicom.dcmread(path)
        dataset.BodyPartExamined = "HEADNECK"
        dataset.save_as(folder / path.name)
    plain, told = (
        run(source, tmp_path / "out", [load_protocol("ct-skin")], QUICK).cases[0]
        for source in (small_ct, folder)
    )
    assert not plain.manifest.faces
    assert [mesh.segment for mesh in plain.manifest.meshes] == ["skin"]
    assert [face.action for face in told.manifest.faces] == ["withheld"]
    assert not told.manifest.meshes
    assert rebuild(told.folder).ok


@pytest.fixture
def gapped_ct(small_ct, tmp_path):
    """The small series without two of its slices."""
    folder = shutil.copytree(small_ct, tmp_path / "gapped")
    for name in ("0020.dcm", "0031.dcm"):
        (folder / name).unlink()
    return folder


def test_repair_makes_the_case_and_marks_it_everywhere(gapped_ct, tmp_path):
    bone = [load_protocol("ct-bone")]
    strict = run(gapped_ct, tmp_path / "out", bone, QUICK)
    assert not strict.cases
    assert [notice.code for notice in strict.refused] == ["missing_slice"]
    (case,) = run(gapped_ct, tmp_path / "out", bone, replace(QUICK, policy="repair")).cases
    manifest = case.manifest
    assert manifest.usable
    assert manifest.meshes[0].volume_mm3 == pytest.approx(BALL_MM3, rel=0.02)
    assert [(entry["code"], tuple(entry["slices"])) for entry in manifest.volumes[0].ledger] == [
        ("missing_slice", (19, 30)),
        ("interpolated_slice", (19, 30)),
    ]
    assert ("repaired_slices", "warning") in {(f.check, f.severity) for f in manifest.findings}
    report = (case.folder / "report.html").read_text(encoding="utf-8")
    assert "Slices were interpolated" in report
    assert "Nothing was repaired" not in report
    assert rebuild(case.folder).ok


def test_policies_never_share_a_folder_even_where_there_is_nothing_to_repair(small_ct, tmp_path):
    bone = [load_protocol("ct-bone")]
    strict = run(small_ct, tmp_path, bone, QUICK).cases[0]
    repair = run(small_ct, tmp_path, bone, replace(QUICK, policy="repair")).cases[0]
    assert strict.folder != repair.folder
    assert strict.manifest.meshes == repair.manifest.meshes
    assert "Nothing was repaired or interpolated" in (repair.folder / "report.html").read_text("utf-8")


def test_a_gap_wider_than_repair_allows_is_refused_under_its_code(small_ct, tmp_path):
    folder = shutil.copytree(small_ct, tmp_path / "in")
    for number in range(20, 24):
        (folder / f"{number:04d}.dcm").unlink()
    outcome = run(folder, tmp_path / "out", [load_protocol("ct-bone")], replace(QUICK, policy="repair"))
    assert [notice.code for notice in outcome.refused] == ["missing_slice"]
    assert "at most 3 slices in a row, here 4" in outcome.refused[0].message


def test_volumes_on_right_angles(tmp_path):
    affine = np.diag([2.0, 2.0, 3.0, 1.0])
    affine[1, 2] = 1.0
    grid = Geometry((16, 16, 8), affine)
    write_series(tmp_path / "in", np.full(grid.shape, 1100, np.int16), grid)
    series = read(tmp_path / "in").studies[0].series
    (leaning,) = pipeline.build_volumes(series)[0].values()
    (straight,) = pipeline.build_volumes(series, rectified=True)[0].values()
    assert leaning.geometry.coincides(grid)
    assert straight.geometry.is_orthogonal
    assert [entry.code for entry in straight.ledger] == ["rectified"]


def test_a_file_that_may_have_been_a_slice_refuses_the_case_or_marks_it(small_ct, tmp_path):
    folder = shutil.copytree(small_ct, tmp_path / "in")
    last = max(folder.iterdir())
    last.write_bytes(last.read_bytes()[:400])  # its header ends before it names a series
    skin = [load_protocol("ct-skin")]
    strict = run(folder, tmp_path / "out", skin, QUICK)
    assert not strict.cases
    (refused,) = [notice for notice in strict.refused if notice.code == "possibly_incomplete"]
    assert refused.files == (last.name,)
    manifest = run(folder, tmp_path / "out", skin, replace(QUICK, policy="repair")).cases[0].manifest
    assert manifest.volumes[0].shape[2] == 47
    assert [entry["code"] for entry in manifest.volumes[0].ledger] == ["possibly_incomplete"]
    assert ("possibly_incomplete", "warning") in {(f.check, f.severity) for f in manifest.findings}
    notice = next(n for n in manifest.notices if n.code in {"truncated", "unreadable_file"})
    assert notice.files == ()  # no names of files in a manifest
    assert last.name not in str(manifest.as_dict())


def test_a_damaged_slice_that_says_its_series_is_told_in_the_case(small_ct, tmp_path):
    folder = shutil.copytree(small_ct, tmp_path / "in")
    first = min(folder.iterdir())
    data = first.read_bytes()
    first.write_bytes(data[: data.index(b"\x28\0\x02\0US") + 5])  # the series stands before
    repair = replace(QUICK, policy="repair")
    outcome = run(folder, tmp_path / "out", [load_protocol("ct-skin")], repair)
    manifest = outcome.cases[0].manifest
    assert "truncated" in {notice.code for notice in manifest.notices}
    (told,) = [notice for notice in outcome.refused if notice.code == "truncated"]
    assert told.series == manifest.volumes[0].series


def test_the_manifest_says_which_series_were_there_and_why_one_was_taken(small_ct, tmp_path):
    folder = tmp_path / "in"
    shutil.copytree(small_ct, folder / "fine")
    grid = Geometry((20, 20, 12), np.diag([5.0, 5, 5, 1]))
    for series in ("coarse", "gapped"):
        options = SeriesOptions(study="small", series=series, attributes={"SeriesDescription": "DOE^JANE"})
        files = write_series(folder / series, np.full(grid.shape, 1064, np.int16), grid, options)
    files[5].unlink()
    case = run(folder, tmp_path / "out", [load_protocol("ct-skin")], QUICK).cases[0]
    told = {(c.slices, c.protocol, c.taken): c.reasons for c in case.manifest.selection}
    assert set(told) == {(48, "ct-skin", True), (12, "ct-skin", False), (11, "", False)}
    assert told[11, "", False] == ("refused: missing_slice",)
    assert all(choice.modality == "CT" for choice in case.manifest.selection)
    report = (case.folder / "report.html").read_text(encoding="utf-8")
    assert "Choice of series" in report
    assert all(reason in report for reasons in told.values() for reason in reasons)
    assert "DOE" not in report + str(case.manifest.as_dict())


def test_a_network_s_case_is_made_again_whatever_the_number_of_threads(sample_data, tmp_path):
    """Sums over threads differ in their last bits, so that the manifest has to say how many there were."""
    import torch

    usual = torch.get_num_threads()
    crop = sample_data / "mr-hippocampus" / "crop-left"
    try:
        made = {}
        for threads in (1, 2):
            torch.set_num_threads(threads)
            (made[threads],) = run(
                crop, tmp_path / str(threads), [load_protocol("mr-hippocampus")], QUICK
            ).cases
        for threads, case in made.items():
            assert case.manifest.labels[0].provenance["threads"] == threads
            torch.set_num_threads(3 - threads)
            assert rebuild(case.folder).problems == ()
            assert torch.get_num_threads() == 3 - threads
    finally:
        torch.set_num_threads(usual)
