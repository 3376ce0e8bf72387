"""The ledger from Kafka to PostgreSQL: killed at each side of its transaction, everything is booked once."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from datetime import date

import psycopg
import pytest

from libraries import fresh_database
from served import cached, measured
from vigimesh.adapters.kafka.history import committed_offsets
from vigimesh.adapters.kafka.measurements import KafkaMeasurements
from vigimesh.adapters.memory.telemetry import NoTelemetry
from vigimesh.adapters.postgres.ledger import PgLedger
from vigimesh.adapters.postgres.schema import migrate
from vigimesh.background.librarian.ledger import TELEMETRY, Booking
from vigimesh.domain.knowledge.ledger import Booked, figures
from vigimesh.domain.knowledge.products import shipped_products
from vigimesh.events.topics import topic
from vigimesh.loop.broker import Write
from worlds import KafkaWorld, world_of

#: Measurements of the test; three passages each.
COUNT = 40
PASSAGES = ("vaccine/dtp@1.0#10-60", "vaccine/dtp@1.0#70-90", "guidance/label-change@1.0#0-5")

world = pytest.fixture(params=[pytest.param("kafka", marks=pytest.mark.real)])(world_of)


class Killed(Exception):
    """The process ended here."""


class Dying(PgLedger):
    """Dies before its transaction, or after it."""

    late = False

    def book(self, booked: Booked) -> None:
        """Book, or not, and die."""
        if self.late:
            super().book(booked)
        raise Killed


@pytest.fixture
def uri(request: pytest.FixtureRequest) -> Iterator[str]:
    with fresh_database(request.getfixturevalue("stack").urls.postgres, "ledger_kafka") as made:
        migrate(made)
        yield made


def test_everything_is_booked_once_whatever_is_killed(world: KafkaWorld, uri: str) -> None:
    run = uuid.uuid4().hex
    for at in range(COUNT):
        one = cached("warm") if at % 4 == 0 else measured(missed="absent")
        told = measured(
            case_id=f"{run}/{at}", question_key=f"q{at}", passages=PASSAGES, cache_level=one.cache_level, match=one.match,
            missed=one.missed, read_at=one.read_at,
        )  # fmt: skip
        world.append(Write(TELEMETRY, told.question_key.encode(), world.codec.encode(TELEMETRY, told)))
    world.append(Write(TELEMETRY, b"none of ours", b"none of ours"))
    measurements, ledger, dying = KafkaMeasurements(world.base, world.codec), PgLedger(uri), Dying(uri)

    def booking(held: PgLedger) -> Booking:
        return Booking(
            measurements=measurements, ledger=held, products=shipped_products(), telemetry=NoTelemetry()
        )

    for late in (False, True):
        dying.late = late
        with pytest.raises(Killed):
            asyncio.run(booking(dying).step())
    assert asyncio.run(booking(ledger).step()) == 0  # also behind the record that is none of ours
    with psycopg.connect(uri) as own:
        rows = own.execute(
            "SELECT case_id, document_id, first, count(*) FROM knowledge.used WHERE case_id LIKE %s GROUP BY 1, 2, 3",
            (f"{run}/%",),
        ).fetchall()
    assert len(rows) == COUNT * len(PASSAGES)
    assert {count for *_, count in rows} == {1}
    made = figures(ledger.counts(date(2020, 1, 1)))
    levels = made["levels"]
    assert isinstance(levels, dict)
    assert levels["warm"] == COUNT // 4
    assert levels["search"] >= COUNT - COUNT // 4
    # Whoever watches the group sees how far it is.
    places = ledger.places()
    told_of = committed_offsets(world.base)
    assert {part: told_of[topic("retrieval.telemetry"), part] for part in places} == places
    ledger.close()
    dying.close()
