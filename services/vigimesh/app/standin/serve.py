"""`vigimesh standin`: serve a stand-in for a large model on loopback until SIGTERM or Ctrl-C."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

from vigimesh.app.standin.chat import MODEL, StandIn
from vigimesh.app.standin.gold import Gold, read_gold
from vigimesh.app.standin.profile import Profile
from vigimesh.app.standin.server import Server


def serve_standin(profile: Profile, port: int, oracle: Path | None = None) -> None:
    """Serve, and say on standard output where, so that a script can read it.

    Raises `Misconfigured`: VM-2106 for a port that is taken, VM-2404 for an oracle file that is none.
    """
    gold = Gold()
    if oracle is not None:
        with oracle.open("rb") as lines:
            gold = read_gold(lines, str(oracle))
    asyncio.run(_serve(StandIn(profile, gold), port))


async def _serve(standin: StandIn, port: int) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with Server(standin, port) as server:
        print(
            f"{MODEL} is a stand-in, not a model; use it with\n"
            f"export VIGIMESH_LARGE_MODEL__BASE_URL={server.base_url} VIGIMESH_LARGE_MODEL__NAME={MODEL}",
            flush=True,
        )
        await stop.wait()
