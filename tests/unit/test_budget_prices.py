"""Prices: none means refused, two mean refused, and no call costs more than the worst case said."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigimesh.app.standin.chat import MODEL
from vigimesh.domain.budget.prices import (
    MAX_BOOK_BYTES,
    MAX_PRICE_MICRO,
    Price,
    PriceBook,
    Tier,
    cost,
    read_prices,
    shipped_prices,
    worst,
)
from vigimesh.domain.cascade.question import MAX_TOKENS, Tokens
from vigimesh.errors import Misconfigured, Refused

JANUARY, MARCH = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 3, 1, tzinfo=UTC)
ROW = """
[[prices]]
model = "m"
currency = "EUR"
from = 2026-01-01T00:00:00Z
until = 2026-03-01T00:00:00Z
[[prices.tiers]]
above_prompt_tokens = 0
input_micro = 3_000_000
cached_input_micro = 300_000
output_micro = 15_000_000
"""
NEXT = ROW.replace("until = 2026-03-01T00:00:00Z\n", "").replace("2026-01-01", "2026-03-01")

PRICES = st.integers(0, MAX_PRICE_MICRO)
COUNTS = st.integers(0, 400_000)


@st.composite
def prices(draw: st.DrawFn) -> Price:
    """Draw any price, also one whose cached tokens or whose lower tier are the dearer ones."""
    lengths = [0, *sorted(draw(st.sets(st.integers(1, 400_000), max_size=3)))]
    tiers = tuple(Tier(length, draw(PRICES), draw(PRICES), draw(PRICES)) for length in lengths)
    return Price("m", "EUR", JANUARY, None, tiers)


@given(prices(), COUNTS, COUNTS, st.data())
def test_no_call_costs_more_than_its_worst_case(
    price: Price, prompt_tokens: int, max_tokens: int, data: st.DataObject
) -> None:
    most = worst(price, prompt_tokens, max_tokens)
    prompt = data.draw(st.integers(0, prompt_tokens))
    cached = data.draw(st.integers(0, prompt))
    tokens = Tokens(prompt, cached, data.draw(st.integers(0, max_tokens)))
    assert 0 <= cost(price, tokens) <= most


@given(prices(), COUNTS, COUNTS)
def test_the_worst_case_is_reached_so_that_no_money_is_held_in_vain(
    price: Price, prompt_tokens: int, max_tokens: int
) -> None:
    # Costs are linear within a tier, so that the dearest call is at an end of one.
    ends = [tier.above_prompt_tokens for tier in price.tiers if tier.above_prompt_tokens <= prompt_tokens]
    calls = [Tokens(n, c, max_tokens) for n in [*ends, prompt_tokens] for c in (0, n)]
    assert worst(price, prompt_tokens, max_tokens) == max(cost(price, call) for call in calls)


def test_a_call_above_a_length_is_dearer_as_a_whole() -> None:
    price = shipped_prices().price(MODEL, MARCH)
    # 200,000 tokens at 2.50 and one more at 5.00 per million: the tier prices all of them.
    assert cost(price, Tokens(200_000, 0, 0)) == 500_000
    assert cost(price, Tokens(200_001, 0, 0)) == 1_000_005
    assert worst(price, 200_001, 0) == 1_000_005


def test_cached_tokens_are_a_part_of_those_of_the_prompt() -> None:
    price = shipped_prices().price(MODEL, MARCH)
    # 600 at 2.50 and 400 at 0.25 per million, 100 at 10.00: 1,500 + 100 + 1,000 micro-units.
    assert cost(price, Tokens(1_000, 400, 100)) == 2_600
    for counts in ((1_000, 1_001, 0), (-1, 0, 0), (1, 0, -1), (MAX_TOKENS + 1, 0, 0), (True, 0, 0)):
        with pytest.raises(Refused, match="VM-1905"):
            Tokens(*counts)


def test_a_fraction_of_a_micro_unit_is_rounded_up_once_for_the_call() -> None:
    price = Price("m", "EUR", JANUARY, None, (Tier(0, 1, 1, 1),))
    assert cost(price, Tokens(1, 0, 1)) == 1
    assert cost(price, Tokens(0, 0, 0)) == 0


@pytest.mark.parametrize("counts", [(-1, 0), (0, -1), (MAX_TOKENS + 1, 0), (500_000_000, 0), (True, 0)])
def test_a_worst_case_of_impossible_counts_is_refused(counts: tuple[int, int]) -> None:
    with pytest.raises(Refused, match="VM-1905"):
        worst(shipped_prices().price(MODEL, MARCH), *counts)


def test_failure_26_a_model_without_a_price_is_refused_and_not_free() -> None:
    book = shipped_prices()
    for model, at in (("unheard-of", MARCH), (MODEL, datetime(2025, 12, 31, tzinfo=UTC)), ("", MARCH)):
        with pytest.raises(Refused, match="VM-1907"):
            book.price(model, at)
    # The name is taken as it is: no prefix, no other case, no nearest one.
    with pytest.raises(Refused, match="VM-1907"):
        book.price(MODEL.title(), MARCH)


def test_a_price_ends_where_the_next_begins() -> None:
    book = read_prices((ROW + NEXT).encode(), "book.toml")
    before = datetime(2026, 2, 28, 23, 59, 59, 999_999, tzinfo=UTC)
    assert book.price("m", before).valid_until == MARCH
    assert book.price("m", MARCH).valid_from == MARCH


def test_two_prices_at_once_are_refused_when_read_and_when_asked() -> None:
    twice = ROW + ROW.replace("2026-01-01", "2026-02-01")
    with pytest.raises(Misconfigured, match=r"VM-1909 'm' has two prices from 2026-02-01.*book\.toml"):
        read_prices(twice.encode(), "book.toml")
    price = Price("m", "EUR", JANUARY, None, (Tier(0, 1, 1, 1),))
    with pytest.raises(Refused, match="VM-1908"):
        PriceBook((price, price), "x").price("m", MARCH)


def test_nothing_is_converted_between_currencies() -> None:
    price = shipped_prices().price(MODEL, MARCH)
    assert price.must_be_in("EUR") is price
    with pytest.raises(Refused, match="VM-1906"):
        price.must_be_in("USD")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("output_micro", "ouput_micro", "did you mean 'output_micro'?"),
        ("cached_input_micro = 300_000\n", "", "'prices[1].tiers[1].cached_input_micro' is missing"),
        ("3_000_000", "-1", "input_micro' is -1"),
        ("3_000_000", "3.0", "input_micro' is 3.0"),
        ("3_000_000", "'3'", "input_micro' is '3'"),
        ('"EUR"', '"euro"', "ISO 4217"),
        ("until = 2026-03-01", "until = 2025-03-01", "a time after 'from'"),
        ("from = 2026-01-01T00:00:00Z", "from = 2026-01-01T00:00:00", "with zone"),
        ("above_prompt_tokens = 0", "above_prompt_tokens = 5", "'above_prompt_tokens' 0 first"),
        ("[[prices]]", "[prices", "TOML"),
        ("[[prices]]", "[[price]]", "did you mean 'prices'?"),
    ],
)
def test_a_wrong_book_is_refused_with_the_key_and_what_to_do(old: str, new: str, says: str) -> None:
    with pytest.raises(Misconfigured, match="VM-1909") as found:
        read_prices(ROW.replace(old, new, 1).encode(), "book.toml")
    assert says in str(found.value)
    assert found.value.where == "book.toml"


@pytest.mark.parametrize("data", [b"", b"prices = []", b"prices = 3", b"\xff", b"#" * (MAX_BOOK_BYTES + 1)])
def test_an_empty_or_foreign_file_is_no_price_book(data: bytes) -> None:
    with pytest.raises(Misconfigured, match="VM-1909"):
        read_prices(data, "book.toml")
