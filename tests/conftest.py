"""What all tests share: where real input lies, who may open a socket, which tests need the stack."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest
import pytest_socket

ROOT = Path(__file__).resolve().parent.parent

#: Fixtures whose use makes a test `real`.
STACK_FIXTURES = {"stack", "stack_urls"}

pytest_plugins = ["stack_fixture"] if importlib.util.find_spec("stack_fixture") else []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark every test `real` that asks for the stack, so that none is forgotten by `make check-fast`."""
    for item in items:
        if STACK_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.real)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Refuse sockets to unit tests and house rules; `enable_socket` is for those that serve on loopback."""
    room = item.path.relative_to(ROOT / "tests").parts[0]
    if room in {"unit", "rules"} and item.get_closest_marker("enable_socket") is None:
        pytest_socket.disable_socket(allow_unix_socket=True)


def pytest_runtest_teardown() -> None:
    """Give sockets back to the tests that follow."""
    pytest_socket.enable_socket()


@pytest.fixture(scope="session")
def in_ci() -> bool:
    """Tell whether a missing service is a failure (CI) or a reason to skip, saying so (a laptop)."""
    return os.environ.get("CI", "").lower() in {"1", "true", "yes"}


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Name the folder of real input beside the checkout; skip where there is none."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip("no real input: the folder ../shared/data is not there")
    return folder
