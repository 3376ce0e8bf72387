"""Personal data taken out of a text before it leaves, and put back into what comes home. Pure and deterministic.

`redact` gives the same bytes for the same text and the same known facts, so that the digest of a prompt and the call journal
hold; the table by which `restore` undoes it never leaves. What is not understood is not sent: the outcome is then `Unsafe`, the
tier counts as absent, and a person decides. Other dates than that of birth stay, since triage needs them: this is less than
the Safe Harbor method of 45 CFR 164.514(b)(2) asks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from vigimesh.domain.privacy.identifiers import KINDS, Span, identifier_spans
from vigimesh.domain.privacy.people import person_spans
from vigimesh.domain.privacy.places import place_spans
from vigimesh.domain.privacy.plain_text import Unreadable, plain
from vigimesh.events.case import Case

#: Values of one kind that a case can name: linked ids and attachments of one report.
MAX_KNOWN = 256
#: Characters of one known value.
MAX_VALUE = 200
#: Different values taken out of one text: more than that is a list of persons, not a narrative.
MAX_TAKEN = 1_000

#: What looks like a placeholder of ours, however it is written: it is taken out like anything else that could mislead.
_LIKE_OURS = re.compile(
    rf"[\[\uff3b\u3010][ \t]{{0,3}}(?:{'|'.join(map(re.escape, KINDS))}|AGE-90)[^\[\]\n]{{0,12}}[\]\uff3d\u3011]?",
    re.IGNORECASE,
)
_OURS = re.compile(rf"\[(?:AGE-90\+|(?:{'|'.join(map(re.escape, KINDS))})-[1-9]\d{{0,5}})\]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What structured fields tell: who and what must not leave, wherever a text has it, and which names are products.

    `products` must come from the knowledge base, never from a case: a source may have written a person's name there.
    """

    persons: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    products: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Say only how much is known."""
        return f"Known({len(self.persons)} persons, {len(self.numbers)} numbers, {len(self.places)} places)"


@dataclass(frozen=True, slots=True)
class Table:
    """Placeholders with what they stand for, in the order of the text. Never leaves, and stays out of `repr`."""

    rows: tuple[tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        """Leave the values out."""
        return f"Table({len(self.rows)} rows)"


@dataclass(frozen=True, slots=True)
class Redacted:
    """A text without what was found in it, and the table that undoes it."""

    text: str
    table: Table

    def __repr__(self) -> str:
        """Leave the text out."""
        return f"Redacted({len(self.text)} characters, {self.table})"


@dataclass(frozen=True, slots=True)
class Unsafe:
    """A text that must not leave, with the reason, which holds nothing of the text."""

    reason: str


def known_of(case: Case, products: Iterable[str] = ()) -> Known:
    """Return what a case itself tells of whom it is about: its ids, and the titles of its files, which often are names.

    The contract keeps names, addresses and dates of birth out of a case; a caller that has them adds them.
    """
    numbers = (
        case.report_id, case.worldwide_id, case.case_id.partition("/")[2], case.message_id, case.study_id, *case.linked_ids
    )  # fmt: skip
    titles = [
        part
        for one in case.attachments
        for part in re.split(r"[\W_\d]{1,20}", one.title[:MAX_VALUE])
        if len(part) > 3
    ]
    return Known(numbers=tuple(filter(None, numbers)), persons=tuple(titles), products=tuple(products))


def redact(text: str, known: Known) -> Redacted | Unsafe:
    """Return `text` with everything personal replaced by placeholders, or why it must not leave.

    1. Look-alikes are made plain (`plain_text.plain`); a text that cannot be trusted is refused.
    2. What is known, what has a form and what stands where a name stands is found; places that overlap become one.
    3. Each value gets a placeholder of its kind, numbered in the order of the text; the same value the same one.
    4. The result is read once more: one in which an identifier is still found is refused.
    """
    try:
        # 1.
        made = plain(text)
    except Unreadable as why:
        return Unsafe(str(why))
    # 2.
    products = frozenset(
        part for name in known.products for part in (name.lower(), *name.lower().split()) if part
    )
    spans = _merged(made, [*_found(made, known, products)])
    # 3.
    if len({made[one.start : one.end] for one in spans}) > MAX_TAKEN:
        return Unsafe(f"it names more than {MAX_TAKEN} persons, places and numbers")
    redacted = _replaced(made, spans)
    # 4.
    left = _OURS.sub("\n", redacted.text)
    if any(True for _ in identifier_spans(left)):
        return Unsafe("an identifier is left in it after all were taken out")
    return redacted


def restore(text: str, table: Table) -> str:
    """Return `text` with the placeholders of `table` replaced by what they stand for; others stay as they are.

    `restore` of a redacted text is the plain form of the original: invisible characters and look-alikes do not come back.
    """
    values = dict(table.rows)
    return _OURS.sub(lambda found: values.get(found.group(), found.group()), text)


def _found(text: str, known: Known, products: frozenset[str]) -> Iterator[Span]:
    for found in _LIKE_OURS.finditer(text):
        yield Span(found.start(), found.end(), "QUOTED")
    yield from _known_spans(text, known)
    yield from identifier_spans(text)
    yield from place_spans(text)
    yield from person_spans(text, products)


def _known_spans(text: str, known: Known) -> Iterator[Span]:
    for kind, values in (("PERSON", known.persons), ("PLACE", known.places), ("NUMBER", known.numbers)):
        patterns = [_loose(value) for value in sorted({one.strip()[:MAX_VALUE] for one in values[:MAX_KNOWN]}, key=lambda one: (-len(one), one))]  # fmt: skip
        if kind == "PERSON":
            parts = {
                part for value in values[:MAX_KNOWN] for part in re.split(r"[\s,]{1,9}", value[:MAX_VALUE])
            }
            patterns += [rf"{re.escape(part)}" for part in sorted(parts) if len(part) > 2]
        wanted = "|".join(filter(None, patterns))
        if wanted:
            for found in re.finditer(rf"(?<!\w)(?:{wanted})(?!\w)", text, re.IGNORECASE):
                yield Span(found.start(), found.end(), kind)


def _loose(value: str) -> str:
    """Return a pattern of a value with any one separator, or none, where it has some; values under three characters are none."""
    parts = [re.escape(part) for part in re.split(r"[\W_]{1,9}", value) if part]
    return r"[\W_]{0,2}".join(parts) if sum(map(len, parts)) > 2 else ""


def _merged(text: str, spans: list[Span]) -> list[Span]:
    """Return spans that do not overlap: what touches becomes one, of the kind of the longest."""
    merged: list[Span] = []
    longest = 0
    for one in sorted(set(spans)):
        start, end = _trimmed(text, one)
        if start >= end:
            continue
        if merged and start < merged[-1].end:
            last = merged[-1]
            kind = one.kind if end - start >= longest else last.kind
            longest = max(longest, end - start)
            merged[-1] = Span(last.start, max(last.end, end), kind)
        else:
            merged.append(Span(start, end, one.kind))
            longest = end - start
    return merged


def _trimmed(text: str, span: Span) -> tuple[int, int]:
    part = text[span.start : span.end]
    return span.start + len(part) - len(part.lstrip()), span.start + len(part.rstrip())


def _replaced(text: str, spans: list[Span]) -> Redacted:
    names: dict[tuple[str, str], str] = {}
    counts: dict[str, int] = {}
    parts, end = list[str](), 0
    for one in spans:
        key = (one.kind, text[one.start : one.end])
        if key not in names:
            counts[one.kind] = counts.get(one.kind, 0) + 1
            names[key] = _placeholder(one.kind, counts[one.kind])
        parts += (text[end : one.start], names[key])
        end = one.end
    parts.append(text[end:])
    return Redacted("".join(parts), Table(tuple((name, value) for (_, value), name in names.items())))


def _placeholder(kind: str, number: int) -> str:
    """Return `[KIND-n]`; the first age is `[AGE-90+]`, which a reader understands, others are numbered from 2."""
    return "[AGE-90+]" if kind == "AGE-90+" and number == 1 else f"[{kind}-{number}]"
