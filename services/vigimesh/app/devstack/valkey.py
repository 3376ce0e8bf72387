"""Valkey of the embedded stack: no port, a Unix socket, an append-only file."""

from __future__ import annotations

from vigimesh.app.devstack.plan import Plan
from vigimesh.app.devstack.probes import valkey_answers
from vigimesh.app.devstack.service import Command, Service

#: Memory Valkey may use before it refuses writes: budgets and caches of a development stack are far below.
MEMORY_MAX_MB = 512


def service(plan: Plan) -> Service:
    """Return how to run Valkey."""
    home = plan.data / "valkey"
    socket = plan.sockets / "valkey.sock"

    def tidy() -> None:
        home.mkdir(exist_ok=True)
        socket.unlink(missing_ok=True)

    return Service(
        name="valkey",
        command=Command(
            argv=(
                plan.valkey_server,
                "--port",
                "0",
                "--unixsocket",
                str(socket),
                "--unixsocketperm",
                "700",
                "--dir",
                str(home),
                "--appendonly",
                "yes",
                "--save",
                "",
                "--maxmemory",
                f"{MEMORY_MAX_MB}mb",
                # A reservation must never be evicted; a full store refuses instead.
                "--maxmemory-policy",
                "noeviction",
                "--daemonize",
                "no",
            ),
            folder=home,
        ),
        tidy=tidy,
        answers=lambda: valkey_answers(plan.urls().redis),
        log=plan.logs / "valkey.log",
    )
