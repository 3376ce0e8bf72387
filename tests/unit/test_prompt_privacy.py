"""No personal data is ever in a prompt: what was planted in texts and fields is looked for in the bytes that would go out."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redaction import hard_texts
from redaction_texts import Sample, samples
from unit.safety_making import AT, STEPS, case, passage
from vigimesh.adapters.models.openai import request_body
from vigimesh.domain.cascade.opinion import Model, asked_again, narrative_of, second_opinion
from vigimesh.domain.cascade.question import Question
from vigimesh.domain.safety.tools import run_steps
from vigimesh.events.case import Attachment, Case, Product, Reaction

MODEL = Model(name="m-1", deadline_s=30)
KNOWN = (passage("Headache"),)
#: Groups of texts in which redaction finds all that was planted (benchmarks/results/redaction.json); of *held* it misses some.
SURE = (
    *hard_texts(),
    *(one for group in ("tuned", "second", "third") for one in samples(group, 20, 20261129)),
)
STORY = "The patient had a mild headache two hours after the dose and it went away the same day."


def questions(of: Case) -> tuple[Question, Question]:
    """Return what would be asked of a case, and asked again."""
    findings, triage = run_steps(STEPS, of, of.narrative, KNOWN, AT)
    narrative = narrative_of(of, of.narrative, KNOWN)
    first = second_opinion(MODEL, of, triage, findings, KNOWN, narrative)
    return first, asked_again(first)


def sent(of: Case) -> str:
    """Return all that would go out about a case."""
    return "\n".join(str(request_body(one, "max_tokens")) for one in questions(of))


def tellings(sample: Sample) -> set[str]:
    """Return the words and numbers that were planted, as they stand in the text; short ones stand in other words as well."""
    planted = {sample.text[start:end] for start, end, _ in sample.gold}
    rest = "".join(
        "\n" if any(start <= at < end for start, end, _ in sample.gold) else one
        for at, one in enumerate(sample.text)
    )
    words = {word for value in planted for word in (value, *re.findall(r"\w{4,}", value))}
    return {word for word in words if len(word) >= 4 and word.casefold() not in rest.casefold()}


@pytest.mark.parametrize("number", range(len(SURE)))
def test_what_is_planted_in_a_narrative_does_not_go_out(number: int) -> None:
    out = sent(case(narrative=SURE[number].text))
    titles = {"miss", "Miss", "years", "year", "aged", "born", "Street"}
    left = {
        word for word in tellings(SURE[number]) - titles if re.search(rf"(?<!\w){re.escape(word)}(?!\w)", out)
    }
    assert not left


#: What has a form, or stands behind a word that announces it: such values go whatever they are.
VALUES = st.one_of(
    st.from_regex(r"MRN [1-9][0-9]{6,9}", fullmatch=True),
    st.from_regex(r"SSN [1-8][0-9]{2}-[1-9][0-9]-[1-9][0-9]{3}", fullmatch=True),
    st.from_regex(r"[a-z]{5,12}\.[a-z]{5,12}@[a-z]{5,10}\.(?:org|com)", fullmatch=True),
    st.from_regex(r"https://[a-z]{5,12}\.org/[a-z0-9]{5,20}", fullmatch=True),
    st.from_regex(r"\+49 1[5-7][0-9] [1-9][0-9]{6}", fullmatch=True),
    st.from_regex(r"Dr\. [A-Z][b-df-hj-np-tv-z][aeiou][a-z]{4,10}", fullmatch=True),
    st.from_regex(r"DOB [1-9]/[1-9]/19[3-9][0-9]", fullmatch=True),
)
PLACES = st.sampled_from(
    ("{}. {story}", "{story} Contact: {}.", "{story}\n\n{}\n\n{story}", "{story} ({}) {story}")
)


@given(VALUES, PLACES)
def test_a_value_of_a_known_form_does_not_go_out_from_any_place(value: str, place: str) -> None:
    out = sent(case(narrative=place.format(value, story=STORY)))
    _, _, told = value.rpartition(" ")
    assert told not in out


IDS = st.from_regex(r"[A-Z]{2}-[A-Z]{4,8}-[0-9]{4}-[0-9]{4,6}", fullmatch=True)


@given(IDS, IDS, st.sampled_from(("report_id", "worldwide_id", "study_id")))
def test_what_the_case_itself_names_does_not_go_out(number: str, other: str, field: str) -> None:
    of = case(narrative=f"{STORY} See {number} and {other.lower()}, also {number.replace('-', ' ')}.")
    changes: dict[str, Any] = {field: number, "linked_ids": (other,)}
    out = sent(replace(of, **changes)).casefold()
    for written in (number, other, number.replace("-", " ")):
        assert written.casefold() not in out


def test_what_other_fields_hold_does_not_go_out_either() -> None:
    name = "Kowalska"
    of = case(
        narrative=f"{STORY} {name} told us.",
        attachments=(Attachment(digest="d" * 64, title=f"{name}_scan.pdf"),),
        products=(Product(name=name, kind="drug", indication=name, lot=name),),
        reactions=(Reaction(text=f"{name} was ill", term="Headache"),),
        sender=name,
        title=name,
    )
    assert name not in sent(of)
