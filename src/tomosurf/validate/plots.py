"""Plots as inline SVG: distributions over cases, and the calibration curve. Colours come from the page's style."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from math import ceil, floor, log10

import numpy as np
from numpy.typing import NDArray

from tomosurf.validate.metrics import Metric

WIDTH = 1000
LABEL = 230
"""Room for the structures' names, in SVG units."""

RIGHT = 28
ROW, LOW_ROW = 46, 24
"""Height of a structure's row; the lower one where there are more than ``MANY``."""

MANY = 10
MOST_DOTS = 4000
"""With more values only the far ones are dots; the rest is what the box says."""

GOLDEN = 0.618033988749895
SQUARE, SQUARE_LEFT = 360, 62
"""Edge of the calibration plot, and room for what stands at its left."""

Across = Callable[[float], float]


def distributions(metric: Metric, values: Mapping[str, tuple[Sequence[str], NDArray[np.float64]]]) -> str:
    """One row a structure: a dot a case, a box from the first to the third quartile, its median, the mean.

    Structures without a value are left out; "" when none has any.
    """
    rows = {name: entry for name, entry in values.items() if len(entry[1])}
    if not rows:
        return ""
    everything = np.concatenate([numbers for _, numbers in rows.values()])
    low, high, ticks = axis(metric, everything)
    row = ROW if len(rows) <= MANY else LOW_ROW
    height = row * len(rows) + 44
    bottom = height - 34

    def across(value: float) -> float:
        return LABEL + (value - low) / (high - low) * (WIDTH - LABEL - RIGHT)

    about = escape(f"{metric.title} of every case")
    parts = [f'<svg class="plot" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{about}">']
    for tick in ticks:
        parts.append(_line("grid-line", (across(tick), 4), (across(tick), bottom)))
        parts.append(_text("tick", (across(tick), height - 16), f"{tick:g}"))
    many = len(everything) > MOST_DOTS
    for number, (name, (cases, numbers)) in enumerate(rows.items()):
        middle = 4 + row * (number + 0.5)
        parts.append(_text("name", (LABEL - 14, middle + 5), name, "end"))
        parts += _box(numbers, middle, row * 0.3, across)
        parts += _dots(cases, numbers, middle, row * 0.5, across, many)
        parts += _middles(numbers, middle, row * 0.3, across)
    return "".join([*parts, "</svg>"])


def _box(numbers: NDArray[np.float64], middle: float, half: float, across: Across) -> list[str]:
    first, third = (across(value) for value in np.percentile(numbers, (25, 75)).tolist())
    place = (
        f'x="{first:.1f}" y="{middle - half:.1f}" width="{max(third - first, 1):.1f}" height="{2 * half:.1f}"'
    )
    return [f'<rect class="box" {place} rx="3"/>']


def _dots(
    cases: Sequence[str], numbers: NDArray[np.float64], middle: float, room: float, across: Across, many: bool
) -> list[str]:
    """Strewn over the row's height by a fixed sequence; with ``many``, only what lies beyond the whiskers."""
    first, third = np.percentile(numbers, (25, 75)).tolist()
    low, high = first - 1.5 * (third - first), third + 1.5 * (third - first)
    return [
        _dot((across(value), middle + ((number * GOLDEN) % 1 - 0.5) * room), 3.2, f"{case}: {value:g}")
        for number, (case, value) in enumerate(zip(cases, numbers.tolist(), strict=True))
        if not many or not low <= value <= high
    ]


def _middles(numbers: NDArray[np.float64], middle: float, half: float, across: Across) -> list[str]:
    x, mean = across(float(np.median(numbers))), across(float(numbers.mean()))
    return [
        _line("median", (x, middle - half - 3), (x, middle + half + 3)),
        f'<path class="mean" d="M{mean:.1f} {middle - 6:.1f}l6 6l-6 6l-6 -6z"/>',
    ]


def axis(metric: Metric, values: NDArray[np.float64]) -> tuple[float, float, list[float]]:
    """Lowest and highest value shown, and round ticks between."""
    low, high = float(values.min()), float(values.max())
    if metric.better == "higher":
        low, high = min(low, 0.95), 1.0
    elif metric.better == "lower":
        low, high = 0.0, max(high, 1e-3)
    else:
        low, high = min(low, -1.0), max(high, 1.0)
    step = 10.0 ** floor(log10((high - low) / 4))
    step *= next((factor for factor in (1, 2, 5, 10) if (high - low) / (step * factor) <= 7), 10)
    low = floor(low / step + 1e-9) * step
    high = ceil(high / step - 1e-9) * step
    return low, high, [round(low + n * step, 10) for n in range(round((high - low) / step) + 1)]


def calibration_plot(points: Sequence[Sequence[float]]) -> str:
    """What the model says against what is so: one dot a bin, its area by its voxels; the diagonal is perfect.

    ``points`` are (said, observed, voxels), at least one.
    """
    top = max(0.5, *(max(said, seen) for said, seen, _ in points))
    total = sum(n for _, _, n in points)
    left, right, floor_y = SQUARE_LEFT, SQUARE_LEFT + SQUARE, 10 + SQUARE

    def at(said: float, seen: float) -> tuple[float, float]:
        return left + said / top * SQUARE, floor_y - seen / top * SQUARE

    size = f"0 0 {right + 20} {floor_y + 60}"
    parts = [f'<svg class="plot square" viewBox="{size}" role="img" aria-label="Calibration curve">']
    for tick in (t for t in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0) if t <= top + 1e-9):
        x, y = at(tick, tick)
        parts += [_line("grid-line", (left, y), (right, y)), _line("grid-line", (x, 10), (x, floor_y))]
        parts += [
            _text("tick", (x, floor_y + 20), f"{tick:g}"),
            _text("tick", (left - 8, y + 5), f"{tick:g}", "end"),
        ]
    parts.append(_line("diagonal", (left, floor_y), (right, 10)))
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in (at(said, seen) for said, seen, _ in points))
    parts.append(f'<polyline class="curve" points="{line}"/>')
    for said, seen, n in points:
        words = f"said {said:.3f}, so {seen:.3f}, {n:.0f} voxels"
        parts.append(_dot(at(said, seen), 3 + 9 * (n / total) ** 0.5, words))
    parts.append(_text("name", (left + SQUARE / 2, floor_y + 46), "doubt: chance of being wrong, as said"))
    parts.append(_text("name", (16, 10 + SQUARE / 2), "share that is wrong", turned=True))
    return "".join([*parts, "</svg>"])


def _line(kind: str, start: tuple[float, float], end: tuple[float, float]) -> str:
    return (
        f'<line class="{kind}" x1="{start[0]:.1f}" y1="{start[1]:.1f}" x2="{end[0]:.1f}" y2="{end[1]:.1f}"/>'
    )


def _dot(place: tuple[float, float], radius: float, words: str) -> str:
    circle = f'<circle class="dot" cx="{place[0]:.1f}" cy="{place[1]:.1f}" r="{radius:.1f}">'
    return f"{circle}<title>{escape(words)}</title></circle>"


def _text(
    kind: str, place: tuple[float, float], words: str, anchor: str = "middle", *, turned: bool = False
) -> str:
    x, y = place
    turn = f' transform="rotate(-90 {x:.1f} {y:.1f})"' if turned else ""
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{turn}>{escape(words)}</text>'
