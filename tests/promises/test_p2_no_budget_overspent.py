"""P2: no budget overspent, no reservation leaked, no false refusal; no model call paid twice.

On Valkey, PostgreSQL and the stand-in over HTTP. Enforced = recorded + open is held at every look of these checks, and what
is recorded is what the journal books. The whole mesh spends in a later part.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from budget_fixture import new_valkey_rig
from journals import PgBench, database
from parity.test_paying import CHECKS
from spending import Place, shop
from valkeys import OwnValkey

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
