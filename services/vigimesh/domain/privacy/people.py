"""Names of persons in a plain text, by what stands around them: titles, roles, given names, degrees, initials.

A capital in the middle of a sentence that no list explains is taken for a name. It stays only where a product is told of
("took Xarelto 20 mg"), or where it is one of the products that the caller knows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from vigimesh.domain.language import ENGLISH
from vigimesh.domain.privacy.identifiers import Span
from vigimesh.domain.privacy.reader import Reader, Word, reader_of
from vigimesh.domain.privacy.words import (
    ABBREVIATIONS,
    CALENDAR,
    CARRIES,
    CLINICAL_NEXT,
    COMMON,
    GIVEN,
    GIVEN_IN_SMALL,
    GIVEN_OR_WORD,
    KIN,
    LINKS,
    MEDICAL,
    ORDINARY_ENDINGS,
    PRODUCTS,
    ROLES,
    SPEAKS,
    SUFFIXES,
    TAKEN,
    TITLES,
)

#: A label of a form: the rest of its line is a name, in whatever letters.
_LABEL = re.compile(
    r"\b(?:(?:patient|reporter|contact|full|first|last|sur|given|maiden|family|physician|doctor|nurse|mother|father|parent|guardian|caller|consumer|next of kin|nok|emergency contact|pharmacist|subject|prescriber|author|witness)(?:'s)?[ -]?"
    r"(?:names?|person|initials)|initials|surname|names?|nok|next of kin|signed(?: by)?|signature|reported by|reporter|c/o|attn|attention|prescriber|seen by|per)(?P<sure>[ \t]{0,3}[:=][ \t]{0,3})"
    r"(?P<value>(?!(?:unknown|unk|not|n/a|none|withheld|same|anonymous|ni|asku)\b)[^\W\d_][\w'-]{0,30}(?:(?:(?<=[ .,:][A-Za-z])\.|,)?[ ]{1,2}[^\W\d_][\w'-]{0,30}){0,3})",
    re.IGNORECASE,
)
_CAP = r"[A-ZÀ-ÖØ-Þ][\w'-]{0,30}"
_DEGREE = re.compile(
    rf"\b(?P<value>{_CAP}(?:\.? {_CAP}){{0,3}})(?:,? {{1,2}}|,)(?:M\.?D\b|R\.?N\b|D\.?O\b|Ph\.?D|Pharm\.?D|N\.?P\b|P\.?A\.?-?C\b|R\.?Ph|L\.?P\.?N|F\.?N\.?P|D\.?D\.?S|MBBS|MBChB|FRCP|MSN|BSN|DNP|ARNP|CRNP|DVM|Esq|Jr|Sr)\b"
)
_DOTTED = re.compile(r"(?<![\w./%^])(?<!\d )(?:(?:[A-Z]\.-?){1,3}[A-Z]\.?|(?:[A-Z]\. ){1,3}[A-Z]\.)(?!\w)")
_DOTTED_KEPT = frozenset(
    "us uk er iv im po ecg ekg eeg md rn do phd pa np am pm sc icu ct mri un eu ob gyn ed bp hr id no st".split()
)
_INITIALS = re.compile(
    r"\b(?i:initials?|patient|pt|subject|reporter|consumer|infant|child)\.?(?i: initials)?(?: is| was| are|:)? ?\(?(?P<value>[A-Z]{2,3}|[A-Z](?:-[A-Z]){1,2})(?![\w'-])"
)


def person_spans(text: str, products: frozenset[str]) -> Iterator[Span]:
    """Yield names of persons. `products` are names in small letters that are none. Spans may overlap."""
    reader = reader_of(text, products)
    for at in range(len(reader.words)):
        yield from _behind_title(reader, at)
        yield from _behind_role(reader, at)
        yield from _given(reader, at)
        yield from _unexplained(reader, at)
    yield from _by_form(reader)


def _behind_title(reader: Reader, at: int) -> Iterator[Span]:
    """Yield what stands behind "Mr": a name, whatever it looks like."""
    word = reader.words[at]
    if word.low not in TITLES or at + 1 == len(reader.words):
        return
    behind = reader.words[at + 1]
    if not re.fullmatch(r"\.?[ \t]{1,3}|\. ?|\.?\n", behind.gap) or behind.low in {"and", "or"}:
        return
    if word.low in {"ms", "mr"} and not _is_title(reader, at):
        return
    if word.low in {"miss", "sir", "sig", "pan", "pani"} and not behind.capital:
        return
    yield reader.span(at + 1, reader.run(at + 1, strict=behind.capital))


def _is_title(reader: Reader, at: int) -> bool:
    """Tell "Ms" from multiple sclerosis and milliseconds, "Mr" from magnetic resonance."""
    word, behind = reader.words[at], reader.words[at + 1]
    if behind.low in _IMAGING:
        return False
    if word.text == "MS":
        return not behind.gap.startswith(".") and reader.nameable(at + 1)
    return word.text != "ms" or re.search(r"\d ?$", word.gap) is None


_IMAGING = frozenset(
    "imaging image images angiography angiogram scan scans spectroscopy enterography".split()
)


def _behind_role(reader: Reader, at: int) -> Iterator[Span]:
    """Yield what stands behind "nurse" or "her husband, named": a name when it has a capital or is a given name."""
    if reader.words[at].low.removesuffix("'s") not in ROLES:
        return
    behind = at + 1
    while behind < len(reader.words) and behind - at <= 3 and reader.words[behind].low in LINKS:
        behind += 1
    if behind >= len(reader.words):
        return
    word = reader.words[behind]
    if not re.fullmatch(r"[.,:]?[ \t]{0,3}[(\"']?|\.?\n", word.gap) or word.gap == "":
        return
    doctor = reader.words[at].low in {"dr", "drs", "prof", "professor"}
    if word.gap.startswith(".") and not doctor and reader.words[at].low not in {"pt", "rev"}:
        return
    if doctor and word.capital and word.low not in {"he", "she", "the", "it", "they", "patient", "pt"}:
        yield reader.span(behind, reader.run(behind, strict=True))
    elif word.capital and (
        reader.nameable(behind) or (word.low in GIVEN_OR_WORD and not reader.dated(behind))
    ):
        if not word.text.isupper() or word.initial or len(word.text) > 3:
            yield reader.span(behind, reader.run(behind))
    elif (
        word.capital and reader.words[at].low in KIN and word.gap == " " and _ends_as_product(reader, behind)
    ):
        yield reader.span(behind, reader.run(behind, strict=True))
    elif word.low in GIVEN or (doctor and _unexplained_small(reader, word)):
        yield reader.span(behind, reader.run(behind))


def _ends_as_product(reader: Reader, at: int) -> bool:
    """Return whether a word is a product by nothing but its ending, of which no dose is told."""
    low = reader.words[at].low
    listed = low in reader.products or low in PRODUCTS or low in MEDICAL or low in COMMON
    return reader.product(low) and not listed and not _product_told(reader, at)


def _unexplained_small(reader: Reader, word: Word) -> bool:
    """Return whether a small word behind "dr" is no ordinary one: "dr kowalska", not "dr said"."""
    return not (
        reader.known(word) or word.low in SPEAKS or word.low in TAKEN or word.low in CARRIES or len(word.low) < 3
        or word.low.endswith(("ed", "ing", "ly", "'s")) or word.low in _AFTER_DOCTOR
    )  # fmt: skip


_AFTER_DOCTOR = frozenset(
    "gave sent thinks thought thinks wants wanted knows knew made makes put kept let began got appointment visit visits appt office "
    "orders order notes note recommends prescribes suspects agrees agreed".split()
)


def _given(reader: Reader, at: int) -> Iterator[Span]:
    """Yield what begins with a given name; one that is also a word only before a family name or an initial."""
    word = reader.words[at]
    low = word.low.removesuffix("'s")
    if low not in GIVEN and low not in GIVEN_OR_WORD and low.partition("-")[0] not in GIVEN:
        return
    if reader.product(low) or reader.dated(at):
        return
    if not word.capital:
        if low in GIVEN - GIVEN_IN_SMALL:
            yield reader.span(at, at + 1 + _family_in_small(reader, at + 1))
        return
    behind = reader.run(at)
    if low in GIVEN_OR_WORD:
        beyond = at + 1
        if behind == beyond or (word.begins and reader.words[beyond].low in SUFFIXES):
            return
        if word.low in CALENDAR and reader.words[beyond].initial and reader.words[beyond].gap != " ":
            return
    elif behind == at + 1 and _eponym(reader, at):
        return
    yield reader.span(at - _family_before(reader, at), behind)


def _family_before(reader: Reader, at: int) -> int:
    """Return 1 when the family name stands before in capitals: "SMITH, JANE", else 0."""
    word = reader.words[at - 1]
    before = at > 0 and reader.words[at].gap in (", ", " ") and word.text.isupper() and len(word.text) > 1
    return int(before and reader.nameable(at - 1) and word.low not in ABBREVIATIONS)


def _family_in_small(reader: Reader, at: int) -> int:
    """Return 1 when the word at `at` could be the family name in "john smith said", else 0."""
    if (
        at >= len(reader.words)
        or reader.words[at].gap != " "
        or reader.words[at].low in ENGLISH | CARRIES | LINKS
    ):
        return 0
    return int(
        _unexplained_small(reader, reader.words[at]) and not reader.words[at].low.endswith(ORDINARY_ENDINGS)
    )


def _eponym(reader: Reader, at: int) -> bool:
    return at + 1 < len(reader.words) and reader.words[at + 1].low in CLINICAL_NEXT - {
        "pump",
        "pen",
        "device",
    }


def _unexplained(reader: Reader, at: int) -> Iterator[Span]:
    """Yield capitals that nothing explains, unless a product is told of."""
    word = reader.words[at]
    if not word.capital or not reader.nameable(at):
        return
    if word.initial:
        yield from _initial_first(reader, at)
        return
    if at and reader.words[at - 1].capital and reader.nameable(at - 1) and reader.joined(at):
        return  # within a run that began before
    behind = reader.run(at)
    if all(_abbreviation(one.text) for one in reader.words[at:behind]):
        return
    if any(character.isdigit() or character == "_" for character in word.text):
        return
    if behind == at + 1:
        if _product_told(reader, at) or (word.begins and _ordinary(reader, at)):
            return
    elif word.begins and word.low.endswith("ly"):
        at += 1
    elif _product_told(reader, at, behind):
        return
    yield reader.span(at, behind, sure=False)


def _initial_first(reader: Reader, at: int) -> Iterator[Span]:
    """Yield "R. J. van der Berg": initials with a dot before a name."""
    if at + 1 == len(reader.words) or not reader.words[at + 1].gap.startswith("."):
        return
    behind = reader.run(at)
    if any(
        len(one.text) > 2 and one.capital and not _abbreviation(one.text) for one in reader.words[at:behind]
    ):
        yield reader.span(at, behind)


#: Abbreviations to which shorthand hangs a word: "DTP-size".
_KEPT_BEFORE_DASH = frozenset("DTP MMR ER OPV HIB Td IV IM PO".split())


def _abbreviation(text: str) -> bool:
    """Return whether a word is written like an abbreviation: ALT, QTc, DTaP."""
    return (len(text) <= 5 and text[:2].isupper() and len(text) > 1) or text.partition("-")[
        0
    ] in _KEPT_BEFORE_DASH


def _ordinary(reader: Reader, at: int) -> bool:
    """Return whether a word at the beginning of a sentence is one like others: by its end, or it comes in small letters, too."""
    word = reader.words[at]
    if word.text.endswith("'s") or (
        at + 1 < len(reader.words)
        and reader.words[at + 1].low in SPEAKS
        and not word.low.endswith(("s", "ly"))
    ):
        return False
    return (
        word.low.endswith(ORDINARY_ENDINGS)
        or word.low in reader.small
        or word.low in LINKS
        or word.low in TAKEN
        or word.low in CLINICAL_NEXT
    )


def _product_told(reader: Reader, at: int, behind: int | None = None) -> bool:
    """Return whether the words around say that this is a product, or a disease that bears a name."""
    last = behind or at + 1
    tail = reader.text[reader.words[last - 1].end :][:24]
    if re.match(
        r" ?[®™]| ?\(?(?:\d{1,2} ?x ?)?\d{1,5}(?:\.\d{1,3})? ?(?:mg|mcg|tablets?|capsules?|puffs?|drops|ug|μg|g|ml|iu|units?|%)\b",
        tail,
        re.IGNORECASE,
    ):
        return True
    if last - at > 1:
        return False  # before a mere word for a product, two unknown words are rather a name
    if (
        last < len(reader.words)
        and reader.words[last].gap in (" ", "-")
        and reader.words[last].low in CLINICAL_NEXT
    ):
        return True
    before = at - 1
    while (
        before >= 0
        and at - before <= 3
        and reader.words[before].low in CARRIES
        and reader.words[before + 1].gap == " "
    ):
        before -= 1
    if before < 0 or not re.fullmatch(r" |: | ?\(|, ", reader.words[before + 1].gap):
        return False
    return reader.words[before].low in TAKEN


def _by_form(reader: Reader) -> Iterator[Span]:
    """Yield names that a label, a degree or dots between letters tell."""
    text = reader.text
    for found in _LABEL.finditer(text):
        yield Span(*found.span("value"), "PERSON")
    for found in _DEGREE.finditer(text):
        words = list(re.finditer(r"[\w'-]{1,32}", found["value"]))
        while words and (words[0].group().lower() in COMMON | ROLES | TITLES | MEDICAL):
            words.pop(0)
        if words:
            yield Span(found.start("value") + words[0].start(), found.end("value"), "PERSON")
    for found in _DOTTED.finditer(text):
        letters = re.sub(r"[^a-z]", "", found.group().lower())
        if letters not in _DOTTED_KEPT and letters not in ABBREVIATIONS:
            yield Span(found.start(), found.end(), "PERSON")
    for found in _INITIALS.finditer(text):
        if found["value"].lower() not in ABBREVIATIONS:
            yield Span(*found.span("value"), "PERSON")
