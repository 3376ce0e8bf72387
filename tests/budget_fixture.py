"""The budgets under test, and a Valkey of their own which they may flush and restart; loaded by conftest as a plugin."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest

from budgets import Rig, TwiceScripts, memory_rig, valkey_rig
from valkeys import OwnValkey, own_valkey

_NUMBERS = count()
_REAL = [pytest.param(name, marks=pytest.mark.real) for name in ("valkey", "twice")]


@pytest.fixture(scope="session")
def budget_valkey() -> Iterator[OwnValkey]:
    """Start the stack's Valkey alone at its first use and end it with the session."""
    with own_valkey() as running:
        yield running


@pytest.fixture(params=["memory", *_REAL])
def rig(request: pytest.FixtureRequest) -> Rig:
    """Give a store of its own: in memory, in Valkey, in Valkey with everything sent twice."""
    if request.param == "memory":
        return memory_rig()
    scripts = {"twice": TwiceScripts} if request.param == "twice" else {}
    return new_valkey_rig(request.getfixturevalue("budget_valkey"), *scripts.values())


def new_valkey_rig(server: OwnValkey, *scripts: type[TwiceScripts]) -> Rig:
    """Return a rig with keys of its own."""
    return valkey_rig(server, f"{{budget.{next(_NUMBERS)}}}", *scripts)
