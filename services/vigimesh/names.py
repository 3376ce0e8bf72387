"""Every metric, span and attribute name, once: name, unit, labels, meaning, who alarms on it.

Messaging names follow OpenTelemetry's semantic conventions 1.41; ours begin with `vigimesh`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One metric. `name` is the OpenTelemetry name; Prometheus shows it with `_` for `.` and the unit behind."""

    name: str
    kind: Literal["counter", "histogram", "gauge"]
    unit: str
    labels: tuple[str, ...]
    meaning: str
    alarm: str = ""
    #: Upper bounds of a histogram's buckets where those of a hop through the mesh do not fit.
    bounds: tuple[float, ...] = ()


CONSUMED = Metric(
    name="messaging.client.consumed.messages", kind="counter", unit="{message}", labels=("stage", "lane", "topic"),
    meaning="records taken from a topic",
)  # fmt: skip
SENT = Metric(
    name="messaging.client.sent.messages", kind="counter", unit="{message}", labels=("stage", "lane", "topic"),
    meaning="records written in committed transactions",
)  # fmt: skip
PROCESS_DURATION = Metric(
    name="messaging.process.duration", kind="histogram", unit="s", labels=("stage", "lane"),
    meaning="from the poll that returned a batch to the end of its transaction",
)  # fmt: skip
COMMIT_DURATION = Metric(
    name="vigimesh.commit.duration", kind="histogram", unit="s", labels=("stage", "lane"),
    meaning="one transaction, from begin to acknowledged commit", alarm="SRE: p99 above half the transaction time-out",
)  # fmt: skip
OUTCOMES = Metric(
    name="vigimesh.outcomes", kind="counter", unit="{record}", labels=("stage", "lane", "outcome"),
    meaning="records by outcome: done, retried, parked, rejected",
)  # fmt: skip
DEAD_LETTERS = Metric(
    name="vigimesh.dead_letters", kind="counter", unit="{record}", labels=("stage", "lane", "code"),
    meaning="records given up, by error code", alarm="SRE: any",
)  # fmt: skip
DOUBTS = Metric(
    name="vigimesh.transactions.in_doubt", kind="counter", unit="{transaction}", labels=("stage", "lane"),
    meaning="transactions whose end was not trusted: producer replaced, offsets read again",
    alarm="SRE: more than one a minute",
)  # fmt: skip
OWNED_PARTITIONS = Metric(
    name="vigimesh.partitions.owned", kind="gauge", unit="{partition}", labels=("stage", "lane"),
    meaning="partitions this worker works on now",
)  # fmt: skip
PARKED_WAITING = Metric(
    name="vigimesh.parked.waiting", kind="gauge", unit="{event}", labels=("stage",),
    meaning="parked events of this resumer's partitions that wait for their time",
)  # fmt: skip

LAG_RECORDS = Metric(
    name="vigimesh.lag.records", kind="gauge", unit="{record}", labels=("stage", "lane", "workflow"),
    meaning="records that wait; `all` is every workflow; absent while it is not known, never 0",
)  # fmt: skip
LAG_SECONDS = Metric(
    name="vigimesh.lag.seconds", kind="gauge", unit="s", labels=("stage", "lane", "workflow"),
    meaning="age of the oldest unfinished record, 0 when none waits; absent while it is not known",
    alarm="SRE: hot above the objective of its card",
)  # fmt: skip
LAG_UNKNOWN = Metric(
    name="vigimesh.lag.unknown", kind="gauge", unit="{lane}", labels=("stage", "lane", "workflow"),
    meaning="1 while records or seconds of this lane are not known: orders in force are held, nothing may be scaled down",
    alarm="SRE: 1 for two minutes",
)  # fmt: skip
ORDERED_SHARE = Metric(
    name="vigimesh.orders.share", kind="gauge", unit="{percent}", labels=("lane",),
    meaning="share of its time that the controller, or an operator, lets a lane work; 100 when it does not yield: a lane "
    "that is slow because it yields needs no further replicas", alarm="SRE: below 100 for an hour",
)  # fmt: skip
BACKLOG_PRICE = Metric(
    name="vigimesh.backlog.price", kind="gauge", unit="{micro-unit}", labels=("workflow",),
    meaning="what the cases that wait before the paid stage would cost, in millionths of the currency of the card, as "
    "if no lane were limited; absent while it is not known, never 0",
)  # fmt: skip
BUDGET_LEFT = Metric(
    name="vigimesh.budget.left", kind="gauge", unit="{micro-unit}", labels=("workflow",),
    meaning="what the tighter of day and month has left, in millionths of the currency of the card; absent while it is not known",
    alarm="the workflow's owner: 0",
)  # fmt: skip
BUDGET_ALARM = Metric(
    name="vigimesh.budget.alarm", kind="gauge", unit="{percent}", labels=("workflow",),
    meaning="highest alarm level of the card that the month's recorded spending has reached, 0 below all of them; "
    "100 as soon as less is left than one case may cost; the highest of all where an overrun closed the month",
    alarm="the workflow's owner: when it rises",
)  # fmt: skip
ORDERED_CEILING = Metric(
    name="vigimesh.orders.ceiling", kind="gauge", unit="{tier}", labels=("lane", "workflow"),
    meaning="highest tier that the controller lets be asked: 0 tools, 1 small, 2 large, 3 no ceiling",
    alarm="the workflow's owner: below 2 for a day",
)  # fmt: skip
ORDERED_CALLS = Metric(
    name="vigimesh.orders.calls", kind="gauge", unit="{call}", labels=("workflow",),
    meaning="paid calls a minute that the controller lets a workflow make; its card's number when it is not limited",
)  # fmt: skip
THROTTLED = Metric(
    name="vigimesh.throttled", kind="gauge", unit="{lane}", labels=("lane", "workflow"),
    meaning="1 while the controller or an operator slows a lane of a workflow, because it yields, waits or its calls are "
    "limited: it is slow for that, not for load, and needs no further replicas",
)  # fmt: skip
PAYING_SHUT = Metric(
    name="vigimesh.paying.shut", kind="gauge", unit="{lane}", labels=("stage", "lane"),
    meaning="1 while budget and call journal do not agree, or one of them cannot be reached: paid calls are refused, and cases go "
    "on without their opinions", alarm="SRE: 1 for five minutes",
)  # fmt: skip
MODEL_BREAKER = Metric(
    name="vigimesh.model.breaker", kind="gauge", unit="{state}", labels=("stage", "lane"),
    meaning="whether the large model is asked: 0 closed, every call is made; 1 half-open, one call tries it; 2 open, since "
    "several calls in a row failed: cases go on without their opinions, or with a fallback's; of several models the worst", alarm="SRE: above 0 for ten minutes",
)  # fmt: skip
BATCH_GATHERED = Metric(
    name="vigimesh.batch.gathered", kind="counter", unit="{question}", labels=("stage", "lane", "state"),
    meaning="questions of cold cases by what gathering them for a batch came to: waiting (for the window), sent (its batch goes on), or "
    "ended (not sent in its window, or in too many batches: paid at once, or its answer is there); a case that looks again counts again",
)  # fmt: skip
BATCH_CALLS = Metric(
    name="vigimesh.batch.calls", kind="counter", unit="{call}", labels=("outcome",),
    meaning="calls in batches: begun, answered, copied (the same question as one that was charged), failed, expired, or in_doubt; failed and "
    "expired ones are sent once more or paid at once", alarm="SRE: in_doubt above 0",
)  # fmt: skip
BATCHES = Metric(
    name="vigimesh.batch.batches", kind="counter", unit="{batch}", labels=("state",),
    meaning="batches: sent, and ended whole, partial (some calls failed, expired or are in doubt) or empty (all of them)",
    alarm="SRE: empty",
)  # fmt: skip
BATCH_WAIT = Metric(
    name="vigimesh.batch.wait", kind="histogram", unit="s", labels=("workflow",),
    meaning="from the moment a question was gathered until its answer was stored",
    bounds=(60.0, 600.0, 3_600.0, 3 * 3_600.0, 6 * 3_600.0, 12 * 3_600.0, 86_400.0, 2 * 86_400.0, 7 * 86_400.0),
)  # fmt: skip
GATES_SHUT = Metric(
    name="vigimesh.cascade.gates_shut", kind="gauge", unit="{gate}", labels=("stage", "lane"),
    meaning="places in which the small tier resolves nothing since its scores or the labels of the sample have drifted, or a person "
    "closed it: cases go on to the next tier or a person", alarm="the workflow's owner: above 0",
)  # fmt: skip
SEARCHED = Metric(
    name="vigimesh.knowledge.searched", kind="counter", unit="{question}", labels=("by",),
    meaning="questions put to the index, by what answered: both (words and vectors), or why words alone did: off (no model configured), "
    "free (it is about no product), "
    "absent (no pgvector, or the model is missing or altered), away (its endpoint), unfinished (passages without vectors), "
    "kept (the question may name a person, and the model is elsewhere)",
    alarm="the owner of the knowledge base: absent, or unfinished for an hour",
)  # fmt: skip
ANSWERS_FAILED = Metric(
    name="vigimesh.knowledge.answers_failed", kind="counter", unit="{failure}", labels=("what",),
    meaning="times a store of answers (read, write, lease), the warm level (warm) or a guard (guard) did not work: questions were "
    "searched for instead", alarm="SRE: more than ten a minute for ten minutes",
)  # fmt: skip
LEADING = Metric(
    name="vigimesh.controller.leading", kind="gauge", unit="{controller}", labels=(),
    meaning="1 in the controller that leads, 0 in one that stands by", alarm="SRE: sum not 1 for two minutes",
)  # fmt: skip

KNOWLEDGE_ANSWERS = Metric(
    name="vigimesh.knowledge.answers", kind="counter", unit="{answer}", labels=("product", "level", "match"),
    meaning="questions put to the knowledge base by what answered: hot or warm cache, or a search; and how a cache found it, "
    "exact or semantic",
)  # fmt: skip
KNOWLEDGE_GROUNDED = Metric(
    name="vigimesh.knowledge.grounded", kind="counter", unit="{answer}", labels=("product", "level"),
    meaning="those of them that found at least one passage",
)  # fmt: skip
KNOWLEDGE_MISSES = Metric(
    name="vigimesh.knowledge.misses", kind="counter", unit="{answer}", labels=("product", "reason"),
    meaning="questions that no cache served, by why: absent, or what held back the answer that was there",
)  # fmt: skip
KNOWLEDGE_FALSE_HITS = Metric(
    name="vigimesh.knowledge.false_hits", kind="counter", unit="{answer}", labels=("product", "level", "reason"),
    meaning="answers that a cache served though what they cite was superseded, withdrawn or too old, found by the audit of "
    "every served answer; breaches of less than a minute are not seen", alarm="the product's owner: any",
)  # fmt: skip
KNOWLEDGE_AGE = Metric(
    name="vigimesh.knowledge.age_at_serve", kind="histogram", unit="s", labels=("product", "level"),
    meaning="how long ago the sources of an answer from a cache were read when it was served",
    bounds=(1.0, 10.0, 60.0, 600.0, 3_600.0, 6 * 3_600.0, 86_400.0, 3 * 86_400.0, 7 * 86_400.0, 30 * 86_400.0),
)  # fmt: skip
KNOWLEDGE_OVERDUE = Metric(
    name="vigimesh.knowledge.overdue", kind="gauge", unit="{product}", labels=("product",),
    meaning="1 while a source of the product was not read again within its service level", alarm="the product's owner: 1",
)  # fmt: skip
DUTY_DONE = Metric(
    name="vigimesh.librarian.done", kind="counter", unit="{thing}", labels=("duty",),
    meaning="what the librarian's duties have done: changes announced, documents taken up",
)  # fmt: skip
DUTY_FAILED = Metric(
    name="vigimesh.librarian.failed", kind="counter", unit="{step}", labels=("duty", "code"),
    meaning="steps of a duty that failed and are tried again", alarm="SRE: rising for ten minutes",
)  # fmt: skip
DOCUMENTS_REFUSED = Metric(
    name="vigimesh.knowledge.refused", kind="counter", unit="{document}", labels=("code",),
    meaning="files of the watched folder that did not enter, once each time that they change", alarm="the product's owner: any",
)  # fmt: skip

METRICS: tuple[Metric, ...] = (
    CONSUMED, SENT, PROCESS_DURATION, COMMIT_DURATION, OUTCOMES, DEAD_LETTERS, DOUBTS, OWNED_PARTITIONS,
    PARKED_WAITING,
    LAG_RECORDS, LAG_SECONDS, LAG_UNKNOWN, ORDERED_SHARE,
    BACKLOG_PRICE, BUDGET_LEFT, BUDGET_ALARM, ORDERED_CEILING, ORDERED_CALLS, THROTTLED, LEADING,
    PAYING_SHUT, MODEL_BREAKER, BATCH_GATHERED, BATCH_CALLS, BATCHES, BATCH_WAIT, GATES_SHUT, ANSWERS_FAILED, SEARCHED,
    KNOWLEDGE_ANSWERS, KNOWLEDGE_GROUNDED, KNOWLEDGE_MISSES, KNOWLEDGE_FALSE_HITS, KNOWLEDGE_AGE, KNOWLEDGE_OVERDUE,
    DUTY_DONE, DUTY_FAILED, DOCUMENTS_REFUSED,
)  # fmt: skip

#: Attributes of the span of one record in one stage (kind CONSUMER), named `process STAGE`.
SYSTEM = "messaging.system"
OPERATION_NAME = "messaging.operation.name"
OPERATION_TYPE = "messaging.operation.type"
DESTINATION = "messaging.destination.name"
PARTITION = "messaging.destination.partition.id"
GROUP = "messaging.consumer.group.name"
OFFSET = "messaging.kafka.offset"
CONVERSATION = "messaging.message.conversation_id"
ERROR_TYPE = "error.type"
OUTCOME = "vigimesh.outcome"
LANE = "vigimesh.lane"
