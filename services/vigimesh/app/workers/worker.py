"""`vigimesh worker STAGE`: one stage in the foreground, what a container runs; and how such a process ends."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NoReturn

from vigimesh.app.config.settings import Settings, WorkerSettings
from vigimesh.app.workers.wiring import lanes_of, parts_of, worker_of
from vigimesh.clock import Deadline, SystemClock
from vigimesh.errors import Broken, VigimeshError
from vigimesh.loop.health import Health, HealthServer
from vigimesh.loop.run import run
from vigimesh.loop.telemetry import Telemetry
from vigimesh.loop.worker import Worker

#: How much a process of one lane gives way to others that want a processor (0 to 19): a step of 5 is a third of the time.
NICENESS = {"warm": 5, "cold": 10}

#: Seconds between two looks at the loops.
LOOK_S = 1.0
#: Looks in a row at a loop that does not come round, after which the process ends: one that was suspended as a whole
#: gets this long to come round again.
STUCK_LOOKS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    """One loop of this process: `work` goes on until the event is set, `health` says how it fares."""

    name: str
    work: Callable[[threading.Event], None]
    health: Health


def serve(stage: str, lane: str | None, settings: Settings) -> NoReturn:
    """Work until SIGTERM or SIGINT, then finish the batch in hand, and end the process.

    Each lane of the stage is a group of its own with a thread of its own. When one loop cannot go on, all stop and the
    process ends with 1, so that whatever keeps it starts it again. A process of one lane gives way as `NICENESS` says.
    """
    rest_collector()
    if lane in NICENESS:
        os.nice(NICENESS[lane])
    parts = parts_of(stage, settings, lanes_of(stage, lane))
    workers = [worker_of(stage, one, parts) for one in lanes_of(stage, lane)]
    loops = [Loop(name=w.group, work=partial(_work, w), health=w.health) for w in workers]
    status = serve_loops(loops, parts.telemetry, settings.worker)
    parts.close()
    leave(status)


def serve_loops(loops: Sequence[Loop], telemetry: Telemetry, settings: WorkerSettings) -> int:
    """Run loops with their health endpoints until SIGTERM, SIGINT or the end of one; return the exit code.

    It returns within `drain_s` after the signal and soon after a loop stops coming round (VM-1314), whatever hangs: then
    the caller must `leave`, for what hangs would keep the process. Only for the main thread.
    """
    stop, failures = threading.Event(), list[str]()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    healths = [loop.health for loop in loops]
    server = HealthServer(settings.health_host, settings.health_port, healths, telemetry.exposition)
    server.start()
    tell_port(settings.port_file, server.port)
    # Daemons: a client's call may ignore its time-out (librdkafka #5456), and nobody else may wait for it then.
    threads = [
        threading.Thread(target=_guard(loop, stop, failures), name=loop.name, daemon=True) for loop in loops
    ]
    for thread in threads:
        thread.start()
    failures += _watch(loops, threads, stop, settings.drain_s)
    server.stop()
    telemetry.close()
    for line in tuple(failures):
        print(line, file=sys.stderr, flush=True)
    return 1 if failures else 0


def leave(status: int) -> NoReturn:
    """End the process now. A normal end would wait for the threads of clients, and one of them may never return."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def rest_collector() -> None:
    """Let Python's cycle collector look less often: records die by reference count, and its looks cost a third.

    Measured on 3,000 cases through the five verbs and codec: 2.9 ms a case with the default thresholds, 2.1 with these.
    """
    gc.freeze()
    gc.set_threshold(300_000, 50, 1_000)


def tell_port(where: str, port: int) -> None:
    """Write the health port where the fleet looks for it, whole or not at all."""
    if where:
        path = Path(where)
        fresh = path.with_suffix(".new")
        fresh.write_text(f"{port}\n")
        fresh.replace(path)


def _work(worker: Worker, stop: threading.Event) -> None:
    asyncio.run(run(worker, stop))


def _watch(
    loops: Sequence[Loop], threads: Sequence[threading.Thread], stop: threading.Event, drain_s: float
) -> list[str]:
    """Wait for the end of all loops; return what is to be said of those that do not end."""
    looks = 0
    while not stop.wait(LOOK_S):
        stuck = [loop for loop in loops if not loop.health.alive]
        looks = looks + 1 if stuck else 0
        if looks >= STUCK_LOOKS:
            return [_hangs(loop.name, "does not come round any more") for loop in stuck]
    deadline = Deadline.after(SystemClock(), drain_s)
    for thread in threads:
        thread.join(deadline.left_s())
    return [
        _hangs(thread.name, f"did not end within {drain_s:g} s") for thread in threads if thread.is_alive()
    ]


def _hangs(name: str, how: str) -> str:
    return str(Broken("VM-1314", what=f"the loop {how}", where=name,
                      todo="the keeper starts the worker again; look at the broker"))  # fmt: skip


def _guard(loop: Loop, stop: threading.Event, failures: list[str]) -> Callable[[], None]:
    def work() -> None:
        try:
            loop.work(stop)
        except VigimeshError as error:
            failures.append(f"{loop.name}: {error}")
        except Exception as error:  # noqa: BLE001  said before the process ends; the text may hold case data, so only its type
            failures.append(f"{loop.name}: {type(error).__name__}")
        finally:
            stop.set()

    return work
