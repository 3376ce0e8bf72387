"""A month of a mesh, simulated: arrivals in three lanes, a processor they share, a model behind a limit, and who controls it.

What every controller meets alike: the same cases at the same seconds; tools that take the processor's time, shared by lanes
as their processes share it (a step of 5 in niceness is a third); an endpoint that takes so many calls a minute and answers 429
beyond; the same latencies and costs. A controller says what becomes of a case that wants an opinion, and which lane yields.
"""

from __future__ import annotations

import heapq
import itertools
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Protocol

from vigimesh.events.topics import LANES

START = datetime(2026, 11, 1, tzinfo=UTC)
MONTH_S = 30 * 86_400
#: Seconds beyond the month until which a case may be concluded: what waited for the next month's money.
AFTER_S = 3 * 86_400
#: Cases a day by lane, and the share of each that wants an opinion. Hot ones that do not are serious by their flags.
PER_DAY = {"hot": 40, "warm": 160, "cold": 600}
WANTS = {"hot": 0.5, "warm": 1.0, "cold": 0.4}
#: Days on which a backlog of cold cases comes at eight in the morning, and how many.
BURST_DAYS, BURST = (1, 8, 15, 22), 20_000
#: Cases whose tools run in a second, and weights by which lanes share the processor.
CASES_PER_S = 4.0
WEIGHTS = {"hot": 1.0, "warm": 1 / 3, "cold": 1 / 9}
#: Calls that the endpoint takes a minute; median of its latency in seconds, and the spread of the logarithm.
CALLS_PER_MINUTE, LATENCY_S, SPREAD = 60, 3.0, 0.5
#: What a call costs at worst, and in the middle (micro-units).
WORST_MICRO, COST_MICRO = 5_700, 1_150
#: What the month has: for the first days of what is wanted.
MONTH_MICRO = 10_000_000
#: Days of the legal clock of what is serious or not known, and of the rest.
CLOCK_DAYS = {"yes": 15, "unknown": 15, "no": 90}


@dataclass(slots=True, eq=False)
class Case:
    """One case: when it came, what the tools say of it, and when it was concluded (seconds of the month)."""

    number: int
    lane: str
    serious: str
    wants: bool
    came_s: int
    concluded_s: float | None = None
    asked: int = 0
    opinion: bool = False

    @property
    def due_s(self) -> float:
        """When its clock ends."""
        return self.came_s + CLOCK_DAYS[self.serious] * 86_400

    @property
    def late(self) -> bool:
        """Whether its clock ended before it was concluded."""
        return self.concluded_s is None or self.concluded_s > self.due_s


@dataclass(slots=True)
class Money:
    """What was spent and what is under way in one month, as the provider will bill it."""

    cap: int
    recorded: int = 0
    open: int = 0
    most: int = 0
    false_refusals: int = 0

    @property
    def overspent(self) -> int:
        """By how much what was admitted, each call under way at its worst case, went beyond the cap."""
        return max(0, self.most - self.cap)

    def refused(self) -> None:
        """Count a refusal that the money did not ask for."""
        if self.recorded + self.open + WORST_MICRO <= self.cap:
            self.false_refusals += 1


class Controller(Protocol):
    """Who decides; `world` is what it may look at and do."""

    def wants(self, world: World, case: Case) -> None:
        """Do what is to be done with a case whose tools have run and that wants an opinion."""
        ...

    def paid(self, world: World, case: Case, micro: int) -> None:
        """Take note of what a call cost."""
        ...

    def look(self, world: World) -> dict[str, float]:
        """Return the share of its time that each lane that yields may work, 0 to 1; asked every few seconds."""
        ...


@dataclass(slots=True)
class World:
    """The simulated month; `now_s` is its time."""

    controller: Controller
    cases: list[Case]
    seed: int = 1
    month_micro: int = MONTH_MICRO
    now_s: float = 0.0
    #: This month's and the next one's.
    moneys: tuple[Money, Money] = field(init=False)
    by_day: list[int] = field(default_factory=lambda: [0] * (MONTH_S // 86_400))
    queues: dict[str, deque[Case]] = field(default_factory=lambda: {lane: deque() for lane in LANES})
    not_asked: int = 0
    _minute: tuple[int, int] = (-1, 0)
    _events: list[tuple[float, int, Callable[[], None]]] = field(default_factory=list)
    _order: itertools.count[int] = field(default_factory=itertools.count)
    _credit: dict[str, float] = field(default_factory=lambda: dict.fromkeys(LANES, 0.0))

    def __post_init__(self) -> None:
        self.moneys = (Money(self.month_micro), Money(self.month_micro))

    @property
    def money(self) -> Money:
        """The money of the month that it is."""
        return self.moneys[self.now_s >= MONTH_S]

    @property
    def now(self) -> datetime:
        """The time as a moment."""
        return START + timedelta(seconds=self.now_s)

    def at(self, when_s: float, what: Callable[[], None]) -> None:
        """Do something later."""
        heapq.heappush(self._events, (when_s, next(self._order), what))

    def take(self, case: Case) -> None:
        """Put a case before the tools, the first time or again."""
        self.queues[case.lane].append(case)

    def conclude(self, case: Case) -> None:
        """End a case: decided, or with a person."""
        case.concluded_s = self.now_s

    def without(self, case: Case) -> None:
        """End a case that wanted an opinion and gets none: a person decides."""
        self.not_asked += 1
        self.conclude(case)

    def call(self, case: Case, refused: Callable[[float], None]) -> None:
        """Call the model; `refused` is told when the endpoint takes no more, and when it does again."""
        minute = int(self.now_s // 60)
        begun, count = self._minute
        if begun == minute and count >= CALLS_PER_MINUTE:
            refused((minute + 1) * 60.0)
            return
        self._minute = (minute, count + 1 if begun == minute else 1)
        case.asked += 1
        chance = Random(f"{self.seed}|{case.number}|{case.asked}")
        micro = min(WORST_MICRO, round(COST_MICRO * chance.lognormvariate(0.0, 0.3)))
        money, day = self.money, int(self.now_s // 86_400)
        money.open += WORST_MICRO
        money.most = max(money.most, money.recorded + money.open)
        took_s = LATENCY_S * chance.lognormvariate(0.0, SPREAD)
        self.at(self.now_s + took_s, lambda: self._answered(case, micro, money, day))

    def _answered(self, case: Case, micro: int, money: Money, day: int) -> None:
        money.open -= WORST_MICRO
        money.recorded += micro
        if day < len(self.by_day):
            self.by_day[day] += micro
        case.opinion = True
        self.controller.paid(self, case, micro)
        self.conclude(case)

    def run(self) -> None:
        """Let the month pass: second by second while there is work for the processor, else from event to event."""
        for case in self.cases:
            self.at(case.came_s, lambda case=case: self.take(case))  # type: ignore[misc]
        shares: dict[str, float] = {}
        looked_s = -1e9
        while self.now_s < MONTH_S + AFTER_S:
            while self._events and self._events[0][0] <= self.now_s:
                heapq.heappop(self._events)[2]()
            busy = [lane for lane in LANES if self.queues[lane]]
            if self.now_s - looked_s >= 5.0:
                shares, looked_s = self.controller.look(self), self.now_s
            if busy:
                self._work(busy, shares)
                self.now_s += 1.0
            elif self._events:
                self.now_s = max(self.now_s, self._events[0][0])
            else:
                return

    def _work(self, busy: list[str], shares: dict[str, float]) -> None:
        """Run the tools of one second: lanes share by weight, one that yields takes no more than its share of the whole."""
        total = sum(WEIGHTS[lane] for lane in busy)
        for lane in busy:
            part = min(WEIGHTS[lane] / total, shares.get(lane, 1.0))
            self._credit[lane] = min(self._credit[lane] + CASES_PER_S * part, CASES_PER_S)
            queue = self.queues[lane]
            while queue and self._credit[lane] >= 1.0:
                self._credit[lane] -= 1.0
                case = queue.popleft()
                if case.wants:
                    self.controller.wants(self, case)
                else:
                    self.conclude(case)


def arrivals(seed: int, *, share: float = 1.0) -> list[Case]:
    """Return the month's cases in the order of their coming, the same for a seed; a `share` of them for a short look."""
    chance = Random(seed)
    came: list[tuple[int, str]] = []
    for day in range(MONTH_S // 86_400):
        for lane, count in PER_DAY.items():
            # More in working hours: the sum of two draws is largest in the middle of the day.
            came += [
                (day * 86_400 + int(43_200 * (chance.random() + chance.random())), lane)
                for _ in range(round(count * share))
            ]
        if day in BURST_DAYS:
            came += [
                (day * 86_400 + 8 * 3_600 + int(chance.random() * 60), "cold")
                for _ in range(round(BURST * share))
            ]
    cases = []
    for number, (second, lane) in enumerate(sorted(came)):
        wants = chance.random() < WANTS[lane]
        serious = "no" if lane == "cold" else "unknown" if wants else "yes"
        cases.append(Case(number=number, lane=lane, serious=serious, wants=wants, came_s=second))
    return cases
