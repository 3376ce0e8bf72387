"""Whether there is a large model is said by two settings together; a client is built only when it is asked for."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from vigimesh.app.commands.config import show
from vigimesh.app.commands.doctor import _large_model, _small_model
from vigimesh.app.config.model_settings import LargeModelSettings, SmallModelSettings
from vigimesh.app.config.settings import Settings, read_settings
from vigimesh.app.in_force.large_model import assumed_of, has_large_model, large_model, prices_of
from vigimesh.app.in_force.small_model import assumed_in
from vigimesh.app.mesh.run import _told_model
from vigimesh.clock import SystemClock
from vigimesh.errors import Misconfigured, Refused

SERVICES = Path(__file__).resolve().parents[2] / "services"
URL = "http://127.0.0.1:9/v1"


def test_without_settings_there_is_none() -> None:
    assert has_large_model(LargeModelSettings()) is False
    assert has_large_model(LargeModelSettings(key="k")) is False


def test_address_and_name_make_one_with_or_without_a_key() -> None:
    assert has_large_model(LargeModelSettings(base_url=URL, name="m")) is True


@pytest.mark.parametrize("half", [LargeModelSettings(base_url=URL), LargeModelSettings(name="m")])
def test_half_of_one_is_misconfigured(half: LargeModelSettings) -> None:
    with pytest.raises(Misconfigured, match="VM-1102"):
        has_large_model(half)


def test_the_key_is_not_shown() -> None:
    settings = read_settings(
        {
            "VIGIMESH_LARGE_MODEL__BASE_URL": URL,
            "VIGIMESH_LARGE_MODEL__NAME": "m",
            "VIGIMESH_LARGE_MODEL__KEY": "sk-secret",
        }
    ).large_model
    shown = f"{large_model(settings, SystemClock())!r} {settings!r}"
    assert "sk-secret" not in shown


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("https://user:sk-secret@models.example/v1", ""),
        ("http://models.example:999999/v1", ""),
        ("ftp://models.example/v1", ""),
        ("http://", ""),
        (URL, "sk-secret-schlüssel"),
        (URL, "sk-secret\n"),
    ],
)
def test_what_no_request_could_carry_is_refused_without_showing_it(url: str, key: str) -> None:
    with pytest.raises(Misconfigured, match="VM-1102") as refused:
        large_model(LargeModelSettings(base_url=url, name="m", key=key), SystemClock())
    assert "sk-secret" not in str(refused.value)


def test_asking_whether_there_is_one_does_not_import_the_client() -> None:
    code = "import sys, vigimesh.app.in_force.large_model; sys.exit('openai' in sys.modules)"
    assert (
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONPATH": str(SERVICES)}, check=False
        ).returncode
        == 0
    )


AT = datetime(2026, 3, 1, tzinfo=UTC)
PRICE = """
[[prices]]
model = "big-1"
currency = "EUR"
from = 2026-01-01T00:00:00Z
[[prices.tiers]]
above_prompt_tokens = 0
input_micro = 3_000_000
cached_input_micro = 300_000
output_micro = 12_000_000
"""


def test_a_price_of_ones_own_lies_over_the_shipped_ones(tmp_path: Path) -> None:
    file = tmp_path / "prices.toml"
    file.write_text(PRICE + PRICE.replace("big-1", "standin-1"), encoding="utf-8")
    book = prices_of(LargeModelSettings(base_url=URL, name="big-1", prices=str(file)), AT)
    for model, micro in (("big-1", 3_000_000), ("standin-1", 3_000_000), ("local", 0)):
        assert book.price(model, AT).tiers[0].input_micro == micro


@pytest.mark.parametrize("name", ["big-2", "standin-2"])
def test_a_model_that_a_given_book_leaves_out_is_said_at_the_start(tmp_path: Path, name: str) -> None:
    file = tmp_path / "prices.toml"
    file.write_text(PRICE, encoding="utf-8")
    with pytest.raises(Misconfigured, match=f"VM-1102.*{name}.*would never be called") as refused:
        prices_of(LargeModelSettings(base_url=URL, name=name, prices=str(file)), AT)
    assert "VIGIMESH_LARGE_MODEL__PRICES" in refused.value.todo
    fallback = LargeModelSettings(base_url=URL, name="big-1", fallbacks=name, prices=str(file))
    with pytest.raises(Misconfigured, match=f"VM-1102.*{name}"):
        prices_of(fallback, AT)


def test_without_a_book_a_model_is_taken_to_cost_the_ceiling_and_only_the_models_that_are_set() -> None:
    settings = LargeModelSettings(base_url=URL, name="big-1", fallbacks="big-2, local")
    book = prices_of(settings, AT)
    for model in ("big-1", "big-2"):
        price = book.price(model, AT)
        assert (price.assumed, price.batch_percent, len(price.tiers)) == (True, None, 1)
    assert not any(book.price(model, AT).assumed for model in ("local", "standin-1"))
    with pytest.raises(Refused, match="VM-1907"):
        book.price("big-3", AT)


#: Dollars per million tokens of prompt and answer, the dearest that ceiling.toml names.
DEAREST = (150, 600)


def test_the_ceiling_is_above_the_dearest_list_price_whatever_is_cached_and_however_long() -> None:
    tier = prices_of(LargeModelSettings(base_url=URL, name="m"), AT).price("m", AT).tier(10_000_000)
    assert min(tier.input_micro, tier.cached_input_micro) > DEAREST[0] * 10**6
    assert tier.output_micro > DEAREST[1] * 10**6


def test_the_assumed_ceiling_is_said_and_a_known_price_is_not() -> None:
    said = assumed_of(LargeModelSettings(base_url=URL, name="big-1", fallbacks="local"), AT)
    assert said.startswith("big-1 at the assumed ceiling of 200.00 EUR and 800.00 EUR per million tokens")
    assert assumed_of(LargeModelSettings(base_url=URL, name="standin-1"), AT) == ""
    assert assumed_of(LargeModelSettings(), AT) == ""


def test_config_show_says_at_what_price_a_model_without_a_book_is_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in (("BASE_URL", URL), ("NAME", "big-1"), ("KEY", "sk-secret")):
        monkeypatch.setenv(f"VIGIMESH_LARGE_MODEL__{name}", value)
    monkeypatch.setenv("VIGIMESH_KAFKA_BOOTSTRAP", "127.0.0.1:9")
    show(as_json=True)
    shown = capsys.readouterr().out
    assert "big-1 at the assumed ceiling" in json.loads(shown)["large_model.prices"]["assumed"]
    show(as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1].startswith("price: big-1 at the assumed ceiling")
    assert "sk-secret" not in shown + "".join(lines)


def test_the_doctor_says_it_too() -> None:
    (found,) = _large_model(replace(Settings(), large_model=LargeModelSettings(base_url=URL, name="big-1")))
    assert (found.state, found.todo) == ("ok", "")
    assert "big-1 at the assumed ceiling" in found.found
    (half,) = _large_model(replace(Settings(), large_model=LargeModelSettings(base_url=URL)))
    assert half.state == "fail"
    assert _large_model(Settings()) == []


def test_the_end_of_a_run_says_it_too() -> None:
    settings = replace(Settings(), large_model=LargeModelSettings(base_url=URL, name="big-1"))
    assert _told_model(settings, SystemClock()).startswith("big-1; big-1 at the assumed ceiling")


def test_a_price_that_is_not_in_force_is_none() -> None:
    with pytest.raises(Misconfigured, match="has no price at 2025"):
        prices_of(LargeModelSettings(base_url=URL, name="standin-1"), AT.replace(year=2025))


@pytest.mark.parametrize(
    "text", [None, "prices = 3", PRICE.replace("input_micro", "input_mcro"), PRICE + PRICE]
)
def test_a_price_book_that_is_none_is_named(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "prices.toml"
    if text is not None:
        file.write_text(text, encoding="utf-8")
    with pytest.raises(Misconfigured, match="VM-1909") as refused:
        prices_of(LargeModelSettings(prices=str(file)), AT)
    assert refused.value.where == str(file)


def test_without_a_model_no_price_is_wanted() -> None:
    assert prices_of(LargeModelSettings(), AT).prices


def test_an_endpoint_in_the_small_tiers_place_is_looked_at_and_priced_like_the_large_one() -> None:
    small = SmallModelSettings(base_url=URL, name="small-1", key="sk-secret")
    (finding,) = _small_model(Settings(small_model=small))
    assert (finding.state, "settles nothing until its gate is opened" in finding.found) == ("ok", True)
    for wrong in (replace(small, base_url=""), replace(small, base_url="ftp://models.example/v1")):
        (finding,) = _small_model(Settings(small_model=wrong))
        assert (finding.state, "sk-secret" in finding.found) == ("fail", False)
    assert _small_model(Settings()) == []
    assert "small-1 at the assumed ceiling" in assumed_in(Settings(small_model=small), AT)
