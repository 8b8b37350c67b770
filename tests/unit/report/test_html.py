from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.cases import ball_case, case_of, grid, segmentation, write
from tomosurf.data.manifest import Manifest
from tomosurf.data.volume import LedgerEntry
from tomosurf.report.html import number, page, told
from tomosurf.report.pictures import VIEWS, Picture
from tomosurf.testing.phantoms import Ball

VOID = {"meta", "img", "link", "br"}


class Reader(HTMLParser):
    """Collects text, links and images, and checks that tags are nested."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.links: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = dict(attrs)
        if tag == "a":
            self.links.append(known["href"] or "")
        if tag == "img":
            self.images.append(known)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.text += data


def read(html: str) -> Reader:
    reader = Reader()
    reader.feed(html)
    reader.close()
    assert reader.open == []
    return reader


@pytest.fixture
def manifest(tmp_path: Path) -> Manifest:
    return write(ball_case(), tmp_path, exports=("stl", "ply", "glb"))


def test_it_tells_what_is_there(manifest: Manifest) -> None:
    reader = read(page(manifest))
    assert "Research software, not a medical device" in reader.text
    assert "Every check passed" in reader.text
    (mesh,) = manifest.meshes
    assert number(mesh.volume_mm3) in reader.text
    assert number(mesh.volume_mm3 / 1000, 2) in reader.text
    assert number(mesh.triangles) in reader.text
    for expected in ("bright", "1001", manifest.identity, manifest.protocols[0].sha256):
        assert expected in reader.text


def test_links_lead_to_files_of_the_case(manifest: Manifest) -> None:
    links = set(read(page(manifest)).links)
    assert links <= {artifact.path for artifact in manifest.outputs} | {"manifest.json"}
    assert {"meshes/bright.stl", "meshes/bright.ply", "meshes/scene.glb", "manifest.json"} <= links


def test_nothing_is_loaded_from_anywhere(manifest: Manifest) -> None:
    html = page(manifest, [Picture(view, b"\x89PNG") for view in VIEWS])
    assert "http" not in html
    assert "<script" not in html
    images = read(html).images
    assert len(images) == 6
    assert all((i["src"] or "").startswith("data:image/png;base64,") and i["alt"] for i in images)


def test_findings_come_before_structures_and_errors_say_what_to_do(tmp_path: Path) -> None:
    shapes = {"bright": Ball((16.0, 0.0, 0.0), 6.0), "gone": Ball((500.0, 0.0, 0.0), 6.0)}
    text = read(page(write(case_of(segmentation(shapes, grid())), tmp_path))).text
    assert "Not for use" in text
    assert "What to do" in text
    assert text.index("gone was looked for and not found") < text.index("Structures")
    assert text.index("structure_present") < text.index("field_of_view")
    assert "not found: no surface" in text


def test_a_warning_alone_is_usable_with_care(tmp_path: Path) -> None:
    cut = case_of(segmentation({"bright": Ball((16.0, 0.0, 0.0), 6.0)}, grid()))
    assert "Usable with care" in read(page(write(cut, tmp_path))).text


def test_missing_pictures_are_explained(manifest: Manifest) -> None:
    text = read(page(manifest, (), "no OpenGL: install something")).text
    assert "No pictures." in text
    assert "no OpenGL: install something" in text


def test_everything_is_escaped(manifest: Manifest) -> None:
    record = replace(manifest.protocols[0], title="<script>alert(1)</script>")
    html = page(replace(manifest, protocols=(record,), study="<b>"), (), "<i>trouble</i>")
    assert "<script" not in html
    assert "<b>" not in html
    assert "<i>" not in html


def test_an_empty_case_has_a_page_too(manifest: Manifest) -> None:
    bare = replace(manifest, volumes=(), labels=(), meshes=(), protocols=(), outputs=(), inputs=())
    assert "Nothing was asked for" in read(page(bare)).text


def test_provenance_in_words() -> None:
    assert told({"a": [1, 2.5], "b": True}) == "a 1, 2.5, b yes"


def test_it_says_in_so_many_words_whether_slices_were_made_up(tmp_path: Path) -> None:
    def text(*ledger: LedgerEntry) -> str:
        case = ball_case(volumes=(replace(ball_case().volumes[0], ledger=ledger),))
        return " ".join(read(page(write(case, tmp_path))).text.split())

    nothing = "Nothing was repaired or interpolated."
    assert nothing in text()
    assert "is listed below" not in text()
    leaning = text(LedgerEntry("gantry_tilt", "slices lean"))
    assert nothing in leaning
    assert "is listed below" in leaning
    straightened = text(LedgerEntry("rectified", "shifted", (1, 2)))
    assert nothing not in straightened
    made = text(
        LedgerEntry("missing_slice", "2 missing", (4, 9)), LedgerEntry("interpolated_slice", "x", (4, 9))
    )
    assert nothing not in made
    assert "Slices were interpolated. 2 slices of series" in made
    assert "2 interpolated ones besides" in made
    assert "weren't acquired but interpolated (k = 4, 9" in made


def test_what_rounds_to_nothing_has_no_sign():
    assert number(-0.04, 1) == number(0.04, 1) == "0.0"
    assert number(-1234.56, 1) == "-1\u202f234.6"
