"""Doubt is the probability that a label is wrong; calibration makes it so."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from tests.unit.segment.outputs.test_collect import GRID, collected, model, random_logits, scaled, volume
from tomosurf.data.geometry import Geometry
from tomosurf.errors import DataError
from tomosurf.segment.model.spec import Calibration
from tomosurf.segment.outputs.calibrate import (
    Sample,
    calibrate,
    calibration_error,
    fit_temperature,
    sample_near_boundary,
)
from tomosurf.segment.outputs.collect import collect
from tomosurf.segment.outputs.decision import decision_of, leaders_of
from tomosurf.segment.outputs.doubt import moderation, probability_wrong, trust_of
from tomosurf.segment.outputs.slab import Slab
from tomosurf.segment.prepare.prepare import Prepared

SOFTMAX, SIGMOID = model((1, 2, 3), 5), model((1, 2), 3, regions=(2, 1, 2))


def whole(found: object) -> np.ndarray:
    """Doubt on all of GRID."""
    doubt = found.doubt  # type: ignore[attr-defined]
    values = np.zeros(GRID.shape, np.float16)
    start = np.rint(GRID.to_index([doubt.geometry.origin])[0]).astype(int)
    values[tuple(slice(a, a + n) for a, n in zip(start, doubt.values.shape, strict=True))] = doubt.values
    return values


def test_doubt_is_one_less_the_probability_of_the_label() -> None:
    """Channel 4 has no segment: it is background, and no doubt between it and channel 0."""
    logits = random_logits(5, GRID.shape)
    found = collected(logits, GRID, GRID, SOFTMAX)
    p = logits.double().softmax(dim=0).numpy()
    labels = np.array([0, 1, 2, 3, 0])[logits.argmax(dim=0).numpy()]
    right = np.where(labels == 0, p[0] + p[4], np.take_along_axis(p, labels[None], 0)[0])
    expected = 1 - right
    ours = whole(found).astype(float)
    assert np.abs(ours - np.where(expected >= 1 / 512, expected, 0)).max() < 1e-3
    assert ((ours == 0) | (ours >= 1 / 512)).all()
    assert found.doubt.calibrated is False
    assert found.doubt.sources == ("network",)


def test_regions_are_right_when_the_last_that_is_on_is() -> None:
    logits = random_logits(3, GRID.shape)
    on = logits.double().sigmoid().numpy()
    last = np.stack([1 - on, on])
    label_2 = on[2] + on[0] * last[0, 1] * last[0, 2]
    label_1 = on[1] * last[0, 2]
    right = np.stack([1 - label_1 - label_2, label_1, label_2])
    found = collected(logits, GRID, GRID, SIGMOID)
    expected = 1 - np.take_along_axis(right, found.labels[None].astype(int), 0)[0]
    assert np.abs(whole(found) - np.where(expected >= 1 / 512, expected, 0)).max() < 1e-3


def test_a_temperature_is_read_from_the_description() -> None:
    logits = random_logits(5, GRID.shape)
    spec = SOFTMAX.model_copy(update={"calibration": Calibration(temperature=2.0, error=0.01, cases=3)})
    warm, plain = collected(logits, GRID, GRID, spec), collected(logits / 2, GRID, GRID, SOFTMAX)
    assert warm.doubt.calibrated is True
    assert np.array_equal(whole(warm), whole(plain))
    assert np.array_equal(warm.labels, plain.labels)


def test_doubt_of_outputs_on_another_grid_stays_on_the_networks() -> None:
    found = collected(random_logits(5, GRID.shape), GRID, scaled(GRID, (20, 20, 20)), SOFTMAX)
    assert found.doubt.geometry.spacing == pytest.approx(GRID.spacing)


def test_certain_outputs_leave_no_doubt() -> None:
    logits = torch.zeros((5, *GRID.shape))
    logits[0] = 30
    doubt = collected(logits, GRID, GRID, SOFTMAX).doubt
    assert not doubt.values.any()
    assert doubt.values.size == 1


def test_disagreement_widens_doubt_as_an_average_over_members_would() -> None:
    """MacKay's formula against the mean of the logistic function over a normal distribution."""
    random = torch.Generator().manual_seed(0)
    for margin, spread in ((0.5, 1.0), (2.0, 1.0), (3.0, 2.0)):
        members = margin + spread * torch.randn(200_000, generator=random)
        wider = moderation(torch.tensor(spread), 1.0)
        assert float((margin / wider).sigmoid()) == pytest.approx(float(members.sigmoid().mean()), abs=0.01)
    assert float(moderation(torch.tensor(2.0), 4.0)) == pytest.approx(math.sqrt(1 + math.pi / 32))


def test_spread_makes_doubt_larger_and_leaves_labels() -> None:
    logits = random_logits(5, GRID.shape)
    seen = Prepared(np.zeros(1), GRID)
    plain = collected(logits, GRID, GRID, SOFTMAX)
    slab = Slab(0, 0, logits.clone(), torch.full(GRID.shape, 2.0))
    wide = collect([slab], seen, volume(GRID), SOFTMAX, trust_of(SOFTMAX, folds=5))
    assert np.array_equal(wide.labels, plain.labels)
    assert wide.doubt.sources == ("network", "folds")
    assert (whole(wide) >= whole(plain)).mean() > 0.99
    assert whole(wide).mean() > 1.2 * whole(plain).mean()


def drawn(temperature: float, count: int, seed: int, spec: object = SOFTMAX) -> Sample:
    """Outputs, and labels drawn with exactly the probabilities that they have at ``temperature``."""
    random = torch.Generator().manual_seed(seed)
    decision = decision_of(spec)  # type: ignore[arg-type]
    channels = len(decision.labels) - (decision.activation == "sigmoid")
    values = torch.randn((channels, count), generator=random) * 3 * temperature
    p = decision.log_probabilities(values / temperature).exp()
    choices = torch.multinomial(p.T, 1, generator=random).flatten()
    return Sample(values, torch.tensor(decision.labels, dtype=torch.int32)[choices])


@pytest.mark.parametrize("spec", [SOFTMAX, SIGMOID])
@pytest.mark.parametrize("temperature", [0.5, 1.0, 1.7, 4.0])
def test_a_known_temperature_is_found_again(spec: object, temperature: float) -> None:
    decision = decision_of(spec)  # type: ignore[arg-type]
    samples = [drawn(temperature, 60_000, seed, spec) for seed in range(2)]
    assert fit_temperature(samples, decision) == pytest.approx(temperature, rel=0.02)
    assert calibration_error(samples, decision, temperature) < 0.005
    assert calibration_error(samples, decision, temperature * 2) > 0.05


def test_doubt_of_calibrated_outputs_is_how_often_labels_are_wrong() -> None:
    decision, sample = decision_of(SOFTMAX), drawn(1.0, 200_000, 5)
    winner = leaders_of(sample.values[..., None, None], decision).winner.flatten()
    wrong = probability_wrong(sample.values, winner, decision, torch.tensor(1.0))
    happened = torch.tensor(decision.labels)[winner.long()] != sample.labels
    for low, high in ((0, 0.05), (0.05, 0.2), (0.2, 0.5), (0.5, 0.8)):
        here = (wrong >= low) & (wrong < high)
        assert float(happened[here].float().mean()) == pytest.approx(float(wrong[here].mean()), abs=0.01)


def test_calibrating_gives_what_a_description_holds() -> None:
    found = calibrate([drawn(1.5, 20_000, seed) for seed in range(4)], decision_of(SOFTMAX))
    assert found.temperature == pytest.approx(1.5, rel=0.02)
    assert found.error < 0.01
    assert found.cases == 4


def test_only_voxels_near_a_boundary_count() -> None:
    labels = np.zeros((20, 3, 3), np.uint8)
    labels[10:] = 1
    values = torch.arange(20.0)[:, None, None].expand(2, 20, 3, 3)
    near = sample_near_boundary(values, labels, (0.8, 1, 1))
    assert sorted(set(near.values[0].tolist())) == [8, 9, 10, 11]
    assert near.labels.tolist() == [0] * 18 + [1] * 18


def test_what_can_not_be_calibrated_is_refused() -> None:
    decision = decision_of(SOFTMAX)
    nothing = sample_near_boundary(torch.zeros((5, 4, 4, 4)), np.zeros((4, 4, 4), np.uint8), (1, 1, 1))
    with pytest.raises(DataError, match="nothing to calibrate"):
        fit_temperature([nothing], decision)
    with pytest.raises(DataError, match="two cases"):
        calibrate([drawn(1, 100, 0)], decision)
    with pytest.raises(DataError, match="differ in shape"):
        sample_near_boundary(torch.zeros((5, 4, 4, 4)), np.zeros((4, 4, 5), np.uint8), (1, 1, 1))


def test_geometry_of_doubt_has_the_axes_of_the_image() -> None:
    turned = scaled(GRID, (9, 8, 11), (1, 2, 0))
    found = collected(random_logits(5, GRID.shape), GRID, turned, SOFTMAX)
    plain = collected(random_logits(5, GRID.shape), GRID, GRID, SOFTMAX)
    assert isinstance(found.doubt.geometry, Geometry)
    np.testing.assert_allclose(found.doubt.geometry.directions, turned.directions, atol=1e-12)
    for index in np.argwhere(found.doubt.values > 0.4)[:20]:
        place = plain.doubt.geometry.to_index(found.doubt.geometry.to_world([index]))[0]
        at = tuple(np.rint(place).astype(int))
        assert plain.doubt.values[at] == found.doubt.values[tuple(index)]


def test_doubt_says_what_it_comes_from() -> None:
    mirrored = model((1, 2), 3, mirror_axes=(0,))
    assert trust_of(SOFTMAX, mirrored=True).sources == ("network",)
    assert trust_of(mirrored, mirrored=True, folds=2).sources == ("network", "mirrors", "folds")


def test_doubtful_volume_is_the_shell_around_a_boundary() -> None:
    """A plane whose margin rises by 1 a mm: doubt is 0.25 at ln 3 mm on either side; at T = 2 twice as far."""
    grid = Geometry((201, 10, 10), np.diag([0.1, 1.0, 1.0, 1.0]))
    depth = (torch.arange(201.0) * 0.1 - 10.03)[:, None, None].expand(201, 10, 10)
    logits = torch.stack([torch.zeros_like(depth), depth, depth - 50])
    for temperature in (1.0, 2.0):
        calibration = Calibration(temperature=temperature, error=0.0, cases=2)
        spec = model((1, 2), 3).model_copy(update={"calibration": calibration})
        found = collected(logits, grid, grid, spec)
        assert found.doubtful_mm3 == {1: pytest.approx(2 * math.log(3) * temperature * 100, abs=20)}


@pytest.mark.parametrize("spec", [SOFTMAX, SIGMOID])
def test_doubtful_voxels_count_for_all_who_may_have_them(spec: object) -> None:
    """By the probabilities of all labels; in slabs the same as at once."""
    logits = random_logits(spec.channels, GRID.shape)  # type: ignore[attr-defined]
    decision = decision_of(spec)  # type: ignore[arg-type]
    p = decision.log_probabilities(logits.double()).exp().numpy()
    winner = np.array([score.numpy() for _, score in sorted_scores(decision, logits)]).argmax(axis=0)
    most = np.take_along_axis(p, winner[None], 0)[0]
    labels = np.array(decision.labels)
    right = np.where(labels[:, None, None, None] == labels[winner], p, 0).sum(axis=0)
    expected = {}
    for label in sorted(set(decision.labels) - {0}):
        may = (p[labels == label] >= most / 3).any(axis=0) & (1 - right >= 0.25)
        expected[label] = may.sum() * GRID.voxel_volume
    for cut in ((0, 99), (1, 2)):
        found = collected(logits, GRID, GRID, spec, cut)  # type: ignore[arg-type]
        assert found.doubtful_mm3 == {
            label: pytest.approx(size, rel=0.01) for label, size in expected.items()
        }


def sorted_scores(decision: object, logits: torch.Tensor) -> list[tuple[int, torch.Tensor]]:
    """All choices' scores in the order of their numbers."""
    return sorted(decision.scores(logits), key=lambda pair: pair[0])  # type: ignore[attr-defined]
