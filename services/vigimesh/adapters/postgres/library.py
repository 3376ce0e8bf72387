"""Documents into PostgreSQL and out again: versions with their texts and passages, what was withdrawn, and what is not announced yet.

All that a call changes is one transaction, with the change that is to be announced: whoever announces reads what was committed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from vigimesh.adapters.postgres.schema import Connection, Pool, blocks, connection, open_pool
from vigimesh.domain.knowledge.chunks import Document, version_ordinal
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
from vigimesh.domain.knowledge.indexing import Indexed, indexed
from vigimesh.domain.knowledge.sections import Section, Sectioned
from vigimesh.domain.knowledge.warm import LastTwo, Standing, last_two
from vigimesh.events.knowledge import DocumentVersioned

#: Number of the advisory lock under which documents come and go, one writer at a time.
LOAD_LOCK = 5_160_002
#: Who brought the documents that come with the package.
SHIPPED = "vigimesh"
#: Positions that PostgreSQL keeps of a word, and the last one it can write.
_MAX_POSITIONS, _LAST_POSITION = 255, 16_383


def load_into(uri: str, sources: Iterable[Sectioned]) -> tuple[Sectioned, ...]:
    """Do what `PgLibrary.load` does over a connection of its own."""
    library = PgLibrary(uri, application_name="vigimesh load")
    try:
        return library.load(sources)
    finally:
        library.close()


class PgLibrary:
    """`ports.Library` over PostgreSQL. Several threads may share one."""

    def __init__(self, uri: str, *, application_name: str = "vigimesh library") -> None:
        """Open a pool on `uri`; a server that is away shows at the first call."""
        self._pool: Pool = open_pool(uri, application_name, size=1)
        self._sql = blocks("library.sql")

    def close(self) -> None:
        """Give the connection back to the server."""
        self._pool.close()

    def ingest(self, sources: Sequence[Sectioned], *, by: str) -> Sorted:
        """Store what is new; see `ports.Library.ingest`."""
        with connection(self._pool) as own:
            found = self._sorted(own, sources)
            self._enter(own, found.new, by)
        return found

    def load(self, sources: Iterable[Sectioned]) -> tuple[Sectioned, ...]:
        """Store the shipped documents that are not there yet, all or none, and return them; again changes nothing.

        Raises `Refused` VM-1502 when a version that is there has another text, `Transient` VM-1501 when the base is away.
        """
        with connection(self._pool) as own:
            found = self._sorted(own, tuple(sources))
            if found.conflicts:
                raise found.conflicts[0]
            self._enter(own, found.new, SHIPPED)
        return found.new

    def withdraw(self, document_id: str, *, by: str, reason: str) -> DocumentVersioned:
        """Take a document back; see `ports.Library.withdraw`."""
        identity = {"id": document_id, "ids": [document_id]}
        with connection(self._pool) as own:
            self._hold(own)
            row = own.execute(self._sql["newest"], identity).fetchone()
            version, digest, effective, earlier = row[:4] if row else ("", "", "", "")
            change = withdrawal(document_id, (version, digest, effective), earlier, (by, reason))
            own.execute(self._sql["withdraw"], identity | {"by": by, "reason": reason})
            own.execute(self._sql["promote_passages"], identity)
            self._tell(own, [change])
            own.execute(self._sql["advance_state"])
        return change

    def unannounced(self, limit: int) -> Sequence[DocumentVersioned]:
        """Return the oldest changes that nobody has announced, at most `limit`."""
        with connection(self._pool) as own:
            rows = own.execute(self._sql["unannounced"], {"most": limit}).fetchall()
        return [
            DocumentVersioned(
                document_id=row[0], version=row[1], digest=row[2], supersedes=row[3], effective=row[4], withdrawn=row[5],
                by=row[6], reason=row[7],
            )
            for row in rows
        ]  # fmt: skip

    def announced(self, changes: Iterable[DocumentVersioned]) -> None:
        """Mark changes as announced; what is marked already stays as it is."""
        rows = [
            {"id": one.document_id, "version": one.version, "withdrawn": one.withdrawn} for one in changes
        ]
        with connection(self._pool) as own, own.cursor() as cursor:
            cursor.executemany(self._sql["announced"], rows)

    def known(self) -> Known:
        """Return each document's current version, and the documents that have none because they were withdrawn."""
        with connection(self._pool) as own:
            rows = own.execute(self._sql["known"]).fetchall()
        return Known(
            current={name: version for name, version, current in rows if current},
            withdrawn=frozenset(name for name, _, current in rows if not current),
        )

    def source(self, document_id: str, version: str) -> Sectioned:
        """Return a version as it was read; see `ports.Library.source`."""
        with connection(self._pool) as own:
            return self._source(own, document_id, version)

    def reindex(self, document_id: str, version: str) -> int:
        """Cut and index a version anew from the text that is kept; see `ports.Library.reindex`."""
        identity = {"id": document_id, "version": version, "ids": [document_id]}
        with connection(self._pool) as own, own.cursor() as cursor:
            self._hold(own)
            rows = list(_passages(self._source(own, document_id, version)))
            cursor.execute(self._sql["remove_passages"], identity)
            cursor.executemany(self._sql["add_passage"], rows)
            cursor.execute(self._sql["promote_passages"], identity)
            cursor.execute(self._sql["advance_state"])
        return len(rows)

    def _source(self, own: Connection, document_id: str, version: str) -> Sectioned:
        identity = {"id": document_id, "version": version}
        row = own.execute(self._sql["source"], identity).fetchone()
        if row is None or row[5] is None:
            others = [name for (name,) in own.execute(self._sql["versions"], identity)]
            raise no_such_version(document_id, version, others)
        title, kind, names, aliases, digest, body, sections, effective, remarks = row
        document = Document(
            id=document_id, version=version, title=title, kind=kind, names=tuple(names), aliases=tuple(aliases),
            text=body, digest=digest,
        )  # fmt: skip
        return Sectioned(
            document=document, sections=_sections(sections), effective=effective, remarks=tuple(remarks)
        )

    def documents(self) -> Sequence[Shelved]:
        """Return every version, by id, the newest first."""
        with connection(self._pool) as own:
            rows = own.execute(self._sql["documents"]).fetchall()
        return [
            Shelved(
                id=row[0], version=row[1], title=row[2], kind=row[3], digest=row[4], effective=row[5], by=row[6], at=row[7],
                seen=row[8], current=row[9], remarks=tuple(row[10]), withdrawn_by=row[11], withdrawn_why=row[12],
                passages=row[13],
            )
            for row in rows
        ]  # fmt: skip

    def sources(self) -> Sequence[Source]:
        """Return each document's current version; see `ports.Library.sources`."""
        with connection(self._pool) as own:
            rows = own.execute(self._sql["sources"]).fetchall()
        return [Source(id=row[0], version=row[1], title=row[2], at=row[3], seen=row[4]) for row in rows]

    def last_two(self, known: int | None) -> LastTwo | None:
        """Return what summaries are made of, or `None`; see `ports.Library.last_two`."""
        with connection(self._pool) as own:
            # The number first: what changes in between is read with the number before it, and so once more.
            ((number,),) = own.execute(self._sql["number"]).fetchall()
            if number == known:
                return None
            rows = own.execute(self._sql["standing"]).fetchall()
        held = [Standing(id=row[0], version=row[1], current=row[2], withdrawn=row[3]) for row in rows]
        return LastTwo(number=number, pairs=tuple(last_two(held)))

    def _hold(self, own: Connection) -> None:
        own.execute(self._sql["lock"], {"lock": LOAD_LOCK})

    def _sorted(self, own: Connection, sources: Sequence[Sectioned]) -> Sorted:
        """Sort out what arrived; what was there already is seen again, and gets the text that an older release did not keep."""
        self._hold(own)
        ids = list({source.document.id for source in sources})
        rows = own.execute(self._sql["editions"], {"ids": ids})
        known = [Edition(id=row[0], version=row[1], digest=row[2], reading=row[3]) for row in rows]
        found = sort_out(known, sources)
        bare = {(one.id, one.version) for one in known if not one.reading}
        for source in found.there:
            own.execute(self._sql["seen"], _row(source))
            if (source.document.id, source.document.version) in bare:
                own.execute(self._sql["complete_document"], _row(source))
        return found

    def _enter(self, own: Connection, sources: Sequence[Sectioned], by: str) -> None:
        if not sources:
            return
        ids = {"ids": list({source.document.id for source in sources})}
        before = dict[str, str](own.execute(self._sql["current"], ids).fetchall())
        with own.cursor() as cursor:
            for source in sources:
                cursor.execute(self._sql["add_document"], _row(source) | {"by": by})
                cursor.executemany(self._sql["add_passage"], list(_passages(source)))
        own.execute(self._sql["promote_documents"], ids)
        own.execute(self._sql["promote_passages"], ids)
        after = dict[str, str](own.execute(self._sql["current"], ids).fetchall())
        self._tell(own, changes(before, after, sources, by))
        own.execute(self._sql["advance_state"])

    def _tell(self, own: Connection, made: Iterable[DocumentVersioned]) -> None:
        with own.cursor() as cursor:
            cursor.executemany(
                self._sql["add_change"],
                [
                    {
                        "id": one.document_id, "version": one.version, "withdrawn": one.withdrawn, "digest": one.digest,
                        "supersedes": one.supersedes, "effective": one.effective, "by": one.by, "reason": one.reason,
                    }
                    for one in made
                ],
            )  # fmt: skip


def _row(source: Sectioned) -> dict[str, Any]:
    one = source.document
    sections = [[part.path, part.codes, part.opens, part.start, part.end] for part in source.sections]
    return {
        "id": one.id, "version": one.version, "ordinal": list(version_ordinal(one.version)), "digest": one.digest,
        "title": one.title, "kind": one.kind, "names": list(one.names), "aliases": list(one.aliases), "body": one.text,
        "sections": json.dumps(sections), "reading": source.reading, "effective": source.effective,
        "remarks": list(source.remarks),
    }  # fmt: skip


def _passages(source: Sectioned) -> Iterable[dict[str, Any]]:
    for number, one in enumerate(indexed(source)):
        place, (above_first, above_last) = one.passage.place, one.passage.above_at
        yield {
            "id": place.document, "version": place.version, "place": number, "section": place.section,
            "first": place.start, "last": place.end, "body": one.passage.text, "listed": one.listed,
            "general": source.document.general, "tokens": _vector(one), "path": list(place.path),
            "codes": list(place.codes), "above": one.passage.above, "above_first": above_first, "above_last": above_last,
        }  # fmt: skip


def _vector(one: Indexed) -> str:
    """Return the words with their positions as PostgreSQL writes a tsvector; words hold letters and digits only."""
    positions: dict[str, list[int]] = {}
    for at, token in enumerate(one.words, start=1):
        places = positions.setdefault(token, [])
        if len(places) < _MAX_POSITIONS and at <= _LAST_POSITION:
            places.append(at)
    return " ".join(
        f"'{token}':{','.join(map(str, places))}" for token, places in positions.items() if places
    )


def _sections(rows: Iterable[Sequence[Any]]) -> tuple[Section, ...]:
    return tuple(
        Section(path=tuple(path), codes=tuple(codes), opens=opens, start=start, end=end)
        for path, codes, opens, start, end in rows
    )
