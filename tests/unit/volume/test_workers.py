from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tomosurf.data import transfer_syntax as ts
from tomosurf.data.geometry import Geometry
from tomosurf.data.series import Instance
from tomosurf.errors import InputRefused
from tomosurf.ingest.read import read
from tomosurf.testing.dicom_writer import SeriesOptions, write_series
from tomosurf.volume import slices, worker
from tomosurf.volume.build import build
from tomosurf.volume.decode import raw_values
from tomosurf.volume.slices import cells_of
from tomosurf.volume.workers import Decoders, Limits, codec_of

from .conftest import Written, stored

GRID = Geometry((40, 36, 5), np.eye(4))
LIMITS = Limits(memory=1 << 28, processor_seconds=5, wall_seconds=20.0)
linux_only = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc")


def children() -> set[int]:
    """Processes that this one started and that aren't gone, zombies among them."""
    lists = Path("/proc/self/task").glob("*/children")
    return {int(pid) for found in lists for pid in found.read_text().split()}


def instances_of(written: Written, **options: Any) -> list[Instance]:
    values = stored(GRID.shape)
    return sorted(
        written(values, GRID, **{"syntax": "jpeg-ls", "bits_stored": 12} | options).instances, key=name
    )


def name(instance: Instance) -> str:
    return instance.name


def asked(*streams: bytes) -> io.BytesIO:
    return io.BytesIO(b"".join(worker.REQUEST.pack(len(stream)) + stream for stream in streams))


def replies(data: bytes) -> list[tuple[int, bytes]]:
    found, at = [], 0
    while at < len(data):
        outcome, length = worker.REPLY.unpack_from(data, at)
        at += worker.REPLY.size
        found.append((outcome, data[at : at + length]))
        at += length
    return found


def test_what_the_child_answers() -> None:
    allowed: list[int] = []

    def decode(stream: bytes) -> bytes:
        errors = {b"damaged": RuntimeError, b"large": MemoryError, b"odd": IndexError}
        if stream in errors:
            raise errors[stream]
        return stream[::-1]

    answers = io.BytesIO()
    questions = asked(b"abc", b"damaged", b"", b"large", b"odd", b"xy")
    worker.serve(decode, questions, answers, lambda: allowed.append(1))
    assert replies(answers.getvalue()) == [
        (worker.READY, b""),
        (worker.DECODED, b"cba"),
        (worker.DAMAGED, b""),
        (worker.DECODED, b""),
        (worker.NO_MEMORY, b""),
        (worker.DAMAGED, b""),
        (worker.DECODED, b"yx"),
    ]
    assert len(allowed) == 6


@pytest.mark.parametrize("syntax", ["jpeg-ls", "jpeg-2000", "jpeg-lossless"])
def test_each_decoder_gives_the_cells(written: Written, syntax: str) -> None:
    values = stored(GRID.shape)
    instance = instances_of(written, syntax=syntax)[2]
    assert np.array_equal(raw_values(instance), values[:, :, 2].T)
    assert codec_of(instance.pixels.transfer_syntax) == ("jpeg" if syntax == "jpeg-lossless" else syntax)


@linux_only
def test_nothing_is_left_behind(written: Written) -> None:
    before, threads = children(), set(threading.enumerate())
    instances = instances_of(written)
    with Decoders(LIMITS) as decoders:
        for instance in instances:
            raw_values(instance, None, decoders)
            assert len(children() - before) == 1  # one after the other: one child serves all
    assert children() == before
    with closing(cells_of(instances, lambda k: None)) as read:
        next(read)  # and no more
    assert children() == before
    build(written(stored(GRID.shape), GRID, syntax="jpeg-2000"))
    assert children() == before
    assert set(threading.enumerate()) == threads


@linux_only
def test_a_child_that_crashes_is_a_refusal(written: Written) -> None:
    first, second, *_ = instances_of(written)
    before = children()
    with Decoders(LIMITS) as decoders:
        raw_values(first, None, decoders)
        (child,) = children() - before
        os.kill(child, signal.SIGSEGV)
        with pytest.raises(InputRefused, match="decoder_failed") as caught:
            raw_values(second, None, decoders)
        assert caught.value.files == (second.name,)
        assert np.array_equal(raw_values(second, None, decoders), raw_values(second))  # by a new one
    assert children() == before


@linux_only
def test_a_child_that_hangs_is_killed(written: Written) -> None:
    first, second, *_ = instances_of(written)
    before = children()
    with Decoders(replace(LIMITS, wall_seconds=0.3)) as decoders:
        raw_values(first, None, decoders)
        (child,) = children() - before
        os.kill(child, signal.SIGSTOP)
        with pytest.raises(InputRefused, match=r"decoder_failed.*too long"):
            raw_values(second, None, decoders)
        assert children() == before


@linux_only
@pytest.mark.parametrize("syntax", ["jpeg-ls", "jpeg-2000", "jpeg-lossless"])
def test_a_child_that_swells_is_a_refusal(written: Written, syntax: str) -> None:
    """1024 x 1024 in a child that may have half a megabyte more than it started with."""
    grid = Geometry((1024, 1024, 1), np.eye(4))
    instance = written(stored(grid.shape), grid, syntax=syntax, bits_stored=12).instances[0]
    with Decoders(replace(LIMITS, memory=1 << 19)) as decoders, pytest.raises(InputRefused) as caught:
        raw_values(instance, None, decoders)
    assert caught.value.code in {"decoder_failed", "unreadable_file"}  # some decoders notice by themselves


@linux_only
def test_a_child_has_limits_of_its_own() -> None:
    """What the parent process may do doesn't change; an endless loop ends after a second."""
    folder = str(Path(worker.__file__).parent)
    program = """
import resource, sys
sys.path.append(sys.argv[1])
import worker
worker.confine(1 << 24)
try:
    bytearray(1 << 25)
except MemoryError:
    print("no memory", flush=True)
worker.allow_processor(0)
while True:
    pass
"""
    done = subprocess.run(
        [sys.executable, "-I", "-c", program, folder], capture_output=True, timeout=60, check=False
    )
    assert done.stdout == b"no memory\n"
    assert done.returncode == -signal.SIGXCPU


def test_a_decoder_that_gives_too_much(written: Written) -> None:
    instance = instances_of(written)[0]
    stream_of: list[bytes] = []

    class Spy(Decoders):
        def decode(self, codec: str, stream: bytes, expected: int) -> bytearray:
            stream_of.append(stream)
            return super().decode(codec, stream, expected)

    with Spy(LIMITS) as decoders:
        raw_values(instance, None, decoders)
        for wrong in (0, 40 * 36 * 2 - 1, 40 * 36 * 4):
            with pytest.raises(InputRefused, match="size_mismatch"):
                decoders.decode("jpeg-ls", stream_of[0], wrong)


def test_a_pool_that_was_closed_starts_nothing() -> None:
    decoders = Decoders(LIMITS)
    with decoders:
        pass
    with pytest.raises(InputRefused, match="decoder_failed"):
        decoders.decode("jpeg-ls", b"", 1)


def test_a_decoder_that_isnt_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(Path(os.__file__).parent)])
    with Decoders(LIMITS) as decoders, pytest.raises(InputRefused, match="decoder_failed"):
        decoders.decode("jpeg-ls", b"", 1)


@pytest.fixture
def many_children(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "PIXELS_A_CHILD", 1)
    monkeypatch.setattr(slices, "_cores", lambda: 3)


@pytest.mark.usefixtures("many_children")
def test_slices_come_in_order(tmp_path: Path) -> None:
    """Each third slice by another road: in place, in a child, in this process."""
    grid = Geometry((40, 36, 25), np.eye(4))
    values = stored(grid.shape)
    roads: list[list[Instance]] = []
    for syntax in ("explicit-le", "jpeg-ls", "rle", "jpeg-2000"):
        write_series(tmp_path / syntax, values, grid, SeriesOptions(syntax=syntax, bits_stored=12))
        (series,) = read(tmp_path / syntax).studies[0].series
        roads.append(sorted(series.instances, key=name))
    mixed = [roads[k % 4][k] for k in range(25)]
    array = np.zeros((25, 36, 40), np.uint16)
    asked_for: list[int] = []

    def target(k: int) -> Any:
        asked_for.append(k)
        return array[k]

    with closing(cells_of(mixed, target)) as cells:
        for k, got in enumerate(cells):
            assert np.array_equal(got, values[:, :, k].T)
            assert (got.base is array) == (k % 4 == 0)  # uncompressed ones straight into the target
    assert asked_for == [k for k in range(25) if k % 4 in (0, 2)]


@pytest.mark.usefixtures("many_children")
def test_the_first_bad_slice_is_named(written: Written) -> None:
    instances = instances_of(written)
    for bad in (instances[3], instances[1]):
        data = bytearray(bad.path.read_bytes())
        data[bad.pixels.offset + 60 : -40] = bytes(len(data) - bad.pixels.offset - 100)
        bad.path.write_bytes(data)
    for _ in range(3):
        with closing(cells_of(instances, lambda k: None)) as read, pytest.raises(InputRefused) as caught:
            list(read)
        assert caught.value.files == ("0002.dcm",)


@pytest.mark.parametrize("syntax", ["jpeg-ls", "rle", "deflated"])
def test_few_bytes_claim_no_gigabyte(written: Written, syntax: str) -> None:
    instance = instances_of(written, syntax=syntax)[0]
    huge = replace(instance.pixels, rows=8192, columns=8192)
    with pytest.raises(InputRefused) as caught:
        raw_values(replace(instance, pixels=huge))
    assert caught.value.code in {"too_large", "size_mismatch"}


def test_every_compressed_syntax_has_a_decoder() -> None:
    decoders: dict[str, Callable[[bytes], Any]] = {
        s: worker.decoder(codec_of(s)) for s in ts.ENCAPSULATED - {ts.RLE}
    }
    for decode in decoders.values():
        with pytest.raises((RuntimeError, ValueError)):
            decode(b"\xff\xd8\xff\xd9")
