"""Looks questions up: in the stores of answers first, nearest first, then in the warm level, last in the base itself.

Whatever a store hands out is a candidate. `serve` alone lets it leave, by `freshness.verdict` with the versions that are current, the age of the
products it rests on and that of the case's card. No store, a store that is away and a guard that fails all mean the same: search.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from datetime import datetime
from threading import Event, Lock
from typing import Any

import msgspec

from vigimesh.clock import Clock, Deadline
from vigimesh.domain.knowledge.answering import (
    ABSENT,
    WHOLE_SET,
    Answer,
    Match,
    State,
    answer_of,
    documents_of,
    handed,
    kept_key,
    named_scope,
    scope_of,
    shortest,
)
from vigimesh.domain.knowledge.facets import facets
from vigimesh.domain.knowledge.freshness import MAX_AGE, Ages, AnswerScope, Level, expires_at, verdict
from vigimesh.domain.knowledge.fusion import PASSING
from vigimesh.domain.knowledge.guards import signature
from vigimesh.domain.knowledge.questions import Scope
from vigimesh.errors import Transient
from vigimesh.loop.outcome import Need
from vigimesh.ports.knowledge import Answers, Keep, Place, Product, Products, Search, Summaries
from vigimesh.retriever.terms import OneForAll

#: Seconds a question waits for another process or thread that searches for it; then it is searched for here as well.
WAIT_S = 0.1
#: Seconds between two looks whether another process has found it: ten looks in all.
POLL_S = 0.01
#: Seconds that a store is left alone after it did not answer, so that not each batch waits for its time-out.
REST_S = 1.0
#: Questions whose scope is remembered, of one state of the base: as many as answers are kept in memory.
PLACED_MAX = 4_096


def sign(question: str, names: Scope, version: str) -> str:
    """Return what two questions of one version share exactly when every guard agrees; empty when one cannot tell."""
    return signature(facets(question, names, version))


#: An answer that another thread searches for: `None` when it came to nothing that may be kept.
_Flight = Future[Answer | None]


@dataclass(slots=True)
class _Asked:
    """One question of a batch on its way: what is asked, where its answer would be kept, what became of it."""

    question: str
    limit: int
    ages: Ages | None
    scope: AnswerScope | None
    key: str
    missed: str = ABSENT
    signature: str = ""
    #: Where an answer is looked for by what it says: a scope, and the question's signature there.
    sought: tuple[AnswerScope, str] | None = None
    given: dict[str, Any] | None = None
    made: Answer | None = None

    @property
    def place(self) -> Place:
        assert self.scope is not None
        return self.scope, self.key


@dataclass(slots=True, kw_only=True)
class Lookup:
    """Answers questions for all lanes of a process. `stores` are asked in their order, the last is the one that processes share.

    `failed` is told of what did not work: `read`, `write`, `guard` or `warm`. Several threads may share it.
    """

    search: Search
    clock: Clock
    stores: Sequence[Answers] = ()
    summaries: Summaries | None = None
    products: Products = OneForAll()  # noqa: RUF009  frozen
    sign: Callable[[str, Scope, str], str] = sign
    failed: Callable[[str], None] = lambda what: None
    wait_s: float = WAIT_S
    pause: Callable[[float], object] = field(default_factory=lambda: Event().wait)
    _resting: dict[int, float] = field(default_factory=dict)
    _placed: OrderedDict[tuple[str, int], tuple[AnswerScope | None, str]] = field(default_factory=OrderedDict)
    _placed_of: int = -1
    _flying: dict[Place, _Flight] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def changed(self) -> None:
        """Take note that a document has changed: nothing is served before the base's state was read anew."""
        self.search.changed()

    def answers(self, needs: Sequence[Need]) -> list[dict[str, Any]]:
        """Return for each need an answer as plain values (`answering.handed`); `asked` may hold the ages of the case's card.

        Raises `Transient` VM-1501 when the base is away: what is current is not known then, and nothing may be served.
        """
        state = self.search.state()
        asked: dict[tuple[str, int, Ages | None], _Asked] = {}
        for need in needs:
            name = (need.key, need.limit, need.asked)
            if name not in asked:
                asked[name] = _Asked(
                    need.key, need.limit, need.asked, *self._place(need.key, need.limit, state)
                )
        self._from_stores([one for one in asked.values() if one.scope], state)
        if left := _open(asked.values()):
            self._from_warm(left, state)
        if left := _open(left):
            self._from_search(left, state)
        # Needs with the same answer share one value: a verb only reads it.
        return [_given(asked[need.key, need.limit, need.asked]) for need in needs]

    def _place(self, question: str, limit: int, state: State) -> tuple[AnswerScope | None, str]:
        """Return scope and key of a question, remembered as long as the state is the same."""
        with self._lock:
            if self._placed_of != state.number:
                self._placed.clear()
                self._placed_of = state.number
            found = self._placed.get((question, limit))
            if found is not None:
                return found
        made = scope_of(question, state), kept_key(question, limit)
        with self._lock:
            if self._placed_of == state.number:
                self._placed[question, limit] = made
                while len(self._placed) > PLACED_MAX:
                    self._placed.popitem(last=False)
        return made

    def _serve(self, one: _Asked, found: Answer | None, state: State, level: Level, match: Match) -> bool:
        """Let a stored answer leave if it may; else say why not, the first time that there is something to say."""
        scope = one.sought[0] if match == "semantic" and one.sought else one.scope
        if found is None or scope is None:
            return False
        entry = found.entry
        owners = self._owners(entry.scope.document_id, documents_of(entry))
        ages = shortest([owner.ages for owner in owners] + ([one.ages] if one.ages else []))
        why = verdict(entry, scope, state.known, ages.of(level), self.clock.now())
        if why == "fresh" and level == "hot" and match == "exact" and entry.question_key != one.key:
            why = "other_scope"  # a store that hands out another question's answer
        if why == "fresh" and match == "semantic" and not all(owner.semantic for owner in owners):
            return False
        if why != "fresh":
            one.missed = why if one.missed == ABSENT else one.missed
            return False
        one.made = found
        one.given = handed(
            found.rows(one.question),
            entry.read_at,
            product=self._product(scope),
            level=level,
            match=match,
        )
        return True

    def _owners(self, asked_of: str, documents: Sequence[str]) -> list[Product]:
        return [self.products.of(one) for one in documents or (asked_of,)]

    def _product(self, scope: AnswerScope | None) -> str:
        return (
            "" if scope is None or scope.document_id == WHOLE_SET else self.products.of(scope.document_id).id
        )

    def _from_stores(self, asked: Sequence[_Asked], state: State) -> None:
        """Serve from the stores: all by their own words first, then those left by what they say, last under the one product they name."""
        left = list(asked)
        for number in range(len(self.stores)):
            self._take(number, left, self._read(number, left, signed=False), state, "exact")
            left = _open(left)
            if not left:
                return
        if not self.products.semantic:
            return
        # A question that begins with a product's name is of its scope already: it is not read once more to find that out.
        free = [one for one in asked if one.scope and one.scope.document_id == WHOLE_SET]
        own, named = (lambda one: one.scope), (lambda one: named_scope(one.question, state))
        for those, near in ((asked, own), (free, named)):
            left = [one for one in _open(those) if self.stores and self._sign(one, near(one), state)]
            for number in range(len(self.stores)):
                left = _open(left)
                self._take(number, left, self._read(number, left, signed=True), state, "semantic")

    def _take(
        self, number: int, asked: Sequence[_Asked], found: Sequence[Answer | None], state: State, match: Match
    ) -> None:
        served = [
            (one, answer)
            for one, answer in zip(asked, found, strict=True)
            if answer is not None and self._serve(one, answer, state, "hot", match)
        ]
        # Copied to the stores before, as old as it is.
        self._keep([answer for _, answer in served], range(number), {})

    def _sign(self, one: _Asked, scope: AnswerScope | None, state: State) -> bool:
        """Give a question its signature in a scope whose product lets it share an answer; tell whether it has one."""
        one.sought = None
        if scope is None or (
            scope.document_id != WHOLE_SET and not self.products.of(scope.document_id).semantic
        ):
            return False
        signed = ""
        try:
            signed = self.sign(one.question, state.names, scope.version)
        except Exception:  # noqa: BLE001  a guard that is down means a miss, whatever is wrong with it
            self.failed("guard")
        if signed:
            one.sought = scope, f"{signed}.{one.limit}"
            one.signature = one.sought[1] if scope == one.scope else one.signature
        return bool(signed)

    def _read(self, number: int, asked: Sequence[_Asked], *, signed: bool) -> Sequence[Answer | None]:
        nothing = [None] * len(asked)
        if not asked or self._rests(number):
            return nothing
        store = self.stores[number]
        try:
            if signed:
                return store.like([one.sought for one in asked if one.sought])
            return store.read([one.place for one in asked])
        except Transient:
            self._rest(number, "read")
            return nothing

    def _from_warm(self, asked: Sequence[_Asked], state: State) -> None:
        if self.summaries is None:
            return
        try:
            found = self.summaries.answer([one.question for one in asked])
        except Transient:
            self.failed("warm")
            return
        for one, answer in zip(asked, found, strict=True):
            self._serve(one, answer, state, "warm", "exact")

    def _from_search(self, asked: Sequence[_Asked], state: State) -> None:
        """Search for what is left, each question once however many ask: here, in this process, and in the others."""
        mine, others, flights = self._taken_off(asked)
        try:
            # Again, in the nearest store only: another thread may have found it between the look there and the take-off.
            again = [one for one in mine if one.scope and self.stores]
            self._take(0, again, self._read(0, again, signed=False), state, "exact")
            leased, elsewhere = self._leased(_open(mine))
            self._find(leased, state)
            self._await(elsewhere, state)
            self._find(_open(elsewhere), state)
        finally:
            # Whatever became of it: nobody waits for what will not come.
            self._land(mine, flights)
        # Only after its own have landed, so that two threads never wait for each other.
        wait([flight for _, flight in others], timeout=self.wait_s)
        for one, flight in others:
            self._serve(one, flight.result() if flight.done() else None, state, "hot", "exact")
        self._find(_open([one for one, _ in others]), state)

    def _taken_off(
        self, asked: Sequence[_Asked]
    ) -> tuple[list[_Asked], list[tuple[_Asked, _Flight]], dict[Place, _Flight]]:
        """Part what nobody in this process searches for, which takes off now, from what is on its way."""
        mine: list[_Asked] = []
        others: list[tuple[_Asked, _Flight]] = []
        flights: dict[Place, _Flight] = {}
        with self._lock:
            for one in asked:
                kept = one.scope is not None and bool(self.stores)
                flying = self._flying.get(one.place) if kept else None
                if flying is not None:
                    others.append((one, flying))
                    continue
                mine.append(one)
                if kept:
                    flights[one.place] = self._flying[one.place] = Future()
        return mine, others, flights

    def _land(self, mine: Sequence[_Asked], flights: Mapping[Place, _Flight]) -> None:
        made = {one.place: one.made for one in mine if one.scope is not None}
        with self._lock:
            for place in flights:
                del self._flying[place]
        for place, flight in flights.items():
            flight.set_result(made.get(place))

    def _leased(self, mine: Sequence[_Asked]) -> tuple[list[_Asked], list[_Asked]]:
        """Part what this process may search for at once from what another process searches for."""
        kept = [one for one in mine if one.scope is not None]
        last = len(self.stores) - 1
        if not kept or last < 0 or self._rests(last):
            return list(mine), []
        try:
            free = self.stores[last].lease([one.place for one in kept])
        except Transient:
            self._rest(last, "lease")
            return list(mine), []
        elsewhere = [one for one, is_free in zip(kept, free, strict=True) if not is_free]
        taken = {id(one) for one in elsewhere}
        return [one for one in mine if id(one) not in taken], elsewhere

    def _await(self, elsewhere: Sequence[_Asked], state: State) -> None:
        """Look a few times whether other processes have found their answers; never longer than `wait_s`."""
        last, deadline = len(self.stores) - 1, Deadline.after(self.clock, self.wait_s)
        for _ in range(int(self.wait_s / POLL_S)):
            left = _open(elsewhere)
            if not left or deadline.passed() or self._rests(last):
                return
            self.pause(POLL_S)
            self._take(last, left, self._read(last, left, signed=False), state, "exact")

    def _find(self, asked: Sequence[_Asked], state: State) -> None:
        """Search the base and keep what may be kept. Raises `Transient` VM-1501."""
        by_limit: defaultdict[int, list[_Asked]] = defaultdict(list)
        for one in asked:
            by_limit[one.limit].append(one)
        for limit, together in by_limit.items():
            read_at = self.clock.now()  # before it is read: an answer is never younger than its sources
            questions = tuple(dict.fromkeys(one.question for one in together))
            found = dict(zip(questions, self.search.find(questions, limit), strict=True))
            for one in together:
                passages = found[one.question].passages
                rows = msgspec.to_builtins(list(passages))
                one.given = handed(rows, read_at, product=self._product(one.scope), missed=one.missed)
                # What words alone found while the vectors are away would stand for the product's whole hot age.
                if one.scope is not None and found[one.question].alone not in PASSING:
                    one.made = answer_of(one.question, limit, one.scope, passages, read_at)
            self._keep_found(together, state, read_at)

    def _keep_found(self, asked: Sequence[_Asked], state: State, read_at: datetime) -> None:
        """Keep what was found, unless the base changed between the look at its state and the search."""
        signed: dict[Place, str] = {}
        for one in asked:
            if one.made is None or one.scope is None:
                continue
            # Nothing is older than nothing: what is refused at age 0 is another version, or withdrawn.
            if verdict(one.made.entry, one.scope, state.known, MAX_AGE, read_at) != "fresh":
                one.made = None
            elif one.signature:
                signed[one.place] = one.signature
        self._keep([one.made for one in asked if one.made], range(len(self.stores)), signed)

    def _keep(self, answers: Sequence[Answer], stores: Sequence[int], signed: Mapping[Place, str]) -> None:
        if not answers or not stores:
            return
        kept = []
        for answer in answers:
            entry = answer.entry
            owners = self._owners(entry.scope.document_id, documents_of(entry))
            until = expires_at(entry, shortest([owner.ages for owner in owners]).hot)
            alike = (
                signed.get((entry.scope, entry.question_key), "")
                if all(one.semantic for one in owners)
                else ""
            )
            kept.append(Keep(answer=answer, until=until, signature=alike))
        for number in stores:
            if self._rests(number):
                continue
            try:
                self.stores[number].write(kept)
            except Transient:
                self._rest(number, "write")

    def _rests(self, number: int) -> bool:
        return self.clock.monotonic_s() < self._resting.get(number, float("-inf"))

    def _rest(self, number: int, what: str) -> None:
        self._resting[number] = self.clock.monotonic_s() + REST_S
        self.failed(what)


def _open(asked: Iterable[_Asked]) -> list[_Asked]:
    return [one for one in asked if one.given is None]


def _given(one: _Asked) -> dict[str, Any]:
    assert one.given is not None, "each question was searched for at last"
    return one.given
