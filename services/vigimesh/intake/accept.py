"""The verb of the door: which of the two topics a case goes to, and what of it moves to the object store. Pure."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass

import msgspec

from vigimesh.events.case import Case
from vigimesh.events.classes import CaseReceived
from vigimesh.events.ids import digest
from vigimesh.intake.values import Accepted, Refusal

#: Bytes of a narrative, in UTF-8, that an event carries; a larger payload goes by digest.
NARRATIVE_BYTES = 64 * 1024
#: Bytes of a narrative that is accepted at all: some 4,000 pages. What is longer is another file sent by mistake.
LONGEST_NARRATIVE_BYTES = 8 * 1024 * 1024
#: Bytes of an event. Brokers take 1 MiB a record by default; headers and later stages need the rest.
EVENT_BYTES = 900 * 1000
#: Characters of an id. Ids are Kafka keys, file names of exports and columns of tables.
ID_CHARS = 250
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_IDS = ("case_id", "report_id", "worldwide_id", "sender", "receiver", "study_id")
#: Null flavours of a date of death that say nothing about a death.
_NO_DEATH = frozenset({"", "NI", "NA"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Admitted:
    """A case that may enter: the event for its door, and the bytes to put into the object store before it, source first."""

    event: CaseReceived
    objects_to_store: tuple[bytes, ...]


def door_of(case: Case) -> str:
    """Return the door of a case: "urgent" when it may be serious by what its fields say, else "normal".

    Urgent: the upstream hint; any seriousness criterion (E.i.3.2); a term highlighted as serious (E.i.3.1 = 3, 4); a date
    of death (D.9.1), also one that is masked or unknown; the outcome fatal (E.i.7). The text is read later, by the tools.
    """
    serious = any(r.criteria or r.highlighted in {"3", "4"} or r.outcome == "fatal" for r in case.reactions)
    died = case.patient.died_on not in _NO_DEATH
    return "urgent" if case.urgent or case.criteria or serious or died else "normal"


def accept(item: Accepted) -> Admitted | Refusal:
    """Return the event of a case that was read, bounded to what a topic takes, or why it is refused."""
    case = item.case
    for name in _IDS:
        problem = _bad_id(getattr(case, name))
        if problem:
            return _refuse(item, "VM-1415", f"{name} {problem}", f"correct {name} and send the message again")
    for linked in case.linked_ids:
        problem = _bad_id(linked)
        if problem:
            return _refuse(
                item, "VM-1415", f"a linked id {problem}", "correct the linked id and send the message again"
            )
    try:
        narrative = case.narrative.encode()
    except UnicodeEncodeError:
        return _refuse(
            item, "VM-1404", "the narrative holds half of a character (a surrogate)", "send the text in UTF-8"
        )
    objects = [item.source_bytes, *(data for _, data in item.attachments)]
    if len(narrative) > LONGEST_NARRATIVE_BYTES:
        return _refuse(
            item, "VM-1407", f"the narrative has {len(narrative)} bytes, at most {LONGEST_NARRATIVE_BYTES} are taken",
            "shorten it, or send the text as an attachment",
        )  # fmt: skip
    if len(narrative) > NARRATIVE_BYTES:
        case = dataclasses.replace(case, narrative="", narrative_ref=digest(narrative))
        objects.append(narrative)
    event = CaseReceived(case=case, door=door_of(case))
    size = _size(event)
    if size > EVENT_BYTES:
        return _refuse(
            item, "VM-1407", f"the case has {size} bytes without its narrative, at most {EVENT_BYTES} fit into an event",
            "send fewer or shorter products, reactions and linked ids",
        )  # fmt: skip
    return Admitted(event=event, objects_to_store=tuple(objects))


def _bad_id(text: str) -> str:
    if len(text) > ID_CHARS:
        return f"has {len(text)} characters, at most {ID_CHARS} are taken"
    found = _CONTROL.search(text)
    return f"holds the control character U+{ord(found[0]):04X}" if found else ""


def _refuse(item: Accepted, code: str, what: str, todo: str) -> Refusal:
    source, _, place = item.case.source.rpartition("#")
    return Refusal(
        source=source, place=place, code=code, what=what, todo=todo, source_bytes=item.source_bytes
    )


def _size(event: CaseReceived) -> int:
    """Return a bound on the encoded bytes: the event in JSON, or exactly counted when that is over the limit."""
    size = len(msgspec.json.encode(event))
    return size if size <= EVENT_BYTES else _counted(event)


def _counted(value: object) -> int:
    """Bound the Avro bytes of a value: a text and its length (5), a number (10), a list and its ends (6)."""
    if isinstance(value, str):
        return len(value.encode()) + 5
    if isinstance(value, tuple):
        return 6 + sum(map(_counted, value))
    if dataclasses.is_dataclass(value):
        return sum(_counted(getattr(value, field.name)) for field in dataclasses.fields(value))
    return 10
