"""Models in memory: the twin of `models/openai`, for tests and simulations where no socket may open."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from vigimesh.adapters.models.replies import MAX_REPLY_BYTES, cut, meaning_of, not_sent
from vigimesh.clock import Clock
from vigimesh.domain.cascade.question import Answer, InDoubt, NotMade, Question, prompt_digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What an endpoint does with a question: after `after_s` seconds a status, headers (lower-case names) and a body.

    `whole` is false when the body breaks off; a `status` of 0 hangs up without a reply.
    """

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    after_s: float = 0.0
    whole: bool = True


@dataclass(slots=True)
class MemoryModels:
    """`ports.Models` over a function; `None` from it means that no connection could be made.

    `calls` counts what arrived, by prompt digest; `open` is how many calls wait for their reply now.
    """

    serve: Callable[[Question], Reply | None]
    clock: Clock
    calls: Counter[str] = field(default_factory=Counter)
    open: int = 0

    async def ask(
        self, question: Question, leave: Awaitable[None] | None = None
    ) -> Answer | NotMade | InDoubt:
        """Ask once, as `OpenAIModels.ask` does."""
        if leave is not None:
            await leave
        reply = self.serve(question)
        if reply is None:
            return not_sent("the connection failed: ConnectError")
        self.calls[prompt_digest(question)] += 1
        self.open += 1
        try:
            async with asyncio.timeout(question.deadline_s):
                await asyncio.sleep(reply.after_s)
        except TimeoutError:
            return InDoubt(why=f"no answer within {question.deadline_s:g} s")
        finally:
            self.open -= 1
        return self._meaning(reply)

    async def close(self) -> None:
        """Do nothing: no connection is held."""

    def _meaning(self, reply: Reply) -> Answer | NotMade | InDoubt:
        now = self.clock.now()
        if reply.whole and reply.status and len(reply.body) <= MAX_REPLY_BYTES:
            return meaning_of(reply.status, reply.headers, reply.body, now)
        return cut(reply.status or None, reply.headers, now, "the connection failed: the reply broke off")
