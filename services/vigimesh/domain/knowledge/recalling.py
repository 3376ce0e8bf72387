"""Advice recall: which conclusions a changed document touches, how urgent each is, and whether the new result is the old one.

What was served before a change was known is found by what it cites, not by when: telemetry that arrives late is found too.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from vigimesh.domain.knowledge.chunks import version_ordinal
from vigimesh.domain.knowledge.freshness import AnswerScope, Cited, Entry, Known, verdict
from vigimesh.domain.safety.clock_rules import shipped_rules
from vigimesh.domain.safety.clocks import add_days, end_of_day
from vigimesh.domain.safety.grade import SERIOUS_GRADE
from vigimesh.events.classes import Clock, Triage
from vigimesh.events.knowledge import Passage, Recall

#: Time left of a clock below which a recalled case is hot, as long as a parked one must leave (`domain/budget/waiting.ROOM`):
#: a person must still be able to look at it and submit.
HOT_BELOW = timedelta(days=2)
#: Time left below which it is warm: a cold lane may rest over a long week-end.
WARM_BELOW = timedelta(days=7)
#: Passages that a recall names: those of three passes (`Recall.passages`).
MAX_PASSAGES = 36


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """A version of a document as the library has it. `current`: it is what is searched; of a withdrawn document none is."""

    document_id: str
    version: str
    current: bool
    brought_at: datetime
    withdrawn_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What became of a document: `version` stands now (of a withdrawn one: stood last), `stale` are those that do not."""

    document_id: str
    version: str
    withdrawn: bool
    known_at: datetime
    stale: tuple[str, ...]

    @property
    def cause(self) -> str:
        """The cause of the recalls that it makes; see `Recall.cause`."""
        return f"{self.document_id}@{self.version}" + (" withdrawn" if self.withdrawn else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """A version of a case that was given passages of stale versions of a document.

    `state` is `found`, `ordered` or `left`, with `why` it was left; `passages` are `document@version#start-end`.
    """

    case_id: str
    message_id: str
    document_id: str
    versions: tuple[str, ...]
    passages: tuple[str, ...]
    state: str = "found"
    why: str = ""


#: What a version ended as when a machine's conclusion stands.
DECIDED = frozenset({"auto_accepted", "upheld"})


def touched(document_id: str, version: str, known: Known, now: datetime) -> bool:
    """Return whether what cites `version` of a document is to be looked at again: it is superseded, or the document withdrawn.

    By the rule that no cache serves it (`freshness.verdict`). A document or version that is not known touches nothing: nobody knows what changed.
    """
    scope = AnswerScope(document_id=document_id, section="", version=version)
    cited = Cited(document_id=document_id, version=version)
    entry = Entry(scope=scope, question_key="", cited=(cited,), read_at=now)
    return verdict(entry, scope, known, timedelta(days=1), now) in ("superseded", "withdrawn")


def changes(versions: Sequence[Brought], now: datetime) -> tuple[Change, ...]:
    """Return for each document that has versions which are to be looked for what it changed to, by document id."""
    documents: dict[str, list[Brought]] = {}
    for one in versions:
        documents.setdefault(one.document_id, []).append(one)
    known = Known(
        current={one.document_id: one.version for one in versions if one.current},
        withdrawn=frozenset(name for name, all_ in documents.items() if not any(one.current for one in all_)),
    )
    found = []
    for name, all_ in sorted(documents.items()):
        stale = tuple(one.version for one in all_ if touched(name, one.version, known, now))
        if not stale:
            continue
        gone = name in known.withdrawn
        last = newest(one.version for one in all_ if gone or one.current)
        whole = next(one for one in all_ if one.version == last)
        at = (whole.withdrawn_at if gone else None) or whole.brought_at
        found.append(Change(document_id=name, version=last, withdrawn=gone, known_at=at, stale=stale))
    return tuple(found)


def newest(versions: Iterable[str]) -> str:
    """Return the newest of versions of one document; raises `ValueError` for one that is no number, or without any."""
    return max(versions, key=version_ordinal)


def lane_for(
    *, serious: str, grade: int, urgent: bool, due_at: datetime | None, now: datetime
) -> tuple[str, str]:
    """Return the lane of a recall and why: cold only where nothing waits that must not (P3).

    A case that is serious, or not known to be non-serious, or that its sender marked, is hot. A clock that is still to
    end decides by the time it leaves. One that ended before the change was found leaves nothing that hurry could save.
    """
    if serious != "no" or grade >= SERIOUS_GRADE or urgent:
        return "hot", "it is serious, urgent, or not known to be neither"
    if due_at is None or due_at <= now:
        return "cold", "no clock runs" if due_at is None else f"its clock ended on {due_at:%Y-%m-%d}"
    left = due_at - now
    lane = "hot" if left < HOT_BELOW else "warm" if left < WARM_BELOW else "cold"
    return lane, f"its clock ends on {due_at:%Y-%m-%d}"


def clock_after(recall: Recall, clock: Clock) -> Clock:
    """Return the clock of a recalled version, whose tools say `clock`, counted from its own day 0.

    1. A clock that is no stricter than the earlier one: the earlier end stands, since no obligation gets later by a label.
    2. A stricter one is started by the change: the sender's information did not change, and before the change was known nobody
       could say that the case qualifies (21 CFR 312.32(c): from when the sponsor determines that it does). It counts from the day
       on which the change was known, never ends after the earlier clock, and a person confirms it.
    """
    before, after = recall.due_at, clock.due_at
    # 1.
    if after is None or (before is not None and before <= after):
        if before is None or before == after:
            return clock
        ran = (
            clock
            if after is not None
            else replace(clock, rule="earlier_clock", source="as before the recall")
        )
        return replace(ran, due_at=before)
    # 2.
    day0 = recall.known_at.astimezone(UTC).date()
    rule = next((one for one in shipped_rules() if one.name == clock.rule), None)
    due = after if rule is None else end_of_day(add_days(day0, rule.days, rule.unit))
    if before is not None:
        due = min(due, before)
    return replace(clock, day0_on=day0.isoformat(), due_at=due, person_needed=True)


def stricter(recall: Recall, clock: Clock) -> bool:
    """Return whether `clock`, counted from the version's own day 0, ends before the earlier one, or is the first."""
    return clock.due_at is not None and (recall.due_at is None or clock.due_at < recall.due_at)


def differences(
    recall: Recall, triage: Triage, accepted: bool, passages: Sequence[Passage]
) -> tuple[str, ...]:  # fmt: skip
    """Return in words where the new result is not the earlier one; empty when the earlier conclusion stands.

    `triage` is as the tools say, its clock from its own day 0; `accepted` whether the policy would let a machine accept it.
    A result that again rests on what was superseded never upholds anything.
    """
    found = []
    if accepted != (recall.earlier in DECIDED):
        found.append("a machine may accept it" if accepted else "a machine may not accept it any more")
    if triage.grade != recall.grade:
        found.append(f"grade {triage.grade}, was {recall.grade}")
    if triage.serious != recall.serious:
        found.append(f"serious {triage.serious}, was {recall.serious}")
    if triage.listed != recall.listed:
        found.append(f"listed {triage.listed}, was {recall.listed}")
    if stricter(recall, triage.clock):
        found.append(f"clock {triage.clock.rule}, was {_day(recall.due_at)}")
    again = sorted(
        {one.version for one in passages if one.document_id == recall.document_id and _stale(one, recall)}
    )
    if again:
        found.append(f"it was given {recall.document_id}@{', '.join(again)} again")
    return tuple(found)


def _stale(passage: Passage, recall: Recall) -> bool:
    try:
        return recall.withdrawn or version_ordinal(passage.version) < version_ordinal(recall.version)
    except ValueError:
        return True  # no number: which of them is the newer cannot be told


def _day(moment: datetime | None) -> str:
    return f"one until {moment:%Y-%m-%d}" if moment else "none"


def change_words(recall: Recall) -> str:
    """Return what happened to the document."""
    if recall.withdrawn:
        return f"{recall.document_id} was withdrawn"
    return f"{recall.document_id} has version {recall.version} now, and the conclusion rests on {recall.superseded}"


def earlier_words(recall: Recall) -> str:
    """Return the earlier result."""
    what = "for a person" if recall.earlier == "in_review" else recall.earlier.replace("_", " ")
    return f"{what} by rule {recall.rule or '-'}, grade {recall.grade}, serious {recall.serious}, listed {recall.listed}"
