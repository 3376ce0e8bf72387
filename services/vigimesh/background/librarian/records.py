"""The records that the librarian writes of what it did itself: alarms, and what making a summary used."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

from vigimesh.events import ids
from vigimesh.events.codec import Codec
from vigimesh.events.envelope import Envelope, to_headers
from vigimesh.events.topics import BY_NAME, topic
from vigimesh.loop.broker import Write

#: What this process is called in audit and usage.
STAGE = "librarian"
#: Writes records in one transaction. Raises `Transient`, `InDoubt` or `Fenced` as the producer does.
Publish = Callable[[Sequence[Write]], Awaitable[None]]


def record(codec: Codec, name: str, key: str, event: object, named: str, at: datetime) -> Write:
    """Return the record of one event on the topic `name`; its id is made from `named`, so that writing it again makes the same one."""
    full = topic(name)
    event_id = ids.event_id(named, STAGE, 1, 0)
    head = Envelope(
        id=event_id, source=f"/vigimesh/{STAGE}", type=f"vigimesh.{BY_NAME[full].event.__name__}", time=at, subject=key,
        dataschema=f"/schemas/ids/{codec.schema_id(full)}",
        traceparent=f"00-{ids.trace_id(event_id)}-{ids.span_id(f'{STAGE}|{event_id}')}-01",
    )  # fmt: skip
    return Write(topic=full, key=key.encode(), value=codec.encode(full, event), headers=to_headers(head))
