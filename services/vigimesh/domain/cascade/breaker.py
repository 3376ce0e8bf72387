"""Whether an endpoint is asked at all: after failures in a row it is left alone for a while, then one call tries it. Pure.

A circuit breaker (M. Nygard, Release It!): *closed* lets calls through, *open* none, *half-open* one. Moments are seconds of one
monotonic clock, passed in.

Each call to an endpoint that hangs waits until its deadline and counts for its worst case, so that asking costs money and time
and gives nothing. What is not asked costs its opinion, as where no endpoint is configured, and nobody waits.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

#: Failures in a row that open it: where one call in a hundred fails at random, so many are one chance in ten billion, where
#: four of five do, one in three.
FAILURES = 5
#: Seconds after which a failure counts no longer: calls made one after another, each cut off at the longest deadline that the
#: settings take (600 s), still open it.
WINDOW_S = 3_600.0
#: Seconds that it stays open, at first and at most, twice as long each time: a call that tries an endpoint that hangs costs its
#: worst case, and ten minutes late is soon enough for one that was away for hours.
PAUSE_S, MAX_PAUSE_S = 30.0, 600.0

State = Literal["closed", "half_open", "open"]
STATES: tuple[State, ...] = ("closed", "half_open", "open")


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """A breaker. `failed_s` are the moments of failures in a row; `pause_s` is 0 while it is closed.

    Until `until_s` an open one lets no call through, and a half-open one no other than the call that tries the endpoint.
    """

    failed_s: tuple[float, ...] = ()
    pause_s: float = 0.0
    until_s: float = 0.0
    trying: bool = False

    @property
    def state(self) -> State:
        """How it stands; open also when the pause is over and nobody has asked since."""
        if not self.pause_s:
            return "closed"
        return "half_open" if self.trying else "open"


def admitted(breaker: Breaker, now_s: float, within_s: float) -> tuple[Breaker, bool]:
    """Return whether a call may be made now, and the breaker after it was asked.

    The one that tries the endpoint has `within_s` seconds to say how it ended (`ended`), or that it was not made after all
    (`returned`); one that says nothing stands in nobody's way then.
    """
    if not breaker.pause_s:
        return breaker, True
    if now_s < breaker.until_s:
        return breaker, False
    return replace(breaker, trying=True, until_s=now_s + within_s), True


def returned(breaker: Breaker, now_s: float) -> Breaker:
    """Return the breaker after the call that was to try the endpoint was not made after all: the next one may."""
    return replace(breaker, trying=False, until_s=now_s) if breaker.trying else breaker


def ended(breaker: Breaker, *, answered: bool, now_s: float) -> Breaker:
    """Return the breaker after a call was answered, or else was not made or is in doubt.

    1. An answer closes it, whoever's it is, and all failures are forgotten.
    2. A failure of the call that tries the endpoint opens it again, for twice as long.
    3. Failures of calls that began before it opened change nothing.
    4. The last of `FAILURES` in a row within `WINDOW_S` opens it.
    """
    if answered:
        return CLOSED
    if breaker.trying:
        pause_s = min(MAX_PAUSE_S, 2 * breaker.pause_s)
        return replace(breaker, trying=False, pause_s=pause_s, until_s=now_s + pause_s)
    if breaker.pause_s:
        return breaker
    recent = (*(at_s for at_s in breaker.failed_s if now_s - at_s < WINDOW_S), now_s)
    if len(recent) < FAILURES:
        return replace(breaker, failed_s=recent)
    return Breaker(failed_s=recent, pause_s=PAUSE_S, until_s=now_s + PAUSE_S)


CLOSED = Breaker()
