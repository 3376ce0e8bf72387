"""The library in memory: the twin of `postgres/library`, for tests and for a mesh without a database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from vigimesh.clock import Clock, SystemClock
from vigimesh.domain.knowledge.chunks import version_ordinal
from vigimesh.domain.knowledge.editions import (
    Edition,
    Shelved,
    Sorted,
    Source,
    changes,
    no_such_version,
    sort_out,
    withdrawal,
)
from vigimesh.domain.knowledge.freshness import Known
from vigimesh.domain.knowledge.indexing import indexed
from vigimesh.domain.knowledge.sections import Sectioned
from vigimesh.domain.knowledge.warm import LastTwo, Standing, last_two
from vigimesh.events.knowledge import DocumentVersioned

_Version = tuple[str, str]


@dataclass(slots=True)
class MemoryLibrary:
    """`ports.Library` over documents held in memory. `number` grows with every change of what may be found."""

    clock: Clock = field(default_factory=SystemClock)
    number: int = 0
    _held: dict[_Version, tuple[Sectioned, Shelved]] = field(default_factory=dict)
    _changes: dict[tuple[str, str, bool], DocumentVersioned] = field(default_factory=dict)
    _announced: set[tuple[str, str, bool]] = field(default_factory=set)

    def ingest(self, sources: Sequence[Sectioned], *, by: str) -> Sorted:
        """Store what is new; see `ports.Library.ingest`."""
        found = self._sorted(sources)
        self._enter(found.new, by)
        return found

    def load(self, sources: Iterable[Sectioned]) -> tuple[Sectioned, ...]:
        """Store the shipped documents that are not there yet; see `PgLibrary.load`."""
        before = dict(self._held)
        found = self._sorted(tuple(sources))
        if found.conflicts:
            self._held = before
            raise found.conflicts[0]
        self._enter(found.new, "vigimesh")
        return found.new

    def withdraw(self, document_id: str, *, by: str, reason: str) -> DocumentVersioned:
        """Take a document back; see `ports.Library.withdraw`."""
        there = [one for one in self.documents() if one.id == document_id]
        newest = (there[0].version, there[0].digest, there[0].effective) if there else ("", "", "")
        change = withdrawal(document_id, newest, there[0].withdrawn_by if there else "", (by, reason))
        for one in there:
            if not one.withdrawn_by:
                source, shelved = self._held[one.id, one.version]
                taken = replace(shelved, withdrawn_by=by, withdrawn_why=reason, current=False)
                self._held[one.id, one.version] = source, taken
        self._tell([change])
        self.number += 1
        return change

    def unannounced(self, limit: int) -> Sequence[DocumentVersioned]:
        """Return the oldest changes that nobody has announced, at most `limit`."""
        return [one for name, one in self._changes.items() if name not in self._announced][:limit]

    def announced(self, changes: Iterable[DocumentVersioned]) -> None:
        """Mark changes as announced."""
        self._announced.update((one.document_id, one.version, one.withdrawn) for one in changes)

    def known(self) -> Known:
        """Return each document's current version, and those withdrawn."""
        current = self._current()
        return Known(
            current=current, withdrawn=frozenset(name for name, _ in self._held if name not in current)
        )

    def source(self, document_id: str, version: str) -> Sectioned:
        """Return a version as it was read; see `ports.Library.source`."""
        found = self._held.get((document_id, version))
        if found is None:
            raise no_such_version(
                document_id, version, [one.version for one in self.documents() if one.id == document_id][:5]
            )
        return found[0]

    def reindex(self, document_id: str, version: str) -> int:
        """Index a version anew, as every look at this library does; see `ports.Library.reindex`."""
        source = self.source(document_id, version)
        self.number += 1
        return len(indexed(source))

    def documents(self) -> Sequence[Shelved]:
        """Return every version, by id, the newest first."""
        newest = sorted(
            (one for _, one in self._held.values()),
            key=lambda one: version_ordinal(one.version),
            reverse=True,
        )
        return sorted(newest, key=lambda one: one.id)

    def sources(self) -> Sequence[Source]:
        """Return each document's current version; see `ports.Library.sources`."""
        return [
            Source(id=one.id, version=one.version, title=one.title, at=one.at, seen=one.seen)
            for one in self.documents()
            if one.current
        ]

    def last_two(self, known: int | None) -> LastTwo | None:
        """Return what summaries are made of, or `None`; see `ports.Library.last_two`."""
        if known == self.number:
            return None
        rows = [
            Standing(id=one.id, version=one.version, current=one.current, withdrawn=bool(one.withdrawn_by))
            for one in self.documents()
        ]
        return LastTwo(number=self.number, pairs=tuple(last_two(rows)))

    def current(self) -> Sequence[Sectioned]:
        """Return what is searched, by id."""
        return [self._held[name, version][0] for name, version in sorted(self._current().items())]

    def _current(self) -> dict[str, str]:
        return {one.id: one.version for _, one in self._held.values() if one.current}

    def _sorted(self, sources: Sequence[Sectioned]) -> Sorted:
        found = sort_out((Edition.of(source) for source, _ in self._held.values()), sources)
        again = {Edition.of(source).number for source in found.there}
        for name, (held, shelved) in self._held.items():
            if Edition.of(held).number in again:
                self._held[name] = held, replace(shelved, seen=self.clock.now())
        return found

    def _enter(self, sources: Sequence[Sectioned], by: str) -> None:
        if not sources:
            return
        before, now = self._current(), self.clock.now()
        for source in sources:
            one = source.document
            self._held[one.id, one.version] = source, Shelved(
                id=one.id, version=one.version, title=one.title, kind=one.kind, digest=one.digest,
                effective=source.effective, by=by, at=now, seen=now, current=False,
                passages=len(indexed(source)), remarks=source.remarks,
            )  # fmt: skip
        newest: dict[str, str] = {}
        for shelved in self.documents():
            newest.setdefault(shelved.id, shelved.version)
        for name, (source, shelved) in self._held.items():
            current = newest[shelved.id] == shelved.version and not shelved.withdrawn_by
            self._held[name] = source, replace(shelved, current=current)
        self._tell(changes(before, self._current(), sources, by))
        self.number += 1

    def _tell(self, made: Iterable[DocumentVersioned]) -> None:
        for one in made:
            self._changes[one.document_id, one.version, one.withdrawn] = one
