"""Calls that block, made in a thread of their own."""

from __future__ import annotations

import asyncio
import gc
import threading

import pytest

from vigimesh.adapters.kafka.own_thread import MOST, OwnThread

#: Seconds in which what must happen has happened, on however busy a machine.
SOON_S = 30.0


def test_calls_are_made_one_after_the_other_in_one_thread_that_is_not_the_caller() -> None:
    async def ask() -> list[tuple[int, int]]:
        own = OwnThread("test")
        calls = [own.call(lambda n=n: (n, threading.get_ident())) for n in range(MOST)]  # type: ignore[misc]  # n is bound
        return list(await asyncio.gather(*calls))

    made = asyncio.run(ask())
    assert [number for number, _ in made] == list(range(MOST))
    assert len({thread for _, thread in made} - {threading.get_ident()}) == 1


def test_what_a_call_raises_is_raised_where_it_is_awaited_and_the_next_is_made() -> None:
    async def ask() -> str:
        own = OwnThread("test")
        with pytest.raises(ZeroDivisionError):
            await own.call(lambda: 1 // 0)
        return await own.call(lambda: "made")

    assert asyncio.run(ask()) == "made"


def test_a_call_that_hangs_ends_in_time_for_the_caller_and_its_late_answer_is_dropped() -> None:
    async def ask() -> str:
        own, go_on = OwnThread("test"), threading.Event()
        with pytest.raises(TimeoutError):
            await own.call(lambda: go_on.wait(SOON_S), within_s=0.01)
        behind = own.call(lambda: "after it")
        assert not behind.done()
        go_on.set()
        return await behind

    assert asyncio.run(ask()) == "after it"


def test_a_call_that_was_cancelled_before_its_turn_is_not_made() -> None:
    async def ask() -> list[str]:
        own, go_on, made = OwnThread("test"), threading.Event(), list[str]()
        first = own.call(lambda: go_on.wait(SOON_S))
        own.call(lambda: made.append("cancelled")).cancel()
        go_on.set()
        await first
        await own.call(lambda: made.append("last"))
        return made

    assert asyncio.run(ask()) == ["last"]


def test_an_event_loop_that_has_ended_is_not_told_and_the_thread_goes_on() -> None:
    own, go_on, made = OwnThread("test"), threading.Event(), list[str]()

    async def leave() -> None:
        own.call(lambda: go_on.wait(SOON_S))

    async def come_back() -> None:
        await own.call(lambda: made.append("made"))

    asyncio.run(leave())
    go_on.set()
    asyncio.run(come_back())
    assert made == ["made"]


@pytest.mark.parametrize("how", ["closed", "forgotten"])
def test_the_thread_ends_behind_its_last_call_when_it_is_no_longer_needed(how: str) -> None:
    def thread() -> threading.Thread:
        own, found = OwnThread("test"), list[threading.Thread]()

        async def ask() -> None:
            await own.call(lambda: found.append(threading.current_thread()))
            if how == "closed":
                own.close()
                with pytest.raises(RuntimeError, match="no further"):
                    own.call(lambda: None)

        asyncio.run(ask())
        return found[0]

    serving = thread()
    gc.collect()
    serving.join(SOON_S)
    assert not serving.is_alive()


def test_more_calls_than_may_wait_are_refused() -> None:
    async def ask() -> None:
        own, begun, go_on = OwnThread("test"), threading.Event(), threading.Event()

        def wait() -> None:
            begun.set()
            go_on.wait(SOON_S)

        first = own.call(wait)
        assert begun.wait(SOON_S)
        waiting = [own.call(lambda: None) for _ in range(MOST)]
        with pytest.raises(RuntimeError, match="no further"):
            own.call(lambda: None)
        go_on.set()
        await asyncio.gather(first, *waiting)

    asyncio.run(ask())
