"""One service under the keeper's care: prepared, started, asked, watched, started again when it dies, stopped."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from vigimesh.app.devstack.service import Service
from vigimesh.app.devstack.spawn import spawn
from vigimesh.errors import Broken

#: Restarts of a service that never answered: what stops it once will stop it again, unless an old one was still ending.
RESTARTS_UNREADY_MAX = 2

#: Restarts of a service that has answered before the keeper gives up; a service that was up for `STEADY_S` begins anew.
RESTARTS_MAX = 5
STEADY_S = 60.0

#: Seconds before the first restart; each further one waits twice as long, at most `BACKOFF_MAX_S`.
BACKOFF_FIRST_S = 0.2
BACKOFF_MAX_S = 5.0

#: Seconds for all services to stop in their own way before they are killed. Kafka, the slowest, takes under 2 s.
STOP_DEADLINE_S = 10.0

#: Seconds for a killed process to be gone; only the kernel can be slower.
KILLED_S = 5.0

#: Bytes at the end of a log in which the cause of an end is looked for, and characters of it that are shown.
TAIL_BYTES = 4_000
CAUSE_MAX_CHARS = 300


class Slot:
    """The changing state of one service; `advance` moves it on and never waits longer than one question to the server."""

    def __init__(self, service: Service) -> None:
        """Nothing is started yet."""
        self.service = service
        self.ready = False
        self.ready_after_s = 0.0
        self._process: subprocess.Popen[bytes] | None = None
        #: What is to be done with the process while it is not the server yet, but its preparation or repair.
        self._before: Callable[[int | None], None] | None = None
        self._began_s = time.monotonic()
        self._not_before_s = 0.0
        self._restarts = 0

    @property
    def pid(self) -> int:
        """Return the process number, 0 when there is none."""
        return self._process.pid if self._process is not None else 0

    def advance(self) -> bool:
        """Do the next thing; return whether the service has just become ready.

        Raises `Broken` (VM-1209) when its preparation fails or it ends too often.
        """
        if self._process is None:
            if time.monotonic() >= self._not_before_s:
                self._start()
            return False
        status = self._process.poll()
        if self._before is not None:
            self._before(status)
            return False
        if status is not None:
            self._ended(status)
            return False
        if self.ready or not self.service.answers():
            return False
        self.ready = True
        self.ready_after_s = time.monotonic() - self._began_s
        return True

    def _start(self, *, repaired: bool = False) -> None:
        """Start the preparation if the data folder is new, a repair if it needs one, else the server."""
        service = self.service
        service.tidy()
        self._began_s = self._began_s if not self._restarts else time.monotonic()
        if service.prepare is not None and service.prepared is not None and not service.prepared.exists():
            service.clear()
            self._before = self._prepare
            self._process = spawn(service.prepare, service.log, signal.SIGKILL)
        elif service.repair is not None and not repaired and service.damaged():
            self._before = self._repair
            self._process = spawn(service.repair, service.log, signal.SIGKILL)
        else:
            self._before = None
            self._process = spawn(service.command, service.log, service.orphan_signal)

    def _prepare(self, status: int | None) -> None:
        """Remember a preparation that succeeded and start the server; a failed one ends the start."""
        if status is None:
            return
        if status != 0:
            raise self._broken(f"{self.service.name} could not be prepared: it ended with status {status}")
        if self.service.prepared is not None:
            self.service.prepared.touch()
        self._process = None
        self._start()

    def _repair(self, status: int | None) -> None:
        """End a repair that is done, and then start the server; one that ends by itself ends the start."""
        if not self.service.repaired():
            if status is not None:
                raise self._broken(
                    f"{self.service.name} could not be repaired: it ended with status {status}"
                )
        elif status is None:
            self.signal(signal.SIGTERM)
        else:
            self._process = None
            self._start(repaired=True)

    def _ended(self, status: int) -> None:
        """Note the end of the server and when it may start again."""
        steady = self.ready and time.monotonic() - self._began_s >= STEADY_S
        self._restarts = 1 if steady else self._restarts + 1
        if self._restarts > (RESTARTS_MAX if self.ready_after_s else RESTARTS_UNREADY_MAX):
            raise self._broken(f"{self.service.name} ended {self._restarts} times, last with status {status}")
        pause = min(BACKOFF_MAX_S, BACKOFF_FIRST_S * 2 ** (self._restarts - 1))
        print(
            f"{self.service.name} ended with status {status}; starting it again in {pause:.1f} s",
            flush=True,
            file=sys.stderr,
        )
        self._process = None
        self.ready = False
        self._not_before_s = time.monotonic() + pause

    def _broken(self, what: str) -> Broken:
        """Return the error with the last telling line of the server's log."""
        return Broken(
            "VM-1209",
            what=f"{what}: {last_cause(self.service.log)}",
            where=str(self.service.log),
            todo="correct what the log says and start again; `--data` with a new folder starts from nothing",
        )

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the process, if it runs."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)

    def ask_to_stop(self) -> None:
        """Ask the server to stop in its own way; one that does not answer yet has nothing that is worth waiting for."""
        if self._before is not None:
            self.signal(signal.SIGKILL)
        else:
            self.signal(self.service.stop_signal if self.ready else self.service.orphan_signal)

    def gone_within(self, seconds: float) -> bool:
        """Wait for the process to end; return whether it did."""
        if self._process is None:
            return True
        try:
            self._process.wait(timeout=max(0.0, seconds))
        except subprocess.TimeoutExpired:
            return False
        return True


def stop_all(slots: Sequence[Slot], *, by_force: bool = False) -> None:
    """Stop every service, all at once: in its own way until the deadline, then by force; or by force from the start."""
    deadline = time.monotonic() + STOP_DEADLINE_S
    for slot in slots:
        if by_force:
            slot.signal(slot.service.orphan_signal)
        else:
            slot.ask_to_stop()
    late = [slot for slot in slots if not slot.gone_within(deadline - time.monotonic())]
    for slot in late:
        print(
            f"{slot.service.name} did not stop within {STOP_DEADLINE_S:.0f} s and was killed",
            flush=True,
            file=sys.stderr,
        )
        # PostgreSQL's children end with its immediate shutdown only.
        slot.signal(slot.service.orphan_signal)
    for slot in late:
        if not slot.gone_within(KILLED_S):
            slot.signal(signal.SIGKILL)
            slot.gone_within(KILLED_S)


#: What a line holds that speaks of an error.
_TELLING = ("VM-", "Exception", "ERROR", "FATAL", "rror:")


def last_cause(log: Path, begun_at: int = 0) -> str:
    """Return the last line of a log that speaks of an error, else its last line; of what stands there from a byte on.

    An error of ours comes after what a client wrote about it, which names one cause where several may be.
    """
    try:
        with log.open("rb") as source:
            source.seek(max(begun_at, log.stat().st_size - TAIL_BYTES))
            lines = [
                line.strip() for line in source.read().decode(errors="replace").splitlines() if line.strip()
            ]
    except OSError:
        return "no log was written"
    telling = [line for line in lines if any(word in line for word in _TELLING)]
    return (telling or lines or ["nothing was written to its log"])[-1][:CAUSE_MAX_CHARS]
