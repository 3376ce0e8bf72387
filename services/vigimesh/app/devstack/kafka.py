"""Kafka of the embedded stack: one KRaft node, broker and controller in one process, on loopback."""

from __future__ import annotations

import base64
import shutil
import time
import uuid
from collections.abc import Mapping
from pathlib import Path

from vigimesh.app.devstack.plan import Plan
from vigimesh.app.devstack.probes import kafka_answers
from vigimesh.app.devstack.service import Command, Service
from vigimesh.app.devstack.sockets import LOOPBACK

#: Heap: 80 topics x 4 partitions and 20 transactional clients used 29 % of the old generation of 256 MB (measured).
HEAP_MB = 256

#: Heap of what runs for a moment only: the tool that formats a new log folder, and the controller alone.
ONCE_HEAP_MB = 128

#: What every Java program here is told. Only what opens the same of the runtime as the broker takes the cache made by it.
JAVA = (
    "-XX:+UseSerialGC",
    "-XX:-UsePerfData",
    "--enable-native-access=ALL-UNNAMED",
    "--sun-misc-unsafe-memory-access=allow",
)

#: Largest record batch the broker takes, 4 MiB: payloads above 64 KiB travel by digest, the rest is room for batches.
MESSAGE_MAX_BYTES = 4 * 1024 * 1024

#: Milliseconds after which the controller, run alone, takes the broker for gone: nobody sends it any sign of life.
GONE_AFTER_MS = 100

#: Classes of the controller that say what `Fencing` reads.
TELLING = ("ReplicationControlManager", "PeriodicTaskControlManager")

#: Seconds after which a controller that is active and says nothing had nothing to do.
SILENT_S = 3.0

#: Draws of a cluster id; one in 64 begins with `-`, which the format tool would take for an option.
ID_DRAWS = 100


def service(plan: Plan) -> Service:
    """Return how to run Kafka."""
    home = plan.data / "kafka"
    settings, alone = home / "server.properties", home / "controller.properties"
    fencing = Fencing(plan.logs / "kafka.log", home / "logs" / "__cluster_metadata-0")
    classpath = ":".join(plan.classpath)
    java = (plan.java, *JAVA, f"-Djava.io.tmpdir={plan.temporary}")
    once = (*java, *plan.java_options.get("once", ()), f"-Xmx{ONCE_HEAP_MB}m", "-XX:TieredStopAtLevel=1")

    def tidy() -> None:
        home.mkdir(exist_ok=True)
        for file, values in ((settings, properties(plan)), (alone, controller_properties(plan))):
            file.write_text("".join(f"{name}={value}\n" for name, value in values.items()), encoding="utf-8")
        fencing.begin()

    def clear() -> None:
        shutil.rmtree(home / "logs", ignore_errors=True)

    return Service(
        name="kafka",
        prepare=Command(
            argv=(
                *once,
                "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
                "-cp",
                classpath,
                "kafka.tools.StorageTool",
                "format",
                "-t",
                new_cluster_id(),
                "-c",
                str(settings),
                "--standalone",
            ),
            folder=plan.data,
        ),
        prepared=home / "formatted",
        clear=clear,
        tidy=tidy,
        command=Command(
            argv=(
                *java,
                *plan.java_options.get("kafka", ()),
                f"-Xms{HEAP_MB}m",
                f"-Xmx{HEAP_MB}m",
                # The second compiler takes some 15 CPU seconds, on two cores that the workers need, and a third off what a
                # transaction costs: with the profiles of `prime` it has paid back after 12,000 of them, without twice as late.
                *(() if plan.lasting else ("-XX:TieredStopAtLevel=1",)),
                "-XX:+ExitOnOutOfMemoryError",
                "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
                "-Dorg.slf4j.simpleLogger.showDateTime=true",
                "-cp",
                classpath,
                "kafka.Kafka",
                str(settings),
            ),
            folder=plan.data,
        ),
        repair=repair(plan, once, classpath, alone),
        damaged=lambda: was_killed(home / "logs"),
        repaired=fencing.done,
        answers=lambda: kafka_answers(plan.urls().kafka),
        log=plan.logs / "kafka.log",
    )


def repair(plan: Plan, java: tuple[str, ...], classpath: str, alone: Path) -> Command:
    """Return how to run the controller alone, so that it fences the broker that was killed."""
    return Command(
        argv=(
            *java,
            "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
            *(f"-Dorg.slf4j.simpleLogger.log.org.apache.kafka.controller.{name}=info" for name in TELLING),
            "-cp",
            classpath,
            "kafka.Kafka",
            str(alone),
        ),
        folder=plan.data,
    )


def properties(plan: Plan) -> Mapping[str, str]:
    """Return the broker's settings; those beyond a plain single node say why."""
    return {
        "process.roles": "broker,controller",
        "node.id": "1",
        "listeners": f"PLAINTEXT://{LOOPBACK}:{plan.kafka_port},CONTROLLER://{LOOPBACK}:{plan.controller_port}",
        "advertised.listeners": (
            f"PLAINTEXT://{LOOPBACK}:{plan.kafka_port},CONTROLLER://{LOOPBACK}:{plan.controller_port}"
        ),
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "PLAINTEXT",
        "controller.listener.names": "CONTROLLER",
        "controller.quorum.bootstrap.servers": f"{LOOPBACK}:{plan.controller_port}",
        "log.dirs": _escaped(str(plan.data / "kafka" / "logs")),
        # One node: every internal topic has one replica.
        "default.replication.factor": "1",
        "min.insync.replicas": "1",
        "offsets.topic.replication.factor": "1",
        "transaction.state.log.replication.factor": "1",
        "transaction.state.log.min.isr": "1",
        "share.coordinator.state.topic.replication.factor": "1",
        "share.coordinator.state.topic.min.isr": "1",
        "share.coordinator.state.topic.num.partitions": "2",
        "offsets.topic.num.partitions": "8",
        "transaction.state.log.num.partitions": "8",
        # Topics come from the topics table only; a misspelt name must fail.
        "auto.create.topics.enable": "false",
        # A group's first member need not wait for others.
        "group.initial.rebalance.delay.ms": "0",
        # The default takes 128 MB of heap.
        "log.cleaner.dedupe.buffer.size": "4194304",
        # Adds to the time a dead producer blocks readers: 10 s by default, measured 14.9 s with a 5 s transaction.
        "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
        # Nobody could take over from the only broker: fenced because the machine was busy for 9 s, it would lose all
        # partitions, and what ends a transaction in that moment (see `Fencing`).
        "broker.heartbeat.interval.ms": "500",
        "broker.session.timeout.ms": "60000",
        # KIP-848 timings are the broker's: 45 s and 5 s by default.
        "group.consumer.min.session.timeout.ms": "6000",
        "group.consumer.session.timeout.ms": "6000",
        "group.consumer.min.heartbeat.interval.ms": "500",
        "group.consumer.heartbeat.interval.ms": "1000",
        # A group scaled to nothing would lose its offsets after a week; this is the largest value.
        "offsets.retention.minutes": "2147483647",
        # Nothing expires unless its topic says so.
        "log.retention.ms": "-1",
        # Waiting times are measured from the moment the broker took a record.
        "log.message.timestamp.type": "LogAppendTime",
        "message.max.bytes": str(MESSAGE_MAX_BYTES),
        "replica.fetch.max.bytes": str(MESSAGE_MAX_BYTES),
    }


def controller_properties(plan: Plan) -> Mapping[str, str]:
    """Return the settings of the controller alone, for as long as it takes to see that the broker is gone."""
    broker_only = ("advertised.listeners", "inter.broker.listener.name")
    return {
        **{name: value for name, value in properties(plan).items() if name not in broker_only},
        "process.roles": "controller",
        "listeners": f"CONTROLLER://{LOOPBACK}:{plan.controller_port}",
        "broker.session.timeout.ms": str(GONE_AFTER_MS),
        "broker.heartbeat.interval.ms": str(GONE_AFTER_MS // 2),
    }


def was_killed(logs: Path) -> bool:
    """Return whether a broker has run on these logs that did not stop in its own way."""
    return (logs / "recovery-point-offset-checkpoint").exists() and not (
        logs / ".kafka_cleanshutdown"
    ).exists()


class Fencing:
    """Reads in the log whether the controller, run alone, has taken all partitions from the broker that was killed.

    A broker that is killed and started again would find itself leader of everything, as it was, take up its transactions,
    and lose all partitions a moment later when the controller notices that it is a new one. What ends a transaction in that
    moment is not written to partitions without a leader: Kafka 4.4 takes them for deleted, and calls the transaction
    complete. It is then committed in one partition and not in another. With no leaders from the start there is no such moment.
    """

    def __init__(self, log: Path, metadata: Path) -> None:
        """`log` is what the controller says, `metadata` the folder of its own records."""
        self._log, self._metadata = log, metadata
        self._from = 0
        self._active_s: float | None = None
        self._size: int | None = None

    def begin(self) -> None:
        """Look only at what is said from now on."""
        self._from = self._log.stat().st_size if self._log.exists() else 0
        self._active_s = self._size = None

    def done(self) -> bool:
        """Return whether the broker is fenced; or was before, so that nothing was said soon after the controller was active."""
        with self._log.open("rb") as source:
            source.seek(self._from)
            said = source.read()
        if self._active_s is None and b"Activated periodic tasks" in said:
            self._active_s = time.monotonic()
        written = sum(file.stat().st_size for file in self._metadata.glob("*.log"))
        if self._size is None and b"Fencing broker" in said:
            # It is said before it is written. Records are written in turn, one that says nothing twice a second.
            self._size = written
        silent = self._active_s is not None and time.monotonic() - self._active_s > SILENT_S
        return silent or (self._size is not None and written > self._size)


def new_cluster_id() -> str:
    """Return a random cluster id, 22 characters of URL-safe base64, not beginning with `-`."""
    for _ in range(ID_DRAWS):
        drawn = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not drawn.startswith("-"):
            return drawn
    raise AssertionError("a hundred ids in a row began with a dash")


def _escaped(path: str) -> str:
    """Return a path as a value of a properties file, where a backslash begins an escape."""
    return path.replace("\\", "\\\\")
