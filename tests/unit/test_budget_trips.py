"""The budget's scripts go to the server one round trip at a time, and what is asked meanwhile goes together with the next.

The wire is held by the test; that the server answers as the rule does, also sent twice, is shown in parity/test_budget_*.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import ConnectionError as Unreachable
from redis.exceptions import OutOfMemoryError

from vigimesh.adapters.redis.scripts import TRIP_ORDERS, Order, Scripts, client_of, packed_orders, sha
from vigimesh.errors import Transient


class Held(Scripts):
    """Scripts whose wire answers when the test lets it: `sent` is what each trip carried."""

    def __init__(self) -> None:
        super().__init__(client_of("redis://127.0.0.1:1"), "{held}")
        self.sent: list[list[str]] = []
        self.go = asyncio.Semaphore(0)
        self.fails: set[int] = set()
        #: Trips that end in a defect of the code.
        self.breaks: set[int] = set()

    async def _send(self, orders: Sequence[Order]) -> list[Any]:
        self.sent.append([arguments[0] for _, arguments in orders])
        number = len(self.sent)
        await self.go.acquire()
        if number in self.fails:
            raise Unreachable("gone")
        if number in self.breaks:
            raise ValueError("a defect")
        return [
            OutOfMemoryError("full") if arguments[0] == "full" else ["did", arguments[0]]
            for _, arguments in orders
        ]

    def ask(self, *names: str) -> asyncio.Task[list[Any]]:
        return asyncio.ensure_future(self.run([("reserve", [name]) for name in names]))


def play(scenario: Callable[[Held], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with asyncio.timeout(20):
            await scenario(Held())

    asyncio.run(whole())


async def turns() -> None:
    """Let everything that can go on go on."""
    for _ in range(20):
        await asyncio.sleep(0)


async def waiting(held: Held, *names: str) -> list[asyncio.Task[list[Any]]]:
    """Let one be under way and others wait behind it."""
    tasks = [held.ask(name) for name in ("first", *names)]
    await turns()
    assert held.sent == [["first"]]
    return tasks


def test_what_is_asked_meanwhile_goes_in_one_trip_and_each_gets_its_own_answer() -> None:
    async def scenario(held: Held) -> None:
        tasks = await waiting(held, "a", "b")
        tasks += [held.ask("c", "d"), held.ask("e")]
        await turns()
        held.go.release()
        await turns()
        assert held.sent == [["first"], ["a", "b", "c", "d", "e"]]
        tasks.append(held.ask("late"))
        await turns()
        held.go.release()
        held.go.release()
        assert await asyncio.gather(*tasks) == [
            [["did", "first"]], [["did", "a"]], [["did", "b"]], [["did", "c"], ["did", "d"]], [["did", "e"]], [["did", "late"]],
        ]  # fmt: skip
        assert held.sent == [["first"], ["a", "b", "c", "d", "e"], ["late"]]

    play(scenario)


def test_a_trip_is_bounded() -> None:
    async def scenario(held: Held) -> None:
        names = [f"n{number}" for number in range(TRIP_ORDERS + 5)]
        tasks = await waiting(held, *names)
        for _ in range(3):
            held.go.release()
        assert [answer[0][1] for answer in await asyncio.gather(*tasks)] == ["first", *names]
        assert [len(trip) for trip in held.sent] == [1, TRIP_ORDERS, 5]

    play(scenario)


def test_more_than_a_trip_of_one_asker_goes_whole() -> None:
    async def scenario(held: Held) -> None:
        tasks = await waiting(held)
        many = held.ask(*(f"n{number}" for number in range(TRIP_ORDERS + 5)))
        await turns()
        held.go.release()
        held.go.release()
        assert len(await many) == TRIP_ORDERS + 5
        assert len(held.sent) == 2
        await asyncio.gather(*tasks)

    play(scenario)


def test_what_one_is_refused_others_of_its_trip_do_not_hear_of() -> None:
    async def scenario(held: Held) -> None:
        first, a, full, b = await waiting(held, "a", "full", "b")
        held.go.release()
        held.go.release()
        assert [await first, await a, await b] == [[["did", "first"]], [["did", "a"]], [["did", "b"]]]
        with pytest.raises(Transient, match="VM-1910"):
            await full

    play(scenario)


@pytest.mark.parametrize("failing", [1, 2])
def test_with_the_store_away_nobody_waits_for_it_one_after_another(failing: int) -> None:
    async def scenario(held: Held) -> None:
        held.fails = {failing}
        tasks = await waiting(held, "a", "b")
        for number in range(failing):
            if number:
                tasks.append(held.ask("behind"))
                await turns()
            held.go.release()
        told = await asyncio.gather(*tasks, return_exceptions=True)
        assert [isinstance(one, Transient) for one in told] == [
            number >= failing - 1 for number in range(len(tasks))
        ]
        assert len(held.sent) == failing
        # Who asks after that is carried again.
        again = held.ask("again")
        held.go.release()
        assert await again == [["did", "again"]]

    play(scenario)


@pytest.mark.parametrize("cancelled", [0, 1, 2])
def test_whoever_is_cancelled_takes_nobody_along(cancelled: int) -> None:
    """The one under way, or one that waits: it is not sent any more, the others are answered, and later ones too."""

    async def scenario(held: Held) -> None:
        tasks = await waiting(held, "a", "b")
        tasks[cancelled].cancel()
        await turns()
        for _ in range(2):
            held.go.release()
        told = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(told[cancelled], asyncio.CancelledError)
        left = [name for number, name in enumerate(("first", "a", "b")) if number != cancelled]
        assert [one[0][1] for one in told if isinstance(one, list)] == left
        assert held.sent[1:] == [[name for name in left if name != "first"]]
        again = held.ask("again")
        held.go.release()
        assert await again == [["did", "again"]]

    play(scenario)


@pytest.mark.parametrize("breaking", [1, 2])
def test_a_defect_is_told_to_those_of_its_trip_and_cancels_nobody(breaking: int) -> None:
    """Whoever waits behind the first is asked for all the same; whoever is carried, or waits for the carrier, hears of it."""

    async def scenario(held: Held) -> None:
        held.breaks = {breaking}
        tasks = await waiting(held, "a", "b")
        held.go.release()
        await turns()
        tasks.append(held.ask("behind"))
        await turns()
        for _ in range(3):
            held.go.release()
        told = await asyncio.gather(*tasks, return_exceptions=True)
        carried = [list, list, list] if breaking == 1 else [ValueError] * 3
        assert [type(one) for one in told] == [ValueError if breaking == 1 else list, *carried]
        again = held.ask("again")
        held.go.release()
        assert await again == [["did", "again"]]

    play(scenario)


def test_a_carrier_that_is_cut_off_leaves_nobody_waiting() -> None:
    async def scenario(held: Held) -> None:
        tasks = await waiting(held, "a", "b")
        held.go.release()
        await turns()
        assert held._carrier is not None
        held._carrier.cancel()
        told = await asyncio.gather(*tasks, return_exceptions=True)
        assert [type(one) for one in told] == [list, Transient, Transient]
        again = held.ask("again")
        held.go.release()
        assert await again == [["did", "again"]]

    play(scenario)


@given(
    orders=st.lists(
        st.tuples(
            st.sampled_from(["reserve", "settle"]),
            st.lists(st.text(st.characters(codec="utf-8")), max_size=4),
        ),
        min_size=1,
        max_size=4,
    )
)
def test_orders_go_over_the_wire_as_the_client_writes_them(orders: list[tuple[str, list[str]]]) -> None:
    pool = client_of("redis://127.0.0.1:1").connection_pool
    line = pool.make_connection()  # type: ignore[no-untyped-call]  # redis has no types for it
    theirs = line.pack_commands([("EVALSHA", sha(name), 1, "{key}", *words) for name, words in orders])
    assert packed_orders("{key}", orders) == b"".join(theirs)
