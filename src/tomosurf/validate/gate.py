"""Bounds that a validation must keep: the gate that new weights pass or don't."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from tomosurf.config import parse, read_yaml
from tomosurf.errors import ConfigError
from tomosurf.frozen import Frozen

MetricName = Literal["dice", "nsd", "hd95_mm", "msd_mm", "volume_error_pct", "mesh_msd_mm", "mesh_p95_mm"]
CountName = Literal["missed", "invented", "missed_components", "false_components", "unscored"]


class Bound(Frozen):
    """One bound: of a structure's metric, the statistic must be at least, or at most, a value.

    ``structure`` "all" means each of them. ``statistic``: "mean", "median", "worst"; "mean_low" and "mean_high" are
    the ends of the mean's 95 % interval; "change" is the mean paired difference, "change_low" and "change_high" its
    interval's ends, and need an earlier run. Counts (``missed`` ...) have no statistic; ``unscored`` counts the
    data set's cases without a figure, and belongs to no structure.
    """

    structure: str = "all"
    metric: MetricName | CountName
    statistic: Literal[
        "mean", "median", "worst", "mean_low", "mean_high", "change", "change_low", "change_high", "count"
    ] = "mean"
    at_least: float | None = None
    at_most: float | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Bound:
        if self.at_least is None and self.at_most is None:
            raise ValueError("a bound says at_least, at_most or both")
        return self

    @property
    def counts(self) -> bool:
        """Whether the metric is a count."""
        return self.metric in CountName.__args__  # type: ignore[attr-defined]


class Gate(Frozen):
    """All bounds; a run passes when none is broken."""

    bounds: tuple[Bound, ...] = Field(min_length=1)


def load_gate(path: Path) -> Gate:
    """The gate in a YAML file.

    Raises:
        ConfigError: unreadable, or no gate.
    """
    return parse(Gate, read_yaml(path), str(path))


def refuse_misfit(gate: Gate, structures: Collection[str], compared: bool) -> None:
    """See to it before anything is scored that every bound can be looked up.

    Raises:
        ConfigError: a bound names a structure that isn't compared, or a change without an earlier run.
    """
    for bound in gate.bounds:
        if bound.structure != "all" and bound.structure not in structures and bound.metric != "unscored":
            raise ConfigError(
                f"gate: no structure is called {bound.structure!r}; there are {', '.join(structures)}"
            )
        if bound.statistic.startswith("change") and not bound.counts and not compared:
            raise ConfigError("gate: a bound on a change needs --compare EARLIER")


def check_gate(gate: Gate, result: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every bound with what was measured, and whether it holds; one without a figure doesn't.

    Args:
        gate: the bounds.
        result: the document of metrics.json.

    Raises:
        ConfigError: a bound names a structure that the data set doesn't have, or a change without an earlier run.
    """
    refuse_misfit(gate, result["structures"], result["comparison"] is not None)
    told = []
    for bound in gate.bounds:
        names = list(result["structures"]) if bound.structure == "all" else [bound.structure]
        names = [""] if bound.metric == "unscored" else names
        told += [_checked(bound, name, _measured(bound, name, result)) for name in names]
    return told


def _checked(bound: Bound, structure: str, value: float | None) -> dict[str, Any]:
    low, high = bound.at_least, bound.at_most
    holds = value is not None and (low is None or value >= low) and (high is None or value <= high)
    statistic = "count" if bound.counts else bound.statistic
    words = " and ".join(
        f"{text} {limit:g}" for text, limit in (("at least", low), ("at most", high)) if limit is not None
    )
    where = f"{structure} " if structure else ""
    measured = "nothing was measured" if value is None else f"{value:g}"
    return {
        "structure": structure,
        "metric": bound.metric,
        "statistic": statistic,
        "at_least": low,
        "at_most": high,
        "value": value,
        "holds": holds,
        "message": f"{where}{bound.metric} {statistic}: {measured}, must be {words}",
    }


def _measured(bound: Bound, structure: str, result: Mapping[str, Any]) -> float | None:
    if bound.metric == "unscored":
        return float(len(result["unscored"]))
    about = result["structures"][structure]
    if bound.counts:
        return float(about[bound.metric])
    if bound.statistic.startswith("change"):
        entry, name = result["comparison"]["structures"][structure][bound.metric], "mean"
    else:
        entry = about["metrics"][bound.metric]
        name = "mean" if bound.statistic.startswith("mean") else bound.statistic
    if not entry["n"]:
        return None
    if bound.statistic.endswith(("_low", "_high")):
        return float(entry["ci95"][bound.statistic.endswith("_high")])
    return float(entry[name])
