"""How a knowledge product stands: its sources, how long ago each was read, whether that is within its service level."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from vigimesh.domain.knowledge.editions import Source
from vigimesh.domain.knowledge.products import DEFAULT, Product, Products


@dataclass(frozen=True, slots=True, kw_only=True)
class Overdue:
    """A product is past its service level since `due_at`."""

    product: str
    due_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How a product stands at one instant.

    `newest` is the source that changed last, `oldest` the one whose source was read longest ago; both `None` without a document. `due_at` is when the oldest
    is (or was) to be read again, `next_refresh` when its summaries are made next without a change.
    """

    product: Product
    documents: int
    newest: Source | None
    oldest: Source | None
    due_at: datetime | None
    next_refresh: datetime | None
    past: bool


def standings(products: Products, sources: Iterable[Source], now: datetime) -> tuple[Standing, ...]:
    """Return how each product stands at `now` with the current versions of documents; the default one only where a document falls to it.

    A product is past its level when any of its sources was not read within it: the owner answers for each. One that has no document
    is not: there is nothing that could be served too old.
    """
    held: dict[str, list[Source]] = {}
    for source in sources:
        held.setdefault(products.of(source.id).id, []).append(source)
    rows = (*products.products, *((DEFAULT,) if DEFAULT.id in held else ()))
    return tuple(_standing(product, held.get(product.id, []), now) for product in rows)


def past(standing: Iterable[Standing]) -> dict[str, datetime]:
    """Return the products past their level, with since when."""
    return {one.product.id: one.due_at for one in standing if one.past and one.due_at is not None}


def _standing(product: Product, sources: list[Source], now: datetime) -> Standing:
    newest = max(sources, key=lambda one: (one.at, one.id), default=None)
    oldest = min(sources, key=lambda one: (one.seen, one.id), default=None)
    due_at = oldest.seen + product.service_level if oldest else None
    return Standing(
        product=product, documents=len(sources), newest=newest, oldest=oldest, due_at=due_at,
        next_refresh=product.refresh.next_after(now), past=due_at is not None and now > due_at,
    )  # fmt: skip
