"""What the budget costs a model call: 200 calls/s, a model of 250 ms, on the stack's own Valkey and PostgreSQL. Open loop.

*reserve* is the time of `Budget.reserve` alone inside a paid call, until the payer goes on. *added* is the time of a whole
paid call (`Payer.pay`: price, reserve, begin, ask, store the answer, settle) less that of the bare call of the same question
by the same client: arrivals alternate between bare and paid, those two after one another, which first changes with the
round. Both are counted from the scheduled arrival, so that no call waits uncounted for the one before. `added_p50_ms` and
`added_p99_ms` are percentiles of these differences, pair by pair: what the machine delays one of the two by is in them. How much
that is, *alike* says: the same of a bare call less the bare one before it, to which nothing was added.

*overspend*: in rounds of another kind all calls are paid and one window of each workflow (day, month or minute) has a cap that
runs out. Then the store's own log of commands gives the order in which it worked, and the answers of `reserve` are held
against a serial account of it (`account.py`): the most that recorded + open was beyond a cap. So is what the journal booked.
*false refusals*: those of that account that were refused though recorded + open + this worst case was within every cap. In the
other rounds the caps are wide, and every refusal is false. Not judged: an ask that wrote nothing down and whose answer was lost
(`unjudged`: the log does not say whether there was no room), refusals in a window that an overrun closed, whether a worst case
need be so high, and asks that were shut because the store did not answer in time (`failed`; their times are left out).
Both keys are the sum over all rounds and points, since no median may hide one.

The point *floor* has no goal: one commit, one statement and one script, each by a bare script (`floor.py`).
"""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from random import Random
from typing import Any

import redis

from account import Order, Verdict, booked_beyond, judged, read_orders, refused_with_room
from engines import Running
from floor import floor
from ground import Ground, ground, versions
from measuring import Goal, Report, finish, options, percentile, say
from pay import MODEL_MS, Call, Counter, Course, counter, made, purchase, question, standin, worst_micro
from vigimesh.adapters.postgres.schema import migrate
from vigimesh.app.workers.worker import rest_collector
from vigimesh.clock import SystemClock
from vigimesh.domain.budget.values import Caps, Standing
from vigimesh.tool_executor.purchase import Paid

#: Calls a second, and seconds that a part of a round is measured.
RATE, SECONDS, QUICK_SECONDS = 200.0, 5.0, 1.0
#: Workflows on which the calls are drawn.
SPREADS = (1, 50, 500)
#: Workflows of the parts in which all calls are of one kind.
ALONE = 50
#: A part at a share of the rate, which no goal asks of: where 200 calls/s fill the event loop, it says what a call costs when
#: it waits for no other.
CALM, CALM_SHARE = "quarter_of_the_rate", 0.25
#: Times as long as the others, so that a 99th percentile is not its one worst call.
CALM_TIMES = 2
#: Seconds at the beginning of each part that are not measured, and of the part before all.
WARM_S, FIRST_S = 0.5, 3.0
WIDE = Caps("EUR", month_micro=10**12, day_micro=10**12, case_micro=10**12, calls_per_minute=10**9)
#: The cap that runs out, by turns.
TIGHT = ("day", "month", "minute")
#: A tight cap of money lets this share of all calls be paid, and at least this many times the worst case be held.
SHARE, LEAST = 0.5, 1.2
#: Commands that the server's log holds: one part has some 40,000, those inside scripts included.
LOG = 1_000_000


def named(spread: int) -> str:
    """Return the name of a point."""
    return f"{spread}_workflow{'s' if spread > 1 else ''}"


#: All rounds and points together.
ALL = "all_rounds"
POINTS = tuple(named(spread) for spread in SPREADS)
GOALS = {
    "reserve_p50_ms": Goal(bound="<=", value=0.5, points=(*POINTS, "all_paid")),
    "added_p50_ms": Goal(bound="<=", value=1.5, points=POINTS),
    "added_p99_ms": Goal(bound="<=", value=5, points=POINTS),
    "overspend_micro": Goal(bound="=", value=0, points=(ALL,)),
    "false_refusals": Goal(bound="=", value=0, points=(ALL,)),
}


@dataclass(slots=True, kw_only=True)
class Bench:
    """What all parts share."""

    base: Ground
    counter: Counter
    model: Running
    report: Report
    rate: float
    seconds: float
    chance: Random
    #: What one call costs.
    actual_micro: int = 0

    async def part(self, calls: Sequence[Call], share: float = 1.0) -> Course:
        """Make the calls of one part, at a share of the rate."""
        self.counter.forget()
        return await made(self.counter, calls, self.rate * share, self.chance, self.model)

    def count(self, seconds: float, share: float = 1.0) -> int:
        """Return how many calls so many seconds have."""
        return round(self.rate * share * seconds)


def main() -> int:
    """Measure and print."""
    chosen = options(__doc__ or "", _more)
    report = Report("budget", GOALS)
    seconds = chosen.seconds or (QUICK_SECONDS if chosen.quick else SECONDS)
    with ground(topics=False) as base, standin(base) as (base_url, model):
        migrate(base.urls.postgres)
        report.notes |= {
            "rate": chosen.rate, "seconds": seconds, "warm_s": WARM_S, "model_ms": MODEL_MS, "paid_of_alternating": 0.5, "calm_share": CALM_SHARE,
            "arrivals": "one in each slot of 1/rate, anywhere in it", "kafka": "idle",
        }  # fmt: skip
        if chosen.note:
            report.notes["note"] = chosen.note

        async def measured() -> None:
            async with counter(base, base_url) as opened:
                bench = Bench(
                    base=base, counter=opened, model=model, report=report, rate=chosen.rate, seconds=seconds,
                    chance=Random(7),
                )  # fmt: skip
                await rounds(bench, chosen.rounds)

        asyncio.run(measured())
        add_up(report)
        told = [(name, base.stack.versions[name]) for name in ("valkey", "postgres")]
        return finish(report, chosen, versions(base, told))


def _more(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=float, default=0.0, help=f"of one part (default {SECONDS:g})")
    parser.add_argument("--rate", type=float, default=RATE, help=f"calls a second (default {RATE:g})")
    parser.add_argument(
        "--note", default="", help="what a reader must know, such as who else used the machine"
    )


async def rounds(bench: Bench, count: int) -> None:
    """Warm up, then measure round by round."""
    first = [
        Call(kind=kind, wanted=purchase("FIRST", number, "warm", WIDE))
        for number in range(bench.count(FIRST_S))
        for kind in ("bare", "paid")
    ]
    await bench.part(first)
    bench.actual_micro = max(call.came.cost_micro for call in first if isinstance(call.came, Paid))
    bench.report.notes |= {
        "worst_micro": worst_micro(question(0)),
        "actual_micro": bench.actual_micro,
        "answers_warming_up": sum(call.good for call in first),
    }
    # As every worker does.
    rest_collector()
    for number in range(count):
        for spread in SPREADS if number % 2 == 0 else tuple(reversed(SPREADS)):
            await alternating(bench, number, spread, named(spread))
            await tight(bench, number, spread)
        await alternating(bench, number, ALONE, CALM, CALM_SHARE)
        await alone(bench, number)
        floor(bench.base, bench.report, bench.chance)
        say(f"budget: round {number + 1} of {count} done")


def add_up(report: Report) -> None:
    """Add what was found in any round: of these one is one too many."""
    kinds = {"false_refusals": ("false_refusals_wide", "false_refusals_tight")}
    points = list(report.found.values())
    for key in (
        "overspend_micro",
        "false_refusals",
        "calls_beyond_a_minute",
        "unjudged",
        "account_off_micro",
    ):
        report.add(ALL, key, sum(sum(one.get(of, ())) for one in points for of in kinds.get(key, (key,))))


async def alternating(bench: Bench, number: int, spread: int, point: str, share: float = 1.0) -> None:
    """Measure bare and paid calls in turn, the caps wide."""
    seconds = bench.seconds * (CALM_TIMES if point == CALM else 1)
    pairs = bench.count(WARM_S + seconds, share) // 2
    calls = []
    for pair in range(pairs):
        workflow = f"w_{point}_{bench.chance.randrange(spread)}"
        wanted = purchase(f"WIDE-{point}-{number}", pair, workflow, WIDE)
        warm = pair < bench.count(WARM_S, share) // 2
        both = [Call(kind=kind, wanted=wanted, warm=warm) for kind in ("bare", "paid")]
        calls += both if number % 2 == 0 else both[::-1]
    course = await bench.part(calls, share)
    bare, paid = ([call for call in calls if call.kind == kind] for kind in ("bare", "paid"))
    good = [
        (one.took_s * 1_000, other.took_s * 1_000)
        for one, other in zip(bare, paid, strict=True)
        if one.good and other.good and not one.warm
    ]
    _percentiles(bench.report, point, "added", [p - b for b, p in good])
    _percentiles(bench.report, point, "alike", [b - before for (before, _), (b, _) in pairwise(good)])
    _percentiles(bench.report, point, "bare", [b for b, _ in good])
    _percentiles(bench.report, point, "paid", [p for _, p in good])
    if good:
        more = percentile([p for _, p in good], 99) - percentile([b for b, _ in good], 99)
        bench.report.add(point, "p99_less_p99_ms", more)
    _doors(bench, point)
    _course(bench.report, point, course)
    _refused(bench.report, point, paid, number)
    _failed(bench.report, point, calls)


async def alone(bench: Bench, number: int) -> None:
    """Measure the whole rate of one kind, then of the other: processor time of each, and all of the rate at the budget."""
    at_ms: dict[str, list[float]] = {}
    for kind in ("bare", "paid") if number % 2 == 0 else ("paid", "bare"):
        calls = [
            Call(
                kind="bare" if kind == "bare" else "paid",
                wanted=purchase(f"ALONE-{number}", place, f"alone_{bench.chance.randrange(ALONE)}", WIDE),
                warm=place < bench.count(WARM_S),
            )
            for place in range(bench.count(WARM_S + bench.seconds))
        ]
        course = await bench.part(calls)
        point = f"all_{kind}"
        at_ms[kind] = [call.took_s * 1_000 for call in calls if call.good and not call.warm]
        _percentiles(bench.report, point, kind, at_ms[kind])
        _course(bench.report, point, course)
        add = _adder(bench.report, point)
        add("cpu_ms_a_call", course.cpu_s * 1_000 / len(calls))
        add("standin_cpu_ms_a_call", course.standin_cpu_s * 1_000 / len(calls))
        _failed(bench.report, point, calls)
        if kind == "paid":
            _doors(bench, point)
            _refused(bench.report, point, calls, number)
    if not all(at_ms.values()):
        return
    for percent in (50, 99):
        more = percentile(at_ms["paid"], percent) - percentile(at_ms["bare"], percent)
        bench.report.add("all_paid", f"p{percent}_less_all_bare_ms", more)


async def tight(bench: Bench, number: int, spread: int) -> None:
    """Let one window of each workflow run out at the whole rate, and judge what the budget said."""
    workflows = [f"tight_{number}_{spread}_{at}" for at in range(spread)]
    count = bench.count(bench.seconds)
    caps = {
        name: tight_caps(TIGHT[(number + at) % len(TIGHT)], count // spread, bench.actual_micro)
        for at, name in enumerate(workflows)
    }
    calls = []
    for place in range(count):
        name = bench.chance.choice(workflows)
        calls.append(Call(kind="paid", wanted=purchase(f"TIGHT-{spread}-{number}", place, name, caps[name])))
    with redis.Redis.from_url(bench.base.urls.redis) as server:
        server.config_set("slowlog-max-len", LOG)
        server.slowlog_reset()
        server.config_set("slowlog-log-slower-than", 0)
        try:
            await bench.part(calls)
        finally:
            server.config_set("slowlog-log-slower-than", -1)
        log: list[Any] = server.execute_command("SLOWLOG", "GET", "-1")
        server.slowlog_reset()
    told: dict[str, list[Any]] = {}
    for _, (ask,), (answer,) in bench.counter.budget.seen["reserve"]:
        told.setdefault(ask.call_id, []).append(answer)
    orders = read_orders(log)
    verdict = judged(orders, told)
    booked = booked_beyond(await bench.counter.payer.journal.booked(), caps)
    _tell(bench.report, named(spread), verdict, booked, orders)
    add = _adder(bench.report, named(spread))
    add("account_off_micro", await off(bench, verdict, caps))
    _failed(bench.report, named(spread), [call for call in calls if not call.denied], "tight_failed")


def tight_caps(window: str, calls: int, actual_micro: int) -> Caps:
    """Return wide caps but for one window, which about a share of so many calls fill."""
    most = max(LEAST * worst_micro(question(0)), SHARE * calls * actual_micro)
    return Caps(
        "EUR",
        month_micro=int(most) if window == "month" else WIDE.month_micro,
        day_micro=int(most) if window == "day" else WIDE.day_micro,
        case_micro=WIDE.case_micro,
        calls_per_minute=max(1, int(SHARE * calls)) if window == "minute" else WIDE.calls_per_minute,
    )


async def off(bench: Bench, verdict: Verdict, caps: dict[str, Caps]) -> int:
    """Return by how much the account differs from what the store says of each workflow's day and month."""
    wrong, now = 0, SystemClock().now()
    for workflow, cap in caps.items():
        found = await bench.counter.payer.budget.standing(workflow, cap, now)
        if not isinstance(found, Standing):
            raise RuntimeError(f"the budget is shut: {found.why}")
        for window in found.windows:
            if window.window != "minute":  # calls made a minute ago stand in another
                ours = verdict.sums.get((workflow, window.window, window.name), 0)
                wrong += abs(window.enforced_micro - ours) + abs(
                    window.recorded_micro + window.open_micro - ours
                )
    return wrong


def _tell(report: Report, point: str, verdict: Verdict, booked: int, orders: Sequence[Order]) -> None:
    add = _adder(report, point)
    # What the journal booked beyond a cap was spent, whatever the budget's own account says.
    add("overspend_micro", max(verdict.overspend_micro, booked))
    add("false_refusals_tight", verdict.false_refusals)
    add("calls_beyond_a_minute", verdict.calls_beyond)
    add("tight_admitted", verdict.admitted)
    add("tight_refused", verdict.refused)
    add("unjudged", verdict.unjudged)
    for word in ("reserve", "settle"):
        took = [order.took_us for order in orders if order.word == word]
        if took:
            add(f"server_{word}_p50_us", percentile(took, 50))


def _doors(bench: Bench, point: str) -> None:
    """Tell what each door of the payer took."""
    at = bench.counter
    for key, watch, name in (
        ("reserve", at.budget, "reserve"),
        ("begin", at.journal, "begin_in_turn"),
        ("ask", at.models, "ask"),
        ("answer", at.journal, "answer"),
        ("settle", at.budget, "settle"),
    ):
        _percentiles(bench.report, point, key, watch.took_ms(name))


def _refused(report: Report, point: str, paid: Sequence[Call], number: int) -> None:
    """Tell how many were refused under the wide caps, by the `number`-th round of as many calls."""
    most = worst_micro(question(0)) * len(paid) * (number + 1)
    refused = sum(call.denied for call in paid)
    report.add(point, "false_refusals_wide", refused_with_room(refused, most, WIDE))


def _failed(report: Report, point: str, calls: Sequence[Call], key: str = "failed") -> None:
    """Tell how many calls had no answer, and in the notes why: their times are left out."""
    bad = [call for call in calls if not call.good]
    report.add(point, key, len(bad))
    whys = report.notes.setdefault("failed_why", {})
    for call in bad:
        why = f"{call.kind}: {getattr(call.came, 'why', call.came)}"[:200]
        whys[why] = whys.get(why, 0) + 1


def _course(report: Report, point: str, course: Course) -> None:
    _percentiles(report, point, "loop_late", [late_s * 1_000 for late_s in course.late_s])
    report.add(point, "machine_busy", course.machine_busy)
    report.add(point, "calls_done_per_s", course.done_per_s)


def _percentiles(report: Report, point: str, key: str, found_ms: Sequence[float]) -> None:
    for percent in (50, 99) if found_ms else ():
        report.add(point, f"{key}_p{percent}_ms", percentile(found_ms, percent))


def _adder(report: Report, point: str) -> Any:
    return lambda key, figure: report.add(point, key, float(figure))


if __name__ == "__main__":
    raise SystemExit(main())
