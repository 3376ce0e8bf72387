"""All that paying for model calls needs, joined: budget, call journal, model, prices, and what keeps the first two in agreement."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from vigimesh import names
from vigimesh.adapters.kafka.usage_tail import newest_paid
from vigimesh.adapters.postgres.batch_journal import PgBatchJournal
from vigimesh.adapters.postgres.journal import PgJournal
from vigimesh.adapters.redis.budget import RedisBudget
from vigimesh.app.config.clients import kafka_of
from vigimesh.app.config.settings import Settings
from vigimesh.app.in_force.large_model import fallbacks_of
from vigimesh.app.in_force.small_model import book_of, check_currencies, models_of
from vigimesh.app.workers.limits import ceiling_in
from vigimesh.app.workers.parts import Parts
from vigimesh.background.books.keep import Books
from vigimesh.domain.budget.prices import shipped_prices
from vigimesh.domain.cascade.breaker import STATES, State
from vigimesh.domain.cascade.endpoint import ASKED
from vigimesh.domain.cascade.opinion import Model
from vigimesh.domain.control.pricing import PAID
from vigimesh.domain.policy.cards import Cards
from vigimesh.domain.policy.tiers import TIERS
from vigimesh.errors import Misconfigured
from vigimesh.loop.health import Health
from vigimesh.loop.orders import Order, calls_per_minute
from vigimesh.loop.telemetry import Telemetry
from vigimesh.tool_executor.drafting import Drafts
from vigimesh.tool_executor.execute import STAGE
from vigimesh.tool_executor.gathering import GatheringPayer
from vigimesh.tool_executor.opinions import Opinions
from vigimesh.tool_executor.paying import Payer
from vigimesh.tool_executor.purchase import REASONS, Purchase
from vigimesh.tool_executor.till import Keeper, Till

_log = logging.getLogger(__name__)


def opinions_of(settings: Settings, cards: Cards) -> Opinions:
    """Return who is asked for opinions. Only where `has_large_model`."""
    return Opinions(model=_model_of(settings), cards=cards)


def drafts_of(settings: Settings, cards: Cards) -> Drafts:
    """Return who is asked for drafts. Only where `has_large_model`."""
    return Drafts(model=_model_of(settings), cards=cards)


def _model_of(settings: Settings) -> Model:
    large = settings.large_model
    return Model(name=large.name, deadline_s=float(large.deadline_s), fallbacks=fallbacks_of(large))


@dataclass(slots=True, kw_only=True)
class Sign:
    """Says outside how paying goes in one lane: two metrics, and what `/readyz` adds.

    It never makes a worker unready: what is free goes on, and money stops no case.
    """

    telemetry: Telemetry
    health: Health
    lane: str
    _shut: str = ""
    _state: State = "closed"
    _mend: str = ""

    def shut(self, why: str) -> None:
        """Paid calls are refused, and why; nothing when they are not."""
        self._shut = why
        self._tell(names.PAYING_SHUT, float(bool(why)))

    def breaker(self, state: State, mend: str = "") -> None:
        """How the breaker of the large model stands, and what a person must change before it takes our questions."""
        self._state, self._mend = state, mend
        self._tell(names.MODEL_BREAKER, float(STATES.index(state)))

    def gathered(self, state: str) -> None:
        """A question was gathered for a batch, and what came of it."""
        labels = {"stage": STAGE, "lane": self.lane, "state": state}
        self.telemetry.add(names.BATCH_GATHERED, 1, labels)

    def _tell(self, metric: names.Metric, value: float) -> None:
        self.telemetry.level(metric, value, {"stage": STAGE, "lane": self.lane})
        told = (
            f"paid calls are refused: {self._shut}" if self._shut else "",
            "" if self._state == "closed" else REASONS["breaker_open"],
            self._mend,
        )
        self.health.without = "; ".join(filter(None, told))


def till_of(parts: Parts, lane: str, health: Health) -> Till:
    """Return the till of one lane's event loop; nothing is opened yet. Raises `Misconfigured` for a setting that is missing.

    `health` is told what its worker does without. A price that has run out since the mesh was prepared stops no worker: its calls are not made, and that is said.
    """
    settings, codec, clock = parts.settings, parts.codec, parts.clock
    settings.require("redis.url", "postgres.dsn")
    sign = Sign(telemetry=parts.telemetry, health=health, lane=lane)
    sign.breaker("closed")
    try:
        prices = book_of(settings, clock.now())
    except Misconfigured as error:
        _log.error("no opinion is paid for: %s", error)
        prices = shipped_prices()
    else:
        _tell_currencies(settings, parts.cards, clock.now())
    base = kafka_of(settings)

    async def paid_at() -> datetime | None:
        return await asyncio.to_thread(newest_paid, base, codec)

    @asynccontextmanager
    async def opened() -> AsyncIterator[tuple[Payer, Keeper]]:
        async with AsyncExitStack() as stack:
            budget = RedisBudget.open(settings.redis.url)
            stack.push_async_callback(budget.close)
            journal = PgJournal(settings.postgres.dsn, clock=clock)
            stack.push_async_callback(journal.close)
            models = models_of(settings, clock)
            stack.push_async_callback(models.close)
            books = Books(budget, journal, clock, paid_at=paid_at, tell=sign.shut)
            gathered = PgBatchJournal(settings.postgres.dsn, clock=clock)
            stack.push_async_callback(gathered.close)
            payer = GatheringPayer(
                budget=budget, journal=journal, models=models, objects=parts.objects, prices=prices,
                agreement=books, clock=clock, tell=sign.breaker, gathered=gathered,
                counted=sign.gathered,
            )  # fmt: skip
            yield payer, books

    def calls(workflow: str) -> int:
        return calls_per_minute(parts.orders.in_force(lane, clock.now()), workflow)

    def held(wanted: Purchase) -> str:
        return held_by(parts.orders.in_force(lane, clock.now()), wanted)

    return Till(opened, calls, held, tell=sign.shut)


def _tell_currencies(settings: Settings, cards: Cards | None, at: datetime) -> None:
    """Say which workflows ask no model since they are in another currency; the others go on."""
    try:
        check_currencies(settings, cards.cards if cards else (), at)
    except Misconfigured as error:
        _log.error("some workflows pay for no opinion: %s", error)


def held_by(orders: Sequence[Order], wanted: Purchase) -> str:
    """Return why orders leave a purchase no money: a ceiling of the controller's lets the small tier ask what is free alone.

    It orders for money; a person who shuts the large model means that one. What was planned for the large tier before is paid for, as it always was.
    """
    if wanted.step != ASKED:
        return ""
    ceiling, why = ceiling_in([order for order in orders if not order.by], wanted.workflow)
    return (why or f"up to {ceiling}") if TIERS.index(ceiling) < TIERS.index(PAID) else ""
