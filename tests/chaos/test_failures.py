"""Failures that others had with transactions, each made to happen on a real broker."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import confluent_kafka as ck
import pytest

from chaos import wire
from chaos.feed import COLD_EVERY, lines, literature, send
from chaos.proxy import Link, Proxy
from chaos.rig import Rig, bare, says
from chaos.story import tell
from vigimesh.adapters.kafka import producer as kafka_producer
from vigimesh.adapters.kafka.client import CALL_S, common
from vigimesh.adapters.kafka.history import bounds, scan
from vigimesh.adapters.memory.registry import MemorySchemas
from vigimesh.app.devstack import Stack
from vigimesh.app.mesh.fleet import Program
from vigimesh.app.mesh.reckoning import account
from vigimesh.clock import Deadline, SystemClock
from vigimesh.errors import Transient
from vigimesh.events.codec import Codec
from vigimesh.events.topics import LANES, lane_topic, topic
from vigimesh.loop.broker import Write
from vigimesh.loop.worker import STUCK_S
from waiting import WAIT_S, until
from worlds import KafkaWorld, copier, drive, work

pytestmark = pytest.mark.real

#: Records of a test in a world of its own.
RECORDS = 40
#: Seconds that an open transaction of a dead producer may hold readers up: its time-out, the broker's clean-up interval
#: (1 s in the embedded stack), and room for a busy machine.
OPEN_S = 10.0 + 1.0 + 5.0


@pytest.fixture
def link(applied_stack: Stack) -> Iterator[Link]:
    """A way of its own to the session's broker."""
    with Proxy(int(applied_stack.urls.kafka.rpartition(":")[2])) as proxy:
        yield proxy.link("worker")


@pytest.fixture
def world(link: Link) -> Iterator[KafkaWorld]:
    made = KafkaWorld(Codec(MemorySchemas()), bootstrap=link.address)
    yield made
    made.close()


def test_a_late_request_to_end_a_transaction_does_not_end_the_next_one(link: Link, world: KafkaWorld) -> None:
    """The request arrives when the next transaction of the same id has begun: the broker refuses its old epoch."""
    sent = [world.send(number, partition=number % 4) for number in range(RECORDS)]
    hold = link.hold_commit()
    drive(
        work(
            world.worker(copier()),
            until=lambda: hold.answered.is_set() and len(world.handed_on()) >= RECORDS,
        )
    )
    assert hold.held.is_set()
    assert hold.error in wire.FENCED
    assert sorted(world.handed_on()) == sorted(sent)


def test_a_producer_whose_broker_was_away_at_its_start_is_not_fenced_by_its_own_first_try(
    link: Link, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client goes on asking for an epoch after its call has timed out: a second one beside it would fence the first."""
    made: list[ck.Producer] = []

    class Counted(ck.Producer):
        def __init__(self, settings: dict[str, Any]) -> None:
            super().__init__(settings)
            made.append(self)

    monkeypatch.setattr(ck, "Producer", Counted)
    producer = kafka_producer.KafkaProducer(common(link.address, {}), "vigimesh.test.late")

    async def body() -> None:
        link.cut(down=True)
        monkeypatch.setattr(kafka_producer, "CALL_S", 0.5)
        for _ in range(3):
            with pytest.raises(Transient):
                await producer.renew()
        monkeypatch.setattr(kafka_producer, "CALL_S", CALL_S)
        link.up()
        await producer.renew()
        producer.begin()
        producer.write(Write(topic=topic("audit"), key=b"late", value=b""))
        await producer.commit()
        await producer.close()

    asyncio.run(body())
    assert len(made) == 1


def test_a_slow_transaction_is_not_overtaken_by_the_next_with_the_same_key(
    link: Link, world: KafkaWorld
) -> None:
    """Two producers take turns: what the second writes of a key must not be appended before what the first wrote."""
    # Longer than records wait for company (0.5 s), and shorter than what makes a transaction doubtful.
    link.delays[".a", wire.ADD_PARTITIONS] = 1.5
    sent = [world.send(0, partition=0, key="same")]

    def next_when_read() -> bool:
        """Send the next version once the transaction of the one before is under way, so that each gets its own."""
        if len(sent) < 4 and link.asked[wire.ADD_PARTITIONS] + link.asked[wire.ADD_OFFSETS] >= len(sent):
            sent.append(world.send(len(sent), partition=0, key="same"))
        return len(world.handed_on()) >= 4

    drive(work(world.worker(copier()), until=next_when_read, within_s=WAIT_S))
    assert world.handed_on() == sent


@pytest.fixture(scope="module")
def half() -> Iterator[Rig]:
    """A stack of its own with a router and the hot planner; what else a test needs it starts itself."""
    with bare(disk=False) as made:
        programs = made.programs("0", ("router", "planner"))
        running = {name: program for name, program in programs.items() if name in ("router", "planner.hot")}
        with made.fleet("0", running) as fleet:
            fleet.wait_ready(Deadline.after(SystemClock(), 2 * WAIT_S))
            made.waiting = {name: program for name, program in programs.items() if name not in running}
            yield made


def routed(rig: Rig) -> Counter[str]:
    """Count the plans of each message."""
    return Counter(row.headers.messageid for row in scan(rig.bootstrap, plans()))


def plans() -> list[str]:
    return [lane_topic("plan", lane) for lane in LANES]


def answered(question: Callable[[], bool]) -> Callable[[], bool]:
    """Return a condition that is not met while the broker is away."""

    def asked() -> bool:
        try:
            return question()
        except Transient:
            return False

    return asked


def kill_broker_at(rig: Rig, key: int, name: str = "router.0") -> Callable[[], bool]:
    """Kill the broker when the next such request passes; return whether it was."""
    link, pid, killed = rig.proxy.links[name], rig.broker_pid(), list[int]()
    assert pid

    def watch(request: wire.Request) -> None:
        if request.key == key and not killed:
            killed.append(pid)
            os.kill(pid, signal.SIGKILL)

    link.watch = watch
    return lambda: bool(killed)


def batch(number: int, size: int = 20) -> list[str]:
    """Return lines that no other batch has, all of the hot lane."""
    first = 1_000_000 + 10_000 * number + 1
    return [one for at in range(size) for one in lines(first + at * COLD_EVERY)]


@pytest.mark.parametrize(
    "key", [wire.ADD_PARTITIONS, wire.END_TXN], ids=["at its first record", "at its end"]
)
def test_messages_reported_as_delivered_survive_a_broker_that_restarts_in_mid_transaction(
    half: Rig, key: int
) -> None:
    sent = send(half.bootstrap, half.settings, half.codec, batch(key))
    until(answered(lambda: sent <= routed(half).keys()), what="all routed")
    killed = kill_broker_at(half, key)
    more = send(half.bootstrap, half.settings, half.codec, batch(key + 100))
    until(killed, what="a transaction under way")
    until(answered(lambda: more <= routed(half).keys()), within_s=STUCK_S + WAIT_S, what="all routed")
    once_each(half, sent | more)


def test_sending_offsets_to_a_coordinator_that_is_gone_holds_nobody_up(half: Rig) -> None:
    """The client's call may never return: the worker then ends by itself, is started again, and goes on."""
    killed = kill_broker_at(half, wire.TXN_OFFSET_COMMIT)
    sent = send(half.bootstrap, half.settings, half.codec, batch(1))
    until(killed, what="offsets under way")
    until(answered(lambda: sent <= routed(half).keys()), within_s=STUCK_S + WAIT_S, what="all routed")
    until(lambda: says(half.urls()["router.0"], "/readyz") == 200, what="a ready router")
    once_each(half, sent)


def once_each(rig: Rig, sent: set[str]) -> None:
    """Assert that each message was routed exactly once, and that the checker finds no fault."""
    found = routed(rig)
    assert {message: found[message] for message in sent if found[message] != 1} == {}
    check = account(rig.bootstrap, rig.codec, drained=False).check
    for told in tell(rig.bootstrap, rig.codec, check):
        print(told)
    assert (check.lost, check.duplicated, check.torn, check.out_of_order) == (0, 0, 0, 0)


@contextmanager
def process_of(program: Program) -> Iterator[subprocess.Popen[bytes]]:
    """Run a worker that nobody starts again."""
    for folder in (program.log.parent, program.port_file.parent):
        folder.mkdir(parents=True, exist_ok=True)
    program.port_file.unlink(missing_ok=True)
    with program.log.open("ab") as log:
        process = subprocess.Popen(program.argv, env=dict(program.environment), stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def held_back(rig: Rig, name: str) -> int:
    """Return how many offsets of a topic a reader of committed records does not come to."""
    asking = ck.Consumer(
        {
            "bootstrap.servers": rig.bootstrap,
            "group.id": "vigimesh.test.ends",
            "isolation.level": "read_uncommitted",
        }
    )
    try:
        ends = {part: end for part, (_, end) in bounds(rig.bootstrap, [name]).items()}
        return sum(
            asking.get_watermark_offsets(ck.TopicPartition(*part), timeout=WAIT_S)[1] - end
            for part, end in ends.items()
        )
    finally:
        asking.close()


def test_a_dead_producers_open_transaction_holds_readers_up_no_longer_than_its_time_out(half: Rig) -> None:
    """The cold planner dies in mid-transaction and never comes back; the hot one does not notice."""
    cold, hot = lane_topic("retrieve", "cold"), lane_topic("retrieve", "hot")
    program, link = half.waiting["planner.cold"], half.proxy.links["planner.cold.0"]
    with process_of(program) as process:
        until(program.port_file.exists, what="a cold planner")
        port = program.port_file.read_text(encoding="ascii").strip()
        until(lambda: says(f"http://127.0.0.1:{port}", "/readyz") == 200, what="ready")
        # Once before, so that the hot lane's way is known to be free and nothing in it starts for the first time below.
        begun = committed(half, hot)
        first = send(half.bootstrap, half.settings, half.codec, batch(7))
        until(lambda: committed(half, hot) >= begun + len(first), what="hot plans before")
        # Positions alone are committed every few seconds, too: what is held must have records. The worker's next transaction,
        # begun while this one ends, must not free it: it would commit before anyone has looked.
        hold = link.hold_commit(of_records=True, for_good=True)
        send(half.bootstrap, half.settings, half.codec, [literature(number) for number in range(40)])
        assert hold.held.wait(WAIT_S)
        process.kill()
        died_s = time.monotonic()
        link.cut(down=True)
    before = committed(half, hot)
    sent = send(half.bootstrap, half.settings, half.codec, batch(2))
    until(lambda: committed(half, hot) >= before + len(sent), within_s=OPEN_S, what="hot plans")
    # Certain is only that it was open when a look began that found it so: one look may take seconds.
    looks_s = [0.0]

    def ended() -> bool:
        began_s = time.monotonic()
        if held_back(half, cold) == 0:
            return True
        looks_s.append(began_s - died_s)
        return False

    until(ended, within_s=2 * OPEN_S, what="no open transaction")
    assert len(looks_s) > 1, "the hot lane waited for the dead cold worker"
    assert max(looks_s) < OPEN_S


def committed(rig: Rig, name: str) -> int:
    """Return how many records of a topic a reader of committed ones finds."""
    return sum(1 for _ in scan(rig.bootstrap, [name]))
