from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.cases import PROTOCOL, ball_case, case_of, grid, segmentation, write
from tomosurf import case_folder
from tomosurf.case_folder import CaseFolder, FileWriter
from tomosurf.data.case import Case
from tomosurf.data.mesh import Scene
from tomosurf.errors import CaseFolderError, DataError, ExportError, UnknownNameError
from tomosurf.testing.phantoms import Ball


def _paths(case: Case, folder: Path, exports: tuple[str, ...] = ("stl",)) -> dict[str, str]:
    return {a.path: a.kind for a in case_folder.write_case(case, exports, FileWriter(folder))}


def test_one_volume_and_one_label_map_have_plain_names(tmp_path: Path) -> None:
    assert _paths(ball_case(4.0), tmp_path, ("stl", "ply", "glb")) == {
        "volume/volume.nii.gz": "volume",
        "labels/labels.nii.gz": "labels",
        "meshes/bright.stl": "mesh",
        "meshes/bright.ply": "mesh",
        "meshes/scene.glb": "scene",
    }


def test_several_label_maps_are_named_by_protocol_and_number(tmp_path: Path) -> None:
    parts = [
        segmentation({f"s{n}": Ball((0.0, 0.0, 0.0), 4.0)}, grid(), protocol, n)
        for n, protocol in enumerate(("p", "p", "p-2", "q"), 1)
    ]
    paths = _paths(case_of(*parts), tmp_path, ())
    assert [p for p, kind in paths.items() if kind == "labels"] == [
        "labels/p.nii.gz",
        "labels/p-2.nii.gz",
        "labels/p-2-2.nii.gz",
        "labels/q.nii.gz",
    ]


def test_several_volumes_are_named_by_series_and_padding_goes_along(tmp_path: Path) -> None:
    case = ball_case(4.0)
    padding = np.zeros((32, 32, 32), bool, order="F")
    padding[:3] = True
    first = replace(case.volumes[0], padding=padding)
    paths = _paths(replace(case, volumes=(first, replace(case.volumes[0], series="ffff"))), tmp_path)
    assert {p for p in paths if p.startswith("volume/")} == {
        "volume/a1b2c3d4.nii.gz",
        "volume/ffff.nii.gz",
        "volume/a1b2c3d4-padding.nii.gz",
    }
    alone = _paths(replace(case, volumes=(first,)), tmp_path / "alone")
    assert alone["volume/padding.nii.gz"] == "padding"


def test_a_case_without_surfaces_gives_no_empty_files(tmp_path: Path) -> None:
    case = replace(ball_case(4.0), scene=Scene(()))
    assert not [p for p in _paths(case, tmp_path, ("stl", "glb")) if p.startswith("meshes")]
    assert not (tmp_path / "meshes").exists()


def test_digest_and_size_are_those_of_the_file(tmp_path: Path) -> None:
    artifacts = case_folder.write_case(ball_case(4.0), ("stl",), FileWriter(tmp_path))
    for artifact in artifacts:
        assert artifact.sha256 == case_folder.digest_of(tmp_path / artifact.path)
        assert artifact.bytes == (tmp_path / artifact.path).stat().st_size


def test_an_unknown_exporter_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError):
        case_folder.write_case(ball_case(4.0), ("nonsense",), FileWriter(tmp_path))


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../x", "a/../../x", "a\\b"])
def test_a_name_that_leaves_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(CaseFolderError, match="no name of a file"):
        FileWriter(tmp_path).path(name)


def test_no_file_is_written_twice(tmp_path: Path) -> None:
    writer = FileWriter(tmp_path)
    writer.path("a.txt").write_text("x")
    with pytest.raises(CaseFolderError, match="twice"):
        writer.path("a.txt")


def test_a_series_or_view_that_is_no_name_is_refused(tmp_path: Path) -> None:
    case = ball_case(4.0)
    odd = replace(case.volumes[0], series="../../x")
    with pytest.raises(DataError):
        _paths(replace(case, volumes=(case.volumes[0], odd)), tmp_path)
    with pytest.raises(DataError):
        case_folder.picture_name("../x")


@pytest.mark.parametrize("identity", ["", "abc", "DOE^JANE", "../abcdef", "a" * 65])
def test_only_a_digest_names_a_case_folder(tmp_path: Path, identity: str) -> None:
    with pytest.raises(CaseFolderError, match="digest"):
        CaseFolder(tmp_path, identity)


def test_an_error_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(ExportError), CaseFolder(tmp_path / "out", "feedbeef") as folder:
        folder.path("meshes/x.stl").write_bytes(b"half")
        raise ExportError("stop")
    assert list((tmp_path / "out").iterdir()) == []


def test_nothing_is_in_place_before_the_end(tmp_path: Path) -> None:
    case = ball_case(4.0)
    with pytest.raises(KeyboardInterrupt), CaseFolder(tmp_path, case.identity) as folder:
        case_folder.write_case(case, (), folder)
        assert not folder.final.exists()
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_a_folder_without_manifest_isnt_finished(tmp_path: Path) -> None:
    with pytest.raises(CaseFolderError, match="needs its manifest"), CaseFolder(tmp_path, "feedbeef"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_case_replaces_its_older_self_only_when_it_is_whole(tmp_path: Path) -> None:
    case = ball_case(4.0)
    write(case, tmp_path, exports=("stl", "ply"))
    final = tmp_path / case.identity
    with pytest.raises(RuntimeError), CaseFolder(tmp_path, case.identity) as folder:
        folder.path("x.txt").write_text("x")
        raise RuntimeError
    assert (final / "meshes" / "bright.ply").is_file()
    write(case, tmp_path, exports=("stl",))
    assert not (final / "meshes" / "bright.ply").exists()
    assert [path.name for path in tmp_path.iterdir()] == [case.identity]


def test_what_is_no_case_folder_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "feedbeef").mkdir()
    (tmp_path / "feedbeef" / "thesis.txt").write_text("precious")
    with pytest.raises(CaseFolderError, match="no case folder"), CaseFolder(tmp_path, "feedbeef"):
        pass
    assert (tmp_path / "feedbeef" / "thesis.txt").read_text() == "precious"
    target = tmp_path / "elsewhere"
    target.mkdir()
    (target / case_folder.MANIFEST).write_text("{}")
    (tmp_path / "deadbeef").symlink_to(target)
    with pytest.raises(CaseFolderError, match="no case folder"), CaseFolder(tmp_path, "deadbeef"):
        pass


def test_two_writes_of_one_case_give_the_same_bytes(tmp_path: Path) -> None:
    case = ball_case(5.0)
    exports = ("stl", "ply", "glb")
    one = case_folder.write_case(case, exports, FileWriter(tmp_path / "one"))
    two = case_folder.write_case(case, exports, FileWriter(tmp_path / "two"))
    assert one == two


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b'{"a": ' * 100_000])
def test_a_manifest_that_cant_be_read_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / case_folder.MANIFEST).write_bytes(content)
    with pytest.raises(CaseFolderError):
        case_folder.read_manifest(tmp_path)


def test_a_folder_without_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CaseFolderError, match="no case folder"):
        case_folder.read_document(tmp_path)


def test_a_manifest_that_doesnt_follow_its_schema_is_refused(tmp_path: Path) -> None:
    (tmp_path / case_folder.MANIFEST).write_text('{"schema_version": 2, "labels": []}')
    with pytest.raises(CaseFolderError, match=case_folder.MANIFEST):
        case_folder.read_manifest(tmp_path)


def test_progress_ends_at_one(tmp_path: Path) -> None:
    told: list[float] = []
    case_folder.write_case(
        ball_case(4.0), PROTOCOL.exports, FileWriter(tmp_path), lambda _, fraction: told.append(fraction)
    )
    assert told == sorted(told)
    assert told[-1] == 1.0


def test_when_the_swap_fails_the_older_case_is_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = ball_case(4.0)
    write(case, tmp_path, exports=("stl", "ply"))
    move = Path.replace

    def full_disk(self: Path, target: Path) -> Path:
        if ".partial-" in self.name:
            raise OSError("no space left")
        return move(self, target)

    monkeypatch.setattr(Path, "replace", full_disk)
    with pytest.raises(OSError, match="no space"):
        write(case, tmp_path, exports=("stl",))
    assert [path.name for path in tmp_path.iterdir()] == [case.identity]
    assert (tmp_path / case.identity / "meshes" / "bright.ply").is_file()
