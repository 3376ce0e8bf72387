"""`vigimesh case` and the history on a real broker: the demo's records, written in transactions, some aborted."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from typer.testing import CliRunner

from passage import Passage
from vigimesh.adapters.kafka.cluster.positions import Positions
from vigimesh.adapters.kafka.history import bounds, committed_offsets, scan, settle
from vigimesh.adapters.kafka.registry import RegistrySchemas
from vigimesh.app.cases.history import audit_facts, named
from vigimesh.app.commands.case import app
from vigimesh.app.demo import poison_record, write_demo
from vigimesh.app.devstack import Stack
from vigimesh.clock import SystemClock
from vigimesh.domain.record.checker import check
from vigimesh.errors import Misconfigured, Refused
from vigimesh.events.codec import Codec
from vigimesh.events.envelope import to_headers
from vigimesh.events.topics import TOPICS, groups
from vigimesh.intake.accept import Admitted, accept
from vigimesh.intake.reading import read_path
from vigimesh.intake.values import Accepted
from waiting import WAIT_S

pytestmark = pytest.mark.real

#: Tells this module's cases from those of other tests on the same stack.
TENANT = f"history-{uuid4().hex[:8]}"

#: Records in one transaction: small, so that many markers lie between the records.
BATCH = 40


@dataclass(frozen=True, slots=True)
class Written:
    """What lies on the topics: the stack, and the passage that was written there."""

    stack: Stack
    passage: Passage
    before: dict[tuple[str, int], int]

    def run(self, *arguments: str) -> Any:
        """Run `vigimesh case` with --json against the stack and return what it printed."""
        urls = self.stack.urls
        where = ["--kafka", urls.kafka, "--registry", urls.registry]
        result = CliRunner().invoke(app, [*arguments, *where, "--json"], catch_exceptions=False)
        assert result.exit_code == 0, result.output
        return json.loads(result.stdout)


@pytest.fixture(scope="module")
def written(applied_stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Written:
    folder = tmp_path_factory.mktemp("demo")
    write_demo(folder)
    codec = Codec(schemas=RegistrySchemas({"url": applied_stack.urls.registry}))
    passage = Passage(codec)
    items = [accept(item) for item in read_path(folder, tenant=TENANT) if isinstance(item, Accepted)]
    passage.accept(item.event for item in items if isinstance(item, Admitted))
    passage.run()
    topics = [topic.name for topic in TOPICS]
    before = {part: end for part, (_, end) in bounds(applied_stack.urls.kafka, topics).items()}
    _write(applied_stack.urls.kafka, passage)
    # A commit is answered before its markers lie in all partitions.
    assert settle(applied_stack.urls.kafka, topics, within_s=WAIT_S)
    return Written(applied_stack, passage, before)


def _write(bootstrap: str, passage: Passage) -> None:
    """Write the rows in order, every batch twice: once in a transaction that is aborted."""
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "transactional.id": f"test.{uuid4().hex}",
            "partitioner": "murmur2_random",
        }
    )
    producer.init_transactions(30)
    for start in range(0, len(passage.rows), BATCH):
        for committed in (False, True):
            producer.begin_transaction()
            for row in passage.rows[start : start + BATCH]:
                producer.produce(
                    row.topic, key=row.key, value=row.value, headers=list(to_headers(row.headers))
                )
            producer.flush(30)
            if committed:
                producer.commit_transaction(30)
            else:
                producer.abort_transaction(30)


def test_history_gives_every_committed_record_once_and_no_aborted_one(written: Written) -> None:
    topics = sorted({row.topic for row in written.passage.rows})
    rows = list(scan(written.stack.urls.kafka, topics, from_offsets=written.before))
    expected = sorted((row.topic, row.headers.id) for row in written.passage.rows)
    assert sorted((row.topic, row.headers.id) for row in rows) == expected
    places: dict[tuple[str, int], int] = {}
    for row in rows:
        assert row.offset > places.get((row.topic, row.partition), -1)
        places[row.topic, row.partition] = row.offset
        assert row.at.tzinfo is not None


def test_an_open_transaction_holds_nothing_up(written: Written) -> None:
    name = written.passage.rows[0].topic
    urls = written.stack.urls
    before = len(list(scan(urls.kafka, [name])))
    producer = Producer({"bootstrap.servers": urls.kafka, "transactional.id": f"test.{uuid4().hex}"})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(name, key=f"{TENANT}/open", value=b"\x00")
    producer.flush(30)
    try:
        assert len(list(scan(urls.kafka, [name]))) == before
        assert not settle(urls.kafka, [name], within_s=0.0)
    finally:
        producer.abort_transaction(30)
    assert settle(urls.kafka, [name], within_s=WAIT_S)


def test_a_topic_that_is_not_there_is_named(written: Written) -> None:
    with pytest.raises(Misconfigured, match="VM-1702"):
        list(scan(written.stack.urls.kafka, ["vigimesh.no.such.topic"]))


def test_positions_of_the_groups_are_read(written: Written) -> None:
    assert all(offset >= 0 for offset in committed_offsets(written.stack.urls.kafka).values())


def test_positions_are_answered_while_a_transaction_of_the_group_is_open(written: Written) -> None:
    """A group at work always has one open: asked for what is stable, it would never answer."""
    urls = written.stack.urls
    group, (name, *_) = groups()[0]
    asking = Consumer({"bootstrap.servers": urls.kafka, "group.id": group})
    producer = Producer({"bootstrap.servers": urls.kafka, "transactional.id": f"test.{uuid4().hex}"})
    positions = Positions({"bootstrap.servers": urls.kafka}, SystemClock())
    before = committed_offsets(urls.kafka)
    producer.init_transactions(30)
    producer.begin_transaction()
    try:
        ahead = [TopicPartition(name, 0, before.get((name, 0), 0) + 1)]
        producer.send_offsets_to_transaction(ahead, asking.consumer_group_metadata(), 30)
        assert committed_offsets(urls.kafka) == before
        stands = positions.stands()
        assert {stand.trouble for some in stands.values() for stand in some} == {""}
    finally:
        producer.abort_transaction(30)
        asking.close()
        positions.close()


def test_totals_from_the_real_topics_are_those_of_what_was_written(written: Written) -> None:
    codec = written.passage.codec
    topics = [topic.name for topic in TOPICS]
    rows = list(named(scan(written.stack.urls.kafka, topics, from_offsets=written.before), codec))
    ours = [row for row in rows if row.key.startswith(TENANT) or row.topic.endswith(("telemetry", "audit"))]
    real = check(ours, audits=audit_facts(ours, codec))
    memory = check(written.passage.rows, audits=audit_facts(written.passage.rows, codec))
    for name in ("accepted", "decided", "in_review", "in_flight", "lost", "duplicated", "torn", "table"):
        assert getattr(real, name) == getattr(memory, name), name
    assert real.balanced


def test_list_names_every_message_with_its_place(written: Written) -> None:
    cases = [
        line for line in written.run("list", "--limit", "0")["cases"] if line["case_id"].startswith(TENANT)
    ]
    expected = check(written.passage.rows)
    assert len(cases) == expected.accepted
    assert sum(line["place"] == "decided" for line in cases) == expected.decided
    assert sum(line["place"] == "in_review" for line in cases) == expected.in_review
    assert all(line["reason"] and line["grade"] is not None for line in cases if line["place"] == "decided")
    hot = written.run("list", "--limit", "0", "--lane", "hot")["cases"]
    assert {line["lane"] for line in hot} == {"hot"}
    superseded = written.run("list", "--limit", "0", "--outcome", "superseded")["cases"]
    assert {line["decision"] for line in superseded} == {"superseded"}
    few = written.run("list", "--limit", "3")
    assert len(few["cases"]) == 3
    assert few["matching"] >= expected.accepted


def test_show_tells_the_history_and_keeps_the_narrative_back(written: Written) -> None:
    case = next(
        row
        for row in written.passage.rows
        if row.headers.source.endswith("intake") and row.key.endswith("2026-0007")
    )
    for given in (case.headers.messageid, case.headers.messageid[:8]):
        assert written.run("show", given)["case_id"] == case.key
    shown = written.run("show", case.key)
    events = [event["event"] for event in shown["events"]]
    way = [
        name
        for name in events
        if name not in ("AuditRecorded", "UsageRecorded", "RetrievalMeasured", "HeadMoved")
    ]
    assert way == [
        "CaseReceived", "CaseRouted", "CasePlanned", "EvidenceRetrieved", "ToolsExecuted", "ReviewRequested",
    ]  # fmt: skip
    assert events.count("AuditRecorded") == 5
    assert all(event["stage"] for event in shown["events"])
    assert "broke her wrist" not in json.dumps(shown)
    assert "admitted to hospital" not in json.dumps(shown)
    told = written.run("show", case.key, "--narrative")
    assert "broke her wrist" in json.dumps(told)


def test_show_tells_all_versions_of_a_case(written: Written) -> None:
    shown = written.run("show", f"{TENANT}/SE-NORDFJELLPHARM-2026-0041")
    ends = [event["title"] for event in shown["events"] if event["event"] == "CaseDecided"]
    assert sorted(ends) == ["decided: auto_accepted", "decided: superseded"]


def test_trace_gives_the_way_of_each_message(written: Written) -> None:
    found = written.run("trace", f"{TENANT}/SE-NORDFJELLPHARM-2026-0041")["traces"]
    assert len(found) == 2
    for trace in found:
        assert len(trace["trace_id"]) == 32
        assert [hop["stage"] for hop in trace["hops"]] == [
            "intake", "router", "planner", "retriever", "tool-executor", "supervisor",
        ]  # fmt: skip
        assert all(hop["took_s"] >= 0 for hop in trace["hops"])
        assert trace["total_s"] == pytest.approx(sum(hop["took_s"] for hop in trace["hops"]))


def test_people_get_tables(written: Written) -> None:
    urls = written.stack.urls
    where = ["--kafka", urls.kafka, "--registry", urls.registry]
    case = f"{TENANT}/SE-NORDFJELLPHARM-2026-0041"
    for arguments in (["list", "--workflow", "triage", "--limit", "100"], ["show", case], ["trace", case]):
        result = CliRunner().invoke(app, [*arguments, *where], catch_exceptions=False)
        assert result.exit_code == 0
        assert case in result.stdout


@pytest.mark.parametrize(("given", "code"), [("no-such-case", "VM-1703"), ("0" * 32, "VM-1703")])
def test_an_unknown_id_is_refused(written: Written, given: str, code: str) -> None:
    with pytest.raises(Refused, match=code):
        written.run("show", given)


def test_a_record_that_nobody_can_read_can_be_shown(written: Written, tmp_path: Path) -> None:
    name, _, value = poison_record(written.passage.codec.schema_id("vigimesh.case.received.normal"))
    producer = Producer({"bootstrap.servers": written.stack.urls.kafka, "partitioner": "murmur2_random"})
    producer.produce(name, key=f"{TENANT}/POISON", value=value)
    assert producer.flush(30) == 0
    shown = written.run("show", f"{TENANT}/POISON")
    assert [event["title"] for event in shown["events"]] == ["cannot be read: VM-1003"]
