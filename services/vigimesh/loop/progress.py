"""What is done of a partition beyond the first thing that is not: work ends out of order, nothing is lost or repeated.

A committed offset can only say "all below is done". A slow record would hold it back, and a restart would repeat all
that was finished after it. So the offsets still *open* are written, compactly, into the *metadata* that the broker
keeps with the offset, in the same transaction as the outputs. The *watermark*, the committed offset, is the lowest
open offset; the *map* in the metadata says which offsets beyond it are done. Everything between the watermark and the
highest offset taken that is not open counts as done, gaps too: a consumer of committed records is handed them in
order, so what it was not handed by then will never come (transaction markers, aborted records, compaction). A map
that cannot be read (foreign, damaged, of another version, left beside another offset) is no map: what it may have
said is done again, never skipped. `take` refuses a record whose map might not fit, so a map is never dropped.

What is committed, as the test reads it from here (`10 (12-13)` is offset 10 with a map that says 12 and 13 are done,
`8 [10 (12-13)]` that map left beside offset 8, `/` a new assignment, `~12` that 12 ended in vain: in a transaction that was
aborted, or in an assignment that had gone):

    case                                        resumed from     taken        finished      read to  committed
    nothing taken                               10               -            -             -        10
    taken, nothing finished                     10               10-14        -             -        10
    all finished                                10               10-14        10-14         -        15
    first one is slow                           10               10-14        11-14         -        10 (11-14)
    one in the middle is slow                   10               10-14        10-11,13-14   -        12 (13-14)
    last one is slow                            10               10-14        10-13         -        14
    slow one finishes last                      10 (11-14)       10           10            -        15
    every other one is slow                     10               10-14        11,13         -        10 (11,13)
    gap at the watermark                        10               13-14        -             -        13
    gap at the watermark, all finished          10               13-14        13-14         -        15
    gap in the middle, one before it is slow    10               10,14        14            -        10 (11-14)
    gap after the last one                      10               10-11        10-11         20       20
    gap after a slow one                        10               10-11        11            20       10 (11)
    only markers                                10               -            -             20       20
    restart, nothing taken yet                  10 (12-13)       -            -             -        10 (12-13)
    restart, in the midst of reading again      10 (12-14)       10-12        10            -        11 (12-14)
    restart, what was open is finished          10 (12-13)       10-13        10-11         -        14
    restart, more was taken after the map       10 (12-13)       10-15        11,15         -        10 (11-13,15)
    restart, open one compacted away            10 (12-13)       11-12        -             -        11 (12-13)
    restart, all open ones compacted away       10 (12-13)       12-13        -             -        14
    restart, open ones gone, read to the end    10 (12-13)       -            -             14       14
    finished twice                              10               10-12        10,10,10      -        11
    finished but never taken                    10               10-11        11,50         -        10 (11)
    taken twice                                 10               10,11,10,11  11            -        10 (11)
    abort, what ended in it is open again       10               10-14        12,~13-14     -        10 (12)
    abort, all of it committed the next time    10               10-14        ~10-14,10-14  -        15
    rebalance, what was in hand is taken again  10               10-14/10-14  12/10-11      -        13
    rebalance, work of before ends too late     10               10-14/10-14  12/~10-11,14  -        10 (12,14)
    rebalances without traffic                  10 (12-13)       -/-/-        -/-/-         -        10 (12-13)
    reset back, the map is another offset's     8 [10 (12-13)]   8-13         8-9,13        -        10 (13)
    reset forward, the map is another offset's  20 [10 (12-13)]  20-22        21            -        20 (21)
"""

from __future__ import annotations

import base64
import re
import zlib
from bisect import bisect_left
from collections import OrderedDict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal, Self

from vigimesh.errors import Broken
from vigimesh.loop.broker import Part, Position

#: Characters of metadata that a broker takes with an offset: the default of `offset.metadata.max.bytes`. ASCII only.
SPACE = 4096

#: Characters from which on fetching pauses, 75 % of the space: the rest is for what finishes meanwhile.
FULL = 3072

#: Our mark with the version of the format; another version is not read.
MARK = "vm1"

#: Characters before the payload: the mark, the kind of encoding, the checksum in hexadecimal.
HEAD = len(MARK) + 1 + 8

#: Bytes of payload that fit: base64 makes four characters of three bytes.
ROOM = (SPACE - HEAD) // 4 * 3

#: Offsets from the watermark on that a bitmap holds, whatever is open among them: a bit for each.
SPAN_MAX = ROOM * 8

#: Open offsets whose run lengths always fit: each opens a run (1 byte) and a run of done ones follows it (9 bytes hold
#: 2**63 - 1, the largest offset).
OPEN_MAX = ROOM // 10

#: Bytes under which a payload is not worth compressing: zlib's own frame takes 11.
WORTH_ZLIB = 64

#: Bytes that a compressed payload may grow to, so that a foreign one cannot fill the memory. A payload that we compress
#: is at most the run lengths of `SPAN_MAX` offsets (a byte each), or of `OPEN_MAX` (less).
UNPACKED_MAX = SPAN_MAX

#: Maps kept decoded: after a transaction in doubt each of a group's partitions is asked about hundreds of offsets in turn.
MAPS_KEPT = 8

#: What `take` says of an offset: *new* = now in hand; *done* = skip it; *again* = in hand already; *full* = not taken.
Taken = Literal["new", "done", "again", "full"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Map:
    """What metadata says: in [watermark, high) all is done but `open`, ascending. `trouble` says why it says nothing."""

    open: tuple[int, ...] = ()
    high: int
    trouble: str = ""


@dataclass(slots=True)
class Progress:
    """One partition in one assignment; a new assignment makes a new object, which is what `epoch` counts.

    Not for use by two threads at once. Costs under a microsecond an offset while nothing is slow.
    """

    part: Part
    epoch: int
    #: Where fetching goes on: after the last offset offered, or read to.
    next: int
    #: Why the committed metadata was not read as a map (foreign, damaged, another version), for the log; "" when it was.
    trouble: str = ""
    #: Whether the partition was taken away: what is still under way of this assignment counts no more.
    lost: bool = False
    #: In hand, ascending because they come in order; a dict whose first key is found at once, however many went before.
    _hand: OrderedDict[int, None] = field(default_factory=OrderedDict)
    #: Open in the committed map and not offered again yet, ascending; all at or above `next`.
    _owed: deque[int] = field(default_factory=deque)
    #: After the highest offset that was taken, here or by the map.
    _high: int = 0
    #: Characters of the last map made.
    _size: int = 0
    #: Whether the offset `next` was refused for want of room and not offered again.
    _refused: bool = False

    @classmethod
    def resumed(cls, part: Part, epoch: int, position: Position) -> Self:
        """Go on from the committed position; metadata that cannot be read makes all beyond the offset new."""
        found = read(position)
        return cls(part=part, epoch=epoch, next=position.offset, trouble=found.trouble,
                   _owed=deque(found.open), _high=found.high, _size=len(position.metadata))  # fmt: skip

    def take(self, offset: int) -> Taken:
        """Take a record in hand, unless it is done already; records are offered in offset order, gaps left out.

        After *full* everything above the refused offset is refused too, until that offset is offered again or
        `unpause` was called: taken out of order, it would count as a gap. Finishing what is in hand makes room.
        """
        if offset < self.next:
            return "again" if offset in self._hand else "done"
        if self._refused and offset != self.next:
            return "full"
        self._refused = False
        while self._owed and self._owed[0] < offset:
            self._owed.popleft()  # it would have come first: compacted away, or deleted
        if offset < self._high:
            self.next = offset + 1
            if not self._owed or self._owed[0] != offset:
                return "done"
            self._hand[self._owed.popleft()] = None
            return "new"
        low = next(iter(self._hand), offset)
        if offset - low >= SPAN_MAX and room_needed(len(self._hand) + 1, offset + 1 - low) > SPACE:
            self.next, self._refused = offset, True
            return "full"
        self._hand[offset] = None
        self.next = self._high = offset + 1
        return "new"

    def finish(self, offsets: Iterable[int]) -> None:
        """Count offsets as done: their transaction is committed for certain. One that is not in hand is passed over."""
        for offset in offsets:
            self._hand.pop(offset, None)

    def reached(self, end: int) -> None:
        """Note that the partition was read to `end`, all that came of it was offered, and nothing below is still to come.

        What the map had open below `end` is gone, so it holds nothing back. Ignored while a record is refused.
        """
        if self._refused:
            return
        while self._owed and self._owed[0] < end:
            self._owed.popleft()
        self.next = max(self.next, end)

    def unpause(self) -> int:
        """Return where fetching goes on, the same as `next`, and offer what was refused from there."""
        self._refused = False
        return self.next

    def position(self, finished: Iterable[int] = ()) -> Position:
        """Return what to commit if the work of `finished` commits with it; nothing here changes what is open.

        Raises `Broken` VM-1311 when the map does not fit, which `take` rules out.
        """
        done = finished if isinstance(finished, set | frozenset) else set(finished)
        left = [offset for offset in self._hand if offset not in done]
        left.extend(self._owed)
        if not left:
            self._size = 0
            return Position(offset=max(self._high, self.next))
        metadata = write(left, self._high)
        self._size = len(metadata)
        if self._size > SPACE:
            raise Broken("VM-1311", what=f"the map of {len(left)} open offsets takes {self._size} characters of {SPACE}",
                         where=f"{self.part.topic}-{self.part.partition}",
                         todo="report a defect; nothing was committed")  # fmt: skip
        return Position(offset=left[0], metadata=metadata)

    @property
    def open_count(self) -> int:
        """Offsets that hold the watermark back: in hand, or open in the map and not offered again yet."""
        return len(self._hand) + len(self._owed)

    @property
    def in_hand(self) -> int:
        """Records taken and not finished."""
        return len(self._hand)

    @property
    def idle(self) -> bool:
        """Whether nothing is in hand."""
        return not self._hand

    @property
    def full(self) -> bool:
        """Whether fetching should pause.

        Never when nothing is in hand, nor while reading again what the map holds: pausing would then free nothing.
        """
        if not self._hand or self.next < self._high:
            return False
        span = self._high - next(iter(self._hand))
        return self._size >= FULL or room_needed(len(self._hand), span) >= FULL


def holds(position: Position, offset: int) -> bool:
    """Return whether a committed position, with its map, says that `offset` is done."""
    if offset < position.offset:
        return True
    found = read(position)
    if offset >= found.high:
        return False
    at = bisect_left(found.open, offset)
    return at == len(found.open) or found.open[at] != offset


def room_needed(open_count: int, span: int) -> int:
    """Return the most characters that a map of up to `open_count` open offsets within `span` can take.

    Whichever of them finish. As a bitmap it takes a bit for each offset of the span. As run lengths: the runs of open
    offsets take at most a byte for each of these; as many runs of done ones take a byte each, and one more for each
    power of 128 they reach, which at most `span >> 7`, `span >> 14`, ... of them can.
    """
    runs = 2 * open_count
    rest = span >> 7
    while rest:
        runs += min(open_count, rest)
        rest >>= 7
    return HEAD + -(-min(runs, -(-span // 8)) // 3) * 4


def write(opens: Sequence[int], high: int) -> str:
    """Return the map of [opens[0], high): "" when all of it is open, else the smallest of its encodings.

    `opens` are ascending. Those at the end are left out: what a map does not reach is open anyway.
    """
    base, count = opens[0], len(opens)
    while count and opens[count - 1] == high - 1:
        count, high = count - 1, high - 1
    if not count:
        return ""
    runs = _runs(opens[:count], high)
    payloads = {"r": runs}
    if len(runs) > WORTH_ZLIB:
        if high - base <= SPAN_MAX:
            payloads["b"] = _bitmap(opens[:count], high)
        payloads |= {kind.upper(): zlib.compress(payload) for kind, payload in payloads.items()}
    kind = min(payloads, key=lambda each: len(payloads[each]))
    text = base64.b64encode(payloads[kind]).decode("ascii")
    return f"{MARK}{kind}{_checksum(base, kind, text)}{text}"


def read(position: Position) -> Map:
    """Return what a position's metadata says; of metadata that is not ours, or not whole, nothing and why."""
    return _read(position.offset, position.metadata)


@lru_cache(maxsize=MAPS_KEPT)
def _read(base: int, metadata: str) -> Map:
    """Decode a map that stands beside `base`."""
    if not metadata:
        return Map(high=base)
    mark = re.match(r"vm\d+", metadata)
    if mark is None or mark.group() != MARK:
        return Map(high=base, trouble="of another version" if mark else "not ours")
    kind, checksum, text = metadata[HEAD - 9 : HEAD - 8], metadata[HEAD - 8 : HEAD], metadata[HEAD:]
    if len(metadata) > SPACE or not metadata.isascii() or checksum != _checksum(base, kind, text):
        return Map(high=base, trouble="damaged, or left beside another offset")
    try:
        payload = base64.b64decode(text, validate=True)
        if kind in ("R", "B"):
            payload = _unpacked(payload)
        decode = {"r": _from_runs, "R": _from_runs, "b": _from_bitmap, "B": _from_bitmap}.get(kind, _unknown)
        opens, high = decode(base, payload)
    except (ValueError, zlib.error):
        return Map(high=base, trouble="damaged, or in an encoding of another version")
    return Map(open=tuple(opens), high=high)


def _checksum(base: int, kind: str, text: str) -> str:
    """Return the CRC-32 of a map and of the offset that it belongs to: it finds every single changed character."""
    return f"{zlib.crc32(f'{base} {kind} {text}'.encode()):08x}"


def _unpacked(payload: bytes) -> bytes:
    """Undo the compression; raises `ValueError` when it is cut off or too large."""
    unpacking = zlib.decompressobj()
    plain = unpacking.decompress(payload, UNPACKED_MAX)
    if not unpacking.eof or unpacking.unused_data:
        raise ValueError("cut off, or too large")
    return plain


def _unknown(base: int, payload: bytes) -> tuple[list[int], int]:
    """Refuse an encoding that this version does not know."""
    raise ValueError(f"{len(payload)} bytes beside {base} in an unknown encoding")


def _runs(opens: Sequence[int], high: int) -> bytes:
    """Encode as lengths: so many open, so many done, so many open, ..., so many done up to `high`."""
    out = bytearray()
    start = after = opens[0]
    for offset in (*opens, high):
        if offset != after:
            for length in (after - start, offset - after):
                while length > 127:
                    out.append(length & 127 | 128)
                    length >>= 7
                out.append(length)
            start = offset
        after = offset + 1
    return bytes(out)


def _from_runs(base: int, payload: bytes) -> tuple[list[int], int]:
    """Decode run lengths; raises `ValueError` when they are none that we would have written."""
    opens: list[int] = []
    at, length, shift, is_open = base, 0, 0, True
    for byte in payload:
        length |= (byte & 127) << shift
        shift += 7
        if byte > 127:
            continue
        if not length or at + length >= 1 << 63 or (is_open and len(opens) + length > SPAN_MAX):
            raise ValueError("a run without length, or too long")
        if is_open:
            opens.extend(range(at, at + length))
        at, length, shift, is_open = at + length, 0, 0, not is_open
    if shift or not is_open or not opens or room_needed(len(opens), at - base) > SPACE:
        raise ValueError("cut off, or more than fits")
    return opens, at


def _bitmap(opens: Sequence[int], high: int) -> bytes:
    """Encode as a bit for each offset, 1 = done, the watermark's lowest; the highest bit set is that of `high` - 1."""
    digits = bytearray(b"1") * (high - opens[0])
    for offset in opens:
        digits[high - 1 - offset] = 48
    return int(digits, 2).to_bytes((len(digits) + 7) // 8, "little")


def _from_bitmap(base: int, payload: bytes) -> tuple[list[int], int]:
    """Decode a bitmap; raises `ValueError` when it is none that we would have written."""
    digits = format(int.from_bytes(payload, "little"), "b")[::-1]
    if len(digits) > SPAN_MAX or digits[0] != "0" or digits[-1] != "1":
        raise ValueError("too long, done at the watermark, or nothing done")
    return [base + at for at, digit in enumerate(digits) if digit == "0"], base + len(digits)
