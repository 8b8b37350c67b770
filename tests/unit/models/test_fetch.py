"""Fetching over a real server: whole, resumed, refused."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.file_server import Served, serving
from tomosurf.errors import ConfigError, ModelError, UnknownNameError
from tomosurf.models import fetch as module
from tomosurf.models.fetch import digest, fetch
from tomosurf.models.offers import find_offer, load_offers

CONTENT = np.random.default_rng(0).bytes(3 << 20)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Served]:
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "model.zip").write_bytes(CONTENT)
    with serving(folder) as served:
        yield served


def test_a_file_arrives_whole_and_progress_reaches_the_end(server: Served, tmp_path: Path) -> None:
    seen: list[float] = []
    path = fetch(server.address("model.zip"), tmp_path / "a.zip", lambda _, part: seen.append(part))
    assert path.read_bytes() == CONTENT
    assert digest(path, "sha256") == hashlib.sha256(CONTENT).hexdigest()
    assert seen == sorted(seen)
    assert seen[-1] == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.zip", "served"]


def test_what_broke_off_is_gone_on_with(server: Served, tmp_path: Path) -> None:
    server.break_after = 1_500_000
    with pytest.raises(ModelError, match="goes on from where it stopped"):
        fetch(server.address("model.zip"), tmp_path / "a.zip")
    have = (tmp_path / "a.zip.part").stat().st_size
    assert 0 < have < len(CONTENT)
    assert fetch(server.address("model.zip"), tmp_path / "a.zip").read_bytes() == CONTENT
    assert server.ranges == [None, f"bytes={have}-"]


def test_a_server_that_cannot_resume_sends_it_again(server: Served, tmp_path: Path) -> None:
    (tmp_path / "a.zip.part").write_bytes(b"x" * 1000)
    server.resumes = False
    assert fetch(server.address("model.zip"), tmp_path / "a.zip").read_bytes() == CONTENT


def test_a_part_longer_than_the_file_is_thrown_away(server: Served, tmp_path: Path) -> None:
    (tmp_path / "a.zip.part").write_bytes(CONTENT + b"more")
    assert fetch(server.address("model.zip"), tmp_path / "a.zip").read_bytes() == CONTENT


def test_what_cannot_be_had_is_told(server: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError, match="answers 404"):
        fetch(server.address("other.zip"), tmp_path / "a.zip")
    with pytest.raises(ModelError, match="can't be reached"):
        fetch("http://127.0.0.1:9/model.zip", tmp_path / "a.zip")
    monkeypatch.setattr(module, "MOST_BYTES", 1 << 20)
    with pytest.raises(ModelError, match="at most 1048576"):
        fetch(server.address("model.zip"), tmp_path / "a.zip")
    assert not (tmp_path / "a.zip").exists()


def test_the_shipped_catalogue_is_sound() -> None:
    offers = load_offers()
    assert len(offers) >= 15
    assert all(offer.address.startswith("https://") for offer in offers.values())
    assert all(offer.licence and offer.publisher for offer in offers.values())
    assert len({offer.address for offer in offers.values()}) == len(offers)
    with pytest.raises(UnknownNameError, match="spleen-ct"):
        find_offer("nothing")


def test_a_catalogue_may_not_lead_elsewhere(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    for address in ("file:///etc/passwd", "http://example.org/a.zip", "ftp://example.org/a.zip"):
        path.write_text(
            "offers: [{name: a, title: A, segments: a, modality: CT, licence: L, publisher: P,"
            f" address: '{address}'}}]"
        )
        with pytest.raises(ConfigError, match="address"):
            load_offers(path)
