"""A workflow that waits by order: the loop parks its records, the resumer brings them back, the loop works on them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import pytest

from parking import Parking, drive, serve
from vigimesh.adapters.kafka.parked_topic import GAP
from vigimesh.background.resumer.emit import PARKED
from vigimesh.events.classes import AuditRecorded, CaseReceived
from vigimesh.events.envelope import Envelope, to_headers
from vigimesh.events.topics import lane_of, topic
from vigimesh.loop.broker import Write
from vigimesh.loop.orders import NoOrders, Order, Orders, Pause
from vigimesh.loop.worker import Worker
from vigimesh.ports import Spot
from worlds import INPUT, WORLDS, Crash, World, copier, once, work, world_of

world = pytest.fixture(params=WORLDS)(world_of)

CASES = 12


@dataclass(frozen=True)
class Held:
    """The workflow `triage` waits until a moment."""

    until: datetime

    def in_force(self, lane: str, now: datetime) -> Sequence[Order]:
        return (Order(lane=lane, workflow="triage", share_percent=0, expires_at=self.until, reason="test"),)


@dataclass(frozen=True)
class Lifted:
    """The pause of a workflow until a moment was lifted."""

    until: datetime
    workflow: str = "triage"

    def lifted(self, now: datetime) -> Sequence[Pause]:
        return (Pause(lane=lane_of(INPUT), workflow=self.workflow, until=self.until),)


def send(world: World, number: int, workflow: str) -> str:
    """Append a case as a stage hands it on; return its message id."""
    case = world.case(number)
    envelope = Envelope(
        id=case.message_id, source="/test", type="vigimesh.CaseReceived", time=datetime(2026, 3, 2, tzinfo=UTC),
        subject=case.case_id, messageid=case.message_id, workflow=workflow, lane="cold",
    )  # fmt: skip
    value = world.codec.encode(INPUT, CaseReceived(case=case))
    world.append(Write(topic=INPUT, key=case.case_id.encode(), value=value, headers=to_headers(envelope)))
    return case.message_id


def lane_worker(world: World, orders: Orders, *, instance: str = "a", fault: str = "") -> Worker:
    stage = replace(copier(), name="planner", lane="cold")
    planted = once(fault, Crash()) if fault else lambda at: None
    made = world.worker(stage, instance=instance, fault=planted)
    return replace(made, orders=orders)


@pytest.mark.parametrize("step", ["", "write", "offsets.after", "commit.before", "commit.after"])
def test_what_waits_by_order_is_worked_on_once_when_it_may(world: World, step: str) -> None:
    """Worker and resumer die at a step each, and come again."""
    parking = Parking(world)
    held = Held(parking.wall.at + timedelta(hours=1))
    waiting = [send(world, number, "triage") for number in range(CASES)]
    others = [send(world, number, "signal") for number in range(CASES, 2 * CASES)]

    def apart() -> bool:
        return len(world.handed_on()) >= CASES and len(parking.open(*waiting)) >= CASES

    if step:
        with pytest.raises(Crash):
            drive(work(lane_worker(world, held, fault=step), until=lambda: False))
    drive(work(lane_worker(world, held), until=apart))
    assert Counter(world.handed_on()) == Counter(others)
    assert parking.open(*waiting) == set(waiting)

    parking.wall.move(3_600)
    if step:
        with pytest.raises(Crash):
            drive(serve(parking.resumer(fault=once(step, Crash())), until=lambda: False))
    drive(serve(parking.resumer(), until=lambda: not parking.open(*waiting)))
    drive(work(lane_worker(world, NoOrders()), until=lambda: len(world.handed_on()) >= 2 * CASES))
    assert Counter(world.handed_on()) == Counter([*waiting, *others])
    back = Counter(record.value for record in world.mine(INPUT))
    assert sorted(back.values()) == [1] * CASES + [2] * CASES
    assert {record.key.decode() for record in world.mine(PARKED)} == set(waiting)


@pytest.mark.parametrize("step", ["", "write", "offsets.after", "commit.before", "commit.after"])
def test_what_waits_by_a_pause_goes_on_once_it_is_lifted(world: World, step: str) -> None:
    """Hours before the pause was to end, whatever step the resumer dies at; another workflow's pause stands."""
    parking = Parking(world)
    end = parking.wall.at + timedelta(hours=8)
    held = Held(end)
    waiting = [send(world, number, "triage") for number in range(CASES)]
    drive(work(lane_worker(world, held), until=lambda: len(parking.open(*waiting)) >= CASES))
    others = [
        parking.event(number, in_s=8 * 3_600, resume_topic=INPUT, workflow="signal") for number in (50, 51)
    ]
    parking.park(*others)

    def back() -> bool:
        return not parking.open(*waiting)

    lifted = Lifted(end)
    if step:
        with pytest.raises(Crash):
            drive(serve(parking.resumer(pauses=lifted, fault=once(step, Crash())), until=lambda: False))
    drive(serve(parking.resumer(pauses=lifted), until=back))
    drive(work(lane_worker(world, NoOrders()), until=lambda: len(world.handed_on()) >= CASES))
    assert Counter(world.handed_on()) == Counter(waiting)
    assert {event.event_id for event in others} == parking.open(*(event.event_id for event in others))
    audits = [world.codec.decode(topic("audit"), record.value) for record in world.mine(topic("audit"))]
    said = [one.why for one in audits if isinstance(one, AuditRecorded) and one.action == "resumed"]
    assert len(said) == CASES
    assert all(why.startswith("called back, since its pause was lifted, before ") for why in said)


def test_bodies_are_read_again_at_any_offset_and_what_is_gone_is_said_to_be(world: World) -> None:
    parking = Parking(world)
    parking.park(*(parking.event(n, in_s=3_600) for n in range(GAP + 50)), partition=2)
    lie = sorted((record.part, record.offset) for record in world.mine(PARKED))
    wanted = [Spot(*lie[at]) for at in (0, 7, 8, GAP + 20, GAP + 49)]
    writer = world.producer(f"{world.group}.writer")

    async def read() -> None:
        await writer.renew()
        writer.begin()
        writer.write(parking.write(parking.event(10_000, in_s=3_600)))
        await writer.commit()
        last = max((r for r in world.mine(PARKED)), key=lambda r: r.value.find(b"body 10000"))
        marker = Spot(last.part, last.offset + 1)
        topic = parking.topic()
        found = dict(await topic.fetch([*reversed(wanted), marker], 1 << 20))
        assert found.pop(marker) is None
        assert {spot: r.offset if r else None for spot, r in found.items()} == {s: s.offset for s in wanted}
        some = await topic.fetch(wanted, 1)
        assert len(some) == 1
        await topic.close()
        await writer.close()

    drive(read())
