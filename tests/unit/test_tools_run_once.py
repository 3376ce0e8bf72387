"""The tools run once for an event in hand, however often the verb asks what they said; and what they say is never another's."""

from __future__ import annotations

from typing import Any

import pytest

from unit.safety_making import case
from unit.test_drafting import ASKING, TELLING, mail
from unit.test_reading_steps import HIDDEN, event_of, given
from unit.verb_path import path
from vigimesh.domain.cascade.reading import EVENT_AT, EVENT_STEP, KIND
from vigimesh.domain.safety.tools import run_steps
from vigimesh.events.case import Case, Reaction
from vigimesh.events.classes import ToolsExecuted, Triage
from vigimesh.loop.outcome import Done, Input
from vigimesh.tool_executor import execute
from vigimesh.tool_executor.execute import Executor
from vigimesh.tool_executor.running import MOST, Runs

OPEN = case(
    criteria_form="open",
    narrative="He had hiccups for a day.",
    reactions=(Reaction(text="hiccups", term="Hiccups"),),
)
UNUSABLE = '{"statements": [{"text": "Yes.", "cites": []}]}'


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[Case]:
    """The cases of every run of the tools, which run as ever."""
    seen: list[Case] = []

    def counted(steps: Any, of: Case, *rest: Any) -> Any:
        seen.append(of)
        return run_steps(steps, of, *rest)

    monkeypatch.setattr(execute, "run_steps", counted)
    return seen


@pytest.mark.parametrize(
    ("of", "answer", "calls"),
    [
        (mail(), '{"statements": [{"text": "We look into it.", "cites": ["mail"]}]}', 1),
        (mail(ASKING), UNUSABLE, 2),
        (mail(TELLING), UNUSABLE, 2),
        (OPEN, "no JSON", 2),
        (
            case(kind="document", document_kind="literature", narrative=HIDDEN, products=(), reactions=()),
            "",
            0,
        ),
    ],
)
def test_the_tools_run_once_in_a_pass(ran: list[Case], of: Case, answer: str, calls: int) -> None:
    taken = path(of, answer)
    assert len(taken.purchases) == calls
    assert len(taken.executed) > 1
    assert len(ran) == len(taken.executed)


def triage_of(verb: Executor, record: Input, probability: float) -> Triage:
    """Ask twice what is needed and decide, with this reading of the text."""
    answers = {f"{KIND}:{EVENT_STEP}": event_of(probability)}
    assert verb.needs(record, answers) == verb.needs(record, answers) == ()
    outcome = verb.decide(record, answers)
    assert isinstance(outcome, Done)
    event = outcome.events[0].event
    assert isinstance(event, ToolsExecuted)
    return event.triage


def test_what_was_answered_otherwise_is_worked_out_anew() -> None:
    verb = Executor()
    record = given(mail("The lines are open from eight to six."), "seriousness_text", EVENT_STEP)
    quiet, loud = triage_of(verb, record, EVENT_AT - 0.1), triage_of(verb, record, EVENT_AT)
    assert (quiet.grade, loud.grade) == (0, 3)
    assert triage_of(verb, record, EVENT_AT - 0.1) == quiet


def test_an_equal_event_is_another_and_what_is_never_decided_is_forgotten() -> None:
    runs, said = Runs(), ((), Triage(valid=True, serious="no"))
    counted: list[int] = []

    def run() -> Any:
        counted.append(1)
        return said

    first, equal = (given(mail(), "seriousness_text").event for _ in range(2))
    for event in (first, first, equal, first):
        runs.of(event, {}, run)
    assert len(counted) == 2
    runs.of(first, {}, run, last=True)
    runs.of(first, {}, run)
    assert len(counted) == 3, "decided: nothing is kept of it"
    others = [given(mail(), "seriousness_text").event for _ in range(MOST)]
    for event in others:
        runs.of(event, {}, run)
    assert len(runs._kept) == MOST
    runs.of(first, {}, run)
    assert len(counted) == 3 + MOST + 1
