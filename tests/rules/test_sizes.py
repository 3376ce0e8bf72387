"""Files stay within 400 lines and functions within 70, so that one case can be followed by eye."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import PurePosixPath

import pytest

from rules.house import breaches, sample, sources

FILE_LINES = 400
FUNCTION_LINES = 70


def too_long(path: PurePosixPath, tree: ast.Module) -> Iterator[str]:
    """Find files and functions that are over their size."""
    last = max((node.end_lineno or 0 for node in tree.body), default=0)
    if last > FILE_LINES:
        yield f"{last}: file of {last} lines, at most {FILE_LINES}: split it by what it is about"
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or 0) - node.lineno + 1
            if lines > FUNCTION_LINES:
                yield f"{node.lineno}: {node.name} has {lines} lines, at most {FUNCTION_LINES}"


def test_files_and_functions_are_short() -> None:
    assert breaches(too_long, sources("services", "tests", "benchmarks", "docs")) == []


@pytest.mark.parametrize(
    "code",
    [
        "x = 1\n" * (FILE_LINES + 1),
        "def f():\n" + "    x = 1\n" * FUNCTION_LINES,
        "class A:\n    async def f(self):\n" + "        x = 1\n" * FUNCTION_LINES,
    ],
)
def test_a_long_one_is_caught(code: str) -> None:
    assert sample(too_long, "services/vigimesh/loop/run.py", code)


def test_the_limit_itself_is_allowed() -> None:
    code = "def f():\n" + "    x = 1\n" * (FUNCTION_LINES - 1)
    assert sample(too_long, "services/vigimesh/loop/run.py", code) == []
