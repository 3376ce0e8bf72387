"""What differs between a cluster and the topics table, as values."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vigimesh.adapters.kafka.cluster.topics import (
    RECORD_MAX_BYTES,
    Found,
    Shape,
    drift,
    refuse_two_counts,
    settings_of,
)
from vigimesh.errors import Misconfigured
from vigimesh.events.topics import BY_NAME, TOPICS

SHAPE = Shape(partitions=6, replication=3)
WIDTHS = {topic.name: 1 if topic.partitions == "one" else 6 for topic in TOPICS}
GOOD = Found(
    partitions=WIDTHS,
    replicas={topic.name: 3 for topic in TOPICS},
    settings={topic.name: settings_of(topic, SHAPE) for topic in TOPICS},
)
AUDIT = "vigimesh.audit"


def test_a_cluster_as_the_table_says_has_no_drift() -> None:
    assert drift(GOOD, SHAPE) == ()


@pytest.mark.parametrize(
    ("found", "line"),
    [
        (
            replace(GOOD, partitions={k: v for k, v in WIDTHS.items() if k != AUDIT}),
            f"{AUDIT}: exists is no, wanted yes",
        ),
        (replace(GOOD, partitions={**WIDTHS, AUDIT: 5}), f"{AUDIT}: partitions is 5, wanted 6"),
        (replace(GOOD, replicas={**GOOD.replicas, AUDIT: 1}), f"{AUDIT}: replication is 1, wanted 3"),
        (
            replace(GOOD, settings={**GOOD.settings, AUDIT: {**GOOD.settings[AUDIT], "retention.ms": "1"}}),
            f"{AUDIT}: retention.ms is 1, wanted -1",
        ),
        (
            replace(GOOD, partitions={**WIDTHS, "vigimesh.throttle": 6}),
            "vigimesh.throttle: partitions is 6, wanted 1",
        ),
    ],
)
def test_each_difference_is_one_line(found: Found, line: str) -> None:
    assert [str(one) for one in drift(found, SHAPE)] == [line]


def test_nothing_is_deleted_by_age_or_size_and_time_is_the_brokers() -> None:
    for topic in TOPICS:
        settings = settings_of(topic, SHAPE)
        assert settings["retention.ms"] == settings["retention.bytes"] == "-1"
        assert settings["message.timestamp.type"] == "LogAppendTime"
        assert settings["max.message.bytes"] == str(RECORD_MAX_BYTES)
        assert settings["cleanup.policy"] == ("compact" if topic.policy == "compacted" else "delete")


@pytest.mark.parametrize(("replication", "in_sync"), [(1, "1"), (2, "1"), (3, "2"), (5, "2")])
def test_an_acknowledged_record_is_on_two_machines_where_there_are_three(
    replication: int, in_sync: str
) -> None:
    assert settings_of(BY_NAME[AUDIT], Shape(replication=replication))["min.insync.replicas"] == in_sync


def test_topics_are_not_created_beside_ones_of_another_width() -> None:
    with pytest.raises(Misconfigured, match="2 topics with 12"):
        refuse_two_counts({AUDIT: 12, "vigimesh.plan.hot": 12}, SHAPE)


@pytest.mark.parametrize("there", [{}, {AUDIT: 6}, {"vigimesh.throttle": 1}, dict.fromkeys(WIDTHS, 6)])
def test_equal_widths_may_be_completed(there: dict[str, int]) -> None:
    refuse_two_counts(there, SHAPE)
