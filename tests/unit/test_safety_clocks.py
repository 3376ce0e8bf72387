"""Legal clocks: which rule, from which day, when it ends, and when a person must confirm it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from unit.safety_making import AT, case, triage
from vigimesh.domain.safety.clock_rules import parse_rules, shipped_rules
from vigimesh.domain.safety.clocks import add_days, clock
from vigimesh.errors import Misconfigured, explanations
from vigimesh.events.case import Product, Reaction

US = {"country": "US"}
TRIAL = {"report_type": "study", "study_type": "clinical_trial", "study_id": "S-1"}
VACCINE = {"products": (Product(name="A", kind="vaccine"),)}
DEATH = {"criteria": ("death",)}


def end(text: str) -> datetime:
    return datetime.fromisoformat(text + "T23:59:59+00:00")


@pytest.mark.parametrize(
    ("changes", "serious", "rule", "due"),
    [
        ({}, "yes", "eu_serious_15d", "2026-03-17"),
        ({}, "unknown", "eu_serious_15d", "2026-03-17"),
        ({}, "no", "eu_non_serious_90d", "2026-05-31"),
        ({"country": "NO"}, "yes", "eu_serious_15d", "2026-03-17"),
        (US, "yes", "us_drug_serious_15d", "2026-03-17"),
        (US, "unknown", "us_drug_serious_15d", "2026-03-17"),
        (US, "no", "us_periodic", None),
        (US | VACCINE, "yes", "us_vaccine_serious_15d", "2026-03-17"),
        (
            US | {"products": (Product(name="A", kind="not_stated"),)},
            "yes",
            "us_drug_serious_15d",
            "2026-03-17",
        ),
        (
            US | {"products": (Product(name="A", kind="device"),)},
            "yes",
            "us_device_serious_30d",
            "2026-04-01",
        ),
        (
            US | {"products": (Product(name="A", kind="combination"),)},
            "yes",
            "us_combination_serious_15d",
            "2026-03-17",
        ),
        (TRIAL, "yes", "eu_trial_serious_15d", "2026-03-17"),
        (TRIAL | DEATH, "yes", "eu_trial_fatal_7d", "2026-03-09"),
        (TRIAL | US, "yes", "us_ind_serious_15d", "2026-03-17"),
        (TRIAL | US | DEATH, "yes", "us_ind_fatal_7d", "2026-03-09"),
        (TRIAL | US, "no", "us_trial_periodic", None),
        # Other studies are solicited reports, with the clock of post-marketing.
        (TRIAL | {"study_type": "individual_use"}, "yes", "eu_serious_15d", "2026-03-17"),
        # A follow-up starts the clock anew; the seven days count from the first receipt.
        ({"most_recent_on": "20260308101500+0100"}, "yes", "eu_serious_15d", "2026-03-23"),
        (TRIAL | DEATH | {"most_recent_on": "2026-03-08"}, "yes", "eu_trial_fatal_7d", "2026-03-09"),
        # FDA.C.1.7.1 is used when it is shorter.
        (US | {"expedited_kind": "4"}, "yes", "us_fda_kind_5_work_days", "2026-03-09"),
        (US | {"expedited_kind": "6"}, "yes", "us_fda_kind_7d", "2026-03-09"),
        (US | {"expedited_kind": "5"}, "yes", "us_drug_serious_15d", "2026-03-17"),
        (US | {"expedited_kind": "1"}, "no", "us_fda_kind_15d", "2026-03-17"),
        (US | {"expedited_kind": "2"}, "no", "us_periodic", None),
        ({"expedited_kind": "6"}, "yes", "us_fda_kind_7d", "2026-03-09"),
    ],
)
def test_the_rule_and_its_end(changes: dict[str, Any], serious: str, rule: str, due: str | None) -> None:
    found = clock(case(**changes), serious, True, "not_checked", AT)
    assert found.rule == rule
    assert found.due_at == (end(due) if due else None)
    assert found.source
    assert not found.person_needed


@pytest.mark.parametrize("country", ["JP", "GB", ""])
def test_a_jurisdiction_without_a_rule_gets_the_shortest_clock_and_a_person(country: str) -> None:
    found = clock(case(country=country), "yes", True, "not_checked", AT)
    assert (found.due_at, found.jurisdiction) == (end("2026-03-17"), country)
    assert found.person_needed
    trial = clock(case(country=country, **TRIAL, **DEATH), "yes", True, "not_checked", AT)
    assert trial.due_at == end("2026-03-09")


def test_an_address_to_the_fda_tells_the_jurisdiction() -> None:
    assert clock(case(country="", expedited_kind="1"), "yes", True, "no", AT).jurisdiction == "US"


def test_no_clock_runs_before_the_case_is_valid_or_for_a_document() -> None:
    found = clock(case(), "yes", False, "no", AT)
    assert (found.rule, found.due_at, found.jurisdiction) == ("", None, "EU")
    assert "last minimum criterion" in found.source
    assert clock(case(kind="document"), "yes", True, "no", AT).due_at is None


@pytest.mark.parametrize(
    ("dates", "day0", "person"),
    [
        ({"most_recent_on": "2026-02"}, "2026-02-01", True),
        ({"most_recent_on": "", "first_received_on": "2026-03-01"}, "2026-03-01", False),
        ({"most_recent_on": "UNK", "first_received_on": ""}, "2026-03-10", True),
        ({"most_recent_on": "2031-01-01"}, "2026-03-10", True),
        ({"most_recent_on": "2026-03-11"}, "2026-03-11", False),
    ],
)
def test_day_0_is_the_earliest_it_may_be(dates: dict[str, str], day0: str, person: bool) -> None:
    found = clock(case(**dates), "yes", True, "no", AT)
    assert (found.day0_on, found.person_needed) == (day0, person)


def test_a_machines_listed_takes_no_clock_away_but_asks_a_person() -> None:
    found = clock(case(**US), "yes", True, "yes", AT)
    assert found.due_at == end("2026-03-17")
    assert found.person_needed
    assert not clock(case(**US), "no", True, "yes", AT).person_needed
    # In the EU listedness plays no part after authorisation.
    assert not clock(case(), "yes", True, "yes", AT).person_needed


def test_the_clock_knows_what_only_the_text_told() -> None:
    told = triage(case(**TRIAL, narrative="The participant died of sepsis on the third day."))
    assert told.clock.rule == "eu_trial_fatal_7d"


def test_a_rule_holds_only_while_it_is_in_force() -> None:
    early = clock(case(), "yes", True, "no", datetime(2000, 1, 1, tzinfo=UTC))
    assert early.person_needed
    assert not early.rule.startswith("eu_")


@pytest.mark.parametrize(
    ("start", "last"),
    [
        ("2026-03-02", "2026-03-09"),
        ("2026-03-06", "2026-03-13"),
        ("2026-03-07", "2026-03-13"),
        ("2026-03-08", "2026-03-13"),
    ],
)
def test_five_work_days_skip_the_week_end(start: str, last: str) -> None:
    assert add_days(date.fromisoformat(start), 5, "work") == date.fromisoformat(last)


@given(st.dates(), st.integers(0, 366), st.sampled_from(["work", "calendar"]))
def test_adding_days_never_goes_back_nor_past_the_calendar(day: date, days: int, unit: str) -> None:
    assert day <= add_days(day, days, unit) <= date.max


COUNTRIES = st.sampled_from(["DE", "US", "JP", "", "xx", "EL"])
KINDS = st.sampled_from(["drug", "vaccine", "device", "combination", "not_stated"])


@given(
    COUNTRIES,
    KINDS,
    st.sampled_from(["yes", "unknown"]),
    st.sampled_from(["yes", "no", "not_checked"]),
    st.booleans(),
)
def test_what_may_be_serious_always_has_an_end(
    country: str, kind: str, serious: str, listed: str, trial: bool
) -> None:
    changes: dict[str, Any] = {"country": country, "products": (Product(name="A", kind=kind),)} | (
        TRIAL if trial else {}
    )
    found = clock(case(**changes), serious, True, listed, AT)
    assert found.due_at is not None
    unknown = clock(case(**changes), "unknown", True, listed, AT)
    assert unknown.due_at is not None
    assert unknown.due_at <= found.due_at


def test_a_fatal_outcome_counts_without_a_ticked_box() -> None:
    fatal = case(**TRIAL, reactions=(Reaction(term="Rash", outcome="fatal"),))
    assert clock(fatal, "yes", True, "no", AT).rule == "eu_trial_fatal_7d"


ROW = """[[rule]]
name = "a"
jurisdiction = "EU"
report = "any"
product = "any"
trigger = "serious"
days = 15
unit = "calendar"
day0 = "most_recent_on"
source = "a law"
valid_from = 2012-07-02
valid_to = ""
"""


def test_a_row_is_read() -> None:
    (rule,) = parse_rules(ROW.encode(), "my.toml")
    assert (rule.days, rule.valid_to) == (15, None)
    assert rule.in_force(date(2012, 7, 2))
    assert not rule.in_force(date(2012, 7, 1))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("days = 15", "dayz = 15", "did you mean 'days'"),
        ("days = 15", "days = 400", "0 to 366"),
        ("days = 15", 'days = "15"', "whole number"),
        ("days = 15", "days = true", "whole number"),
        ("days = 15\n", "", "column 'days' is missing"),
        ('unit = "calendar"', 'unit = "calender"', "nearest: 'calendar'"),
        ('trigger = "serious"', 'trigger = "Serious"', "nearest: 'serious'"),
        ('source = "a law"', 'source = " "', "source is empty"),
        ("valid_from = 2012-07-02", 'valid_from = "2012"', "valid_from is no date"),
        ('valid_to = ""', 'valid_to = "never"', "valid_to is no date"),
        ("[[rule]]", "[rule]", "only [[rule]] rows"),
        ("[[rule]]", "x = 1\n[[rule]]", "only [[rule]] rows"),
        ("days = 15", "days = ", "not a TOML file"),
        (ROW, ROW + ROW, "two rules are named 'a'"),
        (ROW, "", "1 to 1000"),
    ],
)  # fmt: skip
def test_a_wrong_table_says_what_where_and_what_to_do(old: str, new: str, says: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        parse_rules(ROW.replace(old, new).encode(), "my.toml")
    assert says in str(caught.value)
    assert "my.toml" in caught.value.where
    assert caught.value.todo
    assert caught.value.code in explanations()


def test_the_shipped_table_covers_every_trigger_with_a_source() -> None:
    rules = shipped_rules()
    assert {rule.trigger for rule in rules} >= {
        "serious",
        "serious_unlisted",
        "fatal_unlisted",
        "non_serious",
    }
    assert all(rule.source and rule.days <= 90 for rule in rules)
    assert replace(rules[0], days=0).name == rules[0].name
