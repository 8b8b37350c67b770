"""Which protocol runs on which series of a study, and why: from headers alone, before any pixel is read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tomosurf.config import Protocol, load_protocol, protocol_names
from tomosurf.data.case import InputFile, SeriesChoice
from tomosurf.data.codes import notice
from tomosurf.data.manifest import plain
from tomosurf.data.notice import Notice
from tomosurf.data.series import Intake, Series, Study
from tomosurf.data.volume import Policy
from tomosurf.errors import ConfigError, InputRefused
from tomosurf.select import Choice, Verdict, choose


@dataclass(frozen=True, slots=True)
class Job:
    """One protocol to run on one series."""

    protocol: Protocol
    series: Series


@dataclass(frozen=True, slots=True)
class Selected:
    """Why one series of a study was or wasn't taken."""

    study: str
    choice: SeriesChoice

    def as_dict(self) -> dict[str, Any]:
        """Plain values for ``--json``."""
        return {"study": self.study, **plain(self.choice)}


@dataclass(frozen=True, slots=True)
class Plan:
    """What to build from one study; which of its series can't be used, and what is odd about the others.

    ``selection`` says for every series, and every protocol that was asked, why it was or wasn't taken.
    """

    study: str
    jobs: tuple[Job, ...]
    refused: tuple[Notice, ...] = ()
    warnings: tuple[Notice, ...] = ()
    selection: tuple[SeriesChoice, ...] = ()

    @property
    def series(self) -> tuple[Series, ...]:
        """The series that some job uses, each once."""
        return tuple({job.series.digest: job.series for job in self.jobs}.values())

    def inputs(self) -> tuple[InputFile, ...]:
        """Digest of every slice that goes in."""
        return tuple(dict.fromkeys(InputFile(i.sha256, s.digest) for s in self.series for i in s.instances))


def make_plan(
    study: Study,
    protocols: Sequence[Protocol] = (),
    warnings: Sequence[Notice] = (),
    policy: Policy = "strict",
) -> Plan:
    """Which protocol runs on which series of ``study``, from headers alone.

    A series whose geometry is refused is left out and told in ``refused``; so is a study that no protocol
    fits. Of ``warnings``, those about a series that is used, or about no known series, are kept.

    Raises:
        ConfigError: two different protocols share a name.
    """
    from tomosurf.volume.build import examine

    chosen = tuple(protocols) or tuple(load_protocol(name) for name in protocol_names())
    if len({protocol.name for protocol in chosen}) < len(chosen):
        raise ConfigError("two protocols share a name; their results would share files: rename one")
    usable, refused, selection = [], [], []
    for series in study.series:
        try:
            usable.append((series, examine(series, policy=policy)))
        except InputRefused as error:
            refused.append(Notice.of(error))
            selection.append(
                _chosen(series, Verdict(series.digest, False, None, (f"refused: {error.code}",)))
            )
    choices = [(protocol, choose(usable, protocol.series)) for protocol in chosen]
    jobs = [Job(protocol, series) for protocol, choice in choices for series in choice.taken]
    if usable and not jobs:
        refused.append(_nothing_fits(choices))
    used = {job.series.digest for job in jobs}
    kept = tuple(warning for warning in warnings if warning.series in used or not warning.series)
    by_digest = {series.digest: series for series in study.series}
    selection += [
        _chosen(by_digest[verdict.series], verdict, protocol.name)
        for protocol, choice in choices
        for verdict in choice.considered
    ]
    return Plan(study.digest, tuple(jobs), tuple(refused), kept, tuple(selection))


def _nothing_fits(choices: Sequence[tuple[Protocol, Choice]]) -> Notice:
    """That no series fits; why, series by series, where one protocol was asked for."""
    considered = choices[0][1].considered
    told = f"none of {len(considered)} series fits {', '.join(protocol.name for protocol, _ in choices)}"
    if len(choices) == 1:
        told += "".join(f"; series {v.series}: {', '.join(v.reasons)}" for v in considered)
    only = considered[0].series if len(considered) == 1 else ""
    return notice("no_matching_series", told, series=only)


def _chosen(series: Series, verdict: Verdict, protocol: str = "") -> SeriesChoice:
    return SeriesChoice(
        series=series.digest,
        modality=series.modality,
        phase=series.phase,
        slices=len(series.instances),
        protocol=protocol,
        taken=verdict.taken,
        score=verdict.score,
        reasons=verdict.reasons,
    )


def told(intake: Intake) -> tuple[Notice, ...]:
    """What a case may have to know of its input: oddities, and what was refused of or beside its series."""
    return (*intake.warnings, *intake.refused)


def selected(plan: Plan) -> list[Selected]:
    """The plan's selection, with its study beside each entry."""
    return [Selected(plan.study, choice) for choice in plan.selection]
