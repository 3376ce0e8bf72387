"""`vigimesh dev`: stack and mesh in one go, until Ctrl-C or SIGTERM."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import NoReturn

from vigimesh.app.config.settings import Settings, names_cluster, read_settings
from vigimesh.app.devstack import Stack, default_data_dir, up
from vigimesh.app.devstack.progress import Terminal
from vigimesh.app.mesh.fleet import Fleet, Pace, Restart, beside, worker_programs
from vigimesh.app.mesh.forkserver import ForkServer
from vigimesh.app.mesh.prepare import prepare
from vigimesh.app.mesh.state import MeshState, hold_mesh, read_mesh, write_mesh
from vigimesh.clock import Deadline, SystemClock
from vigimesh.events.topics import STAGES

#: Seconds for five workers to join their groups: about 3 on an idle machine, 10 x that on a loaded one.
READY_S = 60.0

#: Seconds between two looks at the workers' addresses, which change when one is started again.
LOOK_S = 1.0


def dev_command(data_dir: Path | None) -> int:
    """Run stack and mesh until asked to stop; return the exit status.

    A mesh that runs on the folder already is shown instead. Raises what the stack, the preparation and the workers raise.
    """
    folder = (data_dir or default_data_dir()).expanduser().resolve()
    settings = read_settings(os.environ)
    if names_cluster(settings):
        _say("dev works on its own stack: the addresses set in the environment are not used")
    running = read_mesh(folder)
    with ExitStack() as held:
        held.enter_context(_every_signal_interrupts())
        # Before the stack, so that it imports while that starts.
        server = held.enter_context(ForkServer()) if running is None else None
        stack = held.enter_context(up(folder, attached=True, progress=Terminal()))
        if running is not None:
            _show(stack, running)
            _say(f"found the mesh that process {running.pid} keeps; stop it there with Ctrl-C")
            return 0
        with hold_mesh(folder):
            _run(stack, Settings.for_stack(stack.urls, settings), folder, server)
    return 0


def _run(stack: Stack, settings: Settings, folder: Path, server: ForkServer | None) -> None:
    """Make the mesh ready, run its workers, and watch until interrupted, which ends it well only once all is up."""
    _say("mesh: topics, schemas, tables, documents")
    made = prepare(settings)
    cards = made.cards
    for line in made.warnings:
        _say(line)
    pace = Pace(drain_s=settings.worker.drain_s)
    programs = worker_programs(settings, folder, (*STAGES, *beside(settings)))
    with Fleet(programs, on_restart=_tell_restart, pace=pace, server=server) as fleet:
        _say("mesh: workers are starting")
        fleet.wait_ready(Deadline.after(SystemClock(), READY_S))
        _show(stack, MeshState(pid=os.getpid(), urls=fleet.urls(), cards=cards))
        _say(
            f"next: vigimesh run --stack {folder} --from FILE (another terminal)\n"
            f"then: vigimesh case list --data {folder}; Ctrl-C here stops everything"
        )
        try:
            _watch(fleet, folder, cards)
        except KeyboardInterrupt:
            _say("mesh: workers finish what they have in hand")


def _watch(fleet: Fleet, folder: Path, cards: str) -> NoReturn:
    """Keep the file that others find the mesh by up to date; ends by an interrupt or what ended the fleet."""
    shown: dict[str, str] = {}
    never = threading.Event()
    while True:
        fleet.check()
        if (urls := fleet.urls()) != shown:
            shown = urls
            write_mesh(folder, shown, cards)
        never.wait(LOOK_S)


@contextmanager
def _every_signal_interrupts() -> Iterator[None]:
    """Let SIGTERM and SIGHUP do what Ctrl-C does."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        del number, frame
        raise KeyboardInterrupt

    # A hang-up that is ignored (`nohup`) stays so.
    heard = [n for n in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(n) is not signal.SIG_IGN]
    before = {number: signal.signal(number, interrupt) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _tell_restart(restart: Restart) -> None:
    _say(
        f"worker {restart.stage} ended with status {restart.status}; starting it again in {restart.pause_s:g} s: "
        f"{restart.cause}"
    )


def _show(stack: Stack, mesh: MeshState) -> None:
    """Write where everything answers."""
    print(f"stack and mesh on {stack.data_dir}")
    width = max(map(len, (*asdict(stack.urls), *mesh.urls, "cards")))
    for name, url in asdict(stack.urls).items():
        print(f"  {name:{width}} {url}")
    for stage, url in mesh.urls.items():
        print(f"  {stage:{width}} {url}/readyz  {url}/metrics")
    print(f"  {'cards':{width}} {mesh.cards}")
    sys.stdout.flush()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
