"""What a command brings in stands on the topics at once, and once for each change; without a broker the librarian tells it later."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from libraries import fresh_database, note
from vigimesh.adapters.kafka.client import common
from vigimesh.adapters.kafka.history import scan
from vigimesh.adapters.kafka.registry import RegistrySchemas
from vigimesh.adapters.postgres.library import PgLibrary
from vigimesh.adapters.postgres.schema import migrate
from vigimesh.app.config.settings import KafkaSettings, Settings
from vigimesh.app.operators.documents import tell_all
from vigimesh.events.codec import Codec
from vigimesh.events.topics import topic

pytestmark = pytest.mark.real
DOCUMENT = "product/announced"


@pytest.fixture
def library(applied_stack: Any) -> Iterator[PgLibrary]:
    with fresh_database(applied_stack.urls.postgres, "announcing") as uri:
        migrate(uri)
        opened = PgLibrary(uri)
        yield opened
        opened.close()


def told(urls: Any, name: str) -> list[Any]:
    """Return the events about the document that stand on a topic."""
    codec = Codec(RegistrySchemas({"url": urls.registry}))
    rows = scan(common(urls.kafka, {}), [topic(name)])
    return [codec.decode(topic(name), row.value) for row in rows if row.key == DOCUMENT and row.value]


def test_a_change_stands_on_the_topics_with_its_record(applied_stack: Any, library: PgLibrary) -> None:
    urls = applied_stack.urls
    settings = Settings.for_stack(urls)
    for version in ("1.0", "2.0"):
        library.ingest([note(version, name=DOCUMENT)], by="Ada")
    library.withdraw(DOCUMENT, by="Eve", reason="of another product")
    wanted = list(library.unannounced(9))
    nowhere = replace(settings, kafka=KafkaSettings())
    assert tell_all(nowhere, library) == (0, "no Kafka is configured")
    assert list(library.unannounced(9)) == wanted
    assert tell_all(settings, library) == (3, "")
    assert tell_all(settings, library) == (0, "")
    assert told(urls, "knowledge.changed") == wanted
    assert [(a.actor, a.action, a.earlier) for a in told(urls, "audit")] == [
        ("Ada", "ingested", ""),
        ("Ada", "ingested", f"{DOCUMENT}@1.0"),
        ("Eve", "withdrawn", f"{DOCUMENT}@2.0"),
    ]
