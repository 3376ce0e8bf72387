"""Documents for tests of the library, and a database of its own for a test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import psycopg

from vigimesh.domain.knowledge.sections import Sectioned
from vigimesh.domain.knowledge.texts import read_markdown
from vigimesh.events.knowledge import Passage
from vigimesh.ports import Search

_NOTE = """---
id: {id}
version: {version}
title: {title}
kind: reference
names: {title}
---
# {title}

## Listed reactions

Common: {listed}.
"""


def note(
    version: str = "1.0", listed: str = "Hiccups", name: str = "product/zelora", title: str = "Zelora"
) -> Sectioned:
    """Return a reference note that lists `listed`."""
    text = _NOTE.format(id=name, version=version, title=title, listed=listed)
    return read_markdown(text.encode(), f"{title}.md")


def passages(search: Search, questions: Sequence[str], limit: int) -> list[tuple[Passage, ...]]:
    """Return the passages that a search finds for each question, without which side found them."""
    return [found.passages for found in search.find(questions, limit)]


class fresh_database:  # noqa: N801  reads as a verb in `with`
    """A database of its own on the session's server, dropped at the end."""

    def __init__(self, server: str, name: str) -> None:
        self.server, self.name = server, name

    def __enter__(self) -> str:
        with psycopg.connect(self.server, autocommit=True) as own:
            own.execute(f"DROP DATABASE IF EXISTS {self.name} WITH (FORCE)")
            own.execute(f"CREATE DATABASE {self.name}")
        parts: dict[str, Any] = psycopg.conninfo.conninfo_to_dict(self.server)
        return psycopg.conninfo.make_conninfo(**{**parts, "dbname": self.name})

    def __exit__(self, *_: object) -> None:
        with psycopg.connect(self.server, autocommit=True) as own:
            own.execute(f"DROP DATABASE {self.name} WITH (FORCE)")
