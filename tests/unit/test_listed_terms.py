"""Listed or not: in the document's words, in others that mean the same, with a slip of the pen; and what is never listed."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from growth import growth
from listedness import Label, labels_of, others, share
from unit.safety_making import case, findings, passage, triage
from vigimesh.domain.safety.listed_terms import HOW, QUOTE_CHARACTERS, Reference, one_slip
from vigimesh.domain.safety.listedness import listedness
from vigimesh.domain.safety.word_forms import concepts, stem, stems
from vigimesh.events.case import Reaction

LISTED = [
    ("Common: Headache, Nausea.", "Headache", "verbatim"),
    ("Common: HEADACHE, Nausea.", "headache", "verbatim"),
    ("anaemia and haematomas", "Anemia", "verbatim"),
    ("anemia and hematomas", "Haematoma", "verbatim"),
    ("diarrhea, dyspnea", "Diarrhoea", "verbatim"),
    ("peripheral edema", "Oedema peripheral", "synonym"),
    ("edema of the face", "Face oedema", "synonym"),
    ("liver failure", "Hepatic failure", "synonym"),
    ("failure of the kidneys", "Renal failure", "synonym"),
    ("convulsions", "Seizure", "synonym"),
    ("fever and itching", "Pyrexia", "synonym"),
    ("fever and itching", "Pruritus", "synonym"),
    ("hair loss", "Alopecia", "synonym"),
    ("bleeding gums", "Gingival bleeding", "synonym"),
    ("shortness of breath", "Dyspnoea", "synonym"),
    ("low blood pressure", "Hypotension", "synonym"),
    ("heart attack", "Myocardial infarction", "synonym"),
    ("blurred vision", "Vision blurred", "synonym"),
    ("increased ALT", "Alanine aminotransferase increased", "synonym"),
    ("elevated AST, ALT and GGT", "Alanine aminotransferase increased", "synonym"),
    ("elevated AST, ALT and GGT", "Gamma-glutamyltransferase increased", "synonym"),
    ("increases in serum creatinine", "Blood creatinine increased", "synonym"),
    ("injection site pain, erythema and swelling", "Injection site swelling", "synonym"),
    ("prolongation of the QT interval", "Electrocardiogram QT prolonged", "synonym"),
    ("anaphylaxis", "Anaphylactic reaction", "synonym"),
    ("swelling of the lips and tongue", "Swollen tongue", "synonym"),
    ("pruritis of the eye", "Eye pruritus", "fuzzy"),
    ("rhabdomyolisis", "Rhabdomyolysis", "fuzzy"),
    ("hyperbilirubinemia and hyperbilrubinemia", "Hyperbilirubinaemia", "verbatim"),
    ("hyperbilrubinemia", "Hyperbilirubinaemia", "fuzzy"),
]  # fmt: skip

NOT_LISTED = [
    ("", "Headache"),
    ("Common: Headache, Nausea.", ""),
    ("injection site pain", "Pain"),
    ("back pain and chest pain", "Pain"),
    ("pain in the back", "Pain"),
    ("pain", "Back pain"),
    ("hemolytic anemia", "Anaemia"),
    ("septic shock", "Shock"),
    ("candidiasis", "Infection"),
    ("heart attack", "Infarction"),
    ("rash, pruritus", "Rash pruritic"),
    ("nausea and headache; failure of a pump", "Hepatic failure"),
    ("Liver: none. Failure to thrive", "Hepatic failure"),
    ("no cases of pancreatitis were reported", "Pancreatitis"),
    ("pancreatitis was not observed", "Pancreatitis"),
    ("patients with renal impairment", "Renal impairment"),
    ("indicated for the treatment of hypertension", "Hypertension"),
    ("use in patients with a history of seizures", "Seizure"),
    ("Eye disorders: conjunctivitis", "Eye disorder"),
    ("hypoglycaemia", "Hyperglycaemia"),
    ("hypotension", "Hypertension"),
    ("decreased hemoglobin, potassium increased", "Haemoglobin increased"),
    ("mastitis", "Gastritis"),
    ("dependent on dose", "Dependence"),
    ("non-melanoma", "Carcinoma"),
]


@pytest.mark.parametrize(("text", "term", "how"), LISTED)
def test_what_a_document_lists_is_found_and_its_place_told(text: str, term: str, how: str) -> None:
    mention = Reference(text).find(term)
    assert mention is not None
    assert mention.how == how
    assert text[mention.start : mention.end] in mention.quote


@pytest.mark.parametrize(("text", "term"), NOT_LISTED)
def test_what_is_unsure_is_not_listed(text: str, term: str) -> None:
    assert Reference(text).find(term) is None


def test_word_for_word_comes_first() -> None:
    text = "Fever was common. Rarely: pyrexia."
    mention = Reference(text).find("Pyrexia")
    assert mention is not None
    assert (mention.how, text[mention.start : mention.end]) == ("verbatim", "pyrexia")


def test_a_denied_place_does_not_hide_another() -> None:
    assert Reference("No hepatitis in trials. Later, hepatitis was reported.").find("Hepatitis") is not None


@pytest.mark.parametrize(
    ("one", "other", "slip"),
    [
        ("pruritus", "pruritis", True), ("pruritus", "prurtius", True), ("pruritus", "pruritu", True),
        ("pruritus", "pruritus", False), ("pruritus", "prurigo", False), ("ab", "abcd", False), ("abcd", "badc", False),
    ],
)  # fmt: skip
def test_a_slip_is_one_letter(one: str, other: str, slip: bool) -> None:
    assert one_slip(one, other) is one_slip(other, one) is slip


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("haemorrhages", "hemorrhage"), ("tumours", "tumor"), ("infected", "infection"), ("neurologic", "neurological"),
        ("eyes", "eye"), ("gastrooesophageal", "gastroesophageal"), ("thromboses", "thrombosis"), ("allergies", "allergy"),
    ],
)  # fmt: skip
def test_spellings_and_endings_are_one(one: str, other: str) -> None:
    assert stem(one) == stem(other)


@pytest.mark.parametrize("word", ["nausea", "rash", "virus", "stress", "pus", "acne", "lung"])
def test_a_stem_has_a_stem_of_its_own(word: str) -> None:
    assert stem(stem(word)) == stem(word)


def test_a_phrase_means_one_thing_and_keeps_its_place() -> None:
    (dyspnea,) = stems("dyspnoea")
    assert concepts(stems("mild shortness of breath")) == (("mild", 0, 1), (dyspnea, 1, 4))


def test_the_case_is_listed_by_a_synonym_and_the_reviewer_sees_where() -> None:
    text = "Postmarketing: convulsions, hair loss."
    of = case(reactions=(Reaction(term="Seizure"), Reaction(term="Alopecia")))
    found = findings(of, (passage(text),))["listedness"]
    assert found.result == "yes"
    start = 10 + text.index("convulsions")
    assert f"Seizure: synonym at product/torvexil@1.0#{start}-{start + len('convulsions')}" in found.detail


def test_warnings_of_a_label_list_and_precautions_for_use_do_not() -> None:
    of = case(reactions=(Reaction(term="Headache"),))

    def listed(section: str) -> str:
        return triage(of, (passage("headache", section=section),)).listed

    assert listed("Torvexil > 5 WARNINGS AND PRECAUTIONS") == "yes"
    assert listed("Torvexil > BOXED WARNING") == "yes"
    assert listed("Torvexil > 4.4 Special warnings and precautions for use") == "not_checked"


def test_a_slip_of_the_pen_is_shown_and_does_not_lower_a_grade() -> None:
    of, near = case(reactions=(Reaction(term="Hyperhidrosis"),)), (passage("Hyperhydrosis"),)
    found = listedness(of, near)
    assert [listing.how for listing in found.listings] == ["fuzzy"]
    assert (found.result, found.unlisted, triage(of, near).grade) == ("no", 1, 2)
    assert triage(of, (passage("Hyperhidrosis"),)).grade == 1


def test_the_surest_passage_is_shown() -> None:
    of = case(reactions=(Reaction(term="Pyrexia"),))
    found = listedness(of, (passage("fever", question="Torvexil"), passage("pyrexia", question="Torvexil")))
    assert [listing.how for listing in found.listings] == ["verbatim"]


WORDS = st.sampled_from(
    "no pain injection site of the and , . ; ( ) \n fever pyrexia increased ALT liver failure İ ß - 3% •".split(
        " "
    )
)


@given(
    st.one_of(st.text(max_size=300), st.lists(WORDS, max_size=60).map(" ".join)),
    st.lists(WORDS, max_size=4).map(" ".join),
)
@settings(max_examples=300, deadline=None)
def test_any_text_is_read_and_every_place_is_valid(text: str, term: str) -> None:
    mention = Reference(text).find(term)
    if mention is not None:
        assert mention.how in HOW
        assert 0 <= mention.start < mention.end <= len(text)
        assert len(mention.quote) <= QUOTE_CHARACTERS


@given(st.lists(WORDS, max_size=40).map(" ".join))
@settings(max_examples=150, deadline=None)
def test_an_item_of_its_own_is_listed_whatever_stands_before(text: str) -> None:
    assert Reference(f"{text}.\n\nRash.").find("Rash") is not None


@pytest.mark.parametrize(
    "unit",
    ["mild fever and rash. ", "pain ", "liver failure of the ", " \n", "a", "fever, ", "increased ", "("],
)
def test_a_long_text_takes_linear_time(unit: str) -> None:
    """Eight times as much takes about eight times as long; a square would take 64 times."""

    def prepare(size: int) -> Callable[[], object]:
        text = unit * (size // len(unit))

        def read() -> None:
            reference = Reference(text)
            for term in ("Pain", "Hepatic failure", "Alanine aminotransferase increased", "Pyrexia"):
                reference.find(term)

        return read

    assert growth(prepare, 1 << 13) < 20


def test_a_passage_is_cited_where_nothing_is_listed() -> None:
    found = listedness(case(), (passage("Rash"),))
    assert (found.result, found.unlisted, found.listings) == ("no", 1, ())
    assert found.cited == ("product/torvexil@1.0#10-14",)


def test_the_benchmark_counts_what_a_case_counts() -> None:
    (label,) = labels_of(
        [{"label_id": "A", "section_text": "pruritis", "adverse_events": [["pruritis", "Pruritus"]]}]
    )
    assert (label.lists("Pruritus"), label.shows("Pruritus")) == (False, True)


def test_the_benchmark_counts_pairs_and_asks_only_for_what_nobody_found() -> None:
    rows = [
        {"label_id": name, "section_text": text, "adverse_events": [[word, term] for word, term in found]}
        for name, text, found in (
            ("A", "convulsions", [("convulsions", "Seizure")]),
            ("A", "rash", [("rash", "Rash"), ("x", "")]),
            ("B", "Nausea. No rash.", [("nausea", "Nausea"), ("gone", "Vertigo")]),
        )
    ]
    labels = labels_of(rows)
    assert [(label.name, set(label.terms)) for label in labels] == [
        ("A", {"Seizure", "Rash"}),
        ("B", {"Nausea", "Vertigo"}),
    ]
    assert {name: set(terms) for name, terms in others(labels, 1).items()} == {
        "A": {"Nausea", "Vertigo"},
        "B": {"Seizure", "Rash"},
    }
    own = {label.name: sorted(label.terms) for label in labels}
    assert share(labels, own, Label.lists) == 0.75
    assert share(labels, own, Label.has) == 0.5
    assert (share(labels, others(labels, 1), Label.lists), share(labels, others(labels, 1), Label.has)) == (
        0,
        0.25,
    )
