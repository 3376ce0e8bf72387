"""The librarian's process keeps knowledge products: it books what was served, makes summaries, and says how products stand."""

from __future__ import annotations

import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import psycopg
import pytest

from libraries import fresh_database, note
from served import measured
from vigimesh.adapters.kafka.registry import RegistrySchemas
from vigimesh.adapters.postgres.library import PgLibrary
from vigimesh.adapters.postgres.schema import migrate
from vigimesh.adapters.postgres.summaries import PgSummaryIndex
from vigimesh.app.config.settings import PostgresSettings, Settings
from vigimesh.app.mesh.fleet import Fleet, worker_programs
from vigimesh.clock import Deadline, SystemClock
from vigimesh.events.codec import Codec
from vigimesh.events.topics import topic
from vigimesh.loop.broker import Write
from waiting import WAIT_S, until
from worlds import KafkaWorld

#: Seconds for the process to start and do each duty once, beside other tests.
WITHIN_S = 120
COUNT = 20
TELEMETRY = topic("retrieval.telemetry")

pytestmark = pytest.mark.real


def test_the_process_books_summarises_and_says_how_products_stand(applied_stack: Any, tmp_path: Path) -> None:
    urls, run = applied_stack.urls, uuid.uuid4().hex
    codec = Codec(RegistrySchemas({"url": urls.registry}))
    world = KafkaWorld(codec, bootstrap=urls.kafka)
    with fresh_database(urls.postgres, "librarian_products") as uri:
        migrate(uri)
        library, index = PgLibrary(uri), PgSummaryIndex(uri)
        library.ingest([note("1.0", "Rash, Pain")], by="a")
        library.ingest([note("1.1", "Rash, Fever")], by="a")
        settings = replace(Settings.for_stack(urls), postgres=PostgresSettings(dsn=uri))
        with Fleet(worker_programs(settings, tmp_path, ("librarian",))) as fleet:
            for at in range(COUNT):
                one = measured(
                    case_id=f"{run}/{at}", question_key=f"q{at}", passages=("product/zelora@1.1#0-9",)
                )
                world.append(Write(TELEMETRY, one.question_key.encode(), codec.encode(TELEMETRY, one)))
            fleet.wait_ready(Deadline.after(SystemClock(), WITHIN_S))
            until(lambda: len(index.rows()) == 1, within_s=WITHIN_S, what="the summary")
            until(lambda: _used(uri, run) == COUNT, within_s=WITHIN_S, what="every measurement booked")
            until(
                lambda: b'vigimesh_knowledge_overdue{product="product_notes"} 0' in _metrics(fleet),
                within_s=WITHIN_S,
                what="how products stand",
            )
            assert b"vigimesh_knowledge_answers_total" in _metrics(fleet)
            assert fleet.restarts == 0
        assert [(one.older, one.version, one.product) for one in index.rows()] == [
            ("1.0", "1.1", "product_notes")
        ]
        assert _used(uri, run) == COUNT
        library.close()
        index.close()
    world.close()


def _used(uri: str, run: str) -> int:
    with psycopg.connect(uri) as own:
        row = own.execute(
            "SELECT count(*) FROM knowledge.used WHERE case_id LIKE %s", (f"{run}/%",)
        ).fetchone()
    assert row is not None
    return int(row[0])


def _metrics(fleet: Fleet) -> bytes:
    with urlopen(f"{fleet.urls()['librarian']}/metrics", timeout=WAIT_S) as answer:
        found: bytes = answer.read()
    return found
