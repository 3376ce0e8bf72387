"""Kafka of the embedded stack: one KRaft node, broker and controller in one process, on loopback."""

from __future__ import annotations

import base64
import shutil
import uuid
from collections.abc import Mapping

from vigimesh.app.devstack.plan import Plan
from vigimesh.app.devstack.probes import kafka_answers
from vigimesh.app.devstack.service import Command, Service
from vigimesh.app.devstack.sockets import LOOPBACK

#: Heap: 80 topics x 4 partitions and 20 transactional clients used 29 % of the old generation of 256 MB (measured).
HEAP_MB = 256

#: Heap of the tool that formats a new log folder.
FORMAT_HEAP_MB = 128

#: Largest record batch the broker takes, 4 MiB: payloads above 64 KiB travel by digest, the rest is room for batches.
MESSAGE_MAX_BYTES = 4 * 1024 * 1024

#: Draws of a cluster id; one in 64 begins with `-`, which the format tool would take for an option.
ID_DRAWS = 100


def service(plan: Plan) -> Service:
    """Return how to run Kafka."""
    home = plan.data / "kafka"
    settings = home / "server.properties"
    classpath = ":".join(plan.classpath)
    java = (plan.java, "-XX:+UseSerialGC", "-XX:-UsePerfData", f"-Djava.io.tmpdir={plan.temporary}")

    def tidy() -> None:
        home.mkdir(exist_ok=True)
        settings.write_text(
            "".join(f"{name}={value}\n" for name, value in properties(plan).items()), encoding="utf-8"
        )

    def clear() -> None:
        shutil.rmtree(home / "logs", ignore_errors=True)

    return Service(
        name="kafka",
        prepare=Command(
            argv=(
                *java,
                f"-Xmx{FORMAT_HEAP_MB}m",
                "-XX:TieredStopAtLevel=1",
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
                f"-Xms{HEAP_MB}m",
                f"-Xmx{HEAP_MB}m",
                # The second compiler took 11 of the broker's 28 CPU seconds in a run of 10,000 cases, on two cores that
                # the workers need; in one that lives for many minutes it saves half of what a transaction costs.
                *(() if plan.lasting else ("-XX:TieredStopAtLevel=1",)),
                "-XX:+ExitOnOutOfMemoryError",
                "--enable-native-access=ALL-UNNAMED",
                "--sun-misc-unsafe-memory-access=allow",
                "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
                "-Dorg.slf4j.simpleLogger.showDateTime=true",
                "-cp",
                classpath,
                "kafka.Kafka",
                str(settings),
            ),
            folder=plan.data,
        ),
        answers=lambda: kafka_answers(plan.urls().kafka),
        log=plan.logs / "kafka.log",
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
        # A killed broker's place is free again only then: by default 9 s, in which its successor waits.
        "broker.heartbeat.interval.ms": "500",
        "broker.session.timeout.ms": "4000",
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
