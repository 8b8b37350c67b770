"""One file over HTTP: resumed where it broke off, bounded, and checked against its digest."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from tomosurf.errors import ModelError
from tomosurf.progress import Progress, silent

CHUNK = 1 << 20
MOST_BYTES = 1 << 34
"""Largest archive that is fetched, in bytes."""
TIMEOUT_S = 60.0
"""Longest silence of the other side, in seconds."""
RANGE_STARTS_BEYOND = 416
SAFE = ("https://", "http://127.0.0.1:", "http://127.0.0.1/")
"""How an address starts that may be fetched, also after it was led on."""


def fetch(address: str, target: Path, progress: Progress = silent) -> Path:
    """The file at ``address`` as ``target``; what arrived stays in ``target`` with ".part" when it breaks off.

    A ".part" that is there is gone on with if the server can; otherwise it starts again.

    Raises:
        ModelError: the address can't be reached, the file is too large or shorter than announced.
    """
    part = target.with_name(f"{target.name}.part")
    have = part.stat().st_size if part.is_file() else 0
    try:
        total = _receive(address, part, have, progress)
    except HTTPError as error:
        if error.code == RANGE_STARTS_BEYOND and have:
            part.unlink()
            return fetch(address, target, progress)
        raise ModelError(f"{address} answers {error.code} {error.reason}; nothing was fetched") from error
    except (URLError, HTTPException, OSError) as error:
        reason = getattr(error, "reason", error)
        raise ModelError(
            f"{address} broke off or can't be reached ({reason}); the same command goes on from where it stopped"
        ) from error
    if total is not None and part.stat().st_size != total:
        raise ModelError(
            f"{address} broke off after {part.stat().st_size} of {total} bytes;"
            " the same command goes on from where it stopped"
        )
    part.replace(target)
    return target


def _receive(address: str, part: Path, have: int, progress: Progress) -> int | None:
    """Append to ``part``; returns how many bytes the whole file should have, None where nobody said."""
    headers = {"User-Agent": "tomosurf", **({"Range": f"bytes={have}-"} if have else {})}
    request = Request(address, headers=headers)  # noqa: S310  (offers allow https and loopback alone)
    with urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
        if not answer.url.startswith(SAFE):
            raise ModelError(
                f"{address} leads on to an address that isn't https; nothing was fetched from there"
            )
        resumed = answer.status == 206
        if resumed and not answer.headers.get("Content-Range", f"bytes {have}-").startswith(f"bytes {have}-"):
            raise ModelError(
                f"{address} goes on from another place than asked; remove {part} and start again"
            )
        done = have if resumed else 0
        announced = answer.headers.get("Content-Length")
        total = done + int(announced) if announced and announced.isdigit() else None
        if (total or 0) > MOST_BYTES:
            raise ModelError(f"{address} announces {total} bytes; at most {MOST_BYTES} are fetched")
        with part.open("ab" if resumed else "wb") as file:
            for chunk in _chunks(answer):
                done += len(chunk)
                if done > MOST_BYTES:
                    part.unlink()
                    raise ModelError(f"{address} sends more than {MOST_BYTES} bytes; it was stopped")
                file.write(chunk)
                if total:
                    progress("pull", min(done / total, 1.0))
    return total


def _chunks(answer: Any) -> Iterator[bytes]:
    while chunk := answer.read(CHUNK):
        yield chunk


def digest(path: Path, kind: str) -> str:
    """The file's "sha256" or "sha1" in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, kind).hexdigest()
