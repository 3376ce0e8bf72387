"""A process that was suspended for longer than its session and its transaction may take changes nothing when it wakes."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import confluent_kafka as ck
import psutil
import pytest

import vigimesh
import worlds
from vigimesh.adapters.memory.registry import MemorySchemas
from vigimesh.app.devstack import Stack
from vigimesh.clock import Deadline, SystemClock
from vigimesh.events.classes import AuditRecorded
from vigimesh.events.codec import Codec
from vigimesh.events.topics import topic
from waiting import until
from worlds import KafkaWorld

pytestmark = pytest.mark.real

#: Seconds for another to take over: a session of 6 s, a transaction's 10 s and the broker's clean-up, on a busy machine.
WITHIN_S = 90.0

#: A worker of a group of the test's own. It stops itself before its third commit, its transaction open: with `written` with
#: all its records in it, with `queued` these mostly lie in the client yet.
PROCESS = """
    import asyncio, os, signal, sys
    from vigimesh.adapters.kafka.client import common
    from vigimesh.adapters.kafka.consumer import KafkaConsumer
    from vigimesh.adapters.kafka.producer import KafkaProducer
    from vigimesh.adapters.memory.registry import MemorySchemas
    from vigimesh.adapters.memory.telemetry import NoTelemetry
    from vigimesh.app.config.settings import WorkerSettings
    from vigimesh.app.workers.worker import Loop, leave, serve_loops
    from vigimesh.clock import SystemClock
    from vigimesh.events import ids
    from vigimesh.events.codec import Codec
    from vigimesh.loop.health import Health
    from vigimesh.loop.outcome import Done
    from vigimesh.loop.run import run
    from vigimesh.loop.worker import Worker
    from worlds import INPUT, copier

    bootstrap, group, instance, sleeps = sys.argv[1:]
    base, commits = common(bootstrap, {}), []

    class Producer(KafkaProducer):
        async def commit(self):
            commits.append(1)
            if sleeps and len(commits) == 3:
                if sleeps == "written":
                    self._live().flush(60)
                os.kill(os.getpid(), signal.SIGSTOP)
            await super().commit()

    health = Health(SystemClock())
    worker = Worker(
        stage=copier(lambda case, answers: Done(events=(), why="seen")), group=group, topics=(INPUT,), instance=instance,
        consumer=KafkaConsumer(base, group, (INPUT,), copartitioned=False),
        producers=(Producer(base, f"{group}.{instance}.a"), Producer(base, f"{group}.{instance}.b")),
        codec=Codec(MemorySchemas()), spill=ids.digest, telemetry=NoTelemetry(), health=health, clock=SystemClock(),
    )
    loop = Loop(name=group, work=lambda stop: asyncio.run(run(worker, stop)), health=health)
    leave(serve_loops([loop], NoTelemetry(), WorkerSettings()))
"""


@pytest.fixture
def world(applied_stack: Stack) -> Iterator[KafkaWorld]:
    kafka_world = KafkaWorld(Codec(MemorySchemas()), bootstrap=applied_stack.urls.kafka)
    yield kafka_world
    kafka_world.close()


class Processes:
    """Worker processes of the test's group; none outlives the test."""

    def __init__(self, world: KafkaWorld) -> None:
        self.world = world
        self.started: list[subprocess.Popen[str]] = []

    def start(self, instance: str, sleeps: str = "") -> subprocess.Popen[str]:
        paths = (Path(vigimesh.__file__).parent.parent, Path(worlds.__file__).parent)
        made = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(PROCESS), self.world.bootstrap, self.world.group, instance, sleeps],
            env={"PYTHONPATH": ":".join(map(str, paths))}, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.started.append(made)
        return made


@pytest.fixture
def processes(world: KafkaWorld) -> Iterator[Processes]:
    made = Processes(world)
    yield made
    for one in made.started:
        one.kill()
        one.communicate()


def audited(world: KafkaWorld) -> list[str]:
    """Return the message ids that were worked on, as often as they were."""
    name = topic("audit")
    found: list[AuditRecorded] = [world.codec.decode(name, r.value) for r in world.mine(name)]
    return [one.message_id for one in found]


def appended(world: KafkaWorld) -> int:
    """Return how many audit records were written, those of aborted transactions too."""
    starts = [ck.TopicPartition(n, p, o) for (n, p), o in world.starts.items() if n == topic("audit")]
    reader = ck.Consumer(
        {**world.base, "group.id": "vigimesh.test.appended", "isolation.level": "read_uncommitted", "enable.partition.eof": True}
    )  # fmt: skip
    reader.assign(starts)
    count, left, deadline = 0, len(starts), Deadline.after(SystemClock(), WITHIN_S)
    while left:
        assert not deadline.passed(), "the end of the topic was not reached"
        for message in reader.consume(500, 0.1):
            error = message.error()
            if error is None:
                count += world.tag.encode() in ((message.key() or b"") + (message.value() or b""))
            elif error.code() == ck.KafkaError._PARTITION_EOF:
                left -= 1
    reader.close()
    return count


@pytest.mark.parametrize("sleeps", ["written", "queued"])
def test_a_zombie_is_fenced_and_its_transaction_refused(
    world: KafkaWorld, processes: Processes, sleeps: str
) -> None:
    """Its transaction is refused, and the zombie ends; in doubt it renews its producers and goes on, as any member.

    In doubt it is on a busy machine, where its commit runs into a time-out first. Either way the transaction, which lies on
    the topic, counts for nothing.
    """
    sent: list[str] = []

    def more() -> None:
        sent.append(world.send(len(sent), partition=len(sent) % 4))

    def asleep() -> bool:
        # Records one by one, so that there is a third transaction.
        more()
        return psutil.Process(zombie.pid).status() == psutil.STATUS_STOPPED

    def all_done() -> bool:
        return len(audited(world)) >= len(sent)

    zombie = processes.start("zombie", sleeps)
    until(asleep, within_s=WITHIN_S, what="a worker in the midst of its third commit")
    assert len(audited(world)) < len(sent)

    heir = processes.start("heir")
    until(all_done, within_s=WITHIN_S, what="the other taking over")
    zombie.send_signal(signal.SIGCONT)
    for _ in range(20):
        more()
    until(all_done, within_s=WITHIN_S, what="work going on, whatever the zombie does")
    zombie.send_signal(signal.SIGTERM)
    _, said = zombie.communicate(timeout=WITHIN_S)
    assert zombie.returncode == 0 or (zombie.returncode == 1 and "VM-1303 fenced" in said)
    if sleeps == "written":
        assert appended(world) > len(sent), "what the zombie wrote must be there, and count for nothing"

    processes.start("zombie")
    for _ in range(20):
        more()
    until(all_done, within_s=WITHIN_S, what="both at work")
    heir.send_signal(signal.SIGTERM)
    heir.communicate(timeout=WITHIN_S)
    assert heir.returncode == 0
    for _ in range(20):
        more()
    until(all_done, within_s=WITHIN_S, what="the one that came back at work")
    assert Counter(audited(world)) == Counter(sent)
