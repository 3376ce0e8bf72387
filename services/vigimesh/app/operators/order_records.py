"""The records of an operator's orders: each order on `throttle`, and beside it who gave it and why, for the auditor."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from vigimesh.app.operators.ordering import Given, Standing, words
from vigimesh.events import ids
from vigimesh.events.classes import AuditRecorded, ThrottleOrdered
from vigimesh.events.codec import Codec
from vigimesh.events.envelope import Envelope, source_of, to_headers
from vigimesh.events.topics import BY_NAME, topic
from vigimesh.loop.broker import Write
from vigimesh.loop.orders import Order, lifts

STAGE = "operator"
ACTION = "ordered"
_THROTTLE, _AUDIT = topic("throttle"), topic("audit")


def order_records(codec: Codec, orders: Sequence[Order], standing: Standing, order: Given) -> list[Write]:
    """Return an order and its audit for each of `orders`, to be written in one transaction."""
    return [write for one in orders for write in _records(codec, one, standing, order)]


def event_of(order: Order) -> ThrottleOrdered:
    """Return the event of an operator's order; it stands outside the terms of the controllers, which is 0."""
    return ThrottleOrdered(
        workflow=order.workflow, lane=order.lane, term=0, expires_at=order.expires_at,
        tier_ceiling=order.tier_ceiling, calls_per_minute=order.calls_per_minute, yields=order.share_percent < 100,
        share_percent=order.share_percent, reason=order.reason, by=order.by, holds_acceptance=order.holds_acceptance,
    )  # fmt: skip


def operator_write(
    codec: Codec, named: tuple[str, str], value: bytes, key: str, place: tuple[str, str], at: datetime
) -> Write:
    """Return the record of what an operator did: `named` are topic and event id, `place` lane ("" for none) and workflow."""
    (name, event_id), (lane, workflow) = named, place
    head = Envelope(
        id=event_id, source=source_of(STAGE), type=BY_NAME[name].ce_type, time=at,
        subject=key, dataschema=codec.dataschema(name), workflow=workflow, lane=lane,
    )  # fmt: skip
    return Write(topic=name, key=key.encode(), value=value, headers=to_headers(head))


def _records(codec: Codec, order: Order, standing: Standing, given: Given) -> Iterator[Write]:
    place = order.lane, order.workflow
    key = "/".join(place)
    named = f"{key}|{given.at.isoformat()}|{given.by}"
    order_id = ids.event_id(named, STAGE, 1, 0)
    value = codec.encode(_THROTTLE, event_of(order))
    yield operator_write(codec, (_THROTTLE, order_id), value, key, place, given.at)
    audit = AuditRecorded(
        case_id="", message_id="", event_id=order_id, stage=STAGE, actor=given.by, action=ACTION, why=given.reason,
        input_digest=ids.digest(value), outputs=(order_id,), earlier=words(standing.get(place)),
        new="lifted" if lifts(order) else words(order),
    )  # fmt: skip
    audit_id = ids.event_id(named, STAGE, 1, -1)
    yield operator_write(codec, (_AUDIT, audit_id), codec.encode(_AUDIT, audit), key, place, given.at)
