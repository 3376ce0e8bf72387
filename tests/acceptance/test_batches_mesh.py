"""Gathered cold work through a whole mesh: parked, bought in one batch though its batcher is killed, billed once, and decided by its answers.

A day of waiting is not waited for: the stand-in's batches have a clock of their own, and the parked records get another due time.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mesh_fixture import kept_mesh
from meshes import Mesh, child_of, vigimesh
from standins import served
from tight_fixture import CARD, suspended
from vigimesh.adapters.kafka.client import common
from vigimesh.adapters.kafka.producer import KafkaProducer
from vigimesh.app.demo.builder import HEALTH, Calendar, adult, case, product, reaction
from vigimesh.app.demo.line_cases import line
from vigimesh.app.standin.chat import MODEL, StandIn
from vigimesh.app.standin.profile import Profile
from vigimesh.app.train.answers import read_answers
from vigimesh.events.classes import CaseDecided, EventParked, ReviewRequested, UsageRecorded
from vigimesh.events.envelope import Envelope, to_headers
from vigimesh.events.topics import topic
from vigimesh.loop.broker import Write
from waiting import WAIT_S, until

pytestmark = pytest.mark.real

#: Cases; the last two say the same, so that they are one question.
CASES, QUESTIONS = 6, 5
#: Seconds for a round of the batcher (one a minute) and for the cases to end, on a machine that does other things too.
DONE_S = 240.0


def window(now: datetime) -> str:
    """Return a window that is open and stays so: one of the whole day would close at midnight, and its calls with it."""
    opens, closes = now - timedelta(hours=1), now + timedelta(hours=12)
    return f'[batch_window]\nopens_utc = "{opens:%H:%M}"\ncloses_utc = "{closes:%H:%M}"\n'


def lines() -> Iterator[str]:
    """Yield cases in which every box is a no: cold, and not serious by their form."""
    calendar = Calendar(today=datetime.now(UTC).date())
    for number in range(CASES):
        name, told = f"DE-BATCH-2026-{number:05d}", min(number, QUESTIONS - 1)
        yield line(
            case(
                sender="CALLCENTRE", receiver="VIGIMESH", report_id=name, worldwide_id=name, country="DE",
                report_type="spontaneous", created_on=calendar.moment(1), first_received_on=calendar.day(3),
                most_recent_on=calendar.day(2), reporters=(HEALTH,), patient=adult(40 + told, "female"),
                products=(product("Torvexil"),),
                reactions=(reaction("Headache", highlighted="2", outcome="recovered"),),
                criteria_form="form", narrative="A mild headache for a day, gone by the next.",
            )
        )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Depot:
    """A mesh whose card gathers, and the stand-in that sells in batches."""

    mesh: Mesh
    url: str

    def asked(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(f"{self.url.removesuffix('/v1')}{path}", data, timeout=WAIT_S) as reply:
            found: dict[str, Any] = json.load(reply)
        return found

    def told(self, *arguments: str) -> dict[str, Any]:
        answer = vigimesh(*arguments, "--data", self.mesh.data, "--json")
        assert answer.status == 0, answer.err
        return answer.json

    def metric(self, seat: str, name: str) -> float:
        """Return the sum of a metric over its labels, as Prometheus reads it."""
        with urllib.request.urlopen(f"{self.mesh.health[seat]}/metrics", timeout=WAIT_S) as reply:
            shown = reply.read().decode()
        return sum(float(row.rsplit(" ", 1)[1]) for row in shown.splitlines() if row.startswith(name))

    def parked(self) -> dict[bytes, EventParked]:
        """Return what is parked now, by its key."""
        codec, name, found = self.mesh.codec, topic("parked"), dict[bytes, EventParked]()
        for row in self.mesh.rows("parked"):
            found.pop(row.key.encode(), None)
            if row.value is not None:
                found[row.key.encode()] = codec.decode(name, row.value)
        return found

    def due_now(self) -> None:
        """Let the parked cases come back now, by the resumer: the same records with another due time."""
        codec, name, now = self.mesh.codec, topic("parked"), datetime.now(UTC)
        writes = []
        for key, event in self.parked().items():
            own = Envelope(
                id=f"{event.event_id}.due", source="/test", type="vigimesh.EventParked", time=now, subject=event.event_id,
                messageid=event.event_id, workflow=event.workflow,
            )  # fmt: skip
            value = codec.encode(name, replace(event, not_before=now))
            writes.append(Write(topic=name, key=key, value=value, headers=to_headers(own)))

        async def write() -> None:
            producer = KafkaProducer(common(self.mesh.urls.kafka, {}), "vigimesh.test.batches")
            await producer.renew()
            producer.begin()
            for one in writes:
                producer.write(one)
            await producer.commit()
            await producer.close()

        asyncio.run(write())

    def batcher(self) -> int:
        """Return the process number of the batcher, 0 while there is none."""
        found = child_of(self.mesh.pid, "vigimesh batcher")
        return found.pid if found else 0


@pytest.fixture(scope="module")
def depot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Depot]:
    cards = tmp_path_factory.mktemp("cards")
    (cards / "triage.toml").write_text(CARD + window(datetime.now(UTC)), encoding="utf-8")
    standin = StandIn(Profile(latency_ms=0, spread=0, seed=7))
    with served(standin) as url:
        settings = {
            "VIGIMESH_CARDS": str(cards), "VIGIMESH_LARGE_MODEL__BASE_URL": url, "VIGIMESH_LARGE_MODEL__NAME": MODEL,
        }  # fmt: skip
        with kept_mesh(settings) as mesh:
            yield Depot(mesh=mesh, url=url)


def test_cold_cases_are_bought_in_one_batch_once_and_decided_by_its_answers(
    depot: Depot, tmp_path_factory: pytest.TempPathFactory
) -> None:
    source = tmp_path_factory.mktemp("cold") / "cases.jsonl"
    source.write_text("\n".join(lines()) + "\n", encoding="utf-8")
    # A round that came while they are gathered would send what is there, and the rest in a second batch.
    with suspended(depot.mesh, "batcher"):
        ran = depot.mesh.run(source)
    assert (ran.json["accepted"], ran.json["parked"]) == (CASES, CASES), ran.err + ran.out
    assert {"waits for its answer" in one.reason for one in depot.parked().values()} == {True}
    assert depot.metric("tool-executor.cold", "vigimesh_batch_gathered_total") == CASES

    until(lambda: depot.asked("/standin/calls")["batches"], within_s=DONE_S, what="a batch at the endpoint")
    killed = until(depot.batcher, within_s=DONE_S, what="the batcher")
    os.kill(killed, signal.SIGKILL)
    # Only now: of what it had taken in before its end its metrics would have told, and nobody else's.
    depot.asked("/standin/clock", {"forward_s": 7_200})
    until(lambda: depot.batcher() not in (0, killed), within_s=DONE_S, what="another batcher")

    def ended() -> dict[str, Any] | None:
        found = depot.told("batches")
        return found if found["batches"] and all(one["ended_at"] for one in found["batches"]) else None

    told = until(ended, within_s=DONE_S, what="the end of the batch")
    assert told is not None
    (batch,) = told["batches"]
    assert (batch["calls"], batch["questions"], batch["answered"], batch["why"]) == (
        CASES,
        QUESTIONS,
        CASES,
        "",
    )
    assert [(one["from_calls"], one["batches"]) for one in told["by_size"]] == [(2, 1)]
    account = depot.asked("/standin/calls")
    assert (account["batches"], account["billed"], account["batched"]["billed"]) == (1, QUESTIONS, QUESTIONS)
    assert depot.metric("batcher", 'vigimesh_batch_calls_total{outcome="answered"') == QUESTIONS

    depot.due_now()

    def ends() -> list[CaseDecided | ReviewRequested]:
        return [*depot.mesh.events("case.decided"), *depot.mesh.events("case.review")]

    until(
        lambda: len({one.case_id for one in ends()}) == CASES, within_s=DONE_S, what="an outcome of each case"
    )
    assert len(ends()) == CASES
    until(lambda: not depot.parked(), within_s=DONE_S, what="nothing parked")
    paid = [one for one in depot.mesh.events("usage") if isinstance(one, UsageRecorded) and one.call_id]
    assert len({one.call_id for one in paid}) == len(paid) == CASES
    calls = depot.told("calls", "list")
    assert (calls["in_doubt"], calls["counted_micro"]) == (0, sum(one.cost_micro for one in paid))
    assert sorted(one.cost_micro > 0 for one in paid) == [False] * (CASES - QUESTIONS) + [True] * QUESTIONS
    # Nothing was asked outside the batch, then or since.
    assert depot.asked("/standin/calls")["calls"] == QUESTIONS
    # What a real run recorded is what `train --from-answers` reads.
    written = vigimesh("calls", "answers", "--data", depot.mesh.data)
    file = source.parent / "answers.jsonl"
    file.write_text(written.out, encoding="utf-8")
    found = read_answers(file)
    assert (len(found.serious), found.unread, dict(found.models)) == (CASES, 0, {MODEL: CASES})
