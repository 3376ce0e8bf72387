"""What the topics hold of the cases that something is wrong with: printed when a run fails, so that it can be read there."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from vigimesh.adapters.kafka.history import scan
from vigimesh.app.mesh.reckoning import RECKONED
from vigimesh.domain.record.checker import Check
from vigimesh.domain.record.rows import Row
from vigimesh.events.classes import AuditRecorded
from vigimesh.events.codec import Codec
from vigimesh.events.topics import topic

#: Cases that are told.
CASES = 3
#: Digits of an id that tell two of them apart.
DIGITS = 8

_AUDIT = topic("audit")
_SILENT = frozenset({topic("usage"), topic("retrieval.telemetry")})


def tell(bootstrap: str, codec: Codec, check: Check) -> Iterator[str]:
    """Yield what the topics hold of everything that the checker found wrong."""
    for name in ("lost_ids", "duplicated_ids", "torn_ids", "out_of_order_ids"):
        if ids := getattr(check, name):
            yield f"{name}: {' '.join(ids)}"
            yield from story(bootstrap, codec, ids)


def story(bootstrap: str, codec: Codec, units: Collection[str]) -> Iterator[str]:
    """Yield a line for each record of the cases that these messages belong to, in the order of their append times."""
    rows = [row for row in scan(bootstrap, RECKONED) if row.topic not in _SILENT]
    told = set(sorted(units)[:CASES])
    keys = {row.key for row in rows if row.headers.messageid in told}
    for row in sorted((row for row in rows if row.key in keys), key=lambda row: (row.at, row.place)):
        yield f"{row.at:%H:%M:%S.%f} {row.key} {row.place} {_what(row, codec)}"


def _what(row: Row, codec: Codec) -> str:
    said = f"event {row.headers.id[:DIGITS]} message {row.headers.messageid[:DIGITS]}"
    if row.topic != _AUDIT or row.value is None:
        return said
    event: AuditRecorded = codec.decode(row.topic, row.value)
    outputs = " ".join(one[:DIGITS] for one in event.outputs)
    return f"{said}: {event.stage} ({event.actor}) {event.action} {event.event_id[:DIGITS]} -> {outputs}"
