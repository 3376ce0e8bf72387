"""What the end of `usage` knows of paid calls: a call journal that lacks them was restored from an old copy."""

from __future__ import annotations

from datetime import datetime

from vigimesh.adapters.history import Broker, bounds, scan
from vigimesh.errors import Refused
from vigimesh.events.codec import Codec
from vigimesh.events.topics import topic

#: Records looked at of each partition: some hundred paid calls where one case in ten needs one. Paid calls that lie before
#: are not seen, and a journal that lacks only those is taken for whole.
TAIL = 5_000


def newest_paid(broker: Broker, codec: Codec) -> datetime | None:
    """Return when the newest paid call at the end of `usage` was reserved; `None` when there is none.

    Raises `Transient` VM-1301 or VM-1701 when the broker is away, `Misconfigured` VM-1702 when the topic is not there.
    """
    usage = topic("usage")
    begins = {part: max(first, end - TAIL) for part, (first, end) in bounds(broker, [usage]).items()}
    newest: datetime | None = None
    for row in scan(broker, [usage], from_offsets=begins):
        if row.value is None:
            continue
        try:
            called_at = codec.decode(usage, row.value).called_at
        except Refused:
            continue  # no record of ours: it says nothing of a call
        if called_at is not None and (newest is None or called_at > newest):
            newest = called_at
    return newest
