"""What may be gathered for a batch, what goes into one, and what it costs."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from clocks import Hand
from spending import WIDE
from standins import KEY
from vigimesh.adapters.models.openai import OpenAIModels
from vigimesh.adapters.models.openai_batches import OpenAIBatches
from vigimesh.app.commands.batches import as_object, as_text, by_size
from vigimesh.domain.budget.batching import (
    COMPLETION,
    Gathered,
    Line,
    gathers_until,
    items_of,
    next_window,
    read_gathered,
    write_gathered,
)
from vigimesh.domain.budget.prices import read_prices, shipped_prices
from vigimesh.domain.budget.waiting import ROOM, SPREAD
from vigimesh.domain.cascade.question import AnswerSchema, Message, Question, prompt_digest
from vigimesh.domain.policy.cards import BatchWindow
from vigimesh.errors import Broken, Misconfigured, Refused
from vigimesh.events.classes import Clock, Triage
from vigimesh.events.ids import call_id

NIGHT = BatchWindow(opens_utc="22:00", closes_utc="04:00")
NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
CALM = Triage(
    valid=True, serious="no", grade=1, clock=Clock(rule="eu_90_days", due_at=NOON + timedelta(days=80))
)


def question(text: str = "rash", *, model: str = "standin-1", max_tokens: int = 50) -> Question:
    schema = AnswerSchema("triage", '{"type": "object"}')
    return Question(
        model=model, messages=(Message("user", text),), max_tokens=max_tokens, deadline_s=9, schema=schema
    )


def waits(text: str = "rash", *, case: str = "case", **parts: Any) -> Gathered:
    asked = question(text, **parts)
    return Gathered(
        call_id=call_id(case, "1", "ask", 2, prompt_digest(asked)), case_id=case, workflow="triage", version="1", step="ask",
        pass_number=2, question=asked, caps=WIDE, gathered_at=NOON, opens_at=NOON, not_after=NOON + timedelta(hours=9),
    )  # fmt: skip


def at(day: int, hour: int) -> datetime:
    return datetime(2026, 3, day, hour, tzinfo=UTC)


@pytest.mark.parametrize(
    ("opens", "closes", "now", "window"),
    [
        ("22:00", "04:00", at(10, 12), (at(10, 22), at(11, 4))),
        ("22:00", "04:00", at(10, 23), (at(10, 22), at(11, 4))),
        ("22:00", "04:00", at(11, 3), (at(10, 22), at(11, 4))),
        ("22:00", "04:00", at(11, 4), (at(11, 22), at(12, 4))),
        ("01:00", "05:00", at(10, 0), (at(10, 1), at(10, 5))),
        ("01:00", "05:00", at(10, 5), (at(11, 1), at(11, 5))),
        ("00:00", "00:00", at(10, 12), (at(10, 0), at(11, 0))),
    ],
)
def test_a_window_is_the_one_that_is_open_or_opens_next(
    opens: str, closes: str, now: datetime, window: tuple[datetime, datetime]
) -> None:
    assert next_window(BatchWindow(opens_utc=opens, closes_utc=closes), now) == window


def test_what_is_cold_and_triaged_and_not_serious_waits_for_the_window_and_a_day() -> None:
    found = gathers_until(CALM, "cold", NOON, NIGHT, NOON, "call")
    assert found is not None
    opens_at, closes_at, back_at = found
    assert (opens_at, closes_at) == (at(10, 22), at(11, 4))
    assert closes_at + COMPLETION <= back_at < closes_at + COMPLETION + SPREAD


@pytest.mark.parametrize("lane", ["hot", "warm"])
def test_nothing_that_is_not_cold_is_gathered(lane: str) -> None:
    assert gathers_until(CALM, lane, NOON, NIGHT, NOON, "call") is None


@pytest.mark.parametrize(
    "triage",
    [
        replace(CALM, serious="yes", grade=3),
        replace(CALM, serious="unknown", grade=3),
        replace(CALM, valid=False),
        replace(CALM, clock=Clock(person_needed=True)),
        replace(CALM, clock=Clock(rule="eu_90_days", due_at=at(12, 4) + ROOM)),
    ],
)
def test_nothing_untriaged_or_serious_or_near_its_clock_is_gathered(triage: Triage) -> None:
    assert gathers_until(triage, "cold", NOON, NIGHT, NOON, "call") is None


def test_the_same_question_is_one_item_and_a_batch_has_one_model_and_its_bounds() -> None:
    several = [
        waits("a", case="1"),
        waits("b", case="2"),
        waits("a", case="3"),
        waits("c", case="4", model="other"),
    ]
    items = items_of(several)
    assert [[one.case_id for one in item.calls] for item in items] == [["1", "3"], ["2"]]
    assert [item.key for item in items] == [prompt_digest(item.question) for item in items]
    assert sum(len(item.calls) for item in items_of(several, max_items=2)) == 2
    assert len(items_of(several, max_bytes=1)) == 1  # one question always fits, or none ever would
    assert items_of([]) == ()
    # Another bound of the answer is another question.
    assert len(items_of([waits("a", case="1"), waits("a", case="2", max_tokens=9)])) == 2


def test_a_gathered_question_is_read_as_it_was_written() -> None:
    for one in (waits("caf\u00e9 \u2028"), replace(waits(), question=replace(question(), schema=None))):
        assert read_gathered(write_gathered(one)) == one
    for wrong in (b"", b"{}", b"[]", write_gathered(waits())[:-9]):
        with pytest.raises(Broken, match="VM-2405"):
            read_gathered(wrong)


def test_a_batch_is_priced_in_percent_and_a_model_without_that_has_no_price() -> None:
    price = shipped_prices().price("standin-1", NOON)
    whole, half = price.tiers[0], price.in_batch().tiers[0]
    assert (2 * half.input_micro, 2 * half.output_micro) == (whole.input_micro, whole.output_micro)
    with pytest.raises(Refused, match="VM-2401"):
        shipped_prices().price("local", NOON).in_batch()
    head = b'[[prices]]\nmodel = "m"\ncurrency = "EUR"\nfrom = 2026-01-01T00:00:00Z\n'
    tier = b"[[prices.tiers]]\nabove_prompt_tokens = 0\ninput_micro = 3\ncached_input_micro = 1\noutput_micro = 5\n"
    odd = read_prices(head + b"batch_percent = 50\n" + tier, "x").prices[0].in_batch().tiers[0]
    assert (odd.input_micro, odd.cached_input_micro, odd.output_micro) == (2, 1, 3)  # rounded up
    for wrong in (b"0", b"101", b"0.5", b'"half"'):
        with pytest.raises(Misconfigured, match="VM-1909"):
            read_prices(head + b"batch_percent = " + wrong + b"\n" + tier, "x")


def test_an_address_or_key_that_no_request_could_carry_is_refused_for_batches_as_for_calls() -> None:
    for kind in (OpenAIModels, OpenAIBatches):
        for address, key in (("nowhere", "x"), ("http://user@host/v1", "x"), ("http://host/v1", "\n")):
            with pytest.raises(Misconfigured, match="VM-1102"):
                kind(address, key, clock=Hand())
    assert KEY not in repr(OpenAIBatches("http://host/v1", KEY, clock=Hand()))


def test_a_small_batch_is_seen_to_cost_more_time_for_each_call() -> None:
    def line(calls: int, ended: bool = True) -> Line:
        return Line(
            name=f"b{calls}", made_at=NOON, batch_id="x", ended_at=NOON + timedelta(hours=1) if ended else None, why="",
            calls=calls, questions=calls, answered=calls, cost_micro=2_500_000,
        )  # fmt: skip

    lines = [line(1), line(20), line(40), line(1_000), line(7, ended=False), replace(line(3), calls=0)]
    now = NOON + timedelta(hours=2)
    assert by_size(lines, now) == {1: (1, 3_600.0), 10: (2, 135.0), 1_000: (1, 3.6)}
    text = as_text(lines, now)
    assert "from 10 calls: 2 batches, 135.0 s a call" in text
    assert "b7  2026-03-10 12:00:00  under way  calls 7" in text
    told = json.loads(json.dumps(as_object(lines, now)))
    assert told["by_size"][0] == {"from_calls": 1, "batches": 1, "start_up_s": 3_600.0}
    assert told["batches"][0]["cost_micro"] == 2_500_000
