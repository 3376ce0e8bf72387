"""Dead letters and the loop on a real broker: what is sent back is worked on again, what can't be given up stands still."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # exported, undeclared
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)
from typer.testing import CliRunner

from vigimesh.adapters.kafka.registry import RegistrySchemas
from vigimesh.app.commands.deadletter import app
from vigimesh.app.devstack import Stack
from vigimesh.events.classes import EventDeadLettered
from vigimesh.events.codec import Codec
from vigimesh.events.envelope import from_headers
from vigimesh.events.topics import topic
from vigimesh.loop.broker import Write
from vigimesh.loop.outcome import Answers, Input, Outcome
from waiting import WAIT_S
from worlds import INPUT, OUTPUT, KafkaWorld, copier, drive, work

pytestmark = pytest.mark.real

DEAD = topic("deadletter")
#: Bytes that the dead-letter topic takes while it is said to be unwritable for a large one.
LIMIT = 100_000


@pytest.fixture
def world(applied_stack: Stack) -> Iterator[KafkaWorld]:
    # The command line reads with the registry's schemas, so the loop writes with them.
    codec = Codec(RegistrySchemas({"url": applied_stack.urls.registry}))
    made = KafkaWorld(codec, bootstrap=applied_stack.urls.kafka)
    yield made
    made.close()


def given_up(world: KafkaWorld) -> list[EventDeadLettered]:
    """Return this test's dead letters, tombstones left out, in the order they were written."""
    found = [world.codec.decode(DEAD, record.value) for record in world.records(DEAD) if record.value]
    return [letter for letter in found if world.tag.encode() in letter.key]


async def redrive(stack: Stack, event_id: str) -> list[str]:
    arguments = [
        "redrive",
        "--id",
        event_id,
        "--by",
        "test",
        "--yes",
        "--json",
        "--data",
        str(stack.data_dir),
    ]
    result = await asyncio.to_thread(CliRunner().invoke, app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    done: list[str] = json.loads(result.stdout)["done"]
    return done


@contextmanager
def small_dead_letters(world: KafkaWorld) -> Iterator[None]:
    """Let the dead-letter topic take records of at most `LIMIT` bytes while the block runs."""

    def alter(size: int) -> None:
        entry = ConfigEntry("max.message.bytes", str(size), incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.TOPIC, DEAD, incremental_configs=[entry])
        admin = AdminClient(world.base)
        admin.incremental_alter_configs([resource])[resource].result(WAIT_S)

    alter(LIMIT)
    try:
        yield
    finally:
        alter(4 << 20)


def test_a_redriven_poison_record_is_given_up_again_under_the_same_id(
    world: KafkaWorld, applied_stack: Stack
) -> None:
    async def check() -> None:
        poison = Write(topic=INPUT, key=f"{world.tag}/poison".encode(), value=b"no event", headers=[])
        world.append(poison, partition=1)
        await work(world.worker(copier()), until=lambda: len(given_up(world)) == 1)
        (first,) = given_up(world)
        assert await redrive(applied_stack, first.event_id) == [first.event_id]
        await work(world.worker(copier()), until=lambda: len(given_up(world)) == 2)
        _, second = given_up(world)
        assert (second.event_id, second.value, second.code) == (first.event_id, first.value, first.code)
        assert (second.partition, second.offset) != (first.partition, first.offset)
        # Once more: the id stays, however often it goes round.
        assert await redrive(applied_stack, first.event_id) == [first.event_id]
        await work(world.worker(copier()), until=lambda: len(given_up(world)) == 3)
        assert {letter.event_id for letter in given_up(world)} == {first.event_id}
        assert world.handed_on() == []

    drive(check())


def test_what_failed_by_a_defect_is_done_once_after_the_fix_with_the_ids_it_would_have_had(
    world: KafkaWorld, applied_stack: Stack
) -> None:
    def broken(_case: Input, _answers: Answers) -> Outcome | None:
        raise RuntimeError("planted")

    async def check() -> None:
        messages = [world.send(number) for number in range(3)]
        await work(world.worker(copier(broken)), until=lambda: len(given_up(world)) == 3)
        assert {letter.code for letter in given_up(world)} == {"VM-1307"}
        for letter in given_up(world):
            await redrive(applied_stack, letter.event_id)
            # A second time there is nothing left to send back.
            assert await redrive(applied_stack, letter.event_id) == []
        await work(world.worker(copier()), until=lambda: len(world.handed_on()) >= 3)
        assert sorted(world.handed_on()) == sorted(messages)
        made = [from_headers(record.headers, "").id for record in world.mine(OUTPUT)]
        assert len(set(made)) == 3
        assert len(given_up(world)) == 3

    drive(check())


def test_a_dead_letter_that_cannot_be_written_stops_the_partition_and_nothing_is_lost(
    world: KafkaWorld,
) -> None:
    failures: list[str] = []

    def count(step: str) -> None:
        if step == "abort":
            failures.append(step)

    async def check() -> None:
        poison = Write(
            topic=INPUT, key=f"{world.tag}/poison".encode(), value=os.urandom(4 * LIMIT), headers=[]
        )
        before = world.send(0, partition=1)
        world.append(poison, partition=1)
        behind = world.send(2, partition=1)
        with small_dead_letters(world):
            worker = world.worker(copier(), fault=count)
            # The client's own word is that the transaction is in a wrong state: whoever looks at /readyz must read what is wrong.
            said = f"stands still: VM-1304 {DEAD} refuses a record"
            await work(worker, until=lambda: len(failures) >= 3 and said in worker.health.trouble)
            assert given_up(world) == []
            assert world.behind() >= 2
        await work(
            world.worker(copier(), instance="b"),
            until=lambda: len(given_up(world)) == 1 and len(world.handed_on()) == 2 and world.behind() <= 1,
        )
        assert sorted(world.handed_on()) == sorted([before, behind])
        assert [letter.value for letter in given_up(world)] == [poison.value]

    drive(check())
