"""Which models of an endpoint may be asked now, in one process: those that fail are left alone, those that ask for time get it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field

from vigimesh.clock import Clock
from vigimesh.domain.cascade.breaker import CLOSED, STATES, Breaker, State, admitted, ended, returned
from vigimesh.domain.cascade.question import Answer, InDoubt, NotMade
from vigimesh.tool_executor.purchase import Purchase, Reason, lease_s, name_of

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Breakers:
    """A breaker for each model, and until when each asked not to be called (`Retry-After`). In memory, and lost with its process.

    `tell` is told how the one that stands worst stands, and what a person must change before a model takes our questions (empty
    where nothing), whenever one of the two changes.
    """

    clock: Clock
    tell: Callable[[State, str], None]
    _of: dict[str, Breaker] = field(default_factory=dict)
    #: The call that is to try a model, until it is made or turns out not to be.
    _trying: dict[str, str] = field(default_factory=dict)
    #: Monotonic seconds before which a model is not called.
    _not_before_s: dict[str, float] = field(default_factory=dict)
    #: What a person must change, by model, until it answers.
    _mend: dict[str, str] = field(default_factory=dict)
    _told: tuple[State, str] = ("closed", "")

    def holds_up(self, wanted: Purchase) -> tuple[Reason, float] | None:
        """Return why the model of a purchase is not asked now, and for how many seconds; `None` when it may be asked, or tried."""
        model, now_s = wanted.question.model, self.clock.monotonic_s()
        wait_s = self._not_before_s.get(model, now_s) - now_s
        if wait_s > 0:
            return "asked_to_wait", wait_s
        before = self._of.get(model, CLOSED)
        breaker, may = admitted(before, now_s, lease_s(wanted.question))
        if breaker is not before:
            self._trying[model] = name_of(wanted)
            self._set(model, breaker)
        return None if may else ("breaker_open", max(0.0, breaker.until_s - now_s))

    def made(self, model: str, call_id: str) -> None:
        """A call is made: if it is the one that tries the model, its end decides now."""
        if self._trying.get(model) == call_id:
            del self._trying[model]

    def given_up(self, wanted: Purchase) -> None:
        """A purchase has ended: if it was to try the model and did not, the next one may."""
        model = wanted.question.model
        if model in self._trying and self._trying[model] == name_of(wanted):
            del self._trying[model]
            self._set(model, returned(self._of[model], self.clock.monotonic_s()))

    def replied(self, model: str, reply: Answer | NotMade | InDoubt) -> None:
        """A call has ended so."""
        now_s = self.clock.monotonic_s()
        self._set(model, ended(self._of.get(model, CLOSED), answered=isinstance(reply, Answer), now_s=now_s))
        if isinstance(reply, NotMade) and reply.retry_after_s is not None:
            asked_s = now_s + reply.retry_after_s
            self._not_before_s[model] = max(asked_s, self._not_before_s.get(model, asked_s))
        if isinstance(reply, Answer):
            self._mend.pop(model, None)
        elif isinstance(reply, NotMade) and reply.mend:
            if self._mend.get(model) != reply.mend:
                _log.warning("model %s was not asked, %s: %s", model, reply.why, reply.mend)
            self._mend[model] = reply.mend
        self._say()

    def _set(self, model: str, breaker: Breaker) -> None:
        before = self._of.get(model, CLOSED).state
        self._of[model] = breaker
        if breaker.state == before:
            return
        self._say()
        if before == "closed":
            _log.warning("model %s failed %d times in a row: it is left alone", model, len(breaker.failed_s))
        elif breaker.state == "closed":
            _log.info("model %s answers again", model)

    def _say(self) -> None:
        """Tell what has changed."""
        worst = max((one.state for one in (CLOSED, *self._of.values())), key=STATES.index)
        now = worst, "; ".join(sorted(set(self._mend.values())))
        if now != self._told:
            self._told = now
            self.tell(*now)
