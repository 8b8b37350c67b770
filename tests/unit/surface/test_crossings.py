import numpy as np
import pytest

from tomosurf.surface.crossings import find_crossings


@pytest.mark.parametrize("seed", range(3))
def test_every_change_of_label_is_found_once_and_in_order(seed: int) -> None:
    labels = np.asfortranarray(np.random.default_rng(seed).integers(0, 3, (7, 5, 6), np.uint8))
    found = find_crossings(labels)
    assert found.shape == labels.shape
    for axis, starts in enumerate(found.starts):
        changes = np.argwhere(np.diff(labels.astype(int), axis=axis) != 0)
        flat = np.ravel_multi_index(tuple(changes.T), labels.shape, order="F")
        assert starts.tolist() == sorted(flat.tolist())
    assert len(found) == sum(map(len, found.starts))
