"""How a client becomes a member of a group: its settings, by group protocol."""

from __future__ import annotations

from typing import Any, Literal

from vigimesh.adapters.kafka.client import RECORD_BYTES

#: Which group protocol: `consumer` is KIP-848, of Kafka 4; `classic` works everywhere.
Protocol = Literal["consumer", "classic"]
#: A session of the classic protocol, seconds: as long as that of KIP-848 is set on the embedded broker, and some more.
_SESSION_MS, _HEARTBEAT_MS = 10_000, 1_000
#: Bytes that a partition's answer may have where urgent and other topics share the client's queue: what lies there of a
#: backlog is in the way, and is fetched again once its topic was stopped. A larger record comes alone.
_SHARED_FETCH_BYTES = 256 * 1024
#: Milliseconds that a partition is not asked for while the queue is full. It is one queue for all of them, so that at the
#: client's own 1,000 an urgent record waits a second whenever a backlog has filled it.
_FULL_MS = 5


def member_settings(group: str, *, copartitioned: bool, protocol: Protocol, member: str) -> dict[str, Any]:
    """Return what the client is set to as one of a group's members; settings as measured (see docs/decisions).

    With `copartitioned` the assignor gives partition i of every topic to one member; `member` names a static one.
    """
    chosen: dict[str, Any] = {
        **joining(protocol, copartitioned=copartitioned),
        "group.id": group,
        "enable.auto.commit": False,
        "enable.partition.eof": True,
        "isolation.level": "read_committed",
        "auto.offset.reset": "error",
        "fetch.wait.max.ms": 100,
        "fetch.message.max.bytes": _SHARED_FETCH_BYTES if copartitioned else RECORD_BYTES,
        "fetch.queue.backoff.ms": _FULL_MS,
        "queued.max.messages.kbytes": 16_384,
        "client.id": group,
    }
    if member:
        chosen["group.instance.id"] = f"{group}.{member}"
    return chosen


def joining(protocol: Protocol, *, copartitioned: bool = False) -> dict[str, Any]:
    """Return how a member joins, and who shares the partitions out."""
    if protocol == "consumer":
        assignor = "range" if copartitioned else "uniform"
        return {"group.protocol": protocol, "group.remote.assignor": assignor}
    # Eager `range` revokes everything at each rebalance, long calls too: only where partitions must go together.
    strategy = "range" if copartitioned else "cooperative-sticky"
    return {
        "group.protocol": protocol, "partition.assignment.strategy": strategy, "session.timeout.ms": _SESSION_MS,
        "heartbeat.interval.ms": _HEARTBEAT_MS,
    }  # fmt: skip
