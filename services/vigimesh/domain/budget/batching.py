"""Cold work that is bought in batches: what may be gathered, what goes into a batch, what a batch has come to. Pure.

A provider's batch costs less and takes up to a day. So only a triaged case may be gathered, in the cold lane, not serious, whose
legal clock leaves room for the wait (`domain.budget.waiting`): nothing hot, and nothing that is not known to be non-serious.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, time, timedelta

from vigimesh.domain.budget.calls import PaidCall
from vigimesh.domain.budget.values import Caps
from vigimesh.domain.budget.waiting import waits_until
from vigimesh.domain.cascade.question import AnswerSchema, Message, Question, prompt_bytes, prompt_digest
from vigimesh.domain.policy.cards import BatchWindow
from vigimesh.errors import Broken, Refused
from vigimesh.events.classes import Triage
from vigimesh.events.ids import digest

#: How long a provider may take for a batch: the completion window that all of them offer.
COMPLETION = timedelta(hours=24)
#: Seconds beyond it in which the answers are fetched and stored; then the calls are in doubt, though a late answer still counts.
MARGIN_S = 7_200.0
#: Seconds a call of a batch is left to it by the journal.
LEASE_S = COMPLETION.total_seconds() + MARGIN_S
#: How long before its batch is made a reservation is dated: into a minute that is over, since calls of a batch are no calls a minute.
MINUTES_BACK = timedelta(minutes=2)
#: Questions of one batch, and bytes of its file: the least that the known providers take is 50,000 and 200 MB, and one
#: statement of the journal writes them all.
MAX_ITEMS, MAX_BYTES = 1_000, 6_291_456
#: Bytes of a line around its question: names, quotes, escapes of line ends.
_LINE_BYTES = 512
#: Batches that a call may be in before it is left to be paid at once.
MAX_TRIES = 2
#: Seconds in which a batch is looked for whose creation was not answered, before it is created again: a list may lag.
LOOK_S = 600.0
#: Seconds after which a batch that never ends is given up: a week after its window.
GIVE_UP_S = LEASE_S + 7 * 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Gathered:
    """One question that waits for a batch: which call it is, what its workflow may spend, from when until when it may be sent."""

    call_id: str
    case_id: str
    workflow: str
    version: str
    step: str
    pass_number: int
    question: Question
    caps: Caps
    gathered_at: datetime
    opens_at: datetime
    not_after: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One line of a batch: a question, and the calls that it answers, the one that is charged first."""

    key: str
    question: Question
    calls: tuple[Gathered, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A call in a batch: reserved at `at` for `worst_micro`."""

    gathered: Gathered
    at: datetime
    worst_micro: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A batch as the journal knows it. `asked_at` is written before the endpoint is asked to create it, `batch_id` after."""

    name: str
    made_at: datetime
    file_id: str = ""
    asked_at: datetime | None = None
    batch_id: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A batch as an operator sees it: its calls, the questions that they ask, how many are answered, what they cost."""

    name: str
    made_at: datetime
    batch_id: str
    ended_at: datetime | None
    why: str
    calls: int
    questions: int
    answered: int
    cost_micro: int

    def start_up_s(self, now: datetime) -> float:
        """Return the seconds that the batch took, or takes by `now`, for each of its calls: what a small one wastes."""
        return ((self.ended_at or now) - self.made_at).total_seconds() / max(self.calls, 1)


def next_window(window: BatchWindow, now: datetime) -> tuple[datetime, datetime]:
    """Return when the window of a card that is open now, or opens next, opens and closes; it may pass midnight (UTC)."""
    opens, closes = time.fromisoformat(window.opens_utc), time.fromisoformat(window.closes_utc)
    for days in (-1, 0, 1):
        day = now.date() + timedelta(days=days)
        first = datetime.combine(day, opens, now.tzinfo)
        last = datetime.combine(day + timedelta(days=closes <= opens), closes, now.tzinfo)
        if now < last:
            return first, last
    raise AssertionError("a window opens every day")


def gathers_until(
    triage: Triage, lane: str, received_at: datetime, window: BatchWindow, now: datetime, name: str
) -> tuple[datetime, datetime, datetime] | None:  # fmt: skip
    """Return when the batch window opens, when it closes, and when the case comes back; `None`: it is paid at once.

    `name` is any name of the work, from which its moment after the window is drawn.
    """
    if lane != "cold":
        return None
    opens_at, closes_at = next_window(window, now)
    back_at = waits_until(triage, lane, received_at, closes_at + COMPLETION, name)
    return None if back_at is None else (opens_at, closes_at, back_at)


def items_of(
    waiting: Iterable[Gathered], max_items: int = MAX_ITEMS, max_bytes: int = MAX_BYTES
) -> tuple[Item, ...]:
    """Return what fits one batch, the same question once, however many calls ask it; the first waiting first.

    Only those with the first one's model, because a batch has one, and with one bound of its answer for a question.
    """
    groups: dict[str, list[Gathered]] = {}
    model, size, calls = "", 0, 0
    for one in waiting:
        model = model or one.question.model
        key = prompt_digest(one.question)
        # A question is escaped as JSON: a byte of it may take six.
        more = 0 if key in groups else 6 * prompt_bytes(one.question) + _LINE_BYTES
        if one.question.model != model or calls >= max_items or (groups and size + more > max_bytes):
            continue
        groups.setdefault(key, []).append(one)
        size, calls = size + more, calls + 1
    return tuple(
        Item(key=key, question=found[0].question, calls=tuple(found)) for key, found in groups.items()
    )


def batch_name(calls: Sequence[PaidCall], now: datetime) -> str:
    """Return the name of a batch, which goes with it as its metadata: that of its calls and its moment."""
    parts = "\x1f".join((now.isoformat(), *(one.call_id for one in calls)))
    return f"vigimesh-{digest(parts.encode())[:32]}"


def write_gathered(one: Gathered) -> bytes:
    """Return a gathered question as bytes: what the journal keeps of it."""
    value = asdict(one) | {
        name: getattr(one, name).isoformat() for name in ("gathered_at", "opens_at", "not_after")
    }
    return json.dumps(value, ensure_ascii=True, sort_keys=True, separators=(",", ":")).encode()


def read_gathered(data: bytes) -> Gathered:
    """Return what `write_gathered` wrote. Raises `Broken` VM-2405 for other bytes."""
    try:
        value = json.loads(data)
        asked = value["question"]
        schema = None if asked["schema"] is None else AnswerSchema(**asked["schema"])
        messages = tuple(Message(**one) for one in asked["messages"])
        times = {
            name: datetime.fromisoformat(value[name]) for name in ("gathered_at", "opens_at", "not_after")
        }
        question = Question(**{**asked, "messages": messages, "schema": schema})
        return Gathered(**{**value, **times, "question": question, "caps": Caps(**value["caps"])})
    except (ValueError, TypeError, KeyError, Refused) as error:
        raise Broken(
            "VM-2405", what="a gathered question cannot be read", where="journal.gathered",
            todo="restore the journal from a copy; what is not sent is paid at once when its case comes back",
        ) from error  # fmt: skip
