"""What the admin client of the pinned version must not be asked: its question may end the process (docs/decisions, 0077)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import PurePosixPath

from rules.house import breaches, sample, sources


def crashing_question(path: PurePosixPath, tree: ast.Module) -> Iterator[str]:
    """Find calls of `list_offsets`: a time-out that passes within the call frees what the caller still holds."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr == "list_offsets":
            yield f"{node.lineno}: list_offsets: ask a consumer, adapters.kafka.offsets_at"


def test_nobody_asks_an_admin_client_for_offsets() -> None:
    assert breaches(crashing_question, sources("services", "benchmarks", "tests", "docs")) == []


def test_the_rule_finds_the_question() -> None:
    found = sample(crashing_question, "services/vigimesh/adapters/x.py", "admin.list_offsets(parts)")
    assert len(found) == 1
