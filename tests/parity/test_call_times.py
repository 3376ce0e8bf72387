"""What the last calls of a model took, read from a journal in PostgreSQL: of this model, lately, and not those that wait on purpose."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import psycopg
import pytest

from journals import database
from vigimesh.adapters.postgres.call_times import LAST, LEAST, WITHIN_S, CallTimes
from vigimesh.clock import SystemClock
from vigimesh.domain.budget.calls import LEASE_RAN_OUT

pytestmark = pytest.mark.real

#: Call, model, how long ago it was reserved and for how long it went on (seconds), how it ended, and why.
ROW = """
INSERT INTO journal.call
    (call_id, case_id, workflow, version, step, pass_number, prompt_digest, model, epoch, at, worst_micro, state, why, token,
     lease_until, cost_micro, answer, ended_at)
VALUES (%(call)s, 'c', 'triage', '1', 's', 1, 'd', %(model)s, 'e', now() - make_interval(secs => %(ago)s), 9, %(state)s, %(why)s, 't',
    now(), CASE WHEN %(state)s = 'answered' THEN 1 END, CASE WHEN %(state)s = 'answered' THEN 'x'::bytea END,
    CASE WHEN %(state)s <> 'begun' THEN now() - make_interval(secs => %(ago)s) + make_interval(secs => %(took)s) END)
"""
GATHERED = """
INSERT INTO journal.gathered (call_id, opens_at, not_after, body, state) VALUES (%s, now(), now(), ''::bytea, 'ended')
"""


@pytest.fixture
def uri(request: pytest.FixtureRequest) -> Iterator[str]:
    with database(request.getfixturevalue("stack").urls.postgres, "call_times") as made:
        yield made


def test_the_figure_is_of_the_last_calls_of_this_model_made_at_once(uri: str) -> None:
    number = 0

    def calls(
        count: int,
        took: float,
        *,
        model: str = "m",
        ago: float = 100,
        state: str = "answered",
        why: str = "",
        batch: bool = False,
    ) -> None:
        nonlocal number
        with psycopg.connect(uri, autocommit=True) as link:
            for _ in range(count):
                number += 1
                row = {
                    "call": f"c{number}",
                    "model": model,
                    "ago": ago,
                    "took": took,
                    "state": state,
                    "why": why,
                }
                link.execute(ROW, row)
                if batch:
                    link.execute(GATHERED, [f"c{number}"])

    def seen() -> dict[str, int]:
        async def look() -> dict[str, int]:
            times = CallTimes(uri, "m", SystemClock())
            await times.read()
            found = dict(times.now())
            if times._reading is not None:
                await times._reading
            return found

        return asyncio.run(look())

    assert seen() == {}
    calls(LEAST - 1, 2)
    calls(40, 50, batch=True)
    calls(40, 50, model="other")
    calls(40, 50, ago=WITHIN_S + 100)
    calls(40, 50, state="begun")
    calls(40, 50, state="not_made")
    calls(40, 50, state="in_doubt", why=LEASE_RAN_OUT)
    assert seen() == {}
    calls(1, 2, ago=99)
    assert seen() == {"large": 2_000}
    # Ten of two hundred are five in a hundred: one more is what calls take. What ran into its deadline counts.
    calls(LAST - 10 - LEAST, 2, ago=90)
    calls(10, 60, state="in_doubt", why="no answer within its deadline", ago=80)
    assert seen() == {"large": 2_000}
    calls(1, 60, state="in_doubt", why="no answer within its deadline", ago=80)
    assert seen() == {"large": 60_000}
    calls(LAST, 1, ago=70)
    assert seen() == {"large": 1_000}
