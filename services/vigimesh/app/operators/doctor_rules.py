"""What a cluster must be like for a mesh to keep its promises, as rules over what was found (pure)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from vigimesh.adapters.kafka.client import RECORD_BYTES
from vigimesh.adapters.kafka.cluster.facts import ClusterFacts, Member
from vigimesh.adapters.kafka.cluster.transactions import CLEANUP
from vigimesh.adapters.kafka.member import Protocol
from vigimesh.adapters.kafka.producer import TRANSACTION_MS
from vigimesh.events.topics import BY_NAME

State = Literal["ok", "warn", "fail"]

#: Milliseconds of the clean-up interval up to which a dead worker's successor is not held up for longer than it needs.
CLEANUP_MS = 2_000
#: Milliseconds after which a dead member's partitions should be with another.
SESSION_MS = 10_000
#: The longest that a broker keeps the offsets of an empty group.
RETENTION_MINUTES = 2_147_483_647
#: Characters of metadata beside a committed offset that the loop may use (`loop.progress`).
METADATA_BYTES = 4_096
#: Seconds of difference between two clocks that nobody notices, and those that make due times wrong.
APART_S, FAR_APART_S = 1.0, 60.0
#: Replicas with which one broker may be away and an acknowledged record is still on two.
REPLICAS = 3
#: Names in a line.
SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that was looked at; `todo` is empty when it is as it should be."""

    name: str
    state: State
    found: str
    wanted: str
    todo: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rule:
    """A broker's setting: `holds` says whether a value will do, `otherwise` how bad it is if not."""

    name: str
    holds: Callable[[int], bool]
    otherwise: State
    wanted: str
    todo: str


_RULES = (
    _Rule(name=CLEANUP, holds=lambda ms: ms <= CLEANUP_MS, otherwise="warn", wanted=f"at most {CLEANUP_MS}",
          todo="set it to 1000 on every broker: it adds to the time for which a dead worker's transaction holds readers up"),
    _Rule(name="transaction.max.timeout.ms", holds=lambda ms: ms >= TRANSACTION_MS, otherwise="fail",
          wanted=f"at least {TRANSACTION_MS}", todo="raise it on every broker: no worker can start below the time-out it asks for"),
    _Rule(name="offsets.retention.minutes", holds=lambda minutes: minutes >= RETENTION_MINUTES, otherwise="warn",
          wanted=f"{RETENTION_MINUTES}",
          todo="raise it on every broker: a lane scaled to nothing for longer loses its place, and its workers stop with VM-1305"),
    _Rule(name="offset.metadata.max.bytes", holds=lambda size: size >= METADATA_BYTES, otherwise="fail",
          wanted=f"at least {METADATA_BYTES}",
          todo="raise it on every broker: what ended out of order is remembered beside the committed offset"),
    _Rule(name="group.min.session.timeout.ms", holds=lambda ms: ms <= SESSION_MS, otherwise="fail",
          wanted=f"at most {SESSION_MS}", todo="lower it on every broker: members of the classic protocol are refused"),
)  # fmt: skip


#: Features of the cluster, how bad it is without, and what to do.
_FEATURES: tuple[tuple[str, State, str], ...] = (
    ("group.version", "fail",
     "upgrade the cluster to Kafka 4 and finalize the feature (workers join by KIP-848), or set VIGIMESH_GROUP_PROTOCOL=classic everywhere"),
    ("transaction.version", "warn",
     "finalize the feature: below it the broker does not check that a record belongs to a transaction"),
)  # fmt: skip


def findings(facts: ClusterFacts, now: datetime, protocol: Protocol = "consumer") -> list[Finding]:
    """Return every finding about a cluster; what was not told is a warning, never taken for good.

    `protocol` is that of the groups: what only the other one needs is not asked for.
    """
    features = [each for each in _FEATURES if protocol == "consumer" or each[0] != "group.version"]
    return [
        *(_setting(facts, rule) for rule in _RULES),
        *(_sessions(facts) if protocol == "consumer" else ()),
        *(_feature(facts, *each) for each in features),
        *_flags(facts),
        _sizes(facts),
        _copies(facts),
        _widths(facts),
        _twice(facts),
        _overdue(facts, now),
        _clock(facts),
    ]


def _values(facts: ClusterFacts, name: str) -> list[int]:
    told = (settings.get(name, "") for settings in facts.brokers.values())
    return [int(value) for value in told if value.lstrip("-").isdigit()]


def _setting(facts: ClusterFacts, rule: _Rule) -> Finding:
    values = _values(facts, rule.name)
    if not values:
        return _untold(facts, rule.name, rule.wanted, "settings of brokers")
    wrong = [value for value in values if not rule.holds(value)]
    shown = ", ".join(str(value) for value in sorted(set(values)))
    if not wrong:
        return Finding(name=rule.name, state="ok", found=shown, wanted=rule.wanted)
    return Finding(name=rule.name, state=rule.otherwise, found=shown, wanted=rule.wanted, todo=rule.todo)


def _untold(facts: ClusterFacts, name: str, wanted: str, question: str) -> Finding:
    why = facts.untold.get(question, "the broker does not say")
    return Finding(name=name, state="warn", found=f"not told: {why}", wanted=wanted,
                   todo="grant this user the right to describe the cluster, or look with the service's own tools")  # fmt: skip


def _sessions(facts: ClusterFacts) -> Iterator[Finding]:
    """Look at the timings of KIP-848, which are the broker's."""
    name, wanted = "group.consumer.*", f"session at most {SESSION_MS} ms, heartbeat at most a third of it"
    session, beat = (
        _values(facts, f"group.consumer.{what}") for what in ("session.timeout.ms", "heartbeat.interval.ms")
    )
    if not session or not beat:
        yield _untold(facts, name, wanted, "settings of brokers")
        return
    least, most = (_values(facts, f"group.consumer.{end}.session.timeout.ms") for end in ("min", "max"))
    bounds = f" (allowed {min(least)} to {max(most)})" if least and most else ""
    found = f"session {max(session)} ms{bounds}, heartbeat {max(beat)} ms"
    good = max(session) <= SESSION_MS and max(beat) * 3 <= min(session)
    todo = ("set session.timeout.ms to 6000 and heartbeat.interval.ms to 1000 (and their minimum below) on every broker: "
            "a dead worker's partitions wait for the session to end")  # fmt: skip
    yield Finding(
        name=name, state="ok" if good else "warn", found=found, wanted=wanted, todo="" if good else todo
    )


def _feature(facts: ClusterFacts, name: str, otherwise: State, todo: str) -> Finding:
    """Look at a feature of the cluster that the protocol of groups or of transactions needs."""
    wanted = "at least 1"
    if facts.features is None:
        return _untold(facts, name, wanted, "features")
    level = facts.features.get(name, 0)
    state: State = "ok" if level >= 1 else otherwise
    return Finding(name=name, state=state, found=str(level), wanted=wanted, todo="" if level >= 1 else todo)


def _flags(facts: ClusterFacts) -> Iterator[Finding]:
    for name, state, todo in (
        ("unclean.leader.election.enable", "fail", "switch it off: a broker that lacks acknowledged records could lead"),
        ("auto.create.topics.enable", "warn", "switch it off: a misspelt topic would be made in silence"),
    ):  # fmt: skip
        told = {settings[name] for settings in facts.brokers.values() if name in settings}
        if not told:
            continue
        on = "true" in told
        bad: State = "fail" if state == "fail" else "warn"
        yield Finding(name=name, state=bad if on else "ok", found="true" if on else "false", wanted="false",
                      todo=todo if on else "")  # fmt: skip


def _sizes(facts: ClusterFacts) -> Finding:
    """Compare the largest record of each topic with what the mesh writes; the broker's own holds where none is set."""
    name, wanted = "message.max.bytes", f"at least {RECORD_BYTES} on every topic of the mesh"
    limits = {
        topic: one.settings["max.message.bytes"]
        for topic, one in facts.topics.items()
        if "max.message.bytes" in one.settings
    }
    sizes = {topic: int(value) for topic, value in limits.items() if value.isdigit()}
    if not sizes:
        values = _values(facts, name)
        sizes = {"broker": min(values)} if values else {}
    if not sizes:
        return _untold(facts, name, wanted, "settings of topics")
    small = sorted(topic for topic, size in sizes.items() if size < RECORD_BYTES)
    found = f"{min(sizes.values())}" + (f" ({_few(small)})" if small else "")
    return Finding(name=name, state="fail" if small else "ok", found=found, wanted=wanted,
                   todo="raise max.message.bytes of the topics: a dead letter that does not fit stops its partition (VM-1304)" if small else "")  # fmt: skip


def _copies(facts: ClusterFacts) -> Finding:
    """Compare replicas with how many must have a record before it is acknowledged, internal topics included."""
    name, wanted = (
        "min.insync.replicas",
        f"{REPLICAS} replicas with 2 in sync where there are {REPLICAS} brokers; never more than there are",
    )
    pairs = {
        topic: (one.replicas, int(one.settings.get("min.insync.replicas", "1"))) for topic, one in facts.topics.items()
    }  # fmt: skip
    factor, least = (
        _values(facts, f"transaction.state.log.{what}") for what in ("replication.factor", "min.isr")
    )
    if factor and least:
        pairs["__transaction_state"] = min(factor), max(least)
    stuck = sorted(topic for topic, (replicas, isr) in pairs.items() if isr > replicas)
    tight = sorted(topic for topic, (replicas, isr) in pairs.items() if isr == replicas > 1)
    thin = sorted(
        topic
        for topic, (replicas, isr) in pairs.items()
        if len(facts.brokers) >= REPLICAS and (replicas < REPLICAS or isr < 2)
    )
    shapes = sorted({f"{isr} of {replicas}" for replicas, isr in pairs.values()})
    found = f"{', '.join(shapes) or 'no topics'} on {len(facts.brokers)} brokers"
    if stuck:
        return Finding(name=name, state="fail", found=f"{found}; {_few(stuck)}", wanted=wanted,
                       todo="lower min.insync.replicas of these: nothing can be written to them")  # fmt: skip
    if tight or thin:
        todo = (
            "lower min.insync.replicas: one broker away stops them"
            if tight
            else "give them three replicas, two in sync"
        )
        return Finding(
            name=name, state="warn", found=f"{found}; {_few(tight or thin)}", wanted=wanted, todo=todo
        )
    return Finding(name=name, state="ok", found=found, wanted=wanted)


def _widths(facts: ClusterFacts) -> Finding:
    """Equal partition counts keep all versions of a case on one worker (VM-1007)."""
    counts = Counter(
        one.partitions for topic, one in facts.topics.items() if BY_NAME[topic].partitions == "case"
    )
    found = ", ".join(f"{number} topics with {count}" for count, number in sorted(counts.items()))
    good = len(counts) <= 1
    return Finding(
        name="partitions of case-keyed topics", state="ok" if good else "fail", found=found or "no topics",
        wanted="equal counts",
        todo="" if good else "VM-1007: let the mesh run empty, make the topics anew with one count: keys move otherwise",
    )  # fmt: skip


def _twice(facts: ClusterFacts) -> Finding:
    """Find an instance name that two processes of a group have: they fence each other's transactions (VM-1303)."""
    name, wanted = "instance names", "each used by one process of its group"
    if "members of groups" in facts.untold:
        return _untold(facts, name, wanted, "members of groups")
    double = [
        f"{group}: {what}"
        for group, members in sorted(facts.members.items())
        for what in _double(group, members)
    ]
    todo = "VM-1303: give each process its own VIGIMESH_INSTANCE, and restart those that share one"
    if double:
        return Finding(name=name, state="fail", found=_few(double), wanted=wanted, todo=todo)
    # Every worker has begun with its producers: fewer instance names than members leave one name to two. Only a warning,
    # since the broker forgets a name that wrote nothing for a week.
    short = [
        f"{group}: {len(members)} members, names {_few(sorted(instances))}"
        for group, members in sorted(facts.members.items())
        if (instances := _instances(facts, group)) and len(members) > len(instances)
    ]
    if short:
        return Finding(name=name, state="warn", found=_few(short), wanted=wanted, todo=todo)
    many = sum(map(len, facts.members.values()))
    return Finding(name=name, state="ok", found=f"{many} members, none twice", wanted=wanted)


def _double(group: str, members: tuple[Member, ...]) -> Iterator[str]:
    static = Counter(one.instance_id for one in members if one.instance_id)
    # A client id that is the group's own name tells no process from another.
    clients = Counter(
        one.client_id for one in members if one.client_id not in ("", group) and not one.instance_id
    )
    for known in (static, clients):
        yield from (f"{word} by {count} members" for word, count in known.items() if count > 1)


def _instances(facts: ClusterFacts, group: str) -> frozenset[str]:
    """Return the instance names that have ever had a producer of the group: `GROUP.INSTANCE.a`."""
    known = facts.transactions.transactions if facts.transactions else {}
    return frozenset(
        one.removeprefix(f"{group}.").rpartition(".")[0]
        for one in known
        if one.startswith(f"{group}.") and one.endswith((".a", ".b"))
    )


def _overdue(facts: ClusterFacts, now: datetime) -> Finding:
    name, wanted = "open transactions", "none for longer than its time-out and the clean-up interval"
    if facts.transactions is None:
        return _untold(facts, name, wanted, "transactions")
    opened = [one for one in facts.transactions.transactions.values() if one.is_open]
    late = sorted(one.id for one in opened if (due := facts.transactions.due_at(one)) and now > due)
    found = f"{len(opened)} open" + (f", overdue: {_few(late)}" if late else "")
    return Finding(name=name, state="warn" if late else "ok", found=found, wanted=wanted,
                   todo="look with `vigimesh transactions list`, end it with `vigimesh transactions abort`" if late else "")  # fmt: skip


def _clock(facts: ClusterFacts) -> Finding:
    name, wanted = "clock", f"at most {APART_S:g} s from the broker's"
    if facts.ahead_s is None:
        return _untold(facts, name, wanted, "transactions")
    apart_s = max(0.0, abs(facts.ahead_s) - facts.margin_s)
    state: State = "ok" if apart_s <= APART_S else "warn" if apart_s <= FAR_APART_S else "fail"
    word = "ahead of" if facts.ahead_s > 0 else "behind"
    found = (
        f"the broker is {abs(facts.ahead_s):.2f} s {word} this machine, give or take {facts.margin_s:.2f} s"
    )
    return Finding(name=name, state=state, found=found, wanted=wanted,
                   todo="" if state == "ok" else "set both by NTP: due times and waiting times compare the two")  # fmt: skip


def _few(words: Iterable[str]) -> str:
    known = list(words)
    more = f" and {len(known) - SHOWN} more" if len(known) > SHOWN else ""
    return ", ".join(known[:SHOWN]) + more
