"""`vigimesh transactions` on a real broker, and how long a dead producer's transaction holds readers up."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from confluent_kafka import OFFSET_INVALID, Consumer, KafkaException, Producer, TopicPartition
from typer.testing import CliRunner

from ground import Ground
from vigimesh.adapters.kafka.client import common
from vigimesh.adapters.kafka.producer import TRANSACTION_MS
from vigimesh.app.commands.transactions import app
from vigimesh.app.devstack import Stack
from vigimesh.errors import Refused
from vigimesh.events.topics import topic
from waiting import WAIT_S, until

pytestmark = pytest.mark.real

COLD, HOT = topic("plan.cold"), topic("plan.hot")
#: Milliseconds of the embedded broker's clean-up interval (`app.devstack.kafka`).
CLEANUP_MS = 1_000
#: Seconds beyond the bound for two processes and a poll on a busy machine.
SLACK_S = 3.0

#: A worker's producer that writes, says so, and is killed.
DYING = """
import asyncio, sys
from vigimesh.adapters.kafka.client import common
from vigimesh.adapters.kafka.producer import KafkaProducer
from vigimesh.loop.broker import Write

async def main(bootstrap, name, topic):
    producer = KafkaProducer(common(bootstrap, {}), name)
    await producer.renew()
    producer.begin()
    producer.write(Write(topic=topic, key=name.encode(), value=b"never committed"))
    producer._live().flush(30)
    print("written", flush=True)
    await asyncio.sleep(600)

asyncio.run(main(*sys.argv[1:]))
"""


def run(stack: Stack, *arguments: str, status: int = 0) -> Any:
    where = ["--data", str(stack.data_dir), "--json"]
    result = CliRunner().invoke(app, [*arguments, *where], catch_exceptions=False)
    assert result.exit_code == status, result.output
    return json.loads(result.stdout)


def listed(stack: Stack, name: str) -> dict[str, Any] | None:
    return next((one for one in run(stack, "list")["transactions"] if one["id"] == name), None)


def write(stack: Stack, producer: Producer, name: str, key: str) -> None:
    producer.produce(name, b"x", key)
    assert producer.flush(30) == 0


@pytest.fixture
def opened(applied_stack: Stack) -> Iterator[tuple[str, Producer]]:
    """Open a transaction on two topics."""
    name = f"test.{uuid4().hex}"
    producer = Producer(
        {**common(applied_stack.urls.kafka, {}), "transactional.id": name, "transaction.timeout.ms": 60_000}
    )
    producer.init_transactions(30)
    producer.begin_transaction()
    for where in (COLD, HOT):
        write(applied_stack, producer, where, name)
    yield name, producer
    try:
        producer.abort_transaction(WAIT_S)
    except KafkaException:
        pass  # fenced by the test


def committed_end(stack: Stack, name: str) -> int:
    """Return the sum of the last stable offsets of a topic."""
    consumer = Consumer(
        {
            **common(stack.urls.kafka, {}),
            "group.id": "vigimesh.test.reader",
            "isolation.level": "read_committed",
        }
    )
    try:
        parts = consumer.list_topics(name, timeout=WAIT_S).topics[name].partitions
        ends = [consumer.get_watermark_offsets(TopicPartition(name, part), timeout=WAIT_S) for part in parts]
        return sum(high for _, high in ends)
    finally:
        consumer.close()


def test_an_open_transaction_is_listed_with_where_it_is_and_when_it_ends(
    applied_stack: Stack, opened: tuple[str, Producer]
) -> None:
    name, _ = opened
    found = listed(applied_stack, name)
    assert found is not None
    assert (found["state"], found["timeout_ms"], found["overdue"]) == ("ongoing", 60_000, False)
    assert {place.rpartition("-")[0] for place in found["partitions"]} == {COLD, HOT}
    assert 0 <= found["age_s"] < 60
    assert run(applied_stack, "list")["cleanup_interval_ms"] == CLEANUP_MS


def test_without_yes_it_stays_open_and_with_yes_it_ends_and_its_producer_is_fenced(
    applied_stack: Stack, opened: tuple[str, Producer]
) -> None:
    name, producer = opened
    before = committed_end(applied_stack, COLD)
    assert run(applied_stack, "abort", name)["ended"] is False
    assert listed(applied_stack, name) is not None
    assert run(applied_stack, "abort", name, "--yes")["ended"] is True
    # Well before the transaction's own time of 60 s ends it.
    until(lambda: committed_end(applied_stack, COLD) > before, within_s=20, what="the end of the transaction")
    assert listed(applied_stack, name) is None
    with pytest.raises(KafkaException, match=r"fenced|epoch|_FENCED"):
        producer.commit_transaction(30)
    ended = next(one for one in run(applied_stack, "list", "--all")["transactions"] if one["id"] == name)
    assert (ended["state"], ended["open"]) == ("empty", False)


def test_an_id_that_is_not_open_is_not_touched(applied_stack: Stack) -> None:
    where = ["--data", str(applied_stack.data_dir), "--yes"]
    with pytest.raises(Refused, match="VM-1722"):
        CliRunner().invoke(app, ["abort", "test.nobody", *where], catch_exceptions=False)
    assert all(one["id"] != "test.nobody" for one in run(applied_stack, "list", "--all")["transactions"])


def test_a_dead_producers_open_transaction_blocks_readers_no_longer_than_its_time_out_and_the_clean_up(
    applied_stack: Stack,
) -> None:
    name = f"test.dead.{uuid4().hex}"
    before = committed_end(applied_stack, COLD)
    command = [sys.executable, "-c", DYING, applied_stack.urls.kafka, name, COLD]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as dying:
        assert dying.stdout is not None
        assert dying.stdout.readline() == "written\n"
        killed_s = time.monotonic()
        dying.kill()
    # A healthy record behind it on the same topic waits; the hot lane, which the dead one did not touch, does not.
    plain = Producer({**common(applied_stack.urls.kafka, {}), "partitioner": "murmur2_random"})
    hot = committed_end(applied_stack, HOT)
    write(applied_stack, plain, HOT, name)
    write(applied_stack, plain, COLD, name)
    assert committed_end(applied_stack, HOT) == hot + 1
    assert committed_end(applied_stack, COLD) == before
    found = listed(applied_stack, name)
    assert found is not None
    assert found["timeout_ms"] == TRANSACTION_MS
    bound_s = (TRANSACTION_MS + CLEANUP_MS) / 1_000
    # The dead record, the marker of its end, and the record behind it.
    until(
        lambda: committed_end(applied_stack, COLD) == before + 3,
        within_s=bound_s + SLACK_S,
        what="the end of the block",
    )
    took_s = time.monotonic() - killed_s
    print(f"a dead producer held readers up for {took_s:.1f} s; time-out and clean-up are {bound_s:g} s")


def test_positions_that_an_engine_left_open_hold_up_nobody_s_turn(
    applied_stack: Stack, tmp_path: Path
) -> None:
    """Faust ends in the midst of such a transaction one time in three; Quix Streams, whose turn is next, gave up."""
    base = Ground(stack=applied_stack, folder=tmp_path, ids_file=tmp_path / "ids")
    name, where = f"test.{uuid4().hex}", [TopicPartition(COLD, 0)]
    engine = Producer({**common(base.kafka, {}), "transactional.id": name, "transaction.timeout.ms": 600_000})
    engine.init_transactions(WAIT_S)
    engine.begin_transaction()
    next_one = base.consumer(name)
    at = [TopicPartition(COLD, 0, 7)]
    engine.send_offsets_to_transaction(at, next_one.consumer_group_metadata(), WAIT_S)
    try:
        with pytest.raises(KafkaException, match="_TIMED_OUT"):
            next_one.committed(where, timeout=1)
        base.end_transactions()
        assert next_one.committed(where, timeout=WAIT_S)[0].offset == OFFSET_INVALID
    finally:
        next_one.close()
