"""What a model may settle: silent cases only, and nothing that a field or a text says is ever lowered."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unit.safety_making import AT, case, passage, triage
from vigimesh.domain.cascade.settled import settled, silent
from vigimesh.domain.safety.clocks import clock
from vigimesh.events.case import Case

#: No closed list of criteria, so that what is not ticked says nothing.
OPEN = {"criteria_form": "none"}
TEXTS = {
    "silent": "Two hours after the dose the patient had a mild headache that went away the same day.",
    "stated": "Two hours after the dose the patient was admitted to hospital overnight with a headache.",
    "ambiguous": "Two hours after the dose the patient may have been hospitalized with a headache, not confirmed.",
}


def open_case(text: str = "silent", **changes: object) -> Case:
    return case(narrative=TEXTS[text], **OPEN, **changes)


def test_a_silent_case_becomes_not_serious_with_the_clock_of_one() -> None:
    of = open_case()
    before = triage(of)
    assert (before.serious, before.grade, silent(of, before)) == ("unknown", 3, True)
    after = settled(of, before, "small model: below the threshold", AT)
    assert (after.serious, after.grade) == ("no", 2)
    assert after.grade_reasons[0] == "small model: below the threshold"
    assert after.clock == clock(of, "no", after.valid, after.listed, AT, fatal=False) != before.clock
    assert (after.flags, after.valid, after.situations) == (before.flags, before.valid, before.situations)


def test_listed_it_is_of_grade_one_and_with_a_special_situation_of_grade_two() -> None:
    of = open_case()
    listed = triage(of, (passage("Headache"),))
    assert (listed.listed, settled(of, listed, "why", AT).grade) == ("yes", 1)
    special = open_case(situations=("overdose",))
    assert settled(special, triage(special, (passage("Headache"),)), "why", AT).grade == 2


@pytest.mark.parametrize(
    "of",
    [
        open_case("stated"),
        open_case("ambiguous"),
        open_case(criteria=("hospitalisation",)),
        case(),
        case(kind="document", document_kind="literature", criteria_form="none"),
    ],
)
def test_whatever_is_said_stands(of: Case) -> None:
    before = triage(of)
    assert not silent(of, before)
    assert settled(of, before, "why", AT) is before


@given(
    text=st.sampled_from(sorted(TEXTS)),
    criteria=st.sets(st.sampled_from(["death", "hospitalisation", "disability"]), max_size=2),
    form=st.sampled_from(["form", "none"]),
)
def test_a_stated_or_ambiguous_criterion_is_never_lowered(text: str, criteria: set[str], form: str) -> None:
    of = case(narrative=TEXTS[text], criteria=tuple(sorted(criteria)), criteria_form=form)
    before = triage(of)
    after = settled(of, before, "why", AT)
    if criteria or text != "silent":
        assert (after.serious, after.grade, after.clock) == (before.serious, before.grade, before.clock)
