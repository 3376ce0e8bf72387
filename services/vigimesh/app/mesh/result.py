"""The end of a run: one JSON object, or tables for a person."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.table import Table

from vigimesh.app.mesh.reckoning import Reckoning
from vigimesh.domain.budget.money import amount_text
from vigimesh.domain.policy.tiers import TIERS
from vigimesh.domain.record.triage_time import UNKNOWN_LANE
from vigimesh.events.topics import LANES
from vigimesh.intake.worker import Tally

#: Said below the times when a case was never triaged (such a case counts, as slower than every other).
_UNTRIAGED = (
    "An untriaged case counts as slower than all others: a median or p99 that falls on one has no figure."
)
#: Columns of words and dates.
_WORDS = (
    "lane",
    "workflow",
    "decision",
    "received",
    "due (UTC)",
    "question",
    "from (UTC)",
    "to (UTC)",
    "reason",
)
#: Lines of each list that are shown to a person; the JSON object has up to what the tally kept.
_LINES = 12
#: Questions shown to a person, the earliest due first; `vigimesh case list --outcome in_review` has every case.
_QUESTIONS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a run did. `extra` are records written to a topic without a door (the demo's unreadable one).

    `days` holds the messages of each day of receipt, where the days were sent one after the other.
    """

    tally: Tally
    extra: int
    reckoning: Reckoning
    peak_rss_bytes: int
    restarts: int
    cards: str
    large_model: str
    days: Mapping[str, Collection[str]] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        """Whether both sums hold, nothing is lost or doubled, and nothing is still in flight."""
        check = self.reckoning.check
        entered = self.tally.accepted + self.extra == check.accepted
        return (
            entered
            and check.balanced
            and not (check.lost or check.duplicated or check.torn or check.out_of_order or check.in_flight)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """What became of the reports of one day of receipt: how many there are, what they cost, how many wait, parked."""

    day: str
    accepted: int
    spend_micro: int
    parked: int


def by_day(result: Result) -> list[Day]:
    """Return the days in their order."""
    micro, waits = result.reckoning.message_micro, {one.message_id for one in result.reckoning.deferred}
    return [
        Day(
            day=day,
            accepted=len(messages),
            spend_micro=sum(micro.get(message, 0) for message in messages),
            parked=len(waits.intersection(messages)),
        )
        for day, messages in sorted(result.days.items())
    ]


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
        "out_of_order": check.out_of_order,
        "cases_per_second": _rounded(result.reckoning.cases_per_second, 1),
        "triage_p50_s": _rounded(triage.median_s, 3),
        "triage_p99_s": _rounded(triage.p99_s, 3),
        "triage_censored": triage.censored,
        "peak_rss_bytes": result.peak_rss_bytes,
        "spend_micro": sum(result.reckoning.spend_micro.values()),
        "model_calls": result.reckoning.calls,
        "resolved_by": {tier: result.reckoning.tiers.get(tier, 0) for tier in TIERS},
        "all_large_micro": result.reckoning.all_large_micro,
        "days": [asdict(day) for day in by_day(result)],
        "deferred": [{**asdict(one), "until": one.until.isoformat()} for one in result.reckoning.deferred],
        "restarts": result.restarts,
        "cards": result.cards,
        "large_model": result.large_model,
        "decisions": [
            {"lane": lane, "workflow": workflow, "decision": word, "cases": count}
            for (lane, workflow, word), count in result.reckoning.decisions.items()
        ],
        "skipped_files": tally.skipped_files,
        "skipped": [{"file": one.source, "why": one.why} for one in tally.skipped],
        "refusals": [str(one) for one in tally.refusals],
        "remarks": [f"{one.source}: {one.what}" for one in tally.remarks],
    }


def show(result: Result) -> None:
    """Print the tables for a person."""
    console = Console()
    check, tally = result.reckoning.check, result.tally
    if result.reckoning.decisions:
        console.print(_cases(result))
        console.print(_times(result))
    if result.days:
        console.print(_days(result))
    console.print(_waiting(result) if result.reckoning.waiting else "waits for a person: no case")
    if result.reckoning.deferred:
        console.print(_deferred(result))
    for title, lines, total in (
        ("refused (bytes kept in the object store)", [str(one) for one in tally.refusals], tally.refused),
        ("files without a case", [f"{one.source}: {one.why}" for one in tally.skipped], tally.skipped_files),
        ("remarks", [f"{one.source}: {one.what}" for one in tally.remarks], len(tally.remarks)),
    ):
        _list(console, title, lines, total)
    console.print(
        f"read {tally.read + result.extra} = accepted {check.accepted} + refused {tally.refused}\n"
        f"accepted {check.accepted} = decided {check.decided} + in review {check.in_review} + parked {check.parked}"
        f" + dead-lettered {check.dead_lettered} + in flight {check.in_flight}\n"
        f"lost {check.lost}, duplicated {check.duplicated}, torn {check.torn}{_late(check.out_of_order)}; "
        f"{_text(result.reckoning.cases_per_second, 1)} cases/s; spent {_money(result)}{_calls(result)}\n"
        f"{_tiers(result)}\n"
        f"workers restarted {result.restarts}; memory at most {result.peak_rss_bytes / 2**20:.0f} MiB\n"
        f"cards: {result.cards}\n"
        f"large model: {result.large_model}",
        highlight=False, soft_wrap=True,
    )  # fmt: skip


def _cases(result: Result) -> Table:
    """One row for each lane, workflow and decision: nothing is cut at 80 columns, whatever decisions there are."""
    table = _table("cases by lane, workflow and decision", "lane", "workflow", "decision", "cases")
    rows = sorted(result.reckoning.decisions.items(), key=lambda row: (_lane_order(row[0][0]), *row[0][1:]))
    for (lane, workflow, word), count in rows:
        table.add_row(lane or "-", workflow or "-", word.replace("_", " "), str(count))
    return table


def _times(result: Result) -> Table:
    table = _table("time to first triage", "lane", "triaged", "median s", "p99 s", "untriaged", "lag")
    lag: Counter[str] = Counter()
    for (lane, _, place), count in result.reckoning.check.table.items():
        lag[lane] += count if place == "in_flight" else 0
    triage = result.reckoning.check.triage
    lanes = sorted(triage.by_lane.items(), key=lambda row: _lane_order(row[0]))
    for name, one, behind in [
        *(("-" if lane == UNKNOWN_LANE else lane, one, lag["" if lane == UNKNOWN_LANE else lane]) for lane, one in lanes),
        ("all", triage.overall, sum(lag.values())),
    ]:  # fmt: skip
        table.add_row(
            name,
            str(one.triaged),
            _text(one.median_s, 2),
            _text(one.p99_s, 2),
            str(one.censored),
            str(behind),
        )
    if triage.overall.censored:
        table.caption = _UNTRIAGED
        table.caption_justify = "left"
    return table


def _days(result: Result) -> Table:
    """One row for each day of receipt, so that one sees on which the money ended."""
    table = _table("by day of receipt", "received", "accepted", "spent", "parked")
    for one in by_day(result):
        table.add_row(one.day, str(one.accepted), amount_text(one.spend_micro, ""), str(one.parked))
    return table


def _waiting(result: Result) -> Table:
    table = _table("waits for a person", "due (UTC)", "lane", "workflow", "cases", "question")
    for one in result.reckoning.waiting[:_QUESTIONS]:
        due = one.first_due_at.strftime("%Y-%m-%d %H:%M") if one.first_due_at else "no clock"
        table.add_row(due, one.lane, one.workflow, str(one.cases), one.question)
    left = result.reckoning.waiting[_QUESTIONS:]
    if left:
        table.add_row("", "", "", str(sum(one.cases for one in left)), f"{len(left)} more questions")
    return table


def _deferred(result: Result) -> Table:
    """One row for cases that wait for the same reason, with the first and the last moment; the numbers in it are left out."""
    table = _table("waits, parked", "from (UTC)", "to (UTC)", "lane", "workflow", "cases", "reason")
    rows: dict[tuple[str, str, str], list[datetime]] = {}
    for one in result.reckoning.deferred:
        rows.setdefault((one.lane, one.workflow, one.reason.split(" (")[0]), []).append(one.until)
    order = sorted(rows.items(), key=lambda row: (min(row[1]), row[0]))
    for (lane, workflow, reason), until in order[:_QUESTIONS]:
        first, last = (f"{moment:%Y-%m-%d %H:%M}" for moment in (min(until), max(until)))
        table.add_row(first, last, lane, workflow, str(len(until)), reason)
    left = order[_QUESTIONS:]
    if left:
        cases = sum(len(until) for _, until in left)
        table.add_row("", "", "", "", str(cases), f"{len(left)} more reasons")
    table.caption = "Each with its moment and whole reason: --json, or vigimesh case list --outcome parked"
    table.caption_justify = "left"
    return table


def _table(title: str, *names: str) -> Table:
    """A table whose columns of words and dates stand left, those of numbers right."""
    table = Table(title=title, title_justify="left")
    for name in names:
        table.add_column(name, justify="left" if name in _WORDS else "right", overflow="fold")
    return table


def _lane_order(lane: str) -> tuple[int, str]:
    """Order lanes by urgency; what has none comes last."""
    return (LANES.index(lane) if lane in LANES else len(LANES), lane)


def _list(console: Console, title: str, lines: list[str], total: int) -> None:
    """Print the first lines of a list, and how many of `total` are not shown."""
    if not lines:
        return
    console.print(f"[bold]{title}[/bold]")
    for line in lines[:_LINES]:
        console.print(f"  {line}", highlight=False, markup=False, soft_wrap=True)
    if total > _LINES:
        console.print(f"  and {total - _LINES} more")


def _late(works: int | None) -> str:
    """Return what is said of works out of order: nothing while there are none."""
    return f", out of order {works}" if works else ""


def _money(result: Result) -> str:
    return amount_text(sum(result.reckoning.spend_micro.values()), "")


def _calls(result: Result) -> str:
    """Return what is said of paid calls: nothing while there are none."""
    return f" on {result.reckoning.calls} model calls" if result.reckoning.calls else ""


def _tiers(result: Result) -> str:
    """Return how many cases each tier resolved, and what asking the large model about each would have cost."""
    counts = ", ".join(f"{tier} {result.reckoning.tiers.get(tier, 0)}" for tier in TIERS)
    whole = result.reckoning.all_large_micro
    cost = (
        ""
        if whole is None
        else f"; the large model for every case: about {amount_text(whole, '')} (mean of the calls made)"
    )
    return f"resolved by {counts}{cost}"


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _text(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
