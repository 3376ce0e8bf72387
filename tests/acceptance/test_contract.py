"""The contract on a real broker and registry: examples of docs/, headers and values as AsyncAPI says, CloudEvents."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import fastavro
import jsonschema  # type: ignore[import-untyped]  # the package ships no types
import msgspec
import pytest
from cloudevents.core.bindings.kafka import KafkaMessage, from_kafka
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from confluent_kafka import Consumer, Message, Producer, TopicPartition
from confluent_kafka.schema_registry import Schema as RegistrySchema
from confluent_kafka.schema_registry import SchemaRegistryClient

from stack_fixture import applied, new_stack
from vigimesh.adapters.kafka.registry import RegistrySchemas
from vigimesh.app.contract.samples import sample
from vigimesh.app.devstack import Stack
from vigimesh.events import ids
from vigimesh.events.avro import schema_of
from vigimesh.events.classes import CaseReceived
from vigimesh.events.codec import Codec
from vigimesh.events.envelope import Envelope, from_headers, to_headers
from vigimesh.events.evolution import breaches
from vigimesh.events.topics import TOPICS
from waiting import until

pytestmark = pytest.mark.real

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "docs" / "examples"
#: Seconds for one example to run: each takes one.
EXAMPLE_S = 60
#: Who the producer example says it is.
UPSTREAM = b"https://example.org/safety-intake"
URGENT, NORMAL = "vigimesh.case.received.urgent", "vigimesh.case.received.normal"


@pytest.fixture(scope="module")
def own_stack() -> Iterator[Stack]:
    """Start a stack of this module's own: made-up events on every topic would disturb the others' workers."""
    with new_stack() as running:
        yield applied(running)


@pytest.fixture(scope="module")
def written(own_stack: Stack) -> dict[str, tuple[Envelope, Any]]:
    """Write one event to every topic with the project's own codec and envelope; return them by topic."""
    codec = Codec(RegistrySchemas({"url": own_stack.urls.registry}))
    producer = Producer({"bootstrap.servers": own_stack.urls.kafka, "partitioner": "murmur2_random"})
    events = {}
    for number, topic in enumerate(TOPICS):
        event = sample(topic.event)
        envelope = Envelope(
            id=f"event-{number}", source="/vigimesh/router", type=f"vigimesh.{topic.event.__name__}",
            time=datetime(2026, 1, 2, 3, 4, 5, number, tzinfo=UTC), subject="default/ü-1",
            dataschema=f"/schemas/ids/{codec.schema_id(topic.name)}", traceparent=f"00-{'a' * 32}-{'b' * 16}-01",
            messageid="m", workflow="triage", lane="hot",
        )  # fmt: skip
        producer.produce(
            topic.name,
            key="default/ü-1".encode(),
            value=codec.encode(topic.name, event),
            headers=dict(to_headers(envelope)),
        )
        events[topic.name] = (envelope, event)
    assert producer.flush(30) == 0
    return events


def example(name: str, stack: Stack, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a file of docs/examples in a process that cannot import the project."""
    command = [
        sys.executable,
        "-I",
        str(EXAMPLES / name),
        "--kafka",
        stack.urls.kafka,
        "--registry",
        stack.urls.registry,
    ]
    return subprocess.run(
        [*command, *arguments], capture_output=True, text=True, timeout=EXAMPLE_S, check=False
    )


def records(stack: Stack, topic: str, wanted: int, source: bytes = b"") -> list[Message]:
    """Return the first `wanted` records of a topic, of all partitions, of one source if named."""
    consumer = Consumer({"bootstrap.servers": stack.urls.kafka, "group.id": "test", "isolation.level": "read_committed",
                         "enable.auto.commit": False})  # fmt: skip
    consumer.assign([TopicPartition(topic, number, 0) for number in range(4)])
    found: list[Message] = []

    def enough() -> bool:
        message = consumer.poll(0.2)
        if message is not None:
            assert message.error() is None
            if not source or text(message).get("ce_source") == source:
                found.append(message)
        return len(found) >= wanted

    try:
        until(enough, what=f"{wanted} records on {topic}")
    finally:
        consumer.close()
    return found


def text(message: Message) -> dict[str, bytes]:
    headers: Any = message.headers()
    return dict(headers or [])


def test_no_example_imports_the_project() -> None:
    for path in EXAMPLES.glob("*.py"):
        assert "import vigimesh" not in path.read_text(encoding="utf-8")
        assert "from vigimesh" not in path.read_text(encoding="utf-8")


def test_a_plain_producers_records_are_read_by_the_codec(
    own_stack: Stack, written: object, tmp_path: Path
) -> None:
    lines = [
        {"worldwide_id": "EX-1", "report_id": "R-1", "created_on": "2026-01-02", "sender": "s", "receiver": "r",
         "reactions": [{"text": "died in hospital", "criteria": ["death"]}], "narrative": "Grüße"},
        {"report_id": "R-2", "created_on": "2026-01-03", "patient": {"sex": "female"}, "products": [{"name": "Aspirin"}]},
        {"report_id": "R-3", "urgent": True},
    ]  # fmt: skip
    file = tmp_path / "cases.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    done = example("producer.py", own_stack, str(file))
    assert done.returncode == 0, done.stderr

    codec = Codec(RegistrySchemas({"url": own_stack.urls.registry}))
    found: dict[str, tuple[str, bytes, CaseReceived, Envelope]] = {}
    for topic, count in ((URGENT, 2), (NORMAL, 1)):
        for message in records(own_stack, topic, count, UPSTREAM):
            key, value = message.key(), message.value()
            assert isinstance(key, bytes)
            assert isinstance(value, bytes)
            event = codec.decode(topic, value)
            assert isinstance(event, CaseReceived)
            envelope = from_headers([(name, one) for name, one in text(message).items()], "none")
            found[event.case.report_id] = (topic, key, event, envelope)
    topic, key, event, envelope = found["R-1"]
    assert (topic, key, event.door) == (URGENT, b"default/EX-1", "urgent")
    case = event.case
    assert case.narrative == "Grüße"
    assert case.reactions[0].criteria == ("death",)
    assert case.report_type == "not_stated"
    assert case.case_id == ids.case_id("default", "EX-1", "R-1")
    assert case.message_id == ids.message_id("default", "s", "r", "R-1", "2026-01-02", case.digest)
    assert (envelope.id, envelope.messageid, envelope.subject) == (
        case.message_id,
        case.message_id,
        "default/EX-1",
    )
    assert (envelope.type, envelope.source) == ("vigimesh.CaseReceived", UPSTREAM.decode())
    assert envelope.time.year >= 2026
    assert found["R-2"][:2] == (NORMAL, b"default/R-2")
    assert found["R-2"][2].case.patient.sex == "female"
    assert found["R-3"][0] == URGENT


def test_a_plain_producer_puts_a_case_where_the_mesh_puts_it(own_stack: Stack) -> None:
    # murmur2 of Java: "default/EX-1" and the rest must land where our own producer would put them.
    placed = {}
    for topic in (URGENT, NORMAL):
        for message in records(own_stack, topic, 1, UPSTREAM):
            placed[message.key()] = message.partition()
    ours = Producer({"bootstrap.servers": own_stack.urls.kafka, "partitioner": "murmur2_random"})
    landed: dict[Any, Any] = {}
    for key in placed:
        ours.produce(
            "vigimesh.audit",
            key=key,
            value=b"",
            on_delivery=lambda _, m: landed.update({m.key(): m.partition()}),
        )
    assert ours.flush(30) == 0
    assert len(placed) >= 2
    assert landed == placed


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("not json", "line 1: Expecting value"),
        ('{"title": "x"}', "line 1: neither worldwide_id nor report_id"),
        ('{"report_id": "1", "narative": ""}', "narative"),
        ('{"report_id": "1", "criteria": "death"}', "vigimesh.Case.criteria is <death>"),
        (json.dumps({"report_id": "1", "narrative": "x" * 65_537}), "narrative over 64 KiB"),
    ],
)
def test_a_plain_producer_names_the_line_it_does_not_send(
    own_stack: Stack, tmp_path: Path, line: str, said: str
) -> None:
    file = tmp_path / "cases.jsonl"
    file.write_text(line + "\n", encoding="utf-8")
    done = example("producer.py", own_stack, str(file))
    assert done.returncode == 1
    assert said in done.stderr


def plain(value: Any) -> Any:
    """Return what the consumer example prints for a value: bytes in base64, moments in ISO 8601."""
    return json.loads(
        json.dumps(msgspec.to_builtins(value, builtin_types=(datetime,)), default=lambda v: v.isoformat())
    )


def test_a_plain_consumer_reads_headers_and_values_as_the_document_says(
    own_stack: Stack, written: dict[str, tuple[Envelope, Any]]
) -> None:
    document = json.loads((ROOT / "docs" / "asyncapi.json").read_text(encoding="utf-8"))
    # Neither topics nor schemas are taken from the project here: the document names them.
    channels = {channel["address"]: channel for channel in document["channels"].values()}
    done = example("consumer.py", own_stack, *sorted(channels.keys() - {"vigimesh.audit"}))
    assert done.returncode == 0, done.stderr
    seen = set()
    for line in done.stdout.splitlines():
        record = json.loads(line)
        channel = channels[record["topic"]]
        [name] = list(channel["messages"])
        message = document["components"]["messages"][name]
        jsonschema.validate(record["headers"], document["components"]["schemas"]["CloudEventHeaders"])
        assert record["headers"]["ce_type"] == message["name"]
        assert record["headers"]["ce_subject"] == record["key"]
        if record["headers"]["ce_source"] == "/vigimesh/router":
            envelope, event = written[record["topic"]]
            assert record["value"] == plain(event)
            assert record["headers"]["ce_id"] == envelope.id
            seen.add(record["topic"])
    assert seen == channels.keys() - {"vigimesh.audit"}


def test_the_registry_gives_the_documents_payload_schemas(own_stack: Stack) -> None:
    document = json.loads((ROOT / "docs" / "asyncapi.json").read_text(encoding="utf-8"))
    registry = RegistrySchemas({"url": own_stack.urls.registry})
    for channel in document["channels"].values():
        [name] = list(channel["messages"])
        registered = registry.schema(registry.id_of(channel["x-registry-subject"]))
        described = document["components"]["schemas"][name]["schema"]
        canonical = fastavro.schema.to_parsing_canonical_form
        assert canonical(fastavro.parse_schema(registered)) == canonical(fastavro.parse_schema(described))


class AvroFormat(JSONFormat):
    """The library's JSON format takes any value that happens to be UTF-8 for text; ours is Avro, whatever it looks like."""

    def read_data(self, body: bytes, datacontenttype: str | None) -> bytes:
        assert datacontenttype == "application/vnd.apache.avro"
        return body


@pytest.mark.parametrize("topic", [t.name for t in TOPICS if t.name != "vigimesh.audit"])
def test_the_cloudevents_library_reads_our_records(
    own_stack: Stack, written: dict[str, tuple[Envelope, Any]], topic: str
) -> None:
    envelope, _ = written[topic]
    [message] = records(own_stack, topic, 1, b"/vigimesh/router")
    key, value = message.key(), message.value()
    assert isinstance(key, bytes)
    assert isinstance(value, bytes)
    event = from_kafka(KafkaMessage(headers=text(message), key=key, value=value), AvroFormat(), CloudEvent)
    assert event.get_id() == envelope.id
    assert event.get_source() == envelope.source
    assert event.get_type() == envelope.type
    assert event.get_time() == envelope.time
    assert event.get_subject() == envelope.subject
    assert event.get_dataschema() == envelope.dataschema
    assert event.get_datacontenttype() == "application/vnd.apache.avro"
    assert event.get_extension("messageid") == envelope.messageid
    assert event.get_extension("workflow") == envelope.workflow
    assert event.get_extension("lane") == envelope.lane
    assert event.get_data() == value


def test_ids_stay_the_same_for_every_client_and_every_registration(own_stack: Stack) -> None:
    first, second = (RegistrySchemas({"url": own_stack.urls.registry}) for _ in range(2))
    given = {topic.subject: first.id_of(topic.subject) for topic in TOPICS}
    assert {one.subject: one.schema_id for one in second.register_all()} == given
    assert {one.subject: (one.state, one.schema_id) for one in second.check_all()} == {
        subject: ("registered", number) for subject, number in given.items()
    }
    assert given[f"{URGENT}-value"] == given[f"{NORMAL}-value"]


@pytest.mark.parametrize(("field", "fits"), [({}, False), ({"default": ""}, True)])
def test_the_registry_and_our_rules_agree_on_a_new_field(
    own_stack: Stack, field: dict[str, str], fits: bool
) -> None:
    newer = json.loads(json.dumps(schema_of(CaseReceived)))
    newer["fields"].append({"name": "more", "type": "string", "doc": "new", **field})
    client = SchemaRegistryClient({"url": own_stack.urls.registry})
    try:
        answer = client.test_compatibility_all_versions(
            f"{NORMAL}-value", RegistrySchema(json.dumps(newer), "AVRO")
        )
    finally:
        client.close()
    assert answer is fits
    assert (breaches(schema_of(CaseReceived), newer) == ()) is fits
