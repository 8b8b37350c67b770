"""Names of files, made fit for messages."""

from __future__ import annotations

import os


def printable(name: str) -> str:
    """A file's name as text that can be written anywhere: undecodable bytes and controls are escaped."""
    if name.isascii() and name.isprintable():
        return name
    decoded = os.fsencode(name).decode("utf-8", "backslashreplace")
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in decoded)
