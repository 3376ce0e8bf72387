"""What a model's tokens cost: a price book as data, the worst a call can cost, and what one did cost.

No price means that the call is refused; it is never 0 by default. Where nobody gave a price book, a model is taken to cost the *assumed
ceiling*, above every public list price. Providers bill by the million tokens, cached prompt tokens more cheaply, and some raise the price of
the whole call when its prompt exceeds a length.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from itertools import pairwise
from typing import Any

from vigimesh.domain.budget.money import divide_up
from vigimesh.domain.cascade.question import MAX_TOKENS, Tokens
from vigimesh.domain.policy.tables import Table
from vigimesh.errors import Misconfigured, Refused

#: Tokens that a price is for.
MILLION = 1_000_000
#: Bytes of a price book: a hundred models with five prices each take 150 KiB.
MAX_BOOK_BYTES = 512 * 1024
#: Prices in one book.
MAX_PRICES = 2_000
#: Length tiers of one price; the most that is published has three.
MAX_TIERS = 8
#: Highest price per million tokens, a million units: a slip of the keyboard ends here.
MAX_PRICE_MICRO = 10**12


@dataclass(frozen=True, slots=True)
class Tier:
    """Micro-units per million tokens of a call whose prompt has more than `above_prompt_tokens`."""

    above_prompt_tokens: int
    input_micro: int
    cached_input_micro: int
    output_micro: int

    def part(self, percent: int) -> Tier:
        """Return this tier at a share of its prices, each rounded up."""
        amounts = (self.input_micro, self.cached_input_micro, self.output_micro)
        return Tier(self.above_prompt_tokens, *(divide_up(one * percent, 100) for one in amounts))

    def million_fold(self, tokens: Tokens) -> int:
        """Return the cost in millionths of a micro-unit."""
        return (
            (tokens.prompt - tokens.cached) * self.input_micro
            + tokens.cached * self.cached_input_micro
            + tokens.completion * self.output_micro
        )


@dataclass(frozen=True, slots=True)
class Price:
    """What one model costs from `valid_from` until before `valid_until`; None is until another comes into force.

    Tiers rise by length and the first is above 0 tokens.
    """

    model: str
    currency: str
    valid_from: datetime
    valid_until: datetime | None
    tiers: tuple[Tier, ...]
    #: What a call in a batch costs, in percent of this; `None`: the model is not sold in batches.
    batch_percent: int | None = None
    #: Whether nobody said so: it is the assumed ceiling, and what is billed is less.
    assumed: bool = False

    def in_batch(self) -> Price:
        """Return the price of a call in a batch, each amount rounded up.

        Raises `Refused` VM-2401 for a model that has none.
        """
        if self.batch_percent is None:
            raise Refused(
                "VM-2401", what=f"model {self.model} has no price in batches", where="price book",
                todo="give it 'batch_percent', if its endpoint takes batches; until then it is paid at once",
            )  # fmt: skip
        return replace(self, tiers=tuple(one.part(self.batch_percent) for one in self.tiers))

    def holds(self, at: datetime) -> bool:
        """Return whether this is the price at `at`."""
        return self.valid_from <= at and (self.valid_until is None or at < self.valid_until)

    def must_be_in(self, currency: str) -> Price:
        """Return this price; raises `Refused` VM-1906 when the budget is in another currency: nothing is converted."""
        if currency != self.currency:
            raise Refused(
                "VM-1906", what=f"model {self.model} is priced in {self.currency}, its budget is in {currency}",
                where="price book", todo="price the model and cap the workflow in one currency",
            )  # fmt: skip
        return self

    def tier(self, prompt_tokens: int) -> Tier:
        """Return the tier of a call with this many prompt tokens."""
        return next(
            (tier for tier in reversed(self.tiers) if prompt_tokens > tier.above_prompt_tokens), self.tiers[0]
        )


@dataclass(frozen=True, slots=True)
class PriceBook:
    """The prices known. `origin` says in words where they come from."""

    prices: tuple[Price, ...]
    origin: str

    def price(self, model: str, at: datetime) -> Price:
        """Return what `model` costs at `at`.

        Raises `Refused` VM-1907 when nothing says so, VM-1908 when two prices do.
        """
        found = [price for price in self.prices if price.model == model and price.holds(at)]
        if not found:
            raise Refused(
                "VM-1907", what=f"model {model[:100]!r} has no price at {at.isoformat()}", where=self.origin,
                todo="add its price to the price book; a model without one is never called",
            )  # fmt: skip
        if len(found) > 1:
            raise Refused(
                "VM-1908", what=f"model {model[:100]!r} has two prices at {at.isoformat()}", where=self.origin,
                todo="end one where the other begins",
            )  # fmt: skip
        return found[0]

    def over(self, below: PriceBook) -> PriceBook:
        """Return this book with the models of another that it does not name."""
        named = {price.model for price in self.prices}
        rest = tuple(price for price in below.prices if price.model not in named)
        return PriceBook((*self.prices, *rest), f"{self.origin}, and {below.origin}")

    def assuming(self, models: Iterable[str]) -> PriceBook:
        """Return this book with each of `models` that it does not name at the assumed ceiling."""
        ceiling = shipped_ceiling()
        return self.over(
            PriceBook(
                tuple(replace(one, model=model, assumed=True) for model in models for one in ceiling.prices),
                ceiling.origin,
            )
        )


def worst(price: Price, prompt_tokens: int, max_tokens: int) -> int:
    """Return the most micro-units that a call of at most so many tokens can cost, rounded up.

    Every tier that the prompt can reach counts, and cached tokens where they are the dearer ones.
    Raises `Refused` VM-1905 for counts that cannot be.
    """
    most = 0
    for at, tier in enumerate(price.tiers):
        if at and prompt_tokens <= tier.above_prompt_tokens:
            break
        last = at + 1 == len(price.tiers)
        prompt = prompt_tokens if last else min(prompt_tokens, price.tiers[at + 1].above_prompt_tokens)
        for cached in (0, prompt):
            most = max(most, tier.million_fold(Tokens(prompt, cached, max_tokens)))
    # The counts as they were given are checked too: a tier may have cut them.
    Tokens(prompt_tokens, 0, max_tokens)
    return divide_up(most, MILLION)


def cost(price: Price, tokens: Tokens) -> int:
    """Return what a call cost in micro-units: its whole cost rounded up once."""
    return divide_up(price.tier(tokens.prompt).million_fold(tokens), MILLION)


@cache
def shipped_prices() -> PriceBook:
    """Return the prices that come with the program: the stand-in's and a local model's."""
    data = (resources.files(__package__) / "prices.toml").read_bytes()
    return read_prices(data, "prices.toml, shipped")


@cache
def shipped_ceiling() -> PriceBook:
    """Return the assumed ceiling, under a name that no model has."""
    data = (resources.files(__package__) / "ceiling.toml").read_bytes()
    return read_prices(data, "ceiling.toml, shipped")


def read_prices(data: bytes, file: str) -> PriceBook:
    """Return the price book in `data`; raises `Misconfigured` VM-1909 for one that is wrong, naming file and key.

    A model with two prices at once is found here, before a call asks.
    """
    try:
        if len(data) > MAX_BOOK_BYTES:
            raise _wrong(file, f"book has {len(data)} bytes", f"keep it within {MAX_BOOK_BYTES} bytes")
        top = _Top(file, "", tomllib.loads(data.decode("utf-8")), ("prices",))
        prices = tuple(_price(row) for row in top.rows("prices", MAX_PRICES))
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as failure:
        raise _wrong(file, f"no TOML in UTF-8: {failure}", "correct the syntax") from failure
    except Misconfigured as failure:
        raise _wrong(file, failure.what, failure.todo) from failure
    for model, first, second in _overlaps(prices):
        what = f"{model!r} has two prices from {max(first.valid_from, second.valid_from).isoformat()}"
        raise _wrong(file, what, "end one with 'until' where the other begins")
    return PriceBook(prices, file)


class _Top(Table):
    """A table that holds lists of tables without names of their own."""

    __slots__ = ()

    def rows(self, key: str, most: int) -> list[tuple[str, str, dict[str, Any]]]:
        """Return file, path and values of each table of a list of 1 to `most`."""
        found = self._values[key]
        if (
            not isinstance(found, list)
            or not 1 <= len(found) <= most
            or any(not isinstance(one, dict) for one in found)
        ):
            raise self.bad(key, f"1 to {most} tables [[{self.name(key)}]]")
        return [(self.file, f"{self.name(key)}[{at}]", one) for at, one in enumerate(found, start=1)]


def _price(row: tuple[str, str, dict[str, Any]]) -> Price:
    table = _Top(*row, ("model", "currency", "from", "tiers"), ("until", "batch_percent"))
    price = Price(
        table.text("model"),
        table.currency("currency"),
        table.moment("from").astimezone(UTC),
        table.moment("until").astimezone(UTC) if table.has("until") else None,
        tuple(_tier(one) for one in table.rows("tiers", MAX_TIERS)),
        table.whole("batch_percent", 1, 100) if table.has("batch_percent") else None,
    )
    if price.valid_until is not None and price.valid_until <= price.valid_from:
        raise table.bad("until", "a time after 'from'")
    lengths = [tier.above_prompt_tokens for tier in price.tiers]
    if lengths[0] != 0 or lengths != sorted(set(lengths)):
        raise table.bad("tiers", "'above_prompt_tokens' 0 first, then each above the last")
    return price


def _tier(row: tuple[str, str, dict[str, Any]]) -> Tier:
    table = Table(*row, ("above_prompt_tokens", "input_micro", "cached_input_micro", "output_micro"))
    return Tier(
        table.whole("above_prompt_tokens", 0, MAX_TOKENS),
        table.whole("input_micro", 0, MAX_PRICE_MICRO),
        table.whole("cached_input_micro", 0, MAX_PRICE_MICRO),
        table.whole("output_micro", 0, MAX_PRICE_MICRO),
    )


def _overlaps(prices: Iterable[Price]) -> Iterable[tuple[str, Price, Price]]:
    """Yield neighbours of one model of which the first has not ended when the second begins."""
    ordered = sorted(prices, key=lambda price: (price.model, price.valid_from))
    for first, second in pairwise(ordered):
        if first.model == second.model and first.holds(second.valid_from):
            yield first.model, first, second


def _wrong(file: str, what: str, todo: str) -> Misconfigured:
    return Misconfigured("VM-1909", what=what, where=file, todo=todo)
