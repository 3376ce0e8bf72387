"""Send case versions to vigimesh from plain Python: a Kafka client, the schema registry, nothing of vigimesh.

    pip install "confluent-kafka[avro,schemaregistry]==2.16.0"
    python producer.py --kafka localhost:9092 --registry http://localhost:8080/apis/ccompat/v7 cases.jsonl

Each line of the file is one version of one case: a JSON object with the fields of `CaseReceived.case` that you have.
Fields left out get the defaults of the schema. docs/producer.md says what each step is for.
"""

import argparse
import hashlib
import json
import sys
from datetime import UTC, datetime

import fastavro
from confluent_kafka import KafkaException, Producer
from confluent_kafka.schema_registry import SchemaRegistryClient, topic_subject_name_strategy
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from fastavro.validation import ValidationError

SOURCE = "https://example.org/safety-intake"  # the URI of your system
DOORS = {True: "vigimesh.case.received.urgent", False: "vigimesh.case.received.normal"}
NARRATIVE_BYTES = 64 * 1024
SEND_SECONDS = 30
IN_FLIGHT = 10_000


def complete(given: dict, line: bytes) -> dict:
    """Return the case with its ids: who sent it, which message it is, which case it belongs to."""
    case = {
        "tenant": "default",
        "sender": "",
        "receiver": "",
        "report_id": "",
        "worldwide_id": "",
        "created_on": "",
        **given,
    }
    if not (case["worldwide_id"] or case["report_id"]):
        raise ValueError("neither worldwide_id nor report_id: a case needs a name of its own")
    if len(case.get("narrative", "").encode()) > NARRATIVE_BYTES:
        raise ValueError(
            "narrative over 64 KiB: hand the file to `vigimesh run --from`, or store it and set narrative_ref"
        )
    case.setdefault("source_format", "example")
    case.setdefault("digest", hashlib.sha256(line).hexdigest())
    case.setdefault("size_bytes", len(line))
    case.setdefault("media_type", "application/json")
    parts = (
        case["tenant"],
        case["sender"],
        case["receiver"],
        case["report_id"],
        case["created_on"],
        case["digest"],
    )
    case["message_id"] = hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:32]
    case["case_id"] = f"{case['tenant']}/{case['worldwide_id'] or case['report_id']}"
    return case


def is_urgent(case: dict) -> bool:
    """Return whether the case belongs to the urgent door: hinted at, or any seriousness criterion set."""
    return bool(
        case.get("urgent")
        or case.get("criteria")
        or any(r.get("criteria") for r in case.get("reactions", []))
    )


def headers_of(case: dict) -> list:
    """Return the CloudEvents headers (Kafka binding, binary mode). The same message sent again has the same id."""
    return [
        ("content-type", b"application/vnd.apache.avro"),
        ("ce_specversion", b"1.0"),
        ("ce_id", case["message_id"].encode()),
        ("ce_source", SOURCE.encode()),
        ("ce_type", b"vigimesh.CaseReceived"),
        ("ce_time", datetime.now(UTC).isoformat().replace("+00:00", "Z").encode()),
        ("ce_subject", case["case_id"].encode()),
        ("ce_messageid", case["message_id"].encode()),
    ]


def main() -> int:
    """Send every line; say which lines were not sent, and why."""
    arguments = argparse.ArgumentParser(description="Send case versions to vigimesh.")
    arguments.add_argument("--kafka", required=True, help="bootstrap servers, host:port")
    arguments.add_argument(
        "--registry", required=True, help="base URL of the registry's Confluent-compatible interface"
    )
    arguments.add_argument("file", help="one JSON object a line")
    given = arguments.parse_args()

    registry = SchemaRegistryClient({"url": given.registry, "timeout": 10})
    try:
        # The two doors have the same schema.
        schema = json.loads(registry.get_latest_version(f"{DOORS[False]}-value").schema.schema_str)
    except Exception as error:
        raise SystemExit(f"not sent: the registry does not give the schema: {error}") from error
    serializer = AvroSerializer(
        registry,
        conf={
            "auto.register.schemas": False,  # the contract is vigimesh's to publish
            "use.latest.version": True,  # take it from the registry, by subject
            "subject.name.strategy": topic_subject_name_strategy,
            "validate.strict.allow.default": True,  # what is left out gets its default; a misspelt field is an error
        },
    )
    producer = Producer(
        {
            "bootstrap.servers": given.kafka,
            "partitioner": "murmur2_random",  # as Java does; librdkafka's default would part a case from its versions
            "enable.idempotence": True,  # no record twice, none out of order
        }
    )
    failed = []
    with open(given.file, "rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                case = complete(json.loads(line), line)
                urgent = is_urgent(case)
                topic = DOORS[urgent]
                event = {"case": case, "door": "urgent" if urgent else "normal"}
                fastavro.validate(event, schema)  # text where a list belongs would be taken letter by letter
                value = serializer(event, SerializationContext(topic, MessageField.VALUE))
            except (ValidationError, ValueError, KeyError, TypeError, AttributeError) as error:
                failed.append(f"line {number}: {' '.join(str(error).split())}")
                continue
            producer.poll(0)
            if len(producer) > IN_FLIGHT:
                producer.flush(SEND_SECONDS)
            producer.produce(
                topic, key=case["case_id"].encode(), value=value, headers=headers_of(case),
                on_delivery=lambda error, _, n=number: failed.append(f"line {n}: {error}") if error else None,
            )  # fmt: skip
    unsent = producer.flush(SEND_SECONDS)
    if unsent:
        failed.append(
            f"{unsent} records got no answer within {SEND_SECONDS} s: send the file again, nothing is counted twice"
        )
    for line in failed:
        print(line, file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (OSError, KafkaException) as error:
        sys.exit(f"not sent: {error}")
