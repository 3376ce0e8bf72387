"""What the journal counts in a day and a month is what a budget rebuilt from it would hold."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from journals import USAGE, PgBench, begun, call_of, database, processes, run
from vigimesh.adapters.postgres.journal_sums import counted_at
from vigimesh.clock import SystemClock
from vigimesh.domain.budget.agreement import FIRM
from vigimesh.domain.budget.rule import rebuilt
from vigimesh.domain.budget.values import RAISABLE
from vigimesh.domain.budget.windows import span

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def uri(request: pytest.FixtureRequest) -> Iterator[str]:
    with database(request.getfixturevalue("stack").urls.postgres, "journal_counted") as made:
        yield made


def test_it_is_what_a_budget_rebuilt_from_it_would_hold(uri: str) -> None:
    bench = PgBench(uri)

    async def story() -> None:
        at = datetime.now(UTC)
        async with processes(bench, 1) as (epoch, (journal,)):
            moments = (at, at - 2 * FIRM, at - timedelta(days=1), at - timedelta(days=40))
            for number, moment in enumerate(moments):
                for end in ("open", "answered", "in_doubt", "not_made", "made"):
                    workflow = "signal" if number % 2 else "triage"
                    call = await begun(journal, call_of(f"{end}{number}", epoch, workflow=workflow))
                    if end == "answered":
                        await journal.answer(call.call_id, b"yes", 700, USAGE)
                    elif end == "not_made":
                        await journal.not_made(call.call_id, "refused")
                    elif end != "open":
                        await journal.in_doubt(call.call_id, "cut")
                    if end == "made":
                        await journal.resolve(call.call_id, 300, "on the invoice")
                    bench.do("UPDATE journal.call SET at = %s WHERE call_id = %s", moment, call.call_id)
            counted = await counted_at(uri, at, SystemClock())
            books = rebuilt(await journal.booked())
            found = {(one.workflow, one.window): (one.recorded_micro, one.open_micro) for one in counted}
            for workflow in ("triage", "signal"):
                for window in RAISABLE:
                    sums = books.sums.get((workflow, window, span(window, at).name))
                    held = (sums.recorded, sums.enforced - sums.recorded) if sums else (0, 0)
                    assert found.get((workflow, window), (0, 0)) == held
            # Those of just now may not have been reserved when the budget was looked at.
            day = next(one for one in counted if (one.workflow, one.window) == ("triage", "day"))
            assert (day.recorded_micro + day.open_micro >= 3_000, day.firm_micro) == (True, 0)

    run(story())
