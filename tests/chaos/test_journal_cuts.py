"""The journal's connection is cut at every protocol message of every operation (FoundationDB's `commit_unknown_result`).

After it the call was made at most once, else it is in doubt and counted; nothing is unreserved and unsettled.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from journals import USAGE, PgBench, call_of, database, opened
from postgres_proxy import Cut, PostgresProxy
from vigimesh.adapters.postgres.journal import PgJournal
from vigimesh.domain.budget.calls import Answered, Begun, Busy, Claimed, Doubtful, Kept, PaidCall
from vigimesh.domain.budget.values import Booked
from vigimesh.errors import Transient
from waiting import until_async

pytestmark = pytest.mark.real

COST, WORST = 700, 1_000
#: Where a journal keeps its statements: a planted bug changes one.
PRIVATE = "_sql"


#: The name under which the process that is cut off is known to the server.
CUT_OFF = "cut off"


async def ended(journal: PgJournal, bench: PgBench) -> None:
    """Close a journal, and wait until the server has done whatever it was asked before the cut."""
    await journal.close()
    await until_async(lambda: not bench.serves(CUT_OFF), what="the end of its last statement")


@pytest.fixture(scope="module")
def uri(request: pytest.FixtureRequest) -> Iterator[str]:
    with database(request.getfixturevalue("stack").urls.postgres, "journal_cuts") as made:
        yield made


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="vm-pg-") as made:
        yield Path(made)


@dataclass
class World:
    """What is outside the journal: the provider, and who used which answer."""

    #: What the provider does with each call: `answer`, `refuse` (429) or `lose` (made, the answer is lost).
    provider: str = "answer"
    made: Counter[str] = field(default_factory=Counter)
    used: dict[str, bytes] = field(default_factory=dict)


async def pay(journal: PgJournal, call: PaidCall, world: World) -> Any:
    """Do what a worker does: begin, call, store, use."""
    found = await journal.begin(call)
    if isinstance(found, Answered):
        assert isinstance(found.answer, bytes)
        world.used[call.call_id] = found.answer
    elif isinstance(found, Begun) and world.provider == "refuse":
        await journal.not_made(call.call_id, "429")
    elif isinstance(found, Begun):
        world.made[call.call_id] += 1
        if world.provider == "lose":
            await journal.in_doubt(call.call_id, "cut in mid-answer")
        else:
            await journal.answer(call.call_id, b"yes", COST, USAGE)
            world.used[call.call_id] = b"yes"
    return found


async def use_before_store(journal: PgJournal, call: PaidCall, world: World) -> Any:
    """Do it in the wrong order: a planted bug."""
    found = await journal.begin(call)
    if isinstance(found, Begun):
        world.made[call.call_id] += 1
        world.used[call.call_id] = b"yes"
        await journal.answer(call.call_id, b"yes", COST, USAGE)
    return found


def judge(call: PaidCall, world: World, booked: dict[str, Booked], last: Any) -> str:
    """Return what is wrong after a cut and a second worker, or nothing."""
    made, counts = world.made[call.call_id], booked.get(call.call_id)
    if made > 1:
        return f"made {made} times"
    if made and counts is None:
        return "made, and neither reserved nor settled"
    if counts is not None and (counts.state, counts.amount_micro) not in (
        ("settled", COST),
        ("in_doubt", WORST),
    ):
        return f"counted as {counts.state} {counts.amount_micro}"
    if call.call_id in world.used and not isinstance(last, Answered):
        return "its answer was used and is not stored"
    return ""


Worker = Callable[[PgJournal, PaidCall, World], Awaitable[Any]]


@dataclass
class Trial:
    """One story under every cut."""

    uri: str
    folder: Path
    provider: str = "answer"
    worker: Worker = pay
    plant: Callable[[PgJournal], None] = lambda journal: None
    #: Whether one cut that shows a defect is enough.
    looks_for_one: bool = False
    wrong: list[str] = field(default_factory=list)
    messages: int = 0

    async def run(self) -> Trial:
        """Count the messages of a clean run, then cut at each, before and after."""
        bench = PgBench(self.uri)
        bench.empty()
        direct = bench.process()
        assert isinstance(direct, PgJournal)
        self.plant(direct)
        epoch = await opened(direct)
        async with PostgresProxy(self.uri, self.folder) as proxy:
            assert await self._once(proxy, direct, bench, epoch, None) == ""
            numbers = range(1, self.messages + 1)
            for number, after, down in product(numbers, (False, True), (False, True)):
                cut = Cut(number, after, down)
                if found := await self._once(proxy, direct, bench, epoch, cut):
                    self.wrong.append(f"{cut}: {found}")
                    if self.looks_for_one:
                        break
        await bench.close()
        return self

    async def _once(
        self, proxy: PostgresProxy, direct: PgJournal, bench: PgBench, epoch: str, cut: Cut | None
    ) -> str:
        world = World(provider=self.provider)
        proxy.count, proxy.cut, proxy.has_cut = 0, cut, False
        calls = [call_of(f"{cut}/{name}", epoch) for name in "ab"]
        journal = PgJournal(proxy.uri, pauses_s=(0.0, 0.0), application_name=CUT_OFF)
        self.plant(journal)
        for call in calls:
            try:
                await self.worker(journal, call, world)
            except Transient:
                break
        self.messages = self.messages or proxy.count
        if cut is not None:
            await until_async(lambda: proxy.has_cut, what=f"{cut}")
        await ended(journal, bench)
        # The worker dies here; the record is delivered to another one, and the provider is well again.
        world.provider = "answer"
        for call in calls:
            found = await self.worker(direct, call, world)
            if isinstance(found, Busy):
                bench.age(61)
                await self.worker(direct, call, world)
        booked = dict(await direct.booked_of([call.call_id for call in calls]))
        for call in calls:
            if wrong := judge(call, world, booked, await direct.begin(call)):
                return wrong
        return ""


@pytest.mark.parametrize("provider", ["answer", "refuse", "lose"])
def test_a_call_is_made_at_most_once_wherever_the_connection_is_cut(
    uri: str, folder: Path, provider: str
) -> None:
    trial = asyncio.run(Trial(uri, folder, provider).run())
    assert trial.messages > 30
    assert trial.wrong == []


def test_an_answer_that_is_used_before_it_is_stored_is_found(uri: str, folder: Path) -> None:
    trial = asyncio.run(Trial(uri, folder, worker=use_before_store, looks_for_one=True).run())
    assert any("used and is not stored" in line for line in trial.wrong)


def test_a_dead_owners_call_that_counts_as_not_made_is_found(uri: str, folder: Path) -> None:
    def forget(journal: PgJournal) -> None:
        statements: dict[str, str] = getattr(journal, PRIVATE)
        text = statements["begin"]
        planted = text.replace(
            "SET state = 'in_doubt', why = %(lapsed)s", "SET state = 'not_made', why = %(lapsed)s"
        )
        assert planted != text
        statements["begin"] = planted

    trial = asyncio.run(Trial(uri, folder, plant=forget, looks_for_one=True).run())
    assert any("made, and neither reserved nor settled" in line for line in trial.wrong)


async def look_and_mend(journal: PgJournal, doubtful: PaidCall) -> None:
    """Do all that is done beside calls: rebuild the budget's epoch, list, resolve."""
    await journal.epoch()
    claimed = await journal.claim_epoch("run")
    if isinstance(claimed, Claimed):
        await journal.booked()
        await journal.open_epoch(claimed.epoch)
    await journal.calls("in_doubt")
    await journal.resolve(doubtful.call_id, 300, "invoice 17")
    await journal.booked_of([doubtful.call_id])


async def mend_under(cut: Cut | None, proxy: PostgresProxy, direct: PgJournal, bench: PgBench) -> int:
    """Do it under a cut, then again by another process; return the messages of the first."""
    proxy.count, proxy.cut, proxy.has_cut = 0, None, False
    if not (old := await direct.epoch()):
        old = await opened(direct)
    doubtful = call_of(f"{cut}/doubtful", old)
    await direct.begin(doubtful)
    await direct.in_doubt(doubtful.call_id, "500")
    journal = PgJournal(proxy.uri, pauses_s=(0.0, 0.0), application_name=CUT_OFF)
    proxy.cut = cut
    try:
        await look_and_mend(journal, doubtful)
    except Transient:
        pass
    messages = proxy.count
    if cut is not None:
        await until_async(lambda: proxy.has_cut, what=f"{cut}")
    await ended(journal, bench)
    # Whoever waits for the dead one's rebuild gets it; what was resolved stays resolved, at the same cost.
    if not await direct.epoch():
        bench.age(31)
        taken = await direct.claim_epoch("run")
        assert isinstance(taken, Claimed), cut
        assert isinstance(await direct.open_epoch(taken.epoch), Kept), cut
    told = await direct.resolve(doubtful.call_id, 300, "invoice 17")
    assert (told.before_micro, told.after_micro) == (WORST, 300), cut
    booked = (await direct.booked_of([doubtful.call_id]))[doubtful.call_id]
    assert (booked.state, booked.amount_micro) == ("settled", 300), cut
    assert isinstance(await direct.begin(doubtful), Doubtful), cut
    begun = await direct.begin(call_of(f"{cut}/new", await direct.epoch()))
    assert isinstance(begun, Begun), cut
    return messages


def test_epochs_and_resolutions_stand_wherever_the_connection_is_cut(uri: str, folder: Path) -> None:
    async def story() -> None:
        bench = PgBench(uri)
        bench.empty()
        direct = bench.process()
        assert isinstance(direct, PgJournal)
        async with PostgresProxy(uri, folder) as proxy:
            messages = await mend_under(None, proxy, direct, bench)
            assert messages > 50
            for number, after, down in product(range(1, messages + 1), (False, True), (False, True)):
                await mend_under(Cut(number, after, down), proxy, direct, bench)
        await bench.close()

    asyncio.run(story())


def test_a_call_costs_two_round_trips(uri: str, folder: Path) -> None:
    async def story() -> None:
        bench = PgBench(uri)
        bench.empty()
        epoch = await opened(bench.process())
        async with PostgresProxy(uri, folder) as proxy:
            journal = PgJournal(proxy.uri)
            for name in "ab":  # the first connects and prepares
                proxy.kinds.clear()
                await pay(journal, call_of(name, epoch), World())
            assert proxy.kinds.count("Z") == 2, "ReadyForQuery ends each round trip"
            await journal.close()
        await bench.close()

    asyncio.run(story())
