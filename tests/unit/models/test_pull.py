"""An offered model from a real server into the user's folder, by the command; and what is refused on the way."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import torch
import yaml

from tests.file_server import Served, serving
from tests.unit.models.conftest import zipped
from tests.unit.models.test_take_in import Payload
from tomosurf.cli import main
from tomosurf.errors import ModelError
from tomosurf.models.fetch import fetch

ACCEPT = "--accept-licence"


@dataclass
class Shop:
    """A catalogue, and the server that it leads to."""

    served: Served
    models: Path
    offer: dict[str, Any] = field(default_factory=dict)

    @property
    def archive(self) -> Path:
        return self.served.folder / "model.zip"

    def pull(self, *more: str) -> int:
        self.offer["address"] = self.served.address("model.zip")
        return main(["models", "pull", "everywhere", *self._catalogue(), *more])

    def offers(self, *more: str) -> int:
        self.offer["address"] = self.served.address("model.zip")
        return main(["models", "offers", *self._catalogue(), *more])

    def _catalogue(self) -> list[str]:
        path = self.served.folder / "catalogue.yaml"
        path.write_text(yaml.safe_dump({"offers": [self.offer]}))
        return ["--catalogue", str(path)]

    def state(self) -> str:
        """States the archive's digest as it lies there."""
        self.offer["sha256"] = hashlib.sha256(self.archive.read_bytes()).hexdigest()
        return str(self.offer["sha256"])

    def installed(self) -> list[str]:
        return sorted(path.name for path in self.models.glob("*") if path.name != ".downloads")

    def downloads(self) -> list[str]:
        return sorted(path.suffix for path in (self.models / ".downloads").glob("*"))


@pytest.fixture
def shop(bundle: Path, models: Path, tmp_path: Path) -> Iterator[Shop]:
    folder = tmp_path / "served"
    folder.mkdir()
    zipped(bundle, folder / "model.zip")
    with serving(folder) as served:
        about = {"title": "Everything", "segments": "field", "modality": "CT", "publisher": "The test"}
        shop = Shop(served, models, {"name": "everywhere", "licence": "Ours alone", **about})
        shop.state()
        yield shop


def test_an_offer_is_shown_fetched_checked_and_installed(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shop.offers("--json") == 0
    (offer,) = json.loads(capsys.readouterr().out)["offers"]
    assert (offer["name"], offer["licence"], offer["sha256"]) == ("everywhere", "Ours alone", shop.state())
    assert shop.pull(ACCEPT, "--json") == 0
    captured = capsys.readouterr()
    assert captured.err.startswith("Everything, published by The test\nlicence: Ours alone\n")
    taken = json.loads(captured.out)
    assert (taken["name"], taken["licence"], taken["kind"]) == ("everywhere", "Ours alone", "monai-bundle")
    assert shop.installed() == ["everywhere"]
    assert shop.downloads() == []
    card = (shop.models / "everywhere" / "README.md").read_text()
    assert f"Fetched from {shop.offer['address']}, sha256 {shop.state()}." in card
    assert shop.served.ranges == [None]


def test_the_licence_is_shown_first_and_must_be_accepted(
    shop: Shop, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))  # no terminal: an answer in a pipe is nobody's
    assert shop.pull() == 2
    said = capsys.readouterr().err
    assert "licence: Ours alone" in said
    assert ACCEPT in said

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal("\n"))
    assert shop.pull() == 2
    assert "nothing was fetched" in capsys.readouterr().err
    assert shop.served.ranges == []
    assert not shop.models.exists()
    monkeypatch.setattr("sys.stdin", Terminal("yes\n"))
    assert shop.pull() == 0
    assert shop.installed() == ["everywhere"]


@pytest.mark.parametrize("kind", ["sha256", "sha1"])
def test_another_digest_throws_the_archive_away(
    kind: str, shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    del shop.offer["sha256"]
    shop.offer[kind] = "0" * (64 if kind == "sha256" else 40)
    assert shop.pull(ACCEPT) == 1
    found = hashlib.new(kind, shop.archive.read_bytes()).hexdigest()
    said = capsys.readouterr().err
    assert f"has {kind} {found}, but {shop.offer[kind]} is stated" in said
    assert "thrown away" in said
    assert (shop.installed(), shop.downloads()) == ([], [])


def test_without_a_digest_somebody_must_say_so(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    digest = shop.offer.pop("sha256")
    assert shop.pull(ACCEPT) == 2
    assert "states no digest for everywhere: give one with --sha256" in capsys.readouterr().err
    assert shop.pull(ACCEPT, "--sha256", "abc") == 2
    assert shop.served.ranges == []
    assert shop.pull(ACCEPT, "--sha256", "f" * 64) == 1
    assert shop.installed() == []
    assert shop.pull(ACCEPT, "--sha256", digest.upper()) == 0
    card = shop.models / "everywhere" / "README.md"
    assert f"sha256 {digest}." in card.read_text()
    assert main(["models", "remove", "everywhere"]) == 0
    assert shop.pull(ACCEPT, "--unchecked") == 0
    assert "without a digest to check the archive against" in card.read_text()


def test_a_broken_connection_is_gone_on_with(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    shop.served.break_after = 3000
    assert shop.pull(ACCEPT) == 1
    assert "goes on from where it stopped" in capsys.readouterr().err
    assert (shop.installed(), shop.downloads()) == ([], [".part"])
    assert shop.pull(ACCEPT) == 0
    assert shop.served.ranges == [None, "bytes=3000-"]
    assert (shop.installed(), shop.downloads()) == (["everywhere"], [])


def test_a_part_of_another_file_is_found_out(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    """The publisher replaced the archive between two tries."""
    shop.served.break_after = 3000
    assert shop.pull(ACCEPT) == 1
    content = bytearray(shop.archive.read_bytes())
    content[0:3000] = content[0:3000][::-1]
    (part,) = (shop.models / ".downloads").iterdir()
    part.write_bytes(content[:3000])
    assert shop.pull(ACCEPT) == 1
    assert "thrown away" in capsys.readouterr().err
    assert shop.pull(ACCEPT) == 0


def _rewritten(change: Callable[[zipfile.ZipFile], None]) -> Callable[[Shop, Path, Path], None]:
    def pack(shop: Shop, bundle: Path, tmp_path: Path) -> None:
        with zipfile.ZipFile(shop.archive, "a") as content:
            change(content)

    return pack


def _payload(shop: Shop, bundle: Path, tmp_path: Path) -> None:
    hostile = Path(shutil.copytree(bundle, tmp_path / "hostile"))
    torch.save({"model": Payload()}, hostile / "models" / "model.pt")
    shop.archive.unlink()
    zipped(hostile, shop.archive)


def _two(shop: Shop, bundle: Path, tmp_path: Path) -> None:
    zipped(bundle, shop.archive, inside="another")


def _none(shop: Shop, bundle: Path, tmp_path: Path) -> None:
    shop.archive.unlink()
    with zipfile.ZipFile(shop.archive, "w") as content:
        content.writestr("a/b/letter.txt", "Dear colleague")


def _no_archive(shop: Shop, bundle: Path, tmp_path: Path) -> None:
    shop.archive.write_bytes(b"Dear colleague")


REFUSED = {
    "a way out": (_rewritten(lambda content: content.writestr("../CANARY", "x")), "leads out"),
    "a root": (_rewritten(lambda content: content.writestr("/CANARY", "x")), "leads out"),
    "a payload": (_payload, "othing"),
    "two models": (_two, "holds several models"),
    "no model": (_none, "holds no model folder"),
    "a file for a folder": (
        _rewritten(lambda content: content.writestr("everywhere_ct/LICENSE/more", "x")),
        "can't be unpacked",
    ),
    "no archive": (_no_archive, "can't be unpacked"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_an_archive_that_is_refused_leaves_nothing(
    case: str,
    shop: Shop,
    bundle: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    pack, told = REFUSED[case]
    pack(shop, bundle, tmp_path)
    shop.state()
    assert shop.pull(ACCEPT) == 1
    assert told in capsys.readouterr().err
    assert (shop.installed(), shop.downloads()) == ([], [])
    assert not list(tmp_path.rglob("CANARY"))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_two_members_of_one_name_are_refused(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    with zipfile.ZipFile(shop.archive, "a") as content:
        content.writestr("everywhere_ct/LICENSE", "Another")
    shop.state()
    assert shop.pull(ACCEPT) == 1
    assert "two members share a name" in capsys.readouterr().err
    assert shop.installed() == []


def test_what_file_managers_leave_behind_is_left_out(shop: Shop) -> None:
    with zipfile.ZipFile(shop.archive, "a") as content:
        content.writestr("__MACOSX/everywhere_ct/._LICENSE", "x")
        content.writestr("everywhere_ct/.DS_Store", "x")
    shop.state()
    assert shop.pull(ACCEPT) == 0


def test_a_name_that_is_taken_is_told_before_anything_is_fetched(
    shop: Shop, capsys: pytest.CaptureFixture[str]
) -> None:
    assert shop.pull(ACCEPT) == 0
    for name in ("everywhere", "mr-hippocampus"):
        assert shop.pull(ACCEPT, "--name", name) == 2
        assert f"there is a model called {name} already" in capsys.readouterr().err
    assert shop.served.ranges == [None]
    assert shop.pull(ACCEPT, "--name", "another") == 0
    assert shop.installed() == ["another", "everywhere"]


def test_a_checked_archive_waits_for_a_missing_choice(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    assert shop.pull(ACCEPT, "--configuration", "../nothing") in (1, 2)
    capsys.readouterr()
    assert shop.pull(ACCEPT, "--name", "Not A Name") == 2
    assert (shop.installed(), shop.downloads()) == ([], [".zip"])
    fetched = len(shop.served.ranges)
    assert shop.pull(ACCEPT) == 0
    assert len(shop.served.ranges) == fetched
    assert shop.downloads() == []


def test_an_unknown_offer_is_told(shop: Shop, capsys: pytest.CaptureFixture[str]) -> None:
    shop.offer["name"] = "another"
    assert shop.pull(ACCEPT) == 2
    assert "offered: another" in capsys.readouterr().err


def test_being_led_away_from_https_is_refused(tmp_path: Path) -> None:
    class Leads(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            away = self.path == "/model.zip"
            self.send_response(302 if away else 200)
            if away:
                self.send_header("Location", f"http://localhost:{self.server.server_address[1]}/other")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            """Quiet."""

    server = HTTPServer(("127.0.0.1", 0), Leads)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        with pytest.raises(ModelError, match="isn't https"):
            fetch(f"http://127.0.0.1:{server.server_address[1]}/model.zip", tmp_path / "a.zip")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert list(tmp_path.iterdir()) == []
