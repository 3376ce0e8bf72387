"""A serial account of a budget: what its store was told to do, in the order in which it did it, against what it answered.

The order is the store's own: its log of commands (`SLOWLOG` with a limit of 0 µs) numbers every script as it ran, one after the
other, and what a script wrote stands before it. The answers are those that the payer was given. The sums are this file's own, since rule and scripts are what is judged.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from vigimesh.adapters.redis.scripts import sha
from vigimesh.domain.budget.values import Booked, Caps, Denied, Reserved, Shut
from vigimesh.domain.budget.windows import ASKED, Window, names_of

Word = Literal["reserve", "settle", "release"]
WORDS: tuple[Word, ...] = ("reserve", "settle", "release")
#: Workflow, window, name of the window.
Place = tuple[str, Window, str]
Told = Reserved | Denied | Shut


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One script as the store ran it: `micro` is the worst case or the actual, `windows` name and cap of each."""

    word: Word
    call_id: str
    workflow: str
    micro: int = 0
    windows: Mapping[Window, tuple[str, int]] = field(default_factory=dict)
    #: Whether this script wrote the reservation down: known also where its answer was lost.
    wrote: bool = False
    #: Microseconds that the server took.
    took_us: int = 0

    def places(self) -> Iterator[tuple[Place, int]]:
        """Yield each window with its cap."""
        for window, (name, cap) in self.windows.items():
            yield (self.workflow, window, name), cap


@dataclass(slots=True, kw_only=True)
class Verdict:
    """What an account found. Amounts are micro-units."""

    admitted: int = 0
    refused: int = 0
    #: By workflow the most that a window of money held beyond its cap, all added up; and the same of calls a minute.
    overspend_micro: int = 0
    calls_beyond: int = 0
    #: Refused though recorded + open + asked was within every cap.
    false_refusals: int = 0
    #: Asks that wrote nothing and whose answer was lost or shut, or that an overrun closed: the log does not say why.
    unjudged: int = 0
    #: Recorded + open of each window at the end.
    sums: dict[Place, int] = field(default_factory=dict)


def read_orders(log: Sequence[Any]) -> list[Order]:
    """Return the budget's orders in a log of commands as the server gives it (newest first), oldest first.

    Raises `RuntimeError` when the budget was rebuilt meanwhile: then the account has no beginning.
    """
    names = {sha(word).encode(): word for word in WORDS}
    swap = sha("swap").encode()
    found, opened = [], set[bytes]()
    for _, _, took_us, parts, *_ in sorted(log, key=lambda entry: int(entry[0])):
        if parts[0].upper() == b"HSET" and parts[2:4] == [b"state", b"open"]:
            opened.add(parts[1])
        if len(parts) < 7 or parts[0].upper() != b"EVALSHA":
            continue
        if parts[1] == swap:
            raise RuntimeError("the budget was rebuilt in the middle of a round: nothing of it can be judged")
        if parts[1] in names:
            # Behind the script: how many keys, the key, the epoch; then workflow and call.
            # What a script does is logged before it, and nothing of another comes between.
            wrote = any(key.endswith(b":%b:%b" % (parts[5], parts[6])) for key in opened)
            order = _order(names[parts[1]], int(took_us), [part.decode() for part in parts[5:]])
            found.append(replace(order, wrote=wrote))
        opened.clear()
    return found


def _order(word: Word, took_us: int, told: Sequence[str]) -> Order:
    workflow, call_id, *rest = told
    if word == "release":
        return Order(word=word, call_id=call_id, workflow=workflow, took_us=took_us)
    windows = {}
    if word == "reserve":
        # Worst case, at, until; then for each window its name, its cap and how long it is kept.
        for at, window in enumerate(ASKED):
            windows[window] = (rest[3 + 3 * at], int(rest[4 + 3 * at]))
    return Order(
        word=word, call_id=call_id, workflow=workflow, micro=int(rest[0]), windows=windows, took_us=took_us
    )


def judged(orders: Sequence[Order], told: Mapping[str, Sequence[Told]]) -> Verdict:
    """Follow the orders one by one and hold each answer to `reserve` against the sums of that moment.

    `told` are the answers by call id, in order. What was admitted counts with its worst case until it is settled, then with
    what it cost; a released one with nothing. Admitted is what the store wrote down, and what it only said.
    """
    asked = Counter(order.call_id for order in orders if order.word == "reserve")
    sent_again = {call_id for call_id, times in asked.items() if times != len(told.get(call_id, ()))}
    account = _Account({call_id: iter(given) for call_id, given in told.items()}, sent_again)
    for order in orders:
        if order.word == "reserve":
            account.reserve(order)
        else:
            account.end(order)
    return account.done()


@dataclass(slots=True)
class _Account:
    told: Mapping[str, Iterator[Told]]
    sent_again: set[str]
    verdict: Verdict = field(default_factory=Verdict)
    sums: dict[Place, int] = field(default_factory=dict)
    #: Calls that hold something, and those of them that are settled.
    held: dict[str, Order] = field(default_factory=dict)
    settled: set[str] = field(default_factory=set)
    beyond: dict[Place, int] = field(default_factory=dict)

    def reserve(self, order: Order) -> None:
        answer = next(self.told.get(order.call_id, iter(())), None)
        if order.call_id in self.held:
            return  # asked again: it is the same reservation
        after = {
            place: (self.sums.get(place, 0) + (1 if place[1] == "minute" else order.micro), cap)
            for place, cap in order.places()
        }
        if order.wrote or isinstance(answer, Reserved):
            self.verdict.admitted += 1
            self.held[order.call_id] = order
            for place, (held, cap) in after.items():
                self._put(place, held, cap)
        elif (
            isinstance(answer, Denied) and answer.cause != "overrun" and order.call_id not in self.sent_again
        ):
            self.verdict.refused += 1
            self.verdict.false_refusals += all(held <= cap for held, cap in after.values())
        else:
            self.verdict.unjudged += 1

    def end(self, order: Order) -> None:
        held = self.held.get(order.call_id)
        if held is None or order.call_id in self.settled:
            return
        actual = order.micro if order.word == "settle" else 0
        kept = 1 if order.word == "settle" else 0
        for place, cap in held.places():
            change = kept - 1 if place[1] == "minute" else actual - held.micro
            self._put(place, self.sums[place] + change, cap)
        if order.word == "settle":
            self.settled.add(order.call_id)
        else:
            del self.held[order.call_id]

    def done(self) -> Verdict:
        self.verdict.sums = self.sums
        money = {place: excess for place, excess in self.beyond.items() if place[1] != "minute"}
        calls = {place: excess for place, excess in self.beyond.items() if place[1] == "minute"}
        self.verdict.overspend_micro, self.verdict.calls_beyond = _worst_of_each(money), _worst_of_each(calls)
        return self.verdict

    def _put(self, place: Place, held: int, cap: int) -> None:
        self.sums[place] = held
        self.beyond[place] = max(self.beyond.get(place, 0), held - cap)


def _worst_of_each(beyond: Mapping[Place, int]) -> int:
    """Return the largest excess of each workflow, added up."""
    worst: dict[str, int] = {}
    for (workflow, _, _), excess in beyond.items():
        worst[workflow] = max(worst.get(workflow, 0), excess)
    return sum(worst.values())


def booked_beyond(rows: Iterable[Booked], caps: Mapping[str, Caps]) -> int:
    """Return by how much the journal's rows exceed the caps: what was really paid or may have been, whatever the budget says.

    Of each workflow in `caps` the worst of its windows of money counts.
    """
    sums, beyond = defaultdict[Place, int](int), dict[Place, int]()
    for row in rows:
        if row.workflow in caps:
            for window, name in names_of(row.at, row.case_id).items():
                if window != "minute":
                    place = (row.workflow, window, name)
                    sums[place] += row.amount_micro
                    beyond[place] = max(0, sums[place] - caps[row.workflow].of_window(window))
    return _worst_of_each(beyond)


def refused_with_room(refused: int, all_worst_micro: int, caps: Caps) -> int:
    """Return how many refusals of a round were false where all that was ever asked fits the caps: every one.

    Raises `ValueError` when it does not fit: then this cannot tell.
    """
    if all_worst_micro > min(caps.case_micro, caps.day_micro, caps.month_micro):
        raise ValueError("the caps are not wide: judge by the account of the store")
    return refused
