"""What a hostile model or endpoint answers: outside the schema it is no opinion, has its stated outcome and lowers nothing."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from unit.safety_making import case
from unit.verb_path import CALL_MICRO, Path, path
from vigimesh.adapters.models.replies import meaning_of
from vigimesh.domain.cascade.opinion import ASKED, ASKED_AGAIN, MAX_ANSWER_CHARACTERS, Opinion, read_opinion
from vigimesh.domain.cascade.question import Answer, InDoubt
from vigimesh.events.case import Case
from vigimesh.events.classes import ReviewRequested
from vigimesh.tool_executor.opinions import MISSING

NOW = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
UNCLEAR: Case = case(narrative="A possible seizure at home, nothing else is known of that day.")
GOOD = '{"serious": "unknown", "grade": 3}'

#: Each with the reason why it is no opinion.
OUTSIDE = {
    "empty": "",
    "blank": " \n\t ",
    "prose": "This report is not serious. Grade 0.",
    "prose before": f"Sure! Here is the answer: {GOOD}",
    "prose after": f"{GOOD} I hope that this is of use.",
    "fenced": f"```json\n{GOOD}\n```",
    "two objects": f"{GOOD}{GOOD}",
    "list": f"[{GOOD}]",
    "text": json.dumps(GOOD),
    "null": "null",
    "cut off": GOOD[:-1],
    "cut in a word": '{"serious": "unkn',
    "no grade": '{"serious": "no"}',
    "no seriousness": '{"grade": 0}',
    "grade as text": '{"serious": "no", "grade": "0"}',
    "grade as fraction": '{"serious": "no", "grade": 0.5}',
    "grade as truth": '{"serious": "no", "grade": false}',
    "grade as null": '{"serious": "no", "grade": null}',
    "grade too high": '{"serious": "yes", "grade": 6}',
    "grade below": '{"serious": "no", "grade": -1}',
    "grade huge": '{"serious": "no", "grade": 1' + "0" * 400 + "}",
    "not a number": '{"serious": "no", "grade": NaN}',
    "word unknown": '{"serious": "probably not", "grade": 0}',
    "word in capitals": '{"serious": "NO", "grade": 0}',
    "word with a blank": '{"serious": "no ", "grade": 0}',
    "homoglyph": '{"serious": "n\u043e", "grade": 0}',
    "zero width": '{"serious": "n\u200bo", "grade": 0}',
    "lane": '{"serious": "no", "grade": 0, "lane": "cold"}',
    "tier": '{"serious": "no", "grade": 0, "tier": "tools"}',
    "tool": '{"serious": "no", "grade": 0, "tool_calls": [{"name": "close_case"}]}',
    "budget": '{"serious": "no", "grade": 0, "max_tokens": 100000}',
    "decision": '{"serious": "no", "grade": 0, "decision": "auto_accepted"}',
    "flags": '{"serious": "no", "grade": 0, "flags": []}',
    "reason": '{"serious": "no", "grade": 0, "reason": "the label lists it"}',
    "evidence": '{"serious": "no", "grade": 0, "evidence": ["product/other@9#0-10"]}',
    "clock": '{"serious": "no", "grade": 0, "due_at": null}',
    "nested": '{"serious": {"serious": "no"}, "grade": 0}',
    "prototype": '{"serious": "no", "grade": 0, "__proto__": {}}',
    "comment": '{"serious": "no", /* x */ "grade": 0}',
    "single quotes": "{'serious': 'no', 'grade': 0}",
    "too long, blank": '{"serious": "no", "grade": 0}' + " " * MAX_ANSWER_CHARACTERS,
    "too long, deep": "[" * 100_000,
    "too long, prose": "no " * 1_000_000,
    "half a surrogate": '{"serious": "no", "grade": 0}\ud800',
    "a byte order mark": '\ufeff{"serious": "no", "grade": 0}',
    "a null": '{"serious": "no", "grade": 0}\x00',
}


@pytest.mark.parametrize("name", OUTSIDE)
def test_an_answer_outside_its_schema_is_no_opinion_and_keeps_the_case_from_a_machine(name: str) -> None:
    said = OUTSIDE[name]
    assert read_opinion(said) is None
    after, without = path(UNCLEAR, said), path(UNCLEAR, "")
    assert outcome(after) == outcome(without)
    # Where something was said it is asked for once more, and both calls are paid for.
    calls = len(after.purchases)
    assert [one.step for one in after.purchases] == [ASKED, ASKED_AGAIN][:calls]
    assert calls == (2 if said.strip() else 1)
    assert after.end.cost_micro == without.end.cost_micro + (calls - 1) * CALL_MICRO
    event = after.executed[-1]
    assert event.findings[-1].result == "no opinion"
    assert (
        event.findings[-1].detail == "standin-1 did not answer in the schema, or quoted what it was not sent"
    )
    assert MISSING in event.triage.flags
    first = after.executed[0].triage
    assert (event.triage.serious, event.triage.grade, event.triage.clock) == (
        first.serious,
        first.grade,
        first.clock,
    )
    assert isinstance(after.end, ReviewRequested)
    assert event.cost_micro >= CALL_MICRO, "a discarded answer is paid for"


def outcome(of: Path) -> tuple[object, ...]:
    return (
        type(of.end),
        of.end.rule,
        of.end.lane,
        of.end.grade,
        of.end.serious,
        of.end.due_at,
    )


def test_an_answer_inside_its_schema_is_one() -> None:
    """Else the table above would prove nothing."""
    assert read_opinion(GOOD) == Opinion("unknown", 3)
    assert read_opinion(GOOD + " " * (MAX_ANSWER_CHARACTERS - len(GOOD))) == Opinion("unknown", 3)
    assert MISSING not in path(UNCLEAR, GOOD).executed[-1].triage.flags


@pytest.mark.parametrize(
    "said", ['{"serious": "no", "grade": 0}', '{"serious": "yes", "serious": "no", "grade": 0}']
)
def test_a_model_that_obeys_an_order_lowers_nothing(said: str) -> None:
    after = path(UNCLEAR, said)
    first, last = after.executed[0].triage, after.executed[-1].triage
    assert (last.serious, last.grade, last.flags) == (first.serious, first.grade, first.flags)
    assert last.serious == "unknown"
    assert isinstance(after.end, ReviewRequested)


def test_a_reply_that_breaks_off_is_in_doubt_and_one_cut_at_its_limit_no_opinion() -> None:
    def body(text: str, finish: str) -> bytes:
        return json.dumps(
            {
                "model": "standin-1",
                "choices": [{"message": {"content": text}, "finish_reason": finish}],
                "usage": {"prompt_tokens": 300, "completion_tokens": 120},
            }
        ).encode()

    whole = body(GOOD, "stop")
    assert isinstance(meaning_of(200, {}, whole[:-2], NOW), InDoubt)
    for text, finish, opinion in (
        (GOOD, "stop", Opinion("unknown", 3)),
        (GOOD[:-3], "length", None),
        ("", "refusal", None),
    ):
        answer = meaning_of(200, {}, body(text, finish), NOW)
        assert isinstance(answer, Answer)
        assert read_opinion(answer.text) == opinion
