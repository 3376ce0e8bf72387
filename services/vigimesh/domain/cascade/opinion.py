"""A second opinion on a triaged case: what the large model is asked, and what its answer may change.

Two things are put into the question. Structured facts: words of closed lists, numbers, coded terms, and names of products that the
knowledge base knows; no date, id or reporter's own words, and what is none of these is left out. A coded term is taken as the source
gives it where it reads like one. And the narrative without personal data, where it may leave (`narrative.py`). An opinion can raise a
grade and a seriousness. It lowers nothing that a tool found; *no* to a narrative that was read whole settles a case of which nothing
says whether it is serious (`settled.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from math import inf
from typing import Any

import msgspec

from vigimesh.domain.cascade.narrative import Leaving, leaving
from vigimesh.domain.cascade.prompts import shipped_prompt
from vigimesh.domain.cascade.question import Question
from vigimesh.domain.cascade.settled import settled
from vigimesh.domain.safety.clocks import clock
from vigimesh.domain.safety.grade import SERIOUS_GRADE
from vigimesh.domain.safety.report_counts import without_strength
from vigimesh.events.case import Case, Product
from vigimesh.events.classes import Clock, Finding, Triage
from vigimesh.events.knowledge import Passage
from vigimesh.events.words import WORDS

#: Names of one kind in one question: what one case report form holds.
MAX_NAMES = 16
#: Years from which an age says who somebody is (45 CFR 164.514(b)(2)(i)(C)): all of these are one.
OLD_YEARS = 90
#: Seriousness, the graver the later.
_ORDER = ("no", "unknown", "yes")
#: The grade from which the legal clock is that of a fatal or life-threatening case (grade 4 holds other criteria too: the
#: nearer clock is the safe one).
FATAL_OR_LIFE_THREATENING = 4
#: The prompt, and its step: the call of a pass, and the one that asks again when its answer could not be read.
PROMPT, ASKED, ASKED_AGAIN = "triage", "large_model", "large_model_repair"
#: Characters of an answer that is read: eight times the tokens of the first try. An endpoint that sends more did not keep to what was
#: asked of it, whatever it says.
MAX_ANSWER_CHARACTERS = 960
#: Quotes of one answer, and characters of one: what the prompt allows, with room.
MAX_QUOTES, MAX_QUOTE = 2, 200

#: What a coded term looks like: a few words, no sentence, no address, no number that could be a date or a telephone's.
_TERM = re.compile(r"[^\W\d_](?:[^\W_]|[ /()'-]){0,79}")
_MOST_WORDS = 6
_NUMBER = re.compile(r"\d{3,}|\d[^\w]+\d")
#: A word of ours: a flag, or the result of a tool.
_WORD = re.compile(r"[a-z][a-z_]{0,59}")


class Opinion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a model said: seriousness in one word, a grade from 0 to 5, and what it quotes of the narrative as it was sent."""

    serious: str
    grade: int
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """The model that is asked: its name, the seconds that one call may take, and who of its endpoint is asked when it takes no call."""

    name: str
    deadline_s: float
    fallbacks: tuple[str, ...] = ()


def second_opinion(
    model: Model,
    case: Case,
    triage: Triage,
    findings: Sequence[Finding],
    passages: Sequence[Passage] = (),
    narrative: Leaving | None = None,
) -> Question:
    """Return the question about a case, the same for the same facts and narrative.

    Its first message is the same for all cases. Raises `Refused` VM-2101 for what cannot be asked, `Misconfigured` VM-2301 without a prompt.
    """
    prompt = shipped_prompt(PROMPT)
    told = facts_of(case, triage, findings, passages)
    told["narrative"] = None
    if narrative is not None and narrative.text:
        told["narrative"] = {"text": narrative.text, "characters_left_out": narrative.left_out}
    return prompt.asked(ASKED, told, model.name, model.deadline_s)


def asked_again(question: Question) -> Question:
    """Return the question that asks once more, after an answer that could not be read: nothing of that answer is in it."""
    return shipped_prompt(PROMPT).asked_again(ASKED_AGAIN, question)


def narrative_of(case: Case, text: str, passages: Sequence[Passage]) -> Leaving:
    """Return what of the narrative `text` of a case may leave."""
    products = [product_name(one, passages) for one in case.products[:MAX_NAMES]]
    terms = [term_of(one.term) for one in case.reactions[:MAX_NAMES]]
    return leaving(case, text, filter(None, products), filter(None, terms))


def facts_of(
    case: Case, triage: Triage, findings: Sequence[Finding], passages: Sequence[Passage] = ()
) -> dict[str, Any]:
    """Return what may leave of a case, as JSON has it; `passages` are what the knowledge base said of its products."""
    patient = case.patient
    return {
        "age_years": _years(patient.age_years),
        "age_group": _word("Patient.age_group", patient.age_group),
        "sex": _word("Patient.sex", patient.sex),
        "pregnant": _word("Patient.pregnant", patient.pregnant),
        "report_type": _word("Case.report_type", case.report_type),
        "criteria": _words("Case.criteria", case.criteria),
        "situations": _words("Case.situations", triage.situations),
        "flags": sorted(flag for flag in triage.flags if _WORD.fullmatch(flag)),
        "products": [
            {
                "name": product_name(one, passages),
                "role": _word("Product.role", one.role),
                "kind": _word("Product.kind", one.kind),
            }
            for one in case.products[:MAX_NAMES]
        ],
        "reactions": [
            {
                "term": term_of(one.term),
                "outcome": _word("Reaction.outcome", one.outcome),
                "criteria": _words("Reaction.criteria", one.criteria),
            }
            for one in case.reactions[:MAX_NAMES]
        ],
        "tools": {one.step: one.result for one in findings if _WORD.fullmatch(one.result)},
        "triage": {"serious": triage.serious, "grade": triage.grade, "listed": triage.listed},
    }


def term_of(text: str) -> str:
    """Return a coded term as it is, and nothing of what does not read like one."""
    term = " ".join(text.split())
    fits = _TERM.fullmatch(term) and len(term.split()) <= _MOST_WORDS and not _NUMBER.search(term)
    return term if fits else ""


def product_name(product: Product, passages: Sequence[Passage]) -> str:
    """Return a product's name when the knowledge base knows it, else nothing: the source may have written anything there.

    A strength behind it is left out: the knowledge base has `Torvexil` where a source writes `Torvexil 10 mg`.
    """
    for name in (product.substance, product.name):
        whole = " ".join(name.split())
        for plain in (whole, without_strength(whole)):
            if term_of(plain) and any(plain.casefold() in one.section.casefold() for one in passages):
                return plain
    return ""


def _word(field: str, value: str) -> str:
    """Return a word of a closed list, and nothing of any other: a producer of one's own may have written anything there."""
    return value if value in WORDS[field] else ""


def _words(field: str, values: Iterable[str]) -> list[str]:
    return sorted({value for value in values if value in WORDS[field]})


def _years(age: float | None) -> int | None:
    return None if age is None or not 0 <= age < inf else min(int(age), OLD_YEARS)


def read_opinion(text: str, narrative: str = "") -> Opinion | None:
    """Return the opinion in an answer, or `None` when it does not match the schema, is too long, or quotes what was not sent.

    `narrative` is what was sent of it. One that contradicts itself is read as the graver of the two: "yes" with a low grade has the lowest
    serious one, and "no" with a serious grade is not known.
    """
    if len(text) > MAX_ANSWER_CHARACTERS:
        return None
    try:
        found = msgspec.json.decode(text, type=Opinion)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return None
    if found.serious not in _ORDER or not 0 <= found.grade <= 5 or not _given(found.evidence, narrative):
        return None
    if found.serious == "no" and found.grade >= SERIOUS_GRADE:
        return msgspec.structs.replace(found, serious="unknown")
    return (
        found
        if found.serious == "no"
        else msgspec.structs.replace(found, grade=max(found.grade, SERIOUS_GRADE))
    )


def _given(evidence: Sequence[str], narrative: str) -> bool:
    """Return whether all that an answer quotes stands in the narrative so, and is a quote."""
    return len(evidence) <= MAX_QUOTES and all(
        one.strip() and len(one) <= MAX_QUOTE and one in narrative for one in evidence
    )


def opined(case: Case, triage: Triage, opinion: Opinion, at: datetime, *, whole: bool) -> Triage:
    """Return the triage result with an opinion: raised, settled, or as it was. `at` is when the case arrived (UTC).

    `whole`: the question held the whole narrative and nothing that could be an order in it (`Leaving.held` is empty). Only then *no* settles,
    and only a case of which nothing says whether it is serious.
    """
    if opinion.serious == "no" and whole:
        why = f"large model: serious no, grade {opinion.grade}, having read the whole narrative without personal data"
        return settled(case, triage, why, at)
    return raised(case, triage, opinion, at)


def raised(case: Case, triage: Triage, opinion: Opinion, at: datetime) -> Triage:
    """Return the triage result with an opinion: as it was, or raised, with the nearer clock. `at` is when the case arrived."""
    serious = max(triage.serious, opinion.serious, key=_ORDER.index)
    grade = max(triage.grade, opinion.grade)
    if opinion.serious == "no" or (serious, grade) == (triage.serious, triage.grade):
        return triage
    # Life-threatening (grade 4) has the clock of the fatal, and what is not known that of the serious.
    found = clock(case, serious, triage.valid, triage.listed, at, fatal=grade >= FATAL_OR_LIFE_THREATENING)
    return replace(
        triage, serious=serious, grade=grade, clock=_nearer(triage.clock, found),
        grade_reasons=(*triage.grade_reasons, f"large model: serious {opinion.serious}, grade {opinion.grade}"),
    )  # fmt: skip


def _nearer(one: Clock, other: Clock) -> Clock:
    """Return the clock that ends first; a person confirms it when either says so."""
    nearer = one if other.due_at is None or (one.due_at is not None and one.due_at <= other.due_at) else other
    return replace(nearer, person_needed=one.person_needed or other.person_needed)
