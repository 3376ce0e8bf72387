"""Drafted replies: what leaves for one, what of an answer is taken, and the template where there is none; a person always decides."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from rules.house import ROOT
from unit.safety_making import AT, case, passage
from unit.verb_path import CALL_MICRO, Path, path
from vigimesh.domain.budget.batching import COMPLETION, gathers_until
from vigimesh.domain.cascade.draft import (
    FLAG,
    MAIL,
    MAX_STATEMENTS,
    TOOLS,
    draft_question,
    read_draft,
    sources_of,
    template,
)
from vigimesh.domain.cascade.opinion import Model
from vigimesh.domain.cascade.prompts import shipped_prompt
from vigimesh.domain.policy.shipped import shipped_cards
from vigimesh.events.case import Case
from vigimesh.events.classes import EvidenceRetrieved, Plan, ReviewRequested, Route, ToolsExecuted, Triage
from vigimesh.events.drafts import Draft
from vigimesh.events.topics import lane_topic
from vigimesh.loop.outcome import Done, Input, Need, Park
from vigimesh.tool_executor.drafting import Drafts
from vigimesh.tool_executor.execute import Executor
from vigimesh.tool_executor.purchase import Purchase, Unpaid, plain

ASKING = (
    "Dear team, our warehouse kept the pens at 12 degrees for two days. Could you confirm whether the lot may be released? "
    "Regards, Anna Schmidt, anna.schmidt@example.org"
)
TELLING = "A caller told us that her father collapsed and died two days after the vaccine. Please advise."
QUIET = "From Monday to Friday the lines are open from eight to six."
NO_EVENT = Triage(valid=False, serious="no", grade=0)
MODEL = Model(name="standin-1", deadline_s=30)
STORED = passage(
    "Store between 2 and 8 degrees. Ask Peter Miller for the list.",
    section="Torvexil: storage > Storage",
    question="x",
)


def mail(text: str = ASKING, **changes: Any) -> Case:
    base = case(
        kind="document", document_kind="vendor_mail", title="Torvexil: storage", criteria_form="none", products=(), reactions=(),
        reporters=(), narrative=text,
    )  # fmt: skip
    return replace(base, **changes)


def said(*statements: tuple[str, list[str]]) -> str:
    return json.dumps({"statements": [{"text": text, "cites": cites} for text, cites in statements]})


def reviewed(of: Path) -> ReviewRequested:
    assert isinstance(of.end, ReviewRequested)
    return of.end


def test_a_mail_that_asks_is_answered_with_a_draft_that_goes_to_a_person() -> None:
    taken = path(
        mail(), said(("We come back to [PERSON-1].", ["mail"]), ("Lots are held meanwhile.", ["P1"]))
    )
    end = reviewed(taken)
    assert [one.step for one in taken.purchases] == ["draft"]
    assert end.rule == "reply"
    assert end.draft is not None
    assert (end.draft.by, end.draft.prompt) == ("standin-1", shipped_prompt("draft").label)
    greeting, first, second = end.draft.statements
    assert (greeting.cites, first.cites) == ((), ("mail",))
    assert first.text == "We come back to Anna Schmidt.", "personal data is put back, inside only"
    (place,) = second.cites
    assert place in {f"{one.document_id}@{one.version}#{one.start}-{one.end}" for one in end.passages}
    assert f"The draft reply rests on {place}." in end.reason
    assert {FLAG, "reply_asked"} <= set(end.triage.flags if end.triage else ())
    assert end.cost_micro == CALL_MICRO + 3 * sum(
        len(one.findings) - _unpriced(one) for one in taken.executed
    )


def _unpriced(one: ToolsExecuted) -> int:
    """The draft's own finding is no run of a tool."""
    return sum(finding.step == "draft" for finding in one.findings)


def test_no_personal_data_leaves_with_the_question() -> None:
    (asked,) = path(mail(), said(("Noted.", ["mail"]))).purchases
    sent = "".join(one.text for one in asked.question.messages)
    assert "[PERSON-" in sent
    for private in ("Schmidt", "anna.schmidt", "example.org"):
        assert private not in sent
    sources = sources_of(mail(), ASKING, (), (STORED,))
    assert "Peter Miller" not in sources.text_of("P1"), "a passage may name people as well"
    assert "Torvexil" in sources.mail, "what the knowledge base calls a document is no person"


def test_where_no_event_is_told_and_nothing_asked_nobody_drafts() -> None:
    taken = path(mail(QUIET), said(("x", ["mail"])))
    assert taken.purchases == ()
    assert not isinstance(taken.end, ReviewRequested), taken.end.reason


def test_a_mail_that_tells_of_an_event_is_answered_with_what_a_valid_case_needs() -> None:
    unusable = path(mail(TELLING), "no JSON")
    end = reviewed(unusable)
    assert (end.rule, end.serious, end.grade) == ("event", "unknown", 3)
    assert end.draft is not None
    assert end.draft.by == "template"
    assert [one.cites for one in end.draft.statements[:2]] == [(), (TOOLS,)]
    assert "patient" in end.draft.statements[1].text
    assert [one.step for one in unusable.purchases] == ["draft", "draft_repair"], "one repair try, no more"
    assert unusable.purchases[1].may_wait is None


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (said(("Nothing cited.", [])), "a statement without a citation"),
        (said(("Cited.", ["mail"]), ("Nothing cited.", [])), "one of two without a citation"),
        (said(("Cited.", ["P9"])), "a passage that was not given"),
        (said(("Cited.", ["product/torvexil@1.0#10-71"])), "a place instead of an id"),
        (said(("Kept at 14 degrees.", ["mail"])), "a figure that stands nowhere"),
        (said(("Kept at 12 degrees.", ["P1"])), "a figure that stands elsewhere"),
        (said(("Greet [PERSON-7].", ["mail"])), "a mark that was not given"),
        (said((" ", ["mail"])), "an empty statement"),
        (said(*[("Again.", ["mail"])] * (MAX_STATEMENTS + 1)), "too many statements"),
        (said(("x" * 601, ["mail"])), "a statement that is too long"),
        ('{"statements": []}', "no statement"),
        ('{"statements": [{"text": "x", "cites": ["mail"]}], "lane": "cold"}', "a field that nobody asked for"),
        ("no JSON", "no JSON"),
        ('{"statements": [{"text": "x", "cit', "cut off"),
    ],
)  # fmt: skip
def test_an_answer_that_does_not_hold_is_refused_whole(answer: str, why: str) -> None:
    sources = sources_of(mail(), ASKING, (), (STORED,))
    assert read_draft(answer, sources, "m", "p") is None, why
    good = said(
        ("Kept at 12 degrees.", ["mail"]), ("Between 2 and 8 degrees.", ["P1"]), ("Noted.", ["tools"])
    )
    assert read_draft(good, sources, "m", "p") is not None


def test_the_schema_of_a_question_names_what_may_be_cited_and_the_fixed_part_comes_first() -> None:
    sources = sources_of(mail(), ASKING, (), (STORED,))
    one, other = (draft_question(MODEL, of, sources) for of in (mail(), mail(document_kind="other")))
    assert one.messages[0] == other.messages[0]
    assert one.messages[0].text.startswith(shipped_prompt("draft").system)
    assert one.schema is not None
    cites = json.loads(one.schema.body)["properties"]["statements"]["items"]["properties"]["cites"]
    assert cites["items"]["enum"] == [MAIL, TOOLS, "P1"]
    assert draft_question(MODEL, mail(), sources) == one


def test_the_template_quotes_passages_word_for_word_and_cites_each() -> None:
    long = passage("word " * 200, document_id="guidance/a", start=7, end=1007)
    made = template(mail(), NO_EVENT, (STORED, STORED, long))
    assert made == template(mail(), NO_EVENT, (STORED, STORED, long))
    assert [one.cites for one in made.statements] == [
        (), (MAIL,), (f"product/torvexil@1.0#10-{STORED.end}",), ("guidance/a@1.0#7-1007",),
    ]  # fmt: skip
    assert STORED.text in made.statements[2].text
    assert made.statements[3].text.endswith('word ..."')


@pytest.mark.parametrize("tier", ["tools", "large"])
def test_without_a_model_the_template_is_the_draft(tier: str) -> None:
    record = given(mail(), tier=tier)
    assert Executor().needs(record, READ) == ()
    made, finding = draft_of(Executor().decide(record, READ))
    assert made.by == "template"
    assert finding.startswith(f"{len(made.statements)} statements; no model was asked: ")


@pytest.mark.parametrize(
    "reason", ["unpriced", "denied", "shut", "away", "breaker_open", "not_made", "in_doubt", "lost"]
)
def test_without_an_answer_the_template_is_the_draft_and_nobody_waits(reason: str) -> None:
    record = given(mail(), lane="cold")
    need = need_of(record)
    told = Unpaid(call_id=need.key, reason=reason, retry_at=AT + timedelta(days=1))  # type: ignore[arg-type]
    made, why = draft_of(EXECUTOR.decide(record, {**READ, need.name: plain(told, need.asked)}))
    assert made.by == "template"
    assert told.why in why


def test_a_draft_of_a_cold_mail_waits_for_its_batch_and_no_other_does() -> None:
    """What the shipped card gathers: mail in the cold lane that tells of no event."""
    card = shipped_cards(True).named("drafting")
    assert card is not None
    record = given(mail(), lane="cold")
    need = need_of(record)
    assert isinstance(need.asked, Purchase)
    may = need.asked.may_wait
    assert may is not None
    assert may.window == card.batch_window
    until = gathers_until(may.triage, may.lane, may.received_at, may.window, AT, need.key)
    assert until is not None
    told = Unpaid(call_id=need.key, reason="gathered", retry_at=until[1] + COMPLETION)
    outcome = EXECUTOR.decide(record, {**READ, need.name: plain(told, need.asked)})
    assert isinstance(outcome, Park)
    assert outcome.not_before >= until[1] + COMPLETION
    for urgent in (given(mail(), lane="hot"), given(mail(TELLING), lane="cold")):
        other = need_of(urgent)
        assert isinstance(other.asked, Purchase)
        waits = other.asked.may_wait
        assert waits is not None
        assert gathers_until(waits.triage, waits.lane, waits.received_at, waits.window, AT, other.key) is None
        gone = Unpaid(call_id=other.key, reason="gathered", retry_at=AT + timedelta(days=2))
        made, _ = draft_of(EXECUTOR.decide(urgent, {**READ, other.name: plain(gone, other.asked)}))
        assert made.by == "template"


def test_what_was_told_is_drafted_again_without_the_model() -> None:
    """P7: a replay has the answers, and no endpoint."""
    record = given(mail())
    need = need_of(record)
    answers = {**READ, need.name: _paid(need, said(("Noted.", ["mail"])))}
    without = Executor(price_micro=3)
    assert EXECUTOR.decide(record, answers) == without.decide(record, answers)
    assert EXECUTOR.needs(record, answers) == without.needs(record, answers) == ()


ORDERS = [
    json.loads(line)
    for line in (ROOT / "tests" / "data" / "injections.jsonl").read_text(encoding="utf-8").splitlines()
]


@pytest.mark.parametrize("row", ORDERS[::3], ids=lambda row: row["id"])
def test_an_order_in_a_mail_changes_no_tier_grade_tool_or_budget(row: dict[str, Any]) -> None:
    """The model obeys: whatever it is told to say, its answer is a draft for a person or none."""
    order = row["text"] * row.get("repeat", 1)
    with_it, without = (
        path(mail(f"{text}\n\n{ASKING}"), '{"serious": "no", "grade": 0}') for text in (order, QUIET)
    )
    ends = reviewed(with_it), reviewed(without)
    assert ends[0].grade >= ends[1].grade
    assert ends[0].draft is not None
    assert ends[0].draft.by == "template"
    assert {one.step for one in with_it.purchases} <= {"draft", "draft_repair"}
    assert {one.caps for one in with_it.purchases} <= {one.caps for one in without.purchases}
    assert [one.plan.steps for one in with_it.planned] == [one.plan.steps for one in without.planned]


EXECUTOR = Executor(price_micro=3, drafts=Drafts(model=MODEL, cards=shipped_cards(True)))
#: What small models read of each mail here, so that no test loads them.
READ: dict[str, Any] = {"read:adverse_event": {"probability": 0.1, "place": "0-1:x", "whole": True}}


def given(of: Case, *, lane: str = "cold", tier: str = "large") -> Input:
    route = Route(
        workflow="drafting", lane=lane, rule="routine", reason="", card_digest="c" * 64, received_at=AT, pass_number=2,
        version=("2026-03-02", "2026-03-09"),
    )  # fmt: skip
    steps = ("seriousness_text", "situations", "reply_asked", "adverse_event", "draft")
    event = EvidenceRetrieved(case=of, route=route, plan=Plan(tier=tier, steps=steps), passages=(STORED,))
    return Input(topic=lane_topic("execute", lane), event=event, event_id="e" * 32, key=of.case_id, at=AT)


def need_of(record: Input) -> Need:
    (need,) = EXECUTOR.needs(record, READ)
    return need


def draft_of(outcome: Any) -> tuple[Draft, str]:
    assert isinstance(outcome, Done), outcome
    event: Any = outcome.events[0].event
    (finding,) = (one for one in event.findings if one.step == "draft")
    assert FLAG in event.triage.flags
    return event.draft, finding.detail


def _paid(need: Need, text: str) -> dict[str, Any]:
    from vigimesh.domain.cascade.question import Answer, Tokens
    from vigimesh.tool_executor.purchase import Paid

    answer = Answer(
        text=text, tokens=Tokens(prompt=9, cached=0, completion=3), finish="stop", model="standin-1"
    )
    return plain(Paid(call_id=need.key, at=AT, answer=answer, cost_micro=7, currency="EUR"), need.asked)
