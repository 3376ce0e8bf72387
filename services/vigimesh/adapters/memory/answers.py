"""Answers kept in this process: in front of a store that processes share, and its twin in tests. Bounded, for several threads."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock

from vigimesh.domain.knowledge.answering import Answer
from vigimesh.domain.knowledge.freshness import AnswerScope, Cited, Entry
from vigimesh.ports.knowledge import Keep, Place

#: Answers kept: about 3 KB each, so 12 MB; the 20,000 most common questions of a year repeat the first thousands.
KEPT_MAX = 4_096


class MemoryAnswers:
    """`ports.knowledge.Answers` in memory. What was asked for longest ago goes first; no time makes anything go."""

    def __init__(self, most: int = KEPT_MAX) -> None:
        """Keep at most `most` answers."""
        self._most = most
        self._kept: OrderedDict[Place, Answer] = OrderedDict()
        self._signed: OrderedDict[Place, str] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        """Return how many answers are kept."""
        return len(self._kept)

    def read(self, places: Sequence[Place]) -> Sequence[Answer | None]:
        """Return what is kept under each key."""
        with self._lock:
            return [self._get(place) for place in places]

    def like(self, places: Sequence[Place]) -> Sequence[Answer | None]:
        """Return what is kept under each signature."""
        with self._lock:
            keys = [(scope, self._signed.get((scope, signature))) for scope, signature in places]
            return [None if key is None else self._get((scope, key)) for scope, key in keys]

    def lease(self, places: Sequence[Place]) -> Sequence[bool]:
        """Tell the caller to search for each: nobody outside this process sees what is kept here."""
        return [True] * len(places)

    def write(self, kept: Sequence[Keep]) -> None:
        """Keep answers."""
        with self._lock:
            for one in kept:
                entry = one.answer.entry
                self._kept[entry.scope, entry.question_key] = one.answer
                self._kept.move_to_end((entry.scope, entry.question_key))
                if one.signature:
                    self._signed[entry.scope, one.signature] = entry.question_key
            for held in (self._kept, self._signed):
                while len(held) > self._most:
                    held.popitem(last=False)

    def citing(self, document_id: str, version: str) -> Sequence[Entry]:
        """Return the entries that cite this version of a document."""
        with self._lock:
            entries = [answer.entry for answer in self._kept.values()]
        return [entry for entry in entries if Cited(document_id=document_id, version=version) in entry.cited]

    def _get(self, place: tuple[AnswerScope, str]) -> Answer | None:
        found = self._kept.get(place)
        if found is not None:
            self._kept.move_to_end(place)
        return found
