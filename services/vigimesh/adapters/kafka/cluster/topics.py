"""Topics and consumer groups on a cluster: create what the table names, report what differs, give new groups a start."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

# Documented names of the package, which its types do not export.
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic  # type: ignore[attr-defined]

from vigimesh.adapters.kafka.client import asker
from vigimesh.clock import Deadline
from vigimesh.errors import Misconfigured, Transient, VigimeshError
from vigimesh.events.topics import TOPICS, Topic, groups

#: Largest record of every topic, 4 MiB: payloads above 64 KiB travel by digest, the rest is room for lists.
RECORD_MAX_BYTES = 4 * 1024 * 1024
#: Segment of a compacted topic, 64 MiB: only closed segments are cleaned, and a reader of state waits for what is not.
COMPACTED_SEGMENT_BYTES = 64 * 1024 * 1024
#: A tombstone stays seven days, so that a reader of state that was away for a week still sees it.
TOMBSTONE_MS = 7 * 24 * 3600 * 1000
#: A record of a compacted topic is cleaned within a day, so that parked and redriven events do not linger.
COMPACTION_LAG_MS = 24 * 3600 * 1000
#: Seconds for one request to the cluster, which answers in milliseconds; what fails is asked again until the deadline.
REQUEST_S = 5.0
#: Seconds between two tries of a request that may pass by itself.
PAUSE_S = 0.05
#: Groups that are asked about at once: each is a client with connections and threads of its own.
GROUPS_AT_ONCE = 6

_PASSING = {
    KafkaError._TIMED_OUT, KafkaError._TRANSPORT, KafkaError._ALL_BROKERS_DOWN, KafkaError._WAIT_COORD,
    KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE, KafkaError.UNKNOWN_TOPIC_OR_PART,
    KafkaError.COORDINATOR_NOT_AVAILABLE, KafkaError.COORDINATOR_LOAD_IN_PROGRESS, KafkaError.NOT_COORDINATOR,
    KafkaError.REQUEST_TIMED_OUT, KafkaError.NOT_CONTROLLER, KafkaError.NETWORK_EXCEPTION,
}  # fmt: skip
_OCCUPIED = {KafkaError.UNKNOWN_MEMBER_ID, KafkaError.NON_EMPTY_GROUP, KafkaError.REBALANCE_IN_PROGRESS}

T = TypeVar("T")
Spot = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """How wide the topics are. Every case-keyed topic has `partitions`; a topic of one partition has one."""

    partitions: int = 4
    replication: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """One thing that is not as the table says. `point` is `exists`, `partitions`, `replication`, `offsets` or a setting."""

    name: str
    point: str
    wanted: str
    found: str

    def __str__(self) -> str:
        """Say it in one line."""
        return f"{self.name}: {self.point} is {self.found}, wanted {self.wanted}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was made and what is still not as the table says."""

    created: tuple[str, ...] = ()
    initialised: tuple[str, ...] = ()
    drift: tuple[Drift, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a cluster holds: partitions and replicas per topic, its settings, and each group's committed offsets."""

    partitions: Mapping[str, int]
    replicas: Mapping[str, int]
    settings: Mapping[str, Mapping[str, str]]
    offsets: Mapping[str, frozenset[Spot]] = field(default_factory=dict)


def settings_of(topic: Topic, shape: Shape) -> dict[str, str]:
    """Return the topic's settings on the cluster: nothing is deleted by age or size, time is the broker's."""
    chosen = {
        "cleanup.policy": "compact" if topic.policy == "compacted" else "delete",
        "retention.ms": "-1",
        "retention.bytes": "-1",
        "message.timestamp.type": "LogAppendTime",
        "max.message.bytes": str(RECORD_MAX_BYTES),
        # An acknowledged record is on two machines wherever there are two.
        "min.insync.replicas": str(min(2, max(1, shape.replication - 1))),
    }
    if topic.policy == "compacted":
        chosen |= {
            "segment.bytes": str(COMPACTED_SEGMENT_BYTES),
            "delete.retention.ms": str(TOMBSTONE_MS),
            "max.compaction.lag.ms": str(COMPACTION_LAG_MS),
        }
    return chosen


def apply(connection: Mapping[str, Any], shape: Shape, deadline: Deadline) -> Report:
    """Create what is missing, give every group without an offset its start, and report what differs.

    `connection` are librdkafka settings (`bootstrap.servers`, security). Nothing that exists is changed: a partition
    count or policy is a person's to change, because keys would move. Raises `Misconfigured` VM-1007 before creating
    anything beside topics of another partition count, `Misconfigured` VM-1011 when a group with members lacks an
    offset, `Transient` VM-1301 when the cluster does not answer within the deadline.
    """
    cluster = _Cluster(connection, deadline)
    there = cluster.partitions()
    refuse_two_counts(there, shape)
    created = cluster.create([topic for topic in TOPICS if topic.name not in there], shape)
    found = cluster.look()
    initialised = cluster.initialise(found, frozenset(created))
    return Report(created=created, initialised=initialised, drift=drift(found, shape))


def check(connection: Mapping[str, Any], shape: Shape, deadline: Deadline) -> Report:
    """Report what differs, groups without offsets included; change nothing. Raises `Transient` VM-1301."""
    found = _Cluster(connection, deadline).look()
    lacking = tuple(
        Drift(name=group, point="offsets", wanted="one for every partition",
              found=f"none for {len(missing)} of {len(spots)}: run `vigimesh topics apply`")
        for group, spots in _group_spots(found.partitions)
        if (missing := spots - found.offsets[group])
    )  # fmt: skip
    return Report(drift=drift(found, shape) + lacking)


def drift(found: Found, shape: Shape) -> tuple[Drift, ...]:
    """Return what differs from the table (pure)."""
    lines: list[Drift] = []
    for topic in TOPICS:
        if topic.name not in found.partitions:
            lines.append(Drift(name=topic.name, point="exists", wanted="yes", found="no"))
            continue
        wide = 1 if topic.partitions == "one" else shape.partitions
        pairs = [("partitions", str(wide), str(found.partitions[topic.name])),
                 ("replication", str(shape.replication), str(found.replicas[topic.name]))]  # fmt: skip
        real = found.settings.get(topic.name, {})
        pairs += [
            (name, value, real.get(name, "unknown")) for name, value in settings_of(topic, shape).items()
        ]
        lines += [Drift(name=topic.name, point=p, wanted=w, found=f) for p, w, f in pairs if w != f]
    return tuple(lines)


def refuse_two_counts(there: Mapping[str, int], shape: Shape) -> None:
    """Raise `Misconfigured` VM-1007 when topics would be created beside case-keyed ones of another partition count (pure)."""
    counts = Counter(
        there[topic.name] for topic in TOPICS if topic.partitions == "case" and topic.name in there
    )
    missing = any(topic.name not in there for topic in TOPICS)
    if missing and counts and set(counts) != {shape.partitions}:
        said = ", ".join(f"{number} topics with {count}" for count, number in sorted(counts.items()))
        raise Misconfigured(
            "VM-1007", what=f"topics keyed by case exist with another partition count than {shape.partitions}: {said}",
            where="topics apply", todo="give --partitions as the cluster has it: equal counts keep a case on one worker",
        )  # fmt: skip


def _group_spots(partitions: Mapping[str, int]) -> Iterable[tuple[str, frozenset[Spot]]]:
    for group, names in groups():
        yield group, frozenset((name, number) for name in names for number in range(partitions.get(name, 0)))


class _Cluster:
    """The admin client; every question is asked again until the deadline, since a new cluster loses some."""

    def __init__(self, connection: Mapping[str, Any], deadline: Deadline) -> None:
        self._base = {"retry.backoff.ms": 20, "retry.backoff.max.ms": 200, **connection, "log_level": 0}
        self._client = AdminClient(self._base)
        self._where = str(connection.get("bootstrap.servers", ""))
        self._deadline = deadline

    def partitions(self) -> dict[str, int]:
        return {name: len(meta.partitions) for name, meta in self._metadata().items()}

    def create(self, missing: Sequence[Topic], shape: Shape) -> tuple[str, ...]:
        """Create topics; one that somebody else has just made counts as made."""
        if not missing:
            return ()
        wanted = [
            NewTopic(topic.name, num_partitions=1 if topic.partitions == "one" else shape.partitions,
                     replication_factor=shape.replication, config=settings_of(topic, shape))
            for topic in missing
        ]  # fmt: skip
        for name, future in self._client.create_topics(wanted, request_timeout=self._left()).items():
            try:
                future.result(self._left())
            except (KafkaException, TimeoutError) as error:
                if _code(error) != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise self._meaning(error, f"topic {name}") from error
        names = {topic.name for topic in missing}
        # The controller has answered; the broker shows a new topic a moment later.
        self._until(lambda: names <= self.partitions().keys(), "the new topics did not appear")
        return tuple(topic.name for topic in missing)

    def look(self) -> Found:
        meta = self._metadata()
        known = [topic.name for topic in TOPICS if topic.name in meta]
        partitions = {name: len(meta[name].partitions) for name in known}
        replicas = {name: min(len(p.replicas) for p in meta[name].partitions.values()) for name in known}
        return Found(
            partitions=partitions,
            replicas=replicas,
            settings=self._settings(known),
            offsets=self._committed(partitions),
        )

    def initialise(self, found: Found, created: frozenset[str] = frozenset()) -> tuple[str, ...]:
        """Commit each partition's log start for groups that have no offset there; it is 0 in topics that were just created."""
        lacking = {
            group: sorted(missing)
            for group, spots in _group_spots(found.partitions)
            if (missing := spots - found.offsets[group])
        }
        self._as_each(partial(_commit_starts, created), lacking)
        return tuple(lacking)

    def _committed(self, partitions: Mapping[str, int]) -> dict[str, frozenset[Spot]]:
        wanted = {group: sorted(spots) for group, spots in _group_spots(partitions)}
        asked = self._as_each(_spots_committed, {group: spots for group, spots in wanted.items() if spots})
        return {group: asked.get(group, frozenset()) for group in wanted}

    def _as_each(
        self, call: Callable[[Consumer, Sequence[Spot]], T], spots: Mapping[str, Sequence[Spot]]
    ) -> dict[str, T]:
        """Ask about groups, some at once: each waits for an answer of its own. Raises the error of the first that has one."""
        with ThreadPoolExecutor(GROUPS_AT_ONCE) as pool:
            return dict(
                zip(
                    spots,
                    pool.map(lambda group: self._as_group(group, call, spots[group]), spots),
                    strict=True,
                )
            )

    def _as_group(
        self, group: str, call: Callable[[Consumer, Sequence[Spot]], T], spots: Sequence[Spot]
    ) -> T:
        """Ask about a group by a consumer that never joins it, until it answers.

        The admin client's own question (`list_consumer_group_offsets` of confluent-kafka 2.16.0) kills the process
        with a memory error while a new cluster makes its offsets topic (measured: 6 of 6 starts).
        """
        consumer = asker(self._base, group)
        answers: list[T] = []

        def answered() -> bool:
            try:
                answers.append(call(consumer, spots))
            except KafkaException as error:
                self._raise_unless_passing(error, group)
            return bool(answers)

        try:
            self._until(answered, f"nothing about group {group}")
        finally:
            consumer.close()
        return answers[0]

    def _metadata(self) -> Mapping[str, Any]:
        found: list[Mapping[str, Any]] = []

        def answered() -> bool:
            try:
                found.append(self._client.list_topics(timeout=min(REQUEST_S, self._left())).topics)
            except KafkaException as error:
                self._raise_unless_passing(error, "the list of topics")
            return bool(found)

        self._until(answered, "no answer")
        return found[0]

    def _settings(self, names: Sequence[str]) -> dict[str, dict[str, str]]:
        asked = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in names]
        found: dict[str, dict[str, str]] = {}

        def answered() -> bool:
            for resource, future in self._client.describe_configs(asked, request_timeout=REQUEST_S).items():
                try:
                    entries = future.result(REQUEST_S + 1)
                    found[resource.name] = {name: str(entry.value) for name, entry in entries.items()}
                except (KafkaException, TimeoutError) as error:
                    self._raise_unless_passing(error, str(resource.name))
            return found.keys() >= set(names)

        if names:
            self._until(answered, "no settings of the topics")
        return found

    def _until(self, condition: Callable[[], bool], failure: str) -> None:
        while not condition():
            if self._deadline.passed():
                raise Transient("VM-1301", what=f"the Kafka cluster does not answer: {failure}", where=self._where,
                                todo="check its address and that it is up: `vigimesh stack status`")  # fmt: skip
            time.sleep(PAUSE_S)

    def _raise_unless_passing(self, error: BaseException, about: str) -> None:
        if _code(error) not in _PASSING:
            raise self._meaning(error, about) from error

    def _meaning(self, error: BaseException, about: str) -> VigimeshError:
        code = _code(error)
        if code in _PASSING:
            return Transient("VM-1301", what=f"the Kafka cluster does not answer for {about}", where=self._where,
                             todo="check its address and that it is up: `vigimesh stack status`")  # fmt: skip
        if code in _OCCUPIED:
            return Misconfigured("VM-1011", what=f"group {about} has members and lacks an offset for a partition", where=self._where,
                                 todo="stop its workers, run `vigimesh topics apply`, start them again")  # fmt: skip
        return Misconfigured("VM-1007", what=f"the cluster refused {about}: {error}", where=self._where,
                             todo="correct what it says (rights, replication beyond the number of brokers, a limit)")  # fmt: skip

    def _left(self) -> float:
        return max(0.1, self._deadline.left_s())


def _spots_committed(consumer: Consumer, spots: Sequence[Spot]) -> frozenset[Spot]:
    answer = _without_errors(consumer.committed([TopicPartition(*spot) for spot in spots], timeout=REQUEST_S))
    return frozenset((part.topic, part.partition) for part in answer if part.offset >= 0)


def _commit_starts(created: frozenset[str], consumer: Consumer, spots: Sequence[Spot]) -> bool:
    starts = []
    for name, number in spots:
        low = 0
        if name not in created:
            low, _ = consumer.get_watermark_offsets(TopicPartition(name, number), timeout=REQUEST_S)
        starts.append(TopicPartition(name, number, low))
    _without_errors(consumer.commit(offsets=starts, asynchronous=False))
    return True


def _without_errors(answer: Any) -> list[TopicPartition]:
    parts: list[TopicPartition] = list(answer or [])
    for part in parts:
        if part.error is not None:
            raise KafkaException(part.error)
    return parts


def _code(error: BaseException) -> int:
    if isinstance(error, TimeoutError):
        return int(KafkaError._TIMED_OUT)
    return int(error.args[0].code())
