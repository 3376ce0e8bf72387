"""`vigimesh cards`: what it prints, and its exit codes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vigimesh.app.commands.cards import app
from vigimesh.domain.policy.shipped import shipped_cards

RUN = CliRunner()


def test_check_names_every_card_with_its_signature() -> None:
    done = RUN.invoke(app, ["check"])
    assert done.exit_code == 0
    for card in shipped_cards(False).cards:
        assert card.name in done.output
        assert card.digest[:12] in done.output
    assert "auto-accept is off" in done.output
    assert "signed 2026-01-05" not in done.output
    assert "signed 2026-01-05" in RUN.invoke(app, ["check", "--demo"]).output


def test_check_of_a_folder_says_what_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("extends = 'triage'\nlatency_tolerence_s = 5\n")
    done = RUN.invoke(app, ["check", str(tmp_path)])
    assert done.exit_code == 2
    assert "VM-1103" in done.output
    assert "mine.toml" in done.output
    assert "did you mean 'latency_tolerance_s'?" in done.output
    (tmp_path / "mine.toml").write_text("extends = 'triage'\nlatency_tolerance_s = 5\n")
    assert RUN.invoke(app, ["check", str(tmp_path)]).exit_code == 0


def test_without_a_folder_the_cards_that_the_workers_have_are_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIGIMESH_CARDS", str(tmp_path))
    card = tmp_path / "mine.toml"
    card.write_text("extends = 'triage'\nlatency_tolerence_s = 5\n")
    for asked in (["check"], ["show", "triage"]):
        done = RUN.invoke(app, asked)
        assert (done.exit_code, "mine.toml" in done.output) == (2, True)
    assert RUN.invoke(app, ["check", "--demo"]).exit_code == 0
    card.write_text("extends = 'triage'\nlatency_tolerance_s = 5\n")
    assert str(tmp_path) in RUN.invoke(app, ["check"]).output


@pytest.mark.parametrize(
    ("caps", "says"),
    [
        ("month_micro = 0\nday_micro = 0\ncase_micro = 0", "never pays: its cap of a month and a day and a case is 0"),
        ("case_micro = 0", "never pays: its cap of a case is 0"),
        ("case_micro = 1", ""),
    ],
)  # fmt: skip
def test_check_says_of_a_card_with_a_cap_of_nothing_that_it_never_pays(
    tmp_path: Path, caps: str, says: str
) -> None:
    (tmp_path / "mine.toml").write_text(f"extends = 'triage'\n[budget]\n{caps}\n")
    output = RUN.invoke(app, ["check", str(tmp_path)]).output
    assert ("never pays" in output, says in output) == (bool(says), True)


@pytest.mark.parametrize("name", [card.name for card in shipped_cards(False).cards])
def test_show_prints_a_card(name: str) -> None:
    text = RUN.invoke(app, ["show", name])
    assert text.exit_code == 0
    shown = json.loads(RUN.invoke(app, ["show", name, "--json"]).output)
    card = shipped_cards(False).named(name)
    assert card is not None
    assert shown["digest"] == card.digest
    assert shown["budget"]["day_micro"] == card.budget.day_micro
    for name_of_rule in [rule.name for rule in card.lanes] + [rule.name for rule in card.policy]:
        assert name_of_rule in text.output


def test_show_of_a_folder_and_of_an_unknown_card(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("extends = 'triage'\nlatency_tolerance_s = 5\n")
    done = RUN.invoke(app, ["show", "triage", "--cards", str(tmp_path), "--json"])
    assert json.loads(done.output)["latency_tolerance_s"] == 5
    unknown = RUN.invoke(app, ["show", "signall"])
    assert unknown.exit_code == 2
    assert "did you mean 'signal'?" in unknown.output
    assert RUN.invoke(app, ["show", "triage", "--cards", str(tmp_path / "no")]).exit_code == 2


def test_budgets_are_shown_in_money_and_not_in_millionths() -> None:
    shown = RUN.invoke(app, ["show", "triage"]).output
    assert "2,000.00 a month, 100.00 a day, 0.05 a case, in EUR; alarms at 50, 80, 100 %" in shown
