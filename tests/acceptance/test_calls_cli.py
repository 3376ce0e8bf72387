"""`vigimesh calls` on a real journal: what is in doubt is shown in money, and the truth is said once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from typer.testing import CliRunner

from journals import USAGE, PgBench, begun, call_of, database, processes
from vigimesh.adapters.kafka.registry import RegistrySchemas
from vigimesh.app.commands.calls import app
from vigimesh.app.devstack import Stack
from vigimesh.app.operators.order_giving import login
from vigimesh.app.train.answers import read_answers
from vigimesh.clock import SystemClock
from vigimesh.domain.budget.calls import ByDigest, Doubtful, PaidCall
from vigimesh.domain.budget.values import Booked
from vigimesh.domain.cascade.question import Answer, write_answer
from vigimesh.errors import Refused
from vigimesh.events.classes import UsageRecorded
from vigimesh.events.codec import Codec
from vigimesh.events.topics import topic
from vigimesh.loop.broker import Write
from worlds import KafkaWorld

pytestmark = pytest.mark.real


@pytest.fixture
def uri(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with database(request.getfixturevalue("stack").urls.postgres, "calls_cli") as made:
        monkeypatch.setenv("VIGIMESH_POSTGRES_DSN", made)
        yield made


def run(*arguments: str, status: int = 0) -> Any:
    result = CliRunner().invoke(app, [*arguments, "--json"], catch_exceptions=False)
    assert result.exit_code == status, result.output
    return json.loads(result.stdout)


def doubtful(uri: str) -> tuple[str, str]:
    """Leave two calls in doubt: one lost its answer, the owner of the other died."""
    made: list[str] = []

    async def story() -> None:
        bench = PgBench(uri)
        async with processes(bench) as (epoch, (one, _)):
            made.extend([(await begun(one, call_of(name, epoch))).call_id for name in "ab"])
            await one.in_doubt(made[0], "cut in mid-answer")
            bench.let_pass(61)

    asyncio.run(story())
    return made[0], made[1]


def booked(uri: str) -> list[Booked]:
    async def story() -> list[Booked]:
        bench = PgBench(uri)
        found = list(await bench.process().booked())
        await bench.close()
        return found

    return asyncio.run(story())


def test_calls_in_doubt_are_listed_in_money_and_corrected(uri: str) -> None:
    lost, died = doubtful(uri)
    shown = run("list", "--state", "in_doubt")
    assert [one["call_id"] for one in shown["calls"]] == [lost, died]
    assert (shown["in_doubt"], shown["in_doubt_micro"]) == (2, 2_000)
    assert "lease" in shown["calls"][1]["why"]
    told = run("resolve", lost, "--as", "made", "--cost", "0.0003", "--reason", "invoice 17")
    assert (told["before_micro"], told["after_micro"]) == (1_000, 300)
    assert run("resolve", lost, "--as", "made", "--cost", "0.0003", "--reason", "invoice 17") == told
    words = ["--as", "not-made", "--reason", "not on the invoice"]
    said = CliRunner().invoke(app, ["resolve", died, *words, "--by", "ann"])
    assert "the budget still holds 0.001 for it, until a tool-executor sweeps: every 20 s" in said.stderr
    assert run("list", "--state", "in_doubt")["calls"] == []
    assert run("list", "--state", "made")["counted_micro"] == 300
    assert run("list", "--state", "made")["calls"][0]["why"] == f"{login()}: invoice 17"
    assert run("list", "--state", "not_made")["calls"][0]["why"] == "ann: not on the invoice"
    assert [(one.state, one.amount_micro) for one in booked(uri)] == [("settled", 300)]


def test_answers_are_written_as_training_reads_them(uri: str, tmp_path: Path) -> None:
    told = Answer(text='{"serious": "yes", "grade": 4}', tokens=USAGE, finish="stop", model="large-1")

    async def story() -> None:
        bench = PgBench(uri)
        async with processes(bench) as (epoch, (one, _)):
            bodies: dict[str, bytes | ByDigest] = {
                "m/a": write_answer(told),
                "m/b": ByDigest(digest="d" * 64),
            }
            for name, body in bodies.items():
                call = await begun(one, call_of(name, epoch))
                await one.answer(call.call_id, body, 700, USAGE)
            await begun(one, call_of("m/c", epoch))

    asyncio.run(story())
    result = CliRunner().invoke(app, ["answers"], catch_exceptions=False)
    assert result.stderr.startswith("1 answers; left out as too large: 1")
    file = tmp_path / "answers.jsonl"
    file.write_text(result.stdout, encoding="utf-8")
    found = read_answers(file)
    assert (found.serious, found.models, found.unread) == ({"a": "yes"}, {"large-1": 1}, 0)
    assert json.loads(result.stdout)["prompt_digest"] == "d" * 64


def test_an_old_copy_takes_over_what_usage_tells_of_and_is_believed_again(
    uri: str, applied_stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Restored from before its newest calls: one is gone, of one the end is not known, and one is as it was."""
    monkeypatch.setenv("VIGIMESH_KAFKA_BOOTSTRAP", applied_stack.urls.kafka)
    monkeypatch.setenv("VIGIMESH_REGISTRY_URL", applied_stack.urls.registry)
    codec = Codec(RegistrySchemas({"url": applied_stack.urls.registry}))
    world = KafkaWorld(codec, bootstrap=applied_stack.urls.kafka)
    #: Newer than whatever other tests paid: the topic is theirs too.
    now = SystemClock().now()
    calls: dict[str, PaidCall] = {}

    async def restored() -> None:
        bench = PgBench(uri)
        async with processes(bench) as (epoch, (one, _)):
            for name in ("kept", "cut"):
                calls[name] = await begun(one, call_of(f"{uuid4().hex}/{name}", epoch, at=now))
            await one.answer(calls["kept"].call_id, b"yes", 700, USAGE)
            calls["gone"] = call_of(f"{uuid4().hex}/gone", epoch, at=now + timedelta(seconds=1))

    async def believed() -> tuple[str, bool]:
        bench = PgBench(uri)
        one = bench.process()
        epoch = await one.epoch(calls["gone"].at)
        again = isinstance(await one.begin(calls["gone"]), Doubtful)
        await bench.close()
        return epoch, again

    asyncio.run(restored())
    for name, cost in (("kept", 700), ("cut", 400), ("gone", 300), ("gone", 300)):
        used = used_by(calls[name], cost)
        world.append(Write(topic=topic("usage"), key=b"k", value=codec.encode(topic("usage"), used)))
    world.close()
    assert asyncio.run(believed())[0] == "", "usage knows of a newer call"
    mine = {calls[name].call_id for name in ("cut", "gone")}
    told = run("recover", "--reason", "the disk was lost", "--by", "ann")
    assert mine <= set(told["recovered"])
    assert calls["kept"].call_id not in told["recovered"]
    made = {one["call_id"]: one for one in run("list", "--state", "made")["calls"]}
    assert [made[calls[name].call_id]["counted_micro"] for name in ("cut", "gone")] == [400, 300]
    assert made[calls["gone"].call_id]["why"] == "ann: the disk was lost"
    epoch, again = asyncio.run(believed())
    assert epoch, "it is believed again"
    assert again, "what was paid is not made again"
    assert run("recover", "--reason", "again")["recovered"] == []


def used_by(call: PaidCall, cost_micro: int) -> UsageRecorded:
    return UsageRecorded(
        case_id=call.case_id, message_id="m", workflow=call.workflow, lane="warm", stage="tool-executor", kind="model_call",
        name=call.model, tier="large", quantity=1, unit="tokens", cost_micro=cost_micro, call_id=call.call_id, called_at=call.at,
        step=call.step,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["list", "--state", "doubtful"], "Did you mean 'in_doubt'"),
        (["resolve", "x", "--as", "maid", "--reason", "r"], "Did you mean 'made'"),
        (["resolve", "x", "--as", "made", "--reason", "r"], "--cost"),
        (["resolve", "x", "--as", "not-made", "--cost", "1", "--reason", "r"], "--cost"),
        (["resolve", "x", "--as", "not-made"], "--reason"),
    ],
)
def test_what_is_missing_or_misspelt_is_said(uri: str, arguments: list[str], says: str) -> None:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert says in result.output


def test_what_cannot_be_resolved_is_refused_and_changes_nothing(uri: str) -> None:
    doubtful(uri)
    before = booked(uri)
    for arguments in (["0" * 32, "--reason", "invoice"], [before[0].call_id, "--reason", " "]):
        with pytest.raises(Refused, match=r"VM-200[25]"):
            run("resolve", *arguments, "--as", "made", "--cost", "1")
    for cost in ("-1", "0,5", "a lot", "0.0000001"):
        with pytest.raises(Refused, match="VM-1903"):
            run("resolve", before[0].call_id, "--as", "made", "--cost", cost, "--reason", "invoice")
    assert booked(uri) == before
