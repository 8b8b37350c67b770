"""A training run from its configuration to a model's folder with its figures."""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from tomosurf.errors import ConfigError
from tomosurf.progress import Progress
from tomosurf.segment.device import choose_device
from tomosurf.segment.model.library import rewrite
from tomosurf.segment.model.spec import ModelSpec, load_spec
from tomosurf.segment.options import SegmentOptions
from tomosurf.segment.outputs.calibrate import Sample, calibrate
from tomosurf.segment.outputs.decision import decision_of
from tomosurf.train.batches import CaseStack, stack_cases
from tomosurf.train.calibration import samples_of
from tomosurf.train.config import TrainingConfig, load_training
from tomosurf.train.curves import draw_curves
from tomosurf.train.decathlon import LabelledCase, dealt, read_cases
from tomosurf.train.distil import answers
from tomosurf.train.fit import Point, Run, fit
from tomosurf.train.publish import write_model
from tomosurf.train.ranks import Ranks, joined
from tomosurf.train.score import Scores, figures, score
from tomosurf.whole_file import whole_file


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to train: the model of one ``fold``, those of all ``folds`` and then one on every case, or that alone.

    ``folds`` goes before the configuration's own number. ``device`` is "auto", "cpu" or "cuda".
    """

    device: str = "auto"
    fold: int | None = None
    every_fold: bool = False
    folds: int | None = None


def train(config_path: Path, data: Path, out: Path, wanted: Wanted, progress: Progress) -> dict[str, Any]:
    """Train, write model, curves and metrics.json to ``out``, and return what stands in the latter.

    Every network keeps its state under ``out``/networks: the same call after a kill goes on from there. Under
    torchrun all processes train each network together, and the first one writes (all must see ``out``).

    Raises:
        ConfigError: the configuration or the data set's description is wrong, or ``out`` holds another run.
        DataError: a case can't be used.
    """
    config = load_training(config_path)
    if wanted.folds is not None:
        config = TrainingConfig.model_validate({**config.model_dump(), "folds": wanted.folds})
    if wanted.fold is not None and not 0 <= wanted.fold < config.folds:
        raise ConfigError(f"the folds are 0 to {config.folds - 1}; there is no fold {wanted.fold}")
    with joined(choose_device(wanted.device)) as (ranks, device):
        cases = read_cases(data, config.model.modality)
        folds = dealt([case.name for case in cases], config.folds, config.seed)
        stack = stack_cases(cases, config.model, device)
        trainer = Trainer(config, stack, folds, out, ranks, progress)
        judge = _Judge(cases, folds, SegmentOptions(wanted.device), progress)
        metrics: dict[str, Any] = {}
        for fold in range(config.folds) if wanted.every_fold else ():
            trainer.model(fold, out / f"fold-{fold}")
            if ranks.writes:
                judge.hold(out / f"fold-{fold}", fold)
        trainer.model(wanted.fold, out)
        if ranks.writes:
            if wanted.fold is not None:
                judge.hold(out, wanted.fold)
            metrics = _finish(out, trainer, judge)
        ranks.wait()
    return metrics


class Trainer:
    """Trains networks by what they may not see; each once, whoever asks for it."""

    def __init__(
        self,
        config: TrainingConfig,
        cases: CaseStack,
        folds: dict[str, int],
        out: Path,
        ranks: Ranks,
        progress: Progress,
    ) -> None:
        self.config, self.cases, self.folds = config, cases, folds
        self.out, self.ranks, self.progress = out, ranks, progress
        self.curves: dict[str, tuple[Point, ...]] = {}
        self.parameters = 0

    def model(self, fold: int | None, folder: Path) -> None:
        """The model that saw no case of ``fold`` (None: that saw every case), in ``folder``.

        A teacher teaches the fold that it hasn't seen.
        """
        unseen = () if fold is None else (fold,)
        name = f"distilled{_name(unseen)}" if self.config.distillation else f"network{_name(unseen)}"
        network = self._trained(name, self.config, self.taught(unseen), unseen)
        self.parameters = sum(tensor.numel() for tensor in network.parameters())
        if self.ranks.writes:
            write_model(folder, self.config.model, network)

    def taught(self, unseen: tuple[int, ...]) -> CaseStack:
        """All cases but those of the folds ``unseen``, with what teachers say of them where there are teachers."""
        cases, distillation = self._without(unseen), self.config.distillation
        if distillation is None:
            return cases
        axis = self.config.augmentation.mirror_axis if distillation.mirror else None
        teaching = self.config.model_copy(
            update={"steps": distillation.teacher_steps, "dice_weight": distillation.teacher_dice_weight}
        )
        said: dict[str, torch.Tensor] = {}
        for fold in (fold for fold in range(self.config.folds) if fold not in unseen):
            apart = tuple(sorted((*unseen, fold)))
            teacher = self._trained(f"network{_name(apart)}", teaching, self._without(apart), apart)
            own = self._of((fold,))
            said.update(zip(own.names, answers(teacher, own, axis), strict=True))
        return cases.taught([said[case] for case in cases.names], distillation.weight)

    def _of(self, folds: tuple[int, ...]) -> CaseStack:
        return self.cases.only(name for name, fold in self.folds.items() if fold in folds)

    def _without(self, unseen: tuple[int, ...]) -> CaseStack:
        return self._of(tuple(fold for fold in range(self.config.folds) if fold not in unseen))

    def _trained(self, name: str, config: TrainingConfig, cases: CaseStack, unseen: tuple[int, ...]) -> Any:
        run = Run(config, cases, self._of(unseen), self.out / "networks" / name, self.ranks)
        network, self.curves[name] = fit(run, lambda _, done: self.progress(name, done))
        if self.ranks.writes:
            with whole_file(self.out / "curves.svg") as partial:
                partial.write_text(draw_curves(self.curves), encoding="utf-8")
        return network


class _Judge:
    """Holds models against cases that they never saw, and gathers what calibration needs."""

    def __init__(
        self,
        cases: Sequence[LabelledCase],
        folds: dict[str, int],
        options: SegmentOptions,
        progress: Progress,
    ) -> None:
        self.cases, self.folds, self.options, self.progress = cases, folds, options, progress
        self.scores: dict[int, Scores] = {}
        self.samples: list[Sample] = []

    def hold(self, folder: Path, fold: int) -> None:
        unseen = [case for case in self.cases if self.folds[case.name] == fold]
        self.scores[fold] = score(folder, unseen, self.options, self.progress)
        self.samples += samples_of(folder, unseen, self.options, self.progress)
        held_out = {"held_out": figures([self.scores[fold]]), "held_out_cases": _cases_of(self.folds, fold)}
        _write(folder, held_out)


def _finish(out: Path, trainer: Trainer, judge: _Judge) -> dict[str, Any]:
    """The model's calibration, from networks that hadn't seen the cases, and metrics.json."""
    spec = load_spec(out)
    if len(judge.samples) > 1:
        calibration = calibrate(judge.samples, decision_of(spec))
        spec = rewrite(out, spec.model_copy(update={"calibration": calibration}))
    metrics = {
        **_about(spec, trainer),
        "held_out": figures(judge.scores.values()),
        "folds": {str(fold): figures([own]) for fold, own in judge.scores.items()},
        "held_out_cases": [name for fold in judge.scores for name in _cases_of(judge.folds, fold)],
    }
    _write(out, metrics)
    return metrics


def _write(folder: Path, metrics: dict[str, Any]) -> None:
    with whole_file(folder / "metrics.json") as partial:
        partial.write_text(json.dumps(metrics, indent=1) + "\n", encoding="utf-8")


def _about(spec: ModelSpec, trainer: Trainer) -> dict[str, Any]:
    device = trainer.cases.device
    return {
        "model": spec.name,
        "weights_sha256": spec.weights[0].sha256,
        "parameters": trainer.parameters,
        "cases": len(trainer.cases),
        "calibration": spec.calibration.model_dump() if spec.calibration else None,
        "seconds": {name: round(curve[-1].seconds, 1) for name, curve in trainer.curves.items()},
        "curves": {
            name: [{"step": p.step, "loss": round(p.loss, 4), "dice": list(p.dice)} for p in curve]
            for name, curve in trainer.curves.items()
        },
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine(),
        "processes": trainer.ranks.count,
        "torch": str(torch.__version__),
    }


def _cases_of(folds: dict[str, int], fold: int) -> list[str]:
    return sorted(name for name, own in folds.items() if own == fold)


def _name(unseen: Iterable[int]) -> str:
    numbers = "-".join(map(str, unseen))
    return f"-without-{numbers}" if numbers else ""
