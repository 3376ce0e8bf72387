"""The shipped migrations and statements: numbered without gaps, named, free of contrib extensions."""

from __future__ import annotations

import re

import pytest

from vigimesh.adapters.postgres.schema import blocks, shipped_migrations


def test_numbers_have_no_gaps() -> None:
    steps = shipped_migrations()
    assert [step.number for step in steps] == list(range(1, len(steps) + 1))
    assert len({step.name for step in steps}) == len(steps)


def test_no_step_needs_an_extension_or_ends_its_own_transaction() -> None:
    for step in shipped_migrations():
        assert not re.search(
            r"\b(CREATE EXTENSION|COMMIT|ROLLBACK|CONCURRENTLY)\b", step.text, re.IGNORECASE
        ), step.name


@pytest.mark.parametrize("file", ["batches.sql", "calls.sql", "knowledge.sql", "migrations.sql"])
def test_each_block_is_one_statement(file: str) -> None:
    found = blocks(file)
    assert found
    for name, statement in found.items():
        assert statement, name
        assert ";" not in re.sub(r"--.*", "", statement), name
