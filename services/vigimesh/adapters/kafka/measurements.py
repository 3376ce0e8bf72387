"""Reads `retrieval.telemetry` from where the ledger stands."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from itertools import islice

from confluent_kafka import KafkaException, TopicPartition

from vigimesh.adapters.kafka.client import asker
from vigimesh.adapters.kafka.history import Broker, bounds, scan, settings_of
from vigimesh.domain.knowledge.ledger import Seen
from vigimesh.errors import Refused
from vigimesh.events.codec import Codec
from vigimesh.events.topics import PREFIX, topic

_log = logging.getLogger(__name__)
_TOPIC = topic("retrieval.telemetry")
_GROUP = f"{PREFIX}librarian"


class KafkaMeasurements:
    """`ports.Measurements` over Kafka; a connection of its own for each call that finds something to read."""

    def __init__(self, broker: Broker, codec: Codec) -> None:
        """Nothing is connected yet."""
        self._broker, self._codec = broker, codec
        self._told: dict[int, int] = {}

    def after(self, places: Mapping[int, int], most: int) -> tuple[Sequence[Seen], Mapping[int, int]]:
        """Return measurements from `places` on; see `ports.Measurements`.

        A record that is none of ours is passed over and logged: it says of no case what it was told.
        Raises `Transient` VM-1301 or VM-1701 when the broker is away, `Misconfigured` VM-1702 when the topic is not there.
        """
        spans = {part: span for (_, part), span in bounds(self._broker, [_TOPIC]).items()}
        starts = {part: max(first, places.get(part, first)) for part, (first, _) in spans.items()}
        late = sum(max(0, starts[part] - places.get(part, starts[part])) for part in spans)
        if late:
            _log.warning("%d offsets of %s were deleted before they were booked", late, _TOPIC)
        self._tell({part: places[part] for part in spans if part in places})
        behind = {(_TOPIC, part) for part, (_, end) in spans.items() if starts[part] < end}
        if not behind:
            return (), {**places, **starts}
        rows = list(islice(
            scan(self._broker, [_TOPIC], from_offsets={(_TOPIC, part): at for part, at in starts.items()}, only=behind), most + 1,
        ))  # fmt: skip
        seen, after = [], dict(starts)
        for row in rows[:most]:
            after[row.partition] = row.offset + 1
            try:
                measured = self._codec.decode(_TOPIC, row.value or b"")
            except Refused as error:
                _log.warning("%s-%d-%d is no measurement: %s", _TOPIC, row.partition, row.offset, error.what)
                continue
            seen.append(Seen(partition=row.partition, offset=row.offset, at=row.at, measured=measured))
        if len(rows) <= most:
            # All was read: what lies between the last record and the end are markers of transactions.
            after = {part: max(at, spans[part][1]) for part, at in after.items()}
        return seen, {**places, **after}

    def _tell(self, places: Mapping[int, int]) -> None:
        """Commit what is booked as the group's offsets, for whoever watches its lag; nothing reads on from them."""
        if places == self._told:
            return
        consumer = asker(settings_of(self._broker), _GROUP)
        try:
            parts = [TopicPartition(_TOPIC, part, offset) for part, offset in places.items()]
            consumer.commit(offsets=parts, asynchronous=False)
            self._told = dict(places)
        except KafkaException as error:
            _log.info("the group's offsets were not committed: %s", error.args[0].str())
        finally:
            consumer.close()
