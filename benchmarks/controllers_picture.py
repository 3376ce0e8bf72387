"""The picture of four controllers: what each spent day by day of the simulated month, and on the real mesh what it bought."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import accumulate
from typing import Any

from month import MONTH_MICRO
from vigimesh.events.topics import LANES

#: Size of the curves and what is around them, points. Right of them stands what each line is.
WIDE, HIGH, LEFT, RIGHT, TOP = 600, 300, 90, 190, 60
COLOURS = {"none": "#8a2be2", "spend_cap": "#c0392b", "queue_gate": "#b9770e", "ours": "#1e8449"}
#: Two lines may lie on each other: one of them is drawn broken.
BROKEN = {"queue_gate": "7 4", "ours": "7 4"}
GREY = 'stroke="#555" stroke-dasharray="3 3"'


def drawn(spent: Mapping[str, list[int]], real: Mapping[str, Any], month_micro: int) -> str:
    """Return an SVG document: what was spent up to each day, and below it the bars of the real mesh, where that ran."""
    tall = TOP + HIGH + (230 if real else 60)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {LEFT + WIDE + RIGHT} {tall}" font-family="sans-serif" font-size="13">',
        f'<rect width="{LEFT + WIDE + RIGHT}" height="{tall}" fill="#ffffff"/>',
        *_curves(spent),
        *(_bars(real, month_micro, TOP + HIGH + 85) if real else ()),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _curves(spent: Mapping[str, list[int]]) -> Iterator[str]:
    most = max(MONTH_MICRO, *(sum(days) for days in spent.values()))

    def y(micro: float) -> float:
        return TOP + HIGH * (1 - micro / most)

    yield _text(
        LEFT,
        22,
        "Spent up to each day of a month, four controllers on the same arrivals (simulated)",
        'font-size="15"',
    )
    yield _text(
        LEFT,
        42,
        f"A month of {MONTH_MICRO / 1e6:g} EUR: who ends above the dotted line spent money that was not there",
        'fill="#555"',
    )
    days = max(map(len, spent.values()))
    for amount, line in ((0, 'stroke="#555"'), (MONTH_MICRO, GREY), (most, 'stroke="#ddd"')):
        yield f'<line x1="{LEFT}" y1="{y(amount):.1f}" x2="{LEFT + WIDE}" y2="{y(amount):.1f}" {line}/>'
        yield _text(LEFT - 8, y(amount) + 4, f"{amount / 1e6:.4g} EUR", 'text-anchor="end"')
    for day in (1, *range(5, days + 1, 5)):
        yield _text(LEFT + WIDE * day / days, TOP + HIGH + 18, str(day), 'text-anchor="middle"')
    yield _text(LEFT + WIDE / 2, TOP + HIGH + 38, "day of the month", 'text-anchor="middle"')
    last = TOP - 20.0
    for name, each in sorted(spent.items(), key=lambda one: -sum(one[1])):
        totals = enumerate(accumulate(each, initial=0))
        points = " ".join(f"{LEFT + WIDE * day / len(each):.1f},{y(total):.1f}" for day, total in totals)
        dashes = f' stroke-dasharray="{BROKEN[name]}"' if name in BROKEN else ""
        yield f'<polyline points="{points}" fill="none" stroke="{COLOURS[name]}" stroke-width="2.5"{dashes}/>'
        # Beside its line's end; where two end together, one below the other.
        last = max(last + 18, y(sum(each)) + 4)
        yield _text(LEFT + WIDE + 10, last, f"{name}: {sum(each) / 1e6:.4g} EUR", f'fill="{COLOURS[name]}"')


def _bars(real: Mapping[str, Any], month_micro: int, top: int) -> Iterator[str]:
    """Yield a bar for what each spent on the real mesh, and beside it what it bought by lane."""
    most, wide = max(month_micro, *(one["spend_micro"] for one in real.values())), WIDE * 0.4
    at, beside = LEFT + wide * month_micro / most, LEFT + wide + 12
    yield _text(
        LEFT, top, "The same on the real mesh, a burst that wants more than the month has", 'font-size="15"'
    )
    yield _text(at, top + 22, f"month: {month_micro / 1e6:.3g} EUR", 'text-anchor="middle" fill="#555"')
    yield _text(beside, top + 22, "opinions bought, of those wanted; hot p99", 'fill="#555"')
    yield f'<line x1="{at:.1f}" y1="{top + 28}" x2="{at:.1f}" y2="{top + 136}" {GREY}/>'
    for place, (name, one) in enumerate(real.items()):
        y, bar = top + 34 + 26 * place, wide * one["spend_micro"] / most
        words = ", ".join(f"{lane} {one['opinions'][lane]:g} of {one['wanted'][lane]:g}" for lane in LANES)
        yield f'<rect x="{LEFT}" y="{y}" width="{bar:.1f}" height="18" fill="{COLOURS[name]}"/>'
        yield _text(LEFT - 8, y + 14, name, f'text-anchor="end" fill="{COLOURS[name]}"')
        yield _text(beside, y + 14, f"{words}; {one['hot_p99_s']:.1f} s")


def _text(x: float, y: float, words: str, more: str = "") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" {more}>{words}</text>'
