"""Advice recall in memory: exactly what rests on the old label is found and re-decided once, wherever the librarian is stopped."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from recall_world import LABEL, World, case
from unit.safety_making import case as of_safety
from unit.test_execute_opinions import given, need_of
from unit.test_supervise_recall import RECALL
from vigimesh.adapters.memory.recalls import MemoryRecallDesk
from vigimesh.background.librarian import recall_orders
from vigimesh.background.librarian.recall import Looked, Recaller, plain
from vigimesh.background.librarian.recall_orders import Standing, Verdict, order_id
from vigimesh.domain.knowledge.recalling import Brought, Change, Use, changes
from vigimesh.errors import Transient
from vigimesh.events.classes import AuditRecorded, FlowCounted, HeadMoved
from vigimesh.events.knowledge import Passage
from vigimesh.events.topics import topic
from vigimesh.ports.recalls import Mark

CAUSE = f"{LABEL}@2.0"
OF_ZELORA = {1: "Hiccups", 2: "Nausea", 5: "Rash"}


def world() -> World:
    """Return triaged cases: three of the product, one of another, one serious; the label lists hiccups and nausea."""
    cases = [case(number, reaction=reaction) for number, reaction in OF_ZELORA.items()]
    other = case(3, product="Torvexil", reaction="Oedema peripheral")
    serious = case(4, criteria=("hospitalisation",))
    return World([*cases, other, serious], listed="Hiccups, Nausea")


def changed() -> World:
    """Return that world after the label was changed: hiccups are not listed any more."""
    found = world()
    found.bring("2.0", "Nausea")
    return found


def step(recaller: Recaller) -> int:
    return asyncio.run(recaller.step())


def numbers(messages: Sequence[str]) -> list[int]:
    return sorted(int(one, 16) for one in messages)


def ends(of: World) -> dict[int, tuple[str, str]]:
    return {int(message, 16): end for message, end in of.ends().items()}


ENDS = {
    1: ("advice_recalled", CAUSE),
    2: ("upheld", CAUSE),
    3: ("auto_accepted", ""),
    4: ("advice_recalled", CAUSE),
    5: ("upheld", CAUSE),
}


def whole(of: World, recalled: int = 4) -> None:
    """Assert that everything was recalled once and ended as it should."""
    orders = of.orders()
    assert len(orders) == recalled
    assert max(Counter(row.headers.id for row in orders).values()) == 1
    of.deliver()
    assert ends(of) == ENDS
    found = of.check()
    assert (found.accepted, found.decided, found.in_review) == (5, 3, 2)
    assert (found.lost, found.duplicated, found.torn, found.out_of_order) == (0, 0, 0, 0)
    assert found.balanced


def test_nothing_is_recalled_while_nothing_has_changed() -> None:
    found = world()
    assert step(found.librarian()) == 0
    assert not found.committed()


def test_exactly_what_rests_on_the_old_label_is_recalled_and_re_decided() -> None:
    found = changed()
    recaller = found.librarian()
    assert step(recaller) == 4
    whole(found)
    assert step(recaller) == step(found.librarian()) == 0
    assert len(found.orders()) == 4


def test_what_an_order_says() -> None:
    found = changed()
    step(found.librarian())
    by_message = {one.case.message_id: one.route for one in found.routes()}
    assert numbers(list(by_message)) == [1, 2, 4, 5]
    route = by_message[f"{1:032x}"]
    assert route.recall is not None
    assert (route.lane, route.pass_number, route.cost_micro, route.rule) == ("cold", 1, 0, "advice_recalled")
    assert (route.recall.earlier, route.recall.grade, route.recall.listed) == ("auto_accepted", 1, "yes")
    assert (route.recall.superseded, route.recall.version) == ("1.0", "2.0")
    assert all(one.startswith(f"{LABEL}@1.0#") for one in route.recall.passages)
    assert by_message[f"{4:032x}"].lane == "hot"  # serious: it does not wait
    audits = [
        found.codec.decode(row.topic, row.value or b"")
        for row in found.committed()
        if row.topic == topic("audit")
    ]
    told = {audit.message_id: audit for audit in audits if isinstance(audit, AuditRecorded)}
    assert numbers(list(told)) == [1, 2, 4, 5]
    one = told[f"{1:032x}"]
    assert (one.action, one.stage, one.outputs) == ("recalled", "librarian", (order_id(f"{1:032x}", CAUSE),))
    assert "auto accepted by rule" in one.earlier
    assert one.new == "vigimesh.plan.cold"
    flows = [
        found.codec.decode(row.topic, row.value or b"")
        for row in found.committed()
        if row.topic == topic("flow")
    ]
    sent = {one.lane: dict(one.sent) for one in flows if isinstance(one, FlowCounted)}
    assert sent == {"cold": {"vigimesh.plan.cold": 3}, "hot": {"vigimesh.plan.hot": 1}}


def test_telemetry_that_arrives_after_the_change_is_found_too() -> None:
    found = changed()
    recaller = found.librarian()
    assert step(recaller) == 4
    found.deliver()
    found.bring("3.0", "Nausea, Hiccups")
    late, found.recalls.served = found.recalls.served, []
    assert step(recaller) == 0
    found.recalls.served = late
    assert step(recaller) == 4
    found.deliver()
    assert {end for _, end in ends(found).values()} == {"", f"{LABEL}@3.0"}
    assert found.check().duplicated == 0


class Killed(BaseException):
    """The process ends here, whatever it would have caught."""


class ForgetsOnce:
    """Is stopped before it remembers anything."""

    def __init__(self, of: World) -> None:
        self.inner, self.left = of.recalls, 1
        self.versions, self.uses = self.inner.versions, self.inner.uses
        self.forget_used = self.inner.forget_used

    def mark(self, marks: Sequence[Mark]) -> None:
        if self.left:
            self.left -= 1
            raise Killed
        self.inner.mark(marks)


@pytest.mark.parametrize("where", ["renew", "begin", "write", "commit.before", "commit.after"])
@pytest.mark.parametrize("again", [0, 1, 3])
def test_a_kill_anywhere_neither_loses_nor_doubles_an_order(where: str, again: int) -> None:
    found, left = changed(), [again + 1]

    def hook(name: str) -> None:
        if name == where and left[0] > 0:
            left[0] -= 1
            if left[0] == 0 or where != "write":
                raise Killed

    found.broker.hook = hook
    for _ in range(again + 2):
        try:
            step(found.librarian())
        except Killed:
            continue
    assert step(found.librarian()) == 0
    whole(found)


def test_an_order_that_was_written_and_not_remembered_is_found_on_the_topics() -> None:
    found = changed()
    recaller = found.librarian()
    recaller.recalls = ForgetsOnce(found)
    with pytest.raises(Killed):
        step(recaller)
    assert len(found.orders()) == 4
    assert not found.recalls.marks
    assert step(found.librarian()) == 0
    assert {mark.state for mark in found.recalls.marks.values()} == {"ordered"}
    whole(found)


class TrustsItsMemory(Recaller):
    """Planted: what the topics hold is not looked at."""

    async def look(self, changed: Sequence[Change], uses: Sequence[Use]) -> Sequence[Looked]:
        found = await super().look(changed, uses)
        for one in found:
            if one.standing is not None:
                one.standing.orders.clear()
        return found


def test_an_order_doubled_by_a_planted_bug_is_seen_and_does_no_harm() -> None:
    found = changed()
    recaller = found.librarian()
    recaller.recalls = ForgetsOnce(found)
    with pytest.raises(Killed):
        step(recaller)
    bug = TrustsItsMemory(
        recalls=found.recalls,
        desk=MemoryRecallDesk(found.broker),
        codec=found.codec,
        clock=found.clock,
        actor="bug",
    )
    assert step(bug) == 4
    with pytest.raises(AssertionError):
        whole(found)
    for row in found.orders():
        found.mesh.take(row)
    found.run()
    assert ends(found) == ENDS
    assert found.check().duplicated == 0


class Slow(Recaller):
    """Is overtaken by another librarian after it has looked."""

    other: Recaller | None = None

    async def look(self, changed: Sequence[Change], uses: Sequence[Use]) -> Sequence[Looked]:
        found = await super().look(changed, uses)
        assert self.other is not None
        assert await self.other.step() == 4
        return found


def test_who_comes_second_fences_who_came_first() -> None:
    found = changed()
    first = Slow(
        recalls=found.recalls,
        desk=MemoryRecallDesk(found.broker),
        codec=found.codec,
        clock=found.clock,
        actor="slow",
    )
    first.other = found.librarian()
    with pytest.raises(Transient) as refused:
        step(first)
    assert refused.value.code == "VM-2902"
    whole(found)


def test_what_is_not_concluded_waits_and_is_recalled_when_it_is() -> None:
    found = changed()
    conclusions = [
        row for row in found.mesh.rows if row.topic in (topic("case.decided"), topic("case.review"))
    ]
    use = found.recalls.uses(changes(found.recalls.brought, found.clock.now()), ("", "", ""), 1)[0]
    rows = [row for row in found.mesh.rows if row.topic.startswith("vigimesh.plan.")]
    change = changes(found.recalls.brought, found.clock.now())[0]
    early = recall_orders.standings(rows, found.codec)[use.message_id]
    assert recall_orders.verdict(use, change, early).then == "wait"
    late = recall_orders.standings([*rows, *conclusions], found.codec)[use.message_id]
    assert recall_orders.verdict(use, change, late).then == "order"
    assert recall_orders.verdict(use, change, None) == Verdict(
        then="wait", why="its records are not on the topics"
    )
    assert recall_orders.verdict(use, change, Standing()).then == "wait"


def test_while_one_recall_is_open_no_other_of_the_message_is_ordered() -> None:
    found = changed()
    recaller = found.librarian()
    assert step(recaller) == 4
    for row in found.orders():  # handed to the mesh, which has not worked on them yet
        found.mesh.take(row)
    found.bring("3.0", "Nausea")
    assert step(recaller) == 0
    found.clock.at_s += 60
    found.mesh.rows[:] = found.mesh.rows[: -len(found.orders())]
    found.mesh._waiting.clear()
    found.deliver()
    assert step(recaller) == 0  # it was concluded with version 3.0 already
    left = [one for one in found.recalls.marks.values() if one.cause == f"{LABEL}@3.0"]
    assert [one.state for one in left] == ["left"] * 4


def test_what_waits_is_looked_for_later_and_later() -> None:
    found = changed()
    recaller = found.librarian()
    assert step(recaller) == 4
    for row in found.orders():
        found.mesh.take(row)
    found.bring("3.0", "Nausea")
    looks: list[float] = []
    found.broker.hook = lambda name: looks.append(found.clock.at_s) if name == "renew" else None
    begun_s = found.clock.at_s
    for _ in range(4 * 60):
        found.clock.at_s += 10
        assert step(recaller) == 0
    gaps = [round(later - sooner) for sooner, later in itertools.pairwise(looks)]
    assert round(looks[0] - begun_s) == 10
    assert gaps[:4] == [10, 20, 40, 80]
    assert len(looks) < 12


def test_what_was_concluded_anew_without_the_stale_passage_is_left() -> None:
    found = changed()
    recaller = found.librarian()
    step(recaller)
    found.deliver()
    kept = [one for one in found.recalls.served if one.version == "1.0"]
    found.bring("3.0", "Nausea")
    found.recalls.served = kept
    assert step(recaller) == 0
    left = [one for one in found.recalls.marks.values() if one.cause == f"{LABEL}@3.0"]
    assert len(left) == 4
    assert all("without what is stale" in one.why for one in left)


def test_an_overtaken_version_is_left() -> None:
    found = World(
        [
            case(1),
            case(1, message_id=f"{9:032x}", most_recent_on="2026-02-25", created_on="2026-02-26"),
        ]
    )
    assert ends(found)[1][0] == "auto_accepted"
    found.bring("2.0", "Nausea")
    assert step(found.librarian()) == 2
    found.deliver()
    assert ends(found)[1] == ("superseded", CAUSE)
    assert ends(found)[9] == ("advice_recalled", CAUSE)
    assert found.check().duplicated == 0
    head = [
        found.codec.decode(row.topic, row.value or b"")
        for row in found.mesh.rows
        if row.topic == topic("case.head")
    ][-1]
    assert isinstance(head, HeadMoved)
    assert head.newest_message_id == f"{9:032x}"


def test_the_list_says_what_is_to_be_done_and_what_became_of_it() -> None:
    found = changed()
    recaller = found.librarian()

    def states() -> dict[int, str]:
        _, looked = asyncio.run(recaller.listed(LABEL))
        lines = [plain(one, found.clock.now()) for one in looked]
        return {int(line["message_id"], 16): line["state"] for line in lines}

    assert states() == dict.fromkeys([1, 2, 4, 5], "to_order")
    assert not found.committed()  # to list changes nothing
    step(recaller)
    assert states() == dict.fromkeys([1, 2, 4, 5], "ordered")
    found.deliver()
    assert states() == {1: "reopened", 2: "upheld", 4: "reopened", 5: "upheld"}
    assert asyncio.run(recaller.listed("product/other")) == (None, ())
    assert asyncio.run(recaller.listed(LABEL, "1.0"))[1] == []


def test_a_withdrawn_document_recalls_too() -> None:
    found = world()
    at = found.clock.now() + timedelta(hours=1)
    found.recalls.brought = [
        Brought(document_id=LABEL, version="1.0", current=False, brought_at=at, withdrawn_at=at)
    ]
    change = changes(found.recalls.brought, found.clock.now())[0]
    assert (change.cause, change.withdrawn, change.known_at) == (f"{LABEL}@1.0 withdrawn", True, at)
    assert step(found.librarian()) == 4
    found.deliver()  # the search still finds it here: nothing may be upheld with it
    assert {end[0] for number, end in ends(found).items() if number != 3} == {"advice_recalled"}


def test_the_same_question_of_a_recall_is_the_same_call_and_is_not_paid_twice() -> None:
    record = given(of_safety())
    route = record.event.route
    arrival = need_of(record)
    again = replace(record, event=replace(record.event, route=replace(route, recall=RECALL, lane="cold")))
    assert need_of(again).key == arrival.key
    listed = Passage(
        document_id=LABEL, version="2.0", section="Zelora > Listed reactions", start=0, end=20, text="Common: Pyrexia.",
        score=1.0, question=f"{record.event.case.products[0].name} Pyrexia",
    )  # fmt: skip
    other = replace(again, event=replace(again.event, passages=(listed,)))
    assert need_of(other).key != arrival.key
