"""The envelope of every record: CloudEvents 1.0 in Kafka's binary mode, and W3C trace context.

Extension attributes `ce_messageid`, `ce_workflow` and `ce_lane` let a consumer count and filter without decoding.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

#: Record headers as the Kafka client takes and gives them.
Headers = list[tuple[str, bytes]]

CONTENT_TYPE = "application/vnd.apache.avro"


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """What the headers say. `id` is unique per event; `subject` is the case id (or the record's key)."""

    id: str
    source: str
    type: str
    time: datetime
    subject: str
    dataschema: str = ""
    traceparent: str = ""
    messageid: str = ""
    workflow: str = ""
    lane: str = ""


def to_headers(envelope: Envelope) -> Headers:
    """Return the record headers of `envelope`; empty optional attributes are left out (CloudEvents 1.0, 3.1)."""
    headers = [
        ("content-type", CONTENT_TYPE.encode()),
        ("ce_specversion", b"1.0"),
        ("ce_id", envelope.id.encode()),
        ("ce_source", envelope.source.encode()),
        ("ce_type", envelope.type.encode()),
        ("ce_time", _rfc3339(envelope.time).encode()),
        ("ce_subject", envelope.subject.encode()),
    ]
    for name, value in (
        ("ce_dataschema", envelope.dataschema),
        ("ce_messageid", envelope.messageid),
        ("ce_workflow", envelope.workflow),
        ("ce_lane", envelope.lane),
        ("traceparent", envelope.traceparent),
    ):
        if value:
            headers.append((name, value.encode()))
    return headers


def from_headers(headers: Iterable[tuple[str, bytes | None]], fallback_id: str) -> Envelope:
    """Return the envelope that the headers hold; a producer that sent none gets `fallback_id` and empty attributes.

    A byte that is not UTF-8 becomes U+FFFD and a time that is not RFC 3339 counts as 1970: headers never make a case
    fail.
    """
    found: dict[str, str] = {}
    for name, value in headers:
        if value is not None:
            found[name] = value.decode("utf-8", "replace")
    return Envelope(
        id=found.get("ce_id") or fallback_id,
        source=found.get("ce_source", ""),
        type=found.get("ce_type", ""),
        time=_moment(found.get("ce_time", "")),
        subject=found.get("ce_subject", ""),
        dataschema=found.get("ce_dataschema", ""),
        traceparent=found.get("traceparent", ""),
        messageid=found.get("ce_messageid", ""),
        workflow=found.get("ce_workflow", ""),
        lane=found.get("ce_lane", ""),
    )


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return datetime.fromtimestamp(0, UTC)
