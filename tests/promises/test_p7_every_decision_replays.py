"""P7: every decision replays: the same inputs, rules and recorded answers give the same records, byte for byte.

This proves the part that stands: the verbs of all stages over the history of two runs, one with opinions that were paid for and
cases that waited for money. `vigimesh replay`, other prices and other rules come later.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import pytest

from mesh_fixture import DemoRun
from meshes import Mesh
from tight_fixture import Tight
from vigimesh.adapters.objects.store import ObjectStore
from vigimesh.app.in_force.cards import cards_of, load_cards
from vigimesh.app.mesh.reckoning import RECKONED
from vigimesh.app.workers.paying import opinions_of
from vigimesh.domain.policy.cards import Cards
from vigimesh.domain.record.rows import Row
from vigimesh.events import ids
from vigimesh.events.classes import AuditRecorded
from vigimesh.events.codec import Codec
from vigimesh.events.topics import STAGES, inputs_of, topic
from vigimesh.loop.outcome import Done, Input, Outcome, Park
from vigimesh.loop.stage import MAX_ROUNDS, Verb
from vigimesh.planner.plan import Planner
from vigimesh.retriever.retrieve import Retriever
from vigimesh.router.route import Router
from vigimesh.supervisor.supervise import Supervisor
from vigimesh.tool_executor.drafting import Drafts
from vigimesh.tool_executor.execute import Executor
from vigimesh.tool_executor.opinions import Opinions
from vigimesh.tool_executor.scoring import Scoring

pytestmark = pytest.mark.real


@dataclass
class History:
    """The records of a run, by the ids of their events."""

    codec: Codec
    objects: ObjectStore
    #: A message that was sent again made records with equal ids, and with another time in them.
    rows: dict[tuple[str, str], list[Row]] = field(default_factory=dict)
    audits: list[AuditRecorded] = field(default_factory=list)

    def taken(self, *stages: str) -> Iterator[tuple[AuditRecorded, list[Row]]]:
        """Yield every event that a stage worked on or put aside, with the record it was given (all that it may be)."""
        for audit in self.audits:
            # The loop parks, too, what an order holds: it asks no verb, and so has no answers.
            if audit.stage in stages and (
                audit.action == "done" or (audit.action == "parked" and audit.answers)
            ):
                found = [
                    row
                    for name in inputs_of(audit.stage, None)
                    for row in self.rows.get((name, audit.event_id), ())
                    if ids.digest(row.value or b"") == audit.input_digest
                ]
                assert found, "the input is not there, or not with the digest that the audit has"
                yield audit, found

    def answers(self, audit: AuditRecorded) -> Mapping[str, Any]:
        data = self.objects.get(audit.answers_ref) if audit.answers_ref else audit.answers
        found: dict[str, Any] = msgspec.msgpack.decode(data) if data else {}
        return found


def verbs(cards: Cards, opinions: Opinions | None = None) -> dict[str, Verb]:
    """Return the verb of each stage that works by these cards."""
    drafts = Drafts(cards=cards, model=opinions.model if opinions else None)
    executor = Executor(opinions=opinions, scoring=Scoring(cards=cards), drafts=drafts)
    made: tuple[Verb, ...] = (Router(cards), Planner(cards), Retriever(), executor, Supervisor(cards))
    return dict(zip(STAGES, made, strict=True))


@pytest.fixture(scope="module")
def history(mesh: Mesh, demo_run: DemoRun) -> History:
    assert demo_run.status == 0
    return history_of(mesh)


def history_of(mesh: Mesh) -> History:
    """Read all records of a mesh that has nothing under way."""
    found = History(codec=mesh.codec, objects=ObjectStore(mesh.urls.objects))
    for row in mesh.rows(*(name.removeprefix("vigimesh.") for name in RECKONED)):
        if row.value is None:
            continue
        found.rows.setdefault((row.topic, row.headers.id), []).append(row)
        if row.topic == topic("audit"):
            found.audits.append(found.codec.decode(row.topic, row.value))
    return found


def replay(history: History, verb: Verb, audit: AuditRecorded, row: Row) -> Iterator[str]:
    """Run a verb again on a record with the answers of its audit; yield each difference from what was written."""
    event = history.codec.decode(row.topic, row.value or b"")
    case = Input(topic=row.topic, event=event, event_id=row.headers.id, key=row.key, at=row.at)
    recorded, answers = history.answers(audit), dict[str, Any]()
    for _ in range(MAX_ROUNDS):
        needs = [need.name for need in verb.needs(case, answers) if need.name not in answers]
        answers.update({name: recorded[name] for name in needs})
        if not needs:
            break
    if answers != recorded:
        yield f"{audit.stage}: asks for other things than it did"
    outcome = verb.decide(case, answers)
    if audit.action == "parked":
        yield from replay_parked(history, outcome, audit)
        return
    assert isinstance(outcome, Done)
    made = tuple(
        ids.event_id(row.headers.id, audit.stage, outcome.pass_number, n) for n in range(len(outcome.events))
    )
    if (made, outcome.why) != (audit.outputs, audit.why):
        yield f"{audit.stage}: writes other events, or for another reason"
    for event_id, emit in zip(made, outcome.events, strict=True):
        there = history.rows.get((emit.topic, event_id), [])
        content = (
            history.codec.encode(emit.topic, emit.event),
            emit.key,
            emit.messageid,
            emit.workflow,
            emit.lane,
        )
        # `case.head` keeps the newest record of a case only, once the broker has compacted it.
        if not there and emit.topic != topic("case.head"):
            yield f"{audit.stage}: {emit.topic} lacks the record"
        if there and content not in [_content(one) for one in there]:
            yield f"{audit.stage}: {emit.topic} holds other bytes, or another key or headers"


def replay_parked(history: History, outcome: Outcome, audit: AuditRecorded) -> Iterator[str]:
    """Yield how an event that was put aside would be put aside otherwise."""
    if not isinstance(outcome, Park) or outcome.why != audit.why:
        yield f"{audit.stage}: does not wait, or for another reason"
        return
    (name,) = audit.outputs
    until = {
        history.codec.decode(row.topic, row.value or b"").not_before
        for row in history.rows.get((topic("parked"), name), ())
    }
    # Like `case.head`, the topic is compacted; and what has come back is not on it any more.
    if until and until != {outcome.not_before}:
        yield f"{audit.stage}: waits until another time"


def _content(row: Row) -> tuple[bytes, str, str, str, str]:
    head = row.headers
    return row.value or b"", row.key, head.messageid, head.workflow, head.lane


def differences(history: History, verb: Verb, audit: AuditRecorded, rows: list[Row]) -> list[str]:
    """Return how a replay differs from the history, for the input that comes nearest to it."""
    return min((list(replay(history, verb, audit, row)) for row in rows), key=len)


def test_every_stage_writes_the_same_bytes_again(history: History, demo_run: DemoRun) -> None:
    known = verbs(load_cards(None, signed_for_demo=True))
    found, replayed = Counter[str](), Counter[str]()
    for audit, rows in history.taken(*STAGES):
        found.update(differences(history, known[audit.stage], audit, rows))
        replayed[audit.stage] += 1
    assert found == Counter()
    # All that was accepted and could be read went through every stage.
    readable = demo_run.result["accepted"] - demo_run.result["dead_lettered"]
    assert all(replayed[stage] >= readable for stage in STAGES)


def test_another_rule_is_seen_by_a_replay(history: History, demo_run: DemoRun) -> None:
    """The comparison can fail: with cards that nobody signed, what was accepted differs."""
    assert demo_run.result["decided"] > 0
    unsigned, accepted = verbs(load_cards(None, signed_for_demo=False))["supervisor"], 0
    for audit, rows in history.taken("supervisor"):
        if audit.why.startswith("auto_accepted"):
            assert differences(history, unsigned, audit, rows)
            accepted += 1
    assert accepted > 0


@pytest.fixture(scope="module")
def short_of_money(tight: Tight) -> History:
    """Return the history of a run with a large model and money for about half of the opinions it wanted."""
    return history_of(tight.mesh)


def test_paid_opinions_and_cases_that_wait_for_money_replay_without_a_call(
    tight: Tight, short_of_money: History
) -> None:
    calls = tight.standin.account()["calls"]
    cards = cards_of(tight.settings)
    known = verbs(cards, opinions_of(tight.settings, cards))
    found, replayed = Counter[str](), Counter[tuple[str, str]]()
    waits: set[str] = set()
    for audit, rows in short_of_money.taken(*STAGES):
        found.update(differences(short_of_money, known[audit.stage], audit, rows))
        replayed[audit.stage, audit.action] += 1
        if audit.action == "parked":
            waits.add(audit.message_id)
    assert found == Counter()
    # Another run may have gone through the mesh since.
    assert waits == {row.headers.messageid for row in tight.mesh.rows("parked")}
    assert replayed["tool-executor", "parked"] == len(waits) >= tight.result["parked"] > 0
    assert replayed["tool-executor", "done"] >= tight.result["accepted"] - tight.result["parked"]
    assert tight.standin.account()["calls"] == calls


def test_another_price_of_an_answer_is_seen_by_a_replay(tight: Tight, short_of_money: History) -> None:
    """The comparison can fail: an answer that cost a micro-unit more makes other records."""
    cards = cards_of(tight.settings)
    verb = verbs(cards, opinions_of(tight.settings, cards))["tool-executor"]
    paid = [
        (audit, rows, answers)
        for audit, rows in short_of_money.taken("tool-executor")
        if (answers := dearer(short_of_money.answers(audit))) is not None
    ]
    assert len(paid) >= tight.result["model_calls"]
    for audit, rows, answers in paid:
        other = replace(audit, answers=msgspec.msgpack.encode(answers), answers_ref="")
        assert differences(short_of_money, verb, audit, rows) == []
        assert differences(short_of_money, verb, other, rows)


def dearer(answers: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the answers with a micro-unit more for the one that was paid for; `None` when none was."""
    for name, answer in answers.items():
        if isinstance(answer, dict) and answer.get("cost_micro"):
            return {**answers, name: {**answer, "cost_micro": answer["cost_micro"] + 1}}
    return None
