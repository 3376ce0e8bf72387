"""What waits in one partition of `parked`, without its bodies. Pure: no clock, no I/O.

Measured with a million events: see docs/decisions/0019. An event costs an entry of a dictionary with two whole numbers,
and a place in a heap.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Container, Iterable, Mapping
from datetime import UTC, datetime, timedelta

#: Bits of an offset in one whole number beside the moment and the label: a partition would take 280 billion records to
#: use them up. The label comes last, so that its bits change no order and, with a moment of this century, take no memory.
_OFFSET_BITS, _LABEL_BITS = 48, 16
_OFFSET_MASK = (1 << _OFFSET_BITS) - 1
_MOMENT_SHIFT = _OFFSET_BITS + _LABEL_BITS
#: Labels that fit; 0 is that of events which no pause can be told of.
LABELS_MAX = (1 << _LABEL_BITS) - 1
#: Places in the heap that no longer count before it is made anew: keeps the heap below twice what waits.
_STALE_MIN = 1_024

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICRO = timedelta(microseconds=1)


def micros(moment: datetime) -> int:
    """Return a moment as microseconds since 1970 UTC; one before that counts as 0."""
    return max(0, (moment - _EPOCH) // _MICRO)


class Index:
    """Which events wait, until when, and at which offset their newest record lies.

    An event is *in hand* from `take` until `give_back` or `resumed`. After `resumed` its tombstone is awaited: whatever is
    read of its key before that tombstone was written before it, and so is covered by it.
    """

    __slots__ = ("_awaited", "_hand", "_heap", "_live", "_stale")

    def __init__(self) -> None:
        """Begin empty."""
        #: Digest of the key -> moment, offset and label in one number.
        self._live: dict[int, int] = {}
        self._heap: list[int] = []
        #: Numbers in the heap that do not count any more.
        self._stale: set[int] = set()
        #: Offset -> number, of what was taken.
        self._hand: dict[int, int] = {}
        self._awaited: set[int] = set()

    def __len__(self) -> int:
        """Return how many events wait, in hand or not."""
        return len(self._live)

    def learn(self, key: bytes, offset: int, due_us: int | None, label: int = 0) -> None:
        """Take in one record of the topic, in offset order; `due_us` is `None` for a tombstone.

        `label` is a number up to `LABELS_MAX` that its owner gives to events which one order may let wait together.
        """
        name = _name(key)
        self._drop(name)
        if due_us is None:
            self._awaited.discard(name)
        elif name not in self._awaited:
            number = due_us << _MOMENT_SHIFT | offset << _LABEL_BITS | label
            self._live[name] = number
            heapq.heappush(self._heap, number)

    def soonest_us(self) -> int | None:
        """Return the moment of the first event that is not in hand, or `None` when there is none."""
        self._clear_top()
        return self._heap[0] >> _MOMENT_SHIFT if self._heap else None

    def take(self) -> int:
        """Take the soonest event in hand and return its offset; there must be one (`soonest_us`)."""
        self._clear_top()
        number = heapq.heappop(self._heap)
        offset = _offset(number)
        self._hand[offset] = number
        return offset

    def in_hand(self, offset: int) -> bool:
        """Return whether what was taken at this offset still waits: no tombstone or newer record was read since."""
        return offset in self._hand

    def due(self, offset: int, now_us: int) -> bool:
        """Return whether what is in hand may be resumed at this moment: a clock may have been set back since it was taken."""
        return offset in self._hand and self._hand[offset] >> _MOMENT_SHIFT <= now_us

    def give_back(self, offsets: Iterable[int]) -> None:
        """Let events wait again that were taken and not resumed."""
        for offset in offsets:
            number = self._hand.pop(offset, None)
            if number is not None:
                heapq.heappush(self._heap, number)

    def resumed(self, key: bytes, offset: int) -> None:
        """Forget an event whose resumption is committed for certain."""
        name = _name(key)
        taken, number = self._hand.pop(offset, None), self._live.pop(name, None)
        if number is not None and number != taken:
            self._stale.add(number)
        self._awaited.add(name)

    def call_back(
        self, wanted: Mapping[int, Container[int]], now_us: int, whenever: Container[int] = ()
    ) -> int:
        """Let events be due now that wait until one of some moments and have one of its labels, or one of `whenever`; return how many.

        Looks at every event: for a million it takes half a second, so it is for what happens rarely.
        """
        found = {
            name: now_us << _MOMENT_SHIFT | number & ((1 << _MOMENT_SHIFT) - 1)
            for name, number in self._live.items()
            if (due_us := number >> _MOMENT_SHIFT) > now_us
            and (number & LABELS_MAX in whenever or number & LABELS_MAX in wanted.get(due_us, ()))
            and _offset(number) not in self._hand
        }
        if found:
            self._live.update(found)
            self._rebuild()
        return len(found)

    def _drop(self, name: int) -> None:
        number = self._live.pop(name, None)
        if number is not None and self._hand.pop(_offset(number), None) is None:
            self._stale.add(number)
            if len(self._stale) > max(_STALE_MIN, len(self._live)):
                self._rebuild()

    def _rebuild(self) -> None:
        hand = set(self._hand.values())
        self._heap = [number for number in self._live.values() if number not in hand]
        heapq.heapify(self._heap)
        self._stale.clear()

    def _clear_top(self) -> None:
        while self._heap and self._heap[0] in self._stale:
            self._stale.discard(heapq.heappop(self._heap))


def _offset(number: int) -> int:
    return number >> _LABEL_BITS & _OFFSET_MASK


def _name(key: bytes) -> int:
    """Return 128 bits that stand for a key: a million events collide with probability 1e-27."""
    return int.from_bytes(hashlib.blake2b(key, digest_size=16).digest(), "big")
