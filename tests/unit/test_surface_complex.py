import numpy as np
import pytest

from tomosurf.data.complex import SurfaceComplex
from tomosurf.errors import DataError
from tomosurf.testing.segmentations import segment

# Two tetrahedra, labels 1 (below) and 2 (above), that share the triangle of vertices 0, 1, 2.
VERTICES = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0.3, 0.3, -1], [0.3, 0.3, 1]], np.float64)
FACES = np.array([[0, 2, 1], [3, 1, 0], [3, 2, 1], [3, 0, 2], [1, 4, 0], [2, 4, 1], [0, 4, 2]], np.int32)
SIDES = np.array([[2, 1], [1, 0], [1, 0], [1, 0], [2, 0], [2, 0], [2, 0]], np.uint16)


def volume(vertices: np.ndarray, faces: np.ndarray) -> float:
    a, b, c = (vertices[faces[:, n]] for n in range(3))
    return float((a * np.cross(b, c)).sum() / 6)


def test_each_label_gets_its_closed_surface_wound_outwards() -> None:
    complex_ = SurfaceComplex(VERTICES, FACES, SIDES, {"number": np.arange(5)})
    assert complex_.labels == (1, 2)
    for label, expected in ((1, [0, 1, 2, 3]), (2, [0, 1, 2, 4])):
        mesh = complex_.mesh(segment(label))
        assert mesh.vertex_data["number"].tolist() == expected
        assert volume(mesh.vertices, mesh.faces) == pytest.approx(1 / 6)


def test_walls_are_equal_to_the_bit() -> None:
    complex_ = SurfaceComplex(VERTICES / 3, FACES, SIDES)
    one, other = (complex_.mesh(segment(label)).vertices[:3].tobytes() for label in (1, 2))
    assert one == other


@pytest.mark.parametrize(
    ("faces", "sides", "message"),
    [
        (FACES, SIDES[:, ::-1].copy(), "larger label"),
        (FACES, SIDES[1:], "one pair a face"),
        (FACES + np.int32(1), SIDES, "no vertex"),
        (FACES.astype(np.int64), SIDES, "int32"),
    ],
)
def test_what_is_no_complex_is_refused(faces: np.ndarray, sides: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        SurfaceComplex(VERTICES, faces, sides)
