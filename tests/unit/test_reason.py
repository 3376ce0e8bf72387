"""The reason-of-record: plain words that name rule, evidence by place, floor, budget and clock, and quote nothing."""

from __future__ import annotations

import dataclasses
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from unit.policy_making import AT, CALM, SIGNED, UNSIGNED
from vigimesh.domain.policy.floor import Breach
from vigimesh.domain.record.reason import MAX_REASON, Grounds, clock_words, reason_of_record
from vigimesh.events.classes import Clock, Finding, Triage

CLOCK = Clock(rule="eu_serious_15d", source="Directive 2001/83/EC Art. 107(3)", due_at=AT)
FINDING = Finding(
    step="seriousness_text", result="none", detail="Mrs Miller was well",
    quotes=("17-29:Mrs Miller fell", "patient.age_years=44", "Mrs Miller: again"),
)  # fmt: skip


def grounds(**changes: Any) -> Grounds:
    first = Grounds(
        outcome="Accepted by machine", rule="routine", why="valid and not serious", card=SIGNED.fallback,
        triage=dataclasses.replace(CALM, clock=CLOCK), tier="tools", pass_number=1, accepted=True, findings=(FINDING,), passages=2,
        cost_micro=1_200_050,
    )  # fmt: skip
    return dataclasses.replace(first, **changes)


def test_a_reason_in_full() -> None:
    assert reason_of_record(grounds()) == (
        f"Accepted by machine: rule routine of card triage ({SIGNED.fallback.digest[:12]}): valid and not serious. "
        "Triage: valid, serious no, grade 1 because of no criterion: flag, listed yes. "
        "Evidence: seriousness_text says none at text 17-29, patient.age_years. "
        "No point of the policy floor is touched; the card is signed since 2026-01-05 for "
        "demo and benchmarks on public or synthetic data. "
        "Tier tools after 1 pass, 2 passages looked up, cost so far 1.200050 of at most 0.050000 EUR. "
        "Legal clock eu_serious_15d, Directive 2001/83/EC Art. 107(3): due 2026-03-01T12:00:00+00:00."
    )


def test_no_name_and_no_quote_gets_in() -> None:
    assert "Miller" not in reason_of_record(grounds())
    assert SIGNED.fallback.auto_accept is not None
    assert SIGNED.fallback.auto_accept.signed_by not in reason_of_record(grounds())


def test_the_advice_it_rests_on_is_cited_where_it_stands() -> None:
    cited = ("vaccine/flu@1.10#120-340", "vaccine/flu@1.10#900-1000")
    listedness = Finding(
        step="listedness", result="yes", quotes=(*cited, cited[0], "Mrs Miller@x", "17-29:Mrs Miller")
    )
    said = reason_of_record(grounds(findings=(FINDING, listedness)))
    assert f"Listedness rests on {', '.join(cited)}. " in said
    assert "Miller" not in said
    other = dataclasses.replace(listedness, step="seriousness_text")
    assert "vaccine/flu" not in reason_of_record(grounds(findings=(other,)))


def test_what_stands_in_the_way_is_named() -> None:
    touched = (Breach(name="grade", words="grade 5 is above 2"), Breach(name="hold", words="held"))
    said = reason_of_record(grounds(floor=touched, outcome="For a person"))
    assert "keeps it from a machine: grade 5 is above 2; held." in said
    assert "floor is touched." in reason_of_record(grounds(accepted=False))
    assert "floor is touched." in reason_of_record(grounds(card=UNSIGNED.fallback))
    assert "floor" not in reason_of_record(grounds(floor=None))
    missing = dataclasses.replace(CALM, valid=False, missing=("patient",), flags=("a", "b"))
    assert "not valid (missing patient)" in reason_of_record(grounds(triage=missing))
    assert "flags a, b" in reason_of_record(grounds(triage=missing))


def test_the_clock_in_words() -> None:
    assert clock_words(Clock()) == "No legal clock runs."
    assert clock_words(Clock(rule="us_periodic", person_needed=True)) == (
        "No legal clock runs (us_periodic); a person must confirm it."
    )


def test_long_lists_are_counted() -> None:
    many = dataclasses.replace(CALM, grade_reasons=tuple(f"r{n}" for n in range(20)))
    said = reason_of_record(grounds(triage=many))
    assert "r7 and 12 more" in said
    assert "r8" not in said


WORD = st.text(max_size=200)
FINDINGS = st.lists(
    st.builds(Finding, step=WORD, result=WORD, detail=WORD, quotes=st.lists(WORD, max_size=20).map(tuple)),
    max_size=20,
)


@given(findings=FINDINGS, flags=st.lists(WORD, max_size=20), reasons=st.lists(WORD, max_size=20))
def test_it_is_deterministic_and_bounded_whatever_the_tools_say(
    findings: list[Finding], flags: list[str], reasons: list[str]
) -> None:
    triage: Triage = dataclasses.replace(CALM, flags=tuple(flags), grade_reasons=tuple(reasons))
    made = grounds(findings=findings, triage=triage)
    assert reason_of_record(made) == reason_of_record(made)
    assert 0 < len(reason_of_record(made)) <= MAX_REASON


def test_what_a_model_said_is_named_before_the_tools_and_why_it_handed_a_case_on() -> None:
    """A shut gate is told of in the reason, however many steps the card has."""
    why = "drift: scores of window 3 (500 cases): PSI 0.470, chance 7.8e-15 without drift; probability 0.050, margin -1.914"
    small = Finding(step="small_model", result="handed_on", detail=why, quotes=("Mrs Miller +0.10",))
    large = Finding(step="large_model", result="serious unknown, grade 3", quotes=("Mrs Miller fell",))
    said = reason_of_record(grounds(findings=(*[FINDING] * 9, small, large)))
    assert (
        f"Evidence: small_model says handed_on ({why}); large_model says serious unknown, grade 3; seriousness_text"
        in said
    )
    assert "; and 3 more." in said
    assert "Miller" not in said


def test_what_a_grade_rests_on_is_not_cut_in_a_word() -> None:
    ground = (
        "small model: probability 0.003, margin -4.838, below the certified threshold -2.721; outside the certificate "
        "(source jsonl, received 2026-11-29): 143 labelled serious cases, 0 missed, recall >= 0.9793 of 0.95"
    )
    settled = dataclasses.replace(CALM, grade_reasons=(ground,))
    assert f"because of {ground}, listed" in reason_of_record(grounds(triage=settled))
