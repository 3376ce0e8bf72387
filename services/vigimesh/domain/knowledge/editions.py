"""Which of the documents that arrived are new, which are there already, and which contradict what is there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from vigimesh.domain.knowledge.sections import Sectioned
from vigimesh.errors import Refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Edition:
    """One version of one document by what it was made of (`digest`) and what may be cited of it (`reading`)."""

    id: str
    version: str
    digest: str
    reading: str

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
    there = {(one.id, one.version): one for one in known}
    together: dict[tuple[str, str], list[tuple[Edition, Sectioned]]] = {}
    for source in arrived:
        together.setdefault((source.document.id, source.document.version), []).append(
            (Edition.of(source), source)
        )
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


def _conflict(first: Edition, other: Edition) -> Refused:
    return Refused(
        "VM-1502", what=f"version {first.version} of {first.id} is there twice with different texts",
        where=f"document {first.id}, sources {first.digest[:12]} and {other.digest[:12]}",
        todo="find out which is right, give the changed one a higher version",
    )  # fmt: skip
