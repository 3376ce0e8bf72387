"""Which orders a worker obeys: the newest of the highest term, never for the hot lane, never longer than they say."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from vigimesh.adapters.kafka.orders import OPERATOR_S, ORDER_S, ORDERS_MAX, RAISED_S, OrderBook
from vigimesh.events.classes import ThrottleOrdered
from vigimesh.loop.orders import TERM_MAX

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def ordered(
    lane: str = "cold", share: int = 25, *, workflow: str = "", term: int = 1, for_s: float = 30
) -> ThrottleOrdered:
    return ThrottleOrdered(
        workflow=workflow, lane=lane, term=term, expires_at=NOW + timedelta(seconds=for_s), tier_ceiling="person",
        calls_per_minute=2**31 - 1, yields=share < 100, share_percent=share, reason="test",
    )  # fmt: skip


def shares(book: OrderBook, lane: str = "cold", after_s: float = 1) -> dict[str, int]:
    return {o.workflow: o.share_percent for o in book.in_force(lane, NOW + timedelta(seconds=after_s))}


def book_of(*orders: ThrottleOrdered) -> OrderBook:
    book = OrderBook()
    for order in orders:
        book.take(order, NOW)
    return book


def test_an_order_holds_for_its_lane_until_it_expires() -> None:
    book = book_of(ordered())
    assert shares(book) == {"": 25}
    assert shares(book, "warm") == {}
    assert shares(book, after_s=29.9) == {"": 25}
    assert shares(book, after_s=30) == {}


@pytest.mark.parametrize(
    ("orders", "expected"),
    [
        pytest.param((ordered(share=25), ordered(share=50)), {"": 50}, id="the newest counts"),
        pytest.param((ordered(share=25), ordered(share=100)), {}, id="lifted"),
        pytest.param(
            (ordered(share=25, term=3), ordered(share=50, term=2)), {"": 25}, id="an older leader's"
        ),
        pytest.param(
            (ordered(share=25, term=3), ordered(share=100, term=2)), {"": 25}, id="an older leader's lifting"
        ),
        pytest.param((ordered(share=25, term=2), ordered(share=50, term=3)), {"": 50}, id="a newer leader's"),
        pytest.param((ordered(share=25), ordered(share=50, term=TERM_MAX + 1)), {"": 25}, id="nobody's term"),
        pytest.param(
            (ordered(term=TERM_MAX + 1), ordered(share=50)), {"": 50}, id="nobody's term shuts out none"
        ),
        pytest.param(
            (ordered(share=25), ordered(share=0, workflow="triage")),
            {"": 25, "triage": 0},
            id="lane and workflow",
        ),
        pytest.param((ordered(share=0),), {}, id="nobody stops a whole lane"),
        pytest.param((ordered(share=101),), {}, id="more than all"),
        pytest.param((ordered(share=-1),), {}, id="less than nothing"),
        pytest.param((ordered(for_s=-1),), {}, id="expired before it came"),
    ],
)
def test_which_orders_count(orders: tuple[ThrottleOrdered, ...], expected: dict[str, int]) -> None:
    assert shares(book_of(*orders)) == expected


@pytest.mark.parametrize(
    ("order", "told"),
    [
        pytest.param(ordered(), "", id="followed"),
        pytest.param(ordered(term=0), "", id="an older leader's: a day of the topic holds many"),
        pytest.param(ordered(share=100, for_s=-1), "", id="lifted"),
        pytest.param(ordered(term=TERM_MAX + 1), f"no leader has term {TERM_MAX + 1}", id="nobody's term"),
        pytest.param(ordered("tepid"), "there is no lane 'tepid'", id="no lane"),
        pytest.param(replace(ordered(), tier_ceiling="huge"), "there is no tier 'huge'", id="no tier"),
        pytest.param(ordered("hot"), "hot never waits nor yields", id="hot"),
        pytest.param(ordered(share=101), "101 % is no share", id="more than all"),
        pytest.param(ordered(share=0), "nobody may stop a whole lane: name a workflow", id="a whole lane"),
        pytest.param(ordered(for_s=-1), "it ended at 2026-11-24T11:59:59+00:00, before it was written", id="stale"),
        pytest.param(ordered(for_s=61), "it holds until 2026-11-24T12:01:00+00:00 and no longer", id="from the future"),
        pytest.param(
            replace(ordered(for_s=OPERATOR_S + 1), by="ops"), "it holds until 2026-11-25T12:00:00+00:00 and no longer",
            id="an operator's from the future",
        ),
        pytest.param(
            replace(ordered(), money_raised=True), "only a person tells of a raised budget", id="a raise by nobody"
        ),
    ],
)  # fmt: skip
def test_what_is_not_followed_of_an_order_is_told(order: ThrottleOrdered, told: str) -> None:
    book = OrderBook(term=1)
    assert book.take(order, NOW) == told


@pytest.mark.parametrize("lane", ["hot", "tepid", ""])
def test_the_hot_lane_never_yields_nor_one_that_is_not_known(lane: str) -> None:
    assert shares(book_of(ordered(lane), ordered(lane, 0, workflow="triage")), lane) == {}


def test_an_order_without_an_end_ends_all_the_same() -> None:
    book = book_of(ordered(for_s=10**8))
    assert shares(book, after_s=ORDER_S - 1) == {"": 25}
    assert shares(book, after_s=ORDER_S) == {}


def test_an_operators_order_from_the_future_ends_a_day_after_it_was_written() -> None:
    """The moment at which it was written is the broker's, so that nobody can write one ahead."""
    book = book_of(replace(ordered(for_s=10**8), by="ops"))
    assert shares(book, after_s=OPERATOR_S - 1) == {"": 25}
    assert shares(book, after_s=OPERATOR_S) == {}


def test_more_orders_than_there_is_room_for_are_not_taken() -> None:
    book = book_of(*(ordered(share=0, workflow=f"w{n}") for n in range(ORDERS_MAX + 10)))
    assert len(shares(book)) == ORDERS_MAX
    assert book.take(ordered(share=0, workflow="one"), NOW) == f"{ORDERS_MAX} orders are in force already"
    book.take(ordered(share=0, workflow="later", for_s=200), NOW + timedelta(seconds=40))
    assert shares(book, after_s=41) == {"later": 0}, "what has expired makes room"


def pauses(book: OrderBook, after_s: float = 1) -> set[tuple[str, str, float]]:
    """Return the pauses that hold nobody any more: lane, workflow, seconds after `NOW` at which they were to end."""
    found = book.lifted(NOW + timedelta(seconds=after_s))
    return {(one.lane, one.workflow, (one.until - NOW).total_seconds()) for one in found}


def pause(workflow: str = "triage", for_s: float = 30, share: int = 0) -> ThrottleOrdered:
    return ordered(share=share, workflow=workflow, for_s=for_s)


@pytest.mark.parametrize(
    ("orders", "expected"),
    [
        pytest.param((pause(),), set(), id="it stands"),
        pytest.param((pause(), pause(share=100)), {("cold", "triage", 30)}, id="lifted"),
        pytest.param((pause(), pause(share=50)), {("cold", "triage", 30)}, id="a share instead: nobody is parked"),
        pytest.param((pause(), pause("signal"), pause(share=100)), {("cold", "triage", 30)}, id="another stands"),
        pytest.param((pause(), pause(share=100), pause(for_s=40)), set(), id="paused again"),
        pytest.param(
            (pause(), pause(for_s=40), pause(share=100)), {("cold", "triage", 30), ("cold", "triage", 40)},
            id="all that were to end later",
        ),
        pytest.param((pause(share=100),), set(), id="none was there"),
        pytest.param((ordered("hot", 0, workflow="triage"), ordered("hot", 100, workflow="triage")), set(), id="hot"),
        pytest.param((ordered(share=0), ordered(share=100)), set(), id="nobody stops a whole lane"),
    ],
)  # fmt: skip
def test_which_pauses_are_lifted(
    orders: tuple[ThrottleOrdered, ...], expected: set[tuple[str, str, float]]
) -> None:
    assert pauses(book_of(*orders)) == expected


def test_a_pause_that_was_shortened_is_over_when_the_last_one_ends() -> None:
    book = book_of(pause(for_s=50), pause(for_s=20))
    assert pauses(book, after_s=19) == set()
    assert pauses(book, after_s=20) == {("cold", "triage", 50)}
    assert pauses(book, after_s=50) == set(), "what waits by it is due by itself"


def raised(workflow: str = "triage", by: str = "ann") -> ThrottleOrdered:
    return replace(ordered("", 100, workflow=workflow, for_s=10**6), by=by, money_raised=True)


def test_a_raised_budget_lifts_no_order_and_is_told_for_some_minutes() -> None:
    book = book_of(replace(pause(), by="ann"), raised())
    assert shares(book) == {"triage": 0}
    assert pauses(book) == {("", "triage", RAISED_S)}
    assert pauses(book, after_s=RAISED_S - 1) >= {("", "triage", RAISED_S)}
    assert ("", "triage", RAISED_S) not in pauses(book, after_s=RAISED_S)


def test_only_a_person_raises_a_budget() -> None:
    assert pauses(book_of(raised(by=""))) == set()


def test_the_pauses_that_are_remembered_have_a_bound() -> None:
    book = OrderBook()
    for number in range(ORDERS_MAX + 10):
        book.take(pause(for_s=30 + number / 1_000), NOW)
    book.take(pause(share=100), NOW)
    assert len(pauses(book)) == ORDERS_MAX
    for share in (0, 100):
        book.take(pause(for_s=80, share=share), NOW + timedelta(seconds=40))
    assert pauses(book, after_s=41) == {("cold", "triage", 80)}, "what has ended makes room"
