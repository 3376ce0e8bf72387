"""The envelope of every record: CloudEvents 1.0 in Kafka's binary mode, and W3C trace context.

Extension attributes `ce_messageid`, `ce_workflow`, `ce_lane` and `ce_cause` let a consumer count and filter without decoding.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache

import msgspec

from vigimesh.events import ids
from vigimesh.events.classes import CaseReceived

#: Record headers as the Kafka client takes and gives them.
Headers = list[tuple[str, bytes]]

CONTENT_TYPE = "application/vnd.apache.avro"
_NO_TRACE = "0" * 32
_TRACE = re.compile(r"[0-9a-f]{32}")
_CONTENT = ("content-type", CONTENT_TYPE.encode())
_VERSION = ("ce_specversion", b"1.0")


class Envelope(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What the headers say. `id` is unique per event; `subject` is the case id (or the record's key).

    A struct, since four are made for each record: a frozen dataclass takes six times as long to make.
    """

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
    #: What the version is concluded for: empty for its arrival (`Recall.cause`). All that is made of a record has its cause.
    cause: str = ""


def source_of(writer: str) -> str:
    """Return `ce_source` of what a stage, the door, a background process or an operator writes."""
    return f"/vigimesh/{writer}"


def traceparent_of(trace_id: str, span_id: str) -> str:
    """Return the W3C header that names a span as the parent of what comes of it."""
    return f"00-{trace_id}-{span_id}-01"


def trace_of(envelope: Envelope) -> str:
    """Return the trace id a record belongs to: its producer's, else the one its message or event id makes."""
    parts = envelope.traceparent.split("-")
    if len(parts) == 4 and _TRACE.fullmatch(parts[1]) and parts[1] != _NO_TRACE:
        return parts[1]
    return ids.trace_id(envelope.messageid or envelope.id)


def to_headers(envelope: Envelope) -> Headers:
    """Return the record headers of `envelope`; empty optional attributes are left out (CloudEvents 1.0, 3.1)."""
    headers = [
        _CONTENT,
        _VERSION,
        ("ce_id", envelope.id.encode()),
        ("ce_source", _bytes(envelope.source)),
        ("ce_type", _bytes(envelope.type)),
        ("ce_time", _rfc3339(envelope.time)),
        ("ce_subject", envelope.subject.encode()),
    ]
    if envelope.dataschema:
        headers.append(("ce_dataschema", _bytes(envelope.dataschema)))
    if envelope.messageid:
        headers.append(("ce_messageid", envelope.messageid.encode()))
    if envelope.workflow:
        headers.append(("ce_workflow", _bytes(envelope.workflow)))
    if envelope.lane:
        headers.append(("ce_lane", _bytes(envelope.lane)))
    if envelope.cause:
        headers.append(("ce_cause", envelope.cause.encode()))
    if envelope.traceparent:
        headers.append(("traceparent", envelope.traceparent.encode()))
    return headers


def from_headers(headers: Iterable[tuple[str, bytes | None]], fallback_id: str) -> Envelope:
    """Return the envelope that the headers hold; a producer that sent none gets `fallback_id` and empty attributes.

    A byte that is not UTF-8 becomes U+FFFD and a time that is not RFC 3339 counts as 1970: headers never make a case
    fail.
    """
    found = dict(headers)
    return Envelope(
        id=_text(found.get("ce_id")) or fallback_id,
        source=_word(found.get("ce_source")),
        type=_word(found.get("ce_type")),
        time=_moment(found.get("ce_time")),
        subject=_text(found.get("ce_subject")),
        dataschema=_word(found.get("ce_dataschema")),
        traceparent=_text(found.get("traceparent")),
        messageid=_text(found.get("ce_messageid")),
        workflow=_word(found.get("ce_workflow")),
        lane=_word(found.get("ce_lane")),
        cause=_text(found.get("ce_cause")),
    )


def of_event(envelope: Envelope, event: object) -> Envelope:
    """Return the envelope under the name that its event has: what a door took goes by its message id, whatever the headers say.

    Of two messages that a producer sent under one id none takes the other's place then (docs/contract.md, Ids).
    """
    message = event.case.message_id if isinstance(event, CaseReceived) else ""
    if not message or envelope.id == envelope.messageid == message:
        return envelope
    return msgspec.structs.replace(envelope, id=message, messageid=message)


def _text(value: bytes | None) -> str:
    return value.decode("utf-8", "replace") if value else ""


@lru_cache(maxsize=256)
def _word(value: bytes | None) -> str:
    """Decode a word of a closed set: sources, types, workflows, lanes, schema paths."""
    return _text(value)


@lru_cache(maxsize=256)
def _bytes(text: str) -> bytes:
    """Encode a word of a closed set: sources, types, workflows, lanes, schema paths."""
    return text.encode()


@lru_cache(maxsize=8)
def _rfc3339(moment: datetime) -> bytes:
    """Write a moment; all records of a batch have the same."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z").encode()


@lru_cache(maxsize=4_096)
def _moment(value: bytes | None) -> datetime:
    try:
        moment = datetime.fromisoformat(_text(value))
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return datetime.fromtimestamp(0, UTC)
