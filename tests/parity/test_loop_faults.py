"""What a fault must never do to the loop: skip a record, give one up that is sound, or go on where it has to stop."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import pytest

from vigimesh.errors import Broken, Misconfigured, Transient, VigimeshError
from vigimesh.events.classes import EventDeadLettered, HeadMoved
from vigimesh.events.topics import topic
from vigimesh.loop.broker import Batch, Consumer, InDoubt, Leave, Part, Position, TooLarge, Write
from vigimesh.loop.outcome import Answers, Done, Emit, Input, Need, Outcome, Retry
from vigimesh.loop.worker import Worker
from worlds import INPUT, WORLDS, Fault, FaultyProducer, World, copier, drive, hand_on, once, work, world_of

world = pytest.fixture(params=WORLDS)(world_of)

DEAD = topic("deadletter")


@dataclass
class FaultyConsumer:
    """A consumer that asks `fault` at each step; `forgets` makes it answer that nothing is committed."""

    inner: Consumer
    fault: Fault = lambda step: None
    forgets: bool = False

    async def poll(
        self, max_records: int, timeout_s: float, leave: Leave, ending: frozenset[Part] = frozenset()
    ) -> Batch:
        return await self.inner.poll(max_records, timeout_s, leave, ending)

    async def committed(self, parts: Sequence[Part]) -> Mapping[Part, Position]:
        self.fault("committed")
        return {} if self.forgets else await self.inner.committed(parts)

    def hold(self, part: Part) -> None:
        self.inner.hold(part)

    def unhold(self, part: Part, offset: int) -> None:
        self.inner.unhold(part, offset)

    def rest(self, topics: frozenset[str]) -> None:
        self.inner.rest(topics)

    async def restore(self, topic: str, partitions: Sequence[int]) -> Mapping[bytes, bytes]:
        self.fault("restore")
        return await self.inner.restore(topic, partitions)

    async def close(self) -> None:
        await self.inner.close()


@dataclass
class UnwritableDeadLetter(FaultyProducer):
    """A producer that cannot write to `deadletter`."""

    error: VigimeshError = field(default_factory=lambda: TooLarge("VM-1005", what="planted"))
    #: A mark for each try, shared by the producers of a worker.
    tries: list[None] = field(default_factory=list)

    def write(self, record: Write) -> None:
        if record.topic == DEAD:
            self.tries.append(None)
            raise self.error
        self.inner.write(record)


def unwritable(worker: Worker, error: VigimeshError) -> tuple[Worker, list[None]]:
    """Return the worker with both producers unable to write dead letters: whichever has its turn."""
    tries: list[None] = []
    one, two = worker.producers
    assert isinstance(one, FaultyProducer)
    assert isinstance(two, FaultyProducer)
    pair = (
        UnwritableDeadLetter(one.inner, one.fault, error, tries),
        UnwritableDeadLetter(two.inner, two.fault, error, tries),
    )
    return replace(worker, producers=pair), tries


def poison(world: World, *, header: bytes = b"y", value: bytes = b"") -> None:
    key = f"{world.tag}/poison".encode()
    bad = b"\x00\xff\xff\xff\xff" + world.tag.encode() + value
    world.append(Write(topic=INPUT, key=key, value=bad, headers=[("x", header)]), 0)


def letters(world: World) -> list[EventDeadLettered]:
    return [world.codec.decode(DEAD, r.value) for r in world.mine(DEAD)]


@pytest.mark.parametrize("error", [Transient("VM-1301", what="planted"), InDoubt("VM-1302", what="planted")])
def test_records_before_one_to_be_tried_again_are_not_skipped_when_they_did_not_commit(
    world: World, error: Transient
) -> None:
    tries: Counter[str] = Counter()
    later = world.case(2).message_id

    def outcome(case: Input, answers: Answers) -> Outcome | None:
        tries[case.event.case.message_id] += 1
        if case.event.case.message_id == later and tries[later] == 1:
            return Retry(after_s=0.01, why="not yet")
        return None

    sent = [world.send(n, partition=0) for n in range(4)]
    worker = world.worker(copier(outcome), fault=once("commit.before", error))
    drive(work(worker, until=lambda: sent[3] in world.handed_on()))
    assert Counter(world.handed_on()) == Counter(sent)


def test_records_polled_while_the_state_cannot_be_read_are_not_skipped(world: World) -> None:
    away = {"restore": 2}

    def fault(step: str) -> None:
        if away.get(step, 0) > 0:
            away[step] -= 1
            raise Transient("VM-1306", what="planted")

    sent = [world.send(n) for n in range(6)]
    worker = world.worker(copier(table_topic=topic("case.head")))
    worker = replace(worker, consumer=FaultyConsumer(worker.consumer, fault))
    drive(work(worker, until=lambda: len(world.handed_on()) >= 6))
    assert away == {"restore": 0}
    assert Counter(world.handed_on()) == Counter(sent)


def test_a_partition_whose_committed_offset_is_gone_stops_rather_than_skips(world: World) -> None:
    def fault(step: str) -> None:
        # Each time: where the group gives the partition anew meanwhile, nothing of the doubtful work is owned, and nothing is asked.
        if step == "commit.before":
            raise InDoubt("VM-1302", what="planted")

    world.send(1)
    worker = world.worker(copier(), fault=fault)
    worker = replace(worker, consumer=FaultyConsumer(worker.consumer, forgets=True))
    with pytest.raises(Broken, match="VM-1305"):
        drive(work(worker, until=lambda: bool(world.handed_on())))
    assert world.handed_on() == []


def test_a_dead_letter_that_does_not_fit_its_topic_stops_rather_than_skips(world: World) -> None:
    poison(world)
    behind = world.send(1, partition=0)
    worker, _ = unwritable(world.worker(copier()), TooLarge("VM-1005", what="planted"))
    with pytest.raises(Broken, match="VM-1304"):
        drive(work(worker, until=lambda: bool(world.handed_on())))
    assert (world.handed_on(), letters(world)) == ([], [])
    drive(work(world.worker(copier()), until=lambda: behind in world.handed_on()))
    assert (world.handed_on(), len(letters(world))) == ([behind], 1)


def test_a_dead_letter_that_cannot_be_written_now_is_waited_for_and_the_worker_says_so(world: World) -> None:
    poison(world)
    behind = world.send(1, partition=0)
    worker, tries = unwritable(world.worker(copier()), Transient("VM-1301", what="planted"))
    drive(work(worker, until=lambda: len(tries) >= 3 and "planted" in worker.health.trouble))
    assert (world.handed_on(), letters(world), worker.health.ready) == ([], [], False)
    drive(work(world.worker(copier()), until=lambda: behind in world.handed_on()))
    assert (world.handed_on(), len(letters(world))) == ([behind], 1)


@dataclass
class Refusing(FaultyProducer):
    """A producer whose transactions are refused at the end while they hold a dead letter, as a broker does it."""

    refusing: list[bool] = field(default_factory=lambda: [True])
    holds_one: bool = False

    def begin(self) -> None:
        self.holds_one = False
        super().begin()

    def write(self, record: Write) -> None:
        self.holds_one |= record.topic == DEAD
        super().write(record)

    async def commit(self) -> None:
        if self.holds_one and self.refusing[0]:
            raise Transient("VM-1301", what="planted: too large for the topic")
        await super().commit()


def test_a_partition_whose_dead_letter_the_broker_refuses_stands_still_alone(world: World) -> None:
    poison(world)
    behind = world.send(1, partition=0)
    refusing = [True]
    worker = world.worker(copier())
    inner = [one for one in worker.producers if isinstance(one, FaultyProducer)]
    one, two = (Refusing(p.inner, p.fault, refusing) for p in inner)
    worker = replace(worker, producers=(one, two))
    others = [world.send(n, partition=n % 3 + 1) for n in range(2, 11)]

    def rest_is_done() -> bool:
        stuck = "stands still" in worker.health.trouble
        if refusing[0] and stuck and set(world.handed_on()) >= set(others):
            assert (behind in world.handed_on(), letters(world), worker.health.ready) == (False, [], False)
            refusing[0] = False
        return behind in world.handed_on()

    drive(work(worker, until=rest_is_done))
    assert Counter(world.handed_on()) == Counter([behind, *others])
    assert len(letters(world)) == 1


def test_a_worker_whose_transactions_all_abort_is_not_ready(world: World) -> None:
    tries: list[bool] = []
    world.send(1)

    def fault(step: str) -> None:
        if step == "commit.before":
            tries.append(worker.health.ready)
            raise Transient("VM-1301", what="planted")

    worker = world.worker(copier(), fault=fault)
    drive(work(worker, until=lambda: len(tries) >= 4))
    assert not any(tries[1:])
    assert world.handed_on() == []


def test_a_poison_record_with_large_headers_is_kept_with_its_bytes_in_the_object_store(world: World) -> None:
    stored: list[bytes] = []

    def spill(data: bytes) -> str:
        stored.append(data)
        return "kept"

    poison(world, header=b"h" * (21 << 17), value=b"v" * (9 << 17))
    worker = replace(world.worker(copier()), spill=spill)
    drive(work(worker, until=lambda: bool(letters(world))))
    (letter,) = letters(world)
    assert (letter.value, letter.value_ref, len(letter.headers[0].value)) == (b"", "kept", 21 << 17)
    assert stored[-1].endswith(b"v" * (9 << 17))


def test_a_poison_record_that_no_dead_letter_can_hold_stops_rather_than_skips(world: World) -> None:
    poison(world, header=b"h" * ((4 << 20) - (40 << 10)))
    behind = world.send(1, partition=0)
    with pytest.raises(Broken, match="VM-1304"):
        drive(work(world.worker(copier()), until=lambda: behind in world.handed_on()))
    assert world.handed_on() == []


WRONG: dict[str, Callable[[Input], Emit]] = {
    "another topic's event": lambda case: Emit(
        topic=topic("audit"), key=case.key, event=HeadMoved(case_id="x", newest=(), newest_message_id="")
    ),
    "state of another class": lambda case: Emit(topic=topic("case.head"), key=case.key, event=case.event),
    "text that is no Unicode": lambda case: Emit(
        topic=topic("case.head"), key=case.key,
        event=HeadMoved(case_id="\ud800", newest=(), newest_message_id=""),
    ),
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG.keys())
@pytest.mark.parametrize("table", [None, topic("case.head")])
def test_an_output_that_cannot_be_encoded_gives_up_only_that_record(
    world: World, wrong: Callable[[Input], Emit], table: str | None
) -> None:
    bad = world.case(1).message_id

    def outcome(case: Input, answers: Answers) -> Outcome | None:
        return hand_on(case, wrong(case)) if case.event.case.message_id == bad else None

    world.send(1, partition=0)
    good = world.send(2, partition=0)
    worker = world.worker(copier(outcome, table_topic=table))
    drive(work(worker, until=lambda: good in world.handed_on()))
    (letter,) = letters(world)
    assert (letter.message_id, letter.code in {"VM-1307", "VM-1004"}) == (bad, True)
    assert world.handed_on() == [good]


def test_answers_that_cannot_be_kept_give_up_only_that_record(world: World) -> None:
    async def fetch(needs: Sequence[Need]) -> list[int]:
        return [2**70 for _ in needs]

    stage = copier(wants=lambda case, answers: (Need(kind="x", key="y"),), fetchers={"x": fetch})
    world.send(1)
    drive(work(world.worker(stage), until=lambda: bool(letters(world))))
    assert letters(world)[0].code == "VM-1307"


def test_state_that_an_oversize_outcome_would_have_moved_has_not_moved(world: World) -> None:
    seen: list[object] = []
    bad = world.case(1).message_id

    def outcome(case: Input, answers: Answers) -> Outcome | None:
        seen.append(answers[f"head:{case.key}"])
        if case.event.case.message_id != bad:
            return None
        moved = HeadMoved(case_id=case.key, newest=("1",), newest_message_id=bad)
        big = type(case.event)(case=world.case(1, "x" * (5 << 20)))
        head = Emit(topic=topic("case.head"), key=case.key, event=moved)
        return Done(events=(head, Emit(topic=topic("case.received.urgent"), key=case.key, event=big)))

    stage = copier(
        outcome, lambda case, answers: (Need(kind="head", key=case.key),), table_topic=topic("case.head")
    )
    key = f"{world.tag}/one"
    world.send(1, key=key)

    def sent_second() -> bool:
        if letters(world) and len(seen) == 1:
            world.send(2, key=key)
        return len(world.handed_on()) >= 1

    drive(work(world.worker(stage), until=sent_second))
    assert letters(world)[0].code == "VM-1005"
    assert seen[-1] is None


def test_a_setting_that_is_wrong_ends_the_process_and_gives_no_record_up(world: World) -> None:
    async def fetch(needs: Sequence[Need]) -> list[int]:
        raise Misconfigured("VM-1604", what="planted")

    stage = copier(wants=lambda case, answers: (Need(kind="x", key="y"),), fetchers={"x": fetch})
    sent = [world.send(n) for n in range(3)]
    with pytest.raises(Misconfigured):
        drive(work(world.worker(stage), until=lambda: bool(letters(world))))
    assert letters(world) == []
    drive(work(world.worker(copier()), until=lambda: len(world.handed_on()) >= 3))
    assert Counter(world.handed_on()) == Counter(sent)
