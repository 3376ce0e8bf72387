"""What is told of findings: words of a narrative appear only when the reader asked for them, whoever quoted them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from unit.test_execute_scoring import MILD, decided, fetched, given, report
from vigimesh.app.case_story import step_of
from vigimesh.domain.cascade.resolved import LARGE_STEP, SMALL_STEP
from vigimesh.domain.record.rows import Row
from vigimesh.events.classes import Finding, ToolsExecuted
from vigimesh.events.envelope import Envelope

AT = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
ROW = Row(
    topic="vigimesh.supervise.cold", partition=0, offset=1, at=AT, key="k", value=b"",
    headers=Envelope(id="e" * 32, source="/vigimesh/tool-executor", type="ToolsExecuted", time=AT, subject="k"),
)  # fmt: skip
SECRET = "Kowalska"


def told(event: ToolsExecuted, *, narrative: bool) -> str:
    return "\n".join(step_of(ROW, event, narrative=narrative).details["findings"])


@pytest.fixture(scope="module")
def scored() -> ToolsExecuted:
    record = given(report(f"{MILD} {SECRET} told us so."))
    return decided(record, fetched(record))[0]


def test_the_words_that_explain_a_score_are_words_of_the_narrative(scored: ToolsExecuted) -> None:
    (small,) = (one for one in scored.findings if one.step == SMALL_STEP)
    assert small.quotes
    hidden, shown = (told(scored, narrative=asked) for asked in (False, True))
    assert f"{len(small.quotes)} quotes, not shown" in hidden
    for quote in small.quotes:
        assert quote not in hidden
        assert quote in shown


@pytest.mark.parametrize("step", [LARGE_STEP, "lot_watch"])
@pytest.mark.parametrize("quote", [f"Mrs {SECRET} was well", f"ward={SECRET}", f"12-30:{SECRET}"])
def test_what_a_model_or_a_tool_of_others_quotes_is_not_shown_unasked(
    scored: ToolsExecuted, step: str, quote: str
) -> None:
    event = replace(scored, findings=(Finding(step=step, result="flag", detail="", quotes=(quote,)),))
    assert SECRET not in told(event, narrative=False)
    assert SECRET in told(event, narrative=True)


def test_our_tools_say_where_and_not_what(scored: ToolsExecuted) -> None:
    quotes = (f"12-30:{SECRET} was admitted", "criteria=death")
    event = replace(
        scored, findings=(Finding(step="seriousness_text", result="stated", detail="", quotes=quotes),)
    )
    assert "[narrative 12-30; criteria=death]" in told(event, narrative=False)
