"""The one table of topics: topic, event, schema, writers, readers, key, policy.

README's table, the AsyncAPI document, topic creation, registry subjects and group names come from here.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from vigimesh.events import classes as e
from vigimesh.events import knowledge as k
from vigimesh.events import sampling

PREFIX = "vigimesh."
LANES = ("hot", "warm", "cold")
DOORS = ("urgent", "normal")

#: Stages that scale per lane have a consumer group per lane; router and supervisor are one group each: they see every version of a case.
LANE_STAGES = ("planner", "retriever", "tool-executor")
STAGES = ("router", "planner", "retriever", "tool-executor", "supervisor")
#: Processes of their own that are no stage, with the topics their group reads.
BACKGROUND = (
    ("resumer", ("parked",)),
    ("controller", ("throttle",)),
    ("librarian", ("retrieval.telemetry",)),
)

#: archived: kept until the archivist has copied it; compacted: newest per key; forever: never deleted.
Policy = Literal["archived", "compacted", "forever"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Topic:
    """One row of the table. `partitions` is `case` (equal for all case-keyed topics) or `one`."""

    name: str
    event: type
    writers: tuple[str, ...]
    readers: tuple[str, ...]
    key: str
    policy: Policy
    holds: str
    partitions: Literal["case", "one"] = "case"

    @property
    def subject(self) -> str:
        """Registry subject (TopicNameStrategy)."""
        return f"{self.name}-value"

    @property
    def schema_file(self) -> str:
        """File name in `schemas/`."""
        return f"{self.event.__name__}.avsc"

    @property
    def ce_type(self) -> str:
        """`ce_type` of its records."""
        return f"vigimesh.{self.event.__name__}"


def _row(
    name: str,
    event: type,
    flow: tuple[tuple[str, ...], tuple[str, ...]],
    keyed: tuple[str, Policy],
    holds: str,
) -> Topic:
    one = name in ("throttle", "cascade.gate", "knowledge.changed")
    return Topic(
        name=PREFIX + name, event=event, writers=flow[0], readers=flow[1], key=keyed[0], policy=keyed[1],
        holds=holds, partitions="one" if one else "case",
    )  # fmt: skip


#: Who writes an event back to the topic it left: after a wait, and after a person looked at it.
_AGAIN = ("resumer", "operator")
_CASE: tuple[str, Policy] = ("case id", "archived")

TOPICS: tuple[Topic, ...] = (
    *(
        _row(f"case.received.{door}", e.CaseReceived, (("upstream", "intake", *_AGAIN), ("router",)), _CASE,
             "the upstream contract: one version of one case or document"
             + ("; urgent = hint or serious flag seen at the door" if door == "urgent" else ""))
        for door in DOORS
    ),
    *(_row(f"plan.{lane}", e.CaseRouted, (("router", "supervisor", "librarian", *_AGAIN), ("planner",)), _CASE,
           "a case with its workflow, lane, clock and version; an escalation with its pass; a recall with its cause") for lane in LANES),
    *(_row(f"retrieve.{lane}", e.CasePlanned, (("planner", *_AGAIN), ("retriever",)), _CASE,
           "a case with its plan") for lane in LANES),
    *(_row(f"execute.{lane}", e.EvidenceRetrieved, (("retriever", *_AGAIN), ("tool-executor",)), _CASE,
           "a case with the passages found") for lane in LANES),
    *(_row(f"supervise.{lane}", e.ToolsExecuted, (("tool-executor", *_AGAIN), ("supervisor",)), _CASE,
           "a triaged case") for lane in LANES),
    _row("case.head", e.HeadMoved, (("supervisor",), ("supervisor",)), ("case id", "compacted"),
         "newest version accepted, what was concluded, nullified or not"),
    _row("case.decided", e.CaseDecided, (("supervisor",), ("downstream",)), _CASE,
         "decision, grade, reason-of-record, versions used"),
    _row("case.review", e.ReviewRequested, (("supervisor",), ("console",)), _CASE,
         "what a person must decide, and by when"),
    _row("parked", e.EventParked, ((*STAGES, "resumer"), ("resumer",)), ("event id", "compacted"),
         "an event that waits until a moment, as it was"),
    _row("usage", e.UsageRecorded, ((*STAGES, "librarian"), ("spend",)), _CASE,
         "each priced thing; a paid call as often as it is used, counted once by `call_id`"),
    _row("retrieval.telemetry", k.RetrievalMeasured, (("retriever",), ("librarian",)),
         ("question key", "archived"), "hit or miss by level, grounded or not, which passages fed which case"),
    _row("flow", e.FlowCounted, ((*STAGES, "resumer", "librarian", "operator"), ("controller",)), ("workflow", "archived"),
         "records consumed and produced in each transaction"),
    _row("flow.totals", e.FlowTotalled, (("controller",), ("controller",)), ("workflow", "compacted"),
         "totals with the offsets they stand at"),
    _row("throttle", e.ThrottleOrdered, (("controller", "operator"), (*STAGES, "resumer", "controller")), ("lane and workflow", "archived"),
         "orders in force"),
    _row("cascade.sample", sampling.CaseSampled, (("tool-executor",), ("operator",)), _CASE,
         "a case drawn for a person, with what the small tier made of it"),
    _row("cascade.label", sampling.CaseLabelled, (("operator",), ("operator",)), ("case id", "compacted"),
         "whether a drawn case is serious; from people only"),
    _row("cascade.gate", sampling.GateMoved, (("operator",), ("tool-executor", "operator")), ("place", "compacted"),
         "what the labels of a place let the small tier do there"),
    _row("knowledge.changed", k.DocumentVersioned, (("librarian", "operator"), ("retriever",)), ("document id", "compacted"),
         "a document has a new version"),
    _row("config", e.ConfigActivated, (("intake", "console"), ("auditor",)), ("digest", "forever"),
         "which card, rule set, price book or model came into force when"),
    _row("audit", e.AuditRecorded, (("intake", *STAGES, "resumer", "operator", "librarian"), ("notary",)), _CASE,
         "who or what did what, when, why, with the answers used"),
    _row("deadletter", e.EventDeadLettered, ((*STAGES, "resumer", "operator"), ("operator",)), ("event id", "compacted"),
         "an event that could not be worked on, with its cause"),
)  # fmt: skip

BY_NAME: dict[str, Topic] = {topic.name: topic for topic in TOPICS}

#: What a stage writes beside the work it hands on: not counted as produced in `flow`.
ASIDE = frozenset(PREFIX + name for name in ("usage", "retrieval.telemetry", "case.head", "cascade.sample"))


def lane_topic(step: str, lane: str) -> str:
    """Return the topic of a lane: `lane_topic("plan", "hot") == "vigimesh.plan.hot"`."""
    return BY_NAME[f"{PREFIX}{step}.{lane}"].name


@lru_cache(maxsize=256)
def lane_of(name: str) -> str:
    """Return the lane whose orders hold for what is read from a topic.

    That of a lane's topic; *hot* for the urgent door; *warm* for everything else, of which no lane is known yet.
    """
    last = name.rpartition(".")[2]
    return last if last in LANES else "hot" if last == "urgent" else "warm"


def topic(name: str) -> str:
    """Return the full name of a topic of the table; raises `KeyError` for one that is not in it."""
    return BY_NAME[PREFIX + name].name


def group_of(stage: str, lane: str | None) -> str:
    """Return the consumer group of a stage: `vigimesh.planner.hot`, `vigimesh.router`."""
    return f"{PREFIX}{stage}.{lane}" if stage in LANE_STAGES else f"{PREFIX}{stage}"


def inputs_of(stage: str, lane: str | None) -> tuple[str, ...]:
    """Return the topics a stage's group consumes, most urgent first."""
    step = {"planner": "plan", "retriever": "retrieve", "tool-executor": "execute"}.get(stage)
    if stage == "router":
        return tuple(topic(f"case.received.{door}") for door in DOORS)
    if stage == "supervisor":
        return tuple(lane_topic("supervise", one) for one in LANES)
    if step is None:
        raise KeyError(stage)
    return tuple(lane_topic(step, one) for one in LANES if lane in (None, one))


#: What stages read: only these can lag.
READ = frozenset(name for stage in STAGES for name in inputs_of(stage, None))


def groups() -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return every consumer group of the stages and background processes with the topics it reads."""
    rows: list[tuple[str, tuple[str, ...]]] = []
    for stage in STAGES:
        lanes: tuple[str | None, ...] = LANES if stage in LANE_STAGES else (None,)
        rows.extend((group_of(stage, lane), inputs_of(stage, lane)) for lane in lanes)
    rows.extend((f"{PREFIX}{name}", tuple(map(topic, names))) for name, names in BACKGROUND)
    return tuple(rows)
