"""Decoders in child processes with limits: a hostile compressed image can't reach this process.

What a child may cost is bounded in address space, processor time and wall time; one that dies, hangs or swells
gives a refusal. Children stay alive from slice to slice and end with the pool.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event, Lock, Thread
from time import monotonic
from types import TracebackType
from typing import IO

from tomosurf.data import transfer_syntax as ts
from tomosurf.data.codes import refusal
from tomosurf.data.series import PixelLayout
from tomosurf.volume import worker

ENVIRONMENT = {
    **dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    "MALLOC_MMAP_THRESHOLD_": str(1 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(1 << 31),
}
"""numpy would otherwise reserve address space for a thread a core; and glibc give every buffer of a slice back to
the system, only to ask for it again at the next slice."""
PIPE_BYTES = 1 << 20
"""Room of a pipe: the most that Linux gives to anybody."""
START_SECONDS = 60.0
"""Wall time in which a child must be ready; a cold disk may take some."""
WATCH_SECONDS = 0.1
"""How often the children's clocks are looked at."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one child may cost.

    Args:
        memory: bytes of address space beyond what it has once its decoder is loaded.
        processor_seconds: processor time a slice.
        wall_seconds: wall time a slice.
    """

    memory: int
    processor_seconds: int
    wall_seconds: float

    @classmethod
    def of(cls, layouts: Iterable[PixelLayout]) -> Limits:
        """Generous for the largest slice: on noise, decoders take 18 bytes and 0.3 microseconds a pixel at most."""
        pixels = max(layout.rows * layout.columns for layout in layouts)
        return cls((1 << 27) + 32 * pixels, 5 + pixels // 250_000, 7.0 + 1e-5 * pixels)


def codec_of(syntax: str) -> str:
    """The decoder, by its name in :mod:`tomosurf.volume.worker`, for an encapsulated transfer syntax."""
    if syntax in ts.JPEG_LS_FAMILY:
        return "jpeg-ls"
    return "jpeg-2000" if syntax in ts.JPEG_2000_FAMILY else "jpeg"


class Decoders:
    """A pool of children, each started when first needed; safe to use from several threads.

    Use it as a context manager: on the way out every child is gone, whatever happened.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._idle: defaultdict[str, list[_Child]] = defaultdict(list)
        self._all: set[_Child] = set()
        self._lock = Lock()
        self._closed = Event()
        self._watcher = Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Decoders:
        self._watcher.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        with self._lock:
            self._closed.set()
            children, self._all = self._all, set()
        for child in children:
            child.end()
        self._watcher.join()

    def decode(self, codec: str, stream: bytes, expected: int) -> bytearray:
        """The cells of one compressed image, ``expected`` bytes; a child is started when none is free.

        Raises:
            InputRefused: unreadable_file, size_mismatch or decoder_failed.
        """
        child = self._child(codec)
        try:
            cells = child.decode(stream, expected)
        except BaseException:
            self._drop(child)
            raise
        with self._lock:
            self._idle[codec].append(child)
        return cells

    def _child(self, codec: str) -> _Child:
        """A child that waits for a request."""
        with self._lock:
            if self._idle[codec]:
                return self._idle[codec].pop()
        child = _Child(codec, self._limits)
        with self._lock:
            closed = self._closed.is_set()
            if not closed:
                self._all.add(child)
        if closed:
            child.end()
            raise refusal("decoder_failed", "decoding was stopped")
        try:
            child.begin()
        except BaseException:
            self._drop(child)
            raise
        return child

    def _drop(self, child: _Child) -> None:
        with self._lock:
            self._all.discard(child)
        child.end()

    def _watch(self) -> None:
        """Kill children that are overdue, until the pool is closed."""
        while not self._closed.wait(WATCH_SECONDS):
            with self._lock:
                children = tuple(self._all)
            for child in children:
                child.kill_if_overdue()


class _Child:
    """One child process and the pipes to it."""

    def __init__(self, codec: str, limits: Limits) -> None:
        self._wall_seconds = limits.wall_seconds
        self._clock = Lock()
        self._deadline, self._overdue = math.inf, False
        numbers = [str(limits.memory), str(limits.processor_seconds)]
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-I",
                "-S",
                str(Path(worker.__file__)),
                codec,
                *numbers,
                *filter(None, sys.path),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | ENVIRONMENT,
        )
        for pipe in (self._process.stdin, self._process.stdout):
            _widen(pipe)

    def begin(self) -> None:
        """Wait until the decoder is loaded; after a refusal the child is of no use."""
        self._exchange(b"", START_SECONDS, 0)

    def decode(self, stream: bytes, expected: int) -> bytearray:
        """See :meth:`Decoders.decode`; after a refusal the child is of no more use."""
        return self._exchange(worker.REQUEST.pack(len(stream)) + stream, self._wall_seconds, expected)

    def end(self) -> None:
        """Kill the child and let go of everything."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                with suppress(OSError):  # unsent bytes have nobody left to go to
                    pipe.close()

    def _exchange(self, request: bytes, seconds: float, expected: int) -> bytearray:
        """Send a request and take the reply to it, against the clock."""
        self._set_deadline(monotonic() + seconds)
        try:
            cells = self._reply(request, expected)
            self._set_deadline(math.inf)
            if self._overdue:  # killed when the reply was there already
                raise EOFError
        except (EOFError, BrokenPipeError):
            what = "took too long" if self._overdue else "ended: out of memory, out of time, or crashed"
            raise refusal("decoder_failed", f"the process that decodes compressed slices {what}") from None
        return cells

    def _set_deadline(self, deadline: float) -> None:
        with self._clock:
            self._deadline = deadline

    def kill_if_overdue(self) -> None:
        """Kill the child if it hasn't replied in time."""
        with self._clock:
            if monotonic() > self._deadline:
                self._overdue = True
                self._process.kill()

    def _reply(self, request: bytes, expected: int) -> bytearray:
        requests, replies = self._process.stdin, self._process.stdout
        if requests is None or replies is None:
            raise BrokenPipeError
        requests.write(request)
        requests.flush()
        outcome, length = worker.REPLY.unpack(_exactly(replies, worker.REPLY.size))
        if outcome == worker.DAMAGED:
            raise refusal("unreadable_file", "the compressed image can't be decoded")
        if outcome == worker.NO_MEMORY:
            raise refusal("decoder_failed", "decoding one slice takes more memory than it may")
        if length != expected:
            raise refusal("size_mismatch", "the decoder gave another number of bytes than the header says")
        return _exactly(replies, length)


def _widen(pipe: IO[bytes] | None) -> None:
    """Let a pipe hold a whole slice where the system can, so that neither end waits for the other halfway."""
    with suppress(ImportError, AttributeError, OSError):
        import fcntl

        if pipe is not None:
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, PIPE_BYTES)


def _exactly(pipe: IO[bytes], count: int) -> bytearray:
    """``count`` bytes.

    Raises:
        EOFError: there are fewer.
    """
    data = bytearray(count)
    view, at = memoryview(data), 0
    while at < count:
        more = pipe.readinto(view[at:])  # type: ignore[attr-defined]
        if not more:
            raise EOFError
        at += more
    return data
