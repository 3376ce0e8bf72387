"""A price in another currency than a card's budget is said before the first case, by everything that looks at cards and prices."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vigimesh.app.commands.cards import app as cards_app
from vigimesh.app.commands.config import show
from vigimesh.app.commands.doctor import _currencies
from vigimesh.app.config.settings import Settings, read_settings
from vigimesh.app.in_force.small_model import check_currencies
from vigimesh.app.mesh.prepare import prepare
from vigimesh.app.workers.paying import _tell_currencies
from vigimesh.clock import SystemClock
from vigimesh.domain.policy.cards import Cards
from vigimesh.domain.policy.shipped import shipped_cards
from vigimesh.errors import Misconfigured

URL = "http://127.0.0.1:9/v1"
BOOK = """
[[prices]]
model = "{model}"
currency = "{currency}"
from = 2026-01-01T00:00:00Z
[[prices.tiers]]
above_prompt_tokens = 0
input_micro = 3_000_000
cached_input_micro = 300_000
output_micro = 12_000_000
"""


@pytest.fixture
def environment(tmp_path: Path) -> Callable[..., dict[str, str]]:
    """Return what names models, priced in these currencies, and the shipped cards but for a triage in US dollars."""
    (tmp_path / "cards").mkdir()
    (tmp_path / "cards" / "triage.toml").write_text("extends = 'triage'\n[budget]\ncurrency = 'USD'\n")

    def made(**currencies: str) -> dict[str, str]:
        book = "".join(
            BOOK.format(model=model.replace("_", "-"), currency=one) for model, one in currencies.items()
        )
        (tmp_path / "prices.toml").write_text(book)
        return {
            "VIGIMESH_LARGE_MODEL__BASE_URL": URL,
            "VIGIMESH_LARGE_MODEL__NAME": "big-1",
            "VIGIMESH_LARGE_MODEL__PRICES": str(tmp_path / "prices.toml") if currencies else "",
            "VIGIMESH_CARDS": str(tmp_path / "cards"),
        }

    return made


def checked(environment: dict[str, str], cards: Cards) -> None:
    check_currencies(read_settings(environment), cards.cards, SystemClock().now())


def test_a_model_in_the_cards_currency_fits_and_one_in_another_is_named_with_its_card(
    environment: Callable[..., dict[str, str]],
) -> None:
    checked(environment(big_1="EUR"), shipped_cards(False))
    with pytest.raises(
        Misconfigured, match=r"VM-1906 big-1 is priced in USD, the budgets of .*triage.* are in EUR"
    ) as refused:
        checked(environment(big_1="USD"), shipped_cards(False))
    assert "VIGIMESH_LARGE_MODEL__PRICES" in refused.value.todo


def test_the_assumed_ceiling_a_fallback_and_a_small_endpoint_are_looked_at_too(
    environment: Callable[..., dict[str, str]],
) -> None:
    cards = shipped_cards(False)
    fallback = environment(big_1="EUR", big_2="USD") | {"VIGIMESH_LARGE_MODEL__FALLBACKS": "big-2"}
    with pytest.raises(Misconfigured, match="big-2 is priced in USD"):
        checked(fallback, cards)
    small = environment(big_1="EUR", tiny_1="USD")
    small |= {"VIGIMESH_SMALL_MODEL__BASE_URL": URL, "VIGIMESH_SMALL_MODEL__NAME": "tiny-1"}
    with pytest.raises(Misconfigured, match="tiny-1 is priced in USD"):
        checked(small, cards)
    with pytest.raises(
        Misconfigured, match="VM-1906 big-1 is priced in EUR, the budgets of triage are in USD"
    ):
        prepare(read_settings(environment()))  # the ceiling is in EUR; no cluster is asked


def test_a_card_whose_tiers_ask_no_model_may_have_any_currency(
    environment: Callable[..., dict[str, str]], tmp_path: Path
) -> None:
    card = tmp_path / "cards" / "triage.toml"
    card.write_text("extends = 'triage'\ntiers = ['tools', 'small', 'person']\n[budget]\ncurrency = 'USD'\n")
    given = environment(big_1="EUR")
    settings = read_settings(given)
    (finding,) = _currencies(settings)
    assert (finding.state, finding.found.endswith(": EUR, USD")) == ("ok", True)


def test_the_commands_that_look_at_cards_and_prices_say_it(
    environment: Callable[..., dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = environment(big_1="EUR")
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    done = CliRunner().invoke(cards_app, ["check", given["VIGIMESH_CARDS"]])
    assert (done.exit_code, "VM-1906" in done.output, "triage are in USD" in done.output) == (2, True, True)
    assert CliRunner().invoke(cards_app, ["check"]).exit_code == 2  # those of VIGIMESH_CARDS
    assert CliRunner().invoke(cards_app, ["check", "--demo"]).exit_code == 0  # the shipped ones fit
    monkeypatch.setenv("VIGIMESH_KAFKA_BOOTSTRAP", "127.0.0.1:9")
    show(as_json=True)
    assert "triage are in USD" in json.loads(capsys.readouterr().out)["large_model.prices"]["wrong"]
    show(as_json=False)
    assert capsys.readouterr().out.splitlines()[-1].startswith("wrong: VM-1906")
    (finding,) = _currencies(read_settings(given))
    assert (finding.state, "triage are in USD" in finding.found) == ("fail", True)
    assert _currencies(Settings()) == []


def test_a_worker_says_it_and_goes_on(
    environment: Callable[..., dict[str, str]], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        _tell_currencies(read_settings(environment(big_1="USD")), shipped_cards(False), SystemClock().now())
    assert "some workflows pay for no opinion: VM-1906" in caplog.text
