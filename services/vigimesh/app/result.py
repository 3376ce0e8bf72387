"""The end of a run: one JSON object, or tables for a person."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from vigimesh.app.reckoning import Reckoning
from vigimesh.intake.worker import Tally

#: Lines of each list that are shown to a person; the JSON object has up to what the tally kept.
_LINES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a run did. `extra` are records written to a topic without a door (the demo's unreadable one)."""

    tally: Tally
    extra: int
    reckoning: Reckoning
    peak_rss_bytes: int
    restarts: int
    cards: str

    @property
    def holds(self) -> bool:
        """Whether both sums hold, nothing is lost or doubled, and nothing is still in flight."""
        check = self.reckoning.check
        entered = self.tally.accepted + self.extra == check.accepted
        return (
            entered
            and check.balanced
            and not (check.lost or check.duplicated or check.torn or check.in_flight)
        )


def fields(result: Result) -> dict[str, Any]:
    """Return the object of `--json`: counts, seconds, bytes, micro-units; see docs/cli.md."""
    check, tally = result.reckoning.check, result.tally
    triage = check.triage.overall
    return {
        "read": tally.read + result.extra,
        "accepted": check.accepted,
        "refused": tally.refused,
        "decided": check.decided,
        "in_review": check.in_review,
        "parked": check.parked,
        "dead_lettered": check.dead_lettered,
        "in_flight": check.in_flight,
        "lost": check.lost,
        "duplicated": check.duplicated,
        "torn": check.torn,
        "cases_per_second": _rounded(result.reckoning.cases_per_second, 1),
        "triage_p50_s": _rounded(triage.median_s, 3),
        "triage_p99_s": _rounded(triage.p99_s, 3),
        "triage_censored": triage.censored,
        "peak_rss_bytes": result.peak_rss_bytes,
        "spend_micro": sum(result.reckoning.spend_micro.values()),
        "restarts": result.restarts,
        "cards": result.cards,
        "decisions": [
            {"lane": lane, "workflow": workflow, "decision": word, "cases": count}
            for (lane, workflow, word), count in result.reckoning.decisions.items()
        ],
        "skipped_files": len(tally.skipped),
        "skipped": [{"file": one.source, "why": one.why} for one in tally.skipped],
        "refusals": [str(one) for one in tally.refusals],
        "remarks": [f"{one.source}: {one.what}" for one in tally.remarks],
    }


def as_json(result: Result) -> str:
    """Return the object of `--json` as one line."""
    return json.dumps(fields(result))


def show(result: Result) -> None:
    """Print the tables for a person."""
    console = Console()
    console.print(_cases(result))
    console.print(_times(result))
    console.print(_waiting(result))
    check, tally = result.reckoning.check, result.tally
    for title, lines in (
        ("refused (bytes kept in the object store)", [str(one) for one in tally.refusals]),
        ("files without a case", [f"{one.source}: {one.why}" for one in tally.skipped]),
        ("remarks", [f"{one.source}: {one.what}" for one in tally.remarks]),
    ):
        _list(console, title, lines)
    console.print(
        f"read {tally.read + result.extra} = accepted {check.accepted} + refused {tally.refused}\n"
        f"accepted {check.accepted} = decided {check.decided} + in review {check.in_review} + parked {check.parked}"
        f" + dead-lettered {check.dead_lettered} + in flight {check.in_flight}\n"
        f"lost {check.lost}, duplicated {check.duplicated}, torn {check.torn}; "
        f"{_text(result.reckoning.cases_per_second, 1)} cases/s; workers restarted {result.restarts};"
        f" memory at most {result.peak_rss_bytes / 2**20:.0f} MiB; spent {_money(result)}; cards: {result.cards}",
        highlight=False, soft_wrap=True,
    )  # fmt: skip


def _cases(result: Result) -> Table:
    words = sorted({word for _, _, word in result.reckoning.decisions})
    table = Table(title="cases by lane, workflow and decision", title_justify="left")
    table.add_column("lane")
    table.add_column("workflow")
    for word in words:
        table.add_column(word.replace("_", " "), justify="right")
    counts: dict[tuple[str, str], Counter[str]] = {}
    for (lane, workflow, word), count in result.reckoning.decisions.items():
        counts.setdefault((lane, workflow), Counter())[word] += count
    order = {"hot": 0, "warm": 1, "cold": 2}
    for (lane, workflow), row in sorted(
        counts.items(), key=lambda item: (order.get(item[0][0], 3), item[0][1])
    ):
        table.add_row(lane or "-", workflow or "-", *(str(row[word] or "") for word in words))
    return table


def _times(result: Result) -> Table:
    table = Table(title="time to first triage", title_justify="left")
    for name in ("lane", "triaged", "median s", "p99 s", "untriaged", "lag"):
        table.add_column(name, justify="left" if name == "lane" else "right")
    lag: Counter[str] = Counter()
    for (lane, _, place), count in result.reckoning.check.table.items():
        lag[lane] += count if place == "in_flight" else 0
    triage = result.reckoning.check.triage
    for lane, one in triage.by_lane.items():
        table.add_row(
            lane,
            str(one.triaged),
            _text(one.median_s, 2),
            _text(one.p99_s, 2),
            str(one.censored),
            str(lag[lane]),
        )
    whole = triage.overall
    table.add_row(
        "all", str(whole.triaged), _text(whole.median_s, 2), _text(whole.p99_s, 2), str(whole.censored),
        str(sum(lag.values())),
    )  # fmt: skip
    return table


def _waiting(result: Result) -> Table:
    table = Table(title="waits for a person", title_justify="left")
    for name in ("due (UTC)", "lane", "workflow", "cases", "question"):
        table.add_column(name, justify="right" if name == "cases" else "left", overflow="fold")
    for one in result.reckoning.waiting[:_LINES]:
        due = one.first_due_at.strftime("%Y-%m-%d %H:%M") if one.first_due_at else "no clock"
        table.add_row(due, one.lane, one.workflow, str(one.cases), one.question)
    left = result.reckoning.waiting[_LINES:]
    if left:
        table.add_row("", "", "", str(sum(one.cases for one in left)), f"{len(left)} more questions")
    return table


def _list(console: Console, title: str, lines: list[str]) -> None:
    if not lines:
        return
    console.print(f"[bold]{title}[/bold]")
    for line in lines[:_LINES]:
        console.print(f"  {line}", highlight=False, markup=False, soft_wrap=True)
    if len(lines) > _LINES:
        console.print(f"  and {len(lines) - _LINES} more")


def _money(result: Result) -> str:
    return f"{sum(result.reckoning.spend_micro.values()) / 1e6:.2f}"


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _text(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
