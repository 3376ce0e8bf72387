"""`vigimesh budget`: what it shows of a budget, when it ends with status 1, and what a raise tells the audit."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
import redis
from rich.console import Console
from typer.testing import CliRunner, Result

from budgets import NOON, Rig, ask, booked, valkey_rig
from journals import database
from valkeys import OwnValkey
from vigimesh.adapters.kafka.client import common
from vigimesh.adapters.kafka.history import scan
from vigimesh.adapters.kafka.orders import OrderBook
from vigimesh.adapters.kafka.registry import RegistrySchemas
from vigimesh.adapters.memory.registry import MemorySchemas
from vigimesh.adapters.redis.budget import KEY
from vigimesh.app.commands.budget import app, document, raising, table
from vigimesh.app.devstack import Stack
from vigimesh.app.exits import NOT_HELD
from vigimesh.app.operators.accounts import Account, accounts_of
from vigimesh.app.operators.raise_records import CapRaised, Raiser, raised_in
from vigimesh.clock import SystemClock
from vigimesh.domain.budget.values import Caps, Standing, WindowStanding
from vigimesh.domain.budget.windows import span
from vigimesh.domain.policy.shipped import shipped_cards
from vigimesh.errors import Refused, Transient
from vigimesh.events.classes import AuditRecorded, ThrottleOrdered
from vigimesh.events.codec import Codec
from vigimesh.events.topics import topic
from vigimesh.loop.broker import InDoubt, Write
from vigimesh.ports import Budget

CARDS = shipped_cards(False).cards
TRIAGE = next(card for card in CARDS if card.name == "triage")
CAP = TRIAGE.budget.day_micro


def test_the_accounts_of_every_workflow_hold(rig: Rig) -> None:
    async def scenario(rig: Rig) -> None:
        budget = await rig.built([booked("a", 100, "settled")])
        await budget.reserve([ask("b", 50, caps=Caps.of(TRIAGE))])
        told = document(await accounts_of(budget, CARDS, NOON))
        assert (told["holds"], told["shut"], told["epoch"]) == (True, None, "epoch-1")
        assert [one["workflow"] for one in told["workflows"]] == sorted(card.name for card in CARDS)
        triage = next(one for one in told["workflows"] if one["workflow"] == "triage")
        day = next(row for row in triage["windows"] if row["window"] == "day")
        assert (day["cap_micro"], day["recorded_micro"], day["open_micro"]) == (CAP, 100, 50)
        assert (day["left_micro"], day["enforced_micro"]) == (CAP - 150, 150)

    rig.run(scenario)


def test_of_a_shut_budget_nothing_is_told_and_no_cap_is_raised(rig: Rig) -> None:
    async def scenario(rig: Rig) -> None:
        told = document(await accounts_of(rig.new(), CARDS, NOON))
        assert told["holds"] is False
        assert "flushed, or never built" in told["shut"]
        assert all(one["windows"] == [] for one in told["workflows"])
        order = raising(TRIAGE, window="day", to="200", reason="x", until="2026-11-29T00:00Z", at=NOON)
        with pytest.raises(Transient, match="VM-1913"):
            await raised_in(rig.new(), order, TRIAGE, "ann")

    rig.run(scenario)


def test_a_raise_is_a_value_for_the_audit(rig: Rig) -> None:
    async def scenario(rig: Rig) -> None:
        budget = await rig.built()
        words = {"window": "day", "reason": " a batch came late ", "until": "2026-11-29T01:00:00+01:00"}
        first = raising(TRIAGE, to="200", at=NOON, **words)
        second = raising(TRIAGE, to="250.5", at=NOON, **words)
        assert (await raised_in(budget, first, TRIAGE, "ann")).earlier is None
        assert (await raised_in(budget, second, TRIAGE, "ben")).plain() == {
            "workflow": "triage", "window": "day", "to_micro": 250_500_000, "currency": "EUR", "card_micro": CAP,
            "earlier_micro": 200_000_000, "earlier_until": "2026-11-29T00:00:00+00:00", "at": NOON.isoformat(),
            "until": "2026-11-29T00:00:00+00:00", "reason": "a batch came late", "by": "ben",
        }  # fmt: skip

    rig.run(scenario)


@pytest.mark.parametrize(
    "change",
    [
        {"window": "minute"},
        {"until": "tomorrow"},
        {"until": "2026-11-29T00:00"},
        {"reason": ""},
        {"to": "100"},
    ],
)
def test_a_raise_that_cannot_be_is_refused(change: dict[str, str]) -> None:
    words: dict[str, Any] = {
        "window": "day",
        "to": "200",
        "reason": "x",
        "until": "2026-11-29T00:00Z",
        **change,
    }
    with pytest.raises(Refused, match="VM-1904"):
        raising(TRIAGE, at=NOON, **words)


def test_a_raise_may_end_some_days_from_now() -> None:
    order = raising(TRIAGE, window="day", to="200", reason="x", until="5d", at=NOON)
    assert order.until == NOON + timedelta(days=5)


def test_the_table_names_every_window_whole_where_nobody_has_a_wide_terminal() -> None:
    rows = [
        WindowStanding(window, span(window, NOON).name, 2 * 10**9, 11_394, 19_719, 31_113, 0, False)
        for window in ("minute", "day", "month")
    ]
    paper = Console(width=80, record=True, file=StringIO())
    paper.print(table([Account(workflow="regulatory_prep", currency="EUR", windows=tuple(rows))]))
    told = paper.export_text()
    assert "\u2026" not in told
    assert f"{NOON:%H:%M} UTC" in told
    month = next(line for line in told.splitlines() if line.split()[1:2] == [f"{NOON:%Y-%m}"])
    assert month.split()[2:] == ["EUR", "2,000.00", "0.011394", "0.019719", "1,999.968887"]
    assert "does not hold" not in told
    broken = replace(rows[1], enforced_micro=0)
    paper.print(table([Account(workflow="triage", currency="EUR", windows=(broken,))]))
    assert "does not hold" in paper.export_text()


def test_a_window_that_only_open_calls_leave_no_room_in_says_so(rig: Rig) -> None:
    case, caps = TRIAGE.budget.case_micro, Caps.of(TRIAGE)

    async def told(budget: Budget) -> tuple[list[bool], str]:
        accounts = await accounts_of(budget, [TRIAGE], NOON)
        paper = Console(width=80, record=True, file=StringIO())
        paper.print(table(accounts))
        return [row["held"] for row in document(accounts)["workflows"][0]["windows"]], paper.export_text()

    async def scenario(rig: Rig) -> None:
        budget = await rig.built()
        await budget.reserve([ask("a", CAP - case + 1, caps=replace(caps, case_micro=CAP))])
        held, shown = await told(budget)
        assert held == [False, True, False]
        assert [line.split()[1] for line in shown.splitlines() if line.split()[-1] == "held"] == [
            f"{NOON:%Y-%m-%d}"
        ]
        # Recorded, it is spent: no call that ends brings it back.
        await budget.settle("a", "triage", CAP - case + 1)
        held, shown = await told(budget)
        assert held == [False, False, False]
        assert "held" not in shown

    rig.run(scenario)


@dataclass
class Paper:
    """A desk that keeps what is written, or fails."""

    codec: Codec
    fails: Exception | None = None
    does: Callable[[], None] = lambda: None
    records: list[AuditRecorded] = field(default_factory=list)
    orders: list[ThrottleOrdered] = field(default_factory=list)

    async def write(self, writes: Sequence[Write]) -> None:
        if self.fails is not None:
            raise self.fails
        for write in writes:
            event = self.codec.decode(write.topic, write.value or b"")
            (self.orders if isinstance(event, ThrottleOrdered) else self.records).append(event)
        self.does()


def raised_by(budget: Budget, desk: Paper, to: str = "200") -> Awaitable[CapRaised]:
    order = raising(TRIAGE, window="day", to=to, reason="late batch", until="2026-11-29T00:00Z", at=NOON)
    return Raiser(budget=budget, desk=desk, codec=desk.codec, by="ann").give(order, TRIAGE)


async def day_cap(budget: Budget) -> int:
    told = await budget.standing("triage", Caps.of(TRIAGE), NOON)
    assert isinstance(told, Standing)
    return next(row.cap_micro for row in told.windows if row.window == "day")


def test_a_raise_is_on_record_with_who_why_and_what_held_before(rig: Rig) -> None:
    async def scenario(rig: Rig) -> None:
        budget, desk = await rig.built(), Paper(Codec(MemorySchemas()))
        await raised_by(budget, desk)
        await raised_by(budget, desk, "250.5")
        assert [(one.stage, one.actor, one.action, one.why) for one in desk.records] == [
            ("operator", "ann", "ordered", "late batch")
        ] * 2
        ends = "until 2026-11-29T00:00:00+00:00"
        assert [(one.earlier, one.new) for one in desk.records] == [
            ("100.00 EUR a day", f"200.00 EUR a day {ends}"), ("200.00 EUR a day", f"250.50 EUR a day {ends}"),
        ]  # fmt: skip
        assert len({one.event_id for one in desk.records}) == 2
        assert await day_cap(budget) == 250_500_000

    rig.run(scenario)


def test_what_waits_for_money_is_called_back_once_the_cap_is_higher(rig: Rig) -> None:
    async def scenario(rig: Rig) -> None:
        budget, desk = await rig.built(), Paper(Codec(MemorySchemas()))
        done = await raised_by(budget, desk)
        assert done.not_called == ""
        (order,) = desk.orders
        assert (order.workflow, order.lane, order.by, order.money_raised) == ("triage", "", "ann", True)
        book = OrderBook()
        book.take(order, NOON)
        assert [(one.lane, one.workflow) for one in book.lifted(NOON)] == [("", "triage")]

        def fails_now() -> None:
            desk.fails = InDoubt("VM-1302", what="planted")

        desk.does = fails_now  # behind the audit record
        done = await raised_by(budget, desk, "300")
        assert (await day_cap(budget), done.not_called) == (300_000_000, "planted")

    rig.run(scenario)


def test_what_is_not_on_record_is_not_raised(rig: Rig) -> None:
    async def scenario(rig: Rig) -> None:
        budget = await rig.built()
        desk = Paper(Codec(MemorySchemas()), fails=InDoubt("VM-1302", what="planted"))
        with pytest.raises(InDoubt):
            await raised_by(budget, desk)
        assert await day_cap(budget) == CAP

    rig.run(scenario)


def test_of_a_shut_budget_nothing_is_on_record(rig: Rig) -> None:
    async def scenario(rig: Rig) -> None:
        desk = Paper(Codec(MemorySchemas()))
        with pytest.raises(Transient, match="VM-1913"):
            await raised_by(rig.new(), desk)
        assert desk.records == []

    rig.run(scenario)


def test_a_budget_that_is_lost_after_the_record_has_a_second_one_that_says_so(rig: Rig) -> None:
    async def scenario(rig: Rig) -> None:
        budget, desk = await rig.built(), Paper(Codec(MemorySchemas()), does=rig.flush)
        with pytest.raises(Transient, match="VM-1913"):
            await raised_by(budget, desk)
        first, second = desk.records
        assert desk.orders == []
        assert (second.earlier, second.event_id) == (first.new, first.event_id)
        assert second.new.startswith("not known to be raised: no cap can be raised: ")

    rig.run(scenario)


@pytest.fixture
def live(budget_valkey: OwnValkey, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    """Give the keys that the command uses, empty before and after."""
    monkeypatch.setenv("VIGIMESH_REDIS_URL", budget_valkey.url)
    budget_valkey.flush()
    yield valkey_rig(budget_valkey, KEY)
    budget_valkey.flush()


def vigimesh(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture(scope="module")
def journal_uri(applied_stack: Stack) -> Iterator[str]:
    with database(applied_stack.urls.postgres, "budget_cli") as made:
        yield made


def test_the_command_shows_and_raises(
    live: Rig, applied_stack: Stack, journal_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    urls = applied_stack.urls
    monkeypatch.setenv("VIGIMESH_KAFKA_BOOTSTRAP", urls.kafka)
    monkeypatch.setenv("VIGIMESH_REGISTRY_URL", urls.registry)
    assert vigimesh("show", "--json").exit_code == NOT_HELD
    shut = vigimesh("show")
    assert (shut.stdout, "shut, paid calls are refused" in shut.stderr) == ("", True)

    async def build(rig: Rig) -> None:
        budget = await rig.built()
        await budget.reserve([ask("a", 50_000, at=SystemClock().now(), caps=Caps.of(TRIAGE))])

    live.run(build)
    # Without a journal nobody knows whether it counts the same, and it is said.
    shown = vigimesh("show")
    assert (shown.exit_code, "VIGIMESH_POSTGRES_DSN is not set" in shown.stderr) == (NOT_HELD, True)
    monkeypatch.setenv("VIGIMESH_POSTGRES_DSN", journal_uri)
    shown = vigimesh("show")
    assert shown.exit_code == 0, shown.output
    assert re.search(r"^triage \S+: the journal has 0.00 EUR recorded and 0.00 EUR open; calls change hands$",
                     shown.stderr, re.MULTILINE)  # fmt: skip
    assert re.search(r"^triage +[\d-]{10} +EUR .* 0\.05 ", shown.output, re.MULTILINE), shown.output
    assert "caps of: shipped cards" in shown.stderr
    until = (SystemClock().now() + timedelta(days=1)).isoformat()
    words = ("--window", "day", "--to", "123.45", "--reason", "late batch", "--until", until)
    done = json.loads(vigimesh("raise", "triage", *words, "--by", "ann", "--json").output)
    assert (done["to_micro"], done["by"], done["earlier_micro"]) == (123_450_000, "ann", None)
    assert done["called_back"] is True
    assert "may spend 123.45 EUR a day" in vigimesh("raise", "triage", *words).output
    assert re.search(r"^triage +[\d-]{10} +EUR +123\.45 ", vigimesh("show").output, re.MULTILINE)
    assert vigimesh("raise", "triage", *words[:4], *words[6:]).exit_code == 2
    assert vigimesh("raise", "triage", *words[:6]).exit_code == 2
    assert "did you mean 'triage'?" in vigimesh("raise", "triag", *words).output
    assert isinstance(vigimesh("raise", "triage", *words[:5], " ", *words[6:]).exception, Refused)
    codec = Codec(RegistrySchemas({"url": urls.registry}))
    rows = [row for row in scan(common(urls.kafka, {}), [topic("audit")]) if row.key == "budget/triage"]
    audits: list[AuditRecorded] = [codec.decode(topic("audit"), row.value or b"") for row in rows]
    assert [(one.action, one.why) for one in audits] == [("ordered", "late batch")] * 2
    assert (audits[0].actor, audits[0].earlier) == ("ann", "100.00 EUR a day")
    assert audits[1].earlier == "123.45 EUR a day"
    assert {row.headers.source for row in rows} == {"/vigimesh/operator"}


def test_a_budget_that_does_not_hold_ends_with_status_1(
    live: Rig, budget_valkey: OwnValkey, journal_uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIGIMESH_POSTGRES_DSN", journal_uri)

    async def build(rig: Rig) -> None:
        budget = await rig.built()
        await budget.reserve([ask("a", 50_000, at=SystemClock().now(), caps=Caps.of(TRIAGE))])

    live.run(build)
    with redis.Redis.from_url(budget_valkey.url, decode_responses=True) as own:
        for key in own.scan_iter("*:w:triage:month:*"):
            own.hincrby(key, "enforced", 1)
    shown = vigimesh("show")
    assert shown.exit_code == NOT_HELD
    assert "does not hold" in shown.output
    told = json.loads(vigimesh("show", "--json").output)
    assert told["holds"] is False
