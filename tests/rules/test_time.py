"""Time comes in as an argument, and tests wait on conditions."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import PurePosixPath

import pytest

from rules.house import breaches, sample, sources, uses

CLOCK_READS = {
    "datetime.datetime.now",
    "datetime.datetime.utcnow",
    "datetime.datetime.today",
    "datetime.date.today",
    "time.time",
    "time.time_ns",
    "time.monotonic",
    "time.monotonic_ns",
    "time.gmtime",
    "time.localtime",
}
CLOCK_OWNERS = ("services/vigimesh/clock.py", "services/vigimesh/app/", "services/vigimesh/adapters/")
SLEEPS = {"time.sleep", "asyncio.sleep"}
#: The one place of the tests that pauses, between two looks at a condition.
PAUSES = "tests/waiting.py"


def clock_read(path: PurePosixPath, tree: ast.Module) -> Iterator[str]:
    """Find reads of the machine's clock outside the edge: they would make a replay differ."""
    if str(path).startswith(CLOCK_OWNERS):
        return
    for line, name, _ in uses(tree):
        if name in CLOCK_READS:
            yield f"{line}: {name} outside clock.py, app and adapters: take the time as an argument"


def sleep_as_wait(path: PurePosixPath, tree: ast.Module) -> Iterator[str]:
    """Find tests that sleep; `asyncio.sleep(0)` only lets others run and is fine."""
    if str(path) == PAUSES:
        return
    yields = {
        id(node.func)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and node.args
        and isinstance(node.args[0], ast.Constant)
        and node.args[0].value == 0
    }
    for line, name, node in uses(tree):
        if name in SLEEPS and id(node) not in yields:
            yield f"{line}: {name} in a test: wait on a condition with a deadline (tests/waiting.py)"


def test_only_the_edge_reads_the_clock() -> None:
    assert breaches(clock_read, sources("services")) == []


def test_no_test_sleeps() -> None:
    assert breaches(sleep_as_wait, sources("tests")) == []


@pytest.mark.parametrize(
    "code",
    [
        "import time\nt = time.time()",
        "from time import monotonic as m\nt = m()",
        "import datetime as dt\nt = dt.datetime.now(dt.UTC)",
        "from datetime import date\nt = date.today()",
        "import time\nclock = time.time",
    ],
)
def test_a_clock_read_is_caught(code: str) -> None:
    assert sample(clock_read, "services/vigimesh/domain/safety/clocks.py", code)
    assert sample(clock_read, "services/vigimesh/adapters/kafka/client.py", code) == []


@pytest.mark.parametrize(
    "code",
    [
        "import time\ntime.sleep(1)",
        "from time import sleep\nsleep(0.1)",
        "import asyncio\nasync def f():\n    await asyncio.sleep(0.5)",
    ],
)
def test_a_sleep_is_caught(code: str) -> None:
    assert sample(sleep_as_wait, "tests/unit/test_x.py", code)


def test_giving_way_is_no_sleep() -> None:
    code = "import asyncio\nasync def f():\n    await asyncio.sleep(0)"
    assert sample(sleep_as_wait, "tests/unit/test_x.py", code) == []
