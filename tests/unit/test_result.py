"""The tables at a run's end: whole at 80 columns, and an empty figure explained."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

import pytest

from vigimesh.app.mesh.reckoning import Deferred, Reckoning, Waiting
from vigimesh.app.mesh.result import Result, show
from vigimesh.domain.record.checker import Check
from vigimesh.domain.record.triage_time import times
from vigimesh.intake.worker import Tally

DECISIONS = {
    ("cold", "literature_scan", "auto_accepted"): 2,
    ("hot", "vaccine_triage", "in_review"): 4,
    ("warm", "regulatory_prep", "superseded"): 1,
    ("", "", "dead_lettered"): 1,
}


def shown(
    capsys: pytest.CaptureFixture[str],
    decisions: dict[tuple[str, str, str], int],
    samples: list[tuple[str, float | None]],
    deferred: tuple[Deferred, ...] = (),
    *,
    days: Mapping[str, frozenset[str]] = MappingProxyType({}),
    message_micro: Mapping[str, int] = MappingProxyType({}),
) -> str:
    """Print the tables of a run with these decisions, and these seconds to first triage."""
    begun = datetime(2026, 3, 2, tzinfo=UTC)
    check = Check(
        accepted=8, decided=3, in_review=4, parked=0, dead_lettered=1, in_flight=0, lost=0, duplicated=0, torn=0,
        unaccounted=0, triage=times(samples), first_append_at=begun, last_outcome_at=begun.replace(second=2),
    )  # fmt: skip
    asked = Waiting(
        workflow="regulatory_prep", lane="warm", question="word " * 20, cases=4, first_due_at=begun
    )
    reckoning = Reckoning(
        check=check,
        spend_micro={},
        decisions=decisions,
        waiting=(asked,) if decisions else (),
        deferred=deferred,
        message_micro=message_micro,
    )
    show(
        Result(
            tally=Tally(),
            extra=0,
            reckoning=reckoning,
            peak_rss_bytes=1,
            restarts=0,
            cards="mine",
            large_model="none",
            days=days,
        )
    )
    return capsys.readouterr().out


def test_cases_that_wait_for_one_reason_are_one_row_with_their_first_and_last_moment(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A month that opens lets cases come back minute by minute: a row for each would be a page."""
    monkeypatch.setenv("COLUMNS", "100")
    month = datetime(2026, 4, 1, tzinfo=UTC)
    waits = [
        Deferred(
            message_id=str(at), workflow="triage", lane="warm", until=month + timedelta(minutes=at),
            reason=f"waits for money: the budget has no room for it ({at} asked)",
        )
        for at in range(30)
    ]  # fmt: skip
    waits.append(
        Deferred(
            message_id="x", workflow="signal", lane="cold", until=month - timedelta(days=1), reason="ordered"
        )
    )
    text = shown(capsys, DECISIONS, [], tuple(waits))
    rows = [line for line in text.splitlines() if "2026-04-01" in line or "2026-03-31" in line]
    assert [[cell.strip() for cell in row.strip("│ ").split("│")] for row in rows] == [
        ["2026-03-31 00:00", "2026-03-31 00:00", "cold", "signal", "1", "ordered"],
        ["2026-04-01 00:00", "2026-04-01 00:29", "warm", "triage", "30", "waits for money: the budget has"],
    ]


def test_nothing_is_cut_at_80_columns(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    text = shown(capsys, DECISIONS, [("hot", 1.0)])
    tables, _, _ = text.partition("\nread ")
    assert "…" not in text
    assert max(map(len, tables.splitlines())) <= 80
    rows = [[cell.strip() for cell in line.split("│")[1:5]] for line in tables.splitlines() if "│" in line]
    # The most urgent lane first, what has none last.
    assert rows[:4] == [
        ["hot", "vaccine_triage", "in review", "4"],
        ["warm", "regulatory_prep", "superseded", "1"],
        ["cold", "literature_scan", "auto accepted", "2"],
        ["-", "-", "dead lettered", "1"],
    ]


def test_a_figure_that_is_missing_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, DECISIONS, [("hot", 1.0), ("", None)])
    assert "untriaged case counts as slower than all others" in " ".join(text.split())
    lanes = [line.split("│")[1].strip() for line in text.splitlines() if line.count("│") == 7]
    assert lanes == ["hot", "-", "all"]
    assert "slower than all others" not in " ".join(shown(capsys, DECISIONS, [("hot", 1.0)]).split())


def test_a_run_without_cases_draws_no_empty_table(capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, {}, [])
    assert "━" not in text
    assert "waits for a person: no case" in text


def test_days_of_receipt_say_what_each_cost_and_how_many_of_it_wait(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    waits = Deferred(
        message_id="c", workflow="triage", lane="warm", until=datetime(2026, 4, 1, tzinfo=UTC), reason="money"
    )
    days = {"2026-03-03": frozenset("bc"), "2026-03-02": frozenset("a")}
    text = shown(
        capsys, DECISIONS, [("hot", 0.5)], (waits,), days=days, message_micro={"a": 7, "b": 1_500_000}
    )
    rows = [
        line.split("│")[1:-1]
        for line in text.splitlines()
        if line.startswith("│ 2026-03-0") and ":" not in line
    ]
    assert [[cell.strip() for cell in row] for row in rows] == [
        ["2026-03-02", "1", "0.000007", "0"],
        ["2026-03-03", "2", "1.50", "1"],
    ]
