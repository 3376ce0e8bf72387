"""What all tests share: where real input lies, who may open a socket, which tests need the stack."""

from __future__ import annotations

import gc
import importlib.util
import os
from collections.abc import Generator
from pathlib import Path

import hypothesis
import pytest
import pytest_socket

from vigimesh.errors import Misconfigured, Transient

ROOT = Path(__file__).resolve().parent.parent

#: Fixtures whose use makes a test `real`.
STACK_FIXTURES = {"stack", "stack_urls", "mesh", "budget_valkey", "tight"}

#: In CI a missing broker is a failure; on a laptop the tests that need it skip, saying so.
IN_CI = os.environ.get("CI", "").lower() in {"1", "true", "yes"}

# The same examples on every machine: a failure in CI is a failure here. No time limit for one example, because the
# machine is shared; the test's own limit holds.
hypothesis.settings.register_profile("check", derandomize=True, deadline=None, print_blob=True)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "check"))

pytest_plugins = [
    name
    for name in ("stack_fixture", "mesh_fixture", "budget_fixture", "tight_fixture")
    if importlib.util.find_spec(name)
]


#: The order of the rooms: first what fails soonest, last what hurts a whole mesh of its own.
ROOMS = ("simulation", "unit", "rules", "acceptance", "migration", "promises", "parity", "chaos")

#: What lives to the end of a run once a test has asked for it, and takes processor time at rest: the least of it first.
KEPT = ("stack", "tight", "mesh")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Leave modules and tests out of the search for garbage: collecting them makes little, and they stay to the end."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test `real` that asks for the stack, so that none is forgotten by `make check-fast`; order the rooms.

    Those that go through the session's mesh are a run of their own (.ci/tests).
    """
    for item in items:
        asked = set(getattr(item, "fixturenames", ()))
        if STACK_FIXTURES & asked:
            item.add_marker(pytest.mark.real)
        if "mesh" in asked:
            item.add_marker(pytest.mark.mesh)
    items.sort(key=_turn)


def _turn(item: pytest.Item) -> tuple[int, int, bool]:
    """Return when a test's turn is: by room; there by what it keeps running, the most last; the registry's before others.

    The registry's ask a stack that has just started.
    """
    room = item.path.relative_to(ROOT / "tests").parts[0]
    asked = getattr(item, "fixturenames", ())
    keeps = max((KEPT.index(name) + 1 for name in KEPT if name in asked), default=0)
    return ROOMS.index(room) if room in ROOMS else len(ROOMS), keeps, "registry" not in item.path.name


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, None, None]:
    """Refuse sockets to unit tests and house rules; skip a test whose stack cannot be had here, except in CI."""
    room = item.path.relative_to(ROOT / "tests").parts[0]
    # `enable_socket` marks those that serve on loopback.
    if room in {"unit", "rules"} and item.get_closest_marker("enable_socket") is None:
        pytest_socket.disable_socket(allow_unix_socket=True)
    try:
        yield
    except (Misconfigured, Transient) as missing:
        if IN_CI or item.get_closest_marker("real") is None:
            raise
        pytest.skip(f"the stack cannot be started here: {missing}")


def pytest_runtest_teardown() -> None:
    """Give sockets back to the tests that follow."""
    pytest_socket.enable_socket()


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Name the folder of real input beside the checkout; skip where there is none."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no real input: the folder ../shared/data is not there")
    return folder
