"""Writes the demo's input into a folder, and says what reading it must give."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from random import Random
from uuid import UUID

from vigimesh.app.demo import line_cases, vaers_cases
from vigimesh.app.demo.builder import RECEIVER, SENDER, Calendar
from vigimesh.app.demo.e2b_cases import batch_cases
from vigimesh.app.demo.e2b_writer import batch
from vigimesh.events.avro import Schema, schema_of
from vigimesh.events.classes import CaseReceived
from vigimesh.events.codec import Codec
from vigimesh.events.topics import topic

#: Starts the one source of chance, so that two demos of one day are the same to the byte.
SEED = 20_260_301

#: The day a demo is written on unless told otherwise.
DEMO_DAY = date(2026, 3, 2)

BATCH_FILE, DOCUMENTS_FILE, CALLS_FILE = "icsr-batch.xml", "documents.jsonl", "calls.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoExpectations:
    """What reading the folder gives: read = accepted + refused. `refusals` names each in words."""

    read: int
    accepted: int
    refused: int
    refusals: tuple[str, ...]
    files: tuple[str, ...]


def write_demo(folder: Path, *, today: date = DEMO_DAY) -> DemoExpectations:
    """Write the demo's files into `folder` (made when missing); the same day gives the same bytes.

    Raises `OSError` when the folder cannot be written.
    """
    calendar = Calendar(today=today)
    icsrs = batch_cases(calendar)
    documents, calls = line_cases.documents(calendar), line_cases.calls(calendar)
    files = {
        BATCH_FILE: batch(
            icsrs,
            number=f"DEMO-{today.isoformat()}",
            sent_on=calendar.moment(0),
            sender=SENDER,
            receiver=RECEIVER,
        ),
        DOCUMENTS_FILE: _lines(*(line_cases.line(one) for one in documents)),
        CALLS_FILE: _lines(*(line_cases.line(one) for one in calls), line_cases.CUT_LINE),
        **vaers_cases.tables(calendar, Random(SEED)),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    refusals = (
        f"{BATCH_FILE}: report 0044 is sent a second time, byte for byte",
        f"{BATCH_FILE}: the last message names no report",
        f"{CALLS_FILE}: the last line is cut off and no JSON",
    )
    read = len(icsrs) + len(documents) + len(calls) + 1 + len(vaers_cases.REPORTS)
    return DemoExpectations(
        read=read,
        accepted=read - len(refusals),
        refused=len(refusals),
        refusals=refusals,
        files=tuple(sorted(files)),
    )


def poison_record(schema_id: int = 1) -> tuple[str, bytes, bytes]:
    """Return topic, key and value of a record that claims `schema_id` and is cut off in the middle.

    It is written straight to the topic, past the door: it must be accepted, found unreadable and dead-lettered.
    """
    where = topic("case.received.normal")
    one = line_cases.calls(Calendar(today=DEMO_DAY))[0]
    whole = Codec(schemas=_OneId(schema_id)).encode(where, CaseReceived(case=one))
    return where, b"default/DE-CALLCENTRE-POISON", whole[: len(whole) // 2]


def _lines(*lines: str) -> bytes:
    return ("\n".join(lines) + "\n").encode()


@dataclass(frozen=True, slots=True)
class _OneId:
    """A registry that gives our schemas one id; enough to write one record."""

    number: int

    def id_of(self, subject: str) -> int:
        """Return the one id."""
        return self.number

    def schema(self, schema_id: int) -> Schema:
        """Return the one schema."""
        return schema_of(CaseReceived)

    def schema_by_guid(self, guid: UUID) -> Schema:
        """Return the one schema."""
        return schema_of(CaseReceived)
