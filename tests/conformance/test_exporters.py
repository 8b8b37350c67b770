"""Every registered exporter through the suite; those whose format has a known reader are read back too."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest

from tests.mesh_readers import READERS, SUFFIXES, read_back
from tomosurf.data.mesh import Scene
from tomosurf.export.exporter import Exporter
from tomosurf.registry import EXPORTERS
from tomosurf.testing.exporter_suite import GEOMETRY, ExporterSuite, example

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@pytest.fixture(params=EXPORTERS.names())
def exporter(request: pytest.FixtureRequest) -> Exporter:
    loaded = EXPORTERS.load(request.param)
    assert isinstance(loaded, Exporter)
    return loaded


class TestRegistered(ExporterSuite):
    """Each line of the registry."""


def of_suffix(*suffixes: str) -> list[str]:
    return [name for name in EXPORTERS if EXPORTERS.load(name).suffix in suffixes]


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("name", of_suffix(*SUFFIXES))
def test_meshes_read_back_where_they_were(name: str, reader: str, tmp_path: Path) -> None:
    exporter = EXPORTERS.load(name)
    content = example(exporter.content)
    path = tmp_path / f"some{exporter.suffix}"
    exporter.write(content, path)
    back = read_back(path, reader)
    meshes = content.meshes if isinstance(content, Scene) else (content,)
    expected = np.concatenate([mesh.vertices[mesh.faces] for mesh in meshes])
    assert np.abs(canonical(back.vertices[back.faces]) - canonical(expected)).max() < 1e-4


def canonical(triangles: np.ndarray) -> np.ndarray:
    """Triangles (m, 3, 3) in an order of their own, each from its least corner on, winding kept."""
    rounded = triangles.round(2)
    keys = rounded @ np.array([1e6, 1e3, 1.0])
    first = keys.argmin(axis=1)
    turned = np.stack([np.roll(t, -f, axis=0) for t, f in zip(triangles, first, strict=True)])
    return turned[np.lexsort(turned.round(2).reshape(-1, 9).T)]


@pytest.mark.parametrize("name", of_suffix(".nii.gz"))
def test_voxels_read_back_where_they_were(name: str, tmp_path: Path) -> None:
    exporter = EXPORTERS.load(name)
    content = example(exporter.content)
    path = tmp_path / "some.nii.gz"
    exporter.write(content, path)
    image = nibabel.load(path)
    array = content.array if exporter.content == "volume" else content.labels
    assert image.get_data_dtype() == array.dtype
    assert np.array_equal(np.asarray(image.dataobj), array)
    assert np.allclose(image.affine, LPS_TO_RAS @ GEOMETRY.affine, atol=1e-4)
