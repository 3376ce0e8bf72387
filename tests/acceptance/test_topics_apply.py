"""Topics and groups on a real cluster: created, given a start, left alone when there, named when they differ."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from confluent_kafka import Consumer, ConsumerGroupState, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.schema_registry import Schema as RegistrySchema
from confluent_kafka.schema_registry import SchemaRegistryClient

from stack_fixture import new_stack
from vigimesh.adapters.kafka.cluster.topics import Report, Shape, apply, check
from vigimesh.adapters.kafka.registry import RegistrySchemas
from vigimesh.app.devstack import Stack
from vigimesh.clock import Deadline, SystemClock
from vigimesh.errors import Misconfigured, Transient
from vigimesh.events.topics import TOPICS, groups
from waiting import WAIT_S, until

pytestmark = pytest.mark.real

SHAPE = Shape()
GROUP = "vigimesh.planner.hot"
TOPIC = "vigimesh.plan.hot"


@pytest.fixture(scope="module")
def own_stack() -> Iterator[Stack]:
    """Start a stack of this module's own: its topics and groups are made, damaged and removed."""
    with new_stack() as running:
        yield running


@pytest.fixture(scope="module")
def connection(own_stack: Stack) -> dict[str, Any]:
    return {"bootstrap.servers": own_stack.urls.kafka}


@pytest.fixture(scope="module")
def applied(connection: dict[str, Any]) -> tuple[Report, Report]:
    """Look at the cluster before anything is there, then make everything."""
    before = run(check, connection)
    return before, run(apply, connection)


def run(
    verb: Callable[[dict[str, Any], Shape, Deadline], Report],
    connection: dict[str, Any],
    shape: Shape = SHAPE,
) -> Report:
    return verb(connection, shape, Deadline.after(SystemClock(), 30))


def reader(connection: dict[str, Any], group: str) -> Consumer:
    return Consumer({**connection, "group.id": group, "group.protocol": "consumer", "auto.offset.reset": "error",
                     "enable.auto.commit": False, "isolation.level": "read_committed"})  # fmt: skip


def committed(connection: dict[str, Any], group: str, topic: str) -> list[int]:
    consumer = Consumer({**connection, "group.id": group, "enable.auto.commit": False})
    try:
        return [
            part.offset
            for part in consumer.committed([TopicPartition(topic, n) for n in range(4)], timeout=WAIT_S)
        ]
    finally:
        consumer.close()


def forget(connection: dict[str, Any], group: str) -> None:
    # A client that is collected before its answer is there takes the answer with it: it is held by a name.
    admin = AdminClient(connection)
    admin.delete_consumer_groups([group])[group].result(WAIT_S)


def test_an_empty_cluster_gets_every_topic_and_every_group_its_start(
    connection: dict[str, Any], applied: tuple[Report, Report]
) -> None:
    before, made = applied
    assert {(one.name, one.point) for one in before.drift} == {(topic.name, "exists") for topic in TOPICS}
    assert set(made.created) == {topic.name for topic in TOPICS}
    assert set(made.initialised) == {group for group, _ in groups()}
    assert made.drift == ()
    assert run(check, connection) == Report()
    assert run(apply, connection) == Report()


def test_a_new_group_reads_from_the_first_record_though_reset_is_an_error(
    connection: dict[str, Any], applied: object
) -> None:
    producer = Producer(connection)
    producer.produce(TOPIC, b"first", partition=2)
    assert producer.flush(30) == 0
    consumer = reader(connection, GROUP)
    consumer.subscribe([TOPIC])
    try:
        message = until(lambda: consumer.poll(0.2), what="the first record")
        assert message is not None
        assert message.error() is None
        assert (message.value(), message.offset()) == (b"first", 0)
    finally:
        consumer.close()


def test_a_group_that_was_forgotten_is_named_and_begins_at_the_log_start(
    connection: dict[str, Any], applied: object
) -> None:
    topic, group = "vigimesh.retrieve.warm", "vigimesh.retriever.warm"
    producer = Producer(connection)
    for number in range(3):
        producer.produce(topic, str(number).encode(), partition=1)
    assert producer.flush(30) == 0
    admin = AdminClient(connection)
    admin.delete_records([TopicPartition(topic, 1, 2)])[TopicPartition(topic, 1)].result(WAIT_S)
    forget(connection, group)
    assert [(one.name, one.point) for one in run(check, connection).drift] == [(group, "offsets")]
    assert run(apply, connection).initialised == (group,)
    assert committed(connection, group, topic) == [0, 2, 0, 0]
    assert run(check, connection) == Report()


def test_a_group_that_has_its_place_keeps_it(connection: dict[str, Any], applied: object) -> None:
    group, topic = "vigimesh.tool-executor.cold", "vigimesh.execute.cold"
    consumer = Consumer({**connection, "group.id": group, "enable.auto.commit": False})
    consumer.commit(offsets=[TopicPartition(topic, 3, 7)], asynchronous=False)
    consumer.close()
    assert run(apply, connection).initialised == ()
    assert committed(connection, group, topic) == [0, 0, 0, 7]


def test_a_group_with_members_is_not_touched(connection: dict[str, Any], applied: object) -> None:
    topic, group = "vigimesh.plan.cold", "vigimesh.planner.cold"
    forget(connection, group)
    member = reader(connection, group)
    member.subscribe([topic])
    admin = AdminClient(connection)

    def joined() -> bool:
        member.poll(0.1)
        found = admin.describe_consumer_groups([group], request_timeout=WAIT_S)[group].result(WAIT_S)
        return bool(found.state == ConsumerGroupState.STABLE and found.members)

    try:
        until(joined, what="a member of the group")
        with pytest.raises(Misconfigured, match="VM-1011"):
            run(apply, connection)
    finally:
        member.close()
    until(
        lambda: group in run(apply, connection).initialised,
        within_s=1,
        what="the group's start once it has no members",
    )


def test_what_differs_is_named_and_left_alone(connection: dict[str, Any], applied: object) -> None:
    from confluent_kafka.admin import (  # type: ignore[attr-defined]  # documented, not in its types
        AlterConfigOpType,
        ConfigEntry,
        ConfigResource,
        NewPartitions,
    )

    admin = AdminClient(connection)

    def set_retention(value: str) -> None:
        entry = ConfigEntry("retention.ms", value, incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ConfigResource.Type.TOPIC, "vigimesh.audit", incremental_configs=[entry])
        admin.incremental_alter_configs([resource])[resource].result(WAIT_S)

    set_retention("1000")
    admin.create_partitions([NewPartitions("vigimesh.usage", 5)])["vigimesh.usage"].result(WAIT_S)
    wanted = {("vigimesh.audit", "retention.ms", "-1", "1000"), ("vigimesh.usage", "partitions", "4", "5")}

    def named(verb: Callable[[dict[str, Any], Shape, Deadline], Report]) -> bool:
        return {(one.name, one.point, one.wanted, one.found) for one in run(verb, connection).drift} == wanted

    until(lambda: named(check), what="both differences named")
    assert named(apply)
    assert named(check)
    set_retention("-1")


def test_a_topic_is_not_made_beside_others_of_another_width(
    connection: dict[str, Any], applied: object
) -> None:
    admin = AdminClient(connection)
    admin.delete_topics(["vigimesh.knowledge.changed"])["vigimesh.knowledge.changed"].result(WAIT_S)
    until(
        lambda: "vigimesh.knowledge.changed" not in admin.list_topics(timeout=WAIT_S).topics,
        what="the topic gone",
    )
    with pytest.raises(Misconfigured, match="VM-1007"):
        run(apply, connection, Shape(partitions=8))
    assert "vigimesh.knowledge.changed" not in admin.list_topics(timeout=WAIT_S).topics


def test_a_cluster_that_is_away_is_an_error_within_the_deadline() -> None:
    with pytest.raises(Transient, match="VM-1301"):
        check({"bootstrap.servers": "127.0.0.1:9"}, SHAPE, Deadline.after(SystemClock(), 1))


def test_a_foreign_schema_under_our_subject_is_named_and_never_overwritten(own_stack: Stack) -> None:
    subject = TOPICS[0].subject
    client = SchemaRegistryClient({"url": own_stack.urls.registry})
    registry = RegistrySchemas({"url": own_stack.urls.registry})
    try:
        assert {one.state for one in registry.check_all()} == {"missing"}
        with pytest.raises(Misconfigured, match="VM-1009"):
            registry.id_of(subject)
        client.register_schema(
            subject, RegistrySchema('{"type": "record", "name": "Alien", "fields": []}', "AVRO")
        )
        assert registry.check_all()[0].state in ("incompatible", "missing")
        with pytest.raises(Misconfigured, match="VM-1006"):
            registry.register_all()
        client.delete_subject(subject)
        client.delete_subject(subject, permanent=True)
        assert {one.state for one in registry.register_all()} == {"registered"}
        assert {one.state for one in registry.check_all()} == {"registered"}
        client.set_compatibility(subject, "NONE")
        assert registry.check_all()[0].state == "compatibility_off"
    finally:
        client.close()
