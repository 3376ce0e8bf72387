"""The four controllers on the real mesh: the stack, every worker, the stand-in for the large model, and the same arrivals.

*none*: no controller runs, and the card's money is without end. *spend_cap*: no controller runs; the budget refuses beyond
the month. *queue_gate*: money without end, too, and a gate that lets warm and cold yield while too many records wait; it knows no
money. *ours*: the same month, and the mesh's own controller. Each has a stack of its own that is thrown away.
"""

from __future__ import annotations

import asyncio
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from importlib.resources import files
from pathlib import Path
from typing import Any

import redis

import mesh_arrivals
import mesh_figures
from engines import Running
from ground import Ground, ground, until, versions
from measuring import say
from mesh_arrivals import Arrival, Size
from pay import standin
from vigimesh.adapters.kafka.client import common
from vigimesh.adapters.kafka.cluster.lag import LagReader
from vigimesh.adapters.kafka.history import bounds, scan
from vigimesh.adapters.kafka.producer import KafkaProducer
from vigimesh.adapters.kafka.registry import RegistrySchemas
from vigimesh.adapters.objects.store import ObjectStore
from vigimesh.adapters.postgres.journal import PgJournal
from vigimesh.app.config.clients import registry_options
from vigimesh.app.config.model_settings import LargeModelSettings
from vigimesh.app.config.settings import Settings
from vigimesh.app.mesh.fleet import Fleet, worker_programs
from vigimesh.app.mesh.prepare import prepare
from vigimesh.app.mesh.reckoning import RECKONED, account
from vigimesh.app.mesh.tail import Tail
from vigimesh.app.standin.chat import MODEL
from vigimesh.clock import Deadline, SystemClock
from vigimesh.domain.budget.values import Booked
from vigimesh.domain.control.lag import LagRow
from vigimesh.domain.control.measure import Known
from vigimesh.domain.control.yields import SHARES
from vigimesh.events.classes import ThrottleOrdered
from vigimesh.events.codec import Codec
from vigimesh.events.topics import LANE_STAGES, LANES, STAGES, topic
from vigimesh.intake.worker import Door
from vigimesh.loop.broker import Write
from vigimesh.loop.orders import ANY_CALLS, ANY_TIER

#: Seconds for every worker to be ready, for one turn of the warm-up, and for everything after the last arrival.
READY_S, WARM_S, WITHIN_S = 120.0, 60.0, 240.0
#: Turns of the warm-up at most, until every lane has paid for an opinion.
TURNS = 5
#: Seconds of one call of the model.
CALL_S = 30
#: Records that wait in all lanes, above which the gate is closed; a sixth of a burst.
GATE = 100
#: Seconds between two looks of the gate, as of our controller; how long its order holds, and when it is repeated.
LOOK_S, HOLD_S, REPEAT_S = 1.0, 30.0, 10.0
#: Commands that the store logs at most; an opinion takes some thirty.
LOG = 1_000_000
_THROTTLE = topic("throttle")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What runs under the name of a controller."""

    capped: bool = True
    gate: bool = False
    controller: bool = False


KINDS: Mapping[str, Kind] = {
    "none": Kind(capped=False),
    "spend_cap": Kind(),
    "queue_gate": Kind(capped=False, gate=True),
    "ours": Kind(controller=True),
}


def measured(name: str, seed: int, size: Size, found: dict[str, str]) -> dict[str, float]:
    """Run the arrivals of a seed under a controller and return the figures; `found` takes the versions.

    Raises `RuntimeError` when a case is lost, doubled or unaccounted for, or the month ended meanwhile; `TimeoutError` when
    something does not come to its end.
    """
    sent, begun_s = mesh_arrivals.arrivals(seed, size), time.monotonic()
    with _mesh(KINDS[name], mesh_arrivals.month_micro(sent)) as mesh:
        found.update(versions(mesh.base))
        _warm_up(mesh)
        say(
            f"controllers: {name}: up and warm after {time.monotonic() - begun_s:.0f} s; {len(sent)} cases come"
        )
        with Gate.beside(mesh) if KINDS[name].gate else nullcontext():
            begun_at = _send(mesh, sent)
        return _figures(mesh, sent, begun_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mesh:
    """A mesh that is up, with this month's money (micro-units) to be held against."""

    base: Ground
    settings: Settings
    fleet: Fleet
    model: Running
    codec: Codec
    month: int

    @property
    def kafka(self) -> dict[str, Any]:
        """The settings of every client here."""
        return {**common(self.base.kafka, {}), "log_level": 0}

    def door(self, instance: str) -> Door:
        """Return a door of this process."""
        return Door(
            producer=KafkaProducer(self.kafka, f"vigimesh.intake.{instance}"), codec=self.codec,
            objects=ObjectStore(self.settings.objects.url), clock=SystemClock(), instance=f"intake.{instance}",
        )  # fmt: skip

    def check(self) -> None:
        """Raise what ended the workers or the stand-in, if anything did."""
        self.fleet.check()
        self.model.check()


@contextmanager
def _mesh(kind: Kind, month: int) -> Iterator[_Mesh]:
    """Bring stack, stand-in and workers up for one controller, and take them down."""
    with ExitStack() as held:
        base = held.enter_context(ground(topics=False))
        url, model = held.enter_context(standin(base))
        cards = base.folder / "cards"
        cards.mkdir()
        text = mesh_arrivals.card(month if kind.capped else mesh_arrivals.WIDE_MICRO)
        (cards / "triage.toml").write_text(text, encoding="utf-8")
        given = Settings()
        settings = Settings.for_stack(base.urls, replace(
            given, mesh=replace(given.mesh, cards=str(cards)),
            large_model=LargeModelSettings(
                base_url=url, name=MODEL, deadline_s=CALL_S, prices=str(_paid_at_once(base.folder)),
            ),
        ))  # fmt: skip
        prepare(settings)
        with redis.Redis.from_url(base.urls.redis) as server:
            server.config_set("slowlog-max-len", LOG)
            server.config_set("slowlog-log-slower-than", 0)
        stages = (*STAGES, "resumer", *(("controller",) if kind.controller else ()))
        fleet = held.enter_context(Fleet(worker_programs(settings, base.folder, stages)))
        fleet.wait_ready(Deadline.after(SystemClock(), READY_S))
        codec = Codec(RegistrySchemas(registry_options(settings)))
        yield _Mesh(base=base, settings=settings, fleet=fleet, model=model, codec=codec, month=month)


def _paid_at_once(folder: Path) -> Path:
    """Write the shipped prices without those of batches: what is gathered for a night says nothing of a controller."""
    book = (files("vigimesh.domain.budget") / "prices.toml").read_text(encoding="utf-8")
    file = folder / "prices.toml"
    file.write_text(re.sub(r"^batch_percent = .*\n", "", book, flags=re.MULTILINE), encoding="utf-8")
    return file


def _warm_up(mesh: _Mesh) -> None:
    """Send some of every kind until each lane has paid for an opinion: what a first call loads is loaded then."""
    lanes: set[str] = set()
    for turn in range(TURNS):
        sent = mesh_arrivals.warming_up(turn)
        _send(mesh, sent, within_s=WARM_S)
        came = mesh_figures.seen(scan(mesh.kafka, RECKONED), mesh.codec).came
        lanes |= {one.lane for one in sent if came.get(one.case_id) == "paid"}
        if lanes == set(LANES):
            return
    raise RuntimeError(f"no opinion was paid for in all lanes, only in {', '.join(sorted(lanes)) or 'none'}")


def _send(mesh: _Mesh, sent: Sequence[Arrival], within_s: float = WITHIN_S) -> datetime:
    """Send the arrivals when they are due and wait until each has an outcome; return the moment of second 0."""
    clock = SystemClock()
    folder = mesh.base.folder / f"sent-{clock.now():%H%M%S%f}"
    folder.mkdir()
    due = mesh_arrivals.moments(sent, folder, clock.now())
    tail = Tail(mesh.kafka, mesh.codec)
    tail.start()

    async def deliver() -> tuple[datetime, set[str]]:
        door, ids = mesh.door("bench"), set[str]()
        await door.producer.renew()
        begun_at, loop = clock.now(), asyncio.get_running_loop()
        begun_s = loop.time()
        for at_s, items in due:
            if (wait_s := begun_s + at_s - loop.time()) > 0:
                await asyncio.sleep(wait_s)
            mesh.check()
            tally = await door.send(items)
            if tally.refused:
                raise RuntimeError(f"the door refused {tally.refused} cases: {tally.refusals[:1]}")
            ids |= tally.message_ids
        await door.producer.close()
        return begun_at, ids

    def all_concluded() -> bool:
        mesh.check()
        return ids <= tail.concluded

    try:
        begun_at, ids = asyncio.run(deliver())
        until(all_concluded, within_s, f"an outcome of each of {len(ids)} cases", pause_s=0.1)
    finally:
        tail.stop()
    return begun_at


def _figures(mesh: _Mesh, sent: Sequence[Arrival], begun_at: datetime) -> dict[str, float]:
    """Take the account of the run; see `mesh_figures.figures`."""
    check = account(mesh.kafka, mesh.codec).check
    wrong = {
        key: getattr(check, key) for key in ("lost", "duplicated", "torn", "in_flight", "out_of_order") if getattr(check, key)
    }  # fmt: skip
    if wrong:
        raise RuntimeError(f"the mesh does not balance: {wrong}")
    if f"{begun_at:%Y-%m}" != f"{SystemClock().now():%Y-%m}":
        raise RuntimeError("the month ended meanwhile, and its money with it: run it again")
    with redis.Redis.from_url(mesh.base.urls.redis) as server:
        server.config_set("slowlog-log-slower-than", -1)
        log: list[Any] = server.execute_command("SLOWLOG", "GET", "-1")
    seen = mesh_figures.seen(scan(mesh.kafka, RECKONED), mesh.codec)
    orders = mesh_figures.orders_since_built(log)
    made = mesh_figures.figures(sent, begun_at, mesh.month, seen, (asyncio.run(_booked(mesh)), orders))
    written = sum(end - first for first, end in bounds(mesh.kafka, [_THROTTLE]).values())
    return {**made, "throttle_records": float(written), "worker_restarts": float(mesh.fleet.restarts)}


async def _booked(mesh: _Mesh) -> list[Booked]:
    journal = PgJournal(mesh.settings.postgres.dsn, clock=SystemClock())
    try:
        return list(await journal.booked())
    finally:
        await journal.close()


class Gate:
    """Lets warm and cold yield while too many records wait, by the same events as our controller; a thread of its own."""

    def __init__(self, mesh: _Mesh) -> None:
        """Nothing is looked at yet."""
        self._lag = LagReader(mesh.kafka, mesh.codec, (), SystemClock())
        self._codec, self._door = mesh.codec, mesh.door("gate")
        self._stop, self._failure = threading.Event(), list[BaseException]()
        self._thread = threading.Thread(target=self._run, name="gate", daemon=True)
        #: How often it closed.
        self.closings = 0

    @classmethod
    @contextmanager
    def beside(cls, mesh: _Mesh) -> Iterator[Gate]:
        """Keep a gate while something else is done; raises what ended it, if anything did."""
        gate = cls(mesh)
        gate._thread.start()
        try:
            yield gate
        finally:
            gate._stop.set()
            gate._thread.join()
        if gate._failure:
            raise gate._failure[0]
        say(f"controllers: the gate closed {gate.closings} times")

    def _run(self) -> None:
        try:
            asyncio.run(self._keep())
        except BaseException as error:  # noqa: BLE001  raised to whoever stands beside
            self._failure.append(error)

    async def _keep(self) -> None:
        closed, clock, written_at = False, SystemClock(), None
        while not await asyncio.to_thread(self._stop.wait, LOOK_S):
            rows = await asyncio.to_thread(self._lag.look, LOOK_S)
            was, closed, now = closed, shut(rows, closed), clock.now()
            old = written_at is None or now - written_at >= timedelta(seconds=REPEAT_S)
            if closed != was or (closed and old):
                await self._door.write([self._write(one) for one in yielding(closed, now)])
                written_at = now
            self.closings += closed and not was
        self._lag.close()
        await self._door.producer.close()

    def _write(self, order: ThrottleOrdered) -> Write:
        value = self._codec.encode(_THROTTLE, order)
        return Write(topic=_THROTTLE, key=f"{order.lane}/".encode(), value=value)


def shut(rows: Sequence[LagRow], was: bool) -> bool:
    """Return whether the gate is closed from now on; it stays as it is while what waits is not known."""
    depths = [row.records for row in rows if not row.workflow and row.stage in LANE_STAGES]
    known = [one.value for one in depths if isinstance(one, Known)]
    return sum(known) > GATE if known and len(known) == len(depths) else was


def yielding(closed: bool, now: datetime) -> list[ThrottleOrdered]:
    """Return the gate's orders: the shares that our controller orders, or all of the time again."""
    return [
        ThrottleOrdered(
            workflow="", lane=lane, term=0, expires_at=now + timedelta(seconds=HOLD_S), tier_ceiling=ANY_TIER,
            calls_per_minute=ANY_CALLS, yields=closed, share_percent=share if closed else 100,
            reason=f"over {GATE} records wait" if closed else f"at most {GATE} records wait", by="queue gate",
        )
        for lane, share in SHARES
    ]  # fmt: skip
