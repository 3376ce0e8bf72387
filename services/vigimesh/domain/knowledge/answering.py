"""What is kept of an answered question, under which scope, and how it is handed to whoever asks: pure.

A question that begins with a product's name is answered by that product's document alone, so its scope is that document's
current version. Any other question may be answered by several documents; its scope is the whole set (`WHOLE_SET`) at the number that grows
with every change, so that any change of the set ends what was kept of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any, Literal

import msgspec

from vigimesh.domain.knowledge.freshness import MAX_CITED, Ages, AnswerScope, Cited, Entry, Known
from vigimesh.domain.knowledge.questions import Scope, key, understand
from vigimesh.events.knowledge import Passage

#: Stands for all documents together in a scope and in what is known; no document has this id, ids begin with a letter or digit.
WHOLE_SET = "*"
#: What served an answer, as `RetrievalMeasured.cache_level` has it.
Level = Literal["hot", "warm", "search"]
#: How a stored answer was found: by the question's own words, or by one that agrees with it in every facet.
Match = Literal["exact", "semantic", "none"]
#: Why nothing was served where no stored answer was there, or none that could be asked for.
ABSENT = "absent"


#: A document as a state is made of it: id, names, aliases, newest version, and whether this is current (else it was withdrawn).
Named = tuple[str, Iterable[str], Iterable[str], str, bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The knowledge base at one instant: the number of its set, the names of its products, its current versions."""

    number: int = 0
    names: Scope = field(default_factory=Scope)
    known: Known = field(default_factory=Known)

    @classmethod
    def of(cls, number: int, rows: Iterable[Named]) -> State:
        """Return the state of all documents there are.

        One that was withdrawn keeps its names: otherwise a question about it would fall to another whose name it begins with.
        """
        listed = [
            (one, tuple(names), tuple(aliases), version, current)
            for one, names, aliases, version, current in rows
        ]
        versions = {one: version for one, _, _, version, current in listed if current} | {
            WHOLE_SET: str(number)
        }
        return cls(
            number=number,
            names=Scope.of((one, names, aliases) for one, names, aliases, _, _ in listed),
            known=Known(
                current=MappingProxyType(versions),
                withdrawn=frozenset(one for one, _, _, _, current in listed if not current),
            ),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A stored answer: what rules its serving (`entry`), the question it was searched for, and the passages found."""

    entry: Entry
    question: str
    passages: tuple[Passage, ...]

    def rows(self, question: str) -> list[dict[str, Any]]:
        """Return the passages as plain values under `question`: a reader tells by it of which product they speak."""
        rows: list[dict[str, Any]] = msgspec.to_builtins(list(self.passages))
        return rows if question == self.question else [{**row, "question": question} for row in rows]


def scope_of(question: str, state: State) -> AnswerScope | None:
    """Return what an answer to `question` speaks of; `None` where its document has no known version: then nothing is kept."""
    document = understand(question, state.names).only or WHOLE_SET
    version = state.known.current.get(document, "")
    return AnswerScope(document_id=document, section="", version=version) if version else None


def named_scope(question: str, state: State) -> AnswerScope | None:
    """Return the scope of the one product that a question names without beginning with it; `None` where it is not just one.

    "Rash with A" says what "A rash" does: an answer kept of the one may be the other's, if every guard agrees.
    """
    query = understand(question, state.names)
    if query.only or len(query.named) != 1:
        return None
    version = state.known.current.get(query.named[0], "")
    return AnswerScope(document_id=query.named[0], section="", version=version) if version else None


def kept_key(question: str, limit: int) -> str:
    """Return the key of an answer within its scope: the question's, and how many passages were asked for."""
    return f"{key(question)}.{limit}"


def answer_of(
    question: str, limit: int, scope: AnswerScope, passages: Sequence[Passage], read_at: datetime
) -> Answer | None:
    """Return what is kept of a search that began at `read_at`; `None` where it cites more than an entry may.

    That nothing was found rests on what was looked through: it cites its scope, and ends with its version.
    """
    cited = tuple(dict.fromkeys(Cited(document_id=one.document_id, version=one.version) for one in passages))
    cited = cited or (Cited(document_id=scope.document_id, version=scope.version),)
    if len(cited) > MAX_CITED:
        return None
    entry = Entry(scope=scope, question_key=kept_key(question, limit), cited=cited, read_at=read_at)
    return Answer(entry=entry, question=question, passages=tuple(passages))


def documents_of(entry: Entry) -> tuple[str, ...]:
    """Return the documents whose products have a say in how old an entry may become: that asked of, and those cited."""
    named = (entry.scope.document_id, *(one.document_id for one in entry.cited))
    return tuple(dict.fromkeys(one for one in named if one != WHOLE_SET))


def shortest(ages: Sequence[Ages]) -> Ages:
    """Return the shortest hot and the shortest warm age of several; raises `ValueError` for none."""
    return Ages(hot=min(one.hot for one in ages), warm=min(one.warm for one in ages))


def handed(
    rows: Sequence[Mapping[str, Any]], read_at: datetime, *, product: str = "", level: Level = "search",
    match: Match = "none", missed: str = "",
) -> dict[str, Any]:  # fmt: skip
    """Return an answer as plain values, the form that is recorded and replayed."""
    return {
        "passages": rows, "level": level, "match": match, "missed": missed, "read_at": read_at.isoformat(), "product": product,
    }  # fmt: skip
