"""The readers as named steps of a card: findings only, and the published specifications they pass."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest

import tools
from measuring import Report
from unit.safety_making import AT, case
from vigimesh.domain.policy.shipped import shipped_cards
from vigimesh.domain.safety import spans
from vigimesh.domain.safety.narrative_tools import MAX_QUOTES, READERS, narrative_finding
from vigimesh.domain.safety.tools import run_steps
from vigimesh.events.case import Reporter

NARRATIVE = (
    "A 35 yo woman took 500 mg amoxicillin twice daily from 03/04/97 for 5 days; temp 101F, ALT 120 U/L (ref 10-40). "
    "The next day she had a 3 cm rash."
)


@pytest.mark.parametrize(
    ("step", "result", "words"),
    [
        ("text_dates", "unclear", ("'03/04/97' 1997-03-04 or 1997-04-03", "'The next day' needs_reference")),
        ("durations", "read", ("'5 days' P5D",)),
        ("ages", "read", ("'35 yo' 35 a (adult)",)),
        ("doses", "read", ("'500 mg' 500 mg, 2 per 1 d",)),
        ("dimensions", "read", ("'101F' 101 [degF]", "'3 cm' 3 cm")),
        ("lab_values", "read", ("ALT 120 U/L above",)),
    ],
)
def test_a_step_says_what_it_found_and_where(step: str, result: str, words: tuple[str, ...]) -> None:
    found = narrative_finding(step, NARRATIVE)
    assert (found.step, found.result) == (step, result)
    assert all(word in found.detail for word in words), found.detail
    for quote in found.quotes:
        place, _, text = quote.partition(":")
        start, end = map(int, place.split("-"))
        assert NARRATIVE[start:end] == text


def dates_of(**changes: Any) -> str:
    of = case(narrative="Rash on 03/04/97, seen two days ago.", **changes)
    (found, *_), _ = run_steps(("text_dates",), of, of.narrative, (), AT)
    return found.detail


DAY = "1997-04-10"


@pytest.mark.parametrize(
    ("changes", "figures", "ago"),
    [
        ({"country": "US", "reporters": (Reporter(country="US"),)}, "1997-03-04", "1997-04-08"),
        ({"country": "", "reporters": (Reporter(country="GB"),)}, "1997-04-03", "1997-04-08"),
        ({"country": "US", "reporters": (Reporter(country="DE"),)}, "1997-03-04 or 1997-04-03", "1997-04-08"),
        ({"country": "CA", "reporters": ()}, "1997-03-04 or 1997-04-03", "1997-04-08"),
        ({"country": "", "reporters": ()}, "1997-03-04 or 1997-04-03", "1997-04-08"),
        ({"most_recent_on": "1997-05-01"}, "1997-04-03", "needs_reference"),
        ({"first_received_on": "1997-04", "most_recent_on": "1997-04"}, "1997-04-03", "needs_reference"),
        ({"first_received_on": "UNK", "most_recent_on": ""}, "1997-04-03", "needs_reference"),
    ],
)
def test_dates_are_read_by_what_the_case_tells_and_stay_open_where_it_does_not(
    changes: dict[str, Any], figures: str, ago: str
) -> None:
    said = dates_of(**{"first_received_on": DAY, "most_recent_on": DAY, **changes})
    assert f"'03/04/97' {figures}" in said
    assert ("or" in said.partition("'03/04/97'")[2][:30]) is ("or" in figures)
    assert f"'two days ago' {ago}" in said


def test_every_reader_stands_in_a_shipped_card() -> None:
    named = {step for card in shipped_cards(False).cards for step in card.steps}
    assert set(READERS) <= named


def test_findings_change_no_triage() -> None:
    plain = run_steps((), case(), NARRATIVE, (), AT)
    more = run_steps(tuple(READERS), case(), NARRATIVE, (), AT)
    assert more[1] == plain[1]
    assert [one.step for one in more[0]][: len(READERS)] == list(READERS)


@pytest.mark.parametrize("step", READERS)
def test_an_empty_text_and_a_long_one_are_said(step: str) -> None:
    assert narrative_finding(step, "").result == "nothing"
    long = narrative_finding(step, "on 3 May 1997 " * (spans.MAX_CHARACTERS // 10))
    assert long.result == "unclear"
    assert "not read from character" in long.detail
    assert len(long.quotes) <= MAX_QUOTES


def test_without_data_there_is_no_figure(tmp_path: Path) -> None:
    report = Report(name="tools", goals=tools.GOALS)
    tools.measure(tmp_path, report, argparse.Namespace(rounds=1, debug=False))
    assert report.found == {}


@pytest.mark.data
def test_the_published_specifications_are_passed(real_data: Path) -> None:
    found = tools.specs(real_data / "recognizers")
    for key in ("dates", "durations", "ages", "dimensions", "temperatures"):
        mine = [spec for spec in found if spec.kind == key]
        assert sum(map(tools.passed, mine)) / len(mine) >= max(tools.GOALS[key].value, 0.9), key


@pytest.mark.data
def test_the_published_units_are_read(real_data: Path) -> None:
    codes = [*tools.atoms(real_data / "ucum"), *tools.examples(real_data / "ucum")]
    assert len(codes) > 1_000
    assert sum(fits for _, fits in codes) / len(codes) >= tools.GOALS["units"].value
