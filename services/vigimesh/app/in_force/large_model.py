"""The large model of the settings, if there is one, and what it costs."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from vigimesh.app.config.model_settings import LargeModelSettings
from vigimesh.clock import Clock
from vigimesh.domain.budget.money import amount_text
from vigimesh.domain.budget.prices import MAX_BOOK_BYTES, PriceBook, read_prices, shipped_prices
from vigimesh.errors import Misconfigured, Refused

#: Models beside the first: each costs a look-up in the call journal per call.
MAX_FALLBACKS = 3

if TYPE_CHECKING:
    from vigimesh.adapters.models.openai import OpenAIModels


def has_large_model(settings: LargeModelSettings) -> bool:
    """Return whether an endpoint is configured. Raises `Misconfigured` VM-1102 when only half of it is."""
    there = (settings.base_url, settings.name)
    if any(there) and not all(there):
        raise Misconfigured(
            "VM-1102", what="the large model has an address or a name, and not the other", where="environment",
            todo="set both VIGIMESH_LARGE_MODEL__BASE_URL and VIGIMESH_LARGE_MODEL__NAME, or neither",
        )  # fmt: skip
    return all(there)


def fallbacks_of(settings: LargeModelSettings) -> tuple[str, ...]:
    """Return the models that are asked when the first takes no call. Raises `Misconfigured` VM-1102 for a list that is none."""
    names = tuple(filter(None, (name.strip() for name in settings.fallbacks.split(","))))
    if (
        len(names) > MAX_FALLBACKS
        or len({*names, settings.name}) <= len(names)
        or (names and not settings.name)
    ):
        raise Misconfigured(
            "VM-1102", what="the fallbacks of the large model name one twice, are too many, or there is no model to fall back from",
            where="VIGIMESH_LARGE_MODEL__FALLBACKS", todo=f"name up to {MAX_FALLBACKS} models other than VIGIMESH_LARGE_MODEL__NAME, each once",
        )  # fmt: skip
    return names


def large_model(settings: LargeModelSettings, clock: Clock) -> OpenAIModels:
    """Return the client of the endpoint; nothing is sent yet. Only where `has_large_model`."""
    from vigimesh.adapters.models.openai import (
        OpenAIModels,
    )  # over a second, and only needed with an endpoint

    return OpenAIModels(settings.base_url, settings.key, clock=clock, limit_field=settings.limit_field)


def prices_of(settings: LargeModelSettings, at: datetime, small: str = "") -> PriceBook:
    """Return the price book in force. Raises `Misconfigured`: VM-1909 for a file that is none, VM-1102 without a price at `at`.

    `small` names the model of an endpoint in the small tier's place, if there is one. A model that a given book leaves out would never be called; that is said before the first case waits for it. Where no book is
    given, one that the shipped book does not name is taken to cost the assumed ceiling.
    """
    names = (settings.name, *fallbacks_of(settings)) if has_large_model(settings) else ()
    names = (*names, small) if small else names
    book = shipped_prices()
    if settings.prices:
        book = read_prices(_bytes(Path(settings.prices)), settings.prices).over(book)
    else:
        book = book.assuming(names)
    for name in names:
        try:
            book.price(name, at)
        except Refused as failure:
            raise Misconfigured(
                "VM-1102", what=f"{failure.what}, so that it would never be called", where=failure.where,
                todo="name a file with its price in VIGIMESH_LARGE_MODEL__PRICES, or unset the address of the model",
            ) from failure  # fmt: skip
    return book


def assumed_of(settings: LargeModelSettings, at: datetime, small: str = "") -> str:
    """Return in words which models are taken to cost the assumed ceiling, and how much that is; empty when none is.

    Raises as `prices_of` does.
    """
    book = prices_of(settings, at, small)
    found = [price for price in book.prices if price.assumed and price.holds(at)]
    if not found:
        return ""
    (tier,), currency = found[0].tiers, found[0].currency
    return (
        f"{', '.join(price.model for price in found)} at the assumed ceiling of "
        f"{amount_text(tier.input_micro, currency)} and {amount_text(tier.output_micro, currency)} per million tokens of prompt and "
        "answer, no price book being given: the budget ends early, never late, and a case may cost up to a quarter of its day"
    )


def check_large_model(settings: LargeModelSettings, clock: Clock) -> None:
    """Raise `Misconfigured` when the endpoint could never be asked: address, key, price, or only half of it is set."""
    prices_of(settings, clock.now())
    if has_large_model(settings):
        large_model(settings, clock)


def _bytes(file: Path) -> bytes:
    try:
        with file.expanduser().open("rb") as stream:
            return stream.read(MAX_BOOK_BYTES + 1)  # one more than allowed, so that too large is seen
    except OSError as failure:
        raise Misconfigured(
            "VM-1909", what=f"price book cannot be read: {failure.strerror}", where=str(file),
            todo="name a readable file in VIGIMESH_LARGE_MODEL__PRICES",
        ) from failure  # fmt: skip
