"""The order in which a run sends its reports: all at once, or one day of receipt after the other."""

from __future__ import annotations

from pathlib import Path

import pytest

from vigimesh.app.mesh.arrivals import Reports
from vigimesh.events.case import Case
from vigimesh.intake.values import Accepted, Item, Remark


def report(name: str, most_recent_on: str, first_received_on: str = "") -> Accepted:
    case = Case(
        message_id=name, case_id=name, most_recent_on=most_recent_on, first_received_on=first_received_on
    )
    return Accepted(case=case, source_bytes=b"")


#: As forms give days: with and without a time, the earlier day where the later one is missing, and one without any.
ITEMS = (
    Remark(source="a file", what="something before the first report"),
    report("a", "2026-03-02"),
    report("b", "20260302101500+0100"),
    Remark(source="a file", what="something between two reports of a day"),
    report("c", "", "2026-03-02"),
    report("d", "2026-03-03"),
    report("e", ""),
    report("f", "2026-03-02"),
)


def sent(*, by_day: bool) -> list[tuple[str, list[Item]]]:
    parts = Reports(source=Path(), by_day=by_day).parts(ITEMS)
    return [(day, list(items)) for day, items in parts]


def test_without_days_all_is_one_part() -> None:
    assert sent(by_day=False) == [("", list(ITEMS))]


@pytest.mark.parametrize(
    ("at", "day", "items"),
    [
        (0, "", ITEMS[:1]),
        (1, "2026-03-02", ITEMS[1:5]),
        (2, "2026-03-03", ITEMS[5:7]),
        (3, "2026-03-02", ITEMS[7:]),
    ],
)
def test_what_was_received_on_one_day_is_a_part_in_the_order_of_the_files(
    at: int, day: str, items: tuple[Item, ...]
) -> None:
    assert sent(by_day=True)[at] == (day, list(items))


def test_nothing_is_left_out_or_sent_twice() -> None:
    assert [item for _, items in sent(by_day=True) for item in items] == list(ITEMS)
