"""What the end of `usage` knows of paid calls: a call journal that lacks them was restored from an old copy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from operator import itemgetter

from vigimesh.adapters.kafka.history import Broker, Part, bounds, scan
from vigimesh.errors import Refused
from vigimesh.events.classes import UsageRecorded
from vigimesh.events.codec import Codec
from vigimesh.events.topics import topic

_USAGE = topic("usage")

#: Records looked at of each partition: some hundred paid calls where one case in ten needs one. Paid calls that lie before
#: are not seen, and a journal that lacks only those is taken for whole.
TAIL = 5_000


def newest_paid(broker: Broker, codec: Codec) -> datetime | None:
    """Return when the newest paid call at the end of `usage` was reserved; `None` when there is none.

    Raises `Transient` VM-1301 or VM-1701 when the broker is away, `Misconfigured` VM-1702 when the topic is not there.
    """
    begins = {part: max(first, end - TAIL) for part, (first, end) in bounds(broker, [_USAGE]).items()}
    return max((at for at, _ in _paid(broker, codec, begins)), default=None)


def paid_calls(broker: Broker, codec: Codec) -> Sequence[UsageRecorded]:
    """Return all paid calls that `usage` holds, each once, in the order of their reservations. Raises as `newest_paid` does."""
    found = {used.call_id: (at, used) for at, used in _paid(broker, codec) if used.call_id}
    return [used for _, used in sorted(found.values(), key=itemgetter(0))]


def _paid(
    broker: Broker, codec: Codec, begins: Mapping[Part, int] | None = None
) -> Iterator[tuple[datetime, UsageRecorded]]:
    for row in scan(broker, [_USAGE], from_offsets=begins):
        if row.value is None:
            continue
        try:
            used: UsageRecorded = codec.decode(_USAGE, row.value)
        except Refused:
            continue  # no record of ours: it says nothing of a call
        if used.called_at is not None:
            yield used.called_at, used
