"""What a resumer has in view: its partitions with their indexes, and what went wrong with single events. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from vigimesh.background.resumer.index import LABELS_MAX, Index, micros
from vigimesh.errors import Transient
from vigimesh.events.topics import lane_of
from vigimesh.loop.broker import Batch, Part, Position, Record
from vigimesh.loop.orders import Pause
from vigimesh.ports import Spot

#: Events of one transaction: larger ones bring no more throughput (as in the loop).
MAX_BATCH = 500
#: Groups of events that failed together above which nothing new is begun: then the broker is in trouble, not an event.
MAX_GROUPS = 8
#: Seconds after which a group that failed is tried again, at first and at most.
BACKOFF_S, MAX_BACKOFF_S = 0.1, 5.0
#: Seconds after which a body that could not be had is asked for again.
DEFER_S = 1.0
#: Failures of one event alone, each while other transactions were committed, after which it is given up.
MAX_TRIES = 5
#: Seconds between the first two looks for events of a pause that was lifted, each time twice as long: a worker that has not
#: heard of it yet still parks some, and one that never hears must not make the same events go round: in a day 14 times.
CALL_BACK_S = 5.0


@dataclass(slots=True)
class Place:
    """One partition. It is whole, and its events may be resumed, once it was read up to `end`."""

    index: Index
    moved_s: float
    next_offset: int = 0
    end: int | None = None
    told_offset: int = -1

    @property
    def whole(self) -> bool:
        """Whether all that was on the topic when it was last asked for its end has been read."""
        return self.end is not None and self.next_offset >= self.end


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Events whose transaction failed, to be tried again; halved at each failure, until it is known whose fault it is."""

    spots: tuple[Spot, ...]
    again_s: float
    failed_s: float
    tries: int = 0
    why: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What one transaction is to resume; `group` when it failed before."""

    spots: tuple[Spot, ...] = ()
    group: Group | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Why an event cannot be resumed: it becomes a dead letter. The text never quotes the case."""

    code: str
    why: str


@dataclass(slots=True, kw_only=True)
class Shelf:
    """Owned by one loop. All of it may be lost at any moment: what counts stands on the topic."""

    places: dict[Part, Place] = field(default_factory=dict)
    unread: deque[Record] = field(default_factory=deque)
    ends: dict[Part, int] = field(default_factory=dict)
    member: Any = None
    groups: deque[Group] = field(default_factory=deque)
    faults: dict[Spot, Fault] = field(default_factory=dict)
    known_topics: frozenset[str] = frozenset()
    committed_s: float = float("-inf")
    _turn: bool = False
    #: Topic and workflow, in UTF-8, and whether money is waited for -> the number that stands for them in the index.
    _labels: dict[tuple[bytes, bytes, bool], int] = field(default_factory=dict)
    #: When events of a lifted pause are looked for next (monotonic), and the pause after that.
    _rounds: dict[Pause, tuple[float, float]] = field(default_factory=dict)

    # What polls tell.

    def change(self, batch: Batch, now_s: float) -> None:
        """Take in what a poll gave; partitions that were lost are forgotten with all that is known of them."""
        for part in batch.revoked:
            self.places.pop(part, None)
        for part in batch.assigned:
            self.places[part] = Place(Index(), now_s)
        if batch.assigned:
            self._rounds.clear()  # they may hold what waits by a pause that was lifted before
        if batch.revoked:
            self.faults = {spot: why for spot, why in self.faults.items() if spot.part in self.places}
        for part in {record.part for record in batch.records} & self.places.keys():
            self.places[part].moved_s = now_s
        self.member = batch.group
        self.unread.extend(batch.records)
        self.ends.update(batch.ends)

    def label(self, resume_topic: bytes, workflow: bytes, money: bool = False) -> int:
        """Return the number that stands for topic, workflow (UTF-8) and waiting for `money`; 0 when there are too many of them."""
        named = resume_topic, workflow, money
        if len(self._labels) >= LABELS_MAX:
            return self._labels.get(named, 0)
        return self._labels.setdefault(named, len(self._labels) + 1)

    def learn(self, record: Record, due_us: int | None, label: int = 0) -> None:
        """Take in one record; `due_us` is `None` for a tombstone. `label` says of which topic and workflow it is."""
        place = self.places.get(record.part)
        if place is not None:
            place.index.learn(record.key, record.offset, due_us, label)
            place.next_offset = record.offset + 1

    def reach_ends(self) -> None:
        """All records are learned: the partitions that were read to their end stand there."""
        for part, end in self.ends.items():
            place = self.places.get(part)
            if place is not None:
                place.next_offset = max(place.next_offset, end)
        self.ends.clear()

    # What may be resumed.

    def unsure(self, parts: Iterable[Part], now_s: float) -> None:
        """Nothing of these partitions may be resumed before they were read to what is their end from now on."""
        for part in parts:
            place = self.places.get(part)
            if place is not None:
                place.end, place.moved_s = None, now_s

    def endless(self) -> tuple[Part, ...]:
        """Return the partitions whose end must be asked for."""
        return tuple(part for part, place in self.places.items() if place.end is None)

    def stalled(self, now_s: float, stall_s: float) -> Transient | None:
        """Return what to tell when a partition is not read to its end and nothing of it has come for `stall_s` seconds."""
        late = sorted(p for p, x in self.places.items() if not x.whole and now_s - x.moved_s >= stall_s)
        if not late:
            return None
        return Transient(
            "VM-1306", what=f"{len(late)} partitions not read to their end, and nothing came for {stall_s:g} s: their events wait",
            where=f"{late[0].topic}-{late[0].partition}", todo="look for an open transaction on the topic",
        )  # fmt: skip

    @property
    def whole(self) -> bool:
        """Whether every partition is whole."""
        return all(place.whole for place in self.places.values())

    def waiting(self) -> int:
        """Return how many events wait."""
        return sum(len(place.index) for place in self.places.values())

    def call_back(self, lifted: Collection[Pause], now_us: int, now_s: float) -> int:
        """Let events be due that wait by a pause which was lifted; return how many. In growing intervals for each pause.

        They are found by lane, workflow and moment: what a pause holds up waits until its end, to the microsecond. Whatever
        else waits for that very moment is looked at again by its stage, and waits on. What waits for money waits until any moment: where
        a budget was raised it is found by workflow, and what still finds no room waits on.
        """
        self._rounds = {pause: when for pause, when in self._rounds.items() if pause in lifted}
        looked: list[Pause] = []
        for pause in lifted:
            again_s, wait_s = self._rounds.get(pause, (now_s, CALL_BACK_S))
            if again_s <= now_s:
                looked.append(pause)
                self._rounds[pause] = (now_s + wait_s, 2 * wait_s)
        if not looked:
            return 0
        wanted: dict[int, set[int]] = {}
        whenever: set[int] = set()
        for pause in looked:
            own = wanted.setdefault(micros(pause.until), set()) if pause.lane else whenever
            own |= {
                label
                for (topic, workflow, money), label in self._labels.items()
                if workflow == pause.workflow.encode()
                and (lane_of(topic.decode("utf-8", "replace")) == pause.lane if pause.lane else money)
            }
        return sum(place.index.call_back(wanted, now_us, whenever) for place in self.places.values())

    def take(self, now_us: int, now_s: float) -> Taken:
        """Return what the next transaction shall resume, soonest first: nothing, what is due, or a group that failed."""
        self._turn = not self._turn
        group = self._failed_group(now_us, now_s)
        if group is not None and (self._turn or len(self.groups) >= MAX_GROUPS):
            self.groups.remove(group)
            spots = tuple(s for s in group.spots if self.places[s.part].index.due(s.offset, now_us))
            self.give_back(s for s in group.spots if s not in spots)
            return Taken(spots=spots, group=group)
        if len(self.groups) >= MAX_GROUPS and any(len(one.spots) > 1 for one in self.groups):
            return Taken()
        return Taken(spots=tuple(self._due(now_us)))

    def soonest_us(self) -> int | None:
        """Return the moment of the first event that may be resumed next, or `None`."""
        found = (p.index.soonest_us() for p in self.places.values() if p.whole)
        return min((moment for moment in found if moment is not None), default=None)

    def again_s(self) -> float | None:
        """Return when a group that failed is to be tried again (monotonic), or `None`."""
        return min((group.again_s for group in self.groups), default=None)

    def _due(self, now_us: int) -> Iterator[Spot]:
        for _ in range(MAX_BATCH):
            heads = (
                (moment, part)
                for part, place in self.places.items()
                if place.whole and (moment := place.index.soonest_us()) is not None
            )
            first = min(heads, default=None)
            if first is None or first[0] > now_us:
                return
            yield Spot(first[1], self.places[first[1]].index.take())

    def _failed_group(self, now_us: int, now_s: float) -> Group | None:
        self.groups = deque(alive for group in self.groups if (alive := self._alive(group)) is not None)
        for group in self.groups:
            ready = all(self.places[s.part].whole for s in group.spots)
            if group.again_s <= now_s and ready:
                return group
        return None

    def _alive(self, group: Group) -> Group | None:
        """Leave out events that do not wait any more, or are somebody else's."""
        spots = tuple(s for s in group.spots if s.part in self.places and self._in_hand(s))
        if len(spots) == len(group.spots):
            return group
        return replace(group, spots=spots) if spots else None

    def _in_hand(self, spot: Spot) -> bool:
        return self.places[spot.part].index.in_hand(spot.offset)

    # What became of it.

    def positions(self, touched: Iterable[Part] = ()) -> dict[Part, Position]:
        """Return how far the whole partitions were read, and those touched: for them it is what fences a stale resumer."""
        wanted = frozenset(touched)
        return {
            part: Position(offset=place.next_offset)
            for part, place in self.places.items()
            if place.whole or part in wanted
        }

    def moved(self) -> bool:
        """Return whether a whole partition was read further than its committed position says."""
        return any(x.whole and x.next_offset != x.told_offset for x in self.places.values())

    def told(self, positions: Mapping[Part, Position], now_s: float) -> None:
        """Keep in mind which positions are committed for certain."""
        for part, position in positions.items():
            self.places[part].told_offset = position.offset
        self.committed_s = now_s

    def resumed(self, done: Mapping[Spot, bytes]) -> None:
        """Forget events that are resumed for certain; `done` gives their keys."""
        for spot, key in done.items():
            self.places[spot.part].index.resumed(key, spot.offset)
            self.faults.pop(spot, None)

    def give_back(self, spots: Iterable[Spot]) -> None:
        """Let events wait again that were taken."""
        for spot in spots:
            if spot.part in self.places:
                self.places[spot.part].index.give_back((spot.offset,))

    def failed(self, taken: Taken, why: str, now_s: float) -> None:
        """A transaction was aborted: halve it; one event alone is given up after `MAX_TRIES`, if others could be committed.

        A broker in trouble fails all and commits nothing, so that no event is blamed for it.
        """
        spots, group = taken.spots, taken.group
        if len(spots) != 1:
            middle = len(spots) // 2
            halves = [half for half in (spots[:middle], spots[middle:]) if half]
            self.groups.extend(
                Group(spots=half, again_s=now_s + BACKOFF_S, failed_s=now_s, why=why) for half in halves
            )
            return
        tries = group.tries if group else 0
        if group is not None and group.failed_s < self.committed_s:
            tries += 1
        if tries >= MAX_TRIES and spots[0] not in self.faults:
            self.faults[spots[0]] = Fault(code="VM-1310", why=f"given up after {tries} tries: {why}")
        wait_s = min(MAX_BACKOFF_S, BACKOFF_S * 2.0 ** min(tries, 30))
        self.groups.append(Group(spots=spots, again_s=now_s + wait_s, failed_s=now_s, tries=tries, why=why))

    def defer(self, spots: Sequence[Spot], why: str, now_s: float) -> None:
        """Let events wait whose body cannot be had now."""
        if spots:
            self.groups.append(Group(spots=tuple(spots), again_s=now_s + DEFER_S, failed_s=now_s, why=why))
