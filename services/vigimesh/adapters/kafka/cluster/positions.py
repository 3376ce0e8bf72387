"""Where the groups of the stages stand, and how much lies before them. Joins no group and moves nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, NamedTuple

from confluent_kafka import (
    OFFSET_BEGINNING,
    OFFSET_END,
    OFFSET_INVALID,
    Consumer,
    KafkaError,
    KafkaException,
    TopicPartition,
)

from vigimesh.adapters.kafka.client import asker, moment, offsets_at
from vigimesh.clock import Clock, Deadline
from vigimesh.domain.control.flow import input_of
from vigimesh.domain.control.lag import PLACES, Glance, Stand
from vigimesh.events.envelope import from_headers
from vigimesh.events.topics import LANE_STAGES, group_of
from vigimesh.loop.broker import DOUBT_S, Position
from vigimesh.loop.progress import holds

#: Seconds for one look at everything; a broker that is there answers in some 50 ms.
LOOK_S = 5.0
#: Offsets between position and end up to which all records are read and counted. Beyond, markers hardly matter.
COUNT_MAX = 256
#: Bytes that one fetch takes of a partition: only its first records are wanted. A larger batch still comes whole.
_FETCH_BYTES = 64 * 1024
#: Records taken from the client in one call, and the seconds that it waits for them.
_BATCH, _POLL_S = 500, 0.05
#: Seconds that a transaction may be open until what lies behind it is unknown: a worker's lasts milliseconds, and one slower than
#: half its time-out is doubted. Readers of committed records, and so all that is counted here, see nothing behind it.
HIDDEN_S = DOUBT_S
#: Seconds without which no question is asked any more: a shorter time-out would only fail.
_LEAST_S = 0.2

#: Why nothing is known of a partition with such a transaction.
HIDDEN = f"a transaction that is open for more than {HIDDEN_S:g} s hides what lies behind it: vigimesh transactions list"

Part = tuple[str, int]
_Place = tuple[str, str]


class _Bounds(NamedTuple):
    """What a reader of committed records can still see of a partition, and whether an open transaction hides the rest."""

    first: int
    end: int
    hides: bool


class Positions:
    """Asks one cluster, again and again, over connections that stay open. For one thread."""

    def __init__(self, base: Mapping[str, Any], clock: Clock) -> None:
        """Connect at the first question. `base` are the settings of every client."""
        quiet = {**base, "log_level": 0}
        self._clock = clock
        # A consumer that never subscribes asks for its group's offsets without joining it. The admin client's own questions
        # crash the process: this one while a new cluster makes its offsets topic (see `adapters/kafka/cluster/topics`), those for ends, too.
        self._askers = {group: asker(quiet, group) for group in sorted({_group(place) for place in PLACES})}
        #: Sees what open transactions hide from the reader.
        self._every = asker(quiet, "vigimesh.lag")
        self._reader = Consumer(
            {
                **quiet, "group.id": "vigimesh.lag", "enable.auto.commit": False, "auto.offset.reset": "error",
                "isolation.level": "read_committed", "enable.partition.eof": True,
                "fetch.message.max.bytes": _FETCH_BYTES, "fetch.wait.max.ms": 50,
            }
        )  # fmt: skip
        self._read: dict[Part, tuple[Position, int, Glance]] = {}

    def stands(self) -> dict[_Place, tuple[Stand, ...]]:
        """Return where the group of each lane of each stage stands, partition by partition, within `LOOK_S`.

        Never raises for a broker that is away, a missing topic or group: such a stand says what the trouble is.
        """
        deadline = Deadline.after(self._clock, LOOK_S)
        try:
            known = self._reader.list_topics(timeout=deadline.left_s()).topics
        except KafkaException as error:
            return {place: (Stand(trouble=_away(error)),) for place in PLACES}
        parts = {
            place: [(name, number) for number in sorted(known[name].partitions)]
            for place in PLACES
            if (name := input_of(*place)) in known and known[name].error is None
        }
        # Positions first: asked after the ends, a group that went on meanwhile would stand behind its end.
        committed = {group: self._committed(group, parts, deadline) for group in self._askers}
        bounds = self._bounds([part for some in parts.values() for part in some], deadline)
        found = {
            part: _stand(part, committed[_group(place)], bounds)
            for place, some in parts.items()
            for part in some
        }
        positions = {
            part: position
            for some in committed.values()
            if not isinstance(some, str)
            for part, position in some.items()
        }
        self._look({part: stand for part, stand in found.items() if _lags(stand)}, positions, deadline)
        missing = (Stand(trouble="topic does not exist: vigimesh topics apply"),)
        return {
            place: tuple(
                replace(found[part], glance=self._glance(part, found[part], positions.get(part)))
                for part in parts[place]
            )
            if place in parts
            else missing
            for place in PLACES
        }

    def close(self) -> None:
        """Let go of the connections."""
        for client in (*self._askers.values(), self._every, self._reader):
            client.close()

    def _committed(
        self, group: str, parts: Mapping[_Place, Sequence[Part]], deadline: Deadline
    ) -> Mapping[Part, Position] | str:
        """Return the group's positions, at `OFFSET_INVALID` where it has none; or why they are not known."""
        wanted = [
            TopicPartition(*part) for place, some in parts.items() if _group(place) == group for part in some
        ]
        try:
            answer = self._askers[group].committed(wanted, timeout=_left(deadline)) if wanted else []
        except KafkaException as error:
            return _away(error)
        return {
            (tp.topic, tp.partition): Position(offset=tp.offset, metadata=tp.metadata or "")
            for tp in answer
            if tp.error is None
        }

    def _bounds(self, parts: Sequence[Part], deadline: Deadline) -> dict[Part, _Bounds] | str:
        """Return first and last offset of each partition as a reader of committed records sees them, or why not."""
        try:
            first, end = (
                offsets_at(self._reader, parts, at, _left(deadline)) for at in (OFFSET_BEGINNING, OFFSET_END)
            )
            hides = self._hide(end, deadline)
        except KafkaException as error:
            return _away(error)
        return {part: _Bounds(first[part], end[part], part in hides) for part in parts}

    def _hide(self, end: Mapping[Part, int], deadline: Deadline) -> set[Part]:
        """Return the partitions whose committed end stands before a transaction that is open for more than `HIDDEN_S`."""
        high = offsets_at(self._every, end, OFFSET_END, _left(deadline))
        behind = [part for part in end if high[part] > end[part]]
        recent = int((self._clock.now().timestamp() - HIDDEN_S) * 1000)
        # The first record since then; the one at the committed end began the transaction.
        since = offsets_at(self._every, behind, recent, _left(deadline))
        return {part for part, offset in since.items() if offset < 0 or offset > end[part]}

    def _look(
        self, lagging: Mapping[Part, Stand], positions: Mapping[Part, Position], deadline: Deadline
    ) -> None:
        """Read on from the positions that have moved, or whose end has, as far as is needed."""
        open_ = {
            part: _Looking(positions[part], stand.end)
            for part, stand in lagging.items()
            if self._glance(part, stand, positions[part]) is None
        }
        if not open_:
            return
        try:
            self._reader.assign([TopicPartition(*part, one.at) for part, one in open_.items()])
            while open_ and not deadline.passed():
                for message in self._reader.consume(_BATCH, _POLL_S):
                    self._take(message, open_)
            self._reader.unassign()
        except KafkaException:
            return  # what was not read stays unknown, and is asked for again

    def _take(self, message: Any, open_: dict[Part, _Looking]) -> None:
        part = (message.topic(), message.partition())
        looking = open_.get(part)
        if looking is None:
            return
        error = message.error()
        if error is not None:
            if error.code() != KafkaError._PARTITION_EOF:
                return  # it passes, or the deadline does
            looking.at = max(looking.at, message.offset() or 0)
        else:
            looking.take(message)
        if looking.done:
            del open_[part]
            self._read[part] = (looking.position, looking.end, looking.glance)
            self._reader.incremental_unassign([TopicPartition(*part)])

    def _glance(self, part: Part, stand: Stand, position: Position | None) -> Glance | None:
        """Return what was read, if it is still so."""
        read, end, glance = self._read.get(part, (None, 0, None))
        if glance is None or read != position:
            return None
        if glance.whole:
            return glance if end == stand.end else None
        # The first record at a position stays what it is, however far the end moves on.
        return glance if stand.end - (stand.committed or 0) > COUNT_MAX else None


class _Looking:
    """A partition that is being read from the group's position on."""

    def __init__(self, position: Position, end: int) -> None:
        self.position = position
        self.at = position.offset
        self.end = end
        self._count_all = end - position.offset <= COUNT_MAX
        self._records = 0
        self._oldest: dict[str, datetime] = {}

    def take(self, message: Any) -> None:
        """Count a record that is not done yet; of what was finished out of order the position's map tells."""
        offset = message.offset()
        if offset < self.at:  # left from an earlier look
            return
        self.at = offset + 1
        if offset < self.end and not holds(self.position, offset):
            self._records += 1
            at = moment(message.timestamp()[1])
            workflow = from_headers(message.headers() or [], "").workflow
            self._oldest[workflow] = min(at, self._oldest.get(workflow, at))

    @property
    def done(self) -> bool:
        return self.at >= self.end or (self._records > 0 and not self._count_all)

    @property
    def glance(self) -> Glance:
        return Glance(records=self._records, whole=self.at >= self.end, oldest=dict(self._oldest))


def _lags(stand: Stand) -> bool:
    committed = stand.committed
    return not stand.trouble and committed is not None and stand.first <= committed < stand.end


def _stand(
    part: Part, committed: Mapping[Part, Position] | str, bounds: Mapping[Part, _Bounds] | str
) -> Stand:
    if isinstance(committed, str) or isinstance(bounds, str):
        return Stand(trouble=committed if isinstance(committed, str) else str(bounds))
    first, end, hides = bounds[part]
    if hides:
        return Stand(first=first, end=end, trouble=HIDDEN)
    if part not in committed:
        return Stand(first=first, end=end, trouble="the group's offset could not be read")
    offset = committed[part].offset
    return Stand(committed=None if offset == OFFSET_INVALID else offset, first=first, end=end)


def _group(place: _Place) -> str:
    stage, lane = place
    return group_of(stage, lane if stage in LANE_STAGES else None)


def _left(deadline: Deadline) -> float:
    return max(_LEAST_S, deadline.left_s())


def _away(error: KafkaException) -> str:
    """Return in words that the broker does not answer."""
    return f"the broker does not answer: {error.args[0].name()}"
