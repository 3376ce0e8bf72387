"""The warm level of answers: summaries that the librarian made, handed to questions that ask for what changed."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import replace
from threading import Lock

from vigimesh.domain.knowledge.answering import WHOLE_SET, Answer, State, scope_of
from vigimesh.domain.knowledge.freshness import Cited, Entry
from vigimesh.domain.knowledge.questions import key
from vigimesh.domain.knowledge.summaries import Summary, subject, summary_of
from vigimesh.domain.knowledge.warm import Kept
from vigimesh.errors import Broken, Misconfigured, Refused, Transient
from vigimesh.ports import Objects, SummaryIndex

_log = logging.getLogger(__name__)

#: Summaries remembered by digest, some 20 KB each: what changed in the documents that are asked of today.
REMEMBERED = 64


class WarmSummaries:
    """`ports.Summaries` over an index and the object store. Several threads may share one.

    Only a question of the closed forms (`summaries.subject`) about the name of exactly one document gets an answer; for others nothing is asked of any
    store. Whether an answer is served is not decided here: `freshness.verdict` rules it by what the entry holds. An object that is away, gone
    or altered means no answer to that question; one that was read before is there still.
    """

    def __init__(self, index: SummaryIndex, objects: Objects, state: Callable[[], State]) -> None:
        """Take the stores; `state` gives that of the knowledge base, as the caller of `answer` sees it."""
        self._index, self._objects, self._state = index, objects, state
        self._remembered: OrderedDict[str, Summary] = OrderedDict()
        self._lock = Lock()

    def answer(self, questions: Sequence[str]) -> Sequence[Answer | None]:
        """Return for each question a summary's passages, or nothing; raises `Transient` VM-1501 when the index is away."""
        asked = {question: subject(question) for question in questions}
        names = {name for name in asked.values() if name}
        if not names:
            return [None] * len(questions)
        rows, state = self._index.called(names), self._state()
        made: dict[str, Answer | None] = {}
        for question, name in asked.items():
            found = [row for row in rows if name in row.names] if name else []
            # Two documents of one name: which is meant is not guessed.
            made[question] = self._answer(question, found[0], state) if len(found) == 1 else None
        return [made[question] for question in questions]

    def _answer(self, question: str, row: Kept, state: State) -> Answer | None:
        scope = scope_of(question, state)
        if scope is None or scope.document_id not in (WHOLE_SET, row.document_id):
            return None
        summary = self._summary(row)
        if summary is None or not summary.evidence:
            return None  # nothing of the current version shows it: it could not be cited
        entry = Entry(
            scope=scope, question_key=key(question), read_at=row.read_at,
            cited=(Cited(document_id=row.document_id, version=row.version),),
        )  # fmt: skip
        passages = tuple(replace(one, question=question) for one in summary.evidence)
        return Answer(entry=entry, question=question, passages=passages)

    def _summary(self, row: Kept) -> Summary | None:
        with self._lock:
            found = self._remembered.get(row.digest)
        if found is None:
            try:
                found = summary_of(self._objects.get(row.digest), row.digest)
            except (Broken, Misconfigured, Refused, Transient) as error:
                _log.warning("no summary of %s: %s", row.document_id, error)
                return None
            with self._lock:
                self._remembered[row.digest] = found
                while len(self._remembered) > REMEMBERED:
                    self._remembered.popitem(last=False)
        if (found.document_id, found.older, found.version) != (row.document_id, row.older, row.version):
            _log.warning(
                "the summary of %s is one of %s %s", row.document_id, found.document_id, found.version
            )
            return None
        return found
