"""The resumer's guarantees, one suite on the broker in memory and on Kafka."""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Awaitable
from contextlib import suppress
from typing import Any

import pytest

from parking import PARTITIONS, PLAN, Parking, drive, serve
from vigimesh.adapters.kafka import compacted
from vigimesh.background.resumer.emit import PARKED
from vigimesh.background.resumer.run import run
from vigimesh.errors import Transient
from vigimesh.events.classes import AuditRecorded, EventDeadLettered, FlowCounted
from vigimesh.events.envelope import from_headers
from vigimesh.events.topics import topic
from vigimesh.loop.broker import InDoubt, Producer, Write
from vigimesh.ports import ParkedTopic
from waiting import until_async
from worlds import WORLDS, Crash, FaultyProducer, World, once, world_of

STEPS = ("begin", "write", "offsets.before", "offsets.after", "commit.before", "commit.after")

world = pytest.fixture(params=WORLDS)(world_of)


@pytest.fixture
def parking(world: World) -> Parking:
    return Parking(world)


def audits(parking: Parking) -> list[AuditRecorded]:
    return [parking.world.codec.decode(topic("audit"), r.value) for r in parking.world.mine(topic("audit"))]


def letters(parking: Parking) -> list[EventDeadLettered]:
    name = topic("deadletter")
    return [parking.world.codec.decode(name, r.value) for r in parking.world.mine(name)]


def test_a_due_event_goes_back_as_it_was_with_tombstone_audit_and_flow(parking: Parking) -> None:
    event = parking.event(1)
    parking.park(event)
    drive(serve(parking.resumer(), until=lambda: bool(parking.resumed())))
    (back,) = parking.world.mine(PLAN)
    assert (back.key, back.value) == (event.key, event.value)
    assert back.headers == [(header.name, header.value) for header in event.headers]
    assert parking.open() == set()
    (audit,) = audits(parking)
    assert (audit.stage, audit.action, audit.event_id, audit.outputs) == (
        "resumer", "resumed", event.event_id, (event.event_id,),
    )  # fmt: skip
    flows = [
        parking.world.codec.decode(topic("flow"), r.value)
        for r in parking.world.records(topic("flow"))
        if from_headers(r.headers, "").source == "/vigimesh/resumer"
    ]
    assert all(isinstance(flow, FlowCounted) and flow.stage == "resumer" for flow in flows)
    assert sum(flow.sent.get(PLAN, 0) for flow in flows) == sum(flow.consumed for flow in flows) >= 1


def test_an_event_waits_for_its_time_and_then_goes_at_once(parking: Parking) -> None:
    parking.park(parking.event(1, in_s=3_600), parking.event(2))

    async def wait() -> None:
        stop = threading.Event()
        running = asyncio.ensure_future(run(parking.resumer(), stop))
        await until_async(parking.resumed, what="what is due")
        assert parking.resumed() == [parking.body(2)]
        parking.wall.move(3_599.9)
        await until_async(lambda: not parking.resumed()[1:], what="nothing yet")
        parking.wall.move(0.1)
        await until_async(lambda: parking.resumed()[1:], what="what has become due")
        stop.set()
        await running

    drive(wait())
    assert Counter(parking.resumed()) == Counter([parking.body(2), parking.body(1)])
    assert parking.open() == set()


def test_a_clock_set_back_lets_events_wait_longer_and_resumes_none_twice(parking: Parking) -> None:
    parking.park(parking.event(1), parking.event(2, in_s=60))

    async def wait() -> None:
        stop = threading.Event()
        running = asyncio.ensure_future(run(parking.resumer(), stop))
        await until_async(parking.resumed, what="what is due")
        parking.wall.move(-86_400)
        parking.park(parking.event(3, in_s=86_400 + 30))
        parking.wall.move(86_400 + 61)
        await until_async(lambda: len(parking.resumed()) >= 3, what="the others")
        parking.wall.move(-86_400)
        parking.park(parking.event(4))
        await until_async(lambda: len(parking.resumed()) >= 4, what="one more")
        stop.set()
        await running

    drive(wait())
    assert Counter(parking.resumed()) == Counter(parking.body(n) for n in (1, 2, 3, 4))


@pytest.mark.parametrize("step", STEPS)
def test_a_resumer_that_dies_at_any_step_loses_and_doubles_nothing(parking: Parking, step: str) -> None:
    parking.park(*(parking.event(n) for n in range(8)))
    with pytest.raises(Crash):
        drive(serve(parking.resumer(fault=once(step, Crash())), until=lambda: False))
    drive(serve(parking.resumer(), until=lambda: len(parking.resumed()) >= 8 and not parking.open()))
    assert Counter(parking.resumed()) == Counter(parking.body(n) for n in range(8))
    assert Counter(a.event_id for a in audits(parking)) == Counter(
        f"{parking.world.tag}.{n}" for n in range(8)
    )


@pytest.mark.parametrize("step", ["commit.before", "commit.after"])
def test_a_resumption_in_doubt_is_neither_lost_nor_doubled(parking: Parking, step: str) -> None:
    parking.park(*(parking.event(n) for n in range(8)))
    fault = once(step, InDoubt("VM-1302", what="planted"))
    drive(serve(parking.resumer(fault=fault), until=lambda: len(parking.resumed()) >= 8))
    parking.park(parking.event(99))
    drive(serve(parking.resumer(), until=lambda: parking.body(99) in parking.resumed()))
    assert Counter(parking.resumed()) == Counter(parking.body(n) for n in (*range(8), 99))


@pytest.mark.parametrize("step", STEPS[:-1])
def test_an_aborted_resumption_leaves_nothing_and_is_made_again(parking: Parking, step: str) -> None:
    parking.park(*(parking.event(n) for n in range(8)))
    fault = once(step, Transient("VM-1301", what="planted"))
    drive(serve(parking.resumer(fault=fault), until=lambda: len(parking.resumed()) >= 8))
    assert Counter(parking.resumed()) == Counter(parking.body(n) for n in range(8))


def test_an_event_parked_again_waits_for_its_new_time(parking: Parking) -> None:
    """The newer record replaces the older; parked again after it was resumed, it is resumed again."""
    parking.park(parking.event(1, in_s=10), parking.event(1, in_s=3_600, value=parking.body(11).encode()))
    parking.park(parking.event(2))

    async def wait() -> None:
        stop = threading.Event()
        running = asyncio.ensure_future(run(parking.resumer(), stop))
        await until_async(parking.resumed, what="what is due")
        parking.wall.move(20)
        parking.park(parking.event(3))
        await until_async(lambda: len(parking.resumed()) >= 2, what="the other")
        parking.wall.move(3_600)
        await until_async(lambda: len(parking.resumed()) >= 3, what="the one parked again")
        parking.park(parking.event(2))
        await until_async(lambda: len(parking.resumed()) >= 4, what="it, a second time")
        stop.set()
        await running

    drive(wait())
    assert parking.resumed().count(parking.body(2)) == 2
    assert set(parking.resumed()) == {parking.body(n) for n in (2, 3, 11)}
    assert parking.open() == set()


def test_an_event_with_a_tombstone_is_not_resumed(parking: Parking) -> None:
    parking.park(parking.event(1, in_s=10), parking.event(2, in_s=10))
    key = parking.event(1).event_id.encode()
    parking.world.append(Write(topic=PARKED, key=key, value=None))
    parking.wall.move(20)
    drive(serve(parking.resumer(), until=lambda: bool(parking.resumed())))
    assert parking.resumed() == [parking.body(2)]


def test_bytes_in_the_object_store_go_back_as_bytes(parking: Parking) -> None:
    big = b"x" * 100_000 + parking.world.tag.encode()
    parking.park(parking.event(1, value=b"", value_ref=parking.objects.put(big)))
    drive(serve(parking.resumer(), until=lambda: bool(parking.resumed())))
    assert parking.resumed() == [big.decode()]


@pytest.mark.parametrize(
    ("parts", "code"),
    [
        ({"resume_topic": "vigimesh.no.such"}, "VM-1801"),
        ({"resume_topic": topic("audit")}, "VM-1801"),
        ({"value": b"", "value_ref": "0" * 64}, "VM-1601"),
        ({"value": b"", "value_ref": "large"}, "VM-1005"),
    ],
)
def test_an_event_that_cannot_go_back_is_dead_lettered_and_others_go_on(
    parking: Parking, parts: dict[str, Any], code: str
) -> None:
    if parts.get("value_ref") == "large":
        parts = parts | {"value_ref": parking.objects.put(b"x" * (5 << 20))}
    parking.park(parking.event(1), parking.event(2, **parts), parking.event(3))
    drive(serve(parking.resumer(), until=lambda: len(parking.resumed()) >= 2 and bool(letters(parking))))
    assert Counter(parking.resumed()) == Counter([parking.body(1), parking.body(3)])
    (letter,) = letters(parking)
    assert (letter.event_id, letter.code, letter.topic) == (f"{parking.world.tag}.2", code, PARKED)
    assert parking.world.codec.decode(PARKED, letter.value).key == parking.event(2).key
    assert parking.open() == set()
    assert Counter(a.action for a in audits(parking)) == {"resumed": 2, "rejected": 1}


def test_parked_bytes_that_are_no_event_are_dead_lettered(parking: Parking) -> None:
    key = f"{parking.world.tag}.poison".encode()
    parking.world.append(Write(topic=PARKED, key=key, value=b"no event"))
    drive(serve(parking.resumer(), until=lambda: bool(letters(parking))))
    (letter,) = letters(parking)
    assert (letter.code, letter.value, letter.key) == ("VM-1001", b"no event", key)
    assert parking.open() == set()


def test_an_output_that_the_broker_refuses_is_found_and_dead_lettered(parking: Parking) -> None:
    """The client takes it, the transaction is aborted: halves are tried until it is alone."""
    bad = parking.event(5)

    def refuse(step: str) -> None:
        writes = seen[-1:] if step == "commit.before" else []
        if any(
            bad.value in (write.value or b"") and write.topic == PLAN for batch in writes for write in batch
        ):
            raise Transient("VM-1301", what="planted")

    seen: list[list[Write]] = []
    resumer = parking.resumer(fault=refuse)
    begin, write = resumer.producer.begin, resumer.producer.write

    def begun() -> None:
        seen.append([])
        begin()

    def written(record: Write) -> None:
        seen[-1].append(record)
        write(record)

    resumer.producer.begin, resumer.producer.write = begun, written  # type: ignore[method-assign]
    parking.park(*(parking.event(n) for n in range(9)))
    drive(serve(resumer, until=lambda: bool(letters(parking)) and len(parking.resumed()) >= 8))
    assert Counter(parking.resumed()) == Counter(parking.body(n) for n in range(9) if n != 5)
    (letter,) = letters(parking)
    assert (letter.event_id, letter.code) == (bad.event_id, "VM-1310")


def test_a_body_that_cannot_be_had_now_waits_and_others_go_on(parking: Parking) -> None:
    away = [3]
    name = parking.objects.put(parking.body(2).encode())

    class Flaky:
        def put(self, data: bytes) -> str:
            return parking.objects.put(data)

        def get(self, digest: str) -> bytes:
            if away[0]:
                away[0] -= 1
                raise Transient("VM-1603", what="planted")
            return parking.objects.get(digest)

    parking.park(parking.event(1), parking.event(2, value=b"", value_ref=name), parking.event(3))
    drive(serve(parking.resumer(objects=Flaky()), until=lambda: len(parking.resumed()) >= 3))
    assert Counter(parking.resumed()) == Counter(parking.body(n) for n in (1, 2, 3))
    assert letters(parking) == []


def test_state_restored_from_a_compacted_topic_is_never_old_because_a_transaction_was_open(
    parking: Parking,
) -> None:
    """An open transaction hides a tombstone: nothing of its partition is resumed until it ends; others go on."""
    world = parking.world
    # Keys have the test's own tag, so that where they lie is chance: of twelve, once in twenty none lies beside the first.
    events = range(64)
    parking.park(*(parking.event(n) for n in events))
    lie = {record.key.decode(): record.part for record in world.mine(PARKED)}
    hidden = f"{world.tag}.0"
    apart = {parking.body(n) for n in events if lie[f"{world.tag}.{n}"] != lie[hidden]}
    rest = {parking.body(n) for n in events[1:]} - apart
    assert apart
    assert rest
    writer = patient(world.producer(f"{world.group}.writer"))

    async def wait() -> None:
        await writer.renew()
        writer.begin()
        writer.write(Write(topic=PARKED, key=hidden.encode(), value=None))
        await flushed(writer)
        resumer = parking.resumer(stall_s=0.3)
        stop = threading.Event()
        running = asyncio.ensure_future(run(resumer, stop))
        await until_async(lambda: set(parking.resumed()) >= apart, what="the other partitions")
        await until_async(lambda: "VM-1306" in resumer.health.trouble, what="the trouble")
        assert not resumer.health.ready
        assert set(parking.resumed()) == apart
        await writer.commit()
        await until_async(lambda: set(parking.resumed()) >= rest, what="what was held back")
        await until_async(lambda: resumer.health.ready, what="ready")
        stop.set()
        await running
        await writer.close()

    drive(wait())
    assert Counter(parking.resumed()) == Counter(apart | rest)


def test_a_table_is_not_restored_while_a_transaction_is_open(
    parking: Parking, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a stage does that restores its state: it fails loudly, and has it all when the transaction has ended."""
    world = parking.world
    parking.park(parking.event(1, in_s=3_600), parking.event(2, in_s=3_600))
    gone, stays = (f"{world.tag}.{n}".encode() for n in (1, 2))
    writer, reader = patient(world.producer(f"{world.group}.writer")), world.consumer(world.group)

    async def wait() -> None:
        await writer.renew()
        writer.begin()
        writer.write(Write(topic=PARKED, key=gone, value=None))
        await flushed(writer)
        with monkeypatch.context() as short:
            short.setattr(compacted, "RESTORE_S", 1.0)
            with pytest.raises(Transient, match="VM-1306"):
                await reader.restore(PARKED, range(PARTITIONS))
        await writer.commit()
        found = await reader.restore(PARKED, range(PARTITIONS))
        assert (gone in found, stays in found) == (False, True)
        await writer.close()
        await reader.close()

    drive(wait())


def test_a_stale_resumer_is_refused_by_the_group(parking: Parking) -> None:
    """One that lost its partitions between its poll and its commit writes nothing; the new owner resumes once."""
    parking.park(*(parking.event(n) for n in range(8)))
    successors: list[ParkedTopic] = []

    async def wait() -> None:
        stop, lost = threading.Event(), asyncio.Event()
        refused: list[Transient] = []
        stale = parking.resumer(instance="stale")
        assert isinstance(stale.producer, FaultyProducer)
        patient(stale.producer.inner)
        send, commit = stale.producer.send_offsets, stale.producer.commit

        async def late(positions: Any, group: Any) -> None:
            if not lost.is_set():
                lost.set()
                await stale.topic.close()
                successors.append(parking.topic())
                while len((await successors[0].poll(1_000, 0.1)).owned) < 4:
                    pass
            await refusing(send(positions, group))

        async def refusing(step: Awaitable[None]) -> None:
            """Take down what refuses the positions: this step, or the commit they may go with."""
            try:
                await step
            except Transient as error:
                refused.append(error)
                raise

        stale.producer.send_offsets = late  # type: ignore[method-assign]
        stale.producer.commit = lambda: refusing(commit())  # type: ignore[method-assign]
        running = asyncio.ensure_future(run(stale, stop))
        await until_async(lambda: refused or running.done(), what="the refusal")
        assert refused
        assert parking.resumed() == []
        stop.set()
        with suppress(RuntimeError):  # its consumer is closed already
            await running
        await successors[0].close()

    drive(wait())
    drive(serve(parking.resumer(), until=lambda: len(parking.resumed()) >= 8))
    assert Counter(parking.resumed()) == Counter(parking.body(n) for n in range(8))


def patient(writer: Producer) -> Producer:
    """Let its transactions last as long as a test looks on: a group may give its partitions later than 10 s on a busy machine."""
    settings = getattr(writer, "_settings", None)
    if settings is not None:
        settings["transaction.timeout.ms"] = 120_000
    return writer


async def flushed(writer: Producer) -> None:
    """Let what the writer holds back reach the broker, its transaction still open."""
    client = getattr(writer, "_producer", None)
    if client is not None:
        assert await asyncio.to_thread(client.flush, 10) == 0
