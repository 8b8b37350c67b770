"""What people see, and what scripts get."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tomosurf.cli import main
from tomosurf.commands import demo
from tomosurf.console import Console
from tomosurf.errors import InputRefused
from tomosurf.resources import folder

BARS = """
import time
from tomosurf.console import Console
with Console().progress() as progress:
    for stage in ("ingest", "segment"):
        for n in range(4):
            progress(stage, n / 3)
            time.sleep(0.15)
"""


def test_tables_keep_header_text_from_being_read_as_markup(capsys):
    Console().table("Series", ["name", "count"], [["[red]x[/red]", "1,200"], ["y", "3"]])
    printed = capsys.readouterr().out
    assert "[red]x[/red]" in printed
    assert "1,200" in printed


def test_scripts_get_one_document_and_nothing_else(capsys):
    console = Console(as_json=True)
    console.say("hello")
    console.table("t", ["a"], [["b"]])
    console.emit({"a": 1})
    assert json.loads(capsys.readouterr().out) == {"a": 1}


def test_bars_are_drawn_on_a_terminal_only():
    import pty

    quiet = subprocess.run([sys.executable, "-c", BARS], capture_output=True, check=True)
    assert quiet.stderr == b"" == quiet.stdout
    parent, child = pty.openpty()
    subprocess.run([sys.executable, "-c", BARS], stderr=child, stdout=subprocess.DEVNULL, check=True)
    os.close(child)
    drawn = b""
    try:
        while chunk := os.read(parent, 65536):
            drawn += chunk
    except OSError:  # the other end is closed: all was read
        assert drawn
    assert b"ingest" in drawn and b"segment" in drawn and b"%" in drawn


@pytest.mark.parametrize(
    ("error", "code"),
    [(InputRefused("no_dicom", "nothing"), 3), (OSError("disk full"), 1), (KeyboardInterrupt(), 1)],
)
def test_errors_become_exit_codes_and_one_line(error, code, monkeypatch, capsys):
    def fail(*_: object) -> int:
        raise error

    from tomosurf.commands import protocols

    monkeypatch.setattr(protocols, "execute", fail)
    assert main(["protocols"]) == code
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert main(["--debug", "protocols"]) == code
    assert "test_console.py" in capsys.readouterr().err or isinstance(error, KeyboardInterrupt)


def test_a_closed_pager_is_no_error():
    done = subprocess.run(
        f"{sys.executable} -m tomosurf protocols --json | head -c 1",
        shell=True,
        capture_output=True,
        check=True,
    )
    assert done.stdout == b"{"
    assert done.stderr == b""


def test_shipped_folders_are_found_and_flows_load_as_one_package():
    assert (folder("configs") / "protocols").is_dir()
    assert demo.load_flow("process_study").process_study.name == "process-study"
    assert sys.modules["tomosurf_flows.tasks"] is demo.load_flow("tasks")
