"""Which fault comes when, to whom and for how long: drawn from a seed before anything is started."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

#: kill: kill -9 of a process. stop: SIGSTOP beyond its session, then SIGCONT (a zombie). broker: kill -9 of the broker, which
#: starts again on the same data. disk: the object store's disk is full. slow, cut, half_open: the way from a process to
#: the broker. held: a request to commit arrives only after the next transaction has begun. unheard: answers to a member's
#: heartbeats get lost; where others come or go meanwhile it is fenced without being gone. valkey, postgres: kill -9 of the budget's
#: store, of the call journal's.
KINDS = (
    "kill",
    "stop",
    "broker",
    "disk",
    "slow",
    "cut",
    "half_open",
    "held",
    "unheard",
    "valkey",
    "postgres",
)
#: Faults that concern all.
EVERYBODY = ("broker", "disk", "valkey", "postgres")

#: What is drawn for a minute: more than the ten that are promised, each kind at least once in two minutes. A broker that
#: is killed twice within a minute is soon given up by its keeper, so that it is in every second hand only.
HANDS = (
    ("kill",) * 4
    + ("stop", "broker", "disk", "slow", "cut", "cut", "half_open", "held", "unheard", "valkey"),
    ("kill",) * 5 + ("stop", "stop", "disk", "slow", "cut", "half_open", "held", "unheard", "postgres"),
)
HAND_S = 60.0

#: Seconds that each kind lasts, at least and at most. A stop is longer than the session (6 s) and often longer than the
#: transaction time-out (10 s); a held commit is freed by the next transaction, or then.
LASTS_S = {
    "kill": (0.0, 0.0), "broker": (0.0, 0.0), "stop": (7.0, 14.0), "disk": (4.0, 9.0), "slow": (4.0, 8.0),
    "cut": (0.0, 3.0), "half_open": (5.0, 15.0), "held": (30.0, 30.0), "unheard": (4.0, 9.0),
    "valkey": (0.0, 0.0), "postgres": (0.0, 0.0),
}  # fmt: skip

#: Seconds between two faults of the short form.
KILL_EVERY_S = 3.0

#: Seconds that a frame takes on a slow link, at most: a call of several round trips then takes a second or more.
DELAY_MAX_S = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One fault. `target` names a process, and is empty for what concerns all; `amount` is a delay in seconds or 0."""

    at_s: float
    kind: str
    target: str
    lasts_s: float
    amount: float = 0.0


def plan(seed: int, minutes: float, targets: Sequence[str]) -> tuple[Fault, ...]:
    """Return the faults of a run in their order; the same arguments give the same faults."""
    random = Random(seed)
    faults: list[Fault] = []
    hand = 0
    while hand < minutes:
        kinds = list(HANDS[hand % len(HANDS)])
        random.shuffle(kinds)
        each_s = HAND_S / len(kinds)
        for place, kind in enumerate(kinds):
            at_s = hand * HAND_S + (place + random.uniform(0.1, 0.9)) * each_s
            faults.append(draw(random, kind, at_s, targets))
        hand += 1
    return tuple(fault for fault in faults if fault.at_s < minutes * HAND_S)


def short(seed: int, targets: Sequence[str]) -> tuple[Fault, ...]:
    """Return what `make check` has time for: a process of each stage killed at a steady pace, then each other kind."""
    random = Random(seed)
    by_stage: dict[str, list[str]] = {}
    for target in targets:
        by_stage.setdefault(target.partition(".")[0], []).append(target)
    faults = []
    for place, stage in enumerate(random.sample(sorted(by_stage), len(by_stage)), 1):
        target = random.choice(by_stage[stage])
        faults.append(Fault(at_s=place * KILL_EVERY_S, kind="kill", target=target, lasts_s=0.0))
    begun_s = faults[-1].at_s
    others = {kind for hand in HANDS for kind in hand if kind != "kill"}
    kinds = sorted(others, key=lambda kind: (-LASTS_S[kind][1], kind))
    for place, kind in enumerate(kinds, 1):
        faults.append(draw(random, kind, begun_s + place * KILL_EVERY_S, targets))
    return tuple(faults)


def draw(random: Random, kind: str, at_s: float, targets: Sequence[str]) -> Fault:
    """Draw one fault of a kind."""
    target = "" if kind in EVERYBODY else random.choice(targets)
    least_s, most_s = LASTS_S[kind]
    amount = random.uniform(0.05, DELAY_MAX_S) if kind == "slow" else 0.0
    return Fault(at_s=at_s, kind=kind, target=target, lasts_s=random.uniform(least_s, most_s), amount=amount)
