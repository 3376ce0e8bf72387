"""One suite on the memory twin and on the `openai` client against the real stand-in over HTTP: how each call ends."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Coroutine, Generator
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from standins import KEY, SHORT_S, World, http_world, memory_world, question
from vigimesh.domain.cascade.question import Answer, InDoubt, NotMade, Question
from vigimesh.domain.cascade.tokens import prompt_bound
from waiting import until_async

Open = Callable[[], AbstractAsyncContextManager[World]]

#: Seconds beyond its deadline in which a call must have ended: a busy machine's, not the code's.
GRACE_S = 5.0


@pytest.fixture(params=["memory", "http"])
def opened(request: pytest.FixtureRequest) -> Open:
    return {"memory": memory_world, "http": http_world}[request.param]


def ask(opened: Open, headers: dict[str, str], asked: Question) -> Answer | NotMade | InDoubt:
    """Ask once; hold that it arrived once, that it ended in time, and that nothing is left open after it."""

    async def run() -> Answer | NotMade | InDoubt:
        async with opened() as world:
            models = world.models(headers)
            begun = asyncio.get_running_loop().time()
            found = await models.ask(asked)
            assert asyncio.get_running_loop().time() - begun < asked.deadline_s + GRACE_S
            assert world.calls(asked) == 1
            if not isinstance(found, Answer):
                assert world.standin.account()["billed"] == isinstance(found, InDoubt)
            await models.close()
            await until_async(lambda: world.open() == 0, within_s=10, what="all closed")
            return found

    return asyncio.run(run())


def test_a_question_is_answered_by_what_says_that_it_is_a_stand_in(opened: Open) -> None:
    found = ask(
        opened, {"x-standin-label": '{"serious": "yes", "grade": 3}', "x-standin-accuracy": "1"}, question()
    )
    assert isinstance(found, Answer)
    assert json.loads(found.text) == {"serious": "yes", "grade": 3}
    assert (found.finish, found.model) == ("stop", "standin-1")
    assert 0 < found.tokens.prompt <= prompt_bound(question())
    assert 0 < found.tokens.completion <= question().max_tokens


def test_cached_tokens_are_a_part_of_the_prompts(opened: Open) -> None:
    found = ask(opened, {"x-standin-cached": "20"}, question())
    assert isinstance(found, Answer)
    assert found.tokens.cached == 20 < found.tokens.prompt


@pytest.mark.parametrize("status", ["429", "503"])
def test_busy_was_not_made(opened: Open, status: str) -> None:
    found = ask(opened, {"x-standin-fault": status, "x-standin-retry-after": "12"}, question())
    assert isinstance(found, NotMade)
    assert (found.retry_after_s, found.mend) == (12.0, "")


@pytest.mark.parametrize("status", ["400", "401", "403", "404", "422"])
def test_a_refusal_is_for_a_person_to_mend(opened: Open, status: str) -> None:
    found = ask(opened, {"x-standin-fault": status}, question())
    assert isinstance(found, NotMade)
    assert found.mend
    assert found.retry_after_s is None


@pytest.mark.parametrize("fault", ["500", "502", "504", "close", "cut", "truncated", "no-usage"])
def test_what_may_have_been_billed_is_in_doubt(opened: Open, fault: str) -> None:
    assert isinstance(ask(opened, {"x-standin-fault": fault}, question()), InDoubt)


@pytest.mark.parametrize("fault", ["hang", "drip"])
def test_what_does_not_end_is_cut_at_the_deadline(opened: Open, fault: str) -> None:
    found = ask(opened, {"x-standin-fault": fault}, question(deadline_s=SHORT_S))
    assert found == InDoubt(why="no answer within 1 s")


def test_an_answer_slower_than_the_deadline_is_in_doubt(opened: Open) -> None:
    found = ask(opened, {"x-standin-latency-ms": "60000"}, question(deadline_s=SHORT_S))
    assert isinstance(found, InDoubt)


def test_without_a_connection_nothing_was_made(opened: Open) -> None:
    async def run() -> None:
        async with opened() as world:
            found = await world.away().ask(question())
            assert found == NotMade(why="the connection failed: ConnectError")
            assert world.calls(question()) == 0

    asyncio.run(run())


def test_every_question_is_asked_once_and_gets_its_own_answer(opened: Open) -> None:
    async def run() -> None:
        async with opened() as world:
            models = world.models({"x-standin-latency-ms": "20"})
            asked = [question(f"case {n}", deadline_s=120) for n in range(60)]
            found = await asyncio.gather(*map(models.ask, asked))
            assert [one for one in found if not isinstance(one, Answer)] == []
            assert [world.calls(one) for one in asked] == [1] * 60
            again = await asyncio.gather(*map(models.ask, asked))
            assert [one.text for one in again if isinstance(one, Answer)] == [
                one.text for one in found if isinstance(one, Answer)
            ]

    asyncio.run(run())


class Leave:
    """Leave to go out, which a test gives when it likes; `awaited` is set once the call is ready and waits for it."""

    def __init__(self) -> None:
        self.awaited, self.given = asyncio.Event(), asyncio.get_running_loop().create_future()

    async def waiting(self) -> None:
        self.awaited.set()
        await self.given


def test_no_byte_goes_out_before_leave_is_given_and_the_seconds_count_from_then_on(opened: Open) -> None:
    async def run() -> None:
        async with opened() as world:
            leave, loop = Leave(), asyncio.get_running_loop()
            models, silent = world.models({}), world.models({"x-standin-fault": "hang"})
            # A connection that lies open already is as little used.
            assert isinstance(await models.ask(question("before")), Answer)
            slow, quick = question("slow", deadline_s=SHORT_S), question("quick", deadline_s=120)
            ready_s = loop.time()
            asking = [asyncio.create_task(silent.ask(slow, leave.waiting()))]
            await leave.awaited.wait()
            leave.awaited.clear()
            asking.append(asyncio.create_task(models.ask(quick, leave.waiting())))
            await leave.awaited.wait()
            await until_async(lambda: loop.time() > ready_s + SHORT_S, what="its seconds, had they begun")
            assert (world.calls(slow), world.calls(quick)) == (0, 0)
            given_s = loop.time()
            leave.given.set_result(None)
            assert not isinstance(await asking[0], Answer)
            assert loop.time() >= given_s + SHORT_S
            assert isinstance(await asking[1], Answer)
            assert world.calls(quick) == 1
            await silent.close()
            await models.close()

    asyncio.run(run())


@pytest.mark.parametrize("ends", ["the call", "its leave"])
def test_cancelled_before_it_may_go_nothing_was_made(opened: Open, ends: str) -> None:
    async def run() -> None:
        async with opened() as world:
            models, leave = world.models({}), Leave()
            asking = asyncio.create_task(models.ask(question(), leave.waiting()))
            await leave.awaited.wait()
            (asking if ends == "the call" else leave.given).cancel()
            await asyncio.wait([asking])
            assert asking.cancelled()
            assert (world.calls(question()), world.open()) == (0, 0)
            await models.close()

    asyncio.run(run())


class CancelledAt:
    """Runs a call and cancels its task at the `nth` place where it waits."""

    def __init__(self, call: Coroutine[Any, Any, Any], nth: int) -> None:
        self.call = call
        self.nth = nth
        self.waited = 0

    def __await__(self) -> Generator[Any, Any, Any]:
        steps = self.call.__await__()
        thrown: BaseException | None = None
        while True:
            try:
                waits_for = next(steps) if thrown is None else steps.throw(thrown)
            except StopIteration as end:
                return end.value
            self.waited += 1
            if self.waited == self.nth:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
            thrown = None
            try:
                yield waits_for
            except BaseException as error:  # noqa: BLE001  handed on to the call, whatever it is
                thrown = error


def test_cancelled_at_any_await_it_leaves_nothing_open(opened: Open) -> None:
    async def cancelled(world: World, nth: int) -> bool:
        """Return whether the call was still waiting at its `nth` await."""
        models = world.models({})
        run = CancelledAt(models.ask(question(f"cancelled at {nth}")), nth)

        async def wait() -> Any:
            return await run

        task = asyncio.create_task(wait())
        await asyncio.wait([task])
        if run.waited < nth:
            assert isinstance(task.result(), Answer)
            return False
        assert task.cancelled()
        # Before the client is closed: the call itself has to clean up.
        await until_async(lambda: world.open() == 0, within_s=10, what=f"closed after await {nth}")
        assert world.calls(question(f"cancelled at {nth}")) <= 1
        return True

    async def run() -> int:
        async with opened() as world:
            nth = 1
            while await cancelled(world, nth):
                nth += 1
            return nth - 1

    assert asyncio.run(run()) >= 1


def test_neither_key_nor_text_is_ever_shown(opened: Open, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def run() -> list[str]:
        said = []
        async with opened() as world:
            for fault in ("", "401", "429", "500", "cut", "truncated", "hang"):
                models = world.models({"x-standin-fault": fault} if fault else {})
                found = await models.ask(
                    question("patient Jane Roe", deadline_s=SHORT_S if fault == "hang" else 20)
                )
                said += [repr(found), repr(models), str(models)]
            said += [repr(await world.away().ask(question("patient Jane Roe")))]
        return said

    said = "\n".join([*asyncio.run(run()), caplog.text])
    assert KEY not in said
    assert "Jane Roe" not in said
    # What the client's libraries say at lower levels is theirs to change with any release.
    theirs = [
        line for line in caplog.records if line.name.partition(".")[0] in {"openai", "httpx2", "httpcore2"}
    ]
    assert theirs == []
