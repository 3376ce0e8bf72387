"""`vigimesh deadletter` on a real broker: what is listed, sent back and closed, by one operator or by two at once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from confluent_kafka import Consumer, KafkaError, Message, Producer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # exported, undeclared
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)
from typer.testing import CliRunner

from vigimesh.adapters.kafka.client import common
from vigimesh.adapters.kafka.desks.dead_letters import (
    DEADLETTER,
    OPERATOR,
    Letter,
    Operator,
    Settled,
    open_letters,
)
from vigimesh.adapters.kafka.history import settle as settle_all
from vigimesh.adapters.kafka.producer import KafkaProducer
from vigimesh.adapters.kafka.registry import RegistrySchemas
from vigimesh.adapters.objects.store import ObjectStore
from vigimesh.app.commands.deadletter import app
from vigimesh.app.devstack import Stack
from vigimesh.app.operators.redrive import Order, Settling
from vigimesh.clock import Deadline, SystemClock
from vigimesh.errors import Fenced
from vigimesh.events.classes import EventDeadLettered, Header
from vigimesh.events.codec import Codec
from vigimesh.events.topics import topic
from vigimesh.loop.broker import InDoubt
from vigimesh.loop.broker import Producer as LoopProducer
from waiting import WAIT_S, until
from worlds import FaultyProducer, once

pytestmark = pytest.mark.real

BACK = topic("retrieve.cold")
#: Seconds in which a topic of a test must be read to its end.
READ_S = 30.0


@dataclass
class Corner:
    """A test's own corner of the stack: its ids begin with `tag`."""

    stack: Stack
    codec: Codec
    tag: str = field(default_factory=lambda: f"dl-{uuid4().hex[:10]}")

    @property
    def base(self) -> dict[str, Any]:
        return common(self.stack.urls.kafka, {})

    def letter(self, number: int, **changes: Any) -> EventDeadLettered:
        named = f"{self.tag}-{number}"
        given = {
            "event_id": named, "topic": BACK, "partition": 0, "offset": number, "stage": "retriever",
            "code": "VM-1307", "cause": "VM-1307 handler failed", "workflow": "triage", "lane": "cold",
            "appended_at": datetime(2026, 3, 2, tzinfo=UTC), "key": f"{self.tag}/case".encode(),
            "headers": (Header(name="ce_id", value=named.encode()), Header(name="x-odd", value=b"\xff\x00")),
            "value": b"\x00\x00\x00\x00\x07body", "message_id": f"m-{named}",
        }  # fmt: skip
        return EventDeadLettered(**{**given, **changes})

    def give_up(self, *letters: EventDeadLettered) -> None:
        """Write dead letters as a worker does: in a transaction, keyed by event id."""
        producer = Producer(
            {**self.base, "transactional.id": f"test.{self.tag}", "partitioner": "murmur2_random"}
        )
        producer.init_transactions(30)
        producer.begin_transaction()
        for letter in letters:
            producer.produce(DEADLETTER, self.codec.encode(DEADLETTER, letter), letter.event_id)
        producer.commit_transaction(30)
        settled(self)

    def records(self, name: str) -> list[Message]:
        """Return the committed records of a topic whose key or value names this corner."""
        settled(self)
        consumer = Consumer({**self.base, "group.id": "vigimesh.test.reader", "enable.auto.commit": False,
                             "isolation.level": "read_committed", "enable.partition.eof": True})  # fmt: skip
        left = set(consumer.list_topics(name, timeout=WAIT_S).topics[name].partitions)
        consumer.assign([TopicPartition(name, number, 0) for number in left])
        found: list[Message] = []
        deadline = Deadline.after(SystemClock(), READ_S)
        while left:
            assert not deadline.passed()
            for message in consumer.consume(500, 0.1):
                error = message.error()
                if error is None:
                    found.append(message)
                else:
                    assert error.code() == KafkaError._PARTITION_EOF, error
                    left.discard(message.partition() or 0)
        consumer.close()
        tag = self.tag.encode()
        return [m for m in found if tag in (m.key() or b"") or tag in (m.value() or b"")]

    def run(self, *arguments: str, status: int = 0) -> Any:
        """Run `vigimesh deadletter` with --json and return what it printed."""
        result = self.command(*arguments, "--json")
        assert result.exit_code == status, result.output
        return json.loads(result.stdout)

    def command(self, *arguments: str) -> Any:
        where = ["--data", str(self.stack.data_dir)]
        return CliRunner().invoke(app, [*arguments, *where], catch_exceptions=False)

    def open_ids(self) -> list[str]:
        settled(self)
        return sorted(one["id"] for one in self.run("list", "--id", self.tag)["dead_letters"])

    def audits(self, action: str) -> list[Any]:
        events = (self.codec.decode(topic("audit"), m.value() or b"") for m in self.records(topic("audit")))
        return [one for one in events if one.event_id.startswith(self.tag) and one.action == action]


@pytest.fixture
def corner(applied_stack: Stack) -> Corner:
    return Corner(applied_stack, Codec(RegistrySchemas({"url": applied_stack.urls.registry})))


@contextmanager
def topic_limit(corner: Corner, name: str, size: int) -> Iterator[None]:
    """Let a topic take records of at most `size` bytes while the block runs."""

    asked = ConfigResource(ResourceType.TOPIC, name)

    def alter(operation: AlterConfigOpType, value: str) -> None:
        entry = ConfigEntry("max.message.bytes", value, incremental_operation=operation)
        resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=[entry])
        # Held by a name: a client that is collected takes its answers with it.
        admin = AdminClient(corner.base)
        admin.incremental_alter_configs([resource])[resource].result(WAIT_S)
        # The controller has it; the broker follows.
        until(
            lambda: admin.describe_configs([asked])[asked].result(WAIT_S)["max.message.bytes"].value == value,
            what="the topic's limit",
        )  # fmt: skip

    alter(AlterConfigOpType.SET, str(size))
    try:
        yield
    finally:
        alter(AlterConfigOpType.SET, str(4 * 1024 * 1024))


def test_the_list_keeps_to_its_filters_and_shows_no_payload(corner: Corner) -> None:
    corner.give_up(
        corner.letter(1), corner.letter(2, code="VM-1003", stage="planner", topic=topic("plan.hot"), lane="hot"),
        corner.letter(3, workflow="", lane="", headers=(), value=b"secret narrative"),
    )  # fmt: skip
    assert corner.open_ids() == [f"{corner.tag}-{n}" for n in (1, 2, 3)]
    for options, number in [
        (("--code", "vm-1003"), 2), (("--code", "1003"), 2), (("--stage", "planner"), 2),
        (("--topic", "plan.hot"), 2), (("--lane", "hot"), 2),
    ]:  # fmt: skip
        found = corner.run("list", "--id", corner.tag, *options)["dead_letters"]
        assert [one["id"] for one in found] == [f"{corner.tag}-{number}"], options
    assert corner.run("list", "--id", corner.tag, "--until", "1h")["count"] == 0
    assert corner.run("list", "--id", corner.tag, "--since", "1h")["count"] == 3
    assert "secret" not in corner.command("list", "--id", corner.tag).output
    told = corner.command("show", f"{corner.tag}-3").output
    assert "secret" not in told
    assert "VM-1307" in told
    assert "After a fix: `vigimesh deadletter redrive --code VM-1307`" in told
    assert (
        bytes.fromhex(corner.run("show", f"{corner.tag}-3", "--payload")["payload"]["hex"])
        == b"secret narrative"
    )


def test_without_yes_nothing_is_done_and_without_a_choice_nothing_is_meant(corner: Corner) -> None:
    corner.give_up(corner.letter(1))
    told = corner.run("redrive", "--id", corner.tag)
    assert (told["dry_run"], told["count"]) == (True, 1)
    assert corner.command("redrive", "--yes", "--by", "x").exit_code == 2
    assert corner.command("redrive", "--id", corner.tag, "--yes").exit_code == 2
    assert corner.command("close", "--id", corner.tag, "--by", "x", "--yes").exit_code == 2
    assert corner.records(BACK) == []
    assert corner.open_ids() == [f"{corner.tag}-1"]


def test_a_redriven_event_goes_back_as_it_was_with_its_audit_and_flow(corner: Corner) -> None:
    letter = corner.letter(1)
    corner.give_up(letter)
    done = corner.run(
        "redrive", "--id", letter.event_id, "--by", "ops@example", "--reason", "verb mended", "--yes"
    )
    assert done["done"] == [letter.event_id]
    (record,) = corner.records(BACK)
    assert (record.key(), record.value()) == (letter.key, letter.value)
    assert record.headers() == [(header.name, header.value) for header in letter.headers]
    assert corner.records(DEADLETTER)[-1].value() is None
    assert corner.open_ids() == []
    (audit,) = corner.audits("redriven")
    assert (audit.stage, audit.actor, audit.why) == ("operator", "ops@example", "verb mended")
    assert (audit.case_id, audit.outputs, audit.new) == (f"{corner.tag}/case", (letter.event_id,), BACK)
    assert flows(corner, "triage", "cold")[-1] == (1, {BACK: 1})
    assert corner.run("redrive", "--id", letter.event_id, "--by", "x", "--yes")["count"] == 0
    assert len(corner.records(BACK)) == 1


def test_a_record_without_id_workflow_or_key_goes_back_under_the_id_it_was_given_up_with(
    corner: Corner,
) -> None:
    letter = corner.letter(
        1, workflow="", lane="", message_id="", headers=(), key=b"", value=corner.tag.encode()
    )
    corner.give_up(letter)
    assert corner.run("redrive", "--id", letter.event_id, "--by", "x", "--yes")["done"] == [letter.event_id]
    (record,) = corner.records(BACK)
    assert record.headers() == [("ce_id", letter.event_id.encode())]
    assert flows(corner, "", "")[-1] == (1, {BACK: 1})


def test_what_cannot_go_back_is_named_and_the_others_go(corner: Corner) -> None:
    objects = ObjectStore(corner.stack.urls.objects)
    large = corner.tag.encode() + bytes(70_000)
    corner.give_up(
        corner.letter(1, topic="vigimesh.gone"),
        corner.letter(2, value=b"", value_ref="0" * 64),
        corner.letter(3, value=b"", value_ref=objects.put(large)),
    )
    done = corner.run("redrive", "--id", corner.tag, "--by", "x", "--yes", status=1)
    assert done["done"] == [f"{corner.tag}-3"]
    assert {one["event_id"][-1]: one["why"].split()[0] for one in done["failed"]} == {
        "1": "VM-1721",
        "2": "VM-1601",
    }
    assert [record.value() for record in corner.records(BACK)] == [large]
    assert corner.open_ids() == [f"{corner.tag}-1", f"{corner.tag}-2"]


def test_one_record_that_the_broker_refuses_does_not_keep_the_others_back(corner: Corner) -> None:
    size = 200_000
    noise = bytes(range(256)) * (size // 256)
    corner.give_up(
        *(corner.letter(n) for n in range(1, 5)),
        corner.letter(5, value=b"".join(uuid4().bytes for _ in range(size // 16))), corner.letter(6, value=noise[:100]),
    )  # fmt: skip
    with topic_limit(corner, BACK, size // 2):
        done = corner.run("redrive", "--id", corner.tag, "--by", "x", "--yes", status=1)
    assert [one["event_id"] for one in done["failed"]] == [f"{corner.tag}-5"]
    assert done["failed"][0]["why"].startswith(
        f"VM-1304 {BACK} refuses a record: Broker: Message size too large"
    )
    assert len(corner.records(BACK)) == 5
    assert corner.open_ids() == [f"{corner.tag}-5"]
    assert corner.run("redrive", "--id", corner.tag, "--by", "x", "--yes")["count"] == 1


def test_two_operators_at_once_never_send_an_event_back_twice(corner: Corner) -> None:
    corner.give_up(*(corner.letter(n) for n in range(600)))
    letters = mine(corner)

    async def both() -> list[Settled | BaseException]:
        return await asyncio.gather(
            *(asyncio.to_thread(asyncio.run, settle(corner, letters, who)) for who in ("a", "b")),
            return_exceptions=True,
        )

    ended = asyncio.run(both())
    assert all(isinstance(one, Settled | Fenced) for one in ended), ended
    left = asyncio.run(settle(corner, mine(corner), "c"))
    assert left.failed == []
    assert len(corner.records(BACK)) == 600
    assert corner.open_ids() == []


def test_what_a_dead_operator_left_open_is_ended_by_the_next(corner: Corner) -> None:
    letter = corner.letter(1)
    corner.give_up(letter)
    dead = Producer({**corner.base, "transactional.id": OPERATOR, "partitioner": "murmur2_random"})
    dead.init_transactions(30)
    dead.begin_transaction()
    dead.produce(BACK, letter.value, letter.key)
    dead.produce(DEADLETTER, None, letter.event_id)
    dead.flush(30)
    assert corner.run("redrive", "--id", letter.event_id, "--by", "x", "--yes")["done"] == [letter.event_id]
    assert len(corner.records(BACK)) == 1


@pytest.mark.parametrize("step", ["write", "commit.before", "commit.after"])
def test_a_redrive_whose_end_is_in_doubt_goes_back_once(corner: Corner, step: str) -> None:
    corner.give_up(*(corner.letter(n) for n in range(3)))
    producer = FaultyProducer(
        KafkaProducer(corner.base, OPERATOR), once(step, InDoubt("VM-1302", what="planted"))
    )
    settled = asyncio.run(settle(corner, mine(corner), "a", producer))
    assert (len(settled.done), settled.failed) == (3, [])
    assert asyncio.run(settle(corner, mine(corner), "b")).failed == []
    assert len(corner.records(BACK)) == 3
    assert len(corner.audits("redriven")) == 3
    assert corner.open_ids() == []


def test_what_is_closed_is_gone_and_the_audit_says_who_and_why(corner: Corner) -> None:
    corner.give_up(corner.letter(1), corner.letter(2))
    done = corner.run("close", "--id", f"{corner.tag}-1", "--by", "qa", "--reason", "test record", "--yes")
    assert done["done"] == [f"{corner.tag}-1"]
    assert corner.open_ids() == [f"{corner.tag}-2"]
    assert corner.records(BACK) == []
    (audit,) = corner.audits("closed")
    assert (audit.actor, audit.why, audit.outputs) == ("qa", "test record", ())
    assert flows(corner, "triage", "cold")[-1] == (1, {})


def test_an_event_given_up_again_meanwhile_is_left_for_another_look(corner: Corner) -> None:
    corner.give_up(corner.letter(1))
    shown = mine(corner)
    corner.give_up(corner.letter(1, offset=99, cause="VM-1307 another"))
    settled = asyncio.run(settle(corner, shown, "a"))
    assert (settled.done, settled.gone) == ([], [f"{corner.tag}-1"])
    assert corner.records(BACK) == []


def settled(corner: Corner) -> None:
    """Wait for the ends of transactions: a commit is answered before its markers lie in all partitions."""
    assert settle_all(corner.base, [DEADLETTER, BACK, topic("audit"), topic("flow")], within_s=WAIT_S)


def mine(corner: Corner) -> list[Letter]:
    settled(corner)
    letters, _ = open_letters(corner.base, corner.codec)
    return [letter for letter in letters if letter.event.event_id.startswith(corner.tag)]


async def settle(
    corner: Corner, letters: Sequence[Letter], who: str, producer: LoopProducer | None = None
) -> Settled:
    order = Order(action="redriven", by=who, reason="test")
    settling = Settling(order=order, codec=corner.codec, clock=SystemClock(), fetch=lambda _: b"",
                        there=frozenset({BACK}))  # fmt: skip
    return await Operator(corner.base, corner.codec, producer).settle(
        letters, settling.settle, settling.total
    )


def flows(corner: Corner, workflow: str, lane: str) -> list[tuple[int, dict[str, int]]]:
    """Return what operators counted of a workflow and lane: consumed, and sent per topic."""
    whole = Corner(corner.stack, corner.codec, tag="operator")
    events = [corner.codec.decode(topic("flow"), m.value() or b"") for m in whole.records(topic("flow"))]
    return [
        (e.consumed, e.sent) for e in events if (e.stage, e.workflow, e.lane) == ("operator", workflow, lane)
    ]
