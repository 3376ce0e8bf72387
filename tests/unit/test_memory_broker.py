"""The broker in memory behaves where it matters as Kafka was measured to; parity shows the rest."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from clocks import Hand
from vigimesh.adapters.memory.broker import Fate, MemoryBroker, MemoryConsumer, MemoryProducer
from vigimesh.adapters.memory.group import MAX_POLL_S, SESSION_S
from vigimesh.adapters.memory.log import METADATA_CHARS
from vigimesh.errors import Fenced, Transient
from vigimesh.loop.broker import TRANSACTION_S, Batch, InDoubt, Part, Position, Write

IN, OUT, GROUP = "in", "out", "g"


@pytest.fixture
def clock() -> Hand:
    return Hand()


@pytest.fixture
def broker(clock: Hand) -> MemoryBroker:
    broker = MemoryBroker((IN, OUT), clock)
    broker.init_group(GROUP, (IN,))
    return broker


async def no_leave(parts: frozenset[Part]) -> None: ...


async def poll(consumer: MemoryConsumer, limit: int = 100) -> Batch:
    return await consumer.poll(limit, 0.0, no_leave)


def write(key: bytes = b"k", value: bytes | None = b"v") -> Write:
    return Write(topic=OUT, key=key, value=value)


async def producer_of(broker: MemoryBroker, name: str = "p") -> MemoryProducer:
    producer = MemoryProducer(broker, name)
    await producer.renew()
    return producer


def values(broker: MemoryBroker) -> list[bytes]:
    return [record.value for record in broker.committed_records(OUT)]


def test_a_late_end_of_a_transaction_ends_the_next_one_of_the_same_epoch(broker: MemoryBroker) -> None:
    async def body() -> None:
        producer = await producer_of(broker)
        broker.fate = lambda request: "twice"
        producer.begin()
        producer.write(write(value=b"first"))
        await producer.commit()
        producer.begin()
        producer.write(write(value=b"half"))
        broker.deliver(broker.kept[0])
        assert values(broker) == [b"first", b"half"]

    asyncio.run(body())


@pytest.mark.parametrize(("fate", "there"), [("lost", []), ("kept", [])])
def test_a_new_epoch_fences_what_is_late(broker: MemoryBroker, fate: Fate, there: Sequence[bytes]) -> None:
    async def body() -> None:
        producer = await producer_of(broker)
        broker.fate = lambda request: fate
        producer.begin()
        producer.write(write(value=b"first"))
        with pytest.raises(InDoubt):
            await producer.commit()
        producer.expire()
        await producer.renew()
        for request in list(broker.kept):
            broker.deliver(request)
        assert values(broker) == there

    asyncio.run(body())


def test_a_transaction_that_lasts_too_long_is_aborted_and_its_producer_fenced(
    broker: MemoryBroker, clock: Hand
) -> None:
    async def body() -> None:
        producer = await producer_of(broker)
        producer.begin()
        producer.write(write())
        broker.append(write(value=b"behind"))
        assert values(broker) == []
        clock.at_s += TRANSACTION_S
        assert values(broker) == [b"behind"]
        with pytest.raises(Fenced):
            await producer.commit()

    asyncio.run(body())


def test_of_two_transactions_the_one_that_wrote_its_positions_last_wins(broker: MemoryBroker) -> None:
    async def body() -> None:
        consumer = MemoryConsumer(broker, GROUP, (IN,))
        group = (await poll(consumer)).group
        one, two = await producer_of(broker, "a"), await producer_of(broker, "b")
        for producer, offset in ((one, 5), (two, 9)):
            producer.begin()
            await producer.send_offsets({Part(IN, 0): Position(offset=offset)}, group)
        await two.commit()
        await one.commit()
        assert broker.offsets(GROUP)[Part(IN, 0)].offset == 9

    asyncio.run(body())


def test_metadata_of_an_earlier_poll_is_good_for_what_was_kept_and_fresh_metadata_for_anything(
    broker: MemoryBroker,
) -> None:
    async def body() -> None:
        first, second = (MemoryConsumer(broker, GROUP, (IN,)) for _ in range(2))
        before = await poll(first)
        await poll(second)
        after = await poll(first)
        assert (len(before.owned), len(after.owned), len(after.revoked)) == (4, 2, 2)
        kept, lost = min(after.owned), min(after.revoked)
        producer = await producer_of(broker)
        producer.begin()
        await producer.send_offsets({kept: Position(offset=1)}, before.group)
        with pytest.raises(Transient, match="stale"):
            await producer.send_offsets({lost: Position(offset=1)}, before.group)
        await producer.send_offsets({lost: Position(offset=1)}, first.metadata())
        await producer.abort()

    asyncio.run(body())


def test_a_partition_changes_hands_when_its_member_has_let_go(broker: MemoryBroker, clock: Hand) -> None:
    async def body() -> None:
        first, second = (MemoryConsumer(broker, GROUP, (IN,)) for _ in range(2))
        await poll(first)
        assert (await poll(second)).owned == frozenset()
        asked: list[frozenset[Part]] = []

        async def leave(parts: frozenset[Part]) -> None:
            asked.append(parts)
            assert (await poll(second)).owned == frozenset()

        lost = (await first.poll(1, 0.0, leave)).revoked
        assert asked == [lost]
        assert (await poll(second)).owned == lost

    asyncio.run(body())


@pytest.mark.parametrize("silent", [True, False])
def test_the_partitions_of_a_member_that_is_frozen_or_does_not_poll_go_to_the_others(
    broker: MemoryBroker, clock: Hand, silent: bool
) -> None:
    async def body() -> None:
        first, second = (MemoryConsumer(broker, GROUP, (IN,)) for _ in range(2))
        before = await poll(first)
        if silent:
            first.member.silent_since_s = clock.monotonic_s()
        clock.at_s += SESSION_S if silent else MAX_POLL_S
        assert len((await poll(second)).owned) == 4
        producer = await producer_of(broker)
        producer.begin()
        with pytest.raises(Transient, match="stale"):
            await producer.send_offsets({min(before.owned): Position(offset=1)}, before.group)
        await producer.abort()
        again = await poll(first)
        assert again.revoked == before.owned
        assert again.owned == frozenset()

    asyncio.run(body())


def test_a_partition_with_positions_of_an_open_transaction_is_handed_on_when_that_has_ended(
    broker: MemoryBroker,
) -> None:
    async def body() -> None:
        first, second = (MemoryConsumer(broker, GROUP, (IN,)) for _ in range(2))
        group = (await poll(first)).group
        producer = await producer_of(broker)
        producer.begin()
        await producer.send_offsets({Part(IN, 0): Position(offset=0, metadata="m")}, group)
        await first.close()
        assert {part.partition for part in (await poll(second)).owned} == {1, 2, 3}
        await producer.commit()
        assert (await poll(second)).assigned == {Part(IN, 0): Position(offset=0, metadata="m")}

    asyncio.run(body())


def test_markers_and_compaction_leave_gaps_and_the_end_is_told_once(broker: MemoryBroker) -> None:
    async def body() -> None:
        consumer = MemoryConsumer(broker, GROUP, (IN,))
        part = Part(IN, broker.partition_of(b"k"))
        for number in range(3):
            broker.append(Write(topic=IN, key=b"k", value=b"%d" % number))
        producer = await producer_of(broker)
        producer.begin()
        producer.write(Write(topic=IN, key=b"k", value=b"aborted"))
        await producer.abort()
        broker.compact(part)
        batch = await poll(consumer)
        assert [(r.offset, r.value) for r in batch.records] == [(2, b"2")]
        assert batch.ends[part] == 5
        assert part not in (await poll(consumer)).ends
        consumer.hold(part)
        consumer.unhold(part, 3)
        assert (await poll(consumer)).ends[part] == 5

    asyncio.run(body())


def test_nothing_of_a_held_partition_is_handed_out(broker: MemoryBroker) -> None:
    async def body() -> None:
        consumer = MemoryConsumer(broker, GROUP, (IN,))
        await poll(consumer)
        part = broker.append(Write(topic=IN, key=b"k", value=b"v"))
        consumer.hold(part)
        assert (await poll(consumer)).records == ()
        consumer.unhold(part, 0)
        assert len((await poll(consumer)).records) == 1

    asyncio.run(body())


def test_metadata_that_is_too_long_is_refused_and_the_transaction_can_be_aborted(
    broker: MemoryBroker,
) -> None:
    async def body() -> None:
        consumer = MemoryConsumer(broker, GROUP, (IN,))
        group = (await poll(consumer)).group
        producer = await producer_of(broker)
        producer.begin()
        long = Position(offset=0, metadata="m" * (METADATA_CHARS + 1))
        with pytest.raises(Transient, match="metadata"):
            await producer.send_offsets({Part(IN, 0): long}, group)
        await producer.abort()
        assert broker.open_transactions() == ()

    asyncio.run(body())


def test_a_tombstone_takes_its_key_out_of_a_compacted_topic(broker: MemoryBroker) -> None:
    broker.append(write(b"a"))
    broker.append(write(b"b"))
    broker.append(write(b"a", None))
    assert broker.newest(OUT, range(4)) == {b"b": b"v"}


def test_a_partition_that_comes_back_while_it_is_given_up_is_given_anew(broker: MemoryBroker) -> None:
    async def body() -> None:
        first, second = (MemoryConsumer(broker, GROUP, (IN,)) for _ in range(2))
        await poll(first)
        await poll(second)

        async def leave(parts: frozenset[Part]) -> None:
            await second.close()

        batch = await first.poll(1, 0.0, leave)
        assert (len(batch.revoked), batch.assigned, len(batch.owned)) == (2, {}, 2)
        again = await first.poll(1, 0.0, leave)
        assert again.assigned.keys() == batch.revoked
        assert len(again.owned) == 4

    asyncio.run(body())


def test_what_a_fenced_member_owned_is_given_anew_when_nothing_of_it_is_ending(broker: MemoryBroker) -> None:
    async def body() -> None:
        consumer = MemoryConsumer(broker, GROUP, (IN,))
        epoch = (await poll(consumer)).group[1]
        consumer.member.fence()

        async def leave(parts: frozenset[Part]) -> None: ...

        batch = await consumer.poll(1, 0.0, leave)
        assert (len(batch.revoked), batch.assigned) == (4, {})
        ending = frozenset({Part(IN, 0)})
        batch = await consumer.poll(1, 0.0, leave, ending)
        assert batch.assigned.keys() == {Part(IN, 1), Part(IN, 2), Part(IN, 3)}
        batch = await consumer.poll(1, 0.0, leave)
        assert batch.assigned.keys() == ending
        assert batch.group[1] == epoch, "for the coordinator nothing has changed"

    asyncio.run(body())
