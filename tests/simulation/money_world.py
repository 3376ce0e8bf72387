"""A run with money in it: real tool-executors, resumer and controllers, with budget, journal and model in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, cast

from simulation.chain import AUDIT, DEAD, FLOW, PARKED, Link, codec
from simulation.faults import SimConsumer
from simulation.judge import contents, ended
from simulation.money_cases import (
    LANES,
    PAYS,
    Endpoint,
    Report,
    card_of,
    opinions,
    reports,
    writes_of,
)
from simulation.money_control import CONTROLLER, THROTTLE, TOTALS, Scribe, SimLag, SimOrders
from simulation.money_doors import MONEY_KINDS, MONEY_WEIGHTS, BriefFaults, Door, JournalDoor, Servers
from simulation.money_judge import judge_money, waiting
from simulation.parts import Result, SimBroker, Slot
from simulation.plant import OUTSIDE, Plant
from simulation.virtual import Process, later
from simulation.world import World, played
from vigimesh.adapters.memory.broker import MemoryConsumer
from vigimesh.adapters.memory.budget import MemoryBudget
from vigimesh.adapters.memory.journal import MemoryJournal
from vigimesh.adapters.memory.models import MemoryModels
from vigimesh.adapters.memory.objects import MemoryObjects
from vigimesh.adapters.memory.telemetry import NoTelemetry
from vigimesh.background.books.keep import Books
from vigimesh.background.controller.accounts import BudgetAccounts
from vigimesh.background.controller.money import Money
from vigimesh.background.controller.run import Controller
from vigimesh.background.controller.run import run as control
from vigimesh.domain.budget.prices import shipped_prices
from vigimesh.domain.budget.values import Caps, Shut
from vigimesh.domain.cascade.model import Absent
from vigimesh.errors import Broken
from vigimesh.events.classes import UsageRecorded
from vigimesh.events.topics import lane_topic, topic
from vigimesh.loop.health import Health
from vigimesh.loop.orders import Orders, calls_per_minute
from vigimesh.loop.stage import Stage
from vigimesh.ports import Budget, Journal, Models
from vigimesh.tool_executor.execute import Executor
from vigimesh.tool_executor.paying import Payer
from vigimesh.tool_executor.scoring import score_fetcher
from vigimesh.tool_executor.till import Keeper, Till
from vigimesh.tool_executor.worker import stage

USAGE = topic("usage")
#: Where the tool-executors hand on: an opinion may make a cold case hot.
OUT = tuple(lane_topic("supervise", lane) for lane in LANES)
MONEY_TOPICS = (*(lane_topic("execute", lane) for lane in LANES), *OUT, USAGE, AUDIT, DEAD, PARKED, FLOW)
EXECUTORS = tuple(
    Link(f"tool-executor.{lane}", None, lane_topic("execute", lane), lane_topic("supervise", lane))
    for lane in LANES
)  # fmt: skip
RESUMES = Link("resumer", None, PARKED, MONEY_TOPICS[0])
CONTROLS = Link("controller", None, THROTTLE, THROTTLE)

#: Messages, and the seconds in which they come: midnight lies in between, so that a day's money ends and begins.
REPORTS, LOAD_S, MIDNIGHT_S = 50, 70.0, 45.0
#: Seconds of faults: longer than a lease and its grace, so that leases end and are swept while all else goes on.
FAULTS_S = 100.0
#: Seconds in which the money must be in order after the last worker has ended: the longest lease, the grace, some sweeps.
SWEPT_S, LOOK_S = 200.0, 10.0

#: Seconds of a controller's turn: a look at everything costs most of a run.
TURN_S = 2.0

#: What goes wrong with money from outside, and how long a server is away.
MONEY_FAULTS = (
    "budget lost", "budget restarted", "budget restored", "budget away", "journal away", "endpoint in trouble",
)  # fmt: skip
MONEY_OUTSIDE = (*(kind for kind in OUTSIDE if kind != "compaction"), *MONEY_FAULTS)
AWAY_S = (0.5, 4.0, 20.0)


@dataclass
class MoneyPlant(Plant):
    """Makes what pays; a planted defect puts another class in its place."""

    outside: tuple[str, ...] = MONEY_OUTSIDE
    kinds: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: MONEY_KINDS)
    settle_s: float = 400.0
    payer: type[Payer] = Payer
    books: type[Books] = Books
    journal: type[MemoryJournal] = MemoryJournal

    def consumer(self, world: World, process: Process, link: Link) -> MemoryConsumer:
        broker = cast(MoneyWorld, world).control if link is CONTROLS else world.broker
        made = self.consumers[process] = MemoryConsumer(broker, link.group, (link.reads,))
        return made


class MoneyWorld(World):
    """Everything of one run with money."""

    links = EXECUTORS
    resumes = RESUMES
    topics = MONEY_TOPICS
    faults_s = FAULTS_S
    goes_wrong = BriefFaults
    recalled = False
    #: Idle polls are longer, so that more virtual time can pass; what waits for money comes back within seconds.
    patches: Mapping[str, Any] = {
        "vigimesh.loop.run.POLL_S": 1.0,
        "vigimesh.loop.throttle.POLL_S": 1.0,
        "vigimesh.background.resumer.run.POLL_S": 1.0,
        "vigimesh.domain.budget.waiting.SPREAD": timedelta(seconds=15),
        # A settled call is forgotten so soon that one is asked for again after it: longer than a lease all the same.
        "vigimesh.domain.budget.rule.REMEMBERED": timedelta(seconds=60),
        "vigimesh.domain.budget.lapse.REMEMBERED": timedelta(seconds=60),
    }

    def __init__(self, seed: int, plant: MoneyPlant | None = None) -> None:
        self.chance = Random(f"{seed} money")
        midnight = self.chance.choice((datetime(2026, 1, 21, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)))
        self.begins = midnight - timedelta(seconds=MIDNIGHT_S)
        self.paying = plant or MoneyPlant()
        super().__init__(seed, self.paying)
        self.faults.weights = MONEY_WEIGHTS
        cast(BriefFaults, self.faults).freeze = self.freeze
        self.card = card_of(self.chance, self.reports)
        self.control = SimBroker((THROTTLE, TOTALS), self.clock, partitions=1)
        self.control.wrong, self.control.fate = self.wrong, self._fate
        self.servers = Servers(self.clock, self.chance, Caps.of(self.card), self.wrong)
        self.endpoint = Endpoint(self.chance)
        self.objects = MemoryObjects()
        self.endpoint_calls = self.chance.choice((None, 30))
        #: Event id of an order -> the process that wrote it.
        self.wrote: dict[str, str] = {}

    @property
    def reports(self) -> Sequence[Report]:
        """The messages of the run."""
        return cast(Sequence[Report], self.sent)

    def load(self, rng: Random) -> Sequence[Report]:
        return reports(rng, REPORTS, LOAD_S, self.begins)

    def broker_of(self, transactional_id: str) -> SimBroker:
        return self.control if transactional_id.startswith(CONTROLLER) else self.broker

    def expected(self, error: BaseException) -> bool:
        # A transaction that is older than `STUCK_S`: so it is for a process that stood still for longer.
        return super().expected(error) or (isinstance(error, Broken) and error.code == "VM-1313")

    def jumps(self, link: Link) -> tuple[float, ...]:
        # Clocks of two processes differ by less than `GRACE_S`, or nothing is safe: `domain/budget/lapse`.
        return (-12.0, 0.0) if link is self.resumes else (-12.0, -3.0, 3.0, 12.0)

    # Processes.

    def made(self, slot: Slot, process: Process) -> Coroutine[Any, Any, None]:
        if slot.link is CONTROLS:
            return control(self.controller(process), slot.stop)
        return super().made(slot, process)

    def orders(self) -> Orders:
        return SimOrders(self.control)

    def budget(self, process: Process) -> Budget:
        """Return the budget as a process sees it."""
        return cast(
            Budget, Door("budget", MemoryBudget(self.servers.store), process, self.servers, self.faults)
        )

    def journal(self, process: Process) -> Journal:
        """Return the journal as a process sees it."""
        inner = self.paying.journal(self.servers.calls)
        return cast(Journal, JournalDoor("journal", inner, process, self.servers, self.faults))

    def stage(self, link: Link, process: Process) -> Stage:
        lane, orders, clock = link.name.rpartition(".")[2], self.orders(), self.clock_of(process)

        @asynccontextmanager
        async def opened() -> AsyncIterator[tuple[Payer, Keeper]]:
            # As `app/workers/paying` joins them, over doors.
            budget, journal = self.budget(process), self.journal(process)
            inner = MemoryModels(self.endpoint.serve, clock)
            models = cast(Models, Door("models", inner, process, self.servers, self.faults))
            books = self.paying.books(budget, journal, clock, paid_at=self.paid_at)
            payer = self.paying.payer(
                budget=budget, journal=journal, models=models, objects=self.objects, prices=shipped_prices(),
                agreement=books, clock=clock,
            )  # fmt: skip
            yield payer, books

        till = Till(opened, lambda workflow: calls_per_minute(orders.in_force(lane, clock.now()), workflow))
        verb = Executor(opinions=opinions(self.card))
        return stage(self.objects, lane, verb, score_fetcher(lambda: Absent(why="none in this world")), till)

    async def paid_at(self) -> datetime | None:
        """Return when the newest call was paid for that `usage` knows."""
        used: list[UsageRecorded] = [
            codec.decode(USAGE, r.value) for r in self.broker.committed_records(USAGE)
        ]
        return max((one.called_at for one in used if one.called_at is not None), default=None)

    def controller(self, process: Process) -> Controller:
        """Return a controller over the broker of its own topics, which have one partition."""
        clock = self.clock_of(process)
        accounts = BudgetAccounts(self.budget(process), self.journal(process), {PAYS: Caps.of(self.card)}, clock)  # fmt: skip
        inner = self.paying.producer(self, process, CONTROLLER).inner
        return Controller(
            consumer=SimConsumer(self.paying.consumer(self, process, CONTROLS), process, self.faults),
            producer=Scribe(inner, CONTROLLER, process, self, self.wrote),
            lag=SimLag(
                self.broker, self.control, process, self.faults, clock,
                {("tool-executor", link.name.rpartition(".")[2]): (link.group, link.reads) for link in EXECUTORS},
            ),
            objectives={PAYS: float(self.card.lane_objectives.hot_s)}, codec=codec, telemetry=NoTelemetry(),
            health=Health(clock), clock=clock, turn_s=TURN_S,
            money=Money(accounts=accounts, cards=(self.card,), calls_per_minute=self.endpoint_calls),
        )  # fmt: skip

    # The run.

    def begin(self) -> None:
        for link in (*EXECUTORS, RESUMES):
            self.broker.init_group(link.group, (link.reads,))
        self.control.init_group(CONTROLS.group, (THROTTLE,))
        for link in (*EXECUTORS, *EXECUTORS, RESUMES, CONTROLS, CONTROLS):
            self.open(link)
        for second in range(0, int(FAULTS_S), 15):
            self.loop.call_at(second, self.servers.copy, context=self.outside)

    def _send(self, load: Any) -> None:
        for write in writes_of(load):
            self.broker.append(write)

    def events(self) -> Iterator[tuple[float, str]]:
        for _ in range(self.rng.randrange(10, 22)):
            yield self.rng.random() * self.faults_s, self.rng.choice(self.plant.outside)

    def happen(self, kind: str) -> None:
        if kind not in MONEY_FAULTS:
            super().happen(kind)
            return
        self.faults.note("money", "outside", kind)
        name = kind.removesuffix(" away")
        if name == kind and kind != "endpoint in trouble":
            self.servers.lose(kind)
            return
        if kind == "endpoint in trouble":
            self.endpoint.troubled = True
        else:
            self.servers.away.add(name)
        self.loop.call_later(self.chance.choice(AWAY_S), self._back, name, context=self.outside)

    def _back(self, name: str) -> None:
        self.servers.away.discard(name)
        self.endpoint.troubled = False

    def unended(self) -> list[str]:
        ends = ended(self.broker, OUT)
        missing = [f"no end of {x.message_id}" for x in self.sent if not ends[x.message_id]]
        missing.extend(
            f"{process.name} stands still" for process in self.ends if process.frozen and not process.dead
        )
        # What waits for the money of the next day or month is at its end here.
        soon = self.begins + timedelta(seconds=FAULTS_S + self.paying.settle_s)
        return [*missing, *(f"{x.event_id} still waits" for x in waiting(self.broker) if x.not_before < soon)]

    async def close(self) -> None:
        """Stop every worker, then let the real sweep see to what nobody finished: all leases end."""
        await super().close()
        self.servers.away.clear()
        stores = MemoryBudget(self.servers.store), self.paying.journal(self.servers.calls)
        books = self.paying.books(*stores, self.clock)
        until_s = self.loop.time() + SWEPT_S
        while self.loop.time() < until_s:
            await books.sweep()
            held = await books.budget.expired(self.clock.now() + timedelta(days=1))
            rows = {row.call_id: row.state for row in await books.journal.booked()}
            states = (
                {rows.get(one.call_id, "leaked") for one in held} if not isinstance(held, Shut) else {"shut"}
            )
            if states <= {"in_doubt"} and "open" not in rows.values():
                return
            await later(LOOK_S)

    def contents(self) -> str:
        return super().contents() + contents(self.control, (THROTTLE, TOTALS))

    def judged(self) -> list[str]:
        return judge_money(self)


def simulate_money(seed: int, plant: MoneyPlant | None = None) -> Result:
    """Run one seed with money, and judge it."""
    return played(MoneyWorld(seed, plant))
