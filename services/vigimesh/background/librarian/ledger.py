"""Two duties of the librarian: booking what was served, and telling whose product is past its service level."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from vigimesh import names
from vigimesh.background.librarian.records import record
from vigimesh.background.librarian.run import NAME
from vigimesh.clock import Clock
from vigimesh.domain.knowledge.ledger import IN_FLIGHT, MAX_STEP, Booked, Seen, book, cited, product_of
from vigimesh.domain.knowledge.products import Products
from vigimesh.domain.knowledge.standing import Overdue, past, standings
from vigimesh.events import ids
from vigimesh.events.classes import AuditRecorded
from vigimesh.events.codec import Codec
from vigimesh.events.topics import topic
from vigimesh.loop.broker import Desk
from vigimesh.loop.telemetry import Telemetry
from vigimesh.ports import Ledger, Library, Measurements

_log = logging.getLogger(__name__)

TELEMETRY, _AUDIT = topic("retrieval.telemetry"), topic("audit")


@dataclass(slots=True, kw_only=True)
class Booking:
    """Books `retrieval.telemetry`: what fed which case, and how the caches did.

    The next offsets stand in the ledger and move with what was booked, in one transaction: a librarian that is killed anywhere books on from
    there, and two at once book everything once. Metrics are told after it, so that a kill in between loses some of them, and no booking.
    """

    measurements: Measurements
    ledger: Ledger
    products: Products
    telemetry: Telemetry
    name: str = field(default="ledger", init=False)
    every_s: float = field(default=5.0, init=False)

    async def step(self) -> int:
        """Book at most `MAX_STEP` measurements; return how many. Raises `Transient` when the ledger or the broker is away."""
        seen, booked = await asyncio.to_thread(self._booked)
        self._show(seen, booked)
        return len(seen)

    def _booked(self) -> tuple[tuple[Seen, ...], Booked]:
        before = self.ledger.places()
        found, after = self.measurements.after(before, MAX_STEP)
        seen = tuple(found)
        pairs = {(document, version) for one in seen for document, version, *_ in cited(one.measured)}
        # Ages and versions are judged as of now: what was superseded after it was served was so after its record.
        ended = self.ledger.ended(pairs)
        booked = book(seen, TELEMETRY, self.products, ended, (before, after))
        if dict(after) != dict(before):
            self.ledger.book(booked)
        return seen, booked

    def _show(self, seen: tuple[Seen, ...], booked: Booked) -> None:
        for kind, count in booked.counts.items():
            labels = {"product": kind.product, "level": kind.level}
            self.telemetry.add(names.KNOWLEDGE_ANSWERS, count.answers, {**labels, "match": kind.match})
            self.telemetry.add(names.KNOWLEDGE_GROUNDED, count.grounded, labels)
            if kind.missed:
                self.telemetry.add(
                    names.KNOWLEDGE_MISSES, count.answers, {"product": kind.product, "reason": kind.missed}
                )
            if kind.false_hit:
                why = {**labels, "reason": kind.false_hit}
                self.telemetry.add(names.KNOWLEDGE_FALSE_HITS, count.answers, why)
                _log.warning(
                    "%d answers about %s were served from the %s cache though they were %s over %g s before",
                    count.answers, kind.product, kind.level, kind.false_hit.replace("_", " "), IN_FLIGHT.total_seconds(),
                )  # fmt: skip
        for one in seen:
            if one.measured.read_at is not None and one.measured.cache_level in ("hot", "warm"):
                age_s = (one.at - one.measured.read_at).total_seconds()
                where = {
                    "product": product_of(one.measured, self.products),
                    "level": one.measured.cache_level,
                }
                self.telemetry.observe(names.KNOWLEDGE_AGE, max(0.0, age_s), where)


@dataclass(slots=True, kw_only=True)
class ServiceLevels:
    """Tells once when a product is past its service level, and again only after it has recovered.

    Told is: one line in the log, one `audit` record, and a metric as long as it lasts. The crossing is kept before it is told, and marked when it was:
    a librarian killed in between tells it again, in a record with the same id.
    """

    library: Library
    ledger: Ledger
    products: Products
    telemetry: Telemetry
    codec: Codec
    desk: Desk
    clock: Clock
    name: str = field(default="service_levels", init=False)
    every_s: float = field(default=60.0, init=False)

    async def step(self) -> int:
        """Return how many crossings were told. Raises `Transient` when the ledger or the broker is away."""
        now = self.clock.now()
        standing = standings(self.products, await asyncio.to_thread(self.library.sources), now)
        for one in standing:
            self.telemetry.level(names.KNOWLEDGE_OVERDUE, float(one.past), {"product": one.product.id})
        held: Mapping[str, str] = {one.product.id: one.product.owner for one in standing}
        untold = await asyncio.to_thread(self.ledger.cross, past(standing), now)
        for crossing in untold:
            await self._tell(crossing, held.get(crossing.product, "an owner who is no longer named"))
        return len(untold)

    async def _tell(self, crossing: Overdue, owner: str) -> None:
        product, due = crossing.product, crossing.due_at.isoformat()
        why = f"knowledge product {product} is past its service level since {due}: {owner}"
        # Made from the crossing, so that telling it again makes the same record.
        event_id = ids.event_id(f"overdue|{product}|{due}", NAME, 1, 0)
        audit = AuditRecorded(
            case_id="", message_id="", event_id=event_id, stage=NAME, actor=NAME, action="alarmed",
            why=why, input_digest="", earlier="within its service level", new="past its service level",
        )  # fmt: skip
        _log.warning("%s", why)
        value = self.codec.encode(_AUDIT, audit)
        await self.desk.write([record(self.codec, (_AUDIT, event_id), product, value, self.clock.now())])
        await asyncio.to_thread(self.ledger.told, crossing)
