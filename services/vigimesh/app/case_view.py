"""Shows cases, histories and traces to people, with rich."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from vigimesh.app.case_history import Listed, Trace
from vigimesh.app.case_story import Step

#: Colour of a lane, as in the other tables.
_LANES = {"hot": "red", "warm": "yellow", "cold": "cyan"}

#: Characters of a reason shown in the list; the whole stands in `show`.
_REASON_CHARS = 60

#: Cells of the widest bar of a trace.
_BAR_CELLS = 40

#: Events that say how the work was done rather than what became of the case: shown in short.
_ASIDE = frozenset({"AuditRecorded", "HeadMoved", "RetrievalMeasured", "UsageRecorded"})


def show_list(console: Console, lines: Sequence[Listed], left_out: int) -> None:
    """Show one line per message."""
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("accepted", "case", "message", "workflow", "lane", "where", "grade", "due", "reason"):
        table.add_column(name, overflow="fold" if name in ("case", "reason") else "ellipsis")
    for line in lines:
        short = line.reason[:_REASON_CHARS] + ("…" if len(line.reason) > _REASON_CHARS else "")
        table.add_row(
            f"{line.accepted_at:%Y-%m-%d %H:%M:%S}", escape(line.case_id), line.message_id[:12], line.workflow,
            _lane(line.lane), line.decision or line.place, "" if line.grade is None else str(line.grade),
            f"{line.due_at:%Y-%m-%d}" if line.due_at else "", escape(short),
        )  # fmt: skip
    console.print(table)
    if left_out:
        console.print(f"… and {left_out:,} more; --limit N shows more, --json with --limit 0 all")


def show_history(console: Console, case_id: str, steps: Sequence[Step]) -> None:
    """Show the case's events, one below the other, with how long after the first each was appended."""
    tree = Tree(Text(case_id, style="bold"))
    start = steps[0].at
    for step in steps:
        cost = "" if step.cost_micro is None else f"  cost {step.cost_micro / 1e6:.6f}"
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
