"""A stage as the loop sees it: a pure verb, and the fetchers that answer its needs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from vigimesh.loop.outcome import Answers, Input, Need, Outcome

#: Rounds of needs a verb may ask for one record (DESIGN part 3).
MAX_ROUNDS = 8


class Verb(Protocol):
    """The pure pair. `needs` is asked until it returns nothing new, at most `MAX_ROUNDS` times; then `decide`."""

    def needs(self, case: Input, answers: Answers) -> tuple[Need, ...]:
        """Return what must be fetched next, or nothing."""
        ...

    def decide(self, case: Input, answers: Answers) -> Outcome:
        """Return the outcome."""
        ...


#: Fetches the answers of all needs of one kind of a whole batch at once, in their order. A plain value per need.
#: Raises `Transient` when the source is away (the batch is tried again), `Refused` when a need can never be met.
Fetcher = Callable[[Sequence[Need]], Awaitable[Sequence[Any]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """One stage as the loop runs it. `fetchers` by need kind; `table` is the compacted topic it keeps as state."""

    name: str
    lane: str | None
    verb: Verb
    fetchers: Mapping[str, Fetcher] = field(default_factory=dict)
    table_topic: str | None = None
