"""What an operator's order says: what was changed, all that stood there before, and never more than may be ordered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from vigimesh.adapters.kafka.orders import OrderBook
from vigimesh.adapters.memory.registry import MemorySchemas
from vigimesh.app.commands.lag import document, ordered
from vigimesh.app.operators.order_records import event_of, order_records
from vigimesh.app.operators.ordering import (
    REASON_MAX,
    Change,
    Given,
    Standing,
    clearing,
    disabling,
    enabling,
    given,
    holding,
    lane_of,
    merged,
    pausing,
    releasing,
    setting,
    tier_of,
    unpausing,
    until_of,
    workflow_of,
)
from vigimesh.errors import Refused
from vigimesh.events.classes import AuditRecorded, ThrottleOrdered
from vigimesh.events.codec import Codec
from vigimesh.events.topics import LANES, topic
from vigimesh.loop.orders import ANY_CALLS, Order, lifts

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
WORKFLOWS = ("drafting", "triage")
COLD = ("cold", "")


def asked(reason: str = "test", hours: float | None = 1, by: str = "ops") -> Given:
    return Given(by=by, reason=reason, at=NOW, until=None if hours is None else NOW + hours * HOUR)


def after(*steps: Callable[[Standing], list[Order]]) -> dict[tuple[str, str], Order]:
    """Return what stands after commands, each given upon what stood before, as workers take their orders."""
    book = OrderBook()
    for step in steps:
        there = {(o.lane, o.workflow): o for lane in LANES for o in book.in_force(lane, NOW)}
        for order in step(there):
            book.take(event_of(order), NOW)
    return {(o.lane, o.workflow): o for lane in LANES for o in book.in_force(lane, NOW)}


def hold(workflow: str = "", **more: Any) -> Callable[[Standing], list[Order]]:
    return lambda standing: holding(standing, workflow, asked(**more))


def disable(tier: str, **more: Any) -> Callable[[Standing], list[Order]]:
    return lambda standing: disabling(standing, tier, asked(**more))


def enable(tier: str) -> Callable[[Standing], list[Order]]:
    return lambda standing: enabling(standing, tier, asked(hours=None))


def set_to(
    place: tuple[str, str] = COLD, hours: float = 1, **change: Any
) -> Callable[[Standing], list[Order]]:
    return lambda standing: setting(standing, place, Change(**change), asked(hours=hours))


def test_changing_one_thing_leaves_the_others() -> None:
    stands = after(
        hold(reason="recall"),
        disable("large", reason="bill"),
        set_to(share_percent=50),
        set_to(calls_per_minute=3),
    )
    cold = stands[COLD]
    assert (cold.share_percent, cold.tier_ceiling, cold.calls_per_minute) == (50, "small", 3)
    assert cold.holds_acceptance
    assert cold.reason == "test; bill; recall"
    assert (stands["hot", ""].tier_ceiling, stands["hot", ""].holds_acceptance) == ("small", True)


def test_what_is_left_over_keeps_its_giver_its_reason_and_its_end() -> None:
    held = hold(reason="recall", hours=8, by="qa")
    stands = after(held, disable("large", hours=1), enable("large"))
    assert {place: (o.holds_acceptance, o.tier_ceiling) for place, o in stands.items()} == {
        (lane, ""): (True, "person") for lane in LANES
    }
    assert {o.expires_at for o in stands.values()} == {NOW + 8 * HOUR}
    assert after(held, lambda standing: releasing(standing, "", asked(hours=None))) == {}


def test_an_order_ends_with_the_later_of_two_and_alone_when_it_says() -> None:
    assert after(hold(hours=8), disable("large", hours=1))[COLD].expires_at == NOW + 8 * HOUR
    assert after(disable("large", hours=1), hold(hours=8))[COLD].expires_at == NOW + 8 * HOUR
    assert after(hold(hours=8), hold(hours=1))[COLD].expires_at == NOW + HOUR, "said anew, it ends sooner"


def test_a_share_lifted_lifts_only_the_share() -> None:
    stands = after(set_to(share_percent=50, calls_per_minute=3), set_to(share_percent=100))
    assert (stands[COLD].share_percent, stands[COLD].calls_per_minute) == (100, 3)
    assert after(set_to(share_percent=50), set_to(share_percent=100)) == {}


def test_clearing_lifts_all_of_one_place() -> None:
    stands = after(
        hold(), set_to(share_percent=50), lambda standing: clearing(standing, COLD, asked(hours=None))
    )
    assert sorted(stands) == [("hot", ""), ("warm", "")]
    assert clearing({}, COLD, asked(hours=None)) == []


def test_a_paused_lane_waits_by_workflow_and_goes_on() -> None:
    pause = lambda standing: pausing(standing, "cold", WORKFLOWS, asked())  # noqa: E731
    slow = set_to(("cold", "signal"), calls_per_minute=5)
    both = after(hold("triage"), slow, pause)
    assert {w: o.share_percent for (lane, w), o in both.items() if lane == "cold"} == {
        "drafting": 0, "signal": 100, "triage": 0,
    }  # fmt: skip
    assert all(o.share_percent == 100 for (lane, _), o in both.items() if lane != "cold")
    left = after(hold("triage"), slow, pause, lambda standing: unpausing(standing, "cold", asked(hours=None)))
    assert {place: (o.share_percent, o.holds_acceptance) for place, o in left.items() if place[0] == "cold"} == {
        ("cold", "signal"): (100, False), ("cold", "triage"): (100, True),
    }  # fmt: skip


def test_tiers_close_downwards_and_open_upwards() -> None:
    assert {o.tier_ceiling for o in after(disable("small"), disable("large")).values()} == {"tools"}
    assert {o.tier_ceiling for o in after(disable("large"), disable("small")).values()} == {"tools"}
    assert {o.tier_ceiling for o in after(disable("small"), enable("small")).values()} == {"small"}
    assert after(disable("small"), enable("small"), enable("large")) == {}
    assert after(disable("large"), enable("small"))[COLD].tier_ceiling == "small", "small was open"
    with pytest.raises(Refused, match=r"VM-1734.*tier enable small"):
        after(disable("small"), enable("large"))


@pytest.mark.parametrize(
    ("place", "change", "code"),
    [
        (("hot", ""), {"share_percent": 50}, "VM-1731"),
        (("hot", "triage"), {"share_percent": 0}, "VM-1731"),
        (COLD, {"share_percent": 0}, "VM-1734"),
        (("cold", "triage"), {"share_percent": 50}, "VM-1734"),
        (COLD, {"share_percent": 101}, "VM-1734"),
        (COLD, {"share_percent": -1}, "VM-1734"),
        (COLD, {"calls_per_minute": -1}, "VM-1734"),
        (COLD, {"calls_per_minute": ANY_CALLS + 1}, "VM-1734"),
        (COLD, {}, "VM-1734"),
    ],
)
def test_what_cannot_be_ordered_is_refused(place: tuple[str, str], change: dict[str, Any], code: str) -> None:
    with pytest.raises(Refused, match=code):
        setting({}, place, Change(**change), asked())


def test_the_hot_lane_never_waits_but_may_have_a_ceiling() -> None:
    with pytest.raises(Refused, match="VM-1731 the hot lane never waits"):
        pausing({}, "hot", WORKFLOWS, asked())
    assert (
        after(set_to(("hot", ""), tier_ceiling="tools", calls_per_minute=0))["hot", ""].tier_ceiling
        == "tools"
    )


@pytest.mark.parametrize(
    ("reason", "by"),
    [("", "ops"), ("  ", "ops"), ("a\nb", "ops"), ("a\x1b[2J", "ops"), ("x" * (REASON_MAX + 1), "ops"), ("why", ""), ("why", "a\tb")],
)  # fmt: skip
def test_an_order_needs_a_reason_and_a_name(reason: str, by: str) -> None:
    with pytest.raises(Refused, match="VM-1732"):
        given(by=by, reason=reason, at=NOW)


@pytest.mark.parametrize(
    "text",
    ["2026-11-24T11:59:59Z", "2026-11-24T12:00:00Z", "2026-11-25T12:00:01Z", "2026-11-24T18:00", "0m", "25h", "99999d",
     "soon", "2026-13-01T00:00Z", "0001-01-01T00:00+14:00"],
)  # fmt: skip
def test_an_end_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="VM-1733"):
        until_of(text, NOW)


def test_an_end_is_a_time_with_zone_or_from_now() -> None:
    assert until_of("2026-11-24T14:00:00+01:00", NOW) == NOW + HOUR
    assert until_of("90m", NOW) == NOW + 1.5 * HOUR
    assert until_of("1d", NOW) == NOW + 24 * HOUR
    assert given(by="ops", reason=" why ", at=NOW, default_s=3600).until == NOW + HOUR
    assert given(by="ops", reason="why", at=NOW).until is None


def test_what_is_not_known_is_refused_with_the_nearest() -> None:
    with pytest.raises(Refused, match=r"VM-1730.*nearest is 'cold'"):
        lane_of("colt")
    with pytest.raises(Refused, match=r"VM-1730.*nearest is 'large'"):
        tier_of("larg")
    with pytest.raises(Refused, match=r"VM-1730.*nearest is 'triage'"):
        workflow_of("triag", WORKFLOWS)
    assert workflow_of("all", WORKFLOWS) == ""


def test_two_reasons_fit_where_one_does_and_are_not_repeated() -> None:
    first = merged(None, COLD, Change(holds_acceptance=True), asked("x" * REASON_MAX))
    second = merged(first, COLD, Change(tier_ceiling="small"), asked("bill"))
    assert len(second.reason) == REASON_MAX
    assert second.reason.startswith("bill; x")
    again = merged(replace(first, reason="bill; recall"), COLD, Change(tier_ceiling="small"), asked("bill"))
    assert again.reason == "bill; recall"


def test_an_order_is_written_with_who_and_why() -> None:
    codec, order = Codec(MemorySchemas()), asked("recall", by="qa")
    before = after(disable("large", reason="bill"))
    (made,) = setting(before, COLD, Change(holds_acceptance=True), order)
    throttle, audit = order_records(codec, [made], before, order)
    assert (throttle.topic, throttle.key, audit.topic, audit.key) == (
        topic("throttle"),
        b"cold/",
        topic("audit"),
        b"cold/",
    )
    event: ThrottleOrdered = codec.decode(throttle.topic, throttle.value or b"")
    assert (event.term, event.by, event.tier_ceiling, event.holds_acceptance) == (0, "qa", "small", True)
    said: AuditRecorded = codec.decode(audit.topic, audit.value or b"")
    assert (said.stage, said.actor, said.action, said.why) == ("operator", "qa", "ordered", "recall")
    assert said.earlier == "no tier above small, until 2026-11-24T13:00:00+00:00"
    assert said.new == "no tier above small, nothing accepted by machine, until 2026-11-24T13:00:00+00:00"
    assert said.outputs == (said.event_id,)


def test_a_lifting_is_told_as_one() -> None:
    codec, order = Codec(MemorySchemas()), asked("calm", hours=None)
    before = after(set_to(share_percent=50))
    (made,) = clearing(before, COLD, order)
    assert lifts(made)
    _, audit = order_records(codec, [made], before, order)
    said: AuditRecorded = codec.decode(audit.topic, audit.value or b"")
    assert (said.new, said.why) == ("lifted", "calm")


def test_lag_says_of_an_order_all_that_it_asks_for() -> None:
    """Also of one that leaves a lane all of its time: a ceiling, a limit of calls, a hold of acceptance."""
    stands = after(
        set_to(share_percent=25),
        set_to(("cold", "triage"), share_percent=0, calls_per_minute=5),
        disable("large", reason="bill"),
        hold(reason="recall"),
    )
    orders = [stands["hot", ""], stands["cold", ""], stands["cold", "triage"]]
    lines = [
        "hot/all until 13:00:00 UTC: no tier above small, nothing accepted by machine (by ops: recall; bill)",
        "cold/all until 13:00:00 UTC: share 25 %, no tier above small, nothing accepted by machine (by ops: recall; bill; test)",
        "cold/triage until 13:00:00 UTC: waits, parked, 5 calls a minute (by ops: test)",
    ]
    assert ordered(orders) == lines
    told = document([], orders)["orders"]
    assert [f"{one['asks']} (by {one['by']}: {one['reason']})" for one in told] == [
        line.partition("UTC: ")[2] for line in lines
    ]
