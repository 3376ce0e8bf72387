"""Keeps one worker process per stage and lane: starts it, starts it again when it dies, drains it at the end.

A thread of its own starts and watches the processes. On Linux the kernel kills them when that thread, and so this process,
is gone, however it went; what they had in hand was in an open transaction, which the next one aborts.
"""

from __future__ import annotations

import http.client
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from vigimesh.app.config.settings import Settings, to_environ
from vigimesh.app.devstack.slot import last_cause
from vigimesh.app.devstack.spawn import tie_to_parent
from vigimesh.app.exits import MISCONFIGURED
from vigimesh.app.in_force.large_model import has_large_model
from vigimesh.app.mesh.forkserver import Forked, ForkServer, inherited
from vigimesh.clock import Clock, Deadline, SystemClock
from vigimesh.errors import Broken, Misconfigured, Transient
from vigimesh.events.topics import LANE_STAGES, LANES, STAGES

#: What a mesh that stays runs beside its stages. A run that ends with its cases does without.
BESIDE = ("controller", "resumer", "librarian")

#: What runs beside them where a large model is configured.
PAYING = ("batcher",)

#: Seconds between two looks at the processes: a dead worker stops readers for seconds anyway, until its transaction has timed out.
LOOK_S = 0.1

#: Where the workers of a fleet serve their health endpoints, whatever the settings say of workers elsewhere.
LOOPBACK = "127.0.0.1"

#: Seconds for one answer of a worker's health endpoint, which does no work.
PROBE_S = 2.0

#: Deaths in a row (some 8 s of pauses) of a worker that is waited for, after which its cause is told instead.
DEATHS_UNREADY_MAX = 5

#: Seconds for a killed process to be gone; only the kernel can be slower.
GONE_S = 5.0

#: Bytes of a worker's log above which it becomes `NAME.log.1` at the next start, in the place of the one before: two
#: files a process, enough to read back a day of warnings.
LOG_MAX_BYTES = 10_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How quickly a worker is started again, and how long it may take to stop. All in seconds."""

    first_s: float = 0.5
    most_s: float = 30.0
    #: A worker that ran this long begins anew with the first pause.
    steady_s: float = 60.0
    drain_s: float = 20.0

    def pause_s(self, deaths: int) -> float:
        """Return the pause after so many deaths in a row: doubled at each, up to the most."""
        return min(self.most_s, self.first_s * 2.0 ** min(deaths - 1, 30))


@dataclass(frozen=True, slots=True, kw_only=True)
class Restart:
    """A worker died and is started again after `pause_s` seconds. `status` is negative for a signal (-9)."""

    stage: str
    status: int
    deaths: int
    pause_s: float
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What a fleet runs in one seat. `port_file` is where it says on which port its health endpoints answer.

    `command` is what `argv` gives to `vigimesh`, so that a fork server can run it; empty when it is another program.
    """

    argv: tuple[str, ...]
    command: tuple[str, ...] = ()
    environment: Mapping[str, str]
    log: Path
    port_file: Path


def beside(settings: Settings) -> tuple[str, ...]:
    """Return what a mesh that stays runs beside its stages."""
    return (*BESIDE, *PAYING) if has_large_model(settings.large_model) else BESIDE


def seats(stages: Sequence[str] = STAGES) -> dict[str, tuple[str, ...]]:
    """Return what a fleet runs, by name: a process per lane of a stage with lanes, one of each other.

    The name is that of the consumer group without prefix, the value the command: `planner.hot` is
    `("worker", "planner", "--lane", "hot")`. What is no stage (`controller`) has its own command.
    """
    made: dict[str, tuple[str, ...]] = {}
    for stage in stages:
        if stage in LANE_STAGES:
            made |= {f"{stage}.{lane}": ("worker", stage, "--lane", lane) for lane in LANES}
        else:
            made[stage] = ("worker", stage) if stage in STAGES else (stage,)
    return made


def worker_programs(settings: Settings, data_dir: Path, stages: Sequence[str] = STAGES) -> dict[str, Program]:
    """Return the programs of a fleet by the name of their seat, with log and port file below `data_dir`.

    The instance is the name with the ordinal of `settings.worker.instance`, `0` when that is not set: `b` makes
    `planner.hot.b`.
    """
    ordinal = settings.worker.instance or "0"
    made = {}
    for name, command in seats(stages).items():
        port_file = data_dir / "mesh" / f"{name}.port"
        made[name] = Program(
            argv=(sys.executable, "-P", "-m", "vigimesh", *command),
            command=command,
            environment={
                **inherited(),
                **to_environ(settings),
                "VIGIMESH_INSTANCE": f"{name}.{ordinal}",
                "VIGIMESH_HEALTH_HOST": LOOPBACK,
                "VIGIMESH_HEALTH_PORT": "0",
                "VIGIMESH_PORT_FILE": str(port_file),
            },
            log=data_dir / "logs" / f"{name}.log",
            port_file=port_file,
        )
    return made


@dataclass(slots=True, kw_only=True)
class _Berth:
    """The changing state of one stage's process. Touched by the watcher's thread; others only read."""

    program: Program
    process: subprocess.Popen[bytes] | Forked | None = None
    born_s: float = 0.0
    deaths: int = 0
    last_status: int = 0
    not_before_s: float = field(default=float("-inf"))
    #: Where in its log this process began: what an earlier one said is not why it ended.
    log_begun_at: int = 0

    @property
    def cause(self) -> str:
        """Why it ended, by its log."""
        return last_cause(self.program.log, self.log_begun_at)

    @property
    def pid(self) -> int:
        """The process number; 0 while there is none."""
        process = self.process
        return process.pid if process is not None else 0


class Fleet:
    """The workers of one mesh: `with Fleet(worker_programs(settings, data_dir)) as fleet: fleet.wait_ready(...)`."""

    def __init__(
        self,
        programs: Mapping[str, Program],
        *,
        on_restart: Callable[[Restart], None] = lambda _: None,
        pace: Pace | None = None,
        clock: Clock | None = None,
        server: ForkServer | None = None,
    ) -> None:
        """Nothing is started yet. `on_restart` is called by the watcher's thread and must not wait.

        `server` makes the processes of those that it can; it is closed by who made it, after the fleet has stopped.
        """
        self._berths = {stage: _Berth(program=program) for stage, program in programs.items()}
        self._on_restart = on_restart
        self._pace = pace or Pace()
        self._clock = clock or SystemClock()
        self._server = server
        self._stop = threading.Event()
        self._started = threading.Event()
        self._failure: BaseException | None = None
        # A daemon: a second Ctrl-C while it drains ends this process at once, and the kernel the workers with it.
        self._watcher = threading.Thread(target=self._watch, name="fleet", daemon=True)
        self._restarts = 0

    @property
    def restarts(self) -> int:
        """How many times a worker was started again."""
        return self._restarts

    def pids(self) -> dict[str, int]:
        """Return the process number of each stage whose process runs now."""
        return {stage: berth.pid for stage, berth in self._berths.items() if berth.pid}

    def urls(self) -> dict[str, str]:
        """Return where each worker's `/livez`, `/readyz` and `/metrics` answer; a worker not yet listening is left out."""
        ports = {stage: _port(berth.program.port_file) for stage, berth in self._berths.items()}
        return {stage: f"http://{LOOPBACK}:{port}" for stage, port in ports.items() if port}

    def start(self) -> None:
        """Start every worker and return when all processes exist. Raises `OSError` when one cannot be made."""
        self._watcher.start()
        self._started.wait()
        if self._failure is not None:
            self.stop()
            raise self._failure

    def wait_ready(self, deadline: Deadline) -> None:
        """Return when every worker says that it is ready.

        Raises VM-1707 with the last line of the worker's log: `Misconfigured` as soon as one ends for its settings,
        `Broken` after `DEATHS_UNREADY_MAX` ends in a row or when the fleet is stopped meanwhile, `Transient` at the
        deadline.
        """
        waiting = list(self._berths)
        while waiting:
            for stage in waiting:
                self._refuse_hopeless(stage)
            waiting = [stage for stage in waiting if not self.ready(stage)]
            if not waiting:
                return
            if deadline.passed():
                raise Transient(**self._not_ready(waiting[0], "did not become ready in time"))
            if self._stop.wait(LOOK_S):
                self.check()
                raise Broken(**self._not_ready(waiting[0], "was stopped before it was ready"))

    def ready(self, stage: str) -> bool:
        """Return whether the worker of a stage runs and answers `/readyz` with yes."""
        berth = self._berths[stage]
        port = _port(berth.program.port_file)
        return bool(berth.pid and port and _says_ready(port))

    def check(self) -> None:
        """Raise what ended the watcher, if anything did: its workers are gone then."""
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Drain every worker, kill what is left at the deadline, return when all are gone; a second call does nothing."""
        self._stop.set()
        if self._watcher.ident is not None:
            self._watcher.join()

    def __enter__(self) -> Fleet:
        """Start the fleet."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop the fleet."""
        self.stop()

    def _watch(self) -> None:
        try:
            for berth in self._berths.values():
                self._launch(berth)
            self._started.set()
            while not self._stop.wait(LOOK_S):
                for stage, berth in self._berths.items():
                    self._look(stage, berth)
        except BaseException as error:  # noqa: BLE001  told to whoever waits in `start`
            self._failure = error
        finally:
            self._stop.set()
            self._drain()
            self._started.set()

    def _look(self, stage: str, berth: _Berth) -> None:
        """Notice a death, and start again what has waited long enough."""
        now_s = self._clock.monotonic_s()
        if berth.process is None:
            if now_s >= berth.not_before_s:
                self._restarts += 1
                # The system may be short of something for a moment: the next pause is as long as the last.
                try:
                    self._launch(berth)
                except OSError:
                    berth.not_before_s = now_s + self._pace.pause_s(berth.deaths)
            return
        status = berth.process.poll()
        if status is None:
            return
        berth.process, berth.last_status = None, status
        berth.deaths = 1 if now_s - berth.born_s >= self._pace.steady_s else berth.deaths + 1
        pause_s = self._pace.pause_s(berth.deaths)
        berth.not_before_s = now_s + pause_s
        self._on_restart(
            Restart(stage=stage, status=status, deaths=berth.deaths, pause_s=pause_s, cause=berth.cause)
        )

    def _launch(self, berth: _Berth) -> None:
        program = berth.program
        for folder in (program.log.parent, program.port_file.parent):
            folder.mkdir(parents=True, exist_ok=True)
        program.port_file.unlink(missing_ok=True)
        _rotate(program.log)
        with program.log.open("ab") as output:
            berth.log_begun_at = output.tell()
            berth.process = self._forked(program, output.fileno()) or subprocess.Popen(
                program.argv,
                env=dict(program.environment),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # A Ctrl-C in the terminal reaches the foreground group only: who drains, and when, is decided here.
                process_group=0,
                # Two system calls, nothing that could wait for a lock of another thread.
                preexec_fn=tie_to_parent(signal.SIGKILL),  # noqa: PLW1509
            )
        berth.born_s = self._clock.monotonic_s()

    def _forked(self, program: Program, output: int) -> Forked | None:
        if self._server is None or not program.command:
            return None
        return self._server.launch(program.command, program.environment, output)

    def _drain(self) -> None:
        """Ask all at once, wait for all together, then by force. Real time: a process ends by the machine's clock."""
        deadline = Deadline.after(SystemClock(), self._pace.drain_s)
        running = [berth.process for berth in self._berths.values() if berth.process is not None]
        for process in running:
            process.terminate()
        for process in running:
            with suppress(subprocess.TimeoutExpired):
                process.wait(deadline.left_s())
        for process in running:
            if process.poll() is None:
                process.kill()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(GONE_S)
        for berth in self._berths.values():
            berth.process = None
            berth.program.port_file.unlink(missing_ok=True)

    def _refuse_hopeless(self, stage: str) -> None:
        """Raise when starting a worker again does not help: it ended for its settings, or too often."""
        berth = self._berths[stage]
        if berth.deaths >= DEATHS_UNREADY_MAX:
            raise Broken(**self._not_ready(stage, "ends again and again"))
        if berth.last_status == MISCONFIGURED:
            raise Misconfigured(**self._not_ready(stage, "ended for its settings"))

    def _not_ready(self, stage: str, how: str) -> dict[str, str]:
        berth = self._berths[stage]
        return {
            "code": "VM-1707",
            "what": f"worker {stage} {how} (died {berth.deaths} times): {berth.cause}",
            "where": str(berth.program.log),
            "todo": "correct what the end of that log says, and start again",
        }


def _rotate(log: Path) -> None:
    """Begin a new log when the old one is large; the older one goes."""
    with suppress(FileNotFoundError):
        if log.stat().st_size > LOG_MAX_BYTES:
            log.replace(log.with_name(f"{log.name}.1"))


def _port(port_file: Path) -> int:
    """Return the port a worker wrote, 0 while there is none."""
    try:
        return int(port_file.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0


def _says_ready(port: int) -> bool:
    """Ask `/readyz` once."""
    asked = http.client.HTTPConnection(LOOPBACK, port, timeout=PROBE_S)
    try:
        asked.request("GET", "/readyz")
        return asked.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        asked.close()
