from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from tomosurf.surface.bends import Groups, Stride, beside, groups_of, packed, relax
from tomosurf.surface.fractions import CLEARANCE

COUNT = 40
Values = NDArray[np.float32]


def stride_of(seed: int, share: float = 0.6) -> Stride:
    """Links that lead anywhere, many of them not back."""
    random = np.random.default_rng(seed)
    onward = random.integers(0, COUNT, (4, COUNT)).astype(np.int32)
    chain = np.arange(COUNT, dtype=np.int32)
    onward[0], onward[1] = np.roll(chain, 1), np.roll(chain, -1)  # along the first axis all do
    onward[random.random((4, COUNT)) > share] = -1
    both = np.stack([(onward[:2] >= 0).all(axis=0), (onward[2:] >= 0).all(axis=0)])
    bent = both & (random.random((2, COUNT)) < 0.5)
    moves = bent.copy()
    for w in range(2):
        for c in range(COUNT):
            moves[w, c] |= (
                beside(onward, bent, w, c, 2 * w) >= 0 or beside(onward, bent, w, c, 2 * w + 1) >= 0
            )
    moves &= random.random((2, COUNT)) < 0.8
    return Stride(onward, moves, bent)


def plainly(stride: Stride, heights: Values, middles: Values, rounds: int, nearly: float) -> Values:
    """The same steps, column by column, all of them at once."""
    onward, moves, bent = stride
    one, room = np.float32, np.float32(0.5 - CLEARANCE)
    now, ahead = heights.copy(), heights.copy()
    for done in range(rounds):
        bends = np.zeros((2, COUNT), np.float32)
        for w, c in zip(*np.nonzero(bent), strict=True):
            back, forth = onward[2 * w, c], onward[2 * w + 1, c]
            bends[w, c] = ahead[c] - one(0.5) * (ahead[back] + ahead[forth])
            if nearly:
                bends[w, c] *= max(one(0), one(1) - (bends[w, c] / one(nearly)) ** 2) ** 2
        before = now.copy()
        for c in range(COUNT):
            slope, stiffness = one(0), one(0)
            for w in range(2):
                if moves[w, c]:
                    parts = [beside(onward, bent, w, c, way) for way in (2 * w, 2 * w + 1)]
                    slope += bends[w, c] - one(0.5) * sum((bends[w, n] for n in parts if n >= 0), one(0))
                    stiffness += one(3) * bent[w, c] + one(0.75) * sum(n >= 0 for n in parts)
            if stiffness:
                now[c] = min(max(ahead[c] - slope / stiffness, middles[c] - room), middles[c] + room)
        moved = moves.any(axis=0)
        ahead[moved] = now[moved] + one(done / (done + 3)) * (now - before)[moved]
    return now


def in_groups(
    strides: tuple[Stride, ...], heights: Values, middles: Values, rounds: int, nearly: float
) -> tuple[Values, Groups]:
    groups = groups_of(strides)
    found, some = heights.copy(), heights[groups.order]
    for stride in strides:
        relax(some, middles[groups.order], packed(stride, groups), groups, rounds, np.float32(nearly))
    found[groups.order] = some
    return found, groups


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.3, 0.6, 0.95]), st.sampled_from([0.0, 0.4]))
def test_groups_by_themselves_move_as_all_columns_together(seed: int, share: float, nearly: float) -> None:
    strides = (stride_of(seed, share), stride_of(seed + 1, share))
    random = np.random.default_rng(seed + 2)
    middles = random.integers(0, 3, COUNT).astype(np.float32)
    heights = (middles + random.uniform(-0.49, 0.49, COUNT)).astype(np.float32)
    found, _ = in_groups(strides, heights, middles, 6, nearly)
    wanted = heights
    for stride in strides:
        wanted = plainly(stride, wanted, middles, 6, nearly)
    np.testing.assert_allclose(found, wanted, atol=2e-6)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from([0.2, 0.5]))
def test_groups_are_those_that_bends_join(seed: int, share: float) -> None:
    strides = (stride_of(seed, share), stride_of(seed + 1, share))
    groups = groups_of(strides)
    joined = np.zeros((COUNT, COUNT), bool)
    for onward, moves, bent in strides:
        for w in range(2):
            for c in range(COUNT):
                for n in onward[2 * w : 2 * w + 2, c]:
                    joined[c, n] |= n >= 0 and bool(bent[w, c] or (moves[w, c] and bent[w, n]))
    _, names = connected_components(coo_array(joined), directed=False)
    sizes = np.bincount(names)
    assert sorted(groups.order) == list(np.flatnonzero(sizes[names] > 1))
    parts = [groups.order[a:b] for a, b in zip(groups.firsts, groups.firsts[1:], strict=False)]
    assert sorted(map(len, parts)) == sorted(size for size in sizes if size > 1)
    for part in parts:
        assert len(set(names[part])) == 1
    assert (groups.order[groups.number[groups.order]] == groups.order).all()


@pytest.mark.parametrize("offset", [0.0, 400.0])
def test_a_line_stays_and_a_zigzag_becomes_one(offset: float) -> None:
    chain = np.arange(COUNT, dtype=np.int32)
    onward = np.full((4, COUNT), -1, np.int32)
    onward[0, 1:], onward[1, :-1] = chain[:-1], chain[1:]
    bent = np.zeros((2, COUNT), bool)
    bent[0, 1:-1] = True
    stride = Stride(onward, bent, bent)
    line = (offset + 0.013 + 0.05 * chain).astype(np.float32)
    middles = np.round(line)
    still, _ = in_groups((stride,), line, middles, 8, 0.0)
    np.testing.assert_allclose(still, line, atol=2e-4)
    zigzag = line + np.where(chain % 2, 0.02, -0.02).astype(np.float32)
    zigzag[[0, -1]] = line[[0, -1]]
    found, _ = in_groups((stride,), zigzag, line, 24, 0.0)
    assert np.abs(found - line).max() < 0.1 * 0.02 + 2e-4
