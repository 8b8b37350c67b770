"""The report of a validation: one self-contained page in the look of a case's report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from tomosurf.report.html import number, style
from tomosurf.validate.metrics import METRICS
from tomosurf.validate.plots import calibration_plot, distributions
from tomosurf.validate.record import Record
from tomosurf.validate.summary import figures_of

TEMPLATE = "report.html.j2"
PICTURES = 6
"""How many of the worst cases are shown."""

CONTOURS = ("reference", "predicted")
"""Classes of the lines in a picture."""

MOST_FINDINGS = 200
"""Listed one by one; metrics.json has all."""


def page(result: Mapping[str, Any], records: Sequence[Record]) -> str:
    """The report as HTML: everything is escaped, nothing is loaded from anywhere.

    Args:
        result: the document of metrics.json.
        records: of all cases, in their order.
    """
    from jinja2 import Environment, StrictUndefined

    source = (files("tomosurf.validate") / TEMPLATE).read_text(encoding="utf-8")
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["number"] = number
    environment.filters["figure"] = figure
    structures = list(result["structures"])
    plots = [
        (metric, distributions(metric, {name: figures_of(records, name, metric.name) for name in structures}))
        for metric in METRICS.values()
    ]
    calibration = result["calibration"]
    order = {severity: place for place, severity in enumerate(("error", "warning", "info"))}
    findings = sorted(result["findings"], key=lambda finding: order[finding["severity"]])
    template = environment.from_string(source)
    return template.render(
        r=result,
        style=style(),
        metrics=METRICS,
        plots=[(metric, svg) for metric, svg in plots if svg],
        worst=worst_cases(records),
        curve=calibration_plot(calibration["points"]) if calibration and calibration["points"] else "",
        findings=findings[:MOST_FINDINGS],
        more_findings=len(findings) - len(findings[:MOST_FINDINGS]),
        counts={s: sum(f["severity"] == s for f in findings) for s in order},
        broken=[bound for bound in result["gate"] or () if not bound["holds"]],
    )


def worst_cases(records: Sequence[Record]) -> list[dict[str, Any]]:
    """The cases whose worst structure has the lowest Dice, with its figures and picture, lowest first."""
    found: list[dict[str, Any]] = []
    for record in records:
        if record.picture is None:
            continue
        row = next(row for row in record.rows if row.structure == record.picture.structure)
        found.append(
            {
                "case": record.case,
                "structure": row.structure,
                "outcome": row.outcome,
                "figures": row.figures,
                "svg": record.picture.svg,
                "absent_here": [
                    kind for kind in CONTOURS if f'class="{kind}" d="M' not in record.picture.svg
                ],
            }
        )
    found.sort(key=lambda entry: (entry["figures"].get("dice", 2.0), entry["case"]))
    return found[:PICTURES]


def figure(value: float | None, decimals: int) -> str:
    """A figure as the tables show it; a dash where there is none.

    >>> figure(0.12345, 3), figure(-0.004, 1), figure(None, 2)
    ('0.123', '0.0', '–')
    """
    return "–" if value is None else f"{round(value, decimals) + 0.0:.{decimals}f}"
