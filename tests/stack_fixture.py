"""One embedded stack for the whole test session, attached to it, in a temporary folder; loaded by conftest as a plugin."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from vigimesh.adapters.kafka.cluster import topics
from vigimesh.adapters.kafka.registry import RegistrySchemas
from vigimesh.app.devstack import Stack, StackUrls, Wishes, up
from vigimesh.clock import Deadline, SystemClock


@contextmanager
def new_stack() -> Iterator[Stack]:
    """Start a stack in a folder of its own and end it again, whatever ends the tests that use it."""
    # Not pytest's tmp_path: its name is too long for a Unix socket, and root's is closed to PostgreSQL's user.
    folder = Path(tempfile.mkdtemp(prefix="vigimesh-test-"))
    try:
        with up(folder, attached=True, wishes=Wishes(thrown_away=True)) as running:
            yield running
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """Start the stack at its first use and end it with the session."""
    with new_stack() as running:
        yield running


@pytest.fixture(scope="session")
def stack_urls(stack: Stack) -> StackUrls:
    """Name where the parts of the session's stack answer."""
    return stack.urls


def applied(stack: Stack) -> Stack:
    """Give a stack all topics, consumer groups and schemas, and return it."""
    clock = SystemClock()
    topics.apply({"bootstrap.servers": stack.urls.kafka}, topics.Shape(), Deadline.after(clock, 30))
    RegistrySchemas({"url": stack.urls.registry}).register_all()
    return stack


@pytest.fixture(scope="session")
def applied_stack(stack: Stack) -> Stack:
    """Give the session's stack all topics, consumer groups and schemas."""
    return applied(stack)
