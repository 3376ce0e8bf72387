"""Whether a triaged case may wait for money: only one that is not serious, and only while its legal clock leaves room."""

from __future__ import annotations

from datetime import datetime, timedelta

from vigimesh.domain.safety.grade import SERIOUS_GRADE
from vigimesh.events.classes import Triage

#: What is left of a clock when a case comes back from waiting: a person must still be able to look at it and submit.
ROOM = timedelta(days=2)


def waits_until(triage: Triage, lane: str, opens_at: datetime | None) -> datetime | None:
    """Return `opens_at`, when the budget has room again, if the case may wait for it, else `None`: a person decides (P3).

    Never in the hot lane, never without its four criteria, never when serious or not known to be non-serious, and never
    when a person has to confirm the clock: nobody knows then how much room it leaves. Without a legal clock there is room.
    """
    due_at = triage.clock.due_at
    if opens_at is None or lane == "hot" or not triage.valid or triage.clock.person_needed:
        return None
    if triage.serious != "no" or triage.grade >= SERIOUS_GRADE:
        return None
    return opens_at if due_at is None or opens_at <= due_at - ROOM else None
