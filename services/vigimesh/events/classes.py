"""The event classes, one per schema, in the past tense; what each topic may hold is in `topics`.

Frozen values. Money is integer micro-units of the card's currency; a moment is a UTC `datetime`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated as A

from vigimesh.events.case import Case
from vigimesh.events.drafts import Draft
from vigimesh.events.knowledge import DocumentVersioned, Passage, Recall, RetrievalMeasured
from vigimesh.events.sampling import CaseLabelled, CaseSampled, GateMoved

# A field per line, its meaning beside it.
# fmt: off


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseReceived:
    """A version of a case or document was accepted at a door: the upstream contract."""

    case: A[Case, "the version itself"]
    door: A[str, "urgent or normal: urgent when the hint or any seriousness criterion was seen at the door"] = "normal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """The legal clock that runs for a case version."""

    rule: A[str, "name of the rule in the clock table, or empty when none applies"] = ""
    source: A[str, "legal source of the rule"] = ""
    jurisdiction: A[str, "EU, US or another ISO 3166-1 alpha-2 code; empty when not known"] = ""
    day0_on: A[str, "day 0 as YYYY-MM-DD"] = ""
    due_at: A[datetime | None, "when the clock ends, or null when no clock runs"] = None
    person_needed: A[bool, "whether a person must confirm the clock: no rule for the jurisdiction, or an imprecise day 0"] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """What the router decided for a version."""

    workflow: A[str, "name of the workflow card"]
    lane: A[str, "hot, warm or cold"]
    rule: A[str, "name of the lane rule in the card that matched"]
    reason: A[str, "the rule in words, with the values that made it match"]
    card_digest: A[str, "sha256 of the card in force, hexadecimal: see config"]
    version: A[tuple[str, ...], "the version's ordinal: normalised most recent information and creation date; compares as text"]
    clock: A[Clock, "the provisional legal clock"] = Clock()
    received_at: A[datetime, "broker append time of the received record"]
    pass_number: A[int, "1 for the first pass, one more at each escalation"] = 1
    cost_micro: A[int, "cost of the passes before this one, micro-units"] = 0
    escalation: A[str, "why this pass exists, empty for the first"] = ""
    recall: A[Recall | None, "why a version that was concluded is looked at again; null for its arrival"] = None

    @property
    def cause(self) -> str:
        """What the version is concluded for: empty for its arrival, else the cause of its recall."""
        return self.recall.cause if self.recall else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseRouted:
    """A case was given its workflow, lane, clock and version ordinal, or came back for another pass."""

    case: A[Case, "the version itself"]
    route: A[Route, "what the router decided"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the planner decided for a pass."""

    tier: A[str, "tools, small, large or person"]
    steps: A[tuple[str, ...], "names of the deterministic tools to run, in order"]
    questions: A[tuple[str, ...], "what to look up before, at most 8"] = ()
    reason: A[str, "why this tier and these steps"] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CasePlanned:
    """A pass over a case was planned."""

    case: A[Case, "the version itself"]
    route: A[Route, "what the router decided"]
    plan: A[Plan, "what the planner decided"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceRetrieved:
    """Passages were looked up for a pass."""

    case: A[Case, "the version itself"]
    route: A[Route, "what the router decided"]
    plan: A[Plan, "what the planner decided"]
    passages: A[tuple[Passage, ...], "what was found, best first"] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What one deterministic tool said."""

    step: A[str, "name of the tool"]
    result: A[str, "its result in one word or value"]
    detail: A[str, "its result in words"] = ""
    quotes: A[tuple[str, ...], "the places it rests on: field=value, or start-end:text of the narrative"] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Triage:
    """The statement that makes a case triaged: validity, seriousness, grade and due date (first triage)."""

    valid: A[bool, "whether all four minimum criteria are met"]
    missing: A[tuple[str, ...], "which minimum criteria are missing: patient, reporter, product, reaction"] = ()
    serious: A[str, "yes, no or unknown"] = "unknown"
    grade: A[int, "0 no event, 1 non-serious listed, 2 non-serious unlisted or special situation, 3 hospitalisation, other important or unknown, 4 life-threatening, disabling, congenital, 5 death"] = 3
    grade_reasons: A[tuple[str, ...], "each criterion with its source: flag, text or term"] = ()
    listed: A[str, "yes, no or not_checked: whether every reaction is in the product's reference"] = "not_checked"
    situations: A[tuple[str, ...], "special situations found: see Case.situations"] = ()
    flags: A[tuple[str, ...], "what keeps it from being accepted by machine: conflict_flag_text, paediatric, pregnancy, blinded, study, date_conflict, ambiguous_text and others"] = ()
    clock: A[Clock, "the legal clock after the findings"] = Clock()


@dataclass(frozen=True, slots=True, kw_only=True)
class ToolsExecuted:
    """The tools of a pass have run: the case is triaged."""

    case: A[Case, "the version itself"]
    route: A[Route, "what the router decided"]
    plan: A[Plan, "what the planner decided"]
    passages: A[tuple[Passage, ...], "what was looked up"] = ()
    findings: A[tuple[Finding, ...], "what each tool said"] = ()
    triage: A[Triage, "what they say together"]
    cost_micro: A[int, "cost of this version so far, all passes, micro-units"] = 0
    draft: A[Draft | None, "a reply drafted in this pass, or null"] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenMessage:
    """A version of a case that the supervisor has concluded."""

    message_id: A[str, "the message"]
    version: A[tuple[str, ...], "its ordinal"]
    outcome: A[str, "decided, in_review"]
    cause: A[str, "empty for its arrival, else the changed document@version that it was recalled for"] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeadMoved:
    """The newest state of a case changed: what the supervisor knows of its versions."""

    case_id: A[str, "the case"]
    newest: A[tuple[str, ...], "ordinal of the newest version accepted"]
    newest_message_id: A[str, "its message"]
    nullified: A[bool, "whether the case was nullified"] = False
    seen: A[tuple[SeenMessage, ...], "versions concluded, newest last, at most 64"] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseDecided:
    """A version of a case has its decision: nothing more will happen to it unless something new comes."""

    case_id: A[str, "the case"]
    message_id: A[str, "the version's message"]
    version: A[tuple[str, ...], "the version's ordinal"]
    workflow: A[str, "workflow card"]
    lane: A[str, "hot, warm or cold"]
    decision: A[str, "auto_accepted, superseded or nullified; upheld: recalled, and the earlier conclusion stands"]
    grade: A[int, "see Triage.grade"]
    serious: A[str, "yes, no or unknown"]
    reason: A[str, "reason-of-record in words: rule, confidence, evidence, budget"]
    rule: A[str, "policy rule that decided"]
    tier: A[str, "the tier that resolved it"]
    card_digest: A[str, "card in force"]
    labels: A[tuple[str, ...], "document and version of each passage used"] = ()
    cost_micro: A[int, "cost of this version, micro-units"] = 0
    received_at: A[datetime, "broker append time of the received record"]
    due_at: A[datetime | None, "end of the legal clock, or null"] = None
    pass_number: A[int, "passes made"] = 1
    triage: A[Triage | None, "the triage result that stands"] = None
    cause: A[str, "see SeenMessage.cause"] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewRequested:
    """A person must decide."""

    case_id: A[str, "the case"]
    message_id: A[str, "the version's message"]
    version: A[tuple[str, ...], "the version's ordinal"]
    workflow: A[str, "workflow card"]
    lane: A[str, "hot, warm or cold"]
    question: A[str, "what the person is asked"]
    grade: A[int, "see Triage.grade"]
    serious: A[str, "yes, no or unknown"]
    reason: A[str, "reason-of-record in words"]
    rule: A[str, "policy rule that asked for a person"]
    tier: A[str, "the tier that came nearest"]
    card_digest: A[str, "card in force"]
    conflict_with: A[str, "message id of the version it conflicts with, or empty"] = ""
    labels: A[tuple[str, ...], "document and version of each passage used"] = ()
    cost_micro: A[int, "cost of this version so far, micro-units"] = 0
    received_at: A[datetime, "broker append time of the received record"]
    due_at: A[datetime | None, "by when, or null"] = None
    pass_number: A[int, "passes made"] = 1
    triage: A[Triage | None, "the triage result to be confirmed"] = None
    case: A[Case | None, "the version itself, for the reviewer"] = None
    findings: A[tuple[Finding, ...], "what each tool said"] = ()
    passages: A[tuple[Passage, ...], "what was looked up"] = ()
    cause: A[str, "see SeenMessage.cause"] = ""
    draft: A[Draft | None, "a drafted reply for the person to correct, sign and send, or null"] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """A record header."""

    name: A[str, "name"]
    value: A[bytes, "value"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EventParked:
    """An event waits until a moment; the resumer sends it back to the topic it left."""

    event_id: A[str, "the event"]
    not_before: A[datetime, "when it may go on"]
    resume_topic: A[str, "the topic it left"]
    reason: A[str, "why it waits"]
    workflow: A[str, "workflow card, or empty"] = ""
    key: A[bytes, "the record's key"] = b""
    headers: A[tuple[Header, ...], "the record's headers"] = ()
    value: A[bytes, "the record's bytes as they were; empty when value_ref is set"] = b""
    value_ref: A[str, "sha256 of the bytes in the object store, or empty"] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventDeadLettered:
    """An event could not be worked on; it is kept as it was, with its cause."""

    event_id: A[str, "the event, or topic-partition-offset when it has none"]
    topic: A[str, "where it was read"]
    partition: A[int, "its partition"]
    offset: A[int, "its offset"]
    stage: A[str, "the stage that gave up"]
    code: A[str, "error code, VM-nnnn"]
    cause: A[str, "what happened, where, what to do; never text of the case"]
    attempt: A[int, "how often it was tried"] = 1
    message_id: A[str, "the message, when the headers name it"] = ""
    workflow: A[str, "workflow card, or empty"] = ""
    lane: A[str, "hot, warm, cold or empty"] = ""
    appended_at: A[datetime, "broker append time of the record"]
    key: A[bytes, "the record's key"] = b""
    headers: A[tuple[Header, ...], "the record's headers"] = ()
    value: A[bytes, "the record's bytes as they were; empty when value_ref is set"] = b""
    value_ref: A[str, "sha256 of the bytes in the object store, or empty"] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageRecorded:
    """One priced thing was used."""

    case_id: A[str, "the case"]
    message_id: A[str, "the version's message"]
    workflow: A[str, "workflow card"]
    lane: A[str, "hot, warm or cold"]
    stage: A[str, "who used it"]
    kind: A[str, "tool_run, retrieval, model_call, storage or reviewer_minutes"]
    name: A[str, "the tool, model or store"]
    tier: A[str, "tools, small, large or person"]
    quantity: A[int, "how much, in `unit`"]
    unit: A[str, "runs, questions, tokens, bytes or seconds"]
    price_micro: A[int, "price of one unit, micro-units; 0 where the price book prices parts of it, as of tokens"] = 0
    cost_micro: A[int, "quantity x price, or what the price book says, micro-units"] = 0
    currency: A[str, "ISO 4217 code"] = "EUR"
    cache_level: A[str, "hot, warm, cold or none"] = "none"
    pass_number: A[int, "pass"] = 1
    call_id: A[str, "the paid call in the call journal, which counts once however often it is used; else empty"] = ""
    called_at: A[datetime | None, "when that call was reserved: the journal has one as new, or it is an old copy"] = None
    step: A[str, "of a model call: which call of its pass it was; else empty"] = ""
    prompt: A[str, "of a model call: name, version and digest of its prompt; else empty"] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowCounted:
    """Records consumed and produced in one transaction, per stage, workflow and lane."""

    stage: A[str, "who"]
    workflow: A[str, "workflow card, or empty before routing"]
    lane: A[str, "hot, warm, cold; urgent or normal at the door"]
    consumed: A[int, "records taken"]
    produced: A[int, "events handed on"]
    dead_lettered: A[int, "records given up"] = 0
    parked: A[int, "records made to wait"] = 0
    sent: A[dict[str, int], "records written per topic a stage reads, so that lag is known per topic and workflow"] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowTotalled:
    """The controller's running totals with the offsets they stand at."""

    workflow: A[str, "workflow card"]
    totals: A[dict[str, int], "stage.lane.consumed and stage.lane.produced to their counts"]
    offsets: A[dict[str, int], "partition of flow to the next offset to read"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ThrottleOrdered:
    """The controller or an operator ordered a limit for a lane of a workflow."""

    workflow: A[str, "workflow card"]
    lane: A[str, "hot, warm or cold; empty where money_raised is said"]
    term: A[int, "the leader's term; a lower one is ignored"]
    expires_at: A[datetime, "when the order ends by itself"]
    tier_ceiling: A[str, "highest tier allowed: tools, small, large or person"]
    calls_per_minute: A[int, "model calls allowed"]
    yields: A[bool, "whether the lane gives way to hotter ones"]
    share_percent: A[int, "share of its time that a lane may work while it yields; 0: its records wait, parked"] = 100
    reason: A[str, "why"]
    by: A[str, "the operator who ordered it, empty for the controller: an operator's order holds beside the controller's"] = ""
    holds_acceptance: A[bool, "whether nothing of the workflow may be accepted by machine"] = False
    money_raised: A[bool, "whether it orders nothing: the workflow may spend more from now on, and what waits for money is looked at again"] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigActivated:
    """A card, rule set, price book or model came into force; its body is in the object store under its digest."""

    digest: A[str, "sha256 of the body"]
    kind: A[str, "card, clocks, prices or model"]
    name: A[str, "its name"]
    by: A[str, "who or what put it in force"]
    reason: A[str, "why"] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecorded:
    """Who or what did what, when and why; replay reads the answers from here."""

    case_id: A[str, "the case, or the digest of what was refused at a door; empty for an order, which is about no case"]
    message_id: A[str, "the version's message, or empty"]
    event_id: A[str, "the event that was worked on"]
    stage: A[str, "where"]
    actor: A[str, "the worker's instance, or a person's id"]
    action: A[str, "done, parked, rejected, refused; by the resumer resumed; by an operator redriven, closed, ordered; by the librarian ingested, withdrawn, alarmed, recalled"]
    why: A[str, "reason in words; never text of the case"]
    input_digest: A[str, "sha256 of the input's bytes"]
    answers: A[bytes, "the answers used, MessagePack map of need key to answer; empty when answers_ref is set"] = b""
    answers_ref: A[str, "sha256 of the answers in the object store when they are over 64 KiB, or empty"] = ""
    outputs: A[tuple[str, ...], "event ids handed on"] = ()
    earlier: A[str, "earlier value, when one is changed"] = ""
    new: A[str, "new value, when one is changed"] = ""


Event = (
    CaseReceived | CaseRouted | CasePlanned | EvidenceRetrieved | ToolsExecuted | HeadMoved | CaseDecided | ReviewRequested
    | EventParked | EventDeadLettered | UsageRecorded | RetrievalMeasured | FlowCounted | FlowTotalled | ThrottleOrdered
    | DocumentVersioned | ConfigActivated | AuditRecorded | CaseSampled | CaseLabelled | GateMoved
)
