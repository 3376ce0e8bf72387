"""Calls of jobs: as many at once as may be, one queued after the other, and no place lost with a call that is given up."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from vigimesh.errors import Misconfigured
from vigimesh.events.envelope import from_headers
from vigimesh.loop.broker import Part, Position, Record
from vigimesh.loop.hand import Hand
from vigimesh.loop.progress import Progress
from vigimesh.loop.worker import Job
from waiting import until_async
from worlds import drive

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
        await until_async(
            lambda: self.began == list(offsets), within_s=5, what=f"calls {offsets}, not {self.began}"
        )

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
        await until_async(lambda: not calls.hand.calls, within_s=5, what="the places to be empty")
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
        await until_async(lambda: not calls.hand.calls, within_s=5, what="its calls to be cancelled")
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
        await until_async(lambda: bool(calls.hand.stopped), within_s=5, what="the call to fail")
        assert [task.exception() for task in calls.hand.stopped] == [error]
        assert calls.landed() == []

    drive(scenario())
