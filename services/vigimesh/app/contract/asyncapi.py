"""The AsyncAPI 3.0 document of every channel, made from the topics table: `docs/asyncapi.json` is its checked print."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from vigimesh.adapters.kafka.cluster.topics import RECORD_MAX_BYTES, Shape, settings_of
from vigimesh.events.avro import schema_of
from vigimesh.events.envelope import CONTENT_TYPE
from vigimesh.events.topics import LANE_STAGES, LANES, PREFIX, TOPICS, Topic, group_of, groups

#: How an Avro schema of version 1.9 in JSON is named (AsyncAPI 3.0, "Schema formats table").
AVRO_FORMAT = "application/vnd.apache.avro;version=1.9.0+json"
_BINDING = {"bindingVersion": "0.5.0"}
#: Roles outside the mesh: they are named so that everybody finds their part.
_OUTSIDE = ("upstream", "downstream", "operator", "auditor")

_TEXT = {"type": "string"}
_HEADERS: dict[str, dict[str, Any]] = {
    "content-type": {"const": CONTENT_TYPE, "description": "media type of the value"},
    "ce_specversion": {"const": "1.0", "description": "version of CloudEvents"},
    "ce_id": {**_TEXT, "minLength": 1, "description": "id of the event, the same when the work is done again"},
    "ce_source": {**_TEXT, "minLength": 1, "description": "who wrote it: /vigimesh/STAGE, or the upstream system's URI"},
    "ce_type": {**_TEXT, "description": "vigimesh. and the event's name"},
    "ce_time": {**_TEXT, "format": "date-time", "description": "when it was written, RFC 3339 in UTC"},
    "ce_subject": {**_TEXT, "description": "the record's key as text"},
    "ce_dataschema": {**_TEXT, "description": "path of the schema in the registry: /schemas/ids/ID"},
    "ce_messageid": {**_TEXT, "description": "message id of the case version, to count and filter without decoding"},
    "ce_workflow": {**_TEXT, "description": "workflow card, to count and filter without decoding"},
    "ce_lane": {"enum": [*LANES], "description": "lane, to count and filter without decoding"},
    "ce_cause": {**_TEXT, "description": "document@version for whose change a concluded version is looked at again; left out for its arrival"},
    "traceparent": {**_TEXT, "pattern": "^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$", "description": "W3C trace context"},
}  # fmt: skip
#: What CloudEvents 1.0 demands, and what the mesh itself always writes besides.
REQUIRED_HEADERS = (
    "content-type",
    "ce_specversion",
    "ce_id",
    "ce_source",
    "ce_type",
    "ce_time",
    "ce_subject",
)


def document(shape: Shape | None = None, *, version: str = "1") -> dict[str, Any]:
    """Return the document for topics of a shape; `version` is the contract's, raised when a class is published anew."""
    shape = shape or Shape()
    events = {topic.event.__name__: topic for topic in reversed(TOPICS)}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "vigimesh",
            "version": version,
            "description": "Cases and documents through a mesh of stages over Kafka. Values are Avro in the Confluent wire "
            "format (a zero byte, a 4-byte big-endian schema id, the body); headers are CloudEvents 1.0 in Kafka's binary "
            "mode. Read with isolation.level=read_committed. Partition with murmur2 of the key.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": CONTENT_TYPE,
        "servers": {
            "kafka": {
                "host": "{bootstrap}",
                "protocol": "kafka",
                "variables": {"bootstrap": {"default": "localhost:9092", "description": "bootstrap server"}},
                "bindings": {"kafka": {"schemaRegistryUrl": "http://localhost:8080/apis/ccompat/v7",
                                       "schemaRegistryVendor": "apicurio", **_BINDING}},
            }
        },
        "channels": {topic.name: _channel(topic, shape) for topic in TOPICS},
        "operations": dict(_operations()),
        "components": {
            "messages": {name: _message(name, topic) for name, topic in sorted(events.items())},
            "schemas": {
                "CloudEventHeaders": {"type": "object", "required": [*REQUIRED_HEADERS], "properties": _HEADERS},
                **{name: {"schemaFormat": AVRO_FORMAT, "schema": schema_of(topic.event)} for name, topic in sorted(events.items())},
            },
        },
    }  # fmt: skip


def document_text(shape: Shape | None = None) -> str:
    """Return the document as it stands in `docs/asyncapi.json`."""
    return json.dumps(document(shape), indent=1, ensure_ascii=False) + "\n"


def _channel(topic: Topic, shape: Shape) -> dict[str, Any]:
    settings = settings_of(topic, shape)
    return {
        "address": topic.name,
        "title": topic.name.removeprefix(PREFIX),
        "summary": topic.holds,
        "messages": {topic.event.__name__: {"$ref": f"#/components/messages/{topic.event.__name__}"}},
        "servers": [{"$ref": "#/servers/kafka"}],
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "partitions": 1 if topic.partitions == "one" else shape.partitions,
                "topicConfiguration": {
                    "cleanup.policy": [settings["cleanup.policy"]],
                    "retention.ms": -1,
                    "max.message.bytes": RECORD_MAX_BYTES,
                },
                **_BINDING,
            }
        },
        "x-policy": topic.policy,
        "x-registry-subject": topic.subject,
    }


def _message(name: str, topic: Topic) -> dict[str, Any]:
    return {
        "name": topic.ce_type,
        "title": name,
        "summary": (topic.event.__doc__ or "").strip().splitlines()[0],
        "contentType": CONTENT_TYPE,
        "headers": {"$ref": "#/components/schemas/CloudEventHeaders"},
        "payload": {"$ref": f"#/components/schemas/{name}"},
        "bindings": {
            "kafka": {
                "key": {**_TEXT, "description": f"{topic.key}, UTF-8"},
                "schemaIdLocation": "payload",
                "schemaIdPayloadEncoding": "confluent",
                "schemaLookupStrategy": "TopicNameStrategy",
                **_BINDING,
            }
        },
    }


def _operations() -> Iterator[tuple[str, dict[str, Any]]]:
    for topic in TOPICS:
        short = topic.name.removeprefix(PREFIX)
        for writer in topic.writers:
            yield f"{writer}.sends.{short}", _operation("send", writer, topic, None)
        for reader in topic.readers:
            group = _group(reader, topic.name)
            yield f"{reader}.receives.{short}", _operation("receive", reader, topic, group)


def _operation(action: str, role: str, topic: Topic, group: str | None) -> dict[str, Any]:
    made: dict[str, Any] = {
        "action": action,
        "channel": {"$ref": f"#/channels/{topic.name}"},
        "summary": f"{role} {'writes' if action == 'send' else 'reads'} {topic.event.__name__}",
        "messages": [{"$ref": f"#/channels/{topic.name}/messages/{topic.event.__name__}"}],
        "tags": [{"name": role}] + ([{"name": "outside"}] if role in _OUTSIDE else []),
    }
    if group is not None:
        made["bindings"] = {"kafka": {"groupId": {"type": "string", "enum": [group]}, **_BINDING}}
    return made


def _group(reader: str, name: str) -> str | None:
    """Return the consumer group in which a stage or background process takes its work from a topic, if it does."""
    mine = {group_of(reader, lane) for lane in LANES} if reader in LANE_STAGES else {f"{PREFIX}{reader}"}
    return next((group for group, names in groups() if group in mine and name in names), None)
