from __future__ import annotations

from pathlib import Path

import pytest

from tests.cases import ball_case, write
from tomosurf.report.assemble import NOT_ASKED_FOR
from tomosurf.verify import verify


def test_a_case_with_pictures_is_whole(tmp_path: Path) -> None:
    case = ball_case(6.0)
    manifest = write(case, tmp_path, pictures=True)
    folder = tmp_path / case.identity
    pictures = [a.path for a in manifest.outputs if a.kind == "picture"]
    assert len(pictures) == 6
    assert all((folder / path).read_bytes().startswith(b"\x89PNG") for path in pictures)
    assert verify(folder).ok


def test_without_opengl_the_report_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VTK_DEFAULT_OPENGL_WINDOW", "none")
    case = ball_case(6.0)
    manifest = write(case, tmp_path, pictures=True)
    assert not [a for a in manifest.outputs if a.kind == "picture"]
    assert "apt-get install libegl1" in (tmp_path / case.identity / "report.html").read_text("utf-8")
    assert verify(tmp_path / case.identity).ok


def test_pictures_can_be_switched_off(tmp_path: Path) -> None:
    case = ball_case(6.0)
    write(case, tmp_path, pictures=False)
    assert NOT_ASKED_FOR in (tmp_path / case.identity / "report.html").read_text("utf-8")
