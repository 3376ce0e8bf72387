"""What the doctor says of a cluster: all well, and each thing that is wrong, named with what to do."""

from __future__ import annotations

import struct
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from vigimesh.adapters.kafka.cluster.api_versions import features_in
from vigimesh.adapters.kafka.cluster.facts import ClusterFacts, Member, TopicFacts
from vigimesh.adapters.kafka.cluster.transaction_log import Transaction
from vigimesh.adapters.kafka.cluster.transactions import CLEANUP, Listing
from vigimesh.app.commands.doctor import _redis
from vigimesh.app.config.settings import Settings
from vigimesh.app.operators.doctor_rules import Finding, findings
from vigimesh.events.topics import TOPICS

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
GROUP = "vigimesh.planner.hot"

#: A broker with Kafka's own defaults, as an outside cluster has them.
DEFAULTS = {
    CLEANUP: "10000", "transaction.max.timeout.ms": "900000", "offsets.retention.minutes": "10080",
    "offset.metadata.max.bytes": "4096", "group.min.session.timeout.ms": "6000",
    "group.consumer.session.timeout.ms": "45000", "group.consumer.heartbeat.interval.ms": "5000",
    "group.consumer.min.session.timeout.ms": "45000", "group.consumer.max.session.timeout.ms": "60000",
    "message.max.bytes": "1048588", "unclean.leader.election.enable": "false", "auto.create.topics.enable": "true",
    "transaction.state.log.replication.factor": "3", "transaction.state.log.min.isr": "2",
}  # fmt: skip
GOOD = {
    **DEFAULTS, CLEANUP: "1000", "offsets.retention.minutes": "2147483647", "group.consumer.session.timeout.ms": "6000",
    "group.consumer.heartbeat.interval.ms": "1000", "auto.create.topics.enable": "false",
}  # fmt: skip
TOPIC = TopicFacts(
    partitions=4, replicas=3, settings={"max.message.bytes": str(4 << 20), "min.insync.replicas": "2"}
)


def cluster(**changes: Any) -> ClusterFacts:
    facts = ClusterFacts(
        brokers={1: GOOD, 2: GOOD, 3: GOOD}, features={"group.version": 1, "transaction.version": 2},
        topics={topic.name: replace(TOPIC, partitions=1) if topic.partitions == "one" else TOPIC for topic in TOPICS},
        members={GROUP: ()}, transactions=Listing(cleanup_ms=1_000), ahead_s=0.01, margin_s=0.02,
    )  # fmt: skip
    return replace(facts, **changes)


def brokers(**changes: str) -> dict[int, dict[str, str]]:
    """Return three brokers of which one has other settings; `_` stands for the dot in a name."""
    changed = {name.replace("_", "."): value for name, value in changes.items()}
    return {1: GOOD, 2: {**GOOD, **changed}, 3: GOOD}


def topics(name: str, **changes: Any) -> dict[str, TopicFacts]:
    return {**cluster().topics, name: replace(TOPIC, **changes)}


def wrong(facts: ClusterFacts) -> dict[str, Finding]:
    return {one.name: one for one in findings(facts, NOW) if one.state != "ok"}


def transaction(name: str, **changes: Any) -> Transaction:
    return Transaction(
        **{"id": name, "state": "empty", "producer_id": 1, "epoch": 0, "timeout_ms": 10_000, "updated_at": NOW,
           "started_at": None, **changes}
    )  # fmt: skip


def listing(*found: Transaction) -> Listing:
    return Listing(transactions={one.id: one for one in found}, cleanup_ms=1_000)


def test_a_good_cluster_is_all_ok_and_tells_nothing_to_do() -> None:
    found = findings(cluster(), NOW)
    assert [one for one in found if one.state != "ok" or one.todo] == []
    assert len({one.name for one in found}) == len(found)


def test_an_outside_cluster_with_kafkas_defaults_is_told_what_to_change() -> None:
    found = wrong(cluster(brokers={1: DEFAULTS, 2: DEFAULTS, 3: DEFAULTS}))
    assert set(found) == {
        CLEANUP,
        "offsets.retention.minutes",
        "group.consumer.*",
        "auto.create.topics.enable",
    }
    assert all(one.state == "warn" and one.todo for one in found.values())


@pytest.mark.parametrize(
    ("facts", "name", "state"),
    [
        (cluster(brokers=brokers(transaction_max_timeout_ms="5000")), "transaction.max.timeout.ms", "fail"),
        (cluster(brokers=brokers(offset_metadata_max_bytes="1024")), "offset.metadata.max.bytes", "fail"),
        (cluster(brokers=brokers(group_min_session_timeout_ms="30000")), "group.min.session.timeout.ms", "fail"),
        (cluster(brokers=brokers(unclean_leader_election_enable="true")), "unclean.leader.election.enable", "fail"),
        (cluster(features={"transaction.version": 2}), "group.version", "fail"),
        (cluster(features={"group.version": 1}), "transaction.version", "warn"),
        (cluster(topics=topics("vigimesh.audit", partitions=12)), "partitions of case-keyed topics", "fail"),
        (cluster(topics=topics("vigimesh.audit", settings={"max.message.bytes": "1048576", "min.insync.replicas": "2"})), "message.max.bytes", "fail"),
        (cluster(topics=topics("vigimesh.audit", replicas=1)), "min.insync.replicas", "fail"),
        (cluster(topics=topics("vigimesh.audit", replicas=2)), "min.insync.replicas", "warn"),
        (cluster(topics=topics("vigimesh.audit", settings={"max.message.bytes": "4194304", "min.insync.replicas": "1"})), "min.insync.replicas", "warn"),
        (cluster(ahead_s=-5.0), "clock", "warn"),
        (cluster(ahead_s=120.0), "clock", "fail"),
        (cluster(ahead_s=5.0, margin_s=4.5), "", ""),
        (cluster(transactions=listing(transaction("x", state="ongoing", started_at=NOW - timedelta(seconds=12)))), "open transactions", "warn"),
        (cluster(transactions=listing(transaction("x", state="ongoing", started_at=NOW - timedelta(seconds=10)))), "", ""),
    ],
)  # fmt: skip
def test_each_thing_that_is_wrong_is_named_with_what_to_do(
    facts: ClusterFacts, name: str, state: str
) -> None:
    found = wrong(facts)
    assert set(found) == ({name} if name else set())
    for one in found.values():
        assert one.state == state
        assert one.todo
        assert one.wanted


@pytest.mark.parametrize(
    ("members", "ids", "double"),
    [
        ([("planner-0", ""), ("planner-0", "")], (), True),
        ([("a", "planner-0"), ("b", "planner-0")], (), True),
        ([("planner-0", "planner-0"), ("planner-0", "planner-1")], (), False),
        # A client id that is the group's own tells nothing, the producers' ids do.
        ([(GROUP, ""), (GROUP, "")], (), False),
        ([(GROUP, ""), (GROUP, "")], (f"{GROUP}.0.a", f"{GROUP}.0.b"), True),
        ([(GROUP, ""), (GROUP, "")], (f"{GROUP}.0.a", f"{GROUP}.1.a", f"{GROUP}.1.b"), False),
    ],
)
def test_an_instance_name_used_twice_is_found(
    members: list[tuple[str, str]], ids: tuple[str, ...], double: bool
) -> None:
    there = {GROUP: tuple(Member(client_id=c, instance_id=i, host="h") for c, i in members)}
    found = wrong(cluster(members=there, transactions=listing(*map(transaction, ids))))
    assert set(found) == ({"instance names"} if double else set())


def test_a_broker_before_kafka_4_will_do_for_the_classic_protocol() -> None:
    old = cluster(features={"transaction.version": 1})
    assert [one.name for one in findings(old, NOW) if one.state == "fail"] == ["group.version"]
    names = {one.name for one in findings(old, NOW, "classic")}
    assert all(one.state == "ok" for one in findings(old, NOW, "classic"))
    assert {"group.version", "group.consumer.*"}.isdisjoint(names)


@pytest.mark.parametrize("model", ["large_model", "small_model"])
def test_who_pays_for_a_model_is_told_that_the_budget_has_no_store(model: str) -> None:
    plain = Settings()
    assert _redis(plain).state == "ok"
    chosen = replace(getattr(plain, model), base_url="https://models.example/v1", name="m-1")
    found = _redis(replace(plain, **{model: chosen}))
    assert found.state == "fail"
    assert "VIGIMESH_REDIS_URL" in found.found + found.todo


def test_what_was_not_told_is_never_taken_for_good() -> None:
    said = "TOPIC_AUTHORIZATION_FAILED"
    facts = ClusterFacts(
        brokers={1: {}},
        untold={
            "settings of brokers": said,
            "settings of topics": said,
            "members of groups": said,
            "transactions": said,
        },
    )
    found = wrong(facts)
    assert len(found) == 12
    assert all(one.state == "warn" and "not told" in one.found for one in found.values())
    assert said in found["clock"].found


#: A real broker's answer (Kafka 4.4), all but one of its calls and two of its features left out.
ANSWER = bytes.fromhex(
    "0000" "02" "00000000000d00" "00000000" "02" "01080000000000000708"
    "022d030e67726f75702e76657273696f6e0001000100147472616e73616374696f6e2e76657273696f6e0002000200"
)  # fmt: skip


def test_the_features_of_a_broker_are_read_from_its_answer() -> None:
    assert features_in(ANSWER) == {"group.version": 1, "transaction.version": 2}


def test_an_answer_that_is_cut_off_is_refused() -> None:
    for size in range(len(ANSWER)):
        with pytest.raises((IndexError, ValueError, struct.error)):
            features_in(ANSWER[:size])


def test_an_error_of_the_broker_is_no_list_of_features() -> None:
    with pytest.raises(ValueError, match="error 35"):
        features_in(b"\x00\x23" + ANSWER[2:])
