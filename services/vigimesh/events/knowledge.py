"""The events of the knowledge base: a document changed, a question was put, and a passage as others carry it.

As in `classes`: frozen values, moments in UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated as A

# A field per line, its meaning beside it.
# fmt: off


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A passage of a document, so that a reader can open it at its place."""

    document_id: A[str, "document"]
    version: A[str, "the document's version"]
    section: A[str, "path of headings, joined by ' > '"]
    start: A[int, "first character in the document's text"]
    end: A[int, "character after the last one"]
    text: A[str, "the passage"]
    score: A[float, "rank score of the search that found it; larger is nearer"]
    question: A[str, "the question it answers"] = ""
    lists_reactions: A[bool, "whether it stands where its document lists reactions"] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RetrievalMeasured:
    """A question was put to the knowledge base."""

    question_key: A[str, "hash of the question and its scope"]
    case_id: A[str, "the case"]
    message_id: A[str, "the version's message"]
    workflow: A[str, "workflow card"]
    lane: A[str, "hot, warm or cold"]
    cache_level: A[str, "hot, warm, cold, or search on a miss"]
    hits: A[int, "passages found"]
    wanted: A[int, "passages asked for"]
    grounded: A[bool, "whether at least one passage was found"]
    passages: A[tuple[str, ...], "document@version#start-end of each"] = ()
    match: A[str, "how a cache served it: exact or semantic; none when it was searched"] = "none"
    missed: A[str, "why no cache served it: absent, or what freshness says of the one that was there; empty when one did"] = ""
    read_at: A[datetime | None, "when the sources of the answer were read; its age counts from then"] = None
    product: A[str, "knowledge product that the question is about, or empty"] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentVersioned:
    """A document of the knowledge base has a new version."""

    document_id: A[str, "document"]
    version: A[str, "new version"]
    digest: A[str, "sha256 of its text"]
    supersedes: A[str, "version it replaces, or empty"] = ""
    effective: A[str, "date that the source bears, YYYY-MM-DD, or empty"] = ""
    withdrawn: A[bool, "whether the document was taken back: nothing of it may be served"] = False
    by: A[str, "who brought or withdrew it, or empty"] = ""
    reason: A[str, "why it was withdrawn, or empty"] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recall:
    """Why a version of a case that was concluded is looked at again: advice that it rests on was superseded or withdrawn."""

    document_id: A[str, "the document that changed"]
    version: A[str, "its version that stands now; of a withdrawn document the last one"]
    withdrawn: A[bool, "whether the document was taken back"] = False
    superseded: A[str, "newest of its versions that the conclusion rests on"]
    passages: A[tuple[str, ...], "document@version#start-end of what the version was given, at most 36"] = ()
    earlier: A[str, "what the version ended as: auto_accepted, upheld or in_review"]
    rule: A[str, "policy rule of that conclusion"] = ""
    grade: A[int, "its Triage.grade"]
    serious: A[str, "its Triage.serious"]
    listed: A[str, "its Triage.listed"] = "not_checked"
    due_at: A[datetime | None, "end of its legal clock, or null"] = None
    known_at: A[datetime, "when the change was known here: a clock that only the change starts counts from that day"]
    ordered_at: A[datetime, "when it was ordered"]

    @property
    def cause(self) -> str:
        """What is concluded once per version: `document@version`, of a withdrawal with that word."""
        return f"{self.document_id}@{self.version}" + (" withdrawn" if self.withdrawn else "")
