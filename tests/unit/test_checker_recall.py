"""The checker on recalled versions: a recall is no second case, an open one is where it is, a lost one is lost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from unit.test_checker import Log, places
from vigimesh.domain.record.checker import check
from vigimesh.domain.record.rows import Row

CAUSE = "product/zelora@2.0"


def concluded(where: str = "case.decided") -> Log:
    """Return a log with one message that is concluded."""
    log = Log()
    log.received("a")
    log.worked("r-a", "router", "s1-a", message="a")
    log.triaged("a")
    log.worked("s1-a", "supervisor", "o-a", message="a")
    log.put(where, "o-a", "a", lane="cold")
    return log


def recalled(log: Log, cause: str = CAUSE) -> str:
    """Order the message again; return the id of the order."""
    order = f"order-{cause}"
    log.put("plan.cold", order, "a", lane="cold", cause=cause)
    log.worked(order[6:], "librarian", order, action="recalled", message="a")
    return order


def ended(log: Log, where: str, cause: str = CAUSE) -> None:
    order = recalled(log, cause)
    log.worked(order, "planner", f"o-{cause}", message="a")
    log.put(where, f"o-{cause}", "a", lane="cold", cause=cause)


@pytest.mark.parametrize(
    ("first", "then", "place"),
    [
        ("case.decided", "case.decided", "decided"),  # upheld
        ("case.decided", "case.review", "in_review"),  # reopened
        ("case.review", "case.review", "in_review"),  # asked again with what is cited now
        ("case.review", "case.decided", "in_review"),  # overtaken: it closes no review
    ],
)
def test_a_recall_is_no_second_case(first: str, then: str, place: str) -> None:
    log = concluded(first)
    ended(log, then)
    assert places(log.check(audited=True)) == {"accepted": 1, place: 1}
    assert log.check(audited=True).torn == 0
    assert log.check().balanced


def test_each_cause_may_be_concluded_once() -> None:
    log = concluded()
    ended(log, "case.decided")
    ended(log, "case.review", "product/zelora@3.0")
    assert places(log.check()) == {"accepted": 1, "in_review": 1}
    log.put("case.decided", "again", "a", lane="cold", cause=CAUSE)
    result = log.check()
    assert places(result) == {"accepted": 1, "in_review": 1, "duplicated": 1}
    assert result.duplicated_ids == ("a",)


def test_to_count_without_causes_would_find_a_duplicate() -> None:
    log = concluded()
    ended(log, "case.decided")
    blind: list[Row] = []
    for row in log.rows:
        headers = row.headers.__class__(
            **{name: getattr(row.headers, name) for name in row.headers.__struct_fields__} | {"cause": ""}
        )
        blind.append(replace(row, headers=headers))
    assert check(blind).duplicated == 1
    assert log.check().duplicated == 0


def test_an_open_recall_is_where_its_record_is() -> None:
    log = concluded()
    order = recalled(log)
    assert places(log.check(audited=True)) == {"accepted": 1, "in_flight": 1}
    parked = concluded()
    recalled(parked)
    parked.put("parked", "p", "a", key=order, lane="cold", cause=CAUSE)
    assert places(parked.check()) == {"accepted": 1, "parked": 1}
    dead = concluded()
    recalled(dead)
    dead.put("deadletter", "d", "a", key=order, lane="cold", cause=CAUSE)
    assert places(dead.check()) == {"accepted": 1, "dead_lettered": 1}


def test_a_recall_that_nobody_carries_on_is_lost() -> None:
    log = concluded()
    order = recalled(log)
    log.worked(order, "planner", message="a")  # done, and nothing was handed on
    result = log.check(audited=True)
    assert places(result) == {"accepted": 1, "lost": 1}
    assert result.lost_ids == ("a",)


def test_the_time_to_first_triage_is_that_of_the_arrival() -> None:
    log = concluded()
    before = log.check().triage.overall
    order = recalled(log)
    log.put("supervise.cold", f"s-{order}", "a", lane="cold", cause=CAUSE)
    log.put("case.review", "o2", "a", lane="cold", cause=CAUSE)
    assert log.check().triage.overall == before
    assert log.check().last_outcome_at == concluded().check().last_outcome_at
