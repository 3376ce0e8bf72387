"""What a cluster is like: its brokers' settings, its topics, who is in which group, how its clock stands to ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import confluent_kafka as ck
from confluent_kafka.admin import AdminClient, ConfigResource  # type: ignore[attr-defined]  # exported, undeclared

from vigimesh.adapters.kafka.client import away
from vigimesh.adapters.kafka.cluster.api_versions import features
from vigimesh.adapters.kafka.cluster.transactions import Listing, listing
from vigimesh.clock import Clock
from vigimesh.errors import VigimeshError
from vigimesh.events.topics import BY_NAME, groups

#: Seconds one question to the cluster may take.
ASK_S = 15.0
#: Transactional id whose beginning tells the broker's time; it writes nothing.
DOCTOR = "vigimesh.doctor"


@dataclass(frozen=True, slots=True, kw_only=True)
class TopicFacts:
    """A topic as it is: `replicas` the least of its partitions, `settings` those of the topic, defaults included."""

    partitions: int
    replicas: int
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A member of a consumer group, as it named itself."""

    client_id: str
    instance_id: str
    host: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterFacts:
    """What was found. What could not be asked is empty or `None`, and `untold` says why."""

    brokers: Mapping[int, Mapping[str, str]] = field(default_factory=dict)
    features: Mapping[str, int] | None = None
    topics: Mapping[str, TopicFacts] = field(default_factory=dict)
    members: Mapping[str, tuple[Member, ...]] = field(default_factory=dict)
    transactions: Listing | None = None
    #: Seconds by which the broker's clock is ahead of this machine's, and how far off that may be.
    ahead_s: float | None = None
    margin_s: float = 0.0
    untold: Mapping[str, str] = field(default_factory=dict)


def look(base: Mapping[str, Any], clock: Clock) -> ClusterFacts:
    """Look at a cluster; nothing is changed but the state of the transactional id `DOCTOR`.

    Raises `Transient` VM-1301 when no broker answers. A question that is refused is left out and told in `untold`.
    """
    admin = AdminClient(dict(base))
    try:
        meta = admin.list_topics(timeout=ASK_S)
    except ck.KafkaException as error:
        raise away(error, str(base.get("bootstrap.servers", ""))) from error
    untold: dict[str, str] = {}
    brokers = _settings(admin, ConfigResource.Type.BROKER, [str(n) for n in meta.brokers], untold)
    ours = [name for name in meta.topics if name in BY_NAME]
    kept = _settings(admin, ConfigResource.Type.TOPIC, ours, untold)
    topics = {
        name: TopicFacts(
            partitions=len(meta.topics[name].partitions),
            replicas=min((len(p.replicas) for p in meta.topics[name].partitions.values()), default=0),
            settings=kept.get(name, {}),
        )
        for name in ours
    }
    listed, ahead_s, margin_s = _time(base, clock, untold)
    return ClusterFacts(
        brokers={int(number): settings for number, settings in brokers.items()} or {n: {} for n in meta.brokers},
        features=features(base), topics=topics, members=_members(admin, untold), transactions=listed,
        ahead_s=ahead_s, margin_s=margin_s, untold=untold,
    )  # fmt: skip


def _settings(
    admin: AdminClient, kind: Any, names: Sequence[str], untold: dict[str, str]
) -> dict[str, dict[str, str]]:
    """Return the settings of brokers or topics, `kind` being the client's word for which."""
    found: dict[str, dict[str, str]] = {}
    if not names:
        return found
    whose = "brokers" if kind == ConfigResource.Type.BROKER else "topics"
    asked = [ConfigResource(kind, name) for name in names]
    for resource, future in admin.describe_configs(asked, request_timeout=ASK_S).items():
        try:
            entries = future.result(ASK_S + 1)
        except (ck.KafkaException, TimeoutError) as error:
            untold[f"settings of {whose}"] = _said(error)
        else:
            found[resource.name] = {name: str(entry.value) for name, entry in entries.items()}
    return found


def _members(admin: AdminClient, untold: dict[str, str]) -> dict[str, tuple[Member, ...]]:
    names = [group for group, _ in groups()]
    found = {}
    for name, future in admin.describe_consumer_groups(names, request_timeout=ASK_S).items():
        try:
            group = future.result(ASK_S + 1)
        except (ck.KafkaException, TimeoutError) as error:
            untold["members of groups"] = _said(error)
        else:
            found[name] = tuple(
                Member(client_id=one.client_id or "", instance_id=one.group_instance_id or "", host=one.host or "")
                for one in group.members
            )  # fmt: skip
    return found


def _time(
    base: Mapping[str, Any], clock: Clock, untold: dict[str, str]
) -> tuple[Listing | None, float | None, float]:
    """Ask the coordinator for a transactional id: it writes down the time at which it gave it."""
    try:
        # Twice: the first may wait for the coordinator to load, which would blur the time.
        _named_anew(base, clock)
        before, after = _named_anew(base, clock)
        listed = listing(base, clock)
    except ck.KafkaException as error:
        untold["transactions"] = _said(error)
        return None, None, 0.0
    except VigimeshError as error:
        untold["transactions"] = str(error)
        return None, None, 0.0
    told = listed.transactions.get(DOCTOR)
    if told is None:
        return listed, None, 0.0
    half = (after - before) / 2
    return listed, (told.updated_at - (before + half)).total_seconds(), half.total_seconds() + 0.001


def _named_anew(base: Mapping[str, Any], clock: Clock) -> tuple[datetime, datetime]:
    """Let the coordinator write down `DOCTOR`; return the times around it by our clock."""
    producer = ck.Producer({**base, "transactional.id": DOCTOR, "transaction.timeout.ms": 10_000})
    before = clock.now()
    producer.init_transactions(ASK_S)
    return before, clock.now()


def _said(error: BaseException) -> str:
    if isinstance(error, ck.KafkaException):
        return f"{error.args[0].name()}: {error.args[0].str()}"
    return type(error).__name__
