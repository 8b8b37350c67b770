"""A recorded step of training does what the same step does without a graph."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.two_balls import training, write_data
from tomosurf.train.batches import CaseStack, stack_cases
from tomosurf.train.decathlon import read_cases
from tomosurf.train.draws import seed_of
from tomosurf.train.ranks import Ranks
from tomosurf.train.step import Learner

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device"),
]


def losses(stack: CaseStack, compiled: bool) -> list[float]:
    """Of twenty steps, from the same weights and draws."""
    config = training(steps=20, compiled=compiled)
    learner = Learner(config, torch.device("cuda"), Ranks())
    found = []
    for step in range(config.steps):
        batch = stack.batch(stack.draw(step, config.batch_size, config.seed, config.foreground))
        learner.step(batch, seed_of(config.seed, "change", step), config.learning_rate)
        found.append(float(learner.total))
        learner.total.zero_()
    return found


def test_a_recorded_step_learns_like_another(tmp_path: Path) -> None:
    write_data(tmp_path, cases=4)
    stack = stack_cases(read_cases(tmp_path, "MR"), training().model, torch.device("cuda"))
    plain, recorded = losses(stack, compiled=False), losses(stack, compiled=True)
    assert plain[-1] < plain[0]
    assert len({round(loss, 6) for loss in recorded}) == len(recorded)
    assert recorded == pytest.approx(plain, rel=0.02)
