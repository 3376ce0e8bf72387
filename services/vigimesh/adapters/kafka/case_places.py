"""The topics of routes and conclusions beside their index: the records of a few cases are read where they lie, not looked for.

The index only says where to look. What was written after it was followed last is read from the topics, so that nothing depends on how
far that was; each record that the index names is read from its topic too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice

from vigimesh.adapters.kafka.history import Bounds, Broker, bounds, fetch, scan
from vigimesh.domain.record.rows import Row
from vigimesh.ports.recalls import CaseIndex, Part

#: Records taken up by one call: a fraction of a second, and 200 bytes of the index each.
FOLLOWED = 20_000


class KafkaCasePlaces:
    """`ports.recalls.CasePlaces` over Kafka, for some topics whose records are keyed by their case."""

    def __init__(self, broker: Broker, index: CaseIndex, topics: Sequence[str]) -> None:
        """Nothing is connected yet."""
        self._broker, self._index, self._topics = broker, index, tuple(topics)

    def follow(self, most: int = FOLLOWED) -> int:
        """Take up at most `most` records; see `ports.recalls.CasePlaces`."""
        # First how far it was followed, then the ends: an end below it can only be that of a topic that was made anew.
        followed, spans = self._index.followed(), bounds(self._broker, self._topics)
        if anew := _made_anew(followed, spans):
            self._index.forget(anew)
        starts = _starts(followed, spans)
        behind = {part for part, (_, end) in spans.items() if starts[part] < end}
        if not behind:
            return 0
        rows = list(islice(scan(self._broker, self._topics, from_offsets=starts, only=behind), most + 1))
        after = {part: starts[part] for part in behind}
        for row in rows[:most]:
            after[row.topic, row.partition] = row.offset + 1
        if len(rows) <= most:
            # All was read: what lies between the last record and the end are markers of transactions.
            after = {part: max(at, spans[part][1]) for part, at in after.items()}
        found = [((row.topic, row.partition), row.offset, row.key) for row in rows[:most]]
        self._index.follow(found, after, {part: first for part, (first, _) in spans.items()})
        return len(found)

    def read(self, cases: Collection[str]) -> Iterator[Row]:
        """Yield every committed record of the cases. Raises `Transient` VM-1301, VM-1501 or VM-1701."""
        if not cases:
            return
        followed, held = self._index.followed(), self._index.places(cases)
        spans = bounds(self._broker, self._topics)
        starts, anew = _starts(followed, spans), _made_anew(followed, spans)
        wanted = {
            # The index may have been followed on meanwhile: what lies from the start on is read below.
            part: [at for at in offsets if spans[part][0] <= at < starts[part]]
            for part, offsets in held.items()
            if part in spans and part not in anew
        }
        yield from (row for row in fetch(self._broker, wanted) if row.key in cases)
        behind = {part for part, (_, end) in spans.items() if starts[part] < end}
        if behind:
            tail = scan(self._broker, self._topics, from_offsets=starts, only=behind)
            yield from (row for row in tail if row.key in cases)


def _made_anew(followed: Mapping[Part, int], spans: Bounds) -> set[Part]:
    return {part for part, at in followed.items() if part in spans and at > spans[part][1]}


def _starts(followed: Mapping[Part, int], spans: Bounds) -> dict[Part, int]:
    """Return where what is not in the index begins."""
    return {
        part: max(first, at) if (at := followed.get(part, first)) <= end else first
        for part, (first, end) in spans.items()
    }
