"""Seriousness from text: what is stated, denied, of somebody else, long ago, feared or unclear."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from growth import growth
from vigimesh.domain.safety.text_seriousness import (
    MAX_JUDGED,
    QUOTE_CHARACTERS,
    ambiguous,
    read_term,
    read_text,
    stated,
)

DEATH, THREAT, HOSPITAL = "death", "life_threatening", "hospitalisation"
DISABLED, CONGENITAL, IMPORTANT = "disability", "congenital_anomaly", "other_medically_important"

STATED = [
    ("The patient died two days later.", DEATH),
    ("Pt expired 4NOV97 at home", DEATH),
    ("infant found dead in mom's bed", DEATH),
    ("The outcome was fatal.", DEATH),
    ("Coroner says SIDS; no autopsy", DEATH),
    ("No autopsy was performed.", DEATH),
    ("Cause of death unknown to the reporter... death on day 3", DEATH),
    ("resuscitation was unsuccessful", DEATH),
    ("ambulance came; unable to resuscitate", DEATH),
    ("CPR attempts unsuccessful", DEATH),
    ("pt did not eventually survive this event", DEATH),
    ("found pulseless and cold", THREAT),
    ("developed resp failure", THREAT),
    ("was without warning in cardio pulm arrest", THREAT),
    ("a man with a family history of diabetes presented with deep coma", THREAT),
    ("woman with a history of stenting five days before was admitted", HOSPITAL),
    ("one twin died from the consequences of hypoxaemia", DEATH),
    ("acute respiratory distress syndrome after the infusion", THREAT),
    ("intracerebral haemorrhage", IMPORTANT),
    ("The seizures were suspected to be caused by the drug", IMPORTANT),
    ("Intrauterine death in week 30", DEATH),
    ("He developed anaphylactic shock within minutes.", THREAT),
    ("pt intubated in ER", THREAT),
    ("Cardiac arrest occurred after the infusion", THREAT),
    ("Admitted to the ICU for two days", THREAT),
    ("The reaction was life threatening.", THREAT),
    ("She was hospitalised for three days.", HOSPITAL),
    ("she was HOSPITALIZED", HOSPITAL),
    ("hosp'd x 3 days", HOSPITAL),
    ("pt hosp x3days for fever", HOSPITAL),
    ("adm to hosp w/dehydration", HOSPITAL),
    ("Patient was admitted for observation", HOSPITAL),
    ("was in hospital for 2 weeks", HOSPITAL),
    ("required in-patient treatment", HOSPITAL),
    ("The rash led to a prolonged stay.", HOSPITAL),
    ("no fever, hospitalised 3 days", HOSPITAL),
    ("did not feel well and was hospitalised", HOSPITAL),
    ("No improvement, so she was admitted to hospital", HOSPITAL),
    ("not only vomited but was hospitalised", HOSPITAL),
    ("The mother reported that the child was hospitalised", HOSPITAL),
    ("previously healthy child hospitalised", HOSPITAL),
    ("previously well; hospitalised on day 2", HOSPITAL),
    ("history of asthma, was hospitalised", HOSPITAL),
    ("had to be hospitalised", HOSPITAL),
    ("no longer hospitalised", HOSPITAL),
    ("per mother, hospitalised overnight", HOSPITAL),
    ("permanent damage to the left arm", DISABLED),
    ("paralysis of both legs", DISABLED),
    ("He has not recovered from the paralysis", DISABLED),
    ("left with brain damage", DISABLED),
    ("The baby had a birth defect", CONGENITAL),
    ("congenital malformation of the heart", CONGENITAL),
    ("had a febrile seizure", IMPORTANT),
    ("pt had 3 sz p/vax", IMPORTANT),
    ("convulsions on the way home", IMPORTANT),
    ("Guillain-Barre syndrome was diagnosed", IMPORTANT),
    ("dx anaphylaxis", IMPORTANT),
    ("aseptic meningitis", IMPORTANT),
    ("brought by mother with seizure", IMPORTANT),
    ("Platelets low: thrombocytopenia", IMPORTANT),
]

NEGATED = [
    ("The patient did not die.", DEATH),
    ("No deaths occurred.", DEATH),
    ("non-fatal overdose", DEATH),
    ("There was no hospitalisation.", HOSPITAL),
    ("She was not hospitalised.", HOSPITAL),
    ("was not admitted to hospital", HOSPITAL),
    ("wasn't admitted", HOSPITAL),
    ("never hospitalized", HOSPITAL),
    ("Patient denies hospitalisation.", HOSPITAL),
    ("recovered without hospitalisation", HOSPITAL),
    ("did not require hospitalization", HOSPITAL),
    ("Hospitalisation was not required.", HOSPITAL),
    ("hospitalised: no", HOSPITAL),
    ("seen in ER w/o admission", HOSPITAL),
    ("refused admission", HOSPITAL),
    ("no rash, fever or seizures", IMPORTANT),
    ("no rash, seizures, or vomiting", IMPORTANT),
    ("no sz activity was noted", IMPORTANT),
    ("denied any seizure", IMPORTANT),
    ("there were no signs of anaphylaxis", IMPORTANT),
    ("negative for meningitis", IMPORTANT),
    ("no history of seizures", IMPORTANT),
    ("meningitis was ruled out", IMPORTANT),
    ("neither seizure nor rash", IMPORTANT),
    ("no evidence of encephalitis", IMPORTANT),
    ("did not have a seizure", IMPORTANT),
    ("not considered life-threatening", THREAT),
    ("never required intubation", THREAT),
    ("no paralysis", DISABLED),
    ("is in no way disabled", DISABLED),
    ("no birth defects", CONGENITAL),
]

OTHER_SUBJECT = [
    ("Patient had fever. Her mother died in the same week.", DEATH),
    ("Child has rash; brother had a seizure at that age", IMPORTANT),
    ("pt's grandfather was hospitalised", HOSPITAL),
    ("the child has a family history of seizures", IMPORTANT),
    ("patient upset over the death of his father", DEATH),
    ("his sister also had a febrile seizure", IMPORTANT),
    ("patient bitten by a stray; the dog died later", DEATH),
    ("infant well, another patient died", DEATH),
]

HISTORY = [
    ("history of hospitalisation in 1985", HOSPITAL),
    ("hx of seizures", IMPORTANT),
    ("h/o febrile seizures", IMPORTANT),
    ("PMH: asthma, epilepsy", IMPORTANT),
    ("known epilepsy", IMPORTANT),
    ("prior hospitalisation", HOSPITAL),
    ("previous seizure", IMPORTANT),
    ("hospitalised 3 years ago", HOSPITAL),
    ("seizures as an infant", IMPORTANT),
]

HYPOTHETICAL = [
    ("He could have died.", DEATH),
    ("it would have required hospitalisation", HOSPITAL),
    ("if hospitalised, please send the chart", HOSPITAL),
    ("the risk of death was discussed", DEATH),
    ("fear of a seizure", IMPORTANT),
    ("a feeling of impending death", DEATH),
    ("felt like he was going to die", DEATH),
    ("if he was hospitalised we were not told", HOSPITAL),
    ("they thought pt was dying", DEATH),
    ("treated to prevent seizures", IMPORTANT),
]

AMBIGUOUS = [
    ("possible seizure", IMPORTANT),
    ("r/o meningitis", IMPORTANT),
    ("suspected sepsis", IMPORTANT),
    ("seizure-like activity", IMPORTANT),
    ("? seizure", IMPORTANT),
    ("unknown if hospitalised", HOSPITAL),
    ("taken to hospital by ambulance", HOSPITAL),
    ("kept overnight", HOSPITAL),
    ("may have had a seizure", IMPORTANT),
    ("no fever, seizure x 2", IMPORTANT),
    ("My mother died after the vaccine", DEATH),
    ("Mother died.", DEATH),
    ("found unresponsive", IMPORTANT),
    ("loss of vision in one eye", DISABLED),
    ("sepsis could not be ruled out", IMPORTANT),
]

NOTHING = [
    "A hospital nurse reported a rash.",
    "Seen at hospital clinic, sent home",
    "seen in hospital ER and released",
    "taken to hosp ER",
    "admitted to ER",
    "she admitted that she felt better",
    "The vaccine had expired in May",
    "given expired vaccine by mistake",
    "lot expired 5/97",
    "fever died down",
    "the rash became more pronounced",
    "received meningitis vaccine",
    "pneumonia shot in the left arm",
    "killed virus vaccine",
    "sore arm, mild fever, went to school",
    "",
]


def meanings(text: str, criterion: str) -> set[str]:
    return {hit.polarity for hit in read_text(text) if hit.criterion == criterion}


@pytest.mark.parametrize(("text", "criterion"), STATED)
def test_what_is_stated_is_found(text: str, criterion: str) -> None:
    assert "stated" in meanings(text, criterion)


@pytest.mark.parametrize(
    ("text", "criterion", "meant"),
    [(*row, "negated") for row in NEGATED]
    + [(*row, "other_subject") for row in OTHER_SUBJECT]
    + [(*row, "history") for row in HISTORY]
    + [(*row, "hypothetical") for row in HYPOTHETICAL]
    + [(*row, "ambiguous") for row in AMBIGUOUS],
)
def test_what_is_not_stated_is_told_apart(text: str, criterion: str, meant: str) -> None:
    assert meanings(text, criterion) == {meant}


@pytest.mark.parametrize(
    "text",
    [
        "Die Patientin wurde mit Kopfschmerzen in die Klinik gebracht und nach zwei Tagen entlassen.",
        "Nach der Impfung hat die Frau Fieber.",
        "Wegen Fieber und Husten hat sich die Mutter gemeldet, die das Kind brachte, die Schwester, die Tante und die Nachbarin.",
    ],
)
def test_the_german_article_is_no_death(text: str) -> None:
    """It stays unclear, so that a person looks; as a stated death it would fill the hot lane."""
    assert meanings(text, DEATH) == {"ambiguous"}


def test_a_word_that_is_only_english_is_stated_in_a_foreign_text_too() -> None:
    text = "Die Patientin und die Tochter, die Nachbarin und die Tante: " * 3
    assert "stated" in meanings(f"{text} she died", DEATH)


@pytest.mark.parametrize("text", NOTHING)
def test_what_only_looks_like_it_is_left_alone(text: str) -> None:
    assert read_text(text) == ()


@pytest.mark.parametrize(
    ("term", "criterion"),
    [
        ("Death", DEATH),
        ("Sudden infant death syndrome", DEATH),
        ("Hospitalisation", HOSPITAL),
        ("Convulsion", IMPORTANT),
        ("Anaphylactic shock", THREAT),
        ("Grand mal convulsion", IMPORTANT),
        ("Guillain-Barre syndrome", IMPORTANT),
        ("Paralysis", DISABLED),
        ("Congenital anomaly", CONGENITAL),
        ("Respiratory arrest", THREAT),
    ],
)
def test_a_coded_term_is_read(term: str, criterion: str) -> None:
    assert criterion in stated(read_term(term))


@pytest.mark.parametrize(
    "term", ["Pyrexia", "Injection site erythema", "Rash", "Crying", "Hepatitis B antibody"]
)
def test_an_ordinary_term_says_nothing(term: str) -> None:
    assert read_term(term) == ()


def test_one_denial_does_not_reach_into_the_next_sentence() -> None:
    assert stated(read_text("No fever. Seizure at noon; hospitalised.")) == (IMPORTANT, HOSPITAL)


def test_a_line_break_inside_a_sentence_changes_nothing() -> None:
    assert meanings("There was no\n  hospitalisation", HOSPITAL) == {"negated"}
    assert stated(read_text("life\n threatening")) == (THREAT,)


def test_the_place_is_in_the_given_text_also_behind_letters_that_grow() -> None:
    text = "İİİ " * 3 + "Patient DIED today"
    (hit,) = read_text(text)
    assert text[hit.start : hit.end] == "DIED"
    assert hit.place.startswith(f"{hit.start}-{hit.end}:")


WORDS = st.sampled_from(
    "no not died hospitalised seizure , . ; or and mother history of if without her was possible ? \n "
    "expired admitted to hosp in the vaccine İ ß denies never could have".split(" ")
)


@given(st.one_of(st.text(max_size=300), st.lists(WORDS, max_size=60).map(" ".join)))
@settings(max_examples=300, deadline=None)
def test_any_text_is_read_and_every_place_is_valid(text: str) -> None:
    for hit in read_text(text):
        assert 0 <= hit.start < hit.end <= len(text)
        assert len(hit.quote) <= QUOTE_CHARACTERS
        assert text[hit.start : hit.end] in hit.quote


@given(st.lists(WORDS, max_size=40).map(" ".join))
@settings(max_examples=150, deadline=None)
def test_an_unclear_word_never_hides_a_clear_sentence(text: str) -> None:
    assert HOSPITAL in stated(read_text(text + ". Patient was hospitalised for 3 days."))


LONG = 1 << 20


@pytest.mark.parametrize(
    "unit",
    [
        "mild fever and rash. ",
        "died ",
        "no seizure, ",
        "hosp ",
        " ",
        "a",
        "in the ",
        "\n",
        "admitted   to ",
        "İ",
        "?",
        "h(o",
    ],
)
def test_a_long_text_takes_linear_time(unit: str) -> None:
    """Eight times as much takes about eight times as long; a square would take 64 times."""

    def prepare(size: int) -> Callable[[], object]:
        text = unit * (size // len(unit))
        return lambda: read_text(text)

    assert growth(prepare, LONG // 64) < 20


def test_what_is_beyond_the_bound_is_unclear_and_not_lost() -> None:
    text = "no seizures. " * (MAX_JUDGED + 10) + "died"
    assert ambiguous(read_text(text)) == (IMPORTANT,)
