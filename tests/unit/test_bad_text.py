"""Bad input in narratives: what no tool can read is never taken for harmless, and a huge one is read to its end."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from growth import growth
from unit.safety_making import AT, PLAIN, STEPS, case
from vigimesh.domain.safety.grade import AMBIGUOUS, ILLEGIBLE
from vigimesh.domain.safety.legible import legible
from vigimesh.domain.safety.tools import run_steps
from vigimesh.events.case import Case
from vigimesh.events.classes import EvidenceRetrieved, Finding, Plan, Route, Triage
from vigimesh.tool_executor.added import outside

#: "The patient was hospitalised" with Cyrillic and with Greek look-alikes, parted by what is not seen; other scripts.
ILLEGIBLE_TEXTS = [
    "The patient was h\u043espitalised for two days after the dose.",
    "The patient was hos\u03c1italised for two days after the dose.",
    "The patient was hos\u00adpitalised for two days after the dose.",
    "The patient was hos\u200bpitalised for two days after the dose.",
    "The patient was \uff48\uff4fspitalised for two days after the dose.",
    "\u041f\u0430\u0446\u0438\u0435\u043d\u0442 \u0443\u043c\u0435\u0440 \u0432 \u0431\u043e\u043b\u044c\u043d\u0438\u0446\u0435.",
    "\u60a3\u8005\u5728\u533b\u9662\u6b7b\u4ea1\uff0c\u5c31\u5728\u6ce8\u5c04\u540e\u4e24\u5929\uff0c\u5bb6\u5c5e\u62a5\u544a\u4e86\u6b64\u4e8b\uff0c\u533b\u751f\u786e\u8ba4\u3002",
]
LEGIBLE_TEXTS = [
    PLAIN,
    "5 \u00b5g of a \u03b2-blocker; TNF\u03b1 raised; na\u00efve fianc\u00e9e from \u0141\u00f3d, M\u00fcnchen; 38 \u00b0C \u2013 \u201cfine\u201d\u2026",
]


def triaged(of: Case) -> tuple[dict[str, Finding], Triage]:
    findings, triage = run_steps(STEPS, of, of.narrative, (), AT)
    return {one.step: one for one in findings}, triage


@pytest.mark.parametrize("text", ILLEGIBLE_TEXTS)
def test_words_in_letters_that_no_tool_reads_leave_a_case_open_and_from_a_machine(text: str) -> None:
    _, triage = triaged(case(narrative=text))
    assert (triage.serious, triage.grade, triage.grade_reasons) == ("unknown", 3, (ILLEGIBLE,))
    assert AMBIGUOUS in triage.flags
    _, document = triaged(case(kind="document", document_kind="literature", narrative=text))
    assert (document.serious, AMBIGUOUS in document.flags) == ("unknown", True)


@pytest.mark.parametrize("text", LEGIBLE_TEXTS)
def test_accents_and_greek_letters_of_medicine_are_read(text: str) -> None:
    assert legible(text)
    assert triaged(case(narrative=text))[1].serious == "no"


def test_a_field_still_says_serious_where_the_text_cannot_be_read() -> None:
    _, triage = triaged(case(narrative=ILLEGIBLE_TEXTS[0], criteria=("death",)))
    assert (triage.serious, triage.grade) == ("yes", 5)


def test_an_impossible_date_dose_and_unit_are_said_and_never_guessed() -> None:
    text = "On 31 February 1997 she took 10^30 mg, then a dose of 20 flurbs, and had a rash."
    found, triage = triaged(case(narrative=text))
    assert "'31 February 1997' impossible" in found["text_dates"].detail
    assert "impossible" in found["doses"].detail
    assert "unknown_unit" in found["doses"].detail
    assert (found["text_dates"].result, found["doses"].result) == ("unclear", "unclear")
    assert triage == triaged(case(narrative="She had a rash a while after the dose."))[1]


FILLER = "She felt well and had a mild rash on 3 May 1997. "


def test_a_narrative_of_five_megabytes_is_read_to_its_end_and_does_not_leave() -> None:
    of = case(narrative=FILLER * 110_000 + "She was hospitalised.")
    assert len(of.narrative) > 5_000_000
    found, triage = triaged(of)
    assert (triage.serious, triage.grade) == ("yes", 3)
    assert "not read from character" in found["text_dates"].detail
    route = Route(
        workflow="triage", lane="cold", rule="default", reason="none", card_digest="c" * 64,
        version=("2026-03-02", "2026-03-09"), received_at=AT,
    )  # fmt: skip
    event = EvidenceRetrieved(case=case(), route=route, plan=Plan(tier="tools", steps=("dates",)))
    left = outside(event, of.narrative)
    assert left["narrative"] == ""
    assert "characters" in left["withheld"]


def test_a_longer_narrative_costs_no_more_than_in_proportion() -> None:
    def work(size: int) -> Callable[[], object]:
        of = case(narrative=FILLER * size)
        return lambda: triaged(of)

    assert growth(work, 500) < 20


@pytest.mark.parametrize(
    "text",
    [
        "Der Patient hatte nach der Impfung einen Krampf und lag drei Tage auf der Station.",
        "La patiente a perdu connaissance et elle est restée trois jours dans le service.",
        "El paciente fue ingresado con dolor y estuvo tres noches en el hospital.",
    ],
)
def test_a_text_in_another_language_leaves_a_case_open_and_from_a_machine(text: str) -> None:
    """That nothing was found in it says nothing, also where the form has no tick."""
    _, triage = triaged(case(narrative=text))
    assert (triage.serious, AMBIGUOUS in triage.flags) == ("unknown", True)


@pytest.mark.parametrize(
    "text", ["pt c/o pain @ site, non-stop crying x 2 hrs", "La Crosse clinic called; rash on arm"]
)
def test_abbreviations_and_names_are_no_other_language(text: str) -> None:
    assert triaged(case(narrative=text))[1].serious == "no"
