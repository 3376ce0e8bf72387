"""The list of cases fits the terminal: nothing but a long case id may be folded."""

from __future__ import annotations

import io
import sys
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from rich.console import Console

from vigimesh.app.cases.history import Listed, gravest_first
from vigimesh.app.cases.view import console_here, show_list

ONE = Listed(
    case_id="default/0038865", message_id="a21eb38e684f4d1e9e0b0f6a6c0f9a11",
    accepted_at=datetime(2026, 3, 2, 12, 29, 42, tzinfo=UTC), place="in_review", workflow="regulatory_prep",
    lane="warm", decision="auto_accepted", grade=2, serious="no", due_at=datetime(2026, 3, 17, tzinfo=UTC),
    reason="For a person: rule non_valid of card vaccine_triage " * 4, triage_s=0.4,
)  # fmt: skip


def listed(width: int, *lines: Listed) -> list[str]:
    out = io.StringIO()
    show_list(Console(file=out, width=width, highlight=False), lines, 0)
    return [line.rstrip() for line in out.getvalue().splitlines()]


@pytest.mark.parametrize("width", [100, 140, 200])
def test_a_message_is_one_line_with_every_word_whole(width: int) -> None:
    head, row, *rest = listed(width, ONE)
    assert len(row) <= width
    for word in ("default/0038865", "a21eb38e684f", "regulatory_prep", "auto_accepted", "2026-03-17"):
        assert word in row
    assert ("reason" in head) == ("For a person" in row) == (width >= 140)
    # Where there is no room for it, the list says where the reason is.
    assert bool(rest) == (width < 140)


def test_in_a_narrow_terminal_the_case_s_id_stays_whole_and_the_message_s_gives_way() -> None:
    usual = replace(ONE, workflow="triage", decision="", case_id="default/DE-2026-0044")
    head, row, *_ = listed(80, usual)
    assert ("message" in head, "a21eb38e684f" in row) == (False, False)
    for word in ("default/DE-2026-0044", "triage", "in_review", "2026-03-17"):
        assert word in row


def test_the_estimate_stands_behind_the_grade_and_orders_within_it() -> None:
    estimated = replace(ONE, grave=0.314, grade=3, case_id="default/estimated")
    assert "3 (0.31)" in listed(200, estimated)[1]
    lines = [
        replace(ONE, lane="cold", grade=5, case_id="last lane"), replace(estimated, grave=0.01, case_id="slight"),
        replace(estimated, grave=None, case_id="not estimated"), replace(ONE, lane="hot", grade=3, case_id="first lane"),
        replace(estimated, grave=0.01, case_id="slight, due before", due_at=ONE.accepted_at), replace(ONE, grade=4, case_id="stated"),
        estimated,
    ]  # fmt: skip
    assert [line.case_id for line in gravest_first(lines)] == [
        "first lane", "stated", "default/estimated", "not estimated", "slight, due before", "slight", "last lane",
    ]  # fmt: skip


def test_a_long_id_is_folded_and_not_cut() -> None:
    long = replace(ONE, case_id="default/" + "x" * 60)
    assert "".join(listed(100, long)).count("x") == 60


@pytest.mark.parametrize(("columns", "width"), [("100", 100), ("", 200)])
def test_a_pipe_is_as_wide_as_the_terminal_that_is_known_of(
    columns: str, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither output nor errors are a terminal in a test."""
    monkeypatch.delenv("COLUMNS", raising=False)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    if columns:
        monkeypatch.setenv("COLUMNS", columns)
    assert console_here().width == width
