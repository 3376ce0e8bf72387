"""A recall of a case that had a paid opinion, in memory and with the real stores: bought anew if it was shown other passages, else not."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any

import pytest

from budget_fixture import new_valkey_rig
from budgets import memory_rig
from journals import MemoryBench, PgBench, database
from passage import Passage
from recall_world import LABEL, World, case
from spending import Process, Shop, shop
from vigimesh.app.in_force.cards import load_cards
from vigimesh.app.standin.chat import MODEL
from vigimesh.domain.cascade.opinion import Model
from vigimesh.domain.policy.limits import Limits
from vigimesh.domain.record.spend import Spent
from vigimesh.events.case import Case, Product, Reaction
from vigimesh.events.classes import UsageRecorded
from vigimesh.events.codec import Codec
from vigimesh.events.topics import STAGES, inputs_of, topic
from vigimesh.loop.outcome import Need
from vigimesh.tool_executor.execute import Executor
from vigimesh.tool_executor.opinions import Opinions
from vigimesh.tool_executor.purchase import Purchase, plain

PLACES = ("memory", pytest.param("real", marks=pytest.mark.real))
CAUSE = f"{LABEL}@2.0"


class Paying(Passage):
    """The five verbs, of which the tool-executor has a large model that it pays."""

    def __init__(self, codec: Codec, till: Till) -> None:
        self.till = till
        super().__init__(codec)
        opinions = Opinions(
            model=Model(name=MODEL, deadline_s=10), cards=load_cards(None, signed_for_demo=True)
        )
        verb = Executor(price_micro=3, opinions=opinions)
        self._verbs |= dict.fromkeys(inputs_of(STAGES[3], None), (STAGES[3], verb))

    def _answer(self, need: Need) -> Any:
        if need.kind == "limits":
            return Limits(tiers=("tools", "large", "person")).plain()
        if need.kind == "model":
            assert isinstance(need.asked, Purchase)
            return self.till.pay(need.asked)
        return super()._answer(need)


class Till:
    """The real payer over the stores of a shop, and what it was asked for."""

    def __init__(self, opened: AbstractAsyncContextManager[Shop]) -> None:
        self.runner, self.opened = asyncio.Runner(), opened
        self.shop = self.runner.run(self._open())
        self.process: Process = self.shop.process()
        self.asked: list[Purchase] = []

    async def _open(self) -> Shop:
        return await self.opened.__aenter__()

    async def _close(self) -> None:
        await self.opened.__aexit__(None, None, None)

    def pay(self, wanted: Purchase) -> Any:
        self.asked.append(wanted)
        return plain(self.runner.run(self.process.pay(wanted)))

    def calls(self) -> int:
        """Return how often the model was called in all; each question once at most."""
        counts = [one.calls for one in self.shop.standin.by_digest.values()]
        assert set(counts) <= {1}
        return sum(counts)

    def booked(self) -> list[int]:
        """Return what the journal books, which is what the budget has."""
        questions = {one.question for one in self.asked}
        settled, held = self.runner.run(self.shop.agreed(*questions))
        rows = self.runner.run(self.shop.booked())
        assert (held, sum(row.amount_micro for row in rows)) == (0, settled)
        return [row.amount_micro for row in rows]

    def close(self) -> None:
        self.runner.run(self._close())
        self.runner.close()


class PaidWorld(World):
    """Cases that rest on a label and on an opinion that was paid for."""

    def __init__(self, till: Till, cases: Sequence[Case], listed: str) -> None:
        self.till = till
        super().__init__(cases, listed)

    def passage(self) -> Passage:
        return Paying(self.codec, self.till)

    def paid(self) -> list[UsageRecorded]:
        """Return what `usage` has of calls."""
        rows = [row for row in self.mesh.rows if row.topic == topic("usage")]
        used: list[UsageRecorded] = [self.codec.decode(row.topic, row.value or b"") for row in rows]
        return [one for one in used if one.kind == "model_call"]

    def spent(self) -> tuple[int, int]:
        """Return what `usage` says was paid for models, and in how many of its records."""
        spent = Spent()
        for one in self.paid():
            spent.add(one)
        return sum(spent.calls.values()), len(self.paid())


@pytest.fixture(scope="module")
def uri(request: pytest.FixtureRequest) -> Iterator[str]:
    with database(request.getfixturevalue("stack").urls.postgres, "recall_paid") as made:
        yield made


@pytest.fixture(params=PLACES)
def till(request: pytest.FixtureRequest) -> Iterator[Till]:
    if request.param == "memory":
        opened = shop(memory_rig(), MemoryBench())
    else:
        bench = PgBench(request.getfixturevalue("uri"))
        bench.empty()
        opened = shop(new_valkey_rig(request.getfixturevalue("budget_valkey")), bench)
    made = Till(opened)
    yield made
    made.close()


def paid_world(till: Till) -> PaidWorld:
    """Return one case of which nobody has said whether it is serious, with its opinion paid."""
    asking = case(
        1, criteria_form="open", narrative="He had hiccups for a day.", reactions=(Reaction(text="hiccups", term="Hiccups"),),
        products=(Product(name="Zelora", kind="drug", role="suspect"),),
    )  # fmt: skip
    found = PaidWorld(till, [asking], listed="Hiccups, Nausea")
    assert (len(till.asked), till.calls(), len(till.booked())) == (1, 1, 1)
    return found


def recalled(found: PaidWorld) -> None:
    """Let the librarian order what rests on the old label, and the mesh work on it."""
    assert asyncio.run(found.librarian().step()) == 1
    found.deliver()
    assert {cause for _, cause in found.ends().values()} == {CAUSE}
    assert found.check().duplicated == 0
    assert len(found.till.asked) == 2


def test_a_recall_that_shows_other_passages_buys_its_opinion_anew_once(till: Till) -> None:
    found = paid_world(till)
    found.bring("2.0", "Nausea")
    recalled(found)
    booked = till.booked()
    assert (till.calls(), len(booked)) == (2, 2)
    assert found.spent() == (sum(booked), 2)
    # Whoever works on the same order again, after a crash, is given the same answers and pays nothing.
    for wanted in list(till.asked):
        till.pay(wanted)
    assert till.booked() == booked


def not_paid_twice(found: PaidWorld) -> None:
    """Recall for a label that says the same; what was paid is told again, and counts once."""
    till, before = found.till, found.till.booked()
    found.bring("2.0", "Hiccups, Nausea")
    recalled(found)
    assert (till.booked(), till.calls()) == (before, 1)
    assert found.spent() == (sum(before), 2)
    first, again = found.paid()
    assert (first.call_id, first.cost_micro) == (again.call_id, again.cost_micro)
    # What docs/contract.md says: a sum that does not look at the call counts it twice.
    assert sum({one.call_id: one.cost_micro for one in found.paid()}.values()) == sum(before)


def test_a_recall_that_shows_the_same_passages_is_given_the_opinion_that_was_paid(till: Till) -> None:
    not_paid_twice(paid_world(till))


class Forgetful(Till):
    """Planted: each look at a case is a call of its own."""

    def pay(self, wanted: Purchase) -> Any:
        return super().pay(replace(wanted, step=f"{wanted.step} {len(self.asked)}"))


def test_a_payer_that_forgets_what_it_paid_is_found() -> None:
    till = Forgetful(shop(memory_rig(), MemoryBench()))
    found = paid_world(till)
    with pytest.raises(AssertionError):
        not_paid_twice(found)
    till.close()
