"""A chain of three stages with real events, whose work is told by the case itself: fetch, call, wait, park, keep state."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from random import Random
from typing import Any

from simulation.virtual import later
from vigimesh.adapters.memory.registry import MemorySchemas
from vigimesh.events import ids
from vigimesh.events.case import Case
from vigimesh.events.classes import CaseReceived, CaseRouted, HeadMoved, Route
from vigimesh.events.codec import Codec
from vigimesh.events.envelope import Envelope, to_headers
from vigimesh.events.topics import topic
from vigimesh.loop.broker import Write
from vigimesh.loop.outcome import Answers, Done, Emit, Input, Need, Outcome, Park, Retry
from vigimesh.loop.stage import Stage

DOOR = topic("case.received.normal")
FIRST, SECOND, LAST = topic("plan.hot"), topic("plan.warm"), topic("plan.cold")
HEAD, AUDIT, DEAD, PARKED, FLOW = (topic(n) for n in ("case.head", "audit", "deadletter", "parked", "flow"))

#: Seconds after which a gate opens, counted from its first question: fewer than ten tries.
GATE_S = 3.0

codec = Codec(MemorySchemas())


@dataclass(frozen=True, kw_only=True)
class Load:
    """One message to be sent: `number` is its place in its case, `todo` what the stages have to do for it."""

    at_s: float
    key: str
    number: int
    todo: tuple[str, ...]
    #: What it is recalled for; empty for its arrival.
    cause: str = ""

    @property
    def message_id(self) -> str:
        return f"{self.key}#{self.number}"

    @property
    def unit(self) -> str:
        """What ends once: the message, for each cause apart."""
        return f"{self.message_id} {self.cause}".rstrip()


def loads(rng: Random, count: int, seconds: float) -> list[Load]:
    """Make messages of a few cases: some keys are busy, most work is quick, some takes long."""
    keys = [f"default/case-{n}" for n in range(rng.choice((3, 12, 40)))]
    numbers: dict[str, int] = {}
    found = []
    for at_s in sorted(rng.random() * seconds for _ in range(count)):
        key = rng.choice(keys)
        numbers[key] = numbers.get(key, 0) + 1
        todo = [
            name
            for name, chance in (("fetch", 0.2), ("call", 0.25), ("gate", 0.02), ("park", 0.03))
            if rng.random() < chance
        ]
        if rng.random() < 0.02:
            todo = ["poison"]
        found.append(Load(at_s=at_s, key=key, number=numbers[key], todo=tuple(todo)))
    return found


def write_of(load: Load) -> Write:
    """Return the record of a message; `poison` is no event."""
    key = load.key.encode()
    if "poison" in load.todo:
        return Write(topic=DOOR, key=key, value=b"\x00\xff\xff\xff\xff", headers=[("ce_id", load.message_id.encode()), ("ce_messageid", load.message_id.encode())])  # fmt: skip
    case = Case(message_id=load.message_id, case_id=load.key, narrative=json.dumps([load.number, *load.todo]))
    envelope = Envelope(
        id=load.message_id, source="/simulation", type="vigimesh.CaseReceived", time=_THEN, subject=load.key,
        messageid=load.message_id,
    )  # fmt: skip
    return Write(
        topic=DOOR, key=key, value=codec.encode(DOOR, CaseReceived(case=case)), headers=to_headers(envelope)
    )


_THEN = datetime(2026, 1, 1, tzinfo=UTC)


@cache
def todo_of(narrative: str) -> tuple[int, tuple[str, ...]]:
    """Return the place of a message in its case, and what is to be done for it."""
    number, *todo = json.loads(narrative)
    return number, tuple(todo)


def number_of(event: Any) -> int:
    """Return the place of a message in its case."""
    return todo_of(event.case.narrative)[0]


def hand_on(case: Input, name: str, *more: Emit) -> Done:
    """Return the case for the next topic."""
    event = case.event
    if isinstance(event, CaseReceived):
        route = Route(
            workflow="triage",
            lane="hot",
            rule="",
            reason="",
            card_digest="",
            version=("1",),
            received_at=case.at,
        )
        event = CaseRouted(case=event.case, route=route)
    out = Emit(
        topic=name, key=case.key, event=event, messageid=event.case.message_id, workflow="triage", lane="hot"
    )
    return Done(events=(out, *more), why="handed on")


class Router:
    """First stage: needs of a kind that are fetched together."""

    def needs(self, case: Input, answers: Answers) -> tuple[Need, ...]:
        number, todo = todo_of(case.event.case.narrative)
        return (Need(kind="score", key=f"{case.key}/{number}"),) if "fetch" in todo else ()

    def decide(self, case: Input, answers: Answers) -> Outcome:
        return hand_on(case, FIRST)


class Thinker:
    """Second stage: calls that take their time one by one, gates that open later, cases that wait parked."""

    def needs(self, case: Input, answers: Answers) -> tuple[Need, ...]:
        number, todo = todo_of(case.event.case.narrative)
        kinds = {"call": "model", "gate": "gate"}
        return tuple(Need(kind=kinds[word], key=f"{case.key}/{number}") for word in todo if word in kinds)

    def decide(self, case: Input, answers: Answers) -> Outcome:
        number, todo = todo_of(case.event.case.narrative)
        if answers.get(f"gate:{case.key}/{number}") is False:
            return Retry(after_s=0.5, why="not open yet")
        not_before = case.event.route.received_at + timedelta(seconds=20)
        if "park" in todo and case.at < not_before:
            return Park(not_before=not_before, why="later")
        return hand_on(case, SECOND)


class Keeper:
    """Third stage: keeps how many messages of a case it has seen, in a compacted topic."""

    def needs(self, case: Input, answers: Answers) -> tuple[Need, ...]:
        return (Need(kind="head", key=case.key),)

    def decide(self, case: Input, answers: Answers) -> Outcome:
        head = answers[f"head:{case.key}"]
        count = int(head["newest"][0]) + 1 if head else 1
        moved = HeadMoved(
            case_id=case.key, newest=(str(count),), newest_message_id=case.event.case.message_id
        )
        return hand_on(case, LAST, Emit(topic=HEAD, key=case.key, event=moved, workflow="triage", lane="hot"))


#: Called before a source answers: may fail or wait there.
Pass = Callable[[str], Awaitable[None]]


@dataclass
class Sources:
    """What the stages ask, outside their processes: all of them see the same gates."""

    rng: Random
    time_s: Callable[[], float]
    #: Seconds that the first call takes for a case of partition 0, if it is to be a long one.
    long_s: float
    partition_of: Callable[[bytes], int]
    long: str = ""
    asked_s: dict[str, float] = field(default_factory=dict)
    calls: Counter[str] = field(default_factory=Counter)

    def fetchers(self, passes: Pass) -> dict[str, Callable[[Sequence[Need]], Awaitable[Sequence[Any]]]]:
        async def score(needs: Sequence[Need]) -> Sequence[Any]:
            await passes("fetch")
            return [len(need.key) for need in needs]

        async def gate(needs: Sequence[Need]) -> Sequence[Any]:
            await passes("fetch")
            now_s = self.time_s()
            return [now_s - self.asked_s.setdefault(need.key, now_s) >= GATE_S for need in needs]

        return {"score": score, "gate": gate}

    def callers(self, passes: Pass) -> dict[str, Callable[[Need], Awaitable[Any]]]:
        async def model(need: Need) -> Any:
            await passes("call")
            self.calls[need.key] += 1
            if self.long_s and not self.long and self.partition_of(need.key.rpartition("/")[0].encode()) == 0:
                self.long = need.key
            if need.key == self.long:
                await later(self.long_s)
            await later(self.rng.choice((0.01, 0.05, 0.2, 1.0, 6.0)))
            return ids.digest(need.key.encode())[:8]

        return {"model": model}


@dataclass(frozen=True)
class Link:
    """One stage of the chain."""

    name: str
    verb: Any
    reads: str
    writes: str
    table: str | None = None

    @property
    def group(self) -> str:
        return f"simulation.{self.name}"

    def stage(self, sources: Sources, passes: Pass) -> Stage:
        return Stage(
            name=self.name, lane=None, verb=self.verb, fetchers=sources.fetchers(passes),
            callers=sources.callers(passes), table_topic=self.table,
        )  # fmt: skip


LINKS = (
    Link("router", Router(), DOOR, FIRST),
    Link("thinker", Thinker(), FIRST, SECOND),
    Link("counter", Keeper(), SECOND, LAST, HEAD),
)
#: The process that lets parked cases go on.
RESUMER = Link("resumer", None, PARKED, FIRST)
TOPICS = (DOOR, FIRST, SECOND, LAST, HEAD, AUDIT, DEAD, PARKED, FLOW)
