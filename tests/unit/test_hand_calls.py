"""Calls of jobs: as many at once as may be, one queued after the other, no place lost with a call that is given up, and what is kept of
a partition that went: whose, for how long, and what a record that is here again goes on with.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

import msgspec

from vigimesh.adapters.memory.registry import MemorySchemas
from vigimesh.errors import Misconfigured
from vigimesh.events.codec import Codec
from vigimesh.events.envelope import from_headers
from vigimesh.loop.broker import Batch, Part, Position, Record
from vigimesh.loop.hand import Hand
from vigimesh.loop.handle import handle
from vigimesh.loop.outcome import Answers, Input, Need
from vigimesh.loop.progress import Progress
from vigimesh.loop.run import lose
from vigimesh.loop.strays import KEPT_S, keeps
from vigimesh.loop.worker import Job
from waiting import until_async
from worlds import INPUT, MemoryWorld, copier, drive

STAYS, GOES = Part("topic", 0), Part("topic", 1)


class Calls:
    """Calls that end when they are told to; `began` are the offsets of their jobs in the order they began."""

    def __init__(self, most: int) -> None:
        self.hand = Hand(most_calls=most, room=asyncio.Semaphore(1))
        for epoch, part in enumerate((STAYS, GOES)):
            self.hand.places[part] = Progress.resumed(part, epoch, Position(offset=0))
        self.began: list[int] = []
        self.ends: dict[int, asyncio.Future[None]] = {}

    def queue(self, part: Part, *offsets: int) -> None:
        for offset in offsets:
            record = Record(part, offset, b"k%d" % offset, b"", [], datetime.now(UTC))
            job = Job(record=record, key=(part.partition, record.key), place=self.hand.places[part],
                      envelope=from_headers([], "id"), taken_s=0.0)  # fmt: skip
            self.hand.queued.append(job)
        self.hand.call(self.answer)

    async def answer(self, job: Job) -> None:
        offset = job.record.offset
        self.began.append(offset)
        self.ends[offset] = asyncio.get_running_loop().create_future()
        await self.ends[offset]

    async def have_begun(self, *offsets: int) -> None:
        await until_async(lambda: self.began == list(offsets), what=f"calls {offsets}, not {self.began}")

    def landed(self) -> list[int]:
        return [job.record.offset for job in self.hand.landed]


def test_a_call_that_ends_makes_room_for_the_next_and_never_for_two() -> None:
    async def scenario() -> None:
        calls = Calls(most=2)
        calls.queue(STAYS, *range(4))
        await calls.have_begun(0, 1)
        calls.ends[1].set_result(None)
        await calls.have_begun(0, 1, 2)
        assert calls.landed() == [1]
        calls.ends[0].set_result(None)
        await calls.have_begun(0, 1, 2, 3)
        assert calls.landed() == [1, 0]
        for offset in (2, 3):
            calls.ends[offset].set_result(None)
        await until_async(lambda: not calls.hand.calls, what="the places to be empty")
        assert calls.landed() == [1, 0, 2, 3]
        assert calls.hand.busy([STAYS])

    drive(scenario())


def test_a_partition_that_goes_takes_its_calls_with_it_and_leaves_their_places() -> None:
    async def scenario() -> None:
        calls = Calls(most=2)
        calls.queue(GOES, 0, 1, 2)
        calls.queue(STAYS, 3, 4)
        await calls.have_begun(0, 1)
        calls.hand.lose(frozenset({GOES}))
        await until_async(lambda: not calls.hand.calls, what="its calls to be cancelled")
        assert calls.hand.woken.is_set()
        calls.queue(STAYS)
        await calls.have_begun(0, 1, 3, 4)
        assert not calls.hand.busy([GOES])
        assert calls.hand.busy([STAYS])

    drive(scenario())


def test_a_call_that_must_end_the_process_is_told_and_its_job_does_not_land() -> None:
    async def scenario() -> None:
        calls = Calls(most=1)
        calls.queue(STAYS, 0)
        await calls.have_begun(0)
        error = Misconfigured("VM-1201", what="no such model", where="test", todo="none")
        calls.ends[0].set_exception(error)
        await until_async(lambda: bool(calls.hand.stopped), what="the call to fail")
        assert [task.exception() for task in calls.hand.stopped] == [error]
        assert calls.landed() == []

    drive(scenario())


async def answer(need: object) -> str:
    return "answered"


def test_only_a_stage_with_calls_and_without_state_keeps_anything() -> None:
    calling = copier(callers={"call": answer})
    assert keeps(calling)
    assert not keeps(replace(calling, table_topic="state"))
    assert not keeps(copier())


def test_a_call_goes_on_after_its_partition_went_until_it_has_been_kept_long_enough() -> None:
    async def scenario() -> None:
        calls = Calls(most=3)
        calls.queue(GOES, 0)
        calls.queue(STAYS, 1)
        await calls.have_begun(0, 1)
        gone, stays = calls.hand.calls.values()
        calls.hand.stray(frozenset({GOES}), 0.0)
        calls.hand.lose(frozenset({GOES}))
        assert calls.hand.under_way(gone)
        assert not calls.hand.busy([GOES])
        calls.hand.strays.forget(KEPT_S - 1)
        calls.hand.cut_off()
        await asyncio.sleep(0)
        assert calls.hand.under_way(gone)
        calls.hand.strays.forget(KEPT_S)
        calls.hand.cut_off()
        await until_async(lambda: not calls.hand.under_way(gone), what="its end")
        assert calls.hand.under_way(stays)

    drive(scenario())


def test_a_record_goes_on_with_what_is_kept_of_it_and_of_no_other() -> None:
    async def scenario() -> None:
        calls = Calls(most=3)
        calls.queue(GOES, 0, 1)
        await calls.have_begun(0, 1)
        first, second = calls.hand.calls.values()
        calls.hand.stray(frozenset({GOES}), 0.0)
        calls.hand.lose(frozenset({GOES}))
        strays = calls.hand.strays
        assert strays.pop(first.record) is first
        assert strays.pop(first.record) is None
        # The topic was made anew: another record has its place.
        assert strays.pop(msgspec.structs.replace(second.record, value=b"another")) is None
        assert not strays.has(second)

    drive(scenario())


def test_what_is_lost_once_more_is_kept_and_its_forerunner_is_not() -> None:
    async def scenario() -> None:
        calls = Calls(most=3)
        for epoch in (1, 2):
            calls.hand.places[GOES] = Progress.resumed(GOES, epoch, Position(offset=0))
            calls.queue(GOES, 0)
            await calls.have_begun(*epoch * [0])
            calls.hand.stray(frozenset({GOES}), float(epoch))
            calls.hand.lose(frozenset({GOES}))
        earlier, later = calls.hand.calls.values()
        await until_async(lambda: not calls.hand.under_way(earlier), what="its end")
        assert calls.hand.under_way(later)

    drive(scenario())


def test_a_call_that_ended_as_its_partition_went_and_came_back_is_gone_on_with_once() -> None:
    world = MemoryWorld(Codec(MemorySchemas()))
    asked: list[Need] = []

    async def call(need: Need) -> str:
        asked.append(need)
        return "answered"

    def wants(case: Input, answers: Answers) -> tuple[Need, ...]:
        return () if answers else (Need(kind="call", key="k"),)

    async def scenario() -> None:
        worker = world.worker(copier(wants=wants, callers={"call": call}))
        world.send(0)
        (record,) = world.records(INPUT)
        hand, part = Hand(most_calls=1, room=asyncio.Semaphore(1)), record.part
        hand.places[part] = Progress.resumed(part, 1, Position(offset=record.offset))
        await handle(worker, hand, Batch(records=(record,)))
        await until_async(lambda: bool(hand.landed), what="the answer")
        lose(worker, hand, frozenset({part}))
        hand.places[part] = Progress.resumed(part, 2, Position(offset=record.offset))
        await handle(worker, hand, Batch(records=(record,)))
        assert [work.record for work in hand.done] == [record]
        assert len(asked) == 1

    drive(scenario())
