"""The checker: tables of what may become of a message, and a property against a naive reading."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vigimesh.domain.record.checker import PLACES, Check, check
from vigimesh.domain.record.rows import AuditFact, Row
from vigimesh.domain.record.spend import Spent
from vigimesh.domain.record.triage_time import Statement, first_standing, quantile, times
from vigimesh.events.classes import UsageRecorded
from vigimesh.events.envelope import Envelope

START = datetime(2026, 3, 1, tzinfo=UTC)


class Log:
    """Writes rows as the topics would hold them: one partition a topic, offsets counted, one second a record."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.audits: list[AuditFact] = []
        self.offsets: Counter[str] = Counter()

    def put(
        self,
        topic: str,
        event: str,
        message: str = "",
        *,
        lane: str = "",
        key: str = "",
        gone: bool = False,
        cause: str = "",
    ) -> Row:
        full = f"vigimesh.{topic}"
        at = START + timedelta(seconds=len(self.rows))
        envelope = Envelope(
            id=event or f"{full}-0-{self.offsets[full]}", source="", type="", time=at, subject=key,
            messageid=message, workflow="triage" if lane else "", lane=lane, cause=cause,
        )  # fmt: skip
        value = None if gone else b"v"
        row = Row(full, 0, self.offsets[full], at, key or message, envelope, value)
        self.offsets[full] += 1
        self.rows.append(row)
        return row

    def worked(self, event: str, stage: str, *outputs: str, action: str = "done", message: str = "m") -> None:
        self.audits.append(
            AuditFact(event_id=event, message_id=message, stage=stage, action=action, outputs=outputs)
        )

    def received(self, message: str, event: str = "") -> Row:
        return self.put("case.received.normal", event or f"r-{message}", message)

    def triaged(self, message: str, lane: str = "cold", number: int = 1) -> Row:
        return self.put(f"supervise.{lane}", f"s{number}-{message}", message, lane=lane)

    def check(self, *, audited: bool = False, **more: dict[tuple[str, int], int]) -> Check:
        return check(self.rows, audits=self.audits if audited else None, committed=more.get("committed"))


def places(result: Check) -> dict[str, int]:
    named = ("accepted", *PLACES, "lost", "duplicated")
    return {name: getattr(result, name) for name in named if getattr(result, name)}


def test_each_message_has_one_place() -> None:
    log = Log()
    for message in "abcde":
        log.received(message)
    log.triaged("a")
    log.put("case.decided", "o-a", "a", lane="cold")
    log.triaged("b", "hot")
    log.put("case.review", "o-b", "b", lane="hot")
    log.put("parked", "p-c", "c", key="x-c", lane="warm")
    log.put("deadletter", "d-d", "d", key="r-d")
    result = log.check()
    expected = {"accepted": 5, "decided": 1, "in_review": 1, "parked": 1, "dead_lettered": 1, "in_flight": 1}
    assert places(result) == expected
    assert result.balanced
    assert result.table["cold", "triage", "decided"] == 1
    assert result.table["warm", "triage", "parked"] == 1
    assert result.table["", "", "in_flight"] == 1
    assert result.first_append_at == START
    assert result.last_outcome_at == START + timedelta(seconds=8)


def test_two_outcomes_of_a_message_are_one_too_many() -> None:
    log = Log()
    log.received("a")
    log.put("case.decided", "o1", "a")
    log.put("case.review", "o2", "a")
    log.put("case.review", "o2", "a")
    result = log.check()
    assert places(result) == {"accepted": 1, "in_review": 1, "duplicated": 2}
    assert result.duplicated_ids == ("a",)
    assert result.balanced


def test_an_outcome_beside_a_dead_letter_is_one_too_many() -> None:
    log = Log()
    log.received("a")
    log.put("plan.cold", "p-a", "a", lane="cold")
    log.put("deadletter", "d", "a", key="p-a")
    log.put("case.decided", "o", "a")
    assert places(log.check()) == {"accepted": 1, "decided": 1, "duplicated": 1}


def test_a_message_sent_twice_has_one_outcome() -> None:
    log = Log()
    log.received("a", "first")
    log.received("a", "second")
    log.triaged("a", number=1)
    log.triaged("a", number=2)
    log.put("case.decided", "o", "a")
    assert places(log.check()) == {"accepted": 1, "decided": 1}


def test_a_record_that_nobody_can_read_counts_by_its_place() -> None:
    log = Log()
    log.received("a")
    log.put("case.decided", "o", "a")
    nameless = log.put("case.received.urgent", "", "", key="k")
    log.put("deadletter", "d", key=nameless.headers.id)
    result = log.check()
    assert places(result) == {"accepted": 2, "decided": 1, "dead_lettered": 1}
    assert result.unaccounted == 0


def test_a_broken_copy_of_a_good_message_is_its_own_unit() -> None:
    log = Log()
    log.received("a", "good")
    log.received("a", "broken")
    log.put("deadletter", "d", "a", key="broken")
    log.put("case.decided", "o", "a")
    assert places(log.check()) == {"accepted": 2, "decided": 1, "dead_lettered": 1}


def test_a_dead_letter_closed_by_a_tombstone_is_no_place() -> None:
    log = Log()
    log.received("a")
    log.put("plan.cold", "p-a", "a", lane="cold")
    log.put("deadletter", "d", "a", key="p-a")
    log.put("deadletter", "t", "a", key="p-a", gone=True)
    assert places(log.check()) == {"accepted": 1, "in_flight": 1}


def test_a_parked_message_that_was_resumed_is_not_parked() -> None:
    log = Log()
    log.received("a")
    log.put("parked", "k", "a", key="p-a")
    assert places(log.check()) == {"accepted": 1, "parked": 1}
    log.put("parked", "t", "a", key="p-a", gone=True)
    log.put("case.decided", "o", "a")
    assert places(log.check()) == {"accepted": 1, "decided": 1}


def test_a_message_whose_every_record_was_taken_without_an_outcome_is_lost() -> None:
    log = Log()
    log.received("a")
    log.put("plan.cold", "p-a", "a", lane="cold")
    log.worked("r-a", "router", "p-a")
    assert places(log.check(audited=True)) == {"accepted": 1, "in_flight": 1}
    log.worked("p-a", "planner")
    result = log.check(audited=True)
    assert places(result) == {"accepted": 1, "lost": 1}
    assert result.lost_ids == ("a",)
    assert not result.balanced


def test_committed_offsets_alone_show_a_loss() -> None:
    log = Log()
    log.received("a")
    log.received("b")
    door = ("vigimesh.case.received.normal", 0)
    assert places(log.check(committed={door: 1})) == {"accepted": 2, "in_flight": 1, "lost": 1}
    assert places(log.check(committed={door: 0})) == {"accepted": 2, "in_flight": 2}


def test_an_outcome_of_a_message_that_was_never_accepted_is_named() -> None:
    log = Log()
    log.put("case.decided", "o", "ghost")
    result = log.check()
    assert (result.accepted, result.unaccounted, result.unaccounted_ids) == (0, 1, ("ghost",))
    assert result.decided == 0
    assert result.balanced


@pytest.mark.parametrize(
    ("outputs", "written", "torn"),
    [
        (("s1-a",), ("s1-a",), ()),
        ((), ("s1-a",), ("a",)),
        (("s1-a",), (), ("m",)),
        (("s1-a", "u-a"), ("s1-a",), ("m",)),
    ],
    ids=["whole", "record without audit", "audit without record", "one of two records missing"],
)
def test_torn_is_a_record_without_its_audit_or_the_reverse(
    outputs: tuple[str, ...], written: tuple[str, ...], torn: tuple[str, ...]
) -> None:
    log = Log()
    log.received("a")
    for event in written:
        log.put("supervise.cold", event, "a", lane="cold")
    log.worked("r-a", "router", *outputs)
    result = log.check(audited=True)
    assert result.torn_ids == torn
    assert result.torn == len(torn)
    assert log.check().torn is None


def test_a_head_that_compaction_took_is_not_torn() -> None:
    log = Log()
    log.received("a")
    log.triaged("a")
    log.put("case.decided", "o-a", "a")
    log.worked("r-a", "router", "s1-a", message="a")
    log.worked("s1-a", "supervisor", "o-a", "head-a", message="a")
    assert log.check(audited=True).torn == 0
    log.worked("s2-a", "supervisor", "o2-a", "head2-a", message="a")
    assert log.check(audited=True).torn_ids == ("a",)


def test_a_dead_letter_without_its_audit_is_torn() -> None:
    log = Log()
    log.received("a")
    log.put("deadletter", "d", "a", key="r-a")
    assert log.check(audited=True).torn == 1
    log.worked("r-a", "router", action="rejected")
    assert log.check(audited=True).torn == 0


def test_triage_counts_from_the_first_append_to_the_first_statement_that_stands() -> None:
    log = Log()
    log.received("a")
    log.received("b")
    log.received("a", "again")
    log.triaged("a")
    log.triaged("b", "cold", 1)
    log.triaged("b", "hot", 2)
    log.triaged("b", "hot", 3)
    log.received("c")
    triage = log.check().triage
    assert triage.overall.triaged == 2
    assert triage.overall.censored == 1
    assert triage.by_lane["cold"].median_s == 3.0
    assert triage.by_lane["hot"].median_s == 4.0
    assert triage.by_lane["unknown"].median_s is None


def test_an_outcome_before_any_statement_states_as_much() -> None:
    log = Log()
    log.received("a")
    log.put("case.review", "o", "a", lane="hot")
    assert log.check().triage.by_lane["hot"].median_s == 1.0


def test_a_statement_that_is_raised_later_does_not_count() -> None:
    said = [
        Statement(at=START + timedelta(seconds=i), lane=lane)
        for i, lane in enumerate(("hot", "cold", "warm"))
    ]
    assert first_standing(said) == said[0]
    assert first_standing(said[1:]) == said[2]
    assert first_standing([]) is None


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        ([], 0.5, None),
        ([1.0], 0.99, 1.0),
        ([3.0, 1.0, 2.0], 0.5, 2.0),
        ([1.0, None, None], 0.5, None),
        ([1.0, 2.0, None], 0.5, 2.0),
        ([float(i) for i in range(1, 101)], 0.99, 99.0),
        ([*(float(i) for i in range(1, 100)), None], 0.99, 99.0),
        ([*(float(i) for i in range(1, 99)), None, None], 0.99, None),
    ],
)
def test_a_quantile_among_the_censored_is_none(
    values: list[float | None], share: float, expected: float | None
) -> None:
    assert quantile(values, share) == expected


def test_times_of_nothing_are_none() -> None:
    empty = times([])
    assert (empty.overall.triaged, empty.overall.median_s, empty.by_lane) == (0, None, {})


def test_spend_is_summed_by_workflow() -> None:
    one = UsageRecorded(
        case_id="c", message_id="m", workflow="triage", lane="cold", stage="planner", kind="tool_run",
        name="dates", tier="tools", quantity=2, unit="runs", price_micro=3, cost_micro=6,
    )  # fmt: skip
    paid, spent = replace(one, call_id="c" * 32), Spent()
    for used, micro in ((one, 6), (one, 12), (paid, 18), (paid, 18)):
        spent.add(used)
        assert spent.by_workflow == {"triage": micro}
    assert spent.calls == {"c" * 32: 6}, "a paid call counts once, however often it is used"


ACTIONS = ("receive", "triage", "decide", "review", "park", "resume", "kill", "redrive")


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(ACTIONS), st.sampled_from("abcd")), max_size=40))
def test_the_checker_agrees_with_a_naive_reading(story: list[tuple[str, str]]) -> None:
    """Any history of four messages: place by place the same as a reading that keeps one dictionary per message."""
    log = Log()
    naive: dict[str, dict[str, int]] = {m: Counter() for m in "abcd"}
    last: dict[str, str] = {}
    for number, (action, message) in enumerate(story):
        seen = naive[message]
        if action == "receive":
            log.received(message, f"r{number}")
            seen["received"] += 1
        elif action == "triage":
            log.triaged(message, number=number)
        elif action in ("decide", "review"):
            log.put("case.decided" if action == "decide" else "case.review", f"o{number}", message)
            seen["outcomes"] += 1
            last[message] = "decided" if action == "decide" else "in_review"
        elif action in ("park", "resume"):
            log.put("parked", f"k{number}", message, key=f"e-{message}", gone=action == "resume")
            seen["parked"] = action == "park"
        else:
            log.put("deadletter", f"d{number}", message, key=f"f-{message}", gone=action == "redrive")
            seen["dead"] = action == "kill"
    expected: Counter[str] = Counter()
    for message, seen in naive.items():
        expected["duplicated"] += max(0, seen["outcomes"] + seen["parked"] + seen["dead"] - 1)
        if not seen["received"]:
            continue
        expected["accepted"] += 1
        place = last.get(message) or (
            "dead_lettered" if seen["dead"] else "parked" if seen["parked"] else "in_flight"
        )
        expected[place] += 1
    result = log.check()
    assert places(result) == {name: count for name, count in expected.items() if count}
    assert result.balanced
    assert sum(result.table.values()) == result.accepted
