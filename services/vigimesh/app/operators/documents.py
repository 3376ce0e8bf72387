"""What the commands about documents do: bring files in, take a document back, and tell everybody at once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vigimesh.adapters.models.ocr import page_reader
from vigimesh.app.config.settings import Settings
from vigimesh.background.librarian.folder import Readings, files_below, read_files
from vigimesh.domain.knowledge.editions import Sorted
from vigimesh.domain.knowledge.indexing import indexed
from vigimesh.domain.knowledge.sections import Sectioned
from vigimesh.domain.knowledge.texts import Identity
from vigimesh.errors import Misconfigured, Refused, VigimeshError
from vigimesh.ports import Library

#: Transactional id of commands that announce: not a librarian's, so that a command never fences one.
ANNOUNCING = "vigimesh.operator.knowledge"


@dataclass(frozen=True, slots=True, kw_only=True)
class Brought:
    """What became of files: documents that are new and that were there already, and what was refused, with its file.

    `withdrawn` are the ids of those of which nothing is served: the same bytes again do not bring them back.

    A conflict is of a document; its file names all the files that hold it.
    """

    new: tuple[Sectioned, ...]
    there: tuple[Sectioned, ...]
    refused: tuple[tuple[str, VigimeshError], ...]
    withdrawn: frozenset[str] = frozenset()


def read_paths(paths: Iterable[str], identity: Identity | None) -> Readings:
    """Read every file of `paths`.

    Raises `Refused` VM-2502 for a path that is empty or not there, `Misconfigured` VM-1102 for one identity and several files.
    """
    files = [file for path in paths for file in files_below(_path(path))]
    if identity is not None and len(files) != 1:
        raise Misconfigured("VM-1102", what=f"--id names one document, and there are {len(files)} files",
                            where="vigimesh knowledge ingest", todo="give one file, or write NAME.toml beside each")  # fmt: skip
    return read_files(files, identity, page_reader())


def _path(written: str) -> Path:
    """Return the path; an empty one, as an unset variable of a script gives it, would be the folder where the command runs."""
    if not written.strip():
        raise Refused("VM-2502", what="the path is empty", where="vigimesh knowledge ingest",
                      todo="name a file or folder; `.` is the folder you are in")  # fmt: skip
    return Path(written)


def bring(library: Library, readings: Readings, by: str) -> Brought:
    """Let what was read enter the library, in one transaction; raises `Transient` VM-1501 when that is away."""
    sources = [source for _, source in readings.read]
    done = library.ingest(sources, by=by) if sources else Sorted(new=(), there=(), conflicts=())
    refused = [(str(path), error) for path, error in readings.refused]
    return Brought(
        new=done.new, there=done.there, refused=(*refused, *((_files(readings, error), error) for error in done.conflicts)),
        withdrawn=library.known().withdrawn if done.there else frozenset(),
    )  # fmt: skip


def tell_all(settings: Settings, library: Library) -> tuple[int, str]:
    """Announce what is not announced yet; return how many changes were, and why not all could be, or "".

    Without Kafka, or with trouble there, the librarian announces it: it stands in the library.
    """
    if not (settings.kafka.bootstrap and settings.registry.url):
        return 0, "no Kafka is configured"
    try:
        return asyncio.run(_announce(settings, library)), ""
    except VigimeshError as error:
        return 0, str(error)


def shown(source: Sectioned) -> dict[str, Any]:
    """Return what is said of a document that was read."""
    one = source.document
    return {
        "document": one.id, "version": one.version, "title": one.title, "kind": one.kind, "digest": one.digest,
        "effective": source.effective, "sections": len(source.sections), "passages": len(indexed(source)),
        "characters": len(one.text), "names": len(one.names) + len(one.aliases), "remarks": list(source.remarks),
    }  # fmt: skip


def current_version(library: Library, document: str) -> str:
    """Return the version of a document that is current, of a withdrawn one the newest. Raises `Refused` VM-1514 without one."""
    versions = [one for one in library.documents() if one.id == document]
    if not versions:
        raise Refused("VM-1514", what="no version of it is there", where=document,
                      todo="`vigimesh knowledge show` lists the documents")  # fmt: skip
    return next((one.version for one in versions if one.current), versions[0].version)


def _files(readings: Readings, error: VigimeshError) -> str:
    """Name the files that an error about a document is about."""
    return ", ".join(
        str(path)
        for path, source in readings.read
        if error.where.startswith(f"document {source.document.id},")
    )


async def _announce(settings: Settings, library: Library) -> int:
    from vigimesh.adapters.kafka.desks.orders import RecordDesk
    from vigimesh.app.config.clients import codec_of, quiet_kafka_of
    from vigimesh.background.librarian.announce import Announce
    from vigimesh.clock import SystemClock

    base = quiet_kafka_of(settings)
    desk = RecordDesk(base, writer=ANNOUNCING)
    codec = codec_of(settings)
    try:
        return await Announce(library=library, desk=desk, codec=codec, clock=SystemClock()).step()
    finally:
        await desk.close()


def plain_errors(refused: Sequence[tuple[str, VigimeshError]]) -> list[dict[str, str]]:
    """Return errors for JSON, each with its file."""
    return [
        {"file": file, "code": error.code, "what": error.what, "where": error.where, "todo": error.todo}
        for file, error in refused
    ]
