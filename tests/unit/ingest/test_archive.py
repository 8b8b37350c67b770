from __future__ import annotations

import stat
import zipfile
from pathlib import Path

import pytest

from tomosurf.errors import InputRefused
from tomosurf.ingest.archive import ArchiveLimits, is_archive, unpack
from tomosurf.ingest.names import printable
from tomosurf.ingest.read import opened


def packed(path: Path, members: dict[str, bytes], mode: int = 0) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            info = zipfile.ZipInfo("placeholder")
            info.filename = info.orig_filename = name
            info.external_attr = mode << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, data)
    return path


def test_members_are_unpacked_under_numbers(tmp_path: Path) -> None:
    archive = packed(tmp_path / "a.zip", {"b/2": b"two", "a/1": b"one", "empty/": b"", "Straße": b""})
    assert is_archive(archive)
    found = unpack(archive, tmp_path)
    assert [name for _, name in found] == ["Straße", "a/1", "b/2"]
    assert [path.read_bytes() for path, _ in found] == [b"", b"one", b"two"]
    assert {path.parent.parent for path, _ in found} == {tmp_path}
    assert sorted(path.name for path, _ in found) == ["000000", "000001", "000002"]


@pytest.mark.parametrize("name", ["/etc/x", "../x", "a/../../x", "a\\b", "C:/x", "c:x", "a/.."])
def test_unsafe_names_refuse_the_archive(tmp_path: Path, name: str) -> None:
    archive = packed(tmp_path / "a.zip", {"good": b"1", name: b"2"})
    with pytest.raises(InputRefused, match="unsafe_path"):
        unpack(archive, tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.zip"]
    with opened(archive) as intake:
        assert [r.code for r in intake.refused] == ["unsafe_path"]


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO])
def test_links_and_devices_refuse_the_archive(tmp_path: Path, kind: int) -> None:
    archive = packed(tmp_path / "a.zip", {"link": b"/etc/passwd"}, kind | 0o644)
    with pytest.raises(InputRefused, match="unsafe_path"):
        unpack(archive, tmp_path)


@pytest.mark.parametrize(
    "limits",
    [
        ArchiveLimits(members=1),
        ArchiveLimits(directory_bytes=80),
        ArchiveLimits(member_bytes=1 << 20),
        ArchiveLimits(total_bytes=3 << 20),
        ArchiveLimits(ratio=100.0, ratio_from=1 << 20),
    ],
)
def test_real_bytes_are_counted(tmp_path: Path, limits: ArchiveLimits) -> None:
    archive = packed(tmp_path / "a.zip", {"1": bytes(2 << 20), "2": bytes(2 << 20)})
    assert len(unpack(archive, tmp_path)) == 2
    with pytest.raises(InputRefused, match="too_large"):
        unpack(archive, tmp_path, limits)


def test_a_lying_size_is_no_way_round(tmp_path: Path) -> None:
    archive = packed(tmp_path / "a.zip", {"1": bytes(2 << 20)})
    data = archive.read_bytes()
    true, lie = (2 << 20).to_bytes(4, "little"), (10).to_bytes(4, "little")
    archive.write_bytes(data.replace(true, lie))
    with pytest.raises(InputRefused) as caught:
        unpack(archive, tmp_path, ArchiveLimits(member_bytes=1 << 20))
    assert caught.value.code in ("too_large", "unreadable_file")


def test_damage_and_encryption(tmp_path: Path) -> None:
    archive = packed(tmp_path / "a.zip", {"1": bytes(range(256)) * 40})
    data = archive.read_bytes()
    flags = bytearray(data)
    flags[data.index(b"PK\x01\x02") + 8] |= 1
    checksum = bytearray(data)
    checksum[40] ^= 0xFF
    for spoilt in (data[: len(data) // 2], bytes(flags), bytes(checksum)):
        archive.write_bytes(spoilt)
        with pytest.raises(InputRefused, match="unreadable_file"):
            unpack(archive, tmp_path)


def test_names_are_made_printable() -> None:
    assert printable("a b/ü.dcm") == "a b/ü.dcm"
    assert printable("a\n\x1b[31m") == "a\\x0a\\x1b[31m"
    assert printable("\udcff") == "\\xff"
