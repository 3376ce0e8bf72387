"""Four ways to control what a mesh spends, on the same simulated month: nobody, a spend cap, a gate on depth, and ours.

The month has money for its first days. *none* asks whenever a case wants it. *spend_cap* is the cap of a gateway: it counts
what is recorded, refuses beyond, and whoever is refused tries again when the window opens. *queue_gate* calls nobody while
too many cases wait, and knows no money. All three try again after a 429, doubling their pause. *ours* is the code that runs in
the mesh: `domain.budget.rule.Books`, `domain.control.pricing.price`, `domain.control.yields.yields` and `domain.budget.waiting`.

`overspend_micro`: by how much recorded + under way (each call at its worst case) went beyond the cap. `hot_p99_s`: from the arrival of a hot
case to its conclusion. `late_cases`: concluded after the legal clock, or never. `false_refusals`: refused or deferred for
money or depth while recorded + open + worst case was within the cap. `spend_micro`: what the answers cost. `without_opinion`:
cases that wanted one and went to a person, which costs people's time. A simulation: it says how the rules compare on these
arrivals, not what a mesh measures.

With `--mesh` the four also control the real mesh, minutes long, on the same arrivals (`controllers_mesh.py`); the object has
that under `mesh`, what its keys mean stands in `mesh_figures.py` and in decision 0024.
"""

from __future__ import annotations

import argparse
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import controllers_mesh
import mesh_arrivals
import month
from controllers_picture import drawn
from measuring import Goal, Report, finish, options, percentile, say
from mesh_figures import nested
from month import CALLS_PER_MINUTE, MONTH_MICRO, WORST_MICRO, Case, Controller, World
from pay import MODEL_MS
from vigimesh.domain.budget.rule import Books
from vigimesh.domain.budget.values import Ask, Caps, Denied, Standing
from vigimesh.domain.budget.waiting import waits_until
from vigimesh.domain.control.costs import Learned, expected_micro, learn, prior_micro
from vigimesh.domain.control.lag import LagRow
from vigimesh.domain.control.measure import Known
from vigimesh.domain.control.pricing import Backlog, InForce, LaneBacklog, Means, price
from vigimesh.domain.control.yields import Yield, yields
from vigimesh.events.classes import Clock, Triage
from vigimesh.events.topics import DOORS, LANE_STAGES, LANES

#: What the points and keys of the real mesh begin with, so that nobody takes them for the simulation's; and the point that
#: has the worst round of ours: of what must not be, once is too often.
REAL, WORST = "mesh_", "mesh_ours_worst"
GOALS = {
    "overspend_micro": Goal(bound="=", value=0, points=("ours",)),
    "late_cases": Goal(bound="=", value=0, points=("ours",)),
    "false_refusals": Goal(bound="=", value=0, points=("ours",)),
    "hot_p99_s": Goal(points=("ours",)),
    "mesh_overspend_micro": Goal(bound="=", value=0, points=(WORST,)),
    "mesh_serious_or_untriaged_waited_for_money": Goal(bound="=", value=0, points=(WORST,)),
    "mesh_false_refusals": Goal(bound="=", value=0, points=(WORST,)),
    "mesh_hot_p99_s": Goal(points=("mesh_ours",)),
}
#: Runs of each controller on the real mesh; each takes some three minutes.
MESH_ROUNDS = 1
KEYS = ("overspend_micro", "hot_p99_s", "late_cases", "false_refusals", "spend_micro", "without_opinion")
#: Longest pause between two tries of a call that the endpoint did not take, seconds.
PAUSE_S = 3_600.0
#: Cases that wait for their tools, above which the gate is closed.
GATE = 500
#: Seconds within which a hot case is to be triaged, as the shipped card says.
HOT_S = 10.0
#: What one case may cost, micro-units.
CASE_MICRO = 10_000


@dataclass(slots=True)
class Nobody:
    """Asks whenever a case wants it; after a 429 again, at the earliest when the endpoint says."""

    pause_s: dict[int, float] = field(default_factory=dict)

    def wants(self, world: World, case: Case) -> None:
        """Call, and call again when the endpoint took no more."""

        def refused(until_s: float) -> None:
            pause_s = self.pause_s[case.number] = min(2 * self.pause_s.get(case.number, 30.0), PAUSE_S)
            world.at(max(until_s, world.now_s + pause_s), lambda: self.wants(world, case))

        world.call(case, refused)

    def paid(self, world: World, case: Case, micro: int) -> None:
        """Nobody counts."""

    def look(self, world: World) -> dict[str, float]:
        """No lane yields."""
        return {}


@dataclass(slots=True)
class SpendCap(Nobody):
    """Refuses once what is recorded has reached the cap; what is under way is not counted."""

    def wants(self, world: World, case: Case) -> None:
        """Call while the counter is below the cap, else when a new month has new money."""
        if world.now_s < month.MONTH_S and world.money.recorded >= world.month_micro:
            world.money.refused()
            world.at(month.MONTH_S, lambda: self.wants(world, case))
            return
        Nobody.wants(self, world, case)


@dataclass(slots=True)
class QueueGate(Nobody):
    """Calls nobody while more cases than the gate allows wait for their tools; then those before it, in their order."""

    before: deque[Case] = field(default_factory=deque)

    def wants(self, world: World, case: Case) -> None:
        """Call while the gate is open, whoever it is; else wait."""
        if depth(world) > GATE:
            world.money.refused()
            self.before.append(case)
        else:
            Nobody.wants(self, world, case)

    def look(self, world: World) -> dict[str, float]:
        """Open the gate when the depth is below it again."""
        while self.before and depth(world) <= GATE:
            Nobody.wants(self, world, self.before.popleft())
        return {}


def depth(world: World) -> int:
    """Return how many cases wait for their tools."""
    return sum(map(len, world.queues.values()))


@dataclass(slots=True)
class Ours:
    """The mesh's own rules, put together as the mesh puts them together."""

    books: Books = field(default_factory=Books)
    in_force: InForce = field(default_factory=InForce)
    standing: tuple[Yield, ...] = ()
    learned: Learned = field(default_factory=Learned)
    spent: int = 0
    done: int = 0
    looked_s: float = -1e9

    def wants(self, world: World, case: Case) -> None:
        """Reserve and call; without room wait where that is allowed, else a person decides."""
        self.done += 1
        if any(one.lane == case.lane for one in self.in_force.ceilings):
            world.without(case)
            return
        name = f"{case.number}"
        told = self.books.reserve(Ask(name, "triage", name, WORST_MICRO, world.now, caps_of(world), 120.0))
        if isinstance(told, Denied):
            self._refused(world, case, told)
            return

        def busy(_: float) -> None:
            self.books.release(name, "triage")
            world.without(case)

        world.call(case, busy)

    def _refused(self, world: World, case: Case, told: Denied) -> None:
        if told.window != "minute":
            world.money.refused()
        came, due = (month.START + timedelta(seconds=s) for s in (case.came_s, case.due_s))
        grade = 1 if case.serious == "no" else 3
        triage = Triage(
            valid=True, serious=case.serious, grade=grade, clock=Clock(rule="simulated", due_at=due)
        )
        until = waits_until(triage, case.lane, came, told.opens_at, f"{case.number}")
        if until is None:
            world.without(case)
        else:
            world.at((until - month.START).total_seconds(), lambda: world.take(case))

    def paid(self, world: World, case: Case, micro: int) -> None:
        """Settle."""
        self.books.settle(f"{case.number}", "triage", micro)
        del self.books.calls[
            "triage", f"{case.number}"
        ]  # nobody asks twice here, and the account sums over calls
        self.spent += micro

    def look(self, world: World) -> dict[str, float]:
        """Rule, as the controller does: who yields, and which lanes may ask no large model."""
        now = world.now
        self.learned = learn(self.learned, self.spent, self.done)
        self.spent = self.done = 0
        cost = expected_micro(self.learned, prior_micro(CASE_MICRO))
        backlog = Backlog(
            workflow="triage", currency="EUR", tiers=("tools", "large"), calls_per_minute=CALLS_PER_MINUTE,
            lanes=tuple(
                LaneBacklog(lane=lane, records=Known(value=len(world.queues[lane])), case_micro=cost)
                for lane in LANES
            ),
        )  # fmt: skip
        account: Standing = self.books.standing("triage", caps_of(world), now, "simulated")
        ruling = price([backlog], Means(accounts={"triage": account}), self.in_force, now)
        self.in_force = ruling.in_force
        self.standing = yields(tuple(rows(world)), {"triage": HOT_S}, self.standing, now).yields
        return {one.lane: one.share_percent / 100 for one in self.standing}


def caps_of(world: World) -> Caps:
    """Return the caps of the card: the month's money may all be spent on one day."""
    return Caps("EUR", world.month_micro, world.month_micro, CASE_MICRO, CALLS_PER_MINUTE)


def rows(world: World) -> list[LagRow]:
    """Return the lag as the controller would be told it."""
    found = [
        LagRow(stage="router", lane=door, workflow="", records=Known(value=0), seconds=Known(value=0))
        for door in DOORS
    ]
    for lane in LANES:
        queue = world.queues[lane]
        age = world.now_s - queue[0].came_s if queue else 0.0
        for stage in LANE_STAGES:
            waits = stage == "tool-executor"
            one = LagRow(
                stage=stage, lane=lane, workflow="", records=Known(value=len(queue) if waits else 0),
                seconds=Known(value=age if waits else 0.0),
            )  # fmt: skip
            found += [one, replace(one, workflow="triage")]
    return found


CONTROLLERS: Mapping[str, type[Any]] = {
    "none": Nobody,
    "spend_cap": SpendCap,
    "queue_gate": QueueGate,
    "ours": Ours,
}


def figures(world: World) -> dict[str, float]:
    """Return what a month came to."""
    hot = [
        (case.concluded_s if case.concluded_s is not None else world.now_s) - case.came_s
        for case in world.cases
        if case.lane == "hot"
    ]
    return {
        "overspend_micro": sum(one.overspent for one in world.moneys), "hot_p99_s": percentile(hot, 99.0),
        "late_cases": sum(case.late for case in world.cases), "false_refusals": sum(one.false_refusals for one in world.moneys),
        "spend_micro": world.moneys[0].recorded, "without_opinion": world.not_asked,
    }  # fmt: skip


def main() -> int:
    """Simulate and print."""

    def more(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--svg", type=Path, help="also draw what was spent, day by day, to this file")
        parser.add_argument(
            "--mesh", action="store_true", help="also on the real mesh, some ten minutes a round"
        )
        parser.add_argument("--mesh-rounds", type=int, default=0, help=f"of it (default {MESH_ROUNDS})")

    chosen = options(__doc__ or "", more)
    report, spent = Report("controllers", GOALS), dict[str, list[int]]()
    for number in range(chosen.rounds):
        for name, made in CONTROLLERS.items():
            controller: Controller = made()
            world = World(controller=controller, cases=month.arrivals(number + 1), seed=number + 1)
            world.run()
            found = figures(world)
            for key in KEYS:
                report.add(name, key, found[key])
            spent.setdefault(name, world.by_day)
        say(f"controllers: round {number + 1} of {chosen.rounds}")
    report.notes |= {
        "simulated": True, "month_micro": MONTH_MICRO, "cases": len(month.arrivals(1)),
        "calls_per_minute": CALLS_PER_MINUTE, "burst": month.BURST, "rounds_are": "seeds of the arrivals",
    }  # fmt: skip
    versions: dict[str, str] = {}
    if chosen.mesh:
        on_the_mesh(report, chosen, versions)
    if chosen.svg:
        real = shown(report.summary(chosen, versions)).get("mesh", {})
        month_micro = report.notes["mesh"]["month_micro"][0] if real else 0
        chosen.svg.write_text(drawn(spent, real, month_micro), encoding="utf-8")
    return finish(report, chosen, versions, shown)


def on_the_mesh(report: Report, chosen: argparse.Namespace, versions: dict[str, str]) -> None:
    """Run every controller on the real mesh, in turn and every second round in reverse; `versions` takes those of the stack."""
    size = mesh_arrivals.QUICK if chosen.quick else mesh_arrivals.FULL
    rounds = chosen.mesh_rounds or MESH_ROUNDS
    names = tuple(controllers_mesh.KINDS)
    for number in range(rounds):
        for name in names if number % 2 == 0 else reversed(names):
            found = controllers_mesh.measured(name, number + 1, size, versions)
            for key, figure in found.items():
                report.add(f"{REAL}{name}", f"{REAL}{key}", figure)
            say(f"controllers: {name} on the mesh, round {number + 1} of {rounds}: {nested(found)}")
    for key, goal in GOALS.items():
        if goal.points == (WORST,):
            report.add(WORST, key, max(report.found[f"{REAL}ours"][key]))
    month_micro = [mesh_arrivals.month_micro(mesh_arrivals.arrivals(n + 1, size)) for n in range(rounds)]
    report.notes["mesh"] = {
        **asdict(size), "rounds": rounds, "month_micro": month_micro, "gate_records": controllers_mesh.GATE,
        "standin_ms": MODEL_MS, "simulated": False,
    }  # fmt: skip


def shown(made: dict[str, Any]) -> dict[str, Any]:
    """Add an object for each controller, as its medians; those of the real mesh, where it ran, under `mesh`."""

    def medians(point: str, begin: str) -> dict[str, Any]:
        figures = made["points"][point]
        return {key.removeprefix(begin): one["median"] for key, one in figures.items()}

    each = {name: medians(name, "") for name in CONTROLLERS if name in made["points"]}
    real = {
        name: nested(medians(f"{REAL}{name}", REAL))
        for name in CONTROLLERS
        if f"{REAL}{name}" in made["points"]
    }
    return {**made, **each, **({"mesh": real} if real else {})}


if __name__ == "__main__":
    raise SystemExit(main())
