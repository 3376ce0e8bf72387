"""Which of the documents that arrived are new, which are there already, and which contradict what is there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from vigimesh.domain.knowledge.chunks import version_ordinal
from vigimesh.domain.knowledge.sections import Sectioned
from vigimesh.errors import Refused
from vigimesh.events.knowledge import DocumentVersioned

#: Longest reason for a withdrawal in characters, as of an operator's order.
REASON_CHARACTERS = 500
#: A document's id with its version as numbers.
Number = tuple[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Edition:
    """One version of one document by what it was made of (`digest`) and what may be cited of it (`reading`)."""

    id: str
    version: str
    digest: str
    reading: str

    @property
    def number(self) -> Number:
        """What it stands under: `1.0` and `1.00` are one number, else neither would be the newer."""
        return self.id, version_ordinal(self.version)

    @classmethod
    def of(cls, source: Sectioned) -> Edition:
        """Return the edition that `source` is."""
        one = source.document
        return cls(id=one.id, version=one.version, digest=one.digest, reading=source.reading)

    def agrees(self, other: Edition) -> bool:
        """Tell whether both may stand under one number: the same bytes, or bytes that read the same."""
        return self.digest == other.digest or self.reading == other.reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Sorted:
    """What is to be done: `new` enter, `there` need nothing, of each of `conflicts` nothing enters."""

    new: tuple[Sectioned, ...]
    there: tuple[Sectioned, ...]
    conflicts: tuple[Refused, ...]


def sort_out(known: Iterable[Edition], arrived: Iterable[Sectioned]) -> Sorted:
    """Sort documents that arrived together, in the order of arrival.

    A version of a document never changes, because decisions cite it. A number that is there keeps the text it has. Where two that
    arrive together have one number and different texts, none enters: which one is meant, only a person can say. The same bytes
    need nothing even where a newer release would read them otherwise, so that places that were cited stay true.
    """
    there = {one.number: one for one in known}
    together: dict[Number, list[tuple[Edition, Sectioned]]] = {}
    for source in arrived:
        edition = Edition.of(source)
        together.setdefault(edition.number, []).append((edition, source))
    new: list[Sectioned] = []
    same: list[Sectioned] = []
    conflicts: list[Refused] = []
    for number, pairs in together.items():
        held = there.get(number)
        first = held or pairs[0][0]
        others = {one.digest: one for one, _ in pairs if not one.agrees(first)}
        conflicts += [_conflict(first, one) for one in others.values()]
        agreeing = [source for one, source in pairs if one.agrees(first)]
        if held is not None:
            same += agreeing
        elif not others:
            new.append(agreeing[0])
            same += agreeing[1:]
    return Sorted(new=tuple(new), there=tuple(same), conflicts=tuple(conflicts))


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A version of a document, when it came, and when its source was last read (`seen`; UTC)."""

    id: str
    version: str
    title: str
    at: datetime
    seen: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelved(Source):
    """A version as the library holds it.

    `current` is whether it is the one that is searched. `withdrawn_by` is who took its document back, or empty; then nothing of the
    version is ever current again.
    """

    kind: str
    digest: str
    effective: str
    by: str
    current: bool
    passages: int
    remarks: tuple[str, ...] = ()
    withdrawn_by: str = ""
    withdrawn_why: str = ""


def changes(
    before: Mapping[str, str], after: Mapping[str, str], entered: Iterable[Sectioned], by: str
) -> tuple[DocumentVersioned, ...]:
    """Return what is to be announced after `entered` came: each document whose current version (id to version) is another.

    A version that came after a newer one changes nothing that is served, and one that was passed over within the same call never
    was.
    """
    found = []
    for source in entered:
        one = source.document
        if after.get(one.id) == one.version:
            found.append(DocumentVersioned(
                document_id=one.id, version=one.version, digest=one.digest, supersedes=before.get(one.id, ""),
                effective=source.effective, by=by,
            ))  # fmt: skip
    return tuple(found)


def withdrawal(
    document_id: str, newest: tuple[str, str, str], earlier: str, given: tuple[str, str]
) -> DocumentVersioned:
    """Return what is to be announced when a document is taken back.

    `newest` are version, digest and effective date of its newest version, empty where there is none; `earlier` is who withdrew that
    before, or empty; `given` are who withdraws now and why. Raises `Refused` VM-2501 for a document that is not there or was
    withdrawn before, and without a reason.
    """
    (version, named, effective), (by, reason) = newest, given
    where = f"document {document_id}"
    if not version:
        raise Refused("VM-2501", what="no such document is there", where=where,
                      todo="`vigimesh knowledge show` lists what is there")  # fmt: skip
    if earlier:
        raise Refused("VM-2501", what=f"it was withdrawn before, by {earlier}", where=where,
                      todo="a higher version brings it back, nothing else does")  # fmt: skip
    if not reason.strip() or len(reason) > REASON_CHARACTERS:
        raise Refused("VM-2501", what=f"the reason is empty or has over {REASON_CHARACTERS} characters", where=where,
                      todo="say in a sentence why nothing of it may be served")  # fmt: skip
    return DocumentVersioned(
        document_id=document_id, version=version, digest=named, supersedes=version, effective=effective, withdrawn=True,
        by=by, reason=reason.strip(),
    )  # fmt: skip


def no_such_version(document_id: str, version: str, others: Sequence[str]) -> Refused:
    """Return VM-1514 for a version whose text is not there; `others` are versions that are, perhaps this one without its text."""
    where = f"{document_id}@{version}"
    if version in others:
        return Refused("VM-1514", what="its text was not kept: an older release loaded it", where=where,
                       todo="ingest the same file again; `vigimesh prepare` does so for the shipped documents")  # fmt: skip
    there = f"there are {', '.join(others)}" if others else "no version of it is there"
    return Refused("VM-1514", what=f"this version is not there; {there}", where=where,
                   todo="`vigimesh knowledge show` lists the documents")  # fmt: skip


def _conflict(first: Edition, other: Edition) -> Refused:
    return Refused(
        "VM-1502", what=f"version {first.version} of {first.id} is there twice with different texts",
        where=f"document {first.id}, sources {first.digest[:12]} and {other.digest[:12]}",
        todo="find out which is right, give the changed one a higher version",
    )  # fmt: skip
