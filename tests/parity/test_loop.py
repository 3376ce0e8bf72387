"""The loop's guarantees, one suite on the broker in memory and on Kafka."""

from __future__ import annotations

import asyncio
from collections import Counter

import msgspec
import pytest

from vigimesh.errors import Broken, Fenced, Transient
from vigimesh.events.classes import AuditRecorded, EventDeadLettered, FlowCounted, HeadMoved
from vigimesh.events.envelope import from_headers
from vigimesh.events.topics import topic
from vigimesh.loop.broker import InDoubt, Write
from vigimesh.loop.outcome import Answers, Done, Emit, Input, Need, Outcome, Reject, Retry
from vigimesh.loop.stage import Stage
from worlds import (
    INPUT,
    OUTPUT,
    WORLDS,
    Crash,
    MemoryWorld,
    World,
    copier,
    drive,
    hand_on,
    once,
    work,
    world_of,
)

DEAD = topic("deadletter")
STEPS = ("begin", "write", "offsets.before", "offsets.after", "commit.before", "commit.after")


world = pytest.fixture(params=WORLDS)(world_of)


def audits(world: World) -> list[AuditRecorded]:
    return [world.codec.decode(topic("audit"), r.value) for r in world.mine(topic("audit"))]


def test_outputs_audit_and_flow_come_together(world: World) -> None:
    sent = [world.send(n) for n in range(20)]
    drive(work(world.worker(copier()), until=lambda: len(world.handed_on()) >= 20))
    assert sorted(world.handed_on()) == sorted(sent)
    assert sorted(a.message_id for a in audits(world)) == sorted(sent)
    assert {a.action for a in audits(world)} == {"done"}
    flows = [world.codec.decode(topic("flow"), r.value) for r in world.records(topic("flow"))]
    mine = [f for f in flows if isinstance(f, FlowCounted) and f.stage == "copier"]
    assert sum(f.consumed for f in mine) >= 20
    assert sum(f.produced for f in mine) == sum(f.consumed for f in mine)


def test_each_output_tells_its_event_its_trace_and_its_message(world: World) -> None:
    message = world.send(1)
    drive(work(world.worker(copier()), until=lambda: len(world.handed_on()) >= 1))
    (record,) = world.mine(topic("case.received.urgent"))
    envelope = from_headers(record.headers, "")
    assert (envelope.messageid, envelope.workflow, envelope.lane) == (message, "triage", "warm")
    assert envelope.type == "vigimesh.CaseReceived"
    assert len(envelope.traceparent.split("-")[1]) == 32
    assert record.key.decode() == world.case(1).case_id
    assert audits(world)[0].outputs == (envelope.id,)


@pytest.mark.parametrize("step", STEPS[:-1])
def test_an_aborted_transaction_leaves_nothing_and_is_made_again(world: World, step: str) -> None:
    sent = [world.send(n) for n in range(6)]
    fault = once(step, Transient("VM-1301", what="planted"))
    drive(work(world.worker(copier(), fault=fault), until=lambda: len(world.handed_on()) >= 6))
    assert Counter(world.handed_on()) == Counter(sent)
    assert Counter(a.message_id for a in audits(world)) == Counter(sent)


@pytest.mark.parametrize("step", ["commit.before", "commit.after"])
def test_a_transaction_in_doubt_is_neither_lost_nor_doubled(world: World, step: str) -> None:
    sent = [world.send(n) for n in range(6)]
    fault = once(step, InDoubt("VM-1302", what="planted"))
    worker = world.worker(copier(), fault=fault)
    drive(work(worker, until=lambda: len(world.handed_on()) >= 6))
    assert Counter(world.handed_on()) == Counter(sent)
    more = world.send(99)
    drive(work(world.worker(copier()), until=lambda: more in world.handed_on()))
    assert Counter(world.handed_on()) == Counter([*sent, more])


@pytest.mark.parametrize("step", STEPS)
def test_a_process_that_dies_at_any_step_changes_no_total(world: World, step: str) -> None:
    sent = [world.send(n) for n in range(6)]
    with pytest.raises(Crash):
        drive(work(world.worker(copier(), fault=once(step, Crash())), until=lambda: False))
    drive(work(world.worker(copier()), until=lambda: len(world.handed_on()) >= 6))
    assert Counter(world.handed_on()) == Counter(sent)
    assert Counter(a.message_id for a in audits(world)) == Counter(sent)


def test_bytes_that_are_no_event_are_dead_lettered_with_their_bytes(world: World) -> None:
    key = f"{world.tag}/poison".encode()
    bad = b"\x00\x00\x00\x00\x01\xff" + world.tag.encode()
    world.append(Write(topic=INPUT, key=key, value=bad, headers=[("x", b"y")]), 0)
    after = world.send(1, partition=0)
    drive(work(world.worker(copier()), until=lambda: after in world.handed_on()))
    (letter,) = [world.codec.decode(topic("deadletter"), r.value) for r in world.mine(topic("deadletter"))]
    assert isinstance(letter, EventDeadLettered)
    assert (letter.value, letter.key, letter.headers[0].value) == (bad, key, b"y")
    assert letter.code in {"VM-1002", "VM-1003"}
    assert letter.topic == INPUT


def test_of_two_records_under_one_name_that_nobody_can_read_each_has_its_dead_letter(world: World) -> None:
    """The topic keeps the newest record of a key: were it the name alone, the second would hide the first."""
    bad = [b"\x00\x00\x00\x00\x01\xff" + world.tag.encode() + end for end in (b"1", b"2")]
    key, name = f"{world.tag}/poison".encode(), f"theirs-{world.tag}".encode()
    writes = [Write(topic=INPUT, key=key, value=value, headers=[("ce_id", name)]) for value in bad]
    for write in (*writes, writes[0]):  # the first once more, as when it is sent back
        world.append(write, 0)
    after = world.send(1, partition=0)
    drive(work(world.worker(copier()), until=lambda: after in world.handed_on()))
    newest = {r.key: world.codec.decode(DEAD, r.value) for r in world.mine(DEAD)}
    named = {letter.value: at for at, letter in newest.items()}
    assert set(named) == set(bad)
    assert all(at == letter.event_id.encode() and at.startswith(name) for at, letter in newest.items())
    rejected = [a.event_id.encode() for a in audits(world) if a.action == "rejected"]
    assert rejected == [named[bad[0]], named[bad[1]], named[bad[0]]]


def test_two_messages_under_one_name_hide_each_other_nowhere(world: World) -> None:
    """An upstream that uses an id twice breaks the contract: what is made of its messages goes by their message ids."""

    def outcome(case: Input, answers: Answers) -> Outcome | None:
        return Reject(code="VM-1307", why="planted") if case.event.case.message_id in given_up else None

    given_up = [world.case(number).message_id for number in (1, 2)]
    sent = [world.case(number).message_id for number in (3, 4)]
    for number in (1, 2, 3, 4):
        record = world.record(number)
        headers = [(name, value) for name, value in record.headers if name not in ("ce_id", "ce_messageid")]
        world.append(msgspec.structs.replace(record, headers=[*headers, ("ce_id", b"theirs")]), 0)
    drive(work(world.worker(copier(outcome)), until=lambda: len(world.handed_on()) >= 2))
    assert sorted(world.handed_on()) == sorted(sent)
    assert len({from_headers(r.headers, "").id for r in world.mine(OUTPUT)}) == 2
    letters = [world.codec.decode(DEAD, r.value) for r in world.mine(DEAD)]
    assert {(one.event_id, one.message_id) for one in letters} == {(one, one) for one in given_up}


def test_a_verb_that_fails_gives_up_only_that_record(world: World) -> None:
    bad, good = world.case(1).message_id, world.case(2).message_id

    def outcome(case: Input, answers: Answers) -> Outcome | None:
        if case.event.case.message_id == bad:
            raise ValueError("names the patient Jane Doe")
        return None

    world.send(1, partition=0)
    world.send(2, partition=0)
    drive(work(world.worker(copier(outcome)), until=lambda: good in world.handed_on()))
    (letter,) = [world.codec.decode(topic("deadletter"), r.value) for r in world.mine(topic("deadletter"))]
    assert (letter.code, letter.message_id) == ("VM-1307", bad)
    assert "Jane" not in letter.cause
    assert world.handed_on() == [good]


def test_an_output_larger_than_its_topic_takes_is_dead_lettered(world: World) -> None:
    def outcome(case: Input, answers: Answers) -> Outcome | None:
        big = world.case(1, "x" * (5 << 20))
        emit = Emit(topic=topic("case.received.urgent"), key=case.key, event=type(case.event)(case=big))
        return Done(events=(emit,))

    world.send(1)
    drive(work(world.worker(copier(outcome)), until=lambda: bool(world.mine(topic("deadletter")))))
    (letter,) = [world.codec.decode(topic("deadletter"), r.value) for r in world.mine(topic("deadletter"))]
    assert letter.code == "VM-1005"
    assert world.handed_on() == []


def test_records_with_a_key_of_no_bytes_are_worked_on_once_in_their_order(world: World) -> None:
    """Whoever sends them breaks the contract; the router gives each the key of its case again (test_route.py)."""
    for number in (1, 2, 3):
        world.append(msgspec.structs.replace(world.record(number), key=b""), 0)
    wanted = [world.case(number).message_id for number in (1, 2, 3)]
    drive(work(world.worker(copier()), until=lambda: len(world.handed_on()) >= len(wanted)))
    assert world.handed_on() == wanted


def test_a_record_is_tried_again_and_then_given_up_while_other_partitions_go_on(world: World) -> None:
    tries: Counter[str] = Counter()
    twice, never = world.case(1).message_id, world.case(2).message_id

    def outcome(case: Input, answers: Answers) -> Outcome | None:
        message = case.event.case.message_id
        tries[message] += 1
        if message == never or (message == twice and tries[message] <= 2):
            return Retry(after_s=0.01, why="not yet")
        return None

    world.send(1, partition=0)
    behind = world.send(3, partition=0)
    world.send(2, partition=1)
    other = world.send(4, partition=2)
    done = lambda: len(world.handed_on()) >= 3 and bool(world.mine(topic("deadletter")))  # noqa: E731
    drive(work(world.worker(copier(outcome)), until=done))
    assert Counter(world.handed_on()) == Counter([twice, behind, other])
    assert tries[twice] == 3
    (letter,) = [world.codec.decode(topic("deadletter"), r.value) for r in world.mine(topic("deadletter"))]
    assert (letter.code, letter.message_id, letter.attempt) == ("VM-1310", never, 10)


def test_needs_of_a_batch_are_fetched_together_and_kept_in_audit(world: World) -> None:
    asked: list[int] = []

    def wants(case: Input, answers: Answers) -> tuple[Need, ...]:
        return (Need(kind="double", key=case.event.case.case_id),)

    async def double(needs: object) -> list[str]:
        wanted = list(needs)  # type: ignore[call-overload]
        asked.append(len(wanted))
        return [need.key * 2 for need in wanted]

    def outcome(case: Input, answers: Answers) -> Outcome | None:
        assert answers[f"double:{case.key}"] == case.key * 2
        return None

    sent = [world.send(n, partition=0) for n in range(8)]
    stage = copier(outcome, wants, fetchers={"double": double})
    drive(work(world.worker(stage), until=lambda: len(world.handed_on()) >= len(sent)))
    assert sum(asked) == 8
    assert all(a.answers for a in audits(world))


def test_a_source_that_is_away_holds_the_batch_and_loses_nothing(world: World) -> None:
    away = [3]

    async def fetch(needs: object) -> list[int]:
        if away[0]:
            away[0] -= 1
            raise Transient("VM-1501", what="planted")
        return [1 for _ in needs]  # type: ignore[attr-defined]

    stage = copier(wants=lambda case, answers: (Need(kind="x", key="y"),), fetchers={"x": fetch})
    sent = [world.send(n) for n in range(4)]
    drive(work(world.worker(stage), until=lambda: len(world.handed_on()) >= 4))
    assert Counter(world.handed_on()) == Counter(sent)
    assert away == [0]


def test_a_verb_that_never_has_enough_is_given_up(world: World) -> None:
    async def fetch(needs: object) -> list[int]:
        return [1 for _ in needs]  # type: ignore[attr-defined]

    stage = copier(
        wants=lambda case, answers: (Need(kind="x", key=str(len(answers))),), fetchers={"x": fetch}
    )
    world.send(1)
    drive(work(world.worker(stage), until=lambda: bool(world.mine(topic("deadletter")))))
    (letter,) = [world.codec.decode(topic("deadletter"), r.value) for r in world.mine(topic("deadletter"))]
    assert letter.code == "VM-1308"


def counting(world: World) -> Stage:
    """A stage that numbers the records of a key in its table."""

    def wants(case: Input, answers: Answers) -> tuple[Need, ...]:
        return (Need(kind="head", key=case.key),)

    def outcome(case: Input, answers: Answers) -> Outcome:
        head = answers[f"head:{case.key}"]
        number = int(head["newest"][0]) + 1 if head else 1
        moved = HeadMoved(
            case_id=case.key, newest=(str(number),), newest_message_id=case.event.case.message_id
        )
        return hand_on(case, Emit(topic=topic("case.head"), key=case.key, event=moved))

    return copier(outcome, wants, table_topic=topic("case.head"))


def numbers(world: World) -> list[str]:
    heads = [world.codec.decode(topic("case.head"), r.value) for r in world.mine(topic("case.head"))]
    return [head.newest[0] for head in heads]


@pytest.mark.parametrize("step", STEPS)
def test_state_counts_each_record_once_whatever_dies(world: World, step: str) -> None:
    key = f"{world.tag}/one"
    for number in range(5):
        world.send(number, key=key)
    with pytest.raises(Crash):
        drive(work(world.worker(counting(world), fault=once(step, Crash())), until=lambda: False))
    for number in range(5, 8):
        world.send(number, key=key)
    drive(work(world.worker(counting(world)), until=lambda: len(numbers(world)) >= 8))
    assert numbers(world) == [str(n) for n in range(1, 9)]


@pytest.mark.parametrize("error", [Transient("VM-1301", what="planted"), InDoubt("VM-1302", what="planted")])
@pytest.mark.parametrize("step", ["offsets.after", "commit.before"])
def test_state_forgets_what_did_not_commit(world: World, step: str, error: Transient) -> None:
    key = f"{world.tag}/one"
    for number in range(5):
        world.send(number, key=key)
    worker = world.worker(counting(world), fault=once(step, error))
    drive(work(worker, until=lambda: len(numbers(world)) >= 5))
    assert numbers(world) == [str(n) for n in range(1, 6)]


def test_a_second_process_with_the_same_name_fences_the_first(world: World) -> None:
    async def both() -> None:
        first = world.worker(copier(), instance="same")
        second = world.producer(f"{world.group}.same.a")
        world.send(1)
        taken: list[str] = []

        def over() -> bool:
            if world.handed_on() and not taken:
                taken.append("over")
                asyncio.run(second.renew())
                world.send(2)
            return False

        with pytest.raises(Fenced):
            await work(first, until=over)
        await second.close()

    asyncio.run(both())
    drive(work(world.worker(copier()), until=lambda: len(world.handed_on()) >= 2))
    assert len(world.handed_on()) == 2


def test_two_members_share_the_work(world: World) -> None:
    sent = [world.send(n, partition=n % 4) for n in range(40)]
    one, two = world.worker(copier(), instance="a"), world.worker(copier(), instance="b")
    drive(work(one, two, until=lambda: len(world.handed_on()) >= 40))
    assert Counter(world.handed_on()) == Counter(sent)


def test_a_group_that_was_not_initialised_stops_rather_than_skips(world: World) -> None:
    world.send(1)
    if isinstance(world, MemoryWorld):
        world.broker._groups[f"{world.group}.new"] = type(world.broker._groups[world.group])((INPUT,))
    worker = world.worker(copier(), group=f"{world.group}.new")
    with pytest.raises(Broken, match="VM-1305"):
        drive(work(worker, until=lambda: bool(world.handed_on())))


def test_what_a_record_is_rejected_for_is_said_in_audit_without_case_text(world: World) -> None:
    world.send(1, narrative=f"{world.tag} Jane Doe")
    stage = copier(lambda case, answers: Reject(code="VM-1309", why="no such object"))
    drive(work(world.worker(stage), until=lambda: bool(audits(world))))
    (audit,) = audits(world)
    assert (audit.action, audit.why) == ("rejected", "no such object")


def test_what_goes_on_beside_the_loop_answers_calls_and_ends_after_them(world: World) -> None:
    told: list[str] = []

    async def scenario() -> None:
        opened, asked = asyncio.Event(), asyncio.Event()

        async def beside() -> None:
            opened.set()
            try:
                await asyncio.Event().wait()
            finally:
                told.append("closed")

        async def call(need: Need) -> str:
            await opened.wait()
            if need.key == "answered":
                await asked.wait()
                return "yes"
            asked.set()
            try:
                await asyncio.Event().wait()
            finally:
                told.append("call ended")
            return ""

        def wants(case: Input, answers: Answers) -> tuple[Need, ...]:
            key = "hangs" if case.key.endswith("/2") else "answered"
            return () if answers else (Need(kind="model", key=key),)

        stage = copier(lambda case, answers: hand_on(case), wants, callers={"model": call}, beside=beside)
        await work(world.worker(stage, fault=once("commit.after", Crash())), until=lambda: False)

    world.send(1)
    world.send(2)
    with pytest.raises(Crash):
        drive(scenario())
    assert told == ["call ended", "closed"]


def test_what_fails_beside_the_loop_ends_it(world: World) -> None:
    async def beside() -> None:
        raise Broken("VM-2105", what="planted", where="test")

    world.send(1)
    with pytest.raises(Broken, match="planted"):
        drive(work(world.worker(copier(beside=beside)), until=lambda: False))
