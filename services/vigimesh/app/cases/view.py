"""Shows cases, histories and traces to people, with rich."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from vigimesh.app.cases.history import Listed, Trace
from vigimesh.app.cases.story import Step
from vigimesh.domain.budget.money import amount_text

#: Colour of a lane, as in the other tables.
_LANES = {"hot": "red", "warm": "yellow", "cold": "cyan"}

_COLUMNS = ("accepted", "case", "message", "workflow", "lane", "where", "grade", "due")

#: Characters of a reason in the list, at most and at least; the whole stands in `show`.
_REASON_CHARS, _REASON_LEAST_CHARS = 200, 30

#: Columns of what no terminal shows.
_FILE_COLUMNS = 200

#: Cells of the widest bar of a trace.
_BAR_CELLS = 40

#: Events that say how the work was done rather than what became of the case: shown in short.
_ASIDE = frozenset({"AuditRecorded", "CaseSampled", "HeadMoved", "RetrievalMeasured", "UsageRecorded"})


def console_here() -> Console:
    """Return the console: as wide as the terminal, or COLUMNS, also through a pipe; wide where nobody looks, as in a file."""
    console = Console(highlight=False)
    if console.is_terminal:
        return console
    seen = "COLUMNS" in os.environ or sys.stderr.isatty()
    return Console(highlight=False, width=console.width if seen else _FILE_COLUMNS, soft_wrap=True)


def show_list(console: Console, lines: Sequence[Listed], left_out: int) -> None:
    """Show one line per message; the reason only where there is room for some of it.

    Where there is not even room for the rest, the message's id makes room for the case's, which is what other commands take.
    """
    names: tuple[str, ...] = _COLUMNS
    rows = [_cells(line) for line in lines]
    taken = _width(names, rows)
    if taken > console.width:
        names, rows = _without(names), [_without(cells) for cells in rows]
        taken = _width(names, rows)
    table = Table(box=None, header_style="bold", pad_edge=False, padding=(0, 1, 0, 0))
    for name in names:
        table.add_column(name, no_wrap=name != "case", overflow="fold")
    room = min(console.width - taken, _REASON_CHARS)
    if room >= _REASON_LEAST_CHARS:
        table.add_column("reason", no_wrap=True)
    for line, cells in zip(lines, rows, strict=True):
        shown = [_lane(cell) if cell == line.lane else escape(cell) for cell in cells]
        if room >= _REASON_LEAST_CHARS:
            shown.append(escape(line.reason if len(line.reason) <= room else line.reason[: room - 1] + "…"))
        table.add_row(*shown)
    console.print(table)
    if lines and room < _REASON_LEAST_CHARS:
        console.print("the reasons: vigimesh case show ID, or in a wider terminal here")
    if left_out:
        console.print(f"… and {left_out:,} more; --limit N shows more, --json with --limit 0 all")


def _width(names: Sequence[str], rows: Sequence[Sequence[str]]) -> int:
    return sum(max(map(len, column)) + 1 for column in zip(names, *rows, strict=True))


def _without(cells: tuple[str, ...]) -> tuple[str, ...]:
    """Return a row without the message's id."""
    at = _COLUMNS.index("message")
    return cells[:at] + cells[at + 1 :]


def _cells(line: Listed) -> tuple[str, ...]:
    """Return what stands in `_COLUMNS`."""
    return (
        f"{line.accepted_at:%Y-%m-%d %H:%M}", line.case_id, line.message_id[:12], line.workflow, line.lane,
        line.decision or line.place, _grade(line),
        f"{line.due_at:%Y-%m-%d}" if line.due_at else "",
    )  # fmt: skip


def _grade(line: Listed) -> str:
    estimate = "" if line.grave is None else f" ({line.grave:.2f})"
    return "" if line.grade is None else f"{line.grade}{estimate}"


def show_history(console: Console, case_id: str, steps: Sequence[Step]) -> None:
    """Show the case's events, one below the other, with how long after the first each was appended."""
    tree = Tree(Text(case_id, style="bold"))
    start = steps[0].at
    for step in steps:
        cost = "" if step.cost_micro is None else f"  cost {amount_text(step.cost_micro, '')}"
        tier = f"  tier {step.tier}" if step.tier else ""
        lane = f"  {_lane(step.lane)}" if step.lane else ""
        style = "dim" if step.event in _ASIDE else "bold"
        place = f"{step.topic}-{step.partition}-{step.offset}"
        after = (step.at - start).total_seconds()
        branch = tree.add(
            f"{step.at:%Y-%m-%d %H:%M:%S.%f}"[:-3]
            + f" +{after:.3f} s  [{style}]{escape(step.title)}[/]{lane}{tier}{cost}"
            + f"  [dim]{step.stage}, {place}, message {step.message_id[:8] or '-'}[/]"
        )
        for name, value in step.details.items():
            if step.event in _ASIDE and name != "why":
                continue
            if isinstance(value, str):
                branch.add(f"{name}: {escape(value)}")
            elif len(value) == 1:
                branch.add(f"{name}: {escape(value[0])}")
            else:
                inner = branch.add(f"{name}:")
                for one in value:
                    inner.add(escape(one))
    console.print(tree)


def show_traces(console: Console, case_id: str, traces: Sequence[Trace]) -> None:
    """Show each message's way as a waterfall of append times."""
    for trace in traces:
        console.print(f"[bold]{escape(case_id)}[/]  message {trace.message_id}  trace {trace.trace_id}")
        total = trace.hops[-1].since_start_s
        table = Table(box=None, header_style="bold", pad_edge=False)
        for name in ("by", "topic", "span", "took", "since start", ""):
            table.add_column(name, justify="right" if name in ("took", "since start") else "left")
        for hop in trace.hops:
            ended = round(_BAR_CELLS * hop.since_start_s / total) if total else 0
            cells = max(1, round(_BAR_CELLS * hop.took_s / total)) if total else 1
            bar = " " * max(0, ended - cells) + "█" * cells
            table.add_row(
                hop.stage, hop.topic, hop.span_id, f"{hop.took_s * 1e3:,.0f} ms", f"{hop.since_start_s:.3f} s",
                Text(bar, style=_LANES.get(hop.lane, "white")),
            )  # fmt: skip
        console.print(table)


def _lane(lane: str) -> str:
    return f"[{_LANES[lane]}]{lane}[/]" if lane in _LANES else lane
