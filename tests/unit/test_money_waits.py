"""P3's certificate from a record: what the rule lets wait is certified, and each way of waiting wrongly is found by its name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import product

import pytest

from vigimesh.domain.budget.waiting import WAITS, waits_until
from vigimesh.domain.record.money_waits import Audited, Certificate, Conclusion, Known, certify, is_wait
from vigimesh.events.classes import AuditRecorded, CaseDecided, Clock, ReviewRequested, Triage

ARRIVED = datetime(2026, 3, 2, 9, tzinfo=UTC)
#: When the budget has room again: five days after the arrival.
OPENS = ARRIVED + timedelta(days=5)
#: All has ended by then, or is late.
NOW = ARRIVED + timedelta(days=60)
HOUR, SECOND = timedelta(hours=1), timedelta(seconds=1)

Rule = Callable[[Triage, str, datetime, datetime | None, str], datetime | None]


def triages() -> Iterator[tuple[Triage, str]]:
    """Yield every kind of case, with its lane."""
    for valid, serious, grade, lane, asks, days in product(
        (True, False),
        ("yes", "no", "unknown"),
        (1, 3),
        ("hot", "warm", "cold"),
        (True, False),
        (None, 3, 6, 8, 15, 90),
    ):
        due_at = None if days is None else ARRIVED + timedelta(days=days)
        clock = Clock(due_at=due_at, person_needed=asks)
        yield (
            Triage(valid=valid, serious=serious, grade=grade, grade_reasons=("x",), listed="no", clock=clock),
            lane,
        )


@dataclass(kw_only=True)
class Story:
    """A record as the mesh would write it under a rule of who waits."""

    audit: list[Audited] = field(default_factory=list)
    known: dict[str, Known] = field(default_factory=dict)
    conclusions: dict[str, Conclusion] = field(default_factory=dict)

    def say(self, at: datetime, stage: str, action: str, name: str, why: str = "", *outputs: str) -> None:
        record = AuditRecorded(
            case_id=f"case {name}", message_id=f"message {name}", event_id=f"event {name}", stage=stage, actor="0",
            action=action, why=why, input_digest="", outputs=outputs,
        )  # fmt: skip
        self.audit.append(Audited(at=at, record=record))

    def wait(self, name: str, known: Known, until: datetime, word: str = "denied") -> None:
        self.known[f"event {name}"] = known
        self.say(ARRIVED + HOUR, "tool-executor", "parked", name, f"{WAITS[word]}: no room")
        self.say(until + SECOND, "resumer", "resumed", name)

    def conclude(self, name: str, at: datetime, known: Known, decision: str = "") -> None:
        triage = known.triage
        shared = {
            "case_id": f"case {name}", "message_id": f"message {name}", "version": ("1",), "workflow": "triage",
            "lane": known.lane, "grade": triage.grade, "serious": triage.serious, "reason": "", "rule": "", "tier": "",
            "card_digest": "", "received_at": ARRIVED,
        }  # fmt: skip
        end: Conclusion = (
            CaseDecided(decision=decision, **shared)  # type: ignore[arg-type]  # of several types
            if decision
            else ReviewRequested(question="", **shared)  # type: ignore[arg-type]
        )
        self.conclusions[f"end {name}"] = end
        self.say(at, "supervisor", "done", name, "", f"end {name}")

    def certified(self, now: datetime = NOW) -> Certificate:
        return certify(self.audit, lambda record: self.known.get(record.event_id), self.conclusions, now)


def told(rule: Rule) -> Story:
    """Return what happens to every kind of case when the budget is empty until `OPENS`."""
    story = Story()
    for number, (triage, lane) in enumerate(triages()):
        name, known = str(number), Known(triage=triage, lane=lane, received_at=ARRIVED)
        until = rule(triage, lane, ARRIVED, OPENS, name)
        if until is not None:
            story.wait(name, known, until)
        story.conclude(name, (until or ARRIVED + HOUR) + HOUR, known)
    return story


def test_what_the_rule_lets_wait_is_certified() -> None:
    found = told(waits_until).certified()
    assert found.holds, found
    assert found.waits == found.back > 0


def on(change: Callable[[Triage], Triage], lane: str = "") -> Rule:
    """Return the rule with something of the case hidden from it."""
    return lambda triage, at, *rest: waits_until(change(triage), lane or at, *rest)


#: What is planted in the rule, and what the certificate must say of it, at least.
PLANTED: dict[str, tuple[Rule, str]] = {
    "a serious case waits": (on(lambda one: replace(one, serious="no")), "serious"),
    "its grade is passed over": (on(lambda one: replace(one, grade=1)), "serious"),
    "an untriaged case waits": (on(lambda one: replace(one, valid=True)), "serious"),
    "a hot case waits": (on(lambda one: one, "warm"), "serious"),
    "a clock nobody confirmed is believed": (
        on(lambda one: replace(one, clock=replace(one.clock, person_needed=False))), "serious",
    ),
    "the clock is passed over": (on(lambda one: replace(one, clock=replace(one.clock, due_at=None))), "late"),
    "the room before its end is passed over": (
        on(lambda one: replace(one, clock=replace(one.clock, due_at=one.clock.due_at and one.clock.due_at + timedelta(days=2)))),
        "too_long",
    ),
    "without a clock it waits for ever": (
        lambda triage, lane, at, opens, name: (
            NOW if triage.clock.due_at is None and waits_until(triage, lane, at, opens, name) else None
        ),
        "too_long",
    ),
}  # fmt: skip


@pytest.mark.parametrize("planted", PLANTED)
def test_a_rule_with_a_defect_is_found(planted: str) -> None:
    rule, word = PLANTED[planted]
    assert getattr(told(rule).certified(), word), planted


def quiet(days: int | None = 15) -> Known:
    """Return a case that may wait."""
    due_at = None if days is None else ARRIVED + timedelta(days=days)
    triage = Triage(
        valid=True, serious="no", grade=1, grade_reasons=("x",), listed="no", clock=Clock(due_at=due_at)
    )
    return Known(triage=triage, lane="warm", received_at=ARRIVED)


def test_one_that_was_never_resumed_is_too_long_and_late_once_its_clock_has_run_out() -> None:
    story = Story()
    story.wait("a", quiet(), OPENS)
    story.audit = [one for one in story.audit if one.record.action != "resumed"]
    assert story.certified(OPENS + HOUR).holds
    found = story.certified(ARRIVED + timedelta(days=14))
    assert (found.too_long, found.late, found.back) == (("message a",), (), 0)
    assert story.certified().late == ("message a",)


def test_a_case_that_was_back_in_time_and_concluded_after_its_clock_is_late() -> None:
    story = Story()
    story.wait("a", quiet(), OPENS)
    story.conclude("a", ARRIVED + timedelta(days=16), quiet())
    assert story.certified().late == ("message a",)
    story = Story()
    story.wait("a", quiet(), OPENS)
    story.conclude("a", ARRIVED + timedelta(days=14), quiet())
    assert story.certified().holds


def test_an_earlier_wait_is_not_ended_by_what_ended_before_it() -> None:
    story = Story()
    story.wait("a", quiet(), OPENS)
    story.say(OPENS + HOUR, "tool-executor", "parked", "a", f"{WAITS['denied']}: no room again")
    found = story.certified()
    assert (found.waits, found.back, found.too_long) == (2, 1, ("message a",))


def test_a_wait_whose_event_is_not_on_the_record_is_not_certified() -> None:
    story = Story()
    story.wait("a", quiet(), OPENS)
    story.conclude("a", OPENS + HOUR, quiet())
    story.known.clear()
    assert story.certified().unread == ("message a",)


@pytest.mark.parametrize(("decision", "serious", "found"), [
    ("auto_accepted", "no", ()), ("auto_accepted", "unknown", ("message a",)), ("auto_accepted", "yes", ("message a",)),
    ("superseded", "unknown", ()), ("", "unknown", ()),
])  # fmt: skip
def test_what_nobody_knows_of_is_not_accepted_by_a_machine(
    decision: str, serious: str, found: tuple[str, ...]
) -> None:
    story, known = Story(), quiet()
    known = replace(known, triage=replace(known.triage, serious=serious))
    story.conclude("a", ARRIVED + HOUR, known, decision)
    assert story.certified().accepted == found


def test_waiting_for_a_cheaper_batch_is_waiting_for_money_and_waiting_by_order_is_not() -> None:
    story = Story()
    story.wait("a", quiet(), OPENS, "gathered")
    story.say(ARRIVED, "tool-executor", "parked", "b", "its workflow waits by order: quarterly stop")
    story.say(ARRIVED, "planner", "parked", "c", f"{WAITS['denied']}: not its business")
    assert [is_wait(one.record) for one in story.audit] == [True, False, False, False]
    assert story.certified().waits == 1
