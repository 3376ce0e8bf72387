"""Recall in the supervisor: one conclusion per version and cause; what differs is reopened; nothing is overtaken unseen.

Three bugs are planted, and each promise's test has to find its own: the cause ignored, an overtaken version reopened, a
grade that falls silently.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from unit.policy_making import ADULT, AT, CALM, conclusion, emitted, executed, route_of, supervised
from unit.test_supervise import escalating
from vigimesh.domain.knowledge import recalling
from vigimesh.domain.knowledge.freshness import Known
from vigimesh.domain.knowledge.recalling import clock_after, differences, lane_for, touched
from vigimesh.events.classes import (
    CaseDecided,
    CaseRouted,
    Clock,
    HeadMoved,
    ReviewRequested,
    SeenMessage,
    ToolsExecuted,
    Triage,
)
from vigimesh.events.knowledge import Passage, Recall
from vigimesh.supervisor import supervise, versions
from vigimesh.supervisor.versions import MAX_SEEN, Placed, moved, place

V1, V2 = ("2026-02-20", "2026-02-21"), ("2026-02-22", "2026-02-23")
RECALL = Recall(
    document_id="product/zelora", version="2.0", superseded="1.0", passages=("product/zelora@1.0#10-40",),
    earlier="auto_accepted", rule="routine", grade=1, serious="no", listed="yes", known_at=AT, ordered_at=AT,
)  # fmt: skip
NEXT = dataclasses.replace(RECALL, version="3.0", earlier="upheld")
UNLISTED = dataclasses.replace(CALM, grade=2, listed="no")


def arrived(message: str = "a", version: tuple[str, ...] = V1, triage: Triage = CALM) -> ToolsExecuted:
    case = dataclasses.replace(ADULT, message_id=message)
    return executed(case, triage, route=route_of(version=version))


def recalled(event: ToolsExecuted, recall: Recall = RECALL, **changes: Any) -> ToolsExecuted:
    route = dataclasses.replace(event.route, recall=recall)
    return dataclasses.replace(event, **{"route": route, **changes})


def after(event: ToolsExecuted, head: HeadMoved | None) -> HeadMoved:
    (emit,) = emitted(supervised(event, head), HeadMoved)
    assert isinstance(emit.event, HeadMoved)
    return emit.event


HEAD = after(arrived(), None)


def one_per_cause() -> None:
    found = conclusion(supervised(recalled(arrived()), HEAD))
    assert isinstance(found, CaseDecided)
    assert (found.decision, found.cause, found.rule) == ("upheld", "product/zelora@2.0", "routine")
    head = after(recalled(arrived()), HEAD)
    assert [(one.message_id, one.cause) for one in head.seen] == [("a", ""), ("a", "product/zelora@2.0")]
    assert supervised(recalled(arrived()), head).events == ()
    assert supervised(arrived(), head).events == ()
    assert conclusion(supervised(recalled(arrived(), NEXT), head)).cause == "product/zelora@3.0"


def overtaken_stays_closed() -> None:
    head = after(arrived("b", V2), HEAD)
    found = conclusion(supervised(recalled(arrived(triage=UNLISTED)), head))
    assert isinstance(found, CaseDecided)
    assert (found.decision, found.cause) == ("superseded", "product/zelora@2.0")
    nullified = dataclasses.replace(head, nullified=True)
    gone = conclusion(supervised(recalled(arrived(triage=UNLISTED)), nullified))
    assert isinstance(gone, CaseDecided)
    assert gone.decision == "nullified"
    assert after(recalled(arrived()), head).newest_message_id == "b"


def a_lower_grade_is_reopened() -> None:
    recall = dataclasses.replace(RECALL, grade=2, listed="no")
    found = conclusion(supervised(recalled(arrived(), recall), HEAD))
    assert isinstance(found, ReviewRequested)
    assert found.rule == "advice_recalled"
    assert "grade 1, was 2" in found.reason


PROMISES: tuple[Callable[[], None], ...] = (one_per_cause, overtaken_stays_closed, a_lower_grade_is_reopened)


@pytest.mark.parametrize("promise", PROMISES)
def test_what_a_recall_may_do(promise: Callable[[], None]) -> None:
    promise()


def _no_cause(message: str, version: versions.Version, head: HeadMoved | None, cause: str = "") -> Placed:
    del cause
    return place(message, version, head)


def _reopens(message: str, version: versions.Version, head: HeadMoved | None, cause: str = "") -> Placed:
    found = place(message, version, head, cause)
    return Placed(standing="newest") if cause and found.standing in ("overtaken", "nullified") else found


def _lets_grades_fall(recall: Recall, triage: Triage, accepted: bool, passages: Any) -> tuple[str, ...]:
    kept = dataclasses.replace(triage, grade=max(triage.grade, recall.grade), listed=recall.listed)
    return differences(recall, kept, accepted, passages)


@pytest.mark.parametrize(
    ("name", "bug", "finder"),
    [
        ("place", _no_cause, one_per_cause),
        ("place", _reopens, overtaken_stays_closed),
        ("differences", _lets_grades_fall, a_lower_grade_is_reopened),
    ],
)
def test_each_planted_bug_is_found(
    name: str, bug: Any, finder: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervise, name, bug)
    with pytest.raises((AssertionError, ValueError)):
        finder()


def test_a_result_that_differs_goes_to_a_person_with_both_results_in_words() -> None:
    found = conclusion(supervised(recalled(arrived(triage=UNLISTED)), HEAD))
    assert isinstance(found, ReviewRequested)
    assert (found.rule, found.cause, found.grade) == ("advice_recalled", "product/zelora@2.0", 2)
    assert "product/zelora has version 2.0 now, and the conclusion rests on 1.0" in found.reason
    assert "before: auto accepted by rule routine, grade 1, serious no, listed yes" in found.reason
    assert "listed no, was yes" in found.reason
    assert found.question
    (moved_to,) = emitted(supervised(recalled(arrived(triage=UNLISTED)), HEAD), HeadMoved)
    assert isinstance(moved_to.event, HeadMoved)
    assert moved_to.event.seen[-1].outcome == "in_review"


def test_a_hold_keeps_a_recalled_case_from_the_machine_too() -> None:
    found = conclusion(supervised(recalled(arrived()), HEAD, hold=True))
    assert isinstance(found, ReviewRequested)
    assert "a machine may not accept it any more" in found.reason


def test_what_a_person_has_is_never_closed_by_a_recall() -> None:
    serious = dataclasses.replace(CALM, serious="yes", grade=3)
    waiting = dataclasses.replace(RECALL, earlier="in_review", rule="serious", grade=3, serious="yes")
    same = conclusion(supervised(recalled(arrived(triage=serious), waiting), HEAD))
    assert isinstance(same, ReviewRequested)
    assert (same.rule, same.cause) == ("serious", "product/zelora@2.0")
    better = conclusion(supervised(recalled(arrived(), waiting), HEAD))
    assert isinstance(better, ReviewRequested)
    assert better.rule == "advice_recalled"
    assert "a machine may accept it" in better.reason


def test_a_result_that_rests_on_the_old_passage_again_upholds_nothing() -> None:
    old = Passage(
        document_id="product/zelora", version="1.0", section="s", start=0, end=1, text="x", score=1.0
    )
    found = conclusion(supervised(recalled(arrived(), passages=(old,)), HEAD))
    assert isinstance(found, ReviewRequested)
    assert "given product/zelora@1.0 again" in found.reason
    new = dataclasses.replace(old, version="2.0")
    assert isinstance(conclusion(supervised(recalled(arrived(), passages=(new,)), HEAD)), CaseDecided)
    gone = dataclasses.replace(RECALL, withdrawn=True)
    assert isinstance(
        conclusion(supervised(recalled(arrived(), gone, passages=(new,)), HEAD)), ReviewRequested
    )


def test_another_pass_of_a_recall_keeps_its_cause() -> None:
    event = escalating(recall=dataclasses.replace(RECALL, grade=3, serious="unknown"))
    (emit,) = supervised(event).events
    assert isinstance(emit.event, CaseRouted)
    assert emit.event.route.recall == event.route.recall


def test_arrivals_are_remembered_before_recalls() -> None:
    head: HeadMoved | None = None
    for number in range(MAX_SEEN):
        seen = SeenMessage(message_id=str(number), version=(f"{number:04}", ""), outcome="decided")
        head = moved(head, "c", seen, nullified=False)
    for number in range(3):
        again = SeenMessage(message_id="63", version=("0063", ""), outcome="decided", cause=f"d@{number}")
        head = moved(head, "c", again, nullified=False)
    assert head is not None
    assert len(head.seen) == MAX_SEEN
    assert [one.cause for one in head.seen if one.cause] == ["d@2"]
    assert place("63", ("0063", ""), head).standing == "repeat"
    assert place("63", ("0063", ""), head, "d@2").standing == "repeat"


# --- the clock -------------------------------------------------------------------------------------------------------

DUE = datetime(2026, 5, 1, 23, 59, 59, tzinfo=UTC)
FIFTEEN = Clock(rule="eu_serious_15d", jurisdiction="EU", day0_on="2026-01-01", due_at=datetime(2026, 1, 16, 23, 59, 59, tzinfo=UTC))  # fmt: skip


def test_a_clock_that_is_no_stricter_keeps_the_earlier_end() -> None:
    later = dataclasses.replace(FIFTEEN, due_at=DUE + timedelta(days=9))
    recall = dataclasses.replace(RECALL, due_at=DUE)
    assert clock_after(recall, later).due_at == DUE
    assert clock_after(recall, Clock()).due_at == DUE
    assert clock_after(RECALL, Clock()) == Clock()
    assert clock_after(dataclasses.replace(RECALL, due_at=FIFTEEN.due_at), FIFTEEN) == FIFTEEN


def test_a_stricter_clock_counts_from_the_day_the_change_was_known_and_never_ends_later() -> None:
    found = clock_after(RECALL, FIFTEEN)
    assert (found.day0_on, found.due_at) == ("2026-03-01", datetime(2026, 3, 16, 23, 59, 59, tzinfo=UTC))
    assert found.person_needed
    near = datetime(2026, 3, 4, 23, 59, 59, tzinfo=UTC)
    assert clock_after(dataclasses.replace(RECALL, due_at=near), FIFTEEN).due_at == near
    unknown = dataclasses.replace(FIFTEEN, rule="of an older table")
    assert clock_after(RECALL, unknown).due_at == FIFTEEN.due_at


def test_a_stricter_clock_reopens_with_its_new_end() -> None:
    triage = dataclasses.replace(CALM, clock=FIFTEEN)
    found = conclusion(supervised(recalled(arrived(triage=triage)), HEAD))
    assert isinstance(found, ReviewRequested)
    assert found.due_at == datetime(2026, 3, 16, 23, 59, 59, tzinfo=UTC)
    assert "clock eu_serious_15d, was none" in found.reason


# --- the lane, and what is touched --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "lane"),
    [
        ({}, "cold"),
        ({"serious": "yes"}, "hot"),
        ({"serious": "unknown"}, "hot"),
        ({"grade": 3}, "hot"),
        ({"urgent": True}, "hot"),
        ({"due_at": AT + timedelta(days=1)}, "hot"),
        ({"due_at": AT + timedelta(days=3)}, "warm"),
        ({"due_at": AT + timedelta(days=30)}, "cold"),
        ({"due_at": AT - timedelta(days=300)}, "cold"),
        ({"due_at": AT - timedelta(days=300), "serious": "yes"}, "hot"),
    ],
)
def test_only_work_whose_clock_leaves_room_is_cold(changes: dict[str, Any], lane: str) -> None:
    given = {"serious": "no", "grade": 1, "urgent": False, "due_at": None, "now": AT}
    assert lane_for(**{**given, **changes})[0] == lane


def test_what_is_touched_is_what_no_cache_would_serve() -> None:
    known = Known(current={"a": "1.10"}, withdrawn=frozenset({"gone"}))
    assert touched("a", "1.9", known, AT)
    assert not touched("a", "1.10", known, AT)
    assert not touched("a", "2.0", known, AT)
    assert touched("gone", "1.0", known, AT)
    assert not touched("strange", "1.0", known, AT)
    assert recalling.newest(("1.9", "1.10", "1.2")) == "1.10"
