"""The exporter that docs/how-to/add-an-export-format.md writes passes the suite that the page promises."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tomosurf.export.exporter import Exporter
from tomosurf.testing.exporter_suite import ExporterSuite, example

PAGE = Path(__file__).parents[3] / "docs" / "how-to" / "add-an-export-format.md"


@pytest.fixture(scope="module")
def exporter() -> Exporter:
    (source,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    names: dict[str, object] = {"__name__": "obj"}
    exec(compile(source, str(PAGE), "exec"), names)  # noqa: S102  (our own page)
    found = names["EXPORTER"]
    assert isinstance(found, Exporter)
    return found


class TestThePagesExporter(ExporterSuite):
    def test_it_is_read_back_in_place(self, exporter: Exporter, tmp_path: Path) -> None:
        import trimesh

        mesh = example("mesh")
        exporter.write(mesh, tmp_path / "mesh.obj")
        read = trimesh.load(tmp_path / "mesh.obj")
        assert read.is_watertight and read.volume > 0
        assert read.centroid == pytest.approx(mesh.vertices.mean(axis=0), abs=1e-3)
