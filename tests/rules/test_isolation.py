"""Unit tests and house rules open no socket, except a Unix one (which event loops need)."""

from __future__ import annotations

import asyncio
import socket

import pytest
import pytest_socket


def test_a_socket_is_refused() -> None:
    with pytest.raises(pytest_socket.SocketBlockedError):
        socket.socket(socket.AF_INET, socket.SOCK_STREAM)


@pytest.mark.enable_socket
def test_a_marked_test_may_serve_on_loopback() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert server.getsockname()[0] == "127.0.0.1"


def test_an_event_loop_still_runs() -> None:
    async def answer() -> int:
        await asyncio.sleep(0)
        return 42

    assert asyncio.run(answer()) == 42
