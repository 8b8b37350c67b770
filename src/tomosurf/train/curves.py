"""How the loss fell and the watched Dice rose, as one SVG file that any browser shows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape

from tomosurf.train.fit import Point

WIDTH, PLOT, LEFT, GAP = 900, 260, 70, 56
COLOURS = ("#4682c4", "#ec994b", "#4ba36b", "#b35fa8", "#8a8a8a", "#c2554f")

Line = tuple[str, list[tuple[float, float]]]


def draw_curves(curves: Mapping[str, Sequence[Point]]) -> str:
    """An SVG document: loss above, mean Dice of unseen cases below, one line a network."""
    lost = [(name, [(float(p.step), p.loss) for p in curve]) for name, curve in curves.items()]
    dice = [
        (name, [(float(p.step), sum(p.dice) / len(p.dice)) for p in curve if p.dice])
        for name, curve in curves.items()
    ]
    height = 2 * PLOT + 2 * GAP + 20 * len(curves) + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" '
        'font-size="13"><rect width="100%" height="100%" fill="white"/>'
    ]
    parts += _plot("loss", lost, 24)
    parts += _plot("mean Dice of cases that the network doesn't see", dice, 24 + PLOT + GAP)
    for number, name in enumerate(curves):
        y = 2 * (PLOT + GAP) + 20 * number + 10
        parts.append(
            f'<text x="{LEFT + 24}" y="{y + 5}">{escape(name)}</text>'
            f'<path d="M{LEFT} {y}h18" stroke="{_colour(number)}" stroke-width="3"/>'
        )
    return "".join([*parts, "</svg>\n"])


def _plot(title: str, lines: Sequence[Line], top: float) -> list[str]:
    points = [point for _, line in lines for point in line]
    parts = [f'<text x="{LEFT}" y="{top - 8}">{escape(title)}</text>']
    if not points:
        return parts
    low, high = min(y for _, y in points), max(y for _, y in points)
    span, last = (high - low) or 1.0, max(x for x, _ in points)

    def at(x: float, y: float) -> str:
        return f"{LEFT + x / last * (WIDTH - LEFT - 20):.1f},{top + (high - y) / span * PLOT:.1f}"

    parts += _frame(low, high, last, top)
    for number, (_, line) in enumerate(lines):
        parts += _line(line, _colour(number), at)
    return parts


def _frame(low: float, high: float, last: float, top: float) -> list[str]:
    parts = [
        f'<text x="{WIDTH - 20}" y="{top + PLOT + 18}" text-anchor="end">{last:g} steps</text>',
        f'<text x="{LEFT}" y="{top + PLOT + 18}" text-anchor="middle">0</text>',
    ]
    for quarter in range(5):
        y, value = top + PLOT * quarter / 4, high - (high - low) * quarter / 4
        parts.append(
            f'<path d="M{LEFT} {y}H{WIDTH - 20}" stroke="#ddd"/>'
            f'<text x="{LEFT - 8}" y="{y + 4}" text-anchor="end">{value:.3f}</text>'
        )
    return parts


def _line(line: list[tuple[float, float]], colour: str, at: Callable[[float, float], str]) -> list[str]:
    if not line:
        return []
    dots = " ".join(at(x, y) for x, y in line)
    x, y = at(*line[-1]).split(",")
    return [
        f'<polyline points="{dots}" fill="none" stroke="{colour}" stroke-width="2"/>',
        f'<circle cx="{x}" cy="{y}" r="3" fill="{colour}"/>',
    ]


def _colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]
