"""Naranjo and disproportionality as steps: from what the case and a stated table tell; what is missing is said, never guessed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from unit.safety_making import AT, case, findings, passage, triage
from vigimesh.domain.policy.shipped import shipped_cards
from vigimesh.domain.safety.disproportionality import Counts, Prior, ebgm, information_component, prr, ror
from vigimesh.domain.safety.documents import asks_reply
from vigimesh.domain.safety.listedness import Listedness, Listing
from vigimesh.domain.safety.naranjo_facts import MAX_EACH, naranjo_finding
from vigimesh.domain.safety.report_counts import MAX_PAIRS, counted
from vigimesh.domain.safety.tools import run_steps
from vigimesh.events.case import Case, Product, Reaction
from vigimesh.events.knowledge import Passage

TABLE = (
    "Reports by 2026-02-28.\n\n| Product | Reaction | a | b | c | d |\n|---|---|---|---|---|---|\n"
    "| Torvexil | Headache | 25 | 75 | 100 | 9,800 |\n| Torvexil | Nausea | 3 | 97 | 40 | 9,860 |\n"
)
PRIOR = "\nEBGM prior: 0.2, 0.06, 1.4, 1.8, 0.1\n"
STOPPED = Product(name="Torvexil", started_on="2026-02-20", stopped_on="2026-02-22")
BETTER = Reaction(term="Headache", onset_on="2026-02-21", ended_on="2026-02-24", outcome="recovered")


def naranjo_of(of: Case, **changes: Any) -> tuple[str, str, tuple[str, ...]]:
    listing = (passage("Very common: headache."),) if changes.pop("listed", False) else ()
    found = findings(replace(of, **changes), listing)["naranjo"]
    return found.result, found.detail, found.quotes


@pytest.mark.parametrize(
    ("changes", "result", "said"),
    [
        ({}, "possible", "score 2; the case answers after_drug yes; 9 of 10"),
        ({"listed": True}, "possible", "score 3; the case answers reported_before yes; after_drug yes; 8 of 10"),
        ({"products": (STOPPED,), "reactions": (BETTER,), "listed": True}, "possible", "score 4; "),
        ({"products": (STOPPED,), "reactions": (replace(BETTER, onset_on="2026-02-19"),)}, "doubtful", "score 0; "),
        ({"products": (replace(STOPPED, started_on="2026"),)}, "doubtful", "score 0; the case answers no question; 10 of 10"),
        ({"products": (STOPPED,), "reactions": (replace(BETTER, ended_on="2026-02-21"),)}, "possible", "score 2; the case answers after_drug yes; 9"),
        ({"products": (STOPPED,), "reactions": (replace(BETTER, outcome="not_recovered"),)}, "possible", "after_drug yes; better_without no; 8"),
        ({"products": (replace(STOPPED, role="concomitant"),)}, "not_scored", "no suspect product"),
        ({"reactions": ()}, "not_scored", "with a reaction"),
    ],
)  # fmt: skip
def test_the_score_rests_on_fields_and_says_what_is_unknown(
    changes: dict[str, Any], result: str, said: str
) -> None:
    found = naranjo_of(case(), **changes)
    assert (found[0], said in found[1]) == (result, True), found


def test_a_list_that_lacks_the_reaction_is_no_answer_of_no() -> None:
    unlisted = (passage("Very common: nausea."),)
    assert "reported_before" not in findings(case(), unlisted)["naranjo"].detail


@pytest.mark.parametrize(("how", "counts"), [("verbatim", True), ("synonym", True), ("fuzzy", False)])
def test_a_listing_that_is_not_sure_is_no_report(how: Any, counts: bool) -> None:
    listing = Listing(
        term="Headache", product="Torvexil", how=how, document_id="d", version="1", section="s", start=1, end=9, quote="q"
    )  # fmt: skip
    finding = naranjo_finding(case(), Listedness(result="yes", unlisted=0, cited=(), listings=(listing,)))
    assert ("reported_before yes" in finding.detail) is counts


def test_the_pair_with_the_highest_score_is_told_with_its_places() -> None:
    late = Reaction(term="Rash", onset_on="2026-02-19")
    result, detail, quotes = naranjo_of(
        case(reactions=(late, BETTER), products=(Product(name="Other"), STOPPED))
    )
    assert (result, detail.startswith("products[1] with reactions[1]: score 3")) == ("possible", True)
    assert "products[1].started_on=2026-02-20" in quotes
    many = case(products=(STOPPED,) * 50, reactions=(BETTER,) * 50)
    assert len(naranjo_of(many)[2]) <= MAX_EACH


def test_the_measures_are_those_of_the_table_and_cite_it() -> None:
    table = passage(TABLE + PRIOR, document_id="reports/2026-02", version="2026.2", section="Reports")
    (found,) = counted(case(), (table,))
    assert found.counts == Counts(a=25, b=75, c=100, d=9_800)
    assert found.prior == Prior(shape1=0.2, rate1=0.06, shape2=1.4, rate2=1.8, share=0.1)
    finding = findings(case(), (table,))["disproportionality"]
    assert (finding.result, finding.quotes) == ("calculated", (f"reports/2026-02@2026.2#10-{table.end}",))
    measures = (prr(found.counts), ror(found.counts), information_component(found.counts))
    for name, one in zip(("PRR", "ROR", "IC"), measures, strict=True):
        assert f"{name} {one.value:.2f} (95 %: {one.low:.2f} to {one.high:.2f})" in finding.detail
    bayes = ebgm(25, found.counts.expected, found.prior)
    assert f"EBGM {bayes.value:.2f} (90 %: {bayes.low:.2f} to {bayes.high:.2f})" in finding.detail


def test_a_table_in_several_passages_states_its_prior_in_one_of_them() -> None:
    own: dict[str, Any] = {"document_id": "reports/2026-02", "version": "2026.2", "section": "Reports"}
    rows, above = passage(TABLE, **own), passage(PRIOR, **own)
    other = passage(PRIOR.replace("1.4", "1.5"), **own)
    stranger, older = (
        passage(PRIOR, document_id="reports/other"),
        passage(PRIOR, **own | {"version": "2026.1"}),
    )

    def prior(*passages: Passage) -> Prior | None:
        (found,) = counted(case(), passages)
        return found.prior

    assert (
        prior(rows, above)
        == prior(above, rows)
        == Prior(shape1=0.2, rate1=0.06, shape2=1.4, rate2=1.8, share=0.1)
    )
    assert prior(rows, above, other) is None, "a document with two priors says of neither which rows it is of"
    assert prior(rows, stranger, older) is None, (
        "another document's prior, or another version's, is of other reports"
    )


@pytest.mark.parametrize(
    ("name", "result"),
    [
        ("Torvexil 10 mg", "calculated"),
        ("TORVEXIL  0.5 mg film-coated tablet", "calculated"),
        ("Torvexil, 100 mcg", "calculated"),
        ("Torvexil Trio 10 mg", "no_counts"),
        ("Torvexil 10 mgx", "no_counts"),
        ("10 mg", "no_counts"),
    ],
)
def test_a_strength_behind_a_name_parts_no_product_from_its_row(name: str, result: str) -> None:
    told = replace(case(), products=(Product(name=name, role="suspect"),))
    assert findings(told, (passage(TABLE),))["disproportionality"].result == result


def test_without_a_prior_there_is_no_ebgm_and_that_is_said() -> None:
    detail = findings(case(), (passage(TABLE),))["disproportionality"].detail
    assert "EBGM not calculated (the table states no prior)" in detail


@pytest.mark.parametrize(
    "text",
    [
        "", "Torvexil Headache 25 75 100 9800", TABLE.replace("Torvexil", "Other"), TABLE.replace("Headache", "Cough"),
        TABLE.replace("25", "-25"), TABLE.replace("25", "many"), TABLE.replace("25", ""), TABLE.replace("25", "1" * 30),
        TABLE.replace(" d |", " e |"), TABLE.replace("25 | 75 | 100 | 9,800", "0 | 0 | 0 | 0"),
    ],
)  # fmt: skip
def test_without_counts_nothing_is_calculated(text: str) -> None:
    finding = findings(case(), (passage(text),))["disproportionality"]
    assert (finding.result, finding.quotes) == ("no_counts", ())
    assert "nothing calculated" in finding.detail


@pytest.mark.parametrize(
    "prior", ["EBGM prior: 0, 1, 1, 1, 0.5", "EBGM prior: 1, 1, 1, 1, 1", "EBGM prior: 1, 1, 1, 1"]
)
def test_a_prior_that_is_none_is_not_used(prior: str) -> None:
    (found,) = counted(case(), (passage(f"{TABLE}\n{prior}\n"),))
    assert found.prior is None


@pytest.mark.parametrize(
    "cells", ["0 | 5 | 5 | 5", "5 | 0 | 0 | 5", "5 | 0 | 5 | 0", "1 | 0 | 0 | 0", "0 | 0 | 0 | 5"]
)
def test_counts_with_a_zero_are_told_as_far_as_they_go(cells: str) -> None:
    text = TABLE.replace("25 | 75 | 100 | 9,800", cells) + PRIOR
    finding = findings(case(), (passage(text),))["disproportionality"]
    assert finding.result == "calculated"
    assert "nan" not in finding.detail
    assert "inf" not in finding.detail


def test_steps_of_judgement_change_no_grade() -> None:
    steps = ("seriousness_text", "listedness")
    given = (passage(TABLE),)
    assert triage(case(), given, (*steps, "naranjo", "disproportionality")) == triage(case(), given, steps)
    rows = "".join(f"| Torvexil | Reaction {n} | 1 | 2 | 3 | 4 |\n" for n in range(9))
    many = case(reactions=tuple(Reaction(term=f"Reaction {n}") for n in range(9)))
    assert len(counted(many, (passage("| product | reaction | a | b | c | d |\n" + rows),))) == MAX_PAIRS


def test_they_are_named_steps_of_shipped_cards() -> None:
    cards = {card.name: card.steps for card in shipped_cards(False).cards}
    assert {"naranjo", "disproportionality"} <= set(cards["signal"])
    assert "naranjo" in cards["clinical_ops"]


@pytest.mark.parametrize(
    "text",
    [
        "May the lot be released?", "Could you confirm receipt.", "Please send us the form.", "Kindly acknowledge.",
        "The authority asks for all reports.", "We are awaiting your reply.", "PLEASE, when you can, ADVISE.", "Is it (as we think) ok?)",
    ],
)  # fmt: skip
def test_a_mail_that_asks_is_seen(text: str) -> None:
    places = asks_reply(text)
    assert places
    start, _, rest = places[0].partition("-")
    assert text[int(start) :].startswith(rest.partition(":")[2])


@pytest.mark.parametrize(
    "text",
    ["", "The lines are open from eight to six.", "See https://example.org/a?b=c for the hours.", "The reply was sent. We could see it.", "She was pleased."],
)  # fmt: skip
def test_a_mail_that_only_tells_is_not(text: str) -> None:
    assert asks_reply(text) == ()


def test_only_documents_are_asked_about_a_reply() -> None:
    asked = case(narrative="The patient had a headache. Could you confirm?")
    result = run_steps(("reply_asked",), asked, asked.narrative, (), AT)
    assert "reply_asked" not in result[1].flags
    document = replace(asked, kind="document", document_kind="vendor_mail")
    assert "reply_asked" in run_steps(("reply_asked",), document, document.narrative, (), AT)[1].flags
