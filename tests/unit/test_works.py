"""Works matched with records: order per key, copies of an event, and faults planted into histories of a small mesh."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vigimesh.domain.record.checker import Check, check
from vigimesh.domain.record.rows import AuditFact, Row
from vigimesh.events.envelope import Envelope

START = datetime(2026, 3, 1, tzinfo=UTC)

#: Stage -> the topic it reads, and the one it hands on to.
WAY = {
    "router": ("case.received.normal", "plan.cold"),
    "planner": ("plan.cold", "supervise.cold"),
    "supervisor": ("supervise.cold", "case.decided"),
}


class SmallMesh:
    """Three stages over topics of one partition. `work` is right unless told to do one thing wrong."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.audits: list[AuditFact] = []
        self.offsets: Counter[str] = Counter()
        #: Topic -> records not concluded, in offset order.
        self.waiting: dict[str, list[Row]] = {name: [] for name, _ in WAY.values()}
        self.aside: list[tuple[str, Row]] = []

    def put(self, name: str, event: str, message: str, key: str, *, gone: bool = False) -> Row:
        full = f"vigimesh.{name}"
        at = START + timedelta(seconds=len(self.rows))
        envelope = Envelope(
            id=event, source="", type="", time=at, subject=key, messageid=message, lane="cold"
        )
        row = Row(full, 0, self.offsets[full], at, key, envelope, None if gone else b"v")
        self.offsets[full] += 1
        self.rows.append(row)
        if name in self.waiting:
            self.waiting[name].append(row)
        return row

    def receive(self, message: str, key: str) -> None:
        self.put("case.received.normal", f"r-{message}", message, key)

    def work(self, stage: str, key: str, *, action: str = "done", wrong: str = "") -> bool:
        """Conclude the oldest record of a key that waits for a stage; return whether there was one to do so with."""
        source, target = WAY[stage]
        mine = [row for row in self.waiting[source] if row.key == key]
        if len(mine) < (2 if wrong == "order" else 1):
            return False
        row = mine[1 if wrong == "order" else 0]
        self.waiting[source].remove(row)
        event, message = row.headers.id, row.headers.messageid
        output = f"{event}+"
        if action != "done":
            name = "parked" if action == "parked" else "deadletter"
            self.put(name, f"{event}-{action}", message, event)
            self.aside.append((name, row))
            output = f"{event}-{action}"
        else:
            for _ in range({"lost": 0, "audit alone": 0, "twice": 2}.get(wrong, 1)):
                self.put(target, output, message, key)
        outputs = () if wrong == "lost" else (output,)
        fact = AuditFact(event_id=event, message_id=message, stage=stage, action=action, outputs=outputs)
        self.audits.extend([fact] * {"record alone": 0, "twice": 2}.get(wrong, 1))
        return True

    def bring_back(self) -> None:
        """Resume what is parked and redrive what is dead: the oldest first, with the id it had."""
        for name, row in self.aside:
            self.put(name, f"{row.headers.id}-gone", row.headers.messageid, row.headers.id, gone=True)
            self.put(row.topic.removeprefix("vigimesh."), row.headers.id, row.headers.messageid, row.key)
        self.aside.clear()

    def finish(self, keys: Sequence[str]) -> None:
        self.bring_back()
        for stage in WAY:
            for key in keys:
                while self.work(stage, key):
                    pass

    def check(self) -> Check:
        return check(self.rows, audits=self.audits)


def counts(found: Check) -> dict[str, int | None]:
    names = ("lost", "duplicated", "torn", "out_of_order")
    return {name: getattr(found, name) for name in names if getattr(found, name)}


def two_versions() -> SmallMesh:
    mesh = SmallMesh()
    mesh.receive("old", "k")
    mesh.receive("new", "k")
    return mesh


def test_versions_of_a_case_concluded_in_their_order_are_no_fault() -> None:
    mesh = two_versions()
    mesh.finish("k")
    assert counts(mesh.check()) == {}
    assert mesh.check().out_of_order == 0


def test_a_version_concluded_behind_a_later_one_is_out_of_order() -> None:
    mesh = two_versions()
    mesh.work("router", "k", wrong="order")
    mesh.finish("k")
    found = mesh.check()
    assert counts(found) == {"out_of_order": 1}
    assert found.out_of_order_ids == ("old",)


def test_an_output_that_lies_behind_that_of_a_later_record_is_out_of_order() -> None:
    """Two transactions may be concluded in order and their records appended in the other: whoever reads on is misled."""
    mesh = two_versions()
    mesh.work("router", "k")
    mesh.work("router", "k")
    plan = [at for at, row in enumerate(mesh.rows) if row.topic == "vigimesh.plan.cold"]
    first, second = (mesh.rows[at] for at in plan)
    mesh.rows[plan[0]] = replace(second, offset=first.offset)
    mesh.rows[plan[1]] = replace(first, offset=second.offset)
    found = mesh.check()
    assert (found.out_of_order, found.out_of_order_ids) == (1, ("old",))


def test_versions_sent_again_in_their_order_are_no_fault() -> None:
    """Their works make outputs with the same ids again: each belongs to its own copy."""
    mesh = two_versions()
    mesh.finish("k")
    mesh.receive("old", "k")
    mesh.receive("new", "k")
    mesh.work("router", "k")
    mesh.work("router", "k")
    assert mesh.check().out_of_order == 0


def test_other_keys_may_overtake() -> None:
    mesh = SmallMesh()
    mesh.receive("a", "k")
    mesh.receive("b", "l")
    mesh.work("router", "l")
    mesh.work("router", "k")
    mesh.finish("kl")
    assert counts(mesh.check()) == {}


def test_without_audits_nothing_is_said_of_order() -> None:
    assert check(two_versions().rows).out_of_order is None


def test_a_resumed_record_that_nobody_took_yet_is_in_flight() -> None:
    mesh = SmallMesh()
    mesh.receive("a", "k")
    mesh.work("router", "k", action="parked")
    assert mesh.check().parked == 1
    mesh.bring_back()
    found = mesh.check()
    assert (found.in_flight, found.parked, found.lost) == (1, 0, 0)
    mesh.finish("k")
    assert (mesh.check().decided, counts(mesh.check())) == (1, {})


def test_a_redriven_record_that_was_taken_and_gave_nothing_is_lost() -> None:
    mesh = SmallMesh()
    mesh.receive("a", "k")
    mesh.work("router", "k")
    mesh.work("planner", "k", action="rejected")
    mesh.bring_back()
    mesh.work("planner", "k", wrong="lost")
    assert counts(mesh.check()) == {"lost": 1}


def test_a_record_worked_on_twice_is_duplicated_though_its_case_ends_once() -> None:
    mesh = SmallMesh()
    mesh.receive("a", "k")
    mesh.work("router", "k")
    mesh.audits.append(mesh.audits[-1])
    mesh.finish("k")
    found = mesh.check()
    assert counts(found) == {"duplicated": 1}
    assert found.duplicated_ids == ("a",)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(("receive", "back", *WAY, *WAY)),
        st.sampled_from("kl"),
        st.sampled_from(("done", "done", "done", "parked", "rejected")),
    ),
    min_size=5, max_size=60,
)  # fmt: skip


def play(mesh: SmallMesh, steps: Sequence[tuple[str, str, str]]) -> None:
    for number, (step, key, action) in enumerate(steps):
        if step == "receive":
            mesh.receive(f"m{len(mesh.rows)}-{number}", key)
        elif step == "back":
            mesh.bring_back()
        else:
            mesh.work(step, key, action=action)


@settings(max_examples=200)
@given(STEPS)
def test_a_mesh_that_does_right_shows_no_fault(steps: list[tuple[str, str, str]]) -> None:
    mesh = SmallMesh()
    play(mesh, steps)
    under_way = mesh.check()
    assert counts(under_way) == {}
    assert under_way.balanced
    mesh.finish("kl")
    found = mesh.check()
    assert counts(found) == {}
    assert found.accepted == found.decided


@pytest.mark.parametrize(
    ("wrong", "counter"),
    [
        ("lost", "lost"), ("twice", "duplicated"), ("audit alone", "torn"), ("record alone", "torn"),
        ("order", "out_of_order"),
    ],
)  # fmt: skip
@settings(max_examples=60)
@given(steps=STEPS, stage=st.sampled_from(tuple(WAY)))
def test_a_planted_fault_is_found(
    wrong: str, counter: str, steps: list[tuple[str, str, str]], stage: str
) -> None:
    """Whatever happened before: the fault shows under its own name."""
    mesh = SmallMesh()
    play(mesh, steps)
    mesh.bring_back()
    # At least two records of one key wait for the stage now.
    mesh.receive("x", "k")
    mesh.receive("y", "k")
    for before in WAY:
        if before == stage:
            break
        while mesh.work(before, "k"):
            pass
    assert mesh.work(stage, "k", wrong=wrong)
    mesh.finish("kl")
    assert getattr(mesh.check(), counter) > 0
