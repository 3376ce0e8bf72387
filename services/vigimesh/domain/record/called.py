"""What the stages called an event that they took: of what is not called as its header says."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import msgspec

from vigimesh.domain.record.rows import AuditFact, Row
from vigimesh.domain.record.works import INPUTS
from vigimesh.events import ids
from vigimesh.events.topics import topic

_DEAD = topic("deadletter")


def as_called(
    rows: Sequence[Row], facts: Sequence[AuditFact]
) -> tuple[tuple[Row, ...], tuple[AuditFact, ...]]:
    """Return rows and facts with one name for each event, by which they can be matched.

    A record that could not be read is called by its name and its bytes, one from a door by its message id (see `loop/handle`): as
    dead letters and audits say. One that could be read in the end, after it was sent back, keeps the first of its names.
    """
    known = {row.key for row in rows if row.topic == _DEAD} | {fact.event_id for fact in facts}
    unread = {name for name in known if ids.is_unread(name)}
    named = {ids.given_id(name) for name in unread} | unread
    others: dict[str, set[str]] = {}
    kept: set[str] = set()
    told = []
    for row in rows:
        if row.topic not in INPUTS:
            told.append(row)
            continue
        name = _name(row, known, row.headers.id in named)
        if name == row.headers.id:
            kept.add(name)
        else:
            for other in (row.headers.id, row.headers.messageid):
                others.setdefault(other, set()).add(name)
            row = replace(row, headers=msgspec.structs.replace(row.headers, id=name))
        told.append(row)
    one = {other: names.pop() for other, names in others.items() if len(names) == 1 and other not in kept}
    return tuple(told), tuple(_renamed(facts, one))


def _name(row: Row, known: set[str], may_be_unread: bool) -> str:
    if may_be_unread and row.unread_id in known:
        return row.unread_id
    given, message = row.headers.id, row.headers.messageid
    return message if message and given not in known and message in known else given


def _renamed(facts: Iterable[AuditFact], names: dict[str, str]) -> Iterator[AuditFact]:
    for fact in facts:
        name = names.get(fact.event_id)
        yield fact if name is None else replace(fact, event_id=name)
