"""P2: no budget overspent, no reservation leaked, no false refusal; no model call paid twice.

On Valkey, PostgreSQL and the stand-in over HTTP. Enforced = recorded + open is held at every look of these checks, and what
is recorded is what the journal books; then the same of a run of the whole mesh whose month has too little money.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from urllib.request import urlopen

import pytest

from budget_fixture import new_valkey_rig
from journals import PgBench, database
from parity.test_paying import CHECKS
from spending import Place, shop
from tight_fixture import MONTH_MICRO, Tight
from valkeys import OwnValkey
from vigimesh.adapters.kafka.usage_tail import newest_paid
from vigimesh.events.classes import UsageRecorded
from vigimesh.events.topics import LANES
from waiting import WAIT_S

pytestmark = pytest.mark.real

PROMISED = {
    "no budget is overspent, and nobody is refused who fits": "window",
    "no reservation leaks, whatever dies where": "crash",
    "no reservation leaks, whatever is cancelled": "cancelled",
    "no call is paid twice, however many ask": "duplicates",
    "a lost store overspends nothing": "flushed",
}


@pytest.fixture(scope="module")
def uri(request: pytest.FixtureRequest) -> Iterator[str]:
    with database(request.getfixturevalue("stack").urls.postgres, "promise_money") as made:
        yield made


@pytest.mark.parametrize("promise", PROMISED)
def test_money_is_kept_as_promised(budget_valkey: OwnValkey, uri: str, promise: str) -> None:
    def real() -> object:
        bench = PgBench(uri)
        bench.empty()
        return shop(new_valkey_rig(budget_valkey), bench)

    Place(real).run(CHECKS[PROMISED[promise]])  # type: ignore[arg-type]  # an async context of a shop


def test_every_worker_that_pays_says_that_it_can(tight: Tight) -> None:
    for lane in LANES:
        with urlopen(f"{tight.mesh.health[f'tool-executor.{lane}']}/metrics", timeout=WAIT_S) as answer:
            said = answer.read().decode()
        for name in ("vigimesh_paying_shut", "vigimesh_model_breaker"):
            found = re.findall(rf'^{name}{{[^}}]*lane="{lane}"[^}}]*}} (\S+)$', said, re.MULTILINE)
            assert [float(level) for level in found] == [0.0], (name, lane)


def test_a_run_of_the_whole_mesh_spends_no_more_than_its_month_and_all_books_agree(tight: Tight) -> None:
    """Stand-in, call journal, budget and `usage` say the same to the micro-unit, and the month is not overspent."""
    calls = tight.told("calls", "list")["calls"]
    answered = [call for call in calls if call["state"] == "answered"]
    assert calls == answered
    assert {call["call_id"] for call in calls} == set(used := paid_by(tight))
    assert all(used[call["call_id"]] == call["counted_micro"] for call in calls)
    accounts = tight.budget["workflows"]
    (month,) = [
        row
        for one in accounts
        if one["workflow"] == "triage"
        for row in one["windows"]
        if row["window"] == "month"
    ]
    counted = sum(call["counted_micro"] for call in calls)
    assert (month["recorded_micro"], month["open_micro"], month["enforced_micro"]) == (counted, 0, counted)
    assert 0 < counted <= MONTH_MICRO
    account = tight.standin.account()
    assert (account["calls"], account["billed"]) == (len(calls), len(calls))
    assert tight.result["spend_micro"] == counted


def test_the_end_of_usage_tells_which_call_a_whole_journal_must_have(tight: Tight) -> None:
    """What a process reads at its start, so that a journal restored from an old copy is found out."""
    records: list[UsageRecorded] = tight.mesh.events("usage")
    newest = max(one.called_at for one in records if one.called_at is not None)
    assert newest_paid(tight.mesh.urls.kafka, tight.mesh.codec) == newest
    journal = max(call["at"] for call in tight.told("calls", "list")["calls"])
    assert datetime.fromisoformat(journal) >= newest


def paid_by(tight: Tight) -> dict[str, int]:
    """Return what `usage` says of each paid call."""
    records: list[UsageRecorded] = tight.mesh.events("usage")
    return {one.call_id: one.cost_micro for one in records if one.call_id}
