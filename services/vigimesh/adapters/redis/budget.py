"""The budget in Valkey or Redis (6.2 commands): one Lua script an operation, and a rebuild that is swapped in at once.

All keys have one hash tag, so that one epoch covers all workflows and a rebuild changes them together; one server runs
tens of thousands of these scripts a second. No key with an open reservation expires; windows do long after their end.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from uuid import uuid4

from redis.asyncio import Redis

from vigimesh.adapters.redis.scripts import Reply, Scripts, client_of, foreign
from vigimesh.domain.budget.money import is_amount
from vigimesh.domain.budget.rule import REMEMBERED, SHOWN, SWEPT, Books, Sums, denial, rebuilt
from vigimesh.domain.budget.values import (
    MAX_ASKS,
    MAX_LAPSED,
    MAX_RAISE_DAYS,
    RAISABLE,
    SHUT,
    Ask,
    Booked,
    Caps,
    Denied,
    Lapsed,
    NotReserved,
    Raise,
    Raised,
    Released,
    Reserved,
    Settled,
    Shut,
    Standing,
    WindowStanding,
)
from vigimesh.domain.budget.windows import ASKED, CASE_DAYS, Window, names_of, span
from vigimesh.errors import Transient

#: The key of the state, and the tag of all others.
KEY = "{vigimesh.budget}"
#: Seconds a window is kept after the first call was reserved in it: more than twice its length, and time for an inquiry.
#: A case has no end, and is kept from its last call on; after so long without one it begins anew.
KEEP_S: Mapping[Window, int] = {
    "minute": 86_400,
    "day": 70 * 86_400,
    "month": 100 * 86_400,
    "case": CASE_DAYS * 86_400,
}
#: Seconds a settled or released call is remembered.
REMEMBER_S = int(REMEMBERED.total_seconds())
#: Seconds the raises of a workflow are kept after the last one: longer than any may stand, whatever the clocks.
RAISE_S = (MAX_RAISE_DAYS + 2) * 86_400
#: Seconds after which a rebuild that was begun is given up: a year of calls is read in minutes.
BUILD_S = 3_600
#: Rows of one stage script: about a millisecond, so that nobody waits for it.
STAGE_ROWS = 200
#: Times a rebuild is begun again because another one, of another epoch, came between.
REBUILDS = 5

_EPOCH0 = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
#: An epoch that no journal gives: what a caller names that knows none.
_UNNAMED = "(none)"


class RedisBudget:
    """`ports.Budget` on a server that several processes share."""

    __slots__ = ("_epoch", "_scripts")

    def __init__(self, client: Redis, key: str = KEY) -> None:
        """Use `client`, which decodes answers; budgets with the same `key` share what they hold."""
        self._scripts = Scripts(client, key)
        self._epoch = ""

    @classmethod
    def open(cls, url: str, key: str = KEY) -> RedisBudget:
        """Return a budget on the server at `url`; nothing is sent yet."""
        return cls(client_of(url), key)

    async def close(self) -> None:
        """Close the connections."""
        await self._scripts.close()

    def adopt(self, epoch: str) -> None:
        """Name the epoch; see `ports.Budget`."""
        self._epoch = epoch

    async def reserve(self, asks: Sequence[Ask]) -> Sequence[Reserved | Denied | Shut]:
        """Answer each ask; see `ports.Budget`. With the store away all are shut: an open one lapses."""
        if len(asks) > MAX_ASKS:
            raise ValueError(f"{len(asks)} asks, at most {MAX_ASKS} in one round trip")
        if not asks:
            return []
        try:
            replies = await self._scripts.run([("reserve", self._asked(ask)) for ask in asks])
        except Transient as error:
            return [_away(ask.call_id, error) for ask in asks]
        return [_answer(ask, _own(reply, ask.call_id)) for ask, reply in zip(asks, replies, strict=True)]

    async def settle(self, call_id: str, workflow: str, actual_micro: int) -> Settled | NotReserved | Shut:
        """Record what a call cost; see `ports.Budget`."""
        if not is_amount(actual_micro):
            raise ValueError(f"{actual_micro!r} is no amount")
        orders = (self._strict, workflow, call_id, str(actual_micro), str(REMEMBER_S))
        try:
            # Nobody waits for it, and others may be about to go.
            word, _, *rest = _own(await self._scripts.one("settle", *orders, at_once=False), call_id)
        except Transient as error:
            return _away(call_id, error)
        if word == "shut":
            return Shut(call_id, SHUT[rest[0]])
        return (
            NotReserved(call_id) if word == "not_reserved" else Settled(call_id, int(rest[0]), int(rest[1]))
        )

    async def release(self, call_id: str, workflow: str, until: datetime | None = None) -> Released | Shut:
        """Give a reservation back; see `ports.Budget`."""
        orders = (self._strict, workflow, call_id, str(REMEMBER_S), "" if until is None else _stamp(until))
        try:
            reply = await self._scripts.one("release", *orders)
        except Transient as error:
            return _away(call_id, error)
        word, _, *rest = _own(reply, call_id)
        return Shut(call_id, SHUT[rest[0]]) if word == "shut" else Released(call_id, int(rest[0]))

    async def standing(self, workflow: str, caps: Caps, at: datetime) -> Standing | Shut:
        """Return how the windows stand; see `ports.Budget`."""
        names = [span(window, at).name for window in SHOWN]
        word, _, epoch, *rows = await self._scripts.one("standing", self._epoch, workflow, _stamp(at), *names)
        if word == "shut":
            return Shut("", SHUT[epoch])
        windows = []
        for window, name, row in zip(SHOWN, names, rows, strict=True):
            raised, recorded, held, enforced, overrun, closed = (int(number) for number in row)
            cap = max(caps.of_window(window), raised)
            windows.append(WindowStanding(window, name, cap, recorded, held, enforced, overrun, bool(closed)))
        return Standing(workflow, epoch, tuple(windows))

    async def raise_cap(self, order: Raise) -> Raised | Shut:
        """Let a cap be higher until a time; see `ports.Budget`."""
        word, _, told = await self._scripts.one(
            "raise", self._epoch, order.workflow, order.window, span(order.window, order.at).name,
            str(order.to_micro), _stamp(order.until), _packed(order), str(RAISE_S),
        )  # fmt: skip
        if word == "shut":
            return Shut("", SHUT[told])
        return Raised(order, _unpacked(told) if told else None)

    async def expired(self, at: datetime, skip: int = 0) -> Sequence[Lapsed] | Shut:
        """Return reservations whose lease has run out; see `ports.Budget`."""
        word, _, *rows = await self._scripts.one(
            "expired", self._epoch, _stamp(at), str(MAX_LAPSED), str(skip)
        )
        if word == "shut":
            return Shut("", SHUT[rows[0]])
        return [Lapsed(call_id, workflow, _moment(until)) for workflow, call_id, until in rows]

    async def run_id(self) -> str:
        """Return the name of the store's process; see `ports.Budget`."""
        return await self._scripts.run_id()

    async def rebuild(self, epoch: str, rows: Iterable[Booked]) -> None:
        """Put in force what the rows say; see `ports.Budget`. Built beside what is there, then swapped in by one script."""
        if not epoch:
            raise ValueError("a rebuild needs an epoch")
        # In a thread: of a million calls it takes seconds, and others work in this loop.
        books = await asyncio.to_thread(rebuilt, tuple(rows))
        self._epoch = epoch
        for _ in range(REBUILDS):
            if await self._rebuilt(epoch, books):
                return
        raise Transient(
            "VM-1912", what="others kept rebuilding the budget with other epochs", where="budget",
            todo="see who shares this store; the budget stays shut",
        )  # fmt: skip

    async def _rebuilt(self, epoch: str, books: Books) -> bool:
        """Build a generation and swap it in; return whether the epoch is in force, by this process or another."""
        generation = uuid4().hex
        begun = await self._scripts.one("begin", epoch, generation, str(BUILD_S))
        if begun[0] == "current":
            return True
        _, _, seen, run, old = begun
        for given_up in old:
            await self._scripts.delete(given_up)
        for part in _parts(books):
            await self._scripts.one("stage", generation, part)
        word = str((await self._scripts.one("swap", epoch, generation, seen, run))[0])
        # What is no longer in force goes; after a crash before this line, the generation stays until a flush.
        unused = seen if word == "swapped" else generation
        if unused:
            await self._scripts.delete(unused)
        return word != "lost"

    def _asked(self, ask: Ask) -> list[str]:
        names = stored_names(ask.at, ask.case_id)
        told = [
            self._strict,
            ask.workflow,
            ask.call_id,
            str(ask.worst_micro),
            _stamp(ask.at),
            _stamp(ask.until),
        ]
        for window in ASKED:
            told += [names[window], str(ask.caps.of_window(window)), str(KEEP_S[window])]
        return [*told, str(SWEPT // _MICROSECOND)]

    @property
    def _strict(self) -> str:
        """The epoch for what moves money: without one known, one that never agrees."""
        return self._epoch or _UNNAMED


def stored_names(at: datetime, case_id: str) -> dict[Window, str]:
    """Return the names of windows as keys hold them."""
    return {window: _stored(window, name) for window, name in names_of(at, case_id).items()}


def _stored(window: Window, name: str) -> str:
    """Return a window's name as keys hold it: a case by its digest, so that keys are short and plain."""
    if window != "case":
        return name
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _answer(ask: Ask, reply: Reply) -> Reserved | Denied | Shut:
    word, _, *rest = reply
    if word == "shut":
        return Shut(ask.call_id, SHUT[rest[0]])
    if word == "reserved":
        return Reserved(ask.call_id, int(rest[0]), _moment(rest[1]))
    window = next(one for one in ASKED if one == rest[0])
    cap, recorded, held, closed = int(rest[1]), int(rest[2]), int(rest[3]), rest[5] == "1"
    until = _moment(rest[6]) + SWEPT if rest[6] else None
    return denial(ask, window, cap, Sums(recorded + held, recorded, 0, closed), until)


def _own(reply: Reply, call_id: str) -> Reply:
    """Return the reply; raises `Broken` VM-1911 when it is that of another call."""
    if reply[1] != call_id:
        raise foreign(reply)
    return reply


def _away(call_id: str, error: Transient) -> Shut:
    return Shut(call_id, f"{SHUT['away']}: {error.what}")


def _parts(books: Books) -> Iterable[str]:
    """Yield the books as parts for the stage script, numbers as text, since JSON's are rounded by some."""
    sums = [
        [workflow, window, _stored(window, name), str(one.enforced), str(one.recorded), str(KEEP_S[window])]
        for (workflow, window, name), one in books.sums.items()
    ]
    calls = [
        [workflow, call_id, call.state, str(call.reserved), _stamp(call.until),
         *(_stored(window, call.names[window]) for window in ASKED), str(REMEMBER_S)]
        for (workflow, call_id), call in books.calls.items()
    ]  # fmt: skip
    for at in range(0, max(len(sums), len(calls)), STAGE_ROWS):
        part = slice(at, at + STAGE_ROWS)
        yield json.dumps({"sums": sums[part], "calls": calls[part]})


def _stamp(at: datetime) -> str:
    """Return microseconds since 1970: whole, and below 2^53 until the year 2255."""
    return str((at - _EPOCH0) // _MICROSECOND)


def _moment(stamp: str) -> datetime:
    return _EPOCH0 + int(stamp) * _MICROSECOND


def _packed(order: Raise) -> str:
    return json.dumps([
        order.workflow, order.window, order.to_micro, order.reason, _stamp(order.at), _stamp(order.until),
    ])  # fmt: skip


def _unpacked(text: str) -> Raise:
    workflow, window, to_micro, reason, at, until = json.loads(text)
    return Raise(
        workflow,
        next(one for one in RAISABLE if one == window),
        to_micro,
        reason,
        _moment(at),
        _moment(until),
    )
