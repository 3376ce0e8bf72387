"""`vigimesh knowledge products|stats|changes` on a database and an object store of their own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from libraries import fresh_database, note
from served import NOON, cached, seen
from vigimesh.adapters.memory.registry import MemorySchemas
from vigimesh.adapters.objects.store import ObjectStore
from vigimesh.adapters.postgres.ledger import PgLedger
from vigimesh.adapters.postgres.library import PgLibrary
from vigimesh.adapters.postgres.schema import migrate
from vigimesh.adapters.postgres.summaries import PgSummaryIndex
from vigimesh.app.commands.knowledge import app
from vigimesh.background.librarian.summaries import Summarising
from vigimesh.clock import SystemClock
from vigimesh.domain.knowledge.ledger import Ended, book
from vigimesh.domain.knowledge.products import shipped_products
from vigimesh.errors import Refused
from vigimesh.events.codec import Codec
from vigimesh.loop.broker import Write

pytestmark = pytest.mark.real


class Desk:
    """Takes what it is given."""

    async def write(self, writes: Sequence[Write]) -> None:
        """Do nothing."""


@pytest.fixture
def told(stack: Any, tmp_path: Path) -> Iterator[Any]:
    """Return what a command prints as JSON, with its exit status."""
    with fresh_database(stack.urls.postgres, "products_cli") as uri:
        migrate(uri)
        library, ledger, index = PgLibrary(uri), PgLedger(uri), PgSummaryIndex(uri)
        url = f"file://{tmp_path}/objects"
        library.ingest([note("1.0", "Rash, Pain")], by="a")
        library.ingest([note("1.1", "Rash, Fever")], by="a")
        asyncio.run(Summarising(
            library=library, index=index, objects=ObjectStore(url), products=shipped_products(), codec=Codec(MemorySchemas()),
            desk=Desk(), clock=SystemClock(),
        ).step())  # fmt: skip
        rows = [seen(at, cached()) for at in range(4)]
        ledger.book(book(rows, "t", shipped_products(), Ended(), ({}, {0: 4})))
        for one in (library, ledger, index):
            one.close()
        environment = {
            "VIGIMESH_POSTGRES_DSN": uri,
            "VIGIMESH_OBJECTS_URL": url,
            "VIGIMESH_KAFKA_BOOTSTRAP": "none.invalid:1",
        }

        def run(*arguments: str) -> tuple[Any, int]:
            done = CliRunner().invoke(app, [*arguments, "--json"], env=environment)
            if done.exception is not None and not isinstance(done.exception, SystemExit):
                raise done.exception
            return json.loads(done.stdout), done.exit_code

        yield run


def test_products_figures_and_changes_are_told(told: Any) -> None:
    found, status = told("products")
    one = next(row for row in found["products"] if row["id"] == "product_notes")
    assert (one["newest"], one["past_due"], status) == ("product/zelora@1.1", False, 0)
    found, status = told("stats", "--since", NOON.date().isoformat())
    assert (found["products"]["vaccine_notes"]["levels"], status) == ({"hot": 4}, 0)
    cost = found["products"]["product_notes"]["summaries"]["EUR"]
    assert (cost["made"], cost["micro"]) == (1, 33)  # two notes of some hundred characters
    assert found["products"]["all"]["summaries"] == {"EUR": cost}
    found, _ = told("stats", "--since", "2099-01-01")
    assert found["products"]["all"]["summaries"] == {}
    assert found["products"]["all"]["questions"] == 0
    found, _ = told("changes", "ZELORA")
    assert [(one["what"], one["term"]) for one in found["summary"]["reactions"]] == [
        ("added", "Fever"),
        ("removed", "Pain"),
    ]
    with pytest.raises(Refused, match="VM-2805"):
        told("changes", "Zelor")
