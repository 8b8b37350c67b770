"""Margins and labels from outputs that were written down by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.two_balls import description
from tomosurf.data.geometry import Geometry
from tomosurf.data.segmentation import Margin
from tomosurf.errors import DataError
from tomosurf.segment.grids import resample, thick_axis, turn
from tomosurf.segment.outputs.decision import Decision, decision_of
from tomosurf.segment.outputs.label_map import LabelMap
from tomosurf.segment.outputs.margins import MarginFields, labels_from_margins, on_voxels_of
from tomosurf.segment.outputs.part import Part, part_of
from tomosurf.segment.outputs.slab import Slab

LINE = Geometry((8, 1, 1), np.eye(4))


def one_part(logits: torch.Tensor, measured: np.ndarray | None = None) -> Part:
    """All of a grid at once."""
    return part_of(Slab(0, 0, logits), decision(logits), measured)


def decision(logits: torch.Tensor) -> Decision:
    """Two segments, whatever the number of channels."""
    return decision_of(description(channels=len(logits)))


def margins_of(part: Part, grid: Geometry) -> dict[int, Margin]:
    """The margins of a grid that came at once."""
    fields = MarginFields(grid, 0, decision(part.values))
    fields.add(part)
    return fields.margins()


def labels_on(image: Geometry, part: Part, grid: Geometry) -> np.ndarray:
    """Labels on another grid."""
    made = LabelMap(image, grid, decision(part.values), None)
    made.add(part)
    return made.labels


def line(*channels: list[float]) -> torch.Tensor:
    """Outputs along a row of eight voxels."""
    return torch.tensor(channels)[:, :, None, None]


def test_a_margin_is_the_lead_over_the_best_other_channel() -> None:
    logits = line([0.0] * 8, [-9, -9, -9, 2, 5, 1, -9, -9], [-9, -9, -9, -9, 1, 4, 3, -9])
    margins = margins_of(one_part(logits), LINE)
    assert margins[1].values[:, 0, 0].tolist() == [-9, -9, 2, 4, -3, -12]
    assert margins[1].geometry.origin.tolist() == [1, 0, 0]
    assert margins[2].values[:, 0, 0].tolist() == [-11, -4, 3, 3, -9]
    assert labels_from_margins(margins, LINE, 2)[:, 0, 0].tolist() == [0, 0, 0, 1, 1, 2, 2, 0]


def test_neighbours_share_their_boundary_exactly() -> None:
    logits = line([-9.0] * 8, [5, 5, 5, 1, -2, -5, -5, -5], [-5, -5, -5, -1, 3, 5, 5, 5])
    one, two = (margins_of(one_part(logits), LINE)[label] for label in (1, 2))
    ours, theirs = (m.values[:, 0, 0] for m in (one, two))
    first, second = (int(m.geometry.origin[0]) for m in (one, two))
    for x in (3, 4):
        assert ours[x - first] == -theirs[x - second]


def test_equal_outputs_name_nothing() -> None:
    assert margins_of(one_part(torch.zeros((3, 4, 4, 4))), Geometry((4, 4, 4), np.eye(4))) == {}


def test_a_channel_without_a_segment_is_background() -> None:
    logits = line([0.0] * 8, [-1.0] * 8, [-1.0] * 8, [-1, -1, 7, 7, 7, -1, -1, -1])
    logits[1, 3:6] = 5.0
    margins = margins_of(one_part(logits), LINE)
    assert labels_from_margins(margins, LINE, 2)[:, 0, 0].tolist() == [0, 0, 0, 0, 0, 1, 0, 0]
    assert labels_on(LINE, one_part(logits), LINE)[:, 0, 0].tolist() == [0, 0, 0, 0, 0, 1, 0, 0]


def test_nothing_is_named_where_nothing_was_measured() -> None:
    logits = line([0.0] * 8, [-4, -4, 6, 6, 6, 6, -4, -4], [-9.0] * 8)
    measured = np.array([True] * 4 + [False] * 4)[:, None, None]
    margins = margins_of(one_part(logits, measured), LINE)
    assert margins[1].values[:, 0, 0].tolist() == [-4, -4, 6, 6, -6, -6]
    assert labels_from_margins(margins, LINE, 2)[:, 0, 0].tolist() == [0, 0, 1, 1, 0, 0, 0, 0]


def test_labels_between_nodes_follow_the_interpolated_outputs() -> None:
    """A boundary a quarter of the way from node 3 to node 4, read on a grid eight times as fine."""
    logits = line([0.0] * 8, [-4, -4, -4, -1, 3, 3, -3, -4], [-9.0] * 8)
    fine = Geometry((57, 1, 1), np.diag([1 / 8, 1, 1, 1]))
    labels = labels_on(fine, one_part(logits), LINE)
    x = fine.to_world(np.argwhere(labels))[:, 0]
    # Zero lies at 3.25 and at 5.5.
    assert (x.min(), x.max()) == (3.375, 5.375)


def test_margins_turn_with_the_axes_of_the_image() -> None:
    logits = torch.full((3, 6, 5, 4), -1.0)
    logits[0], logits[1, 1:3, 2, 1] = 0.0, torch.tensor([2.0, 3.0])
    source = Geometry((6, 5, 4), np.eye(4))
    change = np.array([[0, 0, -1, 5], [1, 0, 0, 0], [0, -1, 0, 3], [0, 0, 0, 1.0]])
    image = Geometry((5, 4, 6), change)
    margin = margins_of(one_part(logits), source)[1]
    own = on_voxels_of(image, margin)
    assert own.values.flags.f_contiguous
    for value in (2.0, 3.0):
        before = margin.geometry.to_world(np.argwhere(margin.values == value))
        np.testing.assert_allclose(own.geometry.to_world(np.argwhere(own.values == value)), before)
    labels = labels_from_margins({1: own}, image, 2)
    np.testing.assert_allclose(
        np.sort(image.to_world(np.argwhere(labels)), axis=0), [[1, 2, 1], [2, 2, 1]], atol=1e-12
    )
    with pytest.raises(DataError, match="doesn't share"):
        on_voxels_of(Geometry((6, 5, 4), np.diag([0.9, 1, 1, 1])), margin)


def test_a_turn_is_only_a_turn() -> None:
    source = Geometry((6, 5, 4), np.diag([1.0, 2.0, 3.0, 1.0]))
    flipped = Geometry((6, 5, 4), np.array([[-1, 0, 0, 5], [0, 2, 0, 0], [0, 0, 3, 0], [0, 0, 0, 1.0]]))
    assert turn(source, source) == ((0, 1, 2), (False, False, False))
    assert turn(source, flipped) == ((0, 1, 2), (True, False, False))
    for affine in (
        np.diag([1.0, 2.0, 3.01, 1.0]),
        np.array([[1, 0, 0, 0.01], [0, 2, 0, 0], [0, 0, 3, 0], [0, 0, 0, 1.0]]),
        np.diag([2.0, 2.0, 3.0, 1.0]),
    ):
        assert turn(source, Geometry((6, 5, 4), affine)) is None
    assert turn(source, Geometry((5, 5, 4), source.affine)) is None


def test_resampling_reads_a_linear_field_exactly() -> None:
    """Trilinear interpolation knows linear fields; beyond the outermost centres it repeats them."""
    source = Geometry((9, 8, 7), np.array([[1.5, 0, 0, -3], [0, 1, 0.4, 2], [0, 0, 2, 1], [0, 0, 0, 1.0]]))
    index = np.stack(np.meshgrid(*(np.arange(n) for n in source.shape), indexing="ij"), axis=-1)
    slope = np.array([1.0, -2.0, 0.5])
    field = (source.to_world(index.reshape(-1, 3)) @ slope).reshape(source.shape)
    channels = torch.from_numpy(np.stack([field, -field]).astype(np.float32))
    middle = source.to_world([[4, 3.5, 3]])[0]
    target = Geometry((4, 3, 5), np.diag([0.7, 0.6, 0.5, 1]) + np.outer([*(middle - 1), 0], [0, 0, 0, 1]))
    places = np.stack(np.meshgrid(*(np.arange(n) for n in target.shape), indexing="ij"), axis=-1)
    expected = (target.to_world(places.reshape(-1, 3)) @ slope).reshape(target.shape)
    read = resample(channels, source, target).numpy()
    np.testing.assert_allclose(read, np.stack([expected, -expected]), atol=1e-4)
    far = Geometry((1, 1, 1), np.eye(4) + np.outer([*(source.origin - [99, 0, 0]), 0], [0, 0, 0, 1]))
    assert float(resample(channels, source, far)[0]) == pytest.approx(field[0, 0, 0], abs=1e-4)
    assert float(resample(torch.ones((1, 9, 8, 7)), source, far, "nearest")) == 0


def test_thick_slices_follow_nnunets_rule() -> None:
    assert thick_axis((1.0, 1.0, 3.1), (1.0, 1.0, 1.0)) == 2
    assert thick_axis((1.0, 1.0, 3.0), (1.0, 1.0, 1.0)) is None
    assert thick_axis((1.0, 1.0, 1.0), (4.0, 1.0, 1.0)) == 0
    assert thick_axis((1.0, 4.0, 4.0), (1.0, 1.0, 5.0)) is None
