"""One run of chaos: cases come in steadily, faults come as planned, then everything must be accounted for by the topics."""

from __future__ import annotations

import heapq
import itertools
import json
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from chaos import money
from chaos.faults import Fault
from chaos.feed import Feed
from chaos.rig import Rig, say
from chaos.story import tell
from vigimesh.adapters.kafka.client import common
from vigimesh.adapters.kafka.history import scan
from vigimesh.app.mesh.reckoning import account
from vigimesh.app.mesh.tail import Tail
from vigimesh.domain.record.checker import Check
from vigimesh.errors import Transient
from vigimesh.events.topics import DOORS, topic

#: Seconds after the last fault in which every case must have its outcome: the longest that one alone costs is a client's
#: own time-out on a half-open connection (60 s), and a restart, a session and a transaction behind it.
DRAIN_S = 180.0
#: Looks at the topics before anything is reported: the end of a transaction reaches its partitions one after the other.
LOOKS, LOOK_AGAIN_S = 5, 1.0
#: Seconds for what is parked, which counts as concluded so far, to be resumed and to get its outcome.
PARKED_S = 90.0
#: Seconds between two looks at what is due.
STEP_S = 0.05
#: Seconds for the door to finish what it has begun.
DOOR_S = 120.0

#: Never set: a look again, later.
_PAUSE = threading.Event()

#: What the last line of output must have, in this order; `null` when it is not known.
KEYS = (
    "lost",
    "duplicated",
    "torn",
    "out_of_order",
    "faults_injected",
    "by_kind",
    "seed",
    "cases",
    "minutes",
    *money.KEYS,
)


@dataclass(slots=True, kw_only=True)
class Report:
    """What the last line of output says."""

    seed: int
    minutes: float
    fields: dict[str, Any] = field(default_factory=dict)

    def line(self) -> str:
        """Return the one JSON object."""
        given = {"seed": self.seed, "minutes": self.minutes, **self.fields}
        return json.dumps({**dict.fromkeys(KEYS), **given})

    @property
    def holds(self) -> bool:
        """Whether every case is accounted for, once."""
        zeros = (
            "lost", "duplicated", "torn", "out_of_order", "in_flight", "parked", "paid_twice", "overspend_micro",
            "leaked_reservations",
        )  # fmt: skip
        true = ("balanced", "budget_equals_journal_equals_usage")
        return all(self.fields.get(name) is True for name in true) and all(
            self.fields.get(name) == 0 for name in zeros
        )


def carry_out(rig: Rig, faults: Sequence[Fault], report: Report, *, per_s: float, seconds: float) -> None:
    """Feed the mesh for so many seconds while the faults come, let it finish, and fill the report.

    Raises `AssertionError` when the mesh does not finish in time; the report then says what is known.
    """
    tail = Tail({**common(rig.bootstrap, {}), "log_level": 0}, rig.codec)
    feed = Feed(rig.proxy.links["intake"].address, rig.settings, rig.codec, per_s)
    tail.start()
    try:
        feed.start()
        _hurt(rig, faults, seconds)
        begun_s = time.monotonic()
        try:
            feed.stop(DOOR_S)
            _wait_concluded(rig, feed.sent, tail)
        finally:
            _note(report, rig, feed)
            report.fields["drained_after_s"] = round(time.monotonic() - begun_s, 1)
            _account(report, rig, feed.sent)
            report.fields.update(money.told(rig))
            _note(report, rig, feed)
    finally:
        tail.stop()


def _hurt(rig: Rig, faults: Sequence[Fault], seconds: float) -> None:
    """Do each fault at its time, and end each at its own; at the end no fault is left."""
    order = itertools.count()
    due: list[tuple[float, int, Fault | Callable[[], None]]] = [
        (fault.at_s, next(order), fault) for fault in faults
    ]
    heapq.heapify(due)
    begun_s = time.monotonic()
    while (now_s := time.monotonic() - begun_s) < seconds:
        rig.check()
        while due and due[0][0] <= now_s:
            _, _, what = heapq.heappop(due)
            if isinstance(what, Fault):
                say(f"{what.kind} {what.target} {what.lasts_s:.1f} s")
                heapq.heappush(due, (now_s + what.lasts_s, next(order), rig.apply(what)))
            else:
                what()
        _PAUSE.wait(STEP_S)
    for _, _, what in sorted(due, key=lambda one: one[:2]):
        if not isinstance(what, Fault):
            what()


def _wait_concluded(rig: Rig, sent: set[str], tail: Tail) -> None:
    """Return when every message has an outcome."""
    say(f"no more faults; {len(sent - tail.concluded)} of {len(sent)} messages are under way")
    deadline_s = time.monotonic() + DRAIN_S
    while left := sent - tail.concluded:
        rig.check()
        if time.monotonic() > deadline_s:
            raise AssertionError(f"{len(left)} of {len(sent)} messages have no outcome after {DRAIN_S:g} s")
        _PAUSE.wait(STEP_S)


def _note(report: Report, rig: Rig, feed: Feed) -> None:
    told = rig.told
    report.fields.update(
        faults_injected=told.by_kind.total(), by_kind=dict(sorted(told.by_kind.items())),
        killed=dict(sorted(told.killed.items())), missed=dict(sorted(told.missed.items())), restarts=told.restarts.total(),
        stuck=dict(sorted(told.stuck.items())), late_commits=told.late_commits, disk=rig.disk.kind,
        sent_again=feed.repeats, holds=feed.holds, cases=len(feed.sent),
    )  # fmt: skip


def _account(report: Report, rig: Rig, sent: set[str]) -> None:
    """Let the checker speak, from the topics alone; what the door was told is in and is not there counts as lost."""
    check, vanished = _look(rig, sent)
    looks, deadline_s = 1, time.monotonic() + PARKED_S
    while vanished or check.in_flight or check.parked:
        resting = not (check.in_flight or check.parked)
        if (resting and looks >= LOOKS) or time.monotonic() > deadline_s:
            break
        _PAUSE.wait(LOOK_AGAIN_S)
        check, vanished = _look(rig, sent)
        looks += 1
    report.fields.update(
        lost=check.lost + len(vanished), duplicated=check.duplicated, torn=check.torn,
        out_of_order=check.out_of_order, accepted=check.accepted, decided=check.decided,
        in_review=check.in_review, parked=check.parked, dead_lettered=check.dead_lettered,
        in_flight=check.in_flight, balanced=check.balanced,
    )  # fmt: skip
    report.fields["accounted_after_looks"] = looks
    for told in tell(rig.bootstrap, rig.codec, check):
        print(told, file=sys.stderr, flush=True)
    if vanished:
        say(f"sent and not on the topics: {' '.join(sorted(vanished))}")


def _look(rig: Rig, sent: set[str]) -> tuple[Check, set[str]]:
    for left in reversed(range(LOOKS)):
        try:
            doors = [topic(f"case.received.{door}") for door in DOORS]
            vanished = sent - {row.headers.messageid for row in scan(rig.bootstrap, doors)}
            return account(rig.bootstrap, rig.codec, drained=False).check, vanished
        except Transient:
            if left == 0:
                raise
            _PAUSE.wait(LOOK_AGAIN_S)
    raise AssertionError("unreachable")
