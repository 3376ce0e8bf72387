"""A raised cap on record: who let a workflow spend more, why, and up to when, in `audit` before any call can use it."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from vigimesh.app.operators.order_records import ACTION, STAGE, operator_write
from vigimesh.domain.budget.money import amount_text
from vigimesh.domain.budget.values import Caps, Raise, Shut
from vigimesh.domain.policy.cards import Card
from vigimesh.errors import Transient, VigimeshError
from vigimesh.events import ids
from vigimesh.events.classes import AuditRecorded, ThrottleOrdered
from vigimesh.events.codec import Codec
from vigimesh.events.topics import topic
from vigimesh.loop.broker import Desk, Write
from vigimesh.loop.orders import ANY_CALLS, ANY_TIER
from vigimesh.ports import Budget

_AUDIT, _THROTTLE = topic("audit"), topic("throttle")


@dataclass(frozen=True, slots=True, kw_only=True)
class CapRaised:
    """What was done, for the audit: the order, who gave it, the card's cap, and the raise that stood before."""

    order: Raise
    earlier: Raise | None
    card_micro: int
    currency: str
    by: str
    #: Why what waits for money was not called back, if it was not.
    not_called: str = ""

    def plain(self) -> dict[str, Any]:
        """Return it as JSON has it; amounts in micro-units."""
        earlier = self.earlier
        return {
            "workflow": self.order.workflow, "window": self.order.window, "to_micro": self.order.to_micro,
            "currency": self.currency, "card_micro": self.card_micro,
            "earlier_micro": None if earlier is None else earlier.to_micro,
            "earlier_until": None if earlier is None else earlier.until.isoformat(),
            "at": self.order.at.isoformat(), "until": self.order.until.isoformat(),
            "reason": self.order.reason, "by": self.by,
        }  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Raiser:
    """Raises a cap on record. `by` is who orders it."""

    budget: Budget
    desk: Desk
    codec: Codec
    by: str

    async def give(self, order: Raise, card: Card) -> CapRaised:
        """Record the order, raise the cap, then call back what waits for money; a cap that could not be raised has a second record, which says so.

        In this order, since a cap that nobody knows of would let money be spent without a reason, while one that stands in the
        audit and is not raised stops nothing that was not stopped before.

        Raises `Transient` VM-1913 when the budget is shut, VM-1910 when its store is away, and what `desk` raises: with any
        of them nothing is raised, except that with VM-1910 behind the record nobody knows.
        """
        standing = await self.budget.standing(card.name, Caps.of(card), order.at)
        if isinstance(standing, Shut):
            raise _shut(order.workflow, standing.why)
        before = next(row.cap_micro for row in standing.windows if row.window == order.window)
        earlier = _cap(before, order, card)
        new = f"{_cap(order.to_micro, order, card)} until {order.until.isoformat(timespec='seconds')}"
        await self.desk.write([self._record(order, 0, earlier, new)])
        try:
            done = await raised_in(self.budget, order, card, self.by)
        except VigimeshError as error:
            with suppress(VigimeshError):  # the first error says what happened
                await self.desk.write([self._record(order, 1, new, f"not known to be raised: {error.what}")])
            raise
        # Only now: what is called back earlier would be refused once more.
        try:
            await self.desk.write([self._call_back(order)])
        except VigimeshError as error:
            return replace(done, not_called=error.what)
        return done

    def _call_back(self, order: Raise) -> Write:
        """Return the record by which the resumer calls back what waits for money; it orders nothing."""
        event = ThrottleOrdered(
            workflow=order.workflow, lane="", term=0, expires_at=order.until, tier_ceiling=ANY_TIER,
            calls_per_minute=ANY_CALLS, yields=False, reason=order.reason, by=self.by, money_raised=True,
        )  # fmt: skip
        key, named = f"/{order.workflow}", f"{order.workflow}|{order.window}|{order.at.isoformat()}|{self.by}"
        event_id = ids.event_id(named, f"{STAGE}.budget", 1, 1)
        value = self.codec.encode(_THROTTLE, event)
        return operator_write(self.codec, (_THROTTLE, event_id), value, key, ("", order.workflow), order.at)

    def _record(self, order: Raise, index: int, earlier: str, new: str) -> Write:
        named = f"{order.workflow}|{order.window}|{order.to_micro}|{order.at.isoformat()}|{self.by}"
        order_id, audit_id = (ids.event_id(named, f"{STAGE}.budget", 1, at) for at in (0, -1 - index))
        audit = AuditRecorded(
            case_id="", message_id="", event_id=order_id, stage=STAGE, actor=self.by, action=ACTION, why=order.reason,
            input_digest=ids.digest(named.encode()), earlier=earlier, new=new,
        )  # fmt: skip
        value = self.codec.encode(_AUDIT, audit)
        key, place = f"budget/{order.workflow}", ("", order.workflow)
        return operator_write(self.codec, (_AUDIT, audit_id), value, key, place, order.at)


async def raised_in(budget: Budget, order: Raise, card: Card, by: str) -> CapRaised:
    """Raise the cap and return what the audit is to be told. Raises `Transient` VM-1913 when the budget is shut."""
    done = await budget.raise_cap(order)
    if isinstance(done, Shut):
        raise _shut(order.workflow, done.why)
    return CapRaised(
        order=done.order, earlier=done.earlier, card_micro=Caps.of(card).of_window(order.window),
        currency=card.budget.currency, by=by,
    )  # fmt: skip


def _shut(workflow: str, why: str) -> Transient:
    """Return the error for a cap that cannot be raised, since the budget is shut."""
    return Transient(
        "VM-1913", what=f"no cap can be raised: {why}", where=workflow,
        todo="a tool-executor that pays for a model rebuilds it from the call journal; then raise the cap",
    )  # fmt: skip


def _cap(micro: int, order: Raise, card: Card) -> str:
    return f"{amount_text(micro, card.budget.currency)} a {order.window}"
