"""The child process that decodes compressed slices: one native decoder, between two pipes, under limits.

It runs as a script and imports nothing of tomosurf, so that it starts fast and holds nothing worth taking.
Standard input carries requests: a length (uint64, little endian) and as many bytes of one compressed image.
Standard output carries replies: an outcome (uint8), a length (uint64), and as many bytes; the first one says
``READY``. Both ends are raw bytes; nothing in them is ever executed.
"""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

REQUEST = struct.Struct("<Q")
REPLY = struct.Struct("<BQ")
READY, DECODED, DAMAGED, NO_MEMORY = range(4)
"""Outcomes; ``DAMAGED`` is what a decoder itself found wrong."""
STATM = Path("/proc/self/statm")

Decoder = Callable[[bytes], Any]
"""One compressed image to the bytes of its cells, little endian."""


def decoder(codec: str) -> Decoder:
    """The decoder called "jpeg-ls", "jpeg-2000" or "jpeg", imported now."""
    if codec == "jpeg-ls":
        import jpeg_ls

        return lambda stream: jpeg_ls.decode_pixel_data(stream)[0]
    if codec == "jpeg-2000":
        from openjpeg.utils import decode_pixel_data as openjpeg

        return lambda stream: openjpeg(stream, version=2)
    from libjpeg.utils import decode_pixel_data as libjpeg

    return lambda stream: libjpeg(stream, version=2)


def serve(decode: Decoder, requests: BinaryIO, replies: BinaryIO, allow_time: Callable[[], None]) -> None:
    """Answer requests until there are no more; ``allow_time`` is called before each."""
    _reply(replies, READY)
    while len(head := requests.read(REQUEST.size)) == REQUEST.size:
        stream = requests.read(REQUEST.unpack(head)[0])
        allow_time()
        try:
            cells = decode(stream)
        except MemoryError:
            _reply(replies, NO_MEMORY)
        except (RuntimeError, ValueError, TypeError, LookupError, ArithmeticError):
            _reply(replies, DAMAGED)
        else:
            _reply(replies, DECODED, cells)


def _reply(replies: BinaryIO, outcome: int, cells: bytes = b"") -> None:
    replies.write(REPLY.pack(outcome, len(cells)))
    replies.write(cells)
    replies.flush()


def confine(memory: int) -> None:
    """Never use more than ``memory`` bytes of address space beyond today's, write a file or dump core.

    Without effect where the system has no such limits; there the parent's clock is what is left.
    """
    try:
        import resource
    except ImportError:  # Windows
        return
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    if STATM.exists():
        most = int(STATM.read_text().split()[0]) * resource.getpagesize() + memory
        hard = resource.getrlimit(resource.RLIMIT_AS)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def allow_processor(seconds: int) -> None:
    """Let this process run for ``seconds`` more of processor time; after that the system kills it."""
    try:
        import resource
    except ImportError:  # Windows
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    soft, hard = int(used.ru_utime + used.ru_stime) + 1 + seconds, resource.getrlimit(resource.RLIMIT_CPU)[1]
    soft = soft if hard == resource.RLIM_INFINITY else min(soft, hard)
    resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


def main(arguments: list[str]) -> None:
    """``worker.py CODEC MEMORY SECONDS PATH...``: bytes, seconds a slice, and where modules are found."""
    codec, memory, seconds, *paths = arguments
    sys.path[:] = paths
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what a decoder prints must not get between replies
    decode = decoder(codec)
    confine(int(memory))
    serve(decode, sys.stdin.buffer, replies, lambda: allow_processor(int(seconds)))


if __name__ == "__main__":
    main(sys.argv[1:])
