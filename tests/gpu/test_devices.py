"""A GPU gives the labels of a CPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tests.two_balls import grid, image
from tomosurf.config import NetworkMethod
from tomosurf.data.volume import Volume
from tomosurf.segment.network import segment
from tomosurf.segment.options import SegmentOptions
from tomosurf.train.decathlon import read_cases

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device"),
]

METHOD = NetworkMethod(method="network", model="mr-hippocampus")


def agree(volume: Volume) -> None:
    """The same labels; margins within a thousandth of a logit."""
    ours = segment(volume, METHOD, SegmentOptions(device="cuda"))
    theirs = segment(volume, METHOD, SegmentOptions(device="cpu"))
    assert np.array_equal(ours.labels, theirs.labels)
    assert ours.margins.keys() == theirs.margins.keys()
    for label, margin in ours.margins.items():
        np.testing.assert_allclose(margin.values, theirs.margins[label].values, atol=1e-3)
    assert ours.provenance["device"] != "cpu"


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.8, 1.1, 1.7)])
def test_phantoms(spacing: tuple[float, float, float]) -> None:
    agree(image(grid((36, 44, 30), spacing)))


def test_labelled_cases(shared_data: Path) -> None:
    folder = shared_data / "msd-hippocampus-208"
    if not folder.is_dir():
        pytest.skip("the hippocampus cases aren't among the shared data")
    for case in read_cases(folder, "MR")[:10]:
        agree(case.volume)


def test_a_run_on_the_gpu_twice_gives_the_same_labels() -> None:
    volume = image(grid((60, 70, 60), (1.0, 1.0, 1.0)))
    one, other = (segment(volume, METHOD, SegmentOptions(device="cuda")) for _ in range(2))
    assert one.labels.tobytes() == other.labels.tobytes()
