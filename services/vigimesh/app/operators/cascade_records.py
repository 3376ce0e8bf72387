"""The records of labels and gates: each beside who did it and why, for the auditor."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from vigimesh.adapters.kafka.desks.cascade import GATE, LABEL, Said
from vigimesh.app.operators.order_records import STAGE, operator_write
from vigimesh.domain.cascade.sample import key_of
from vigimesh.events import ids
from vigimesh.events.classes import AuditRecorded
from vigimesh.events.codec import Codec
from vigimesh.events.sampling import CaseLabelled, CasePlace, GateMoved
from vigimesh.events.topics import topic
from vigimesh.loop.broker import Write

LABELLED, MOVED, LOOKED = "labelled", "moved", "looked"
_AUDIT = topic("audit")
_NOWHERE = ("", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class Doer:
    """Who does it, and when."""

    by: str
    at: datetime


def label_records(
    codec: Codec, labels: Sequence[CaseLabelled], before: Mapping[str, CaseLabelled], doer: Doer
) -> Iterator[Write]:
    """Yield each label with its audit; nothing for one that is there already."""
    for label in labels:
        earlier = before.get(label.case_id)
        if earlier == label:
            continue
        value = codec.encode(LABEL, label)
        named = f"{label.case_id}|{label.message_id}|{doer.at.isoformat()}|{label.serious}"
        why = f"serious {_word(label)}, by {label.by} at {label.at.isoformat(timespec='seconds')}"
        audit = _audit(named, value, doer, LABELLED, why, (_word(earlier), _word(label)))
        yield from _pair(codec, (LABEL, named), value, label.case_id, audit, doer)


def gate_records(
    codec: Codec, gates: Sequence[GateMoved], before: Mapping[CasePlace, GateMoved], doer: Doer
) -> Iterator[Write]:
    """Yield each gate with its audit; nothing for one that stands as it was."""
    for gate in gates:
        earlier = before.get(gate.place)
        if earlier == gate:
            continue
        value = codec.encode(GATE, gate)
        named = f"{key_of(gate.place)}|{gate.series}|{gate.look}|{doer.at.isoformat()}"
        audit = _audit(named, value, doer, MOVED, gate.reason, (gate_words(earlier), gate_words(gate)))
        yield from _pair(codec, (GATE, named), value, key_of(gate.place), audit, doer)


def daily_record(codec: Codec, place: CasePlace, words: str, doer: Doer) -> Write:
    """Return the record of a day: what the sample of a place says, what it cost, what is left to be done."""
    named = f"{key_of(place)}|{LOOKED}|{doer.at.isoformat()}"
    audit = _audit(named, words.encode(), doer, LOOKED, words, ("", ""))
    return operator_write(
        codec, (_AUDIT, audit[0]), codec.encode(_AUDIT, audit[1]), key_of(place), _NOWHERE, doer.at
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """What is on record of a place: a daily look, or a gate that was moved; when, by whom, in which words."""

    at: datetime
    place: str
    action: str
    by: str
    words: str


def entries(said: Iterable[Said]) -> list[Entry]:
    """Return what is on record of gates, the oldest first; a move says how the gate stood before and how since."""
    found = [
        Entry(
            at=one.at, place=one.key, action=one.record.action, by=one.record.actor, words=_words(one.record)
        )
        for one in said
        if one.record.action in (LOOKED, MOVED)
    ]
    return sorted(found, key=lambda one: (one.at, one.place))


def _words(record: AuditRecorded) -> str:
    if record.action == LOOKED:
        return record.why
    return f"{record.earlier or 'nobody had looked'} -> {record.new}; {record.why}"


def gate_words(gate: GateMoved | None) -> str:
    """Return how a gate stands, for people and the audit."""
    if gate is None:
        return ""
    if gate.closed:
        # "closed by NAME: why" says it already; drift says only what was seen.
        return gate.closed if gate.closed.startswith("closed ") else f"closed: {gate.closed}"
    if gate.place.certified:
        return "open by the certificate"
    return (
        f"open since look {gate.look}" if gate.open else f"closed until a look opens it, {gate.look} so far"
    )


def _word(label: CaseLabelled | None) -> str:
    return "" if label is None else "yes" if label.serious else "no"


def _audit(
    named: str, value: bytes, doer: Doer, action: str, why: str, values: tuple[str, str]
) -> tuple[str, AuditRecorded]:
    event_id = ids.event_id(named, f"{STAGE}.cascade", 1, 0)
    made = AuditRecorded(
        case_id="", message_id="", event_id=event_id, stage=STAGE, actor=doer.by, action=action, why=why,
        input_digest=ids.digest(value), earlier=values[0], new=values[1],
    )  # fmt: skip
    return ids.event_id(named, f"{STAGE}.cascade", 1, -1), made


def _pair(
    codec: Codec, named: tuple[str, str], value: bytes, key: str, audit: tuple[str, AuditRecorded], doer: Doer
) -> Iterator[Write]:
    yield operator_write(codec, (named[0], audit[1].event_id), value, key, _NOWHERE, doer.at)
    yield operator_write(codec, (_AUDIT, audit[0]), codec.encode(_AUDIT, audit[1]), key, _NOWHERE, doer.at)
