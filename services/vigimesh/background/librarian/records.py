"""The records that the librarian writes of what it did itself: changes told, alarms, and what making a summary used."""

from __future__ import annotations

from datetime import datetime

from vigimesh.background.librarian.run import NAME
from vigimesh.events.codec import Codec
from vigimesh.events.envelope import Envelope, source_of, to_headers
from vigimesh.events.topics import BY_NAME
from vigimesh.loop.broker import Write


def record(
    codec: Codec, named: tuple[str, str], key: str, value: bytes, at: datetime, of: Envelope | None = None
) -> Write:
    """Return the record of an encoded event; `named` are its topic and its id, `of` names message, workflow, lane, cause and trace."""
    name, event_id = named
    of = of or Envelope(id=event_id, source="", type="", time=at, subject=key)
    head = Envelope(
        id=event_id, source=source_of(NAME), type=BY_NAME[name].ce_type, time=at,
        subject=key, dataschema=codec.dataschema(name), traceparent=of.traceparent,
        messageid=of.messageid, workflow=of.workflow, lane=of.lane, cause=of.cause,
    )  # fmt: skip
    return Write(topic=name, key=key.encode(), value=value, headers=to_headers(head))
