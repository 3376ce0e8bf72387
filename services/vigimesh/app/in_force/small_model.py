"""The endpoint in the small tier's place, if there is one, and how a question finds the endpoint of its model."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from vigimesh.app.config.model_settings import LargeModelSettings
from vigimesh.app.config.settings import Settings
from vigimesh.app.in_force.large_model import (
    assumed_of,
    fallbacks_of,
    has_large_model,
    large_model,
    prices_of,
)
from vigimesh.clock import Clock
from vigimesh.domain.budget.prices import PriceBook, worst
from vigimesh.domain.cascade.endpoint import Endpoint, longest
from vigimesh.domain.cascade.question import Answer, InDoubt, NotMade, Question
from vigimesh.errors import Misconfigured
from vigimesh.ports import Models

if TYPE_CHECKING:
    from vigimesh.domain.policy.cards import Card


def has_endpoint(settings: Settings) -> bool:
    """Return whether an endpoint takes the small tier's place.

    Raises `Misconfigured` VM-1620 when only half of it is configured, or its model is called as one of the large tier: a call is remembered, priced and
    left alone by its model's name.
    """
    small = settings.small_model
    if bool(small.base_url) != bool(small.name):
        raise Misconfigured(
            "VM-1620", what="the small model's endpoint has an address or a name, and not the other", where="environment",
            todo="set both VIGIMESH_SMALL_MODEL__BASE_URL and VIGIMESH_SMALL_MODEL__NAME, or neither",
        )  # fmt: skip
    large = settings.large_model
    if small.name and small.name in (large.name, *fallbacks_of(large)):
        raise Misconfigured(
            "VM-1620", what="the small model is called as the large one, or as one of its fallbacks", where="VIGIMESH_SMALL_MODEL__NAME",
            todo="name another model, or unset VIGIMESH_SMALL_MODEL__BASE_URL: the large tier would be asked twice",
        )  # fmt: skip
    return bool(small.base_url)


def endpoint_of(settings: Settings) -> Endpoint | None:
    """Return the model that is asked in the small tier's place; `None` where the shipped one is. Raises as `has_endpoint`."""
    small = settings.small_model
    if not has_endpoint(settings):
        return None
    return Endpoint(name=small.name, deadline_s=float(small.deadline_s), below=small.settles_below)


def pays(settings: Settings) -> bool:
    """Return whether any model is paid for. Raises `Misconfigured` VM-1102 or VM-1620."""
    return has_large_model(settings.large_model) | has_endpoint(settings)


def book_of(settings: Settings, at: datetime) -> PriceBook:
    """Return the price book of both. Raises as `large_model.prices_of` and `has_endpoint`."""
    return prices_of(settings.large_model, at, settings.small_model.name if has_endpoint(settings) else "")


def assumed_in(settings: Settings, at: datetime) -> str:
    """Return in words which models of both are taken to cost the assumed ceiling; empty when none is. Raises as `book_of`."""
    return assumed_of(settings.large_model, at, settings.small_model.name if has_endpoint(settings) else "")


def call_micro(settings: Settings, at: datetime) -> int:
    """Return what one call of an endpoint in the small tier's place may cost, micro-units; 0 where there is none, or it is free. Raises as `book_of`."""
    there = endpoint_of(settings)
    return worst(book_of(settings, at).price(there.name, at), *longest(there)) if there is not None else 0


def check_models(settings: Settings, clock: Clock, cards: Iterable[Card] = ()) -> None:
    """Raise `Misconfigured` when a configured endpoint could never be asked (address, key, price, or only half of it is set), or a model's folder holds none.

    Neither could it by a card in another currency (`check_currencies`).
    """
    if settings.small_model.folder:
        from vigimesh.app.in_force.own_model import model_in_force  # with numpy

        model_in_force(settings.small_model)
    check_currencies(settings, cards, clock.now())
    if pays(settings):
        models_of(settings, clock)


def check_currencies(settings: Settings, cards: Iterable[Card], at: datetime) -> None:
    """Raise `Misconfigured` VM-1906 when a card may ask a model that is priced in another currency than its budget: it never would.

    Raises as `book_of` does besides.
    """
    book, large, small = book_of(settings, at), settings.large_model, settings.small_model
    asked = {
        "large": (large.name, *fallbacks_of(large)) if has_large_model(large) else (),
        "small": (small.name,) if has_endpoint(settings) else (),
    }
    apart: dict[tuple[str, str, str], list[str]] = {}
    for card in cards:
        for model in (model for tier in card.tiers for model in asked.get(tier, ())):
            priced, mine = book.price(model, at).currency, card.budget.currency
            if priced != mine:
                apart.setdefault((model, priced, mine), []).append(card.name)
    if apart:
        told = (
            f"{model} is priced in {priced}, the budgets of {', '.join(names)} are in {mine}"
            for (model, priced, mine), names in apart.items()
        )
        raise Misconfigured(
            "VM-1906", what=f"{'; '.join(told)}: these would never ask it", where="cards and price book",
            todo="write both in one currency (VIGIMESH_LARGE_MODEL__PRICES names a price book of yours), or take the tier out of the card",
        )  # fmt: skip


def models_of(settings: Settings, clock: Clock) -> Models:
    """Return the clients of both; nothing is sent yet. Only where `pays`. Raises `Misconfigured` VM-1102."""
    small, large = settings.small_model, settings.large_model
    if not has_endpoint(settings):
        return large_model(large, clock)
    given = LargeModelSettings(
        base_url=small.base_url, name=small.name, key=small.key, limit_field=small.limit_field
    )
    routes: dict[str, Models] = {small.name: large_model(given, clock)}
    if has_large_model(large):
        one = large_model(large, clock)
        routes |= dict.fromkeys((large.name, *fallbacks_of(large)), one)
    return ByName(routes)


class ByName:
    """`ports.Models` that asks each model at its own endpoint."""

    def __init__(self, routes: Mapping[str, Models]) -> None:
        """Join to some endpoints, by the names of their models."""
        self._routes = routes

    async def ask(
        self, question: Question, leave: Awaitable[None] | None = None
    ) -> Answer | NotMade | InDoubt:
        """See `ports.Models`; a model that nobody has is not asked."""
        there = self._routes.get(question.model)
        if there is None:
            return NotMade(
                why=f"no endpoint has the model {question.model}",
                mend="name it in the settings",
                code="VM-1620",
            )
        return await there.ask(question, leave)

    async def close(self) -> None:
        """Close all of them, each once."""
        for one in {id(each): each for each in self._routes.values()}.values():
            await one.close()
