"""Whether a triaged case may wait for money: only one that is not serious, only while its legal clock leaves room, and not for ever."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from vigimesh.domain.safety.grade import SERIOUS_GRADE
from vigimesh.events.classes import Triage
from vigimesh.events.ids import digest

#: How the reason of a case that waits begins, by the reason that nothing was paid: the record is read by it (P3).
WAITS: Mapping[str, str] = {"denied": "waits for money", "gathered": "waits for its answer"}
#: What is left of a clock when a case comes back from waiting: a person must still be able to look at it and submit.
ROOM = timedelta(days=2)
#: How long after its arrival a case without a legal clock may wait at most: longer than any month.
LONGEST = timedelta(days=35)
#: Over how long at most those that wait for the same moment come back: all at once they would be refused again, all but a few. Over no
#: longer than they have been here by then: so they come back no quicker than they came, and who comes back in vain waits longer.
SPREAD = timedelta(minutes=30)


def waits_for_money(reason: str) -> bool:
    """Return whether the reason of a parked case is that its budget had no room."""
    return reason.startswith(WAITS["denied"])


def waits_until(
    triage: Triage, lane: str, received_at: datetime, opens_at: datetime | None, name: str
) -> datetime | None:
    """Return until when a case waits if it may, else `None`: it goes on, to a person (P3).

    `opens_at` is when the budget has room again, `name` any name of the work, from which its place in `SPREAD` is drawn.
    Never in the hot lane, never a case without its four criteria, never when serious or not known to be non-serious, and never
    when a person has to confirm the clock: nobody knows then how much room it leaves.
    """
    # Grade 0 is a document's that tells of no event: it has no four criteria to meet.
    incomplete = not triage.valid and triage.grade > 0
    if opens_at is None or lane == "hot" or incomplete or triage.clock.person_needed:
        return None
    if triage.serious != "no" or triage.grade >= SERIOUS_GRADE:
        return None
    spread = min(SPREAD, max(opens_at - received_at, timedelta()))
    back_at = opens_at + spread * (int(digest(name.encode())[:8], 16) / 2**32)
    due_at = triage.clock.due_at
    last = received_at + LONGEST if due_at is None else due_at - ROOM
    return back_at if back_at <= last else None
