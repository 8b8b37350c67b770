"""What a flow keeps on disk between tasks comes back exactly."""

from __future__ import annotations

import numpy as np

from tomosurf import store
from tomosurf.data.geometry import Geometry
from tomosurf.data.mesh import Scene, SurfaceMesh
from tomosurf.data.segmentation import Code, Doubt, Margin, Segment, Segmentation
from tomosurf.data.volume import LedgerEntry, Volume

GRID = Geometry(
    (4, 3, 2), np.array([[0.1, 0.2, 0, 7], [0, 1 / 3, 0, 1e-9], [0, 0, 2, -3], [0, 0, 0, 1]]), "1.2.3"
)
SEGMENT = Segment(3, "left-lung", Code("1", "Lung"), (1, 2, 3))


def same_geometry(a: Geometry, b: Geometry) -> bool:
    return (
        a.shape == b.shape
        and np.array_equal(a.affine, b.affine)
        and a.frame_of_reference_uid == b.frame_of_reference_uid
    )


def test_volume(tmp_path):
    array = np.arange(24, dtype=np.int16).reshape(GRID.shape, order="F")
    ledger = (LedgerEntry("pixel_padding", "as told", (0, 1)),)
    before = Volume(GRID, array, "CT", "HU", ledger, array > 20, "abc", "L", "EchoTime 2.46", True)
    after = store.load_volume(store.save_volume(before, tmp_path / "v.npz"))
    assert same_geometry(after.geometry, GRID)
    assert np.array_equal(after.array, array) and after.array.dtype == np.int16
    assert after.array.flags.f_contiguous
    assert np.array_equal(after.padding, array > 20)
    names = ("modality", "unit", "ledger", "series", "laterality", "phase", "head")
    assert [getattr(after, name) for name in names] == [getattr(before, name) for name in names]


def test_segmentation(tmp_path):
    labels = np.zeros(GRID.shape, np.uint16)
    labels[1, 1, 1] = 3
    margin = Margin(
        GRID.cropped((0, 1, 0), (2, 2, 2)), np.linspace(-1, 1, 8, dtype=np.float32).reshape(2, 2, 2)
    )
    before = Segmentation(GRID, labels, (SEGMENT,), {3: margin}, "p", "s", {"levels": {"a": 1.5}})
    after = store.load_segmentation(store.save_segmentation(before, tmp_path / "s.npz"))
    assert np.array_equal(after.labels, labels) and after.labels.dtype == np.uint16
    assert after.segments == before.segments
    assert np.array_equal(after.margins[3].values, margin.values)
    assert same_geometry(after.margins[3].geometry, margin.geometry)
    assert (after.protocol, after.series, dict(after.provenance)) == ("p", "s", {"levels": {"a": 1.5}})


def test_doubt(tmp_path):
    labels = np.zeros(GRID.shape, np.uint8)
    values = np.linspace(0, 0.9, 8).astype(np.float16).reshape(2, 2, 2)
    doubt = Doubt(GRID.cropped((1, 0, 0), (2, 2, 2)), values, True, ("network", "folds"))
    before = Segmentation(GRID, labels, (SEGMENT,), doubt=doubt)
    after = store.load_segmentation(store.save_segmentation(before, tmp_path / "s.npz")).doubt
    assert np.array_equal(after.values, values) and after.values.dtype == np.float16
    assert same_geometry(after.geometry, doubt.geometry)
    assert (after.calibrated, after.sources) == (True, ("network", "folds"))
    nothing = Segmentation(GRID, labels, (SEGMENT,))
    assert store.load_segmentation(store.save_segmentation(nothing, tmp_path / "n.npz")).doubt is None


def test_scene(tmp_path):
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 1 / 3]], np.float64)
    mesh = SurfaceMesh(
        vertices, np.array([[0, 1, 2]], np.int32), SEGMENT, {"fov_cut": np.array([0, 1, 0], np.uint8)}
    )
    after = store.load_scene(store.save_scene(Scene((mesh,), GRID), tmp_path / "m.npz"))
    assert np.array_equal(after.meshes[0].vertices, vertices)
    assert np.array_equal(after.meshes[0].faces, mesh.faces)
    assert after.meshes[0].segment == SEGMENT
    assert after.meshes[0].vertex_data["fov_cut"].tolist() == [0, 1, 0]
    assert after.geometry is not None and same_geometry(after.geometry, GRID)
    assert store.load_scene(store.save_scene(Scene(()), tmp_path / "e.npz")).meshes == ()
