"""What a verb may ask for and what it may answer: values, never exceptions.

Those of which each record makes several are structs: a frozen dataclass takes five times as long to make.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import msgspec


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """Something a verb must know before it can decide; the worker fetches it.

    `kind` names the fetcher (`search`, `object`, `head`, ...), `key` what to fetch, both plain text so that the
    answer can be kept in `audit` under `kind:key`; `limit` is how many at most, for kinds that return several. `asked` is
    what a caller is handed besides, of kinds whose key is a digest of it.
    """

    kind: str
    key: str
    limit: int = 1
    asked: Any = field(default=None, compare=False, repr=False)

    @property
    def name(self) -> str:
        """The name under which the answer is kept."""
        return f"{self.kind}:{self.key}"


#: Need.name -> the answer: plain values only (str, int, float, bool, bytes, None, lists, dicts), so that it replays.
Answers = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Input:
    """What a verb works on. `at` is the broker's append time, so that no verb reads a clock."""

    topic: str
    event: Any
    event_id: str
    key: str
    at: datetime


class Emit(msgspec.Struct, frozen=True, kw_only=True):
    """One event to be written: full topic name, record key, event. `messageid`, `workflow` and `lane` go to headers."""

    topic: str
    key: str
    event: object
    messageid: str = ""
    workflow: str = ""
    lane: str = ""


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """The work is done: `events` are handed on. `why` goes to audit: reason in words, never text of the case."""

    events: tuple[Emit, ...]
    why: str = ""
    pass_number: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Try the same record again, not before `after_s` seconds."""

    after_s: float
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Park:
    """Put the record aside until `not_before`; it comes back to the topic it left."""

    not_before: datetime
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject:
    """Give the record up for good: it goes to the dead-letter topic with its cause."""

    code: str
    why: str


Outcome = Done | Retry | Park | Reject
