"""What the commands that give orders share: the cluster they are joined to, giving, and telling what was ordered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import typer

from vigimesh.adapters.kafka.cluster.lag import LagReader
from vigimesh.adapters.kafka.desks.orders import OrderDesk
from vigimesh.adapters.kafka.orders import OrderReader
from vigimesh.app.config.clients import codec_of, quiet_kafka_of
from vigimesh.app.config.located import settings_for
from vigimesh.app.in_force.cards import cards_of
from vigimesh.app.operators.order_records import order_records
from vigimesh.app.operators.ordering import Given, Standing, given, place_text, words
from vigimesh.app.options import print_json
from vigimesh.clock import SystemClock
from vigimesh.errors import Transient
from vigimesh.events.codec import Codec
from vigimesh.events.topics import LANES
from vigimesh.loop.broker import Write
from vigimesh.loop.orders import ANY_CALLS, Order, lifts

#: Seconds for what was ordered in the last day.
_READ_S = 20.0

#: Makes the orders from those in force.
Rule = Callable[[Standing], list[Order]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """A command joined to a cluster, with the names of the workflow cards."""

    base: Mapping[str, Any]
    codec: Codec
    workflows: tuple[str, ...]
    clock: SystemClock = field(default_factory=SystemClock)

    def give(self, rule: Rule, order: Given) -> tuple[list[Order], dict[tuple[str, str], Order]]:
        """Give the orders that `rule` makes; return them, and the operators' orders in force before.

        Raises what `rule` raises, and what `OrderDesk.give` does.
        """
        made: list[Order] = []
        before: dict[tuple[str, str], Order] = {}

        def make(standing: Standing) -> Sequence[Write]:
            before.update(standing)
            made.extend(rule(standing))
            return order_records(self.codec, made, standing, order)

        asyncio.run(OrderDesk(self.base, self.codec, self.clock).give(make))
        return made, before

    def in_force(self) -> list[Order]:
        """Return every order in force, also the controller's; raises `Transient` VM-1735 when they are not known."""
        reader = OrderReader(self.base, self.codec, self.clock).start()
        try:
            if not reader.caught_up(_READ_S):
                raise Transient("VM-1735", what=f"the orders were not read in {_READ_S:g} s", where="vigimesh.throttle",
                                todo="check that broker and registry are up: `vigimesh stack status`")  # fmt: skip
            now = self.clock.now()
            return [order for lane in LANES for order in reader.in_force(lane, now)]
        finally:
            reader.close()

    def lag(self) -> LagReader:
        """Return what works out the lag."""
        return LagReader(self.base, self.codec, self.workflows, self.clock)


def join(data: Path | None) -> Room:
    """Join a command to a cluster; raises `Misconfigured` VM-1102 or VM-1705 when nothing names one, or for a wrong card."""
    settings = settings_for(data, "kafka.bootstrap", "registry.url")
    return Room(
        base=quiet_kafka_of(settings),
        codec=codec_of(settings),
        workflows=tuple(sorted(card.name for card in cards_of(settings).cards)),
    )


def given_now(by: str, reason: str, until: str = "", default_s: float | None = None) -> Given:
    """Return who orders (the login, when nobody is named) and why, checked; raises as `ordering.given` does."""
    return given(by=by or login(), reason=reason, at=SystemClock().now(), until=until, default_s=default_s)


def tell(made: Sequence[Order], order: Given, *, nothing: str, as_json: bool, **more: object) -> None:
    """Say what was ordered, or `nothing` when there was nothing to order. `more` goes into the object of `--json`."""
    if as_json:
        print_json({"orders": [plain(one) for one in made], "count": len(made), **more})
        return
    for one in made:
        place = place_text((one.lane, one.workflow))
        later = ""
        if order.until and not lifts(one) and one.expires_at > order.until:
            later = " (as long as what was ordered there before)"
        typer.echo(f"{place}: {'lifted' if lifts(one) else words(one) + later}")
    if not made:
        typer.echo(nothing, err=True)


def plain(order: Order) -> dict[str, Any]:
    """Return an order for JSON; `calls_per_minute` is null without a limit."""
    return {
        "lane": order.lane, "workflow": order.workflow, "share_percent": order.share_percent,
        "tier_ceiling": order.tier_ceiling,
        "calls_per_minute": order.calls_per_minute if order.calls_per_minute < ANY_CALLS else None,
        "holds_acceptance": order.holds_acceptance, "by": order.by or "controller",
        "until": None if lifts(order) else order.expires_at.isoformat(), "lifted": lifts(order), "reason": order.reason,
    }  # fmt: skip


def login() -> str:
    """Return who is logged in, or `unknown`."""
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"
