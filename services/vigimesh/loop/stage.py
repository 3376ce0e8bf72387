"""A stage as the loop sees it: a pure verb, and what answers its needs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from vigimesh.loop.outcome import Answers, Input, Need, Outcome

#: Rounds of needs a verb may ask for one record: some more than any of ours, so that one that asks for ever ends.
MAX_ROUNDS = 8


class Verb(Protocol):
    """The pure pair. `needs` is asked until it returns nothing new, at most `MAX_ROUNDS` times; then `decide`."""

    def needs(self, case: Input, answers: Answers) -> tuple[Need, ...]:
        """Return what must be fetched next, or nothing."""
        ...

    def decide(self, case: Input, answers: Answers) -> Outcome:
        """Return the outcome."""
        ...


#: Fetches the answers of all needs of one kind of many records at once, in their order. A plain value per need.
#: Raises `Transient` when the source is away (asked again until it is back), `Refused` when a need can never be met.
Fetcher = Callable[[Sequence[Need]], Awaitable[Sequence[Any]]]

#: Answers one need on its own, so that a slow one holds up no other record; raises as a `Fetcher` does.
Caller = Callable[[Need], Awaitable[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One stage as the loop runs it.

    `fetchers` answer needs of a kind together, `callers` one by one (model calls); of each at most `concurrency` are under
    way, so that calls which hang hold up nobody who makes none. `table_topic` is the compacted topic it keeps as state. `beside` goes on beside the loop, in
    its event loop, until the loop has ended its tasks and cancels it; what it raises ends the loop.
    """

    name: str
    lane: str | None
    verb: Verb
    fetchers: Mapping[str, Fetcher] = field(default_factory=dict)
    callers: Mapping[str, Caller] = field(default_factory=dict)
    concurrency: int = 100
    table_topic: str | None = None
    beside: Callable[[], Coroutine[Any, Any, None]] | None = None
