"""What a worker has in hand between two turns of its loop: partitions, jobs under way, finished work, transactions.

All of it may be lost at any moment: what counts stands on the topics and in the committed positions.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

from vigimesh.loop.broker import Batch, Part, Producer
from vigimesh.loop.progress import Progress
from vigimesh.loop.strays import Strays
from vigimesh.loop.worker import MAX_BATCH, Bundle, Job, Work


@dataclass(slots=True, eq=False)
class Transaction:
    """One that has begun; `end` finishes when it is known how it ended, and raises what went wrong."""

    bundle: Bundle
    producer: Producer
    begun_s: float
    end: asyncio.Task[None]


@dataclass(slots=True, kw_only=True)
class Hand:
    """Owned by one loop. Occupancy is always derived from what is here, never counted beside it."""

    #: How many calls may be under way at once; calls that hang must not keep others from what is fetched, which has a room
    #: of its own.
    most_calls: int
    room: asyncio.Semaphore
    places: dict[Part, Progress] = field(default_factory=dict)
    group: Any = None
    #: Records of one key, in order: the first is worked on, the others wait for it. Lists: nearly all hold one record, and a deque
    #: of one takes ten times the memory.
    keys: dict[tuple[int, bytes], list[Job]] = field(default_factory=dict)
    #: Tasks that fetch, with the jobs that wait for them.
    flights: dict[asyncio.Task[None], list[Job]] = field(default_factory=dict)
    #: Tasks that make one call after the other, with the job whose call each is at; and jobs that wait for one of them.
    calls: dict[asyncio.Task[None], Job] = field(default_factory=dict)
    queued: deque[Job] = field(default_factory=deque)
    #: Calls and finished work of partitions that went, should they come back.
    strays: Strays = field(default_factory=Strays)
    #: Jobs whose answers have come since somebody looked; tasks that something has stopped for good.
    landed: list[Job] = field(default_factory=list)
    stopped: list[asyncio.Task[None]] = field(default_factory=list)
    #: Jobs that wait for the state of their partition to be restored.
    restoring: dict[int, list[Job]] = field(default_factory=dict)
    #: Jobs to be tried again, not before so many monotonic seconds.
    later: list[tuple[float, Job]] = field(default_factory=list)
    done: list[Work] = field(default_factory=list)
    #: Begun and not known to have ended, oldest first: at most two, one per producer.
    transactions: deque[Transaction] = field(default_factory=deque)
    #: Work of transactions whose end is not known: the committed positions must be asked before anything else.
    doubtful: list[Work] = field(default_factory=list)
    doubt: str = ""
    #: Transactions aborted in a row; partitions to be tried alone, to find whose records the broker refuses; and those
    #: found, with the monotonic second of their next try and the pause after it.
    aborts: int = 0
    suspects: set[Part] = field(default_factory=set)
    sour: dict[Part, tuple[float, float]] = field(default_factory=dict)
    #: Whether the worker finishes what is under way and begins nothing more.
    stopping: bool = False
    leaving: frozenset[Part] = frozenset()
    held: set[Part] = field(default_factory=set)
    polling: asyncio.Task[Batch] | None = None
    #: Set when there is something to do: records, answers, the end of a transaction.
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    #: Set when a turn has ended, for those who wait until nothing is in hand any more.
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    committed_s: float = 0.0
    epoch: int = 0
    limit: int = MAX_BATCH
    #: Whether the last poll gave all that it might take: then more lies ready.
    more: bool = False
    #: Seconds a record takes, where turns are kept short.
    pace_s: float = 0.0
    #: Topics of lanes that yield beside others in this worker, and until when those of them rest that do (monotonic seconds).
    yielding: frozenset[str] = frozenset()
    resting: dict[str, float] = field(default_factory=dict)
    #: Sources that did not answer the last time, by what is told of them.
    away: dict[object, str] = field(default_factory=dict)
    #: Whether the last transaction failed and its work still waits.
    failing: bool = False

    @property
    def ended(self) -> bool:
        """Return whether it is known how the oldest transaction ended."""
        return bool(self.transactions) and self.transactions[0].end.done()

    def owns(self, place: Progress | None) -> bool:
        """Return whether a partition is still ours, in the same assignment."""
        return place is not None and not place.lost

    def count(self) -> int:
        """Return how many records are in hand."""
        return sum(place.in_hand for place in self.places.values())

    def busy(self, parts: Iterable[Part]) -> bool:
        """Return whether work of these partitions is under way or not committed yet."""
        wanted = frozenset(parts)
        fetching = (job for jobs in self.flights.values() for job in jobs)
        begun = chain(fetching, self.calls.values(), self.queued, self.landed)
        flying = (job.record.part for job in begun if self.owns(job.place))
        finished = (work.record.part for t in self.transactions for work in t.bundle.works)
        waiting = (work.record.part for work in (*self.done, *self.doubtful))
        return any(part in wanted for some in (flying, finished, waiting) for part in some)

    def ending(self) -> frozenset[Part]:
        """Return the partitions that went of which a transaction has begun and not ended."""
        open_places = (one for t in self.transactions for one in t.bundle.places.items())
        return frozenset(part for part, place in open_places if place.lost)

    async def turned(self) -> None:
        """Wait until a turn of the loop has ended."""
        self.settled.clear()
        await self.settled.wait()

    def fly(self, coroutine: Coroutine[Any, Any, None], jobs: list[Job]) -> asyncio.Task[None]:
        """Begin a task that `jobs` wait for; they land when it ends, unless somebody has taken them off `flights`."""
        task = asyncio.ensure_future(coroutine)
        self.flights[task] = jobs
        task.add_done_callback(self._ended)
        return task

    def call(self, answer: Callable[[Job], Coroutine[Any, Any, None]]) -> None:
        """Begin the calls of queued jobs, as many as may be under way; each that ends goes on with the next one queued.

        So a place is never empty while a job waits, and a call takes no task of its own.
        """
        while self.queued and len(self.calls) < self.most_calls:
            job = self.queued.popleft()
            task = asyncio.ensure_future(self._calling(answer, job))
            self.calls[task] = job
            task.add_done_callback(self._ended)

    async def _calling(self, answer: Callable[[Job], Coroutine[Any, Any, None]], job: Job) -> None:
        task = asyncio.current_task()
        assert task is not None
        while True:
            await answer(job)
            self.landed.append(job)
            self.woken.set()
            if not self.queued:
                return
            job = self.calls[task] = self.queued.popleft()

    def _ended(self, task: asyncio.Task[None]) -> None:
        if self.calls.pop(task, None) is None and task not in self.flights:
            return  # its jobs have been gone on with
        self.landed += self.flights.pop(task, ())
        if not task.cancelled() and task.exception() is not None:
            self.stopped.append(task)
        self.woken.set()

    def abandon(self) -> None:
        """Let go of everything: whoever waits for it waits no longer."""
        for some in (
            self.flights,
            self.calls,
            self.queued,
            self.landed,
            self.stopped,
            self.keys,
            self.restoring,
            self.transactions,
            self.done,
            self.doubtful,
            self.later,
        ):
            some.clear()
        self.doubt = ""
        self.settled.set()

    def stray(self, parts: frozenset[Part], now_s: float) -> None:
        """Keep what calls have brought, or will bring, of partitions that are about to be lost."""
        going = {part: self.places[part] for part in parts & self.places.keys()}
        ending = (work for transaction in self.transactions for work in transaction.bundle.works)
        every: Iterable[Job | Work] = chain(
            self.calls.values(), self.landed, ending, self.doubtful, self.done
        )
        self.strays.keep((one for one in every if one.place is going.get(one.record.part)), now_s)

    def cut_off(self) -> None:
        """Wait no longer for calls that are of no use to anybody: of partitions that went, and not kept either."""
        for task, job in self.calls.items():
            if not self.owns(job.place) and not self.strays.has(job):
                task.cancel()

    def under_way(self, job: Job) -> bool:
        """Return whether a job's call goes on: then it lands by itself."""
        return any(job is other and not task.done() for task, other in self.calls.items())

    def lose(self, parts: frozenset[Part]) -> list[Job]:
        """Let go of partitions with everything in hand of them; return jobs that waited only for what is gone now."""
        for part in parts & self.places.keys():
            self.places.pop(part).lost = True
            self.held.discard(part)
            self.suspects.discard(part)
            self.sour.pop(part, None)
        self.leaving -= parts
        freed: list[Job] = []
        for partition in {part.partition for part in parts} & self.restoring.keys():
            jobs = self.restoring.pop(partition)  # what is being read would be old state in a new assignment
            freed.extend(job for job in jobs if self.owns(job.place))
            jobs.clear()
        for task, jobs in self.flights.items():
            if not any(self.owns(job.place) for job in jobs):
                task.cancel()
        self.queued = deque(job for job in self.queued if self.owns(job.place))
        self.cut_off()
        self.later = [(due_s, job) for due_s, job in self.later if self.owns(job.place)]
        self.done = [work for work in self.done if self.owns(work.place)]
        self.doubtful = [work for work in self.doubtful if self.owns(work.place)]
        for key, queue in list(self.keys.items()):
            kept = [job for job in queue if self.owns(job.place)]
            if not kept:
                del self.keys[key]
            elif len(kept) < len(queue):
                self.keys[key] = kept
                if kept[0] is not queue[0]:
                    freed.append(kept[0])
        return freed
