"""What settling a dead letter writes: the record as it was, or none; why, for the auditor; the count, for lag."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from vigimesh.adapters.kafka.desks.dead_letters import Letter
from vigimesh.clock import Clock
from vigimesh.errors import Refused
from vigimesh.events import ids
from vigimesh.events.classes import AuditRecorded, EventDeadLettered, FlowCounted
from vigimesh.events.codec import Codec
from vigimesh.events.envelope import (
    Envelope,
    Headers,
    from_headers,
    source_of,
    to_headers,
    trace_of,
    traceparent_of,
)
from vigimesh.events.topics import BY_NAME, PREFIX, groups, topic
from vigimesh.loop.broker import Write

STAGE = "operator"

#: Topics that somebody takes work from: only there a record may go back.
INPUTS = frozenset(name for _, names in groups() for name in names)

_AGO = re.compile(r"(\d{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which dead letters are meant; what is empty lets all pass. `given` are beginnings of event ids."""

    given: tuple[str, ...] = ()
    code: str = ""
    stage: str = ""
    topic: str = ""
    workflow: str = ""
    lane: str = ""
    since: datetime | None = None
    until: datetime | None = None

    @property
    def everything(self) -> bool:
        """Whether nothing is asked for, so that every letter is meant."""
        return self == Wanted()

    def has(self, letter: Letter) -> bool:
        """Return whether a letter is meant."""
        event = letter.event
        return (
            (not self.given or event.event_id.startswith(self.given))
            and self.code in ("", event.code)
            and self.stage in ("", event.stage)
            and self.topic in ("", event.topic)
            and self.workflow in ("", event.workflow)
            and self.lane in ("", event.lane)
            and (self.since is None or letter.at >= self.since)
            and (self.until is None or letter.at < self.until)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What an operator ordered: `action` is `redriven` or `closed`, `by` who, `reason` why in words."""

    action: str
    by: str
    reason: str


@dataclass(slots=True, kw_only=True)
class Settling:
    """Makes the records of an order. `fetch` reads the object store, `there` are the topics of the cluster."""

    order: Order
    codec: Codec
    clock: Clock
    fetch: Callable[[str], bytes]
    there: frozenset[str]

    def settle(self, event: EventDeadLettered) -> Sequence[Write]:
        """Return the records of one letter: where it goes back the record as it was, and the audit of either.

        Raises `Refused` VM-1721 when it can't go back, VM-1601 when its bytes are gone; `Broken` VM-1602; `Transient`.
        """
        digest = event.value_ref or ids.digest(event.value)
        if self.order.action != "redriven":
            return (self._audit(event, digest),)
        if event.topic not in INPUTS or event.topic not in self.there:
            raise Refused("VM-1721", what=f"no stage reads {event.topic} here any more", where=event.event_id,
                          todo="create the topic with `vigimesh topics apply`, or close the dead letter")  # fmt: skip
        value = self.fetch(event.value_ref) if event.value_ref else event.value
        back = Write(topic=event.topic, key=event.key, value=value, headers=headers_of(event))
        return back, self._audit(event, digest)

    def total(self, events: Sequence[EventDeadLettered]) -> Sequence[Write]:
        """Return the flow records of one transaction: what left the dead letters, and where it went."""
        taken: Counter[tuple[str, str]] = Counter()
        sent: dict[tuple[str, str], Counter[str]] = {}
        for event in events:
            label = event.workflow, event.lane
            taken[label] += 1
            if self.order.action == "redriven":
                sent.setdefault(label, Counter())[event.topic] += 1
        writes = []
        for index, ((workflow, lane), count) in enumerate(sorted(taken.items())):
            back = dict(sent.get((workflow, lane), {}))
            flow = FlowCounted(
                stage=STAGE,
                workflow=workflow,
                lane=lane,
                consumed=count,
                produced=sum(back.values()),
                sent=back,
            )
            named = ids.event_id(_once(events[0]), f"{STAGE}.flow", 1, index)
            envelope = self._envelope(topic("flow"), named, workflow, _headers(events[0]))
            writes.append(self._write(topic("flow"), workflow, flow, envelope))
        return writes

    def _audit(self, event: EventDeadLettered, digest: str) -> Write:
        key = event.key.decode("utf-8", "replace")
        back = self.order.action == "redriven"
        audit = AuditRecorded(
            case_id=key, message_id=event.message_id, event_id=event.event_id, stage=STAGE, actor=self.order.by,
            action=self.order.action, why=self.order.reason, input_digest=digest,
            outputs=(event.event_id,) if back else (), earlier=f"dead letter of {event.stage}: {event.code}",
            new=event.topic if back else "closed",
        )  # fmt: skip
        named = ids.event_id(_once(event), STAGE, 1, -1)
        return self._write(
            topic("audit"), key, audit, self._envelope(topic("audit"), named, key, _headers(event))
        )

    def _envelope(self, name: str, event_id: str, subject: str, of: Envelope) -> Envelope:
        return Envelope(
            id=event_id, source=source_of(STAGE), type=BY_NAME[name].ce_type,
            time=self.clock.now(), subject=subject, dataschema=self.codec.dataschema(name),
            traceparent=traceparent_of(trace_of(of), ids.span_id(f"{STAGE}|{of.id}")),
            messageid=of.messageid, workflow=of.workflow, lane=of.lane, cause=of.cause,
        )  # fmt: skip

    def _write(self, name: str, key: str, event: object, envelope: Envelope) -> Write:
        value = self.codec.encode(name, event)
        return Write(topic=name, key=key.encode(), value=value, headers=to_headers(envelope))


def headers_of(event: EventDeadLettered) -> Headers:
    """Return the record's headers as they were; one that named no id gets the one it was given up under.

    Otherwise it would be named anew after its new place, and what is made of it could come twice.
    """
    headers = [(header.name, header.value) for header in event.headers]
    named = any(name == "ce_id" and value for name, value in headers)
    return headers if named else [*headers, ("ce_id", event.event_id.encode())]


def chosen(letters: Iterable[Letter], wanted: Wanted) -> list[Letter]:
    """Return the letters that are meant."""
    return [letter for letter in letters if wanted.has(letter)]


def full_topic(name: str) -> str:
    """Return a topic's full name, also for one given without its prefix (`plan.hot`)."""
    return name if not name or name in BY_NAME or PREFIX + name not in BY_NAME else PREFIX + name


def moment(text: str, now: datetime) -> datetime | None:
    """Return a moment given as ISO 8601 (UTC where it names no zone) or as an age such as `90m`, `2h`, `3d`; `None` for none.

    Raises `ValueError` for anything else.
    """
    if not text:
        return None
    ago = _AGO.fullmatch(text)
    if ago:
        return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=now.tzinfo)


def _once(event: EventDeadLettered) -> str:
    """Name this giving-up of the event: given up again after a redrive, it has another place."""
    return f"{event.event_id}|{event.topic}-{event.partition}-{event.offset}"


def _headers(event: EventDeadLettered) -> Envelope:
    return from_headers(headers_of(event), event.event_id)
