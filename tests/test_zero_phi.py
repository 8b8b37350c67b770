"""Identifiers that were planted in an input are found nowhere in what is made of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from pydicom import dcmread

from tests.flows.test_process_study import run_flow
from tests.planted import Planted, plant
from tomosurf.cli import main


@pytest.fixture(scope="module")
def planted(tmp_path_factory) -> Planted:
    return plant(tmp_path_factory.mktemp("planted"))


def test_the_search_finds_what_was_planted(planted):
    """The check below can fail: every secret is found in the input."""
    assert planted.leaks(planted.folder) == set(planted.secrets.values()) | {f"UID {u}" for u in planted.uids}


@pytest.mark.parametrize(
    "options", [(), ("--shift-dates", "--clean-descriptors", "--retain-patient-characteristics")]
)
def test_nothing_is_left_after_deidentify(planted, tmp_path, capfd, options):
    assert main(["deidentify", str(planted.folder), "-o", str(tmp_path / "out"), *options, "--json"]) == 0
    written = list((tmp_path / "out").rglob("*.dcm"))
    assert len(written) == 48 + 3 * 3
    out, err = capfd.readouterr()
    assert planted.leaks(tmp_path / "out", out, err) == set()
    assert '"refused": []' in out
    for path in written:
        dataset = dcmread(path)
        assert path.read_bytes()[:128] == b"\0" * 128
        assert not any(element.tag.is_private for element in dataset.iterall())
        assert dataset.SourceImageSequence[0].ReferencedSOPInstanceUID == dataset.SOPInstanceUID


def test_nothing_is_left_after_volume_deidentify(planted, tmp_path, capfd):
    assert main(["volume", str(planted.folder), "-o", str(tmp_path / "out"), "--deidentify", "--json"]) == 0
    assert planted.leaks(tmp_path / "out", *capfd.readouterr()) == set()


@pytest.mark.slow
def test_nothing_is_left_after_a_run(planted, tmp_path, capfd):
    arguments = ["run", str(planted.folder), "-o", str(tmp_path / "out"), "--protocol", "ct-bone"]
    assert main(arguments) in (0, 4)
    assert planted.leaks(tmp_path / "out", *capfd.readouterr()) == set()
    assert main(["inspect", str(planted.folder)]) == 0
    assert planted.leaks(tmp_path / "nowhere", *capfd.readouterr()) == set()


@pytest.fixture(scope="module")
def refused(planted, tmp_path_factory) -> Path:
    """The same with two more files of telling names, cut: one in a folder of its own, one beside some slices."""
    folder = shutil.copytree(planted.folder, tmp_path_factory.mktemp("refused") / "in")
    (small,) = {path.parent for path in folder.rglob("*.dcm") if path.parent.name.endswith(" 1")}
    slices = sorted(small.iterdir())
    (folder / "Bucquoy").mkdir()
    for target in (folder / "Bucquoy" / "Klabautermann.dcm", small / "Bucquoy^Klabautermann.dcm"):
        target.write_bytes(slices[0].read_bytes()[:300])
    return folder


@pytest.mark.slow
def test_names_of_refused_files_are_left_in_no_case(planted, refused, tmp_path, capfd):
    arguments = ["run", str(refused), "-o", str(tmp_path / "out"), "--protocol", "ct-bone", "--no-pictures"]
    assert main([*arguments, "--json"]) in (0, 4)
    told = json.loads(capfd.readouterr().out)["refused"]
    assert {"truncated", "possibly_incomplete"} <= {notice["code"] for notice in told}
    assert planted.leaks(tmp_path / "out") == set()


@pytest.mark.slow
def test_nothing_is_left_in_prefects_database(planted, refused, tmp_path):
    """Neither of what was taken nor of what was refused, though the operator is told the names."""
    (result,), errors = run_flow(tmp_path / "prefect", (refused, tmp_path / "out"))
    assert result["folders"]
    assert planted.leaks(tmp_path / "prefect", *errors) == set()
    told = (tmp_path / "out" / "ingest.json").read_text(encoding="utf-8")
    assert "possibly_incomplete" in told
    assert "Bucquoy/Klabautermann.dcm" in told
    (tmp_path / "out" / "ingest.json").unlink()
    assert planted.leaks(tmp_path / "out") == set()
