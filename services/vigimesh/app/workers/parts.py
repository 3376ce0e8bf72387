"""What the workers of one process share, as one value: `wiring` builds it, and hands it to what joins a stage to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from vigimesh.app.config.settings import Settings
from vigimesh.clock import Clock
from vigimesh.events.codec import Codec
from vigimesh.loop.orders import NoOrders, Orders
from vigimesh.loop.telemetry import Telemetry
from vigimesh.ports import Objects

if TYPE_CHECKING:
    from vigimesh.domain.cascade.small import Standings
    from vigimesh.domain.policy.cards import Cards
    from vigimesh.retriever.lookup import Lookup


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What the workers of one process share.

    `lookup` is connected by whoever asks first, `cards` are there only where they are read. `standings` say where the small tier may be relied on.
    """

    settings: Settings
    cards: Cards | None
    codec: Codec
    objects: Objects
    lookup: Callable[[], Lookup]
    telemetry: Telemetry
    clock: Clock
    orders: Orders = field(default_factory=NoOrders)
    standings: Standings | None = None
    close: Callable[[], None] = lambda: None
