"""What may be asked of a budget: no cap that is none, no typo, no time without zone, no raise without reason and end."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from budgets import CAPS, NOON, ask, booked, raised
from vigimesh.domain.budget.values import MAX_LEASE_S, MAX_REASON, Caps, WindowStanding
from vigimesh.domain.policy.reading import card_of
from vigimesh.domain.policy.shipped import shipped_cards, shipped_raw
from vigimesh.errors import Misconfigured, Refused

AMOUNTS = ("month_micro", "day_micro", "case_micro", "calls_per_minute")


@pytest.mark.parametrize("name", AMOUNTS)
@pytest.mark.parametrize("value", [-1, 10**15 + 1, 1.5, True, None, "5", float("inf")])
def test_a_cap_that_is_no_amount_is_refused(name: str, value: Any) -> None:
    with pytest.raises(Misconfigured, match=f"VM-1901 cap {name}"):
        Caps("EUR", **{**dict.fromkeys(AMOUNTS, 1), name: value})


def test_the_caps_of_a_card_are_those_it_says() -> None:
    for card in shipped_cards(False).cards:
        caps = Caps.of(card)
        assert caps.month_micro == card.budget.month_micro
        assert [caps.of_window(one) for one in ("minute", "day", "month", "case")] == [
            card.calls_per_minute, card.budget.day_micro, card.budget.month_micro, card.budget.case_micro,
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("typo", "meant"), [("day_mirco", "day_micro"), ("month_cap", "month_micro"), ("case", "case_micro")]
)
def test_failure_31_a_misspelt_cap_is_never_read_as_no_cap(typo: str, meant: str) -> None:
    raw = shipped_raw()["triage"]
    money = {key: value for key, value in raw["budget"].items() if key != meant}
    with pytest.raises(Misconfigured, match=f"VM-1103 unknown key 'budget.{typo}'") as found:
        card_of({**raw, "budget": {**money, typo: 1}}, "mine.toml")
    assert found.value.where == "mine.toml"
    with pytest.raises(Misconfigured, match=f"'budget.{meant}' is missing"):
        card_of({**raw, "budget": money}, "mine.toml")


def test_a_card_whose_case_may_cost_more_than_its_month_is_refused() -> None:
    raw = shipped_raw()["triage"]
    money = {**raw["budget"], "case_micro": raw["budget"]["month_micro"] + 1}
    with pytest.raises(Misconfigured, match="does not rise from case to day to month"):
        card_of({**raw, "budget": money}, "mine.toml")


@pytest.mark.parametrize(
    "change",
    [
        {"call_id": ""}, {"call_id": "a b"}, {"call_id": "x" * 201}, {"call_id": "\n"}, {"call_id": "\u00fc"},
        {"workflow": ""}, {"workflow": "a:b"}, {"workflow": "Triage"}, {"case_id": ""}, {"case_id": "x" * 1_001},
        {"worst_micro": -1}, {"worst_micro": 10**15 + 1}, {"worst_micro": 1.0}, {"worst_micro": True},
        {"at": datetime.fromisoformat("2026-01-01")}, {"at": datetime(1970, 1, 1, tzinfo=UTC)},
        {"lease_s": 0}, {"lease_s": -1}, {"lease_s": MAX_LEASE_S + 1}, {"lease_s": float("nan")},
    ],
)  # fmt: skip
def test_an_ask_that_cannot_be_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(Refused, match="VM-1902"):
        replace(ask("a", 1), **change)


def test_a_row_of_the_journal_is_checked_alike() -> None:
    unknown: Any = "setled"
    for change in ({"state": unknown}, {"amount_micro": -1}, {"case_id": ""}):
        with pytest.raises(Refused, match="VM-1902"):
            replace(booked("a", 1, "open"), **change)


@pytest.mark.parametrize(
    "change",
    [
        {"reason": ""}, {"reason": "  "}, {"reason": "x" * (MAX_REASON + 1)}, {"window": "case"}, {"window": "dya"},
        {"to_micro": -1}, {"until": NOON}, {"until": NOON - timedelta(days=1)}, {"until": NOON + timedelta(days=32)},
        {"until": datetime.fromisoformat("2026-11-29")}, {"workflow": "no such"},
    ],
)  # fmt: skip
def test_a_raise_needs_a_reason_and_an_end(change: dict[str, Any]) -> None:
    with pytest.raises(Refused, match="VM-1904"):
        replace(raised(600), **change)


def test_nothing_is_left_where_an_overrun_closed_the_window_or_the_cap_is_passed() -> None:
    row = WindowStanding("day", "2026-11-28", 100, 30, 20, 50, 0, False)
    assert (row.left_micro, row.holds) == (50, True)
    assert replace(row, closed=True).left_micro == 0
    assert replace(row, cap_micro=10).left_micro == 0
    assert not replace(row, enforced_micro=49).holds
    assert CAPS.of_window("case") == 200
