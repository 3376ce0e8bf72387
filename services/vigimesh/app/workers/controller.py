"""`vigimesh controller`: works out the lag, lets lanes yield and prices the backlog, in the foreground, what a container runs."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Sequence
from typing import NoReturn

from vigimesh.adapters.kafka.cluster.lag import LagReader
from vigimesh.adapters.kafka.consumer import KafkaConsumer
from vigimesh.adapters.kafka.orders import OrderReader
from vigimesh.adapters.kafka.producer import KafkaProducer
from vigimesh.adapters.postgres.journal import PgJournal
from vigimesh.adapters.redis.budget import RedisBudget
from vigimesh.adapters.telemetry.otel import OtelTelemetry
from vigimesh.app.config.clients import codec_of, kafka_of
from vigimesh.app.config.settings import Settings
from vigimesh.app.in_force.cards import cards_of
from vigimesh.app.in_force.large_model import has_large_model
from vigimesh.app.workers.worker import Loop, leave, rest_collector, serve_loops
from vigimesh.background.controller.accounts import BudgetAccounts
from vigimesh.background.controller.money import Accounts, Money, NoAccounts, paid_tiers
from vigimesh.background.controller.run import NAME, THROTTLE, Controller, run
from vigimesh.clock import Clock, SystemClock
from vigimesh.domain.budget.values import Caps
from vigimesh.domain.policy.cards import Card
from vigimesh.errors import Misconfigured
from vigimesh.events.topics import PREFIX
from vigimesh.loop.health import Health
from vigimesh.loop.orders import Orders

_log = logging.getLogger(__name__)

#: Group and transactional id: the same for every controller, so that one leads and fences the one before.
CONTROLLER_ID = f"{PREFIX}{NAME}"


def serve_controller(settings: Settings) -> NoReturn:
    """Lead or stand by until SIGTERM or SIGINT, and end the process: with 1 when it could not go on.

    Raises `Misconfigured` when a card or setting is wrong, `OSError` when the health port is taken.
    """
    rest_collector()
    # A codec of its own: it decodes in a thread of its own.
    orders = OrderReader(kafka_of(settings), codec_of(settings), SystemClock()).start()
    controller = controller_of(settings, orders)

    def work(stop: threading.Event) -> None:
        asyncio.run(run(controller, stop))

    loop = Loop(name=CONTROLLER_ID, work=work, health=controller.health)
    status = serve_loops((loop,), controller.telemetry, settings.worker)
    orders.close()
    leave(status)


def controller_of(settings: Settings, orders: Orders) -> Controller:
    """Return the controller, joined to Kafka; `orders` are those in force. Raises what the settings and cards raise: `Misconfigured`."""
    clock = SystemClock()
    base = kafka_of(settings)
    codec = codec_of(settings)
    cards = cards_of(settings).cards
    return Controller(
        consumer=KafkaConsumer(
            base, CONTROLLER_ID, (THROTTLE,), copartitioned=False, protocol=settings.worker.protocol
        ),
        producer=KafkaProducer(base, CONTROLLER_ID),
        lag=LagReader(base, codec, [card.name for card in cards], clock),
        objectives={card.name: float(card.lane_objectives.hot_s) for card in cards},
        codec=codec,
        telemetry=OtelTelemetry(NAME, instance=settings.worker.instance),
        health=Health(clock),
        clock=clock,
        money=money_of(settings, cards, clock),
        orders=orders,
    )


def money_of(settings: Settings, cards: Sequence[Card], clock: Clock) -> Money | None:
    """Return what the backlog is priced with; nothing where no model is paid for."""
    small_micro, large = _small_micro(settings, clock), has_large_model(settings.large_model)
    paid = paid_tiers(small_micro, large=large)
    if not paid:
        return None
    paying = tuple(card for card in cards if not set(paid).isdisjoint(card.tiers))
    accounts: Accounts = NoAccounts(tuple(card.name for card in paying))
    if settings.redis.url and settings.postgres.dsn:
        budget = RedisBudget.open(settings.redis.url)
        journal = PgJournal(settings.postgres.dsn, clock=clock, application_name="vigimesh controller")
        accounts = BudgetAccounts(
            budget,
            journal,
            {card.name: Caps.of(card) for card in paying},
            clock,
            (budget.close, journal.close),
        )
    calls = settings.large_model.calls_per_minute if large else 0
    return Money(
        accounts=accounts, cards=paying, calls_per_minute=calls or None, small_micro=small_micro, large=large
    )


def _small_micro(settings: Settings, clock: Clock) -> int:
    """Return what one call of an endpoint in the small tier's place may cost; 0 where there is none, or it has no price: then nobody calls it."""
    if not (settings.small_model.base_url or settings.small_model.name):
        return 0
    from vigimesh.app.in_force.small_model import call_micro  # with numpy, which only a small model needs

    try:
        return call_micro(settings, clock.now())
    except Misconfigured as error:  # lanes give way to the hot one all the same
        _log.error("the small model's calls are not priced: %s", error)
        return 0
