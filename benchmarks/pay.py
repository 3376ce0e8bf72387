"""What `budget.py` measures: a payer on real stores with a watch at each of its doors, asked at a pace, and its stand-in."""

from __future__ import annotations

import asyncio
import inspect
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any, Literal, cast

import psutil

import sample
from engines import Running, running
from ground import Ground, until
from vigimesh.adapters.models.openai import OpenAIModels
from vigimesh.adapters.objects.store import ObjectStore
from vigimesh.adapters.postgres.journal import PgJournal
from vigimesh.adapters.redis.budget import RedisBudget
from vigimesh.app.standin.chat import MODEL
from vigimesh.background.books.keep import Books
from vigimesh.clock import SystemClock
from vigimesh.domain.budget.prices import shipped_prices, worst
from vigimesh.domain.budget.values import Caps
from vigimesh.domain.cascade.opinion import Model, second_opinion
from vigimesh.domain.cascade.question import Answer, InDoubt, NotMade, Question
from vigimesh.domain.cascade.tokens import prompt_bound
from vigimesh.events.classes import Clock, Finding, Triage
from vigimesh.ports import Budget, Journal, Models
from vigimesh.tool_executor.paying import Payer
from vigimesh.tool_executor.purchase import Paid, Purchase, Unpaid

#: Milliseconds that the stand-in takes for each answer.
MODEL_MS = 250
#: Seconds of one call, and for the stand-in to start.
CALL_S, START_S = 20.0, 30.0
#: Seconds between two looks at how late the event loop is.
BEAT_S = 0.02
#: Cases whose facts differ: their questions do too.
AGES = 89

Kind = Literal["bare", "paid"]
_FINDINGS = (Finding(step="seriousness", result="yes", detail="hospitalisation is set"),)
_TRIAGE = Triage(valid=True, serious="yes", grade=3, grade_reasons=("flag",), listed="yes", clock=Clock())


class Watched:
    """A port that takes down how long its operations take, and what they answered."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner
        #: By operation: seconds, the first argument, the answer.
        self.seen: dict[str, list[tuple[float, Any, Any]]] = defaultdict(list)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if not inspect.iscoroutinefunction(found):
            return found

        async def watched(*args: Any) -> Any:
            begin_s = time.perf_counter()
            done = await found(*args)
            self.seen[name].append((time.perf_counter() - begin_s, args[0] if args else None, done))
            return done

        setattr(self, name, watched)  # found without a search from the second time on
        return watched

    def took_ms(self, name: str) -> list[float]:
        """Return the milliseconds of each time an operation was done."""
        return [seconds * 1_000 for seconds, _, _ in self.seen[name]]


class WatchedModels(Watched):
    """A model's watch runs from the leave to go out on: what is made ready before is part of what the journal takes."""

    async def ask(self, question: Question, leave: Awaitable[None]) -> Answer | NotMade | InDoubt:
        """Ask, as soon as there is leave."""
        begin_s = 0.0

        async def given() -> None:
            nonlocal begin_s
            await leave
            begin_s = time.perf_counter()

        done: Answer | NotMade | InDoubt = await self._inner.ask(question, given())
        self.seen["ask"].append((time.perf_counter() - begin_s, question, done))
        return done


@dataclass(slots=True, kw_only=True)
class Counter:
    """A payer of one event loop and what it pays with; `bare` is the very client that it asks."""

    payer: Payer
    bare: Models
    budget: Watched
    journal: Watched
    models: Watched

    def forget(self) -> None:
        """Begin the watches anew."""
        for watch in (self.budget, self.journal, self.models):
            watch.seen.clear()


@asynccontextmanager
async def counter(base: Ground, base_url: str) -> AsyncIterator[Counter]:
    """Open all that paying needs, as `app.paying` joins it, with the books kept beside it."""
    clock = SystemClock()
    async with AsyncExitStack() as stack:
        budget = RedisBudget.open(base.urls.redis)
        stack.push_async_callback(budget.close)
        journal = PgJournal(base.urls.postgres, clock=clock)
        stack.push_async_callback(journal.close)
        models = OpenAIModels(base_url, "", clock=clock)
        stack.push_async_callback(models.close)
        books = Books(budget, journal, clock)
        doors = Watched(budget), Watched(journal), WatchedModels(models)
        payer = Payer(
            budget=cast(Budget, doors[0]), journal=cast(Journal, doors[1]), models=cast(Models, doors[2]),
            objects=ObjectStore(base.urls.objects), prices=shipped_prices(), agreement=books, clock=clock,
        )  # fmt: skip
        keeping = asyncio.ensure_future(books.keep())
        try:
            yield Counter(payer=payer, bare=models, budget=doors[0], journal=doors[1], models=doors[2])
        finally:
            await payer.close()
            keeping.cancel()
            await asyncio.gather(keeping, return_exceptions=True)


@contextmanager
def standin(base: Ground) -> Iterator[tuple[str, Running]]:
    """Run the project's stand-in for a model in a process of its own; every answer takes the same time."""
    command = [sys.executable, "-m", "vigimesh", "standin", "--latency-ms", str(MODEL_MS), "--spread", "0"]
    with running({"standin": command}, base.folder) as programs:
        program, mark = programs["standin"], "VIGIMESH_LARGE_MODEL__BASE_URL="

        def said() -> str:
            program.check()
            return program.log.read_text(encoding="utf-8")

        until(lambda: mark in said() and said().endswith("\n"), START_S, "the stand-in")
        yield said().partition(mark)[2].split()[0], program


def question(number: int) -> Question:
    """Return the question that the mesh asks about a case, of one of `AGES` cases."""
    patient = replace(sample.CASE.patient, age_years=float(1 + number % AGES))
    return second_opinion(
        Model(name=MODEL, deadline_s=CALL_S), replace(sample.CASE, patient=patient), _TRIAGE, _FINDINGS
    )


def purchase(tag: str, number: int, workflow: str, caps: Caps) -> Purchase:
    """Return the purchase of a call that nobody has made: each is about a case of its own."""
    return Purchase(
        question=question(number), case_id=f"default/DE-{tag}-{number}", workflow=workflow, version="1",
        step="large_model", pass_number=1, caps=caps,
    )  # fmt: skip


def worst_micro(asked: Question) -> int:
    """Return what is reserved for a question."""
    (price,) = (one for one in shipped_prices().prices if one.model == asked.model)
    return worst(price, prompt_bound(asked), asked.max_tokens)


@dataclass(slots=True, kw_only=True)
class Call:
    """A call to be made: seconds from its due moment to its end, and what came of it."""

    kind: Kind
    wanted: Purchase
    #: Not measured: the first of a part find connections closed and the pace not yet steady.
    warm: bool = False
    took_s: float = 0.0
    came: Any = None

    @property
    def good(self) -> bool:
        """Whether it was answered."""
        return isinstance(self.came, Answer | Paid)

    @property
    def denied(self) -> bool:
        """Whether the budget had no room."""
        return isinstance(self.came, Unpaid) and self.came.reason == "denied"


@dataclass(slots=True, kw_only=True)
class Course:
    """How a part of a round went beside its calls."""

    #: Seconds by which the event loop woke up late, every `BEAT_S` seconds.
    late_s: list[float] = field(default_factory=list)
    #: Processor time of this process and of the stand-in, and how busy the machine was, others included.
    cpu_s: float = 0.0
    standin_cpu_s: float = 0.0
    machine_busy: float = 0.0
    #: Less than the pace when calls pile up: then latencies say how long the part was, not what a call takes.
    done_per_s: float = 0.0


async def made(at: Counter, calls: Sequence[Call], rate: float, chance: Random, model: Running) -> Course:
    """Make calls at a pace, however long they take: one in each slot of 1/rate seconds, anywhere in it.

    Anywhere, because at fixed distances of 5 ms the answers of 250 ms would always come with an arrival.
    """
    loop, course, running_s = asyncio.get_running_loop(), Course(), model.cpu_s()
    cpu_s, times, tasks = time.process_time(), psutil.cpu_times(), []
    beat = asyncio.ensure_future(_beat(course.late_s))
    begin_s = loop.time() + BEAT_S
    for number, call in enumerate(calls):
        due_s = begin_s + (number + chance.random()) / rate
        if (wait_s := due_s - loop.time()) > 0:
            await asyncio.sleep(wait_s)
        tasks.append(asyncio.ensure_future(_one(at, call, due_s)))
    await asyncio.gather(*tasks)
    # The last arrivals take one call's time to end, which is no part of the pace.
    course.done_per_s = len(calls) / max(1e-9, loop.time() - begin_s - MODEL_MS / 1_000)
    beat.cancel()
    course.cpu_s, course.standin_cpu_s = time.process_time() - cpu_s, model.cpu_s() - running_s
    course.machine_busy = _busy(times, psutil.cpu_times())
    return course


async def _one(at: Counter, call: Call, due_s: float) -> None:
    if call.kind == "bare":
        call.came = await at.bare.ask(call.wanted.question)
    else:
        call.came = await at.payer.pay(call.wanted)
    call.took_s = asyncio.get_running_loop().time() - due_s


async def _beat(late_s: list[float]) -> None:
    loop = asyncio.get_running_loop()
    due_s = loop.time()
    while True:
        due_s += BEAT_S
        # A beat that was missed counts with what it was late: the next is due all the same.
        await asyncio.sleep(max(0.0, due_s - loop.time()))
        late_s.append(loop.time() - due_s)


def _busy(before: Any, after: Any) -> float:
    """Return the share of all processors that was used, or taken by other machines, between two looks."""
    spent = [now - then for then, now in zip(before, after, strict=True)]
    idle = (after.idle - before.idle) + (after.iowait - before.iowait)
    return 1 - idle / sum(spent) if sum(spent) else 0.0
