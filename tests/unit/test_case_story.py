"""What is told of findings: words of a narrative appear only when the reader asked for them, whoever quoted them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from unit.test_drafting import mail, said
from unit.test_execute_scoring import MILD, decided, fetched, given, report
from unit.verb_path import path
from vigimesh.app.cases.story import step_of
from vigimesh.domain.cascade.resolved import LARGE_STEP, SMALL_STEP
from vigimesh.domain.record.rows import Row
from vigimesh.events.classes import Finding, ReviewRequested, ToolsExecuted
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


def test_the_story_of_a_drafted_reply_says_why_each_pass_was_made_and_what_it_cites() -> None:
    """A draft may hold words of the mail with names put back: they are shown only to who asks for the narrative."""
    taken = path(
        mail(), said(("We come back to [PERSON-1].", ["mail"]), ("Lots are held meanwhile.", ["P1"]))
    )
    assert isinstance(taken.end, ReviewRequested)
    assert [step_of(ROW, one, narrative=False).tier for one in taken.planned] == ["tools", "large"]
    second = step_of(ROW, taken.planned[1], narrative=False)
    assert "names in the text are looked up" in str(second.details["reason"])
    assert "Torvexil: storage" in second.details["questions"]
    assert "rule escalation" in taken.planned[1].route.escalation
    for event in (taken.executed[1], taken.end):
        hidden, shown = (step_of(ROW, event, narrative=asked).details for asked in (False, True))
        assert "Anna Schmidt" not in str(hidden)
        assert "We come back to Anna Schmidt. [mail]" in shown["draft"]
        head, *_, last = list(hidden["draft"])
        assert head.startswith("by standin-1 by prompt draft 1 ")
        assert last.startswith("24 characters, not shown [")
        assert "@1.0#" in last
        assert "each statement cites what it was given" in str(hidden["findings"])
    end = step_of(ROW, taken.end, narrative=False).details
    assert "The draft reply rests on " in str(end["reason"])
    assert end["validity"] == "no report of a case"
