"""`vigimesh budget`: what it shows of a budget, when it ends with status 1, and what a raise tells the audit."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
import redis
from typer.testing import CliRunner, Result

from budgets import NOON, Rig, ask, booked, valkey_rig
from valkeys import OwnValkey
from vigimesh.adapters.redis_budget import KEY
from vigimesh.app.budget_cli import accounts_of, app, document, raised_in, raising
from vigimesh.app.exits import NOT_HELD
from vigimesh.clock import SystemClock
from vigimesh.domain.budget.values import Caps
from vigimesh.domain.policy.shipped import shipped_cards
from vigimesh.errors import Refused, Transient

CARDS = shipped_cards(False).cards
TRIAGE = next(card for card in CARDS if card.name == "triage")
CAP = TRIAGE.budget.day_micro


def test_the_accounts_of_every_workflow_hold(rig: Rig) -> None:
    async def scenario(rig: Rig) -> None:
        budget = await rig.built([booked("a", 100, "settled")])
        await budget.reserve([ask("b", 50, caps=Caps.of(TRIAGE))])
        told = document(await accounts_of(budget, CARDS, NOON))
        assert (told["holds"], told["shut"], told["epoch"]) == (True, None, "epoch-1")
        assert [one["workflow"] for one in told["workflows"]] == sorted(card.name for card in CARDS)
        triage = next(one for one in told["workflows"] if one["workflow"] == "triage")
        day = next(row for row in triage["windows"] if row["window"] == "day")
        assert (day["cap_micro"], day["recorded_micro"], day["open_micro"]) == (CAP, 100, 50)
        assert (day["left_micro"], day["enforced_micro"]) == (CAP - 150, 150)

    rig.run(scenario)


def test_of_a_shut_budget_nothing_is_told_and_no_cap_is_raised(rig: Rig) -> None:
    async def scenario(rig: Rig) -> None:
        told = document(await accounts_of(rig.new(), CARDS, NOON))
        assert told["holds"] is False
        assert "flushed, or never built" in told["shut"]
        assert all(one["windows"] == [] for one in told["workflows"])
        order = raising(TRIAGE, window="day", to="200", reason="x", until="2026-11-29T00:00Z", at=NOON)
        with pytest.raises(Transient, match="VM-1913"):
            await raised_in(rig.new(), order, TRIAGE, "ann")

    rig.run(scenario)


def test_a_raise_is_a_value_for_the_audit(rig: Rig) -> None:
    async def scenario(rig: Rig) -> None:
        budget = await rig.built()
        words = {"window": "day", "reason": " a batch came late ", "until": "2026-11-29T01:00:00+01:00"}
        first = raising(TRIAGE, to="200", at=NOON, **words)
        second = raising(TRIAGE, to="250.5", at=NOON, **words)
        assert (await raised_in(budget, first, TRIAGE, "ann")).earlier is None
        assert (await raised_in(budget, second, TRIAGE, "ben")).plain() == {
            "workflow": "triage", "window": "day", "to_micro": 250_500_000, "currency": "EUR", "card_micro": CAP,
            "earlier_micro": 200_000_000, "earlier_until": "2026-11-29T00:00:00+00:00", "at": NOON.isoformat(),
            "until": "2026-11-29T00:00:00+00:00", "reason": "a batch came late", "by": "ben",
        }  # fmt: skip

    rig.run(scenario)


@pytest.mark.parametrize(
    "change",
    [
        {"window": "minute"},
        {"until": "tomorrow"},
        {"until": "2026-11-29T00:00"},
        {"reason": ""},
        {"to": "100"},
    ],
)
def test_a_raise_that_cannot_be_is_refused(change: dict[str, str]) -> None:
    words: dict[str, Any] = {
        "window": "day",
        "to": "200",
        "reason": "x",
        "until": "2026-11-29T00:00Z",
        **change,
    }
    with pytest.raises(Refused, match="VM-1904"):
        raising(TRIAGE, at=NOON, **words)


@pytest.fixture
def live(budget_valkey: OwnValkey, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    """Give the keys that the command uses, empty before and after."""
    monkeypatch.setenv("VIGIMESH_REDIS_URL", budget_valkey.url)
    budget_valkey.flush()
    yield valkey_rig(budget_valkey, KEY)
    budget_valkey.flush()


def vigimesh(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_the_command_shows_and_raises(live: Rig) -> None:
    assert vigimesh("show", "--json").exit_code == NOT_HELD

    async def build(rig: Rig) -> None:
        budget = await rig.built()
        await budget.reserve([ask("a", 50_000, at=SystemClock().now(), caps=Caps.of(TRIAGE))])

    live.run(build)
    shown = vigimesh("show")
    assert shown.exit_code == 0, shown.output
    assert "0.05 EUR" in shown.output
    until = (SystemClock().now() + timedelta(days=1)).isoformat()
    words = ("--window", "day", "--to", "123.45", "--reason", "late batch", "--until", until)
    done = json.loads(vigimesh("raise", "triage", *words, "--by", "ann", "--json").output)
    assert (done["to_micro"], done["by"], done["earlier_micro"]) == (123_450_000, "ann", None)
    assert "may spend 123.45 EUR a day" in vigimesh("raise", "triage", *words).output
    assert "123.45 EUR" in vigimesh("show").output
    assert vigimesh("raise", "triage", *words[:4], *words[6:]).exit_code == 2
    assert vigimesh("raise", "triage", *words[:6]).exit_code == 2
    assert "did you mean 'triage'?" in vigimesh("raise", "triag", *words).output


def test_a_budget_that_does_not_hold_ends_with_status_1(live: Rig, budget_valkey: OwnValkey) -> None:
    async def build(rig: Rig) -> None:
        budget = await rig.built()
        await budget.reserve([ask("a", 50_000, at=SystemClock().now(), caps=Caps.of(TRIAGE))])

    live.run(build)
    with redis.Redis.from_url(budget_valkey.url, decode_responses=True) as own:
        for key in own.scan_iter("*:w:triage:month:*"):
            own.hincrby(key, "enforced", 1)
    shown = vigimesh("show")
    assert shown.exit_code == NOT_HELD
    assert "does not hold" in shown.output
    told = json.loads(vigimesh("show", "--json").output)
    assert told["holds"] is False
