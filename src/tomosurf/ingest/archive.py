"""A bounded reader of ZIP archives: no member's name becomes a path, and real bytes are counted."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import mkdtemp

from tomosurf.data.codes import refusal
from tomosurf.ingest.names import printable

SIGNATURES = (b"PK\x03\x04", b"PK\x05\x06")
CHUNK = 1 << 20
DIRECTORY_ENTRY = b"PK\x01\x02"
"""How every member's entry in the archive's directory starts."""


@dataclass(frozen=True, slots=True)
class ArchiveLimits:
    """What an archive may cost, in members, bytes of its directory and bytes unpacked.

    ``ratio`` bounds unpacked bytes over the archive's own once ``ratio_from`` bytes were unpacked: whole
    series of real slices pack by ten at most, bombs by a thousand.
    """

    members: int = 200_000
    directory_bytes: int = 1 << 26
    member_bytes: int = 1 << 31
    total_bytes: int = 1 << 35
    ratio: float = 200.0
    ratio_from: int = 1 << 26


DEFAULT_LIMITS = ArchiveLimits()


def is_archive(path: Path) -> bool:
    """Whether the file starts as a ZIP does."""
    try:
        with path.open("rb") as file:
            return file.read(4) in SIGNATURES
    except OSError:
        return False


def unpack(archive: Path, workspace: Path, limits: ArchiveLimits = DEFAULT_LIMITS) -> list[tuple[Path, str]]:
    """Unpack every file of a ZIP into a new folder in ``workspace``, under numbers: (path, member's name).

    One member that is unsafe refuses the archive: it might have been a slice.

    Raises:
        InputRefused: unsafe_path (absolute, "..", backslash, drive, link or device), too_large, or
            unreadable_file (damaged, encrypted, or packed by an unknown method).
    """
    try:
        with _Bounded(archive, limits) as file, zipfile.ZipFile(file) as content:
            file.release()
            everything = sorted(content.infolist(), key=lambda member: member.filename)
            for member in everything:
                _check_member(member)
            budget = _Budget(limits, archive.stat().st_size)
            folder = Path(mkdtemp(prefix="archive-", dir=workspace))
            unpacked: list[tuple[Path, str]] = []
            for member in everything:
                if not member.is_dir():
                    target = folder / f"{len(unpacked):06d}"
                    _copy(content, member, target, budget)
                    unpacked.append((target, member.filename))
            return unpacked
    except (zipfile.BadZipFile, zlib.error, struct.error, OSError, EOFError, UnicodeDecodeError) as error:
        raise refusal("unreadable_file", f"the archive is damaged ({type(error).__name__})") from error


class _Bounded(io.FileIO):
    """An archive's file, that gives no directory larger than the limits.

    :mod:`zipfile` takes the whole directory in one read and makes an object of every entry before anybody can
    look; whatever it takes for the directory comes through here first.
    """

    def __init__(self, path: Path, limits: ArchiveLimits) -> None:
        super().__init__(path)
        self._limits = limits
        self._bounded = True

    def release(self) -> None:
        """The directory was read: members may be larger."""
        self._bounded = False

    def read(self, size: int | None = -1) -> bytes:
        """As any file does.

        Raises:
            InputRefused: too_large.
        """
        if not self._bounded:
            return super().read(size) or b""
        if size is not None and size > self._limits.directory_bytes:
            raise refusal("too_large", f"the archive's directory has {size} bytes")
        data = super().read(size) or b""
        if data.startswith(DIRECTORY_ENTRY) and data.count(DIRECTORY_ENTRY) > self._limits.members:
            raise refusal("too_large", f"the archive has more than {self._limits.members} members")
        return data


def _check_member(member: zipfile.ZipInfo) -> None:
    """Refuse what no packer of plain files writes."""
    name = member.orig_filename
    parts = PurePosixPath(name).parts
    kind = stat.S_IFMT(member.external_attr >> 16)
    if (
        name.startswith("/")
        or ".." in parts
        or any(c in name for c in "\\\0")
        or (len(name) > 1 and name[1] == ":")
        or kind not in (0, stat.S_IFREG, stat.S_IFDIR)
    ):
        what = "an archive member leads out of the archive, or is a link or device"
        raise refusal("unsafe_path", what, files=(printable(name),))
    if member.flag_bits & 1:
        raise refusal("unreadable_file", "an archive member is encrypted", files=(printable(name),))
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        what = "an archive member is packed by another method than deflate"
        raise refusal("unreadable_file", what, files=(printable(name),))


class _Budget:
    """Counts the bytes that come out, whatever the archive's directory claims."""

    def __init__(self, limits: ArchiveLimits, packed: int) -> None:
        self._limits = limits
        self._packed = max(packed, 1)
        self._total = 0

    def spend(self, count: int, member_total: int) -> None:
        """Take note of ``count`` more bytes; ``member_total`` is the member's so far.

        Raises:
            InputRefused: too_large.
        """
        self._total += count
        limits = self._limits
        if member_total > limits.member_bytes or self._total > limits.total_bytes:
            raise refusal("too_large", f"the archive unpacks to more than {self._total - count} bytes")
        if self._total > limits.ratio_from and self._total > limits.ratio * self._packed:
            raise refusal("too_large", f"the archive unpacks to more than {limits.ratio:g} times its size")


def _copy(content: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path, budget: _Budget) -> None:
    """Write one member to ``target``, chunk by chunk; its checksum is checked on the way."""
    written = 0
    with content.open(member) as packed, target.open("xb") as file:
        while chunk := packed.read(CHUNK):
            written += len(chunk)
            budget.spend(len(chunk), written)
            file.write(chunk)
