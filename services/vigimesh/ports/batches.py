"""What calls bought in batches need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from vigimesh.domain.budget.batching import Gathered, Item, Member, Sent
from vigimesh.domain.budget.calls import (
    ByDigest,
    Kept,
    Overtaken,
    PaidCall,
)
from vigimesh.domain.budget.values import (
    Shut,
)
from vigimesh.domain.cascade.question import Answer, InDoubt, NotMade, Tokens


class BatchJournal(Protocol):
    """Batches in the call journal, whose name is what their calls are ended by. All raise `Transient` VM-1501 as `Journal` does."""

    async def gather(self, one: Gathered) -> str:
        """Let a question wait for a batch, if it has not been in too many; return `waiting`, `sent`, or else `ended`.

        The same again changes nothing: one that was not sent while it might be is `ended`, and is to be paid at once.
        """
        ...

    async def state(self, call_id: str) -> str:
        """Return how a question stands that was gathered: `waiting`, `sent` or `ended`; empty for one that never was."""
        ...

    async def waiting(self, now: datetime, most: int) -> Sequence[Gathered]:
        """Return at most `most` of those that may be sent at `now`, the first gathered first."""
        ...

    async def begin_batch(
        self, name: str, calls: Sequence[PaidCall], made_at: datetime
    ) -> frozenset[str] | Shut:
        """Begin a batch and its calls at once, all of one epoch; return the ids that have begun.

        Those that another began or that are answered are left out and wait no longer. `Shut` when the epoch is not the current one.
        """
        ...

    async def open_batches(self) -> Sequence[Sent]:
        """Return the batches that have not ended, the oldest first."""
        ...

    async def note(
        self,
        name: str,
        *,
        file_id: str | None = None,
        asked_at: datetime | None = None,
        batch_id: str | None = None,
    ) -> Sent:
        """Write down how far a batch is: what is `None` stays. Raises `Transient` VM-2406 when it has ended."""
        ...

    async def members(self, name: str) -> Sequence[Member]:
        """Return the calls of a batch, the first gathered first."""
        ...

    async def answer(
        self, name: str, call_id: str, answer: bytes | ByDigest, cost_micro: int, usage: Tokens
    ) -> Kept | Overtaken:
        """Store the answer of a call in the batch `name`, as `Journal.answer` does."""
        ...

    async def not_made(self, name: str, call_id: str, why: str) -> Kept | Overtaken:
        """Write down that a call in the batch was certainly not made."""
        ...

    async def in_doubt(self, name: str, call_id: str, why: str) -> Kept | Overtaken:
        """Write down that nobody knows whether a call in the batch was made."""
        ...

    async def end(self, name: str, why: str = "") -> None:
        """End a batch: what of it was not made waits for another one, a bounded number of times. The same again changes nothing."""
        ...

    async def close(self) -> None:
        """Leave the server."""
        ...


class Batches(Protocol):
    """Batches of an endpoint. All raise `Transient` VM-2402 when it is away or fails: then nobody knows whether it was done."""

    async def upload(self, items: Sequence[Item]) -> str:
        """Send the questions as a file and return its id. It costs nothing, so it may be sent again."""
        ...

    async def create(self, file_id: str, name: str) -> str:
        """Begin a batch that carries `name`, and return the endpoint's id of it."""
        ...

    async def find(self, name: str, since: datetime) -> str:
        """Return the endpoint's id of the batch that carries `name`, created after `since`; empty when there is none."""
        ...

    async def results(
        self, batch_id: str
    ) -> Mapping[str, Answer | NotMade | InDoubt] | NotMade | InDoubt | None:
        """Return how each question ended, by the key of its item, or how all of them did; `None` while the batch goes on.

        A key that is missing has no result. *NotMade* is what the endpoint lists as failed or not come to, all of it where it refused
        the batch; it bills none of it. All is in doubt where it does not find the batch, or a file of it.
        """
        ...

    async def close(self) -> None:
        """Close all connections."""
        ...
