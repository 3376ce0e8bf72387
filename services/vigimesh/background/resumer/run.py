"""The resumer's loop: poll → restore → call back → take → gather → commit."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field

from vigimesh import names
from vigimesh.background.resumer.emit import (
    PARKED,
    RESUMABLE,
    STAGE,
    Making,
    Resumption,
    flow,
    given_up,
    resumption,
)
from vigimesh.background.resumer.glance import glimpse
from vigimesh.background.resumer.index import micros
from vigimesh.background.resumer.shelf import Fault, Shelf, Taken
from vigimesh.clock import Clock, Deadline
from vigimesh.domain.budget.waiting import waits_for_money
from vigimesh.errors import Broken, Misconfigured, Refused, Transient
from vigimesh.events.classes import EventParked
from vigimesh.events.codec import Codec
from vigimesh.loop.broker import DOUBT_S, InDoubt, Producer, Record, TooLarge
from vigimesh.loop.health import Health
from vigimesh.loop.orders import NoOrders, Pauses
from vigimesh.loop.telemetry import Telemetry
from vigimesh.loop.worker import BACKOFF_S, MAX_BACKOFF_S
from vigimesh.ports import Objects, ParkedTopic, Spot

#: Records of one poll: a million are read in some 20 s, and SIGTERM is seen between two polls.
POLL_RECORDS = 2_000
#: Seconds an empty poll waits at most: a jump of the clock and SIGTERM are noticed this soon.
POLL_S = 0.2
#: Bytes of bodies in one transaction, so that memory stays small whatever is parked; one event may be larger.
MAX_BYTES = 16 * 1024 * 1024
#: Seconds for the bodies of one transaction in the object store; then their events wait, and others go on.
OBJECT_S = 10.0
#: Seconds between two commits of positions alone, so that outside monitors see life; sooner while an event is suspect.
KEEP_S, PROBE_S = 5.0, 0.5
#: Seconds in which a partition should be read to its end: longer than a transaction time-out and the broker's clean-up
#: interval (10 s + 10 s by default) together.
STALL_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumer:
    """What a resumer is made of. `instance` is part of its transactional id and names the actor in audit.

    `pauses` says which orders hold nobody any more: what waits by one is called back.
    """

    instance: str
    topic: ParkedTopic
    producer: Producer
    codec: Codec
    objects: Objects
    telemetry: Telemetry
    health: Health
    clock: Clock
    pauses: Pauses = field(default_factory=NoOrders)
    stall_s: float = STALL_S

    @property
    def head(self) -> bytes:
        """What the bytes of our own schema of `parked` begin with. Raises `Transient` when the registry is away."""
        return b"\x00" + self.codec.schema_id(PARKED).to_bytes(4, "big")

    @property
    def labels(self) -> dict[str, str]:
        """The labels of its metrics."""
        return {"stage": STAGE, "lane": "all"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """All that one transaction holds."""

    taken: Taken = field(default_factory=Taken)
    done: tuple[Resumption, ...] = ()


async def run(resumer: Resumer, stop: threading.Event) -> None:
    """Resume what is due until `stop` is set, then leave the group.

    Raises `Fenced` when a newer process with the same instance name took over: its keeper starts it again.
    """
    shelf = Shelf()
    wait_s = BACKOFF_S
    try:
        while not stop.is_set():
            try:
                # First of all: fences a dead predecessor and a producer in doubt, whose open transaction ends.
                await resumer.producer.renew()
                await poll(resumer, shelf)
                await restore(resumer, shelf)
                call_back(resumer, shelf)
                taken = shelf.take(micros(resumer.clock.now()), resumer.clock.monotonic_s())
                await commit(resumer, shelf, await gather(resumer, shelf, taken))
                tell(resumer, shelf)
                wait_s = BACKOFF_S
            except Transient as error:
                resumer.health.ready, resumer.health.trouble = False, str(error)
                resumer.health.beat()
                await asyncio.sleep(wait_s)
                wait_s = min(2 * wait_s, MAX_BACKOFF_S)
    finally:
        resumer.health.ready = False
        await resumer.topic.close()
        await resumer.producer.close()


async def poll(resumer: Resumer, shelf: Shelf) -> None:
    """Read on in the topic; what could not be learned the last time, because the registry was away, comes first."""
    if not shelf.unread:
        batch = await resumer.topic.poll(POLL_RECORDS, _patience_s(resumer, shelf))
        shelf.change(batch, resumer.clock.monotonic_s())
    while shelf.unread:
        record = shelf.unread[0]
        shelf.learn(record, *_seen(resumer, shelf, record))
        shelf.unread.popleft()
    shelf.reach_ends()


async def restore(resumer: Resumer, shelf: Shelf) -> None:
    """Ask for the ends of partitions that are new or in doubt: none of their events is resumed before that is read."""
    endless = shelf.endless()
    if endless:
        for part, end in (await resumer.topic.ends(endless)).items():
            shelf.places[part].end = end


def call_back(resumer: Resumer, shelf: Shelf) -> None:
    """Let what waits by a pause that was lifted, or for money where a budget was raised, be due as if its time had come."""
    now = resumer.clock.now()
    lifted = resumer.pauses.lifted(now)
    if lifted:
        shelf.call_back(lifted, micros(now), resumer.clock.monotonic_s())


async def gather(resumer: Resumer, shelf: Shelf, taken: Taken) -> Bundle:
    """Fetch the bodies of what is due and make its records; what cannot be had now waits, others go on.

    Raises `Transient` when the broker is away: then nothing was taken.
    """
    if not taken.spots:
        return Bundle(taken=taken)
    try:
        found = await resumer.topic.fetch(taken.spots, MAX_BYTES)
        # In the order in which they are due: two events of one case go back in it.
        there = [record for spot in taken.spots if (record := found.get(spot)) is not None]
        done, waiting, why = await _make(resumer, shelf, there)
    except Transient:
        shelf.give_back(taken.spots)
        raise
    now_s = resumer.clock.monotonic_s()
    shelf.give_back(spot for spot in taken.spots if spot not in found)
    gone = [spot for spot, record in found.items() if record is None]
    if gone:  # replaced by a newer record that has not been read yet
        shelf.unsure({spot.part for spot in gone}, now_s)
        shelf.defer(gone, "its record is not on the topic any more", now_s)
    shelf.defer(waiting, why, now_s)
    kept = tuple(one.spot for one in done)
    return Bundle(taken=Taken(spots=kept, group=taken.group if kept == taken.spots else None), done=done)


async def commit(resumer: Resumer, shelf: Shelf, bundle: Bundle) -> None:
    """Write a bundle exactly once; without one, the positions now and then.

    1. begin a transaction
    2. write each event to the topic it left, or its dead letter, with tombstone and audit, and flow
    3. add the positions, with the group metadata captured at the last poll: who lost a partition is refused
    4. commit
    5. forget what was resumed; after a doubt read on to what is the end from now on instead, and the tombstones tell

    Raises `Fenced` when a newer process took over; `InDoubt` and `Transient` so that the loop waits a little.
    """
    positions = shelf.positions(one.spot.part for one in bundle.done)
    started_s = resumer.clock.monotonic_s()
    if not positions or (not bundle.done and not _keeps(shelf, started_s)):
        return
    making = _making(resumer)
    try:
        resumer.producer.begin()  # 1.
        for one in bundle.done:  # 2.
            _write(resumer, shelf, one)
        for write in flow(making, bundle.done):
            resumer.producer.write(write)
        await resumer.producer.send_offsets(positions, shelf.member)  # 3.
        await resumer.producer.commit()  # 4.
    except InDoubt as error:
        _doubt(resumer, shelf, bundle, str(error))  # 5.
        raise
    except (Transient, TooLarge) as error:
        await _abort(resumer, shelf, bundle, error)
        return
    now_s = resumer.clock.monotonic_s()
    resumer.telemetry.observe(names.COMMIT_DURATION, now_s - started_s, resumer.labels)
    if now_s - started_s > DOUBT_S:
        _doubt(resumer, shelf, bundle, f"commit took {now_s - started_s:.1f} s")  # 5.
        return
    shelf.resumed({one.spot: one.key for one in bundle.done})  # 5.
    shelf.told(positions, now_s)
    _count(resumer, bundle.done)


def tell(resumer: Resumer, shelf: Shelf) -> None:
    """Say how it goes: ready when every partition of its own is whole; without one it stands by."""
    late = shelf.stalled(resumer.clock.monotonic_s(), resumer.stall_s)
    why = str(late) if late else next((group.why for group in shelf.groups), "")
    resumer.health.ready, resumer.health.trouble = shelf.whole, why
    resumer.health.standby = not shelf.places
    resumer.telemetry.level(names.OWNED_PARTITIONS, len(shelf.places), resumer.labels)
    resumer.telemetry.level(names.PARKED_WAITING, shelf.waiting(), {"stage": STAGE})
    resumer.health.beat()


def _patience_s(resumer: Resumer, shelf: Shelf) -> float:
    """Return how long a poll may wait: not beyond the moment at which something is due."""
    left = [POLL_S]
    soonest_us, again_s = shelf.soonest_us(), shelf.again_s()
    if soonest_us is not None:
        left.append((soonest_us - micros(resumer.clock.now())) / 1e6)
    if again_s is not None:
        left.append(again_s - resumer.clock.monotonic_s())
    return max(0.0, min(left))


def _keeps(shelf: Shelf, now_s: float) -> bool:
    """Return whether positions are to be committed by themselves."""
    if shelf.groups:
        return now_s - shelf.committed_s >= PROBE_S
    return now_s - shelf.committed_s >= KEEP_S and shelf.moved()


def _seen(resumer: Resumer, shelf: Shelf, record: Record) -> tuple[int | None, int]:
    """Return when a record's event is due, and its label; one that cannot be read is due at once, a dead letter then."""
    if not record.value:
        return None, 0
    # Decoding every body would take ten times as long; what the glance does not understand is decoded.
    seen = glimpse(record.value, resumer.head)
    if seen is not None:
        return seen.due_us, shelf.label(seen.resume_topic, seen.workflow, seen.money)
    try:
        event: EventParked = resumer.codec.decode(PARKED, record.value)
    except Refused:
        return 0, 0
    topic, workflow = event.resume_topic.encode(), event.workflow.encode()
    return micros(event.not_before), shelf.label(topic, workflow, waits_for_money(event.reason))


async def _make(
    resumer: Resumer, shelf: Shelf, records: Sequence[Record]
) -> tuple[tuple[Resumption, ...], list[Spot], str]:
    """Return what the events become, and those whose body or place in the object store cannot be had now, and why.

    Raises `Transient` when registry or broker are away.
    """
    read = {Spot(record.part, record.offset): _read(resumer, record) for record in records}
    wanted = {event.resume_topic for event in read.values() if isinstance(event, EventParked)}
    if wanted & RESUMABLE - shelf.known_topics:
        shelf.known_topics = await resumer.topic.topics()
    making = _making(resumer)
    done: list[Resumption] = []
    waiting: list[Spot] = []
    why, room = "", MAX_BYTES
    deadline = Deadline.after(resumer.clock, OBJECT_S)
    for record in records:
        if deadline.passed():
            why = why or f"the object store is slow: {OBJECT_S:g} s were not enough"
        spot = Spot(record.part, record.offset)
        event = shelf.faults.get(spot, read[spot])
        try:
            one = await _one(resumer, making, (record, event), away=why, known=shelf.known_topics)
        except Transient as error:
            waiting.append(spot)
            why = str(error)
            continue
        room -= len(one.writes[0].value or b"")
        if room < 0 and done:
            shelf.give_back([spot])
        else:
            done.append(one)
    return tuple(done), waiting, why


def _read(resumer: Resumer, record: Record) -> EventParked | Fault:
    try:
        event: EventParked = resumer.codec.decode(PARKED, record.value)
    except Refused as error:
        return Fault(code=error.code, why=str(error))
    return event


async def _one(
    resumer: Resumer,
    making: Making,
    found: tuple[Record, EventParked | Fault],
    *,
    away: str,
    known: frozenset[str],
) -> Resumption:
    """Return what one event becomes. `away` is why the object store did not answer a moment ago: it is not asked again.

    Raises `Transient` VM-1603 when its body, or the place for what is too large for a dead letter, cannot be had now.
    """
    record, event = found
    if isinstance(event, EventParked):
        try:
            if event.resume_topic not in RESUMABLE & known:
                raise Refused("VM-1801", what=f"topic {event.resume_topic!r} is not there or no stage reads it",
                              where=PARKED, todo="vigimesh topics apply, then redrive the dead letter")  # fmt: skip
            return resumption(making, record, event, await _body(resumer, event, away))
        except (Refused, Broken) as error:
            event = Fault(code=error.code, why=str(error))
    return given_up(making, record, event)


async def _body(resumer: Resumer, event: EventParked, away: str) -> bytes:
    """Return the event's bytes; raises `Transient` VM-1603, `Refused` VM-1601 and `Broken` VM-1602 as the store does."""
    if not event.value_ref:
        return event.value
    if away:
        raise Transient("VM-1603", what=away)
    try:
        return await asyncio.wait_for(asyncio.to_thread(resumer.objects.get, event.value_ref), OBJECT_S)
    except Misconfigured as error:  # a person must act, and events without a body there go on meanwhile
        raise Transient(error.code, what=error.what, where=error.where, todo=error.todo) from error
    except TimeoutError:
        raise Transient("VM-1603", what=f"the object store did not answer in {OBJECT_S:g} s",
                        where=event.value_ref, todo="check its address and the network") from None  # fmt: skip


def _write(resumer: Resumer, shelf: Shelf, one: Resumption) -> None:
    """Write one event's records; one that is too large for its topic becomes a dead letter the next time."""
    try:
        for write in one.writes:
            resumer.producer.write(write)
    except TooLarge as error:
        if not one.code:
            shelf.faults[one.spot] = Fault(code=error.code, why=str(error))
        raise


async def _abort(resumer: Resumer, shelf: Shelf, bundle: Bundle, error: Transient | TooLarge) -> None:
    """Abort, and let what was taken be tried again; a failed abort is a doubt."""
    try:
        await resumer.producer.abort()
    except Transient as doubt:
        _doubt(resumer, shelf, bundle, str(doubt))
        raise
    # A topic may have been deleted since it was last asked for.
    shelf.known_topics = frozenset()
    if isinstance(error, TooLarge) and not any(one.code == error.code for one in bundle.done):
        shelf.give_back(bundle.taken.spots)  # its event is known, and becomes a dead letter
    else:
        shelf.failed(bundle.taken, str(error), resumer.clock.monotonic_s())


def _doubt(resumer: Resumer, shelf: Shelf, bundle: Bundle, why: str) -> None:
    """Trust neither the producer nor what was in hand: the topic says which of it was resumed."""
    resumer.health.trouble = f"transaction in doubt: {why}"
    resumer.telemetry.add(names.DOUBTS, 1, resumer.labels)
    shelf.give_back(bundle.taken.spots)
    shelf.unsure({one.spot.part for one in bundle.done}, resumer.clock.monotonic_s())
    resumer.producer.expire()


def _making(resumer: Resumer) -> Making:
    return Making(
        codec=resumer.codec, instance=resumer.instance, now=resumer.clock.now(), spill=resumer.objects.put
    )


def _count(resumer: Resumer, done: Sequence[Resumption]) -> None:
    for one in done:
        resumer.telemetry.add(
            names.OUTCOMES, 1, {**resumer.labels, "outcome": "rejected" if one.code else "done"}
        )
        if one.code:
            resumer.telemetry.add(names.DEAD_LETTERS, 1, {**resumer.labels, "code": one.code})
        else:
            resumer.telemetry.add(names.SENT, 1, {**resumer.labels, "topic": one.to})
