"""The verb of a stage is pure: what it needs it asks for as a value, so that a replay needs no I/O."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import PurePosixPath

import pytest

from rules.house import breaches, imported_names, sample, sources

VERBS = {
    "intake": "accept",
    "router": "route",
    "planner": "plan",
    "retriever": "retrieve",
    "tool_executor": "execute",
    "supervisor": "supervise",
}
IMPURE = {
    "asyncio",
    "concurrent",
    "io",
    "logging",
    "multiprocessing",
    "os",
    "pathlib",
    "random",
    "secrets",
    "subprocess",
    "tempfile",
    "threading",
    "time",
}


def impure_verb(path: PurePosixPath, tree: ast.Module) -> Iterator[str]:
    """Find I/O, concurrency, chance or time in a verb file, or a verb that waits."""
    if path.suffix != ".py" or VERBS.get(path.parent.name) != path.stem:
        return
    for name, full in imported_names(tree).items():
        if full.split(".")[0] in IMPURE:
            yield f"1: {name} ({full}) in a verb: ask for it as a Need"
    for node in ast.walk(tree):
        if isinstance(node, ast.AsyncFunctionDef | ast.Await):
            yield f"{node.lineno}: a verb does not wait: ask for it as a Need"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "open":
            yield f"{node.lineno}: a verb opens no file: ask for it as a Need"


def test_verbs_are_pure() -> None:
    assert breaches(impure_verb, sources("services")) == []


@pytest.mark.parametrize(
    "code",
    ["import time", "from random import choice", "async def decide(case, answers): ...", "f = open('x')"],
)
def test_an_impure_verb_is_caught(code: str) -> None:
    assert sample(impure_verb, "services/vigimesh/router/route.py", code)
    assert sample(impure_verb, "services/vigimesh/router/worker.py", code) == []
