"""A network in a child process: the same bytes, the same errors, and nothing left behind."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tests.two_balls import grid, image
from tests.unit.conftest import Trained
from tomosurf.config import NetworkMethod
from tomosurf.data.notice import Notice
from tomosurf.errors import InputRefused, ModelError, UnknownNameError
from tomosurf.isolated import segment_in_child
from tomosurf.segment.network import segment
from tomosurf.segment.options import SegmentOptions

CPU = SegmentOptions(device="cpu")


@pytest.fixture(autouse=True)
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where private folders are made; it must be empty again afterwards."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_a_child_gives_the_same_bytes_and_leaves_nothing(trained: Trained, workplace: Path) -> None:
    volume = replace(image(grid((30, 28, 26), (1.4, 1.6, 1.9))), series="abc")
    method = NetworkMethod(method="network", model=str(trained.model))
    seen: list[tuple[str, float]] = []
    ours = segment_in_child(volume, method, CPU, lambda stage, part: seen.append((stage, part)))
    theirs = segment(volume, method, CPU)
    assert ours.labels.tobytes() == theirs.labels.tobytes()
    assert ours.labels.flags.f_contiguous == theirs.labels.flags.f_contiguous
    assert ours.margins.keys() == theirs.margins.keys()
    for label, margin in theirs.margins.items():
        assert ours.margins[label].values.tobytes() == margin.values.tobytes()
        assert (ours.margins[label].geometry.affine == margin.geometry.affine).all()
    assert (ours.doubt is None) == (theirs.doubt is None)
    if ours.doubt and theirs.doubt:
        assert ours.doubt.values.tobytes() == theirs.doubt.values.tobytes()
    assert ours.provenance == theirs.provenance
    assert ours.segments == theirs.segments
    assert ours.series == "abc"
    assert seen[-1][1] == 1.0
    assert not list(workplace.iterdir())


def test_errors_come_back_as_what_they_are(workplace: Path) -> None:
    with pytest.raises(UnknownNameError, match="no model is called 'nowhere'"):
        segment_in_child(image(grid()), NetworkMethod(method="network", model="nowhere"), CPU)
    assert not list(workplace.iterdir())


def test_a_refusal_keeps_its_code_and_series(workplace: Path) -> None:
    head = replace(image(grid((90, 10, 10), (1.0, 1.0, 1.0))), series="abc", modality="MR")
    with pytest.raises(InputRefused) as caught:
        segment_in_child(head, NetworkMethod(method="network", model="mr-hippocampus"), CPU)
    with pytest.raises(InputRefused) as plain:
        segment(head, NetworkMethod(method="network", model="mr-hippocampus"), CPU)
    assert caught.value.code == "larger_than_crop"
    assert Notice.of(caught.value) == Notice.of(plain.value)
    assert not list(workplace.iterdir())


def test_a_child_that_takes_too_long_is_ended(trained: Trained, workplace: Path) -> None:
    method = NetworkMethod(method="network", model=str(trained.model))
    with pytest.raises(ModelError, match=r"more than 0\.5 s"):
        segment_in_child(image(grid()), method, CPU, timeout=0.5)
    assert not list(workplace.iterdir())


def test_a_killed_child_is_told(trained: Trained, workplace: Path) -> None:
    method = NetworkMethod(method="network", model=str(trained.model))
    killer = threading.Thread(target=_kill_child)
    killer.start()
    with pytest.raises(ModelError, match="killed by signal 9"):
        segment_in_child(image(grid()), method, CPU)
    killer.join()
    assert not list(workplace.iterdir())


def test_cancelling_ends_the_child(trained: Trained, workplace: Path) -> None:
    def cancel(stage: str, part: float) -> None:
        raise KeyboardInterrupt

    method = NetworkMethod(method="network", model=str(trained.model))
    with pytest.raises(KeyboardInterrupt):
        segment_in_child(image(grid()), method, CPU, cancel)
    assert not _children()
    assert not list(workplace.iterdir())


def _children() -> list[int]:
    """Processes that this one started to run a network."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if parent == os.getpid() and b"tomosurf.isolated" in command:
            found.append(int(folder.name))
    return found


def _kill_child() -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        for number in _children():
            os.kill(number, signal.SIGKILL)
            return
        time.sleep(0.01)
