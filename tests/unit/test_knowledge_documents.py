"""The shipped documents: complete, honest about what they are, and fit for looking a reaction up word for word."""

from __future__ import annotations

import csv
import gzip
import re
from collections import Counter
from pathlib import Path

import pytest

from vigimesh.adapters.memory.search import MemorySearch
from vigimesh.domain.knowledge.indexing import indexed
from vigimesh.domain.knowledge.questions import Scope, understand
from vigimesh.domain.knowledge.sections import Sectioned
from vigimesh.domain.knowledge.shipped import shipped_documents
from vigimesh.events.ids import digest

SOURCES = shipped_documents()
DOCUMENTS = [one.document for one in SOURCES]
REFERENCES = [one for one in SOURCES if one.document.kind == "reference"]
#: Digest of the places of all shipped passages as of their first release: decisions cite them, so they never move.
PLACES = "f613ea2c29aba8eed6799e8e79dbd70dfe8f011d14e6b75e737267c8c66bdae3"
#: Words of a listing that are no reaction terms.
FRAME = re.compile(r"^(Where it was given|In general, [a-z ]+|Common [^:]*|Uncommon [^:]*): ")


def listed(source: Sectioned) -> list[str]:
    """Return the terms under the heading of listed reactions."""
    lines = [line for one in indexed(source) if one.listed for line in one.passage.text.splitlines() if line]
    terms = []
    for line in lines:
        frame = FRAME.match(line)
        assert frame, line
        terms += [term.strip() for term in line[frame.end() :].rstrip(".").split(",")]
    return [term for term in terms if term[:1].isupper()]


def test_there_are_products_vaccines_and_guidance() -> None:
    rooms = Counter(one.id.split("/")[0] for one in DOCUMENTS)
    assert rooms["product"] == 8
    assert rooms["vaccine"] >= 10
    assert rooms["guidance"] == 4


def test_ids_names_and_aliases_are_unique() -> None:
    assert len({one.id for one in DOCUMENTS}) == len(DOCUMENTS)
    names = Counter(name.casefold() for one in DOCUMENTS for name in {*one.names, *one.aliases})
    assert [name for name, count in names.items() if count > 1] == []


@pytest.mark.parametrize("source", SOURCES, ids=lambda one: one.document.id)
def test_each_says_that_it_is_for_demonstration(source: Sectioned) -> None:
    assert "demonstrations and tests" in indexed(source)[0].passage.text
    assert source.document.text.startswith(f"# {source.document.title}\n")


def test_the_places_of_the_first_release_stand() -> None:
    rows = [
        f"{(place := one.passage.place).document}@{place.version}#{place.start}-{place.end} {one.listed} {place.section}"
        for source in SOURCES
        if source.document.version == "1.0"
        for one in indexed(source)
    ]
    assert digest("\n".join(rows).encode()) == PLACES


@pytest.mark.parametrize("source", REFERENCES, ids=lambda one: one.document.id)
def test_a_reference_lists_its_reactions_in_one_passage(source: Sectioned) -> None:
    terms = listed(source)
    assert len(terms) >= 9
    assert len(terms) == len(set(terms))
    assert sum(one.listed for one in indexed(source)) == 1


@pytest.mark.parametrize("source", REFERENCES, ids=lambda one: one.document.id)
def test_a_term_stands_nowhere_in_a_reference_but_in_its_list(source: Sectioned) -> None:
    """Else a verbatim look-up would call a reaction listed that the list does not have."""
    vocabulary = {term.casefold() for one in REFERENCES for term in listed(one)}
    own = {term.casefold() for term in listed(source)}
    prose = " ".join(one.passage.text for one in indexed(source) if not one.listed).casefold()
    strays = [term for term in vocabulary - own if re.search(rf"\b{re.escape(term)}\b", prose)]
    assert strays == []


@pytest.mark.parametrize("source", REFERENCES, ids=lambda one: one.document.id)
def test_each_listed_reaction_is_found_first_under_each_name(source: Sectioned) -> None:
    search = MemorySearch()
    search.load(SOURCES)
    document = source.document
    asked = [(name, term) for name in (*document.names, *document.aliases) for term in listed(source)]
    answers = search.find([f"{name} {term}" for name, term in asked], 3)
    for (name, term), found in zip(asked, answers, strict=True):
        assert {p.document_id for p in found.passages} == {document.id}, (name, term)
        assert found.passages[0].section.endswith("Listed reactions")
        assert term in found.passages[0].text


def test_no_serious_outcome_is_listed() -> None:
    """A listed reaction lowers a grade from 2 to 1 only: none that is serious by itself may look ordinary here."""
    never = {
        "Death",
        "Sudden infant death syndrome",
        "Anaphylactic shock",
        "Cardiac arrest",
        "Sepsis",
        "Encephalitis",
    }
    assert {term for one in REFERENCES for term in listed(one)} & never == set()


@pytest.mark.data
def test_real_vaccine_names_find_their_reference(real_data: Path) -> None:
    scope = Scope.of((one.id, one.names, one.aliases) for one in DOCUMENTS)
    found: Counter[bool] = Counter()
    wrong = []
    kinds = {"DTP": "dtp", "MMR": "measles-mumps-rubella", "OPV": "poliomyelitis-oral", "HEP": "hepatitis-b", "TD": "tetanus-diphtheria", "HIBV": "haemophilus-b", "DTPHIB": "dtp", "DTAP": "dtap"}  # fmt: skip
    with gzip.open(real_data / "vaers" / "1995VAERSVAX.csv.gz", "rt", encoding="latin-1") as lines:
        for row in csv.DictReader(lines):
            only = understand(f"{row['VAX_NAME']} Pyrexia", scope).only
            found[bool(only)] += 1
            if row["VAX_TYPE"] in kinds and only != f"vaccine/{kinds[row['VAX_TYPE']]}":
                wrong.append((row["VAX_NAME"], only))
    assert wrong == []
    assert found[True] / found.total() > 0.9
