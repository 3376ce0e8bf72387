"""When a stored answer may be served: by its scope, by what it cites, and by an age that nothing makes younger.

A stored answer belongs to one scope (document, section, version): it is looked for under the scope's key only, so that no
look-up can reach another product's, section's or version's. Its age counts from when its sources were read. Being served,
or copied to another level, does not change that instant, and nothing here could: an entry holds no other. `verdict` is
the one rule of what is served, used alike before an answer leaves any level.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Literal

from vigimesh.domain.knowledge.chunks import version_ordinal
from vigimesh.events.ids import ID_DIGITS, digest

#: Where an answer is kept: Valkey, or the object store. What is cold is not kept but searched for again.
Level = Literal["hot", "warm"]
#: `fresh` is served; each of the others is a miss, and says why.
Verdict = Literal[
    "fresh", "other_scope", "uncited", "withdrawn", "superseded", "unknown_version", "from_the_future", "too_old",
]  # fmt: skip
#: Documents that one answer may cite: an event carries 12 passages.
MAX_CITED = 12
#: The longest age that may be asked for, ours: labelling is reported every year (21 CFR 314.81(b)(2)), so that by then it is read again.
MAX_AGE = timedelta(days=366)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnswerScope:
    """What an answer speaks of: a section of one version of one document.

    `section` is the path of headings, empty for the whole document. Raises `ValueError` without a document or version:
    an answer of no version could not be told from that of another.
    """

    document_id: str
    section: str
    version: str

    def __post_init__(self) -> None:
        if not self.document_id or not self.version:
            raise ValueError("a scope needs a document and its version")

    @property
    def key(self) -> str:
        """The key of the scope's group (32 hexadecimal digits): equal for equal scopes only, whatever signs they hold."""
        parts = (self.document_id, self.section, self.version)
        return digest("".join(f"{len(part)}:{part}" for part in parts).encode())[:ID_DIGITS]

    def entry_key(self, question_key: str) -> str:
        """Return the key of one question's answer within the group."""
        return f"{self.key}:{question_key}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cited:
    """A version of a document on which an answer rests."""

    document_id: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A stored answer, but for its text: its scope, what it cites and when these sources were read (UTC, with zone).

    Raises `ValueError` for a time without zone and for more than `MAX_CITED` citations.
    """

    scope: AnswerScope
    question_key: str
    cited: tuple[Cited, ...]
    read_at: datetime

    def __post_init__(self) -> None:
        if self.read_at.tzinfo is None:
            raise ValueError("the time at which an entry's sources were read has no zone")
        if len(self.cited) > MAX_CITED:
            raise ValueError(f"{len(self.cited)} citations, at most {MAX_CITED}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ages:
    """How old an answer may be at each level, as a knowledge product's data say. An age is absolute.

    Raises `ValueError` for an age that is not above zero or is beyond `MAX_AGE`, and when hot may be older than warm:
    the copy would outlive its source.
    """

    hot: timedelta
    warm: timedelta

    def __post_init__(self) -> None:
        for name, age in (("hot", self.hot), ("warm", self.warm)):
            if not timedelta(0) < age <= MAX_AGE:
                raise ValueError(f"the {name} age of {age} is not above 0 and at most {MAX_AGE.days} days")
        if self.hot > self.warm:
            raise ValueError(f"the hot age of {self.hot} is above the warm one of {self.warm}")

    def of(self, level: Level) -> timedelta:
        """Return the age up to which an answer of `level` is served."""
        return self.hot if level == "hot" else self.warm


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What is known of the documents at one instant: each one's current version, and those withdrawn altogether.

    A document that is in neither is not known.
    """

    current: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    withdrawn: frozenset[str] = frozenset()


def verdict(entry: Entry, scope: AnswerScope, known: Known, age: timedelta, now: datetime) -> Verdict:
    """Return whether `entry` may be served to a question in `scope` at `now`; `age` is its level's (`Ages.of`).

    The first rule that fits decides: what is foreign is refused before what is stale, so that a miss names the graver.
    1. Another document, section or version than the one asked of.  2. It cites nothing: there is nothing to open.
    3. A source was withdrawn.  4. A newer version of a source is there.  5. A source is not known, or the one cited is newer
    than what is known: this knowledge is behind, and cannot tell.  6. It was read later than now: a clock was put back, and its age cannot
    be told.  7. It is older than `age`. Else it is fresh. An answer that is exactly `age` old is fresh.

    Raises `TypeError` for a `now` without zone.
    """
    if entry.scope != scope:
        return "other_scope"
    if not entry.cited:
        return "uncited"
    sources = (*entry.cited, Cited(document_id=scope.document_id, version=scope.version))
    if any(source.document_id in known.withdrawn for source in sources):
        return "withdrawn"
    states = [_state(source, known) for source in sources]
    if "superseded" in states:
        return "superseded"
    if "unknown_version" in states:
        return "unknown_version"
    if entry.read_at > now:
        return "from_the_future"
    return "too_old" if now - entry.read_at > age else "fresh"


def _state(source: Cited, known: Known) -> Verdict:
    current = known.current.get(source.document_id)
    if current == source.version:
        return "fresh"
    if current is None or not _older(source.version, current):
        return "unknown_version"
    return "superseded"


def _older(one: str, other: str) -> bool:
    try:
        return version_ordinal(one) < version_ordinal(other)
    except ValueError:
        return False  # no number: which of them is the newer cannot be told


def expires_at(entry: Entry, age: timedelta) -> datetime:
    """Return the last instant at which `entry` may be fresh: what a store is told, so that it may forget it then.

    It depends on when the sources were read alone; storing an entry again, or later, gives the same instant.
    """
    return entry.read_at + age
