"""What waits in one partition of `parked`, without its bodies. Pure: no clock, no I/O.

Measured with a million events: see docs/decisions/0019. An event costs an entry of a dictionary with two whole numbers,
and a place in a heap.
"""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

#: Bits of an offset beside the moment in one whole number: a partition would take 280 billion records to use them up.
_OFFSET_BITS = 48
_OFFSET_MASK = (1 << _OFFSET_BITS) - 1
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
        #: Digest of the key -> moment and offset in one number.
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

    def learn(self, key: bytes, offset: int, due_us: int | None) -> None:
        """Take in one record of the topic, in offset order; `due_us` is `None` for a tombstone."""
        name = _name(key)
        self._drop(name)
        if due_us is None:
            self._awaited.discard(name)
        elif name not in self._awaited:
            number = due_us << _OFFSET_BITS | offset
            self._live[name] = number
            heapq.heappush(self._heap, number)

    def soonest_us(self) -> int | None:
        """Return the moment of the first event that is not in hand, or `None` when there is none."""
        self._clear_top()
        return self._heap[0] >> _OFFSET_BITS if self._heap else None

    def take(self) -> int:
        """Take the soonest event in hand and return its offset; there must be one (`soonest_us`)."""
        self._clear_top()
        number = heapq.heappop(self._heap)
        offset = number & _OFFSET_MASK
        self._hand[offset] = number
        return offset

    def in_hand(self, offset: int) -> bool:
        """Return whether what was taken at this offset still waits: no tombstone or newer record was read since."""
        return offset in self._hand

    def due(self, offset: int, now_us: int) -> bool:
        """Return whether what is in hand may be resumed at this moment: a clock may have been set back since it was taken."""
        return offset in self._hand and self._hand[offset] >> _OFFSET_BITS <= now_us

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

    def _drop(self, name: int) -> None:
        number = self._live.pop(name, None)
        if number is not None and self._hand.pop(number & _OFFSET_MASK, None) is None:
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


def _name(key: bytes) -> int:
    """Return 128 bits that stand for a key: a million events collide with probability 1e-27."""
    return int.from_bytes(hashlib.blake2b(key, digest_size=16).digest(), "big")
