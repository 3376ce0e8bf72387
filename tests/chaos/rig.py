"""A mesh to be hurt: an embedded stack, its real worker processes in two instances, each behind a link of its own."""

from __future__ import annotations

import http.client
import shutil
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import psutil

from chaos import wire
from chaos.disk import Disk
from chaos.faults import Fault
from chaos.proxy import Proxy
from standins import served
from vigimesh.adapters.kafka.registry import RegistrySchemas
from vigimesh.app.config.clients import registry_options
from vigimesh.app.config.model_settings import LargeModelSettings
from vigimesh.app.config.settings import DEMO_CARDS, MeshSettings, Settings
from vigimesh.app.devstack import Stack, Wishes, up
from vigimesh.app.devstack.state import read_state
from vigimesh.app.mesh.fleet import Fleet, Pace, Program, Restart, worker_programs
from vigimesh.app.mesh.prepare import prepare
from vigimesh.app.standin.chat import MODEL, StandIn
from vigimesh.app.standin.profile import Profile
from vigimesh.clock import Deadline, SystemClock
from vigimesh.events.codec import Codec
from vigimesh.events.topics import STAGES

#: Stages that run twice: those whose partitions another process takes over when one of them is stopped or killed.
TWICE = ("router", "supervisor")
#: Seconds for workers to be ready, and for the broker to be there again.
READY_S, BROKER_S = 120.0, 60.0
#: Quicker than in use: a run of minutes kills each worker many times.
PACE = Pace(first_s=0.3, most_s=2.0, steady_s=20.0)
#: Median of the model's latency, and seconds after which a call is cut off: short, so that leases are.
MODEL_MS, MODEL_S = 60.0, 2
#: Every case that is not serious is asked about once, and accepted or not after that.
CARD = """
extends = "triage"
calls_per_minute = 1_000_000

[escalation]
when = "valid && serious == 'no' && pass_number == 1"
steps = []
max_passes = 2

[budget]
currency = "EUR"
month_micro = 1_000_000_000
day_micro = 1_000_000_000
case_micro = 1_000_000

[auto_accept]
signed_by = "owner of the triage workflow (chaos)"
signed_at = 2026-01-05T09:00:00Z
use = "tests"
allows = []
"""
#: Seconds between two looks at liveness, and for one answer.
LOOK_S, PROBE_S = 1.0, 2.0


@dataclass(slots=True, kw_only=True)
class Told:
    """What was done and what came of it."""

    by_kind: Counter[str] = field(default_factory=Counter)
    #: Kills by stage.
    killed: Counter[str] = field(default_factory=Counter)
    #: Faults that had nobody to be done to: the process was gone already.
    missed: Counter[str] = field(default_factory=Counter)
    restarts: Counter[str] = field(default_factory=Counter)
    #: Workers whose liveness was red, killed as a container platform does.
    stuck: Counter[str] = field(default_factory=Counter)
    #: Errors with which the broker answered commits that came too late.
    late_commits: list[int | None] = field(default_factory=list)


class Rig:
    """The running mesh and what can be done to it. `apply` does a fault and returns what ends it."""

    def __init__(self, stack: Stack, proxy: Proxy, disk: Disk, settings: Settings) -> None:
        self.stack, self.proxy, self.disk, self.settings = stack, proxy, disk, settings
        self.told = Told()
        #: Who is asked for opinions: nobody where no worker runs.
        self.standin = StandIn()
        self.codec = Codec(RegistrySchemas(registry_options(settings)))
        #: Programs that are not started, by name.
        self.waiting: dict[str, Program] = {}
        self._fleets: dict[str, Fleet] = {}

    @property
    def bootstrap(self) -> str:
        """Where the broker answers itself."""
        return self.stack.urls.kafka

    def pids(self) -> dict[str, int]:
        """Return the process number of each worker that runs, by `STAGE.INSTANCE`."""
        return {f"{n}.{i}": pid for i, fleet in self._fleets.items() for n, pid in fleet.pids().items()}

    def urls(self) -> dict[str, str]:
        """Return where each worker's health endpoints answer."""
        return {f"{n}.{i}": url for i, fleet in self._fleets.items() for n, url in fleet.urls().items()}

    def programs(self, instance: str, stages: Sequence[str] = STAGES) -> dict[str, Program]:
        """Return what runs the stages as an instance, each pointed at a link of its own, called `NAME.INSTANCE`."""
        settings = replace(self.settings, worker=replace(self.settings.worker, instance=instance))
        folder = self.stack.data_dir / f"instance-{instance}"
        return {
            name: replace(
                program,
                environment={
                    **program.environment,
                    "VIGIMESH_KAFKA_BOOTSTRAP": self.proxy.link(f"{name}.{instance}").address,
                },
            )
            for name, program in worker_programs(settings, folder, stages).items()
        }

    def fleet(self, instance: str, programs: Mapping[str, Program]) -> Fleet:
        """Return a fleet of such programs, not started, that counts what it starts again."""

        def told(restart: Restart) -> None:
            self.told.restarts[f"{restart.stage}.{instance}"] += 1
            say(f"{restart.stage}.{instance} ended with status {restart.status}: {restart.cause[:160]}")

        self._fleets[instance] = Fleet(programs, on_restart=told, pace=PACE)
        return self._fleets[instance]

    def check(self) -> None:
        """Raise what ended a fleet's watcher, if anything did."""
        for fleet in self._fleets.values():
            fleet.check()

    def wait_ready(self) -> None:
        """Return when every worker is ready."""
        for fleet in self._fleets.values():
            fleet.wait_ready(Deadline.after(SystemClock(), READY_S))

    def broker_pid(self) -> int:
        """Return the broker's process number, 0 while there is none."""
        return self.service_pid("kafka")

    def service_pid(self, name: str) -> int:
        """Return the process number of a service of the stack, 0 while there is none."""
        state = read_state(self.stack.data_dir)
        owned = state.processes.get(name) if state else None
        return owned.pid if owned and owned.alive() else 0

    def apply(self, fault: Fault) -> Callable[[], None]:
        """Do a fault and count it; return what ends it. One that finds nobody is counted as missed."""
        try:
            end = getattr(self, f"_{fault.kind}")(fault)
        except psutil.NoSuchProcess:
            self.told.missed[fault.kind] += 1
            return _nothing
        self.told.by_kind[fault.kind] += 1
        found: Callable[[], None] = end or _nothing
        return found

    def _process(self, fault: Fault) -> psutil.Process:
        pid = self.pids().get(fault.target, 0)
        if not pid:
            raise psutil.NoSuchProcess(pid)
        return psutil.Process(pid)

    def _kill(self, fault: Fault) -> None:
        self._process(fault).kill()
        self.told.killed[fault.target.partition(".")[0]] += 1

    def _broker(self, fault: Fault) -> None:
        del fault
        self._kill_service("kafka")

    def _valkey(self, fault: Fault) -> None:
        del fault
        self._kill_service("valkey")

    def _postgres(self, fault: Fault) -> None:
        del fault
        self._kill_service("postgres")

    def _kill_service(self, name: str) -> None:
        pid = self.service_pid(name)
        if not pid:
            raise psutil.NoSuchProcess(pid)
        psutil.Process(pid).kill()

    def _stop(self, fault: Fault) -> Callable[[], None]:
        process = self._process(fault)
        process.suspend()

        def go_on() -> None:
            with suppress(psutil.NoSuchProcess):
                process.resume()

        return go_on

    def _disk(self, fault: Fault) -> Callable[[], None]:
        del fault
        self.disk.fill(self.pids().values())
        return self.disk.empty

    def _slow(self, fault: Fault) -> Callable[[], None]:
        link = self.proxy.links[fault.target]
        link.slow(fault.amount)
        return lambda: link.slow(0.0)

    def _cut(self, fault: Fault) -> Callable[[], None]:
        link = self.proxy.links[fault.target]
        link.cut(down=True)
        return link.up

    def _half_open(self, fault: Fault) -> Callable[[], None]:
        return self.proxy.links[fault.target].half_open()

    def _unheard(self, fault: Fault) -> Callable[[], None]:
        link = self.proxy.links[fault.target]
        link.deaf = frozenset({wire.HEARTBEAT})

        def hear() -> None:
            link.deaf = frozenset()

        return hear

    def _held(self, fault: Fault) -> Callable[[], None]:
        hold = self.proxy.links[fault.target].hold_commit()

        def free() -> None:
            self.proxy.ask(hold.free.set)
            if hold.held.is_set():
                self.told.late_commits.append(hold.error)

        return free


@contextmanager
def bare(*, disk: bool) -> Iterator[Rig]:
    """Bring a stack and a proxy up, and take them down; no worker runs. `disk` asks for a disk of its own, see `Disk`."""
    folder = Path(tempfile.mkdtemp(prefix="vigimesh-chaos-"))
    # The database's own user must pass through it.
    folder.chmod(0o711)
    with ExitStack() as held:
        held.callback(shutil.rmtree, folder, ignore_errors=True)
        store = Disk(folder / "objects", own=disk)
        held.callback(store.close)
        stack = held.enter_context(up(folder, attached=True, wishes=Wishes(thrown_away=True)))
        settings = Settings.for_stack(stack.urls, Settings(mesh=MeshSettings(cards=DEMO_CARDS)))
        prepare(settings)
        proxy = held.enter_context(Proxy(int(stack.urls.kafka.rpartition(":")[2])))
        proxy.link("intake")
        yield Rig(stack, proxy, store, settings)


@contextmanager
def rig() -> Iterator[Rig]:
    """Bring the whole mesh up, and take all of it down. Call it before this process has other threads."""
    with bare(disk=True) as made, ExitStack() as held:
        made.standin = StandIn(Profile(latency_ms=MODEL_MS, spread=0.5, seed=1))
        made.settings = _paying(made, held.enter_context(served(made.standin)))
        prepare(made.settings)
        held.enter_context(made.fleet("0", made.programs("0", (*STAGES, "resumer", "controller"))))
        held.enter_context(made.fleet("1", made.programs("1", TWICE)))
        # Freed before the fleets are asked to stop: a stopped process would not hear it.
        held.callback(_set_free, made)
        made.wait_ready()
        held.enter_context(_liveness(made))
        yield made


def _paying(made: Rig, url: str) -> Settings:
    """Return settings under which an opinion is asked of every case that is not serious, with money for all of them."""
    cards = made.stack.data_dir / "cards"
    cards.mkdir()
    (cards / "triage.toml").write_text(CARD, encoding="utf-8")
    return replace(
        made.settings, mesh=replace(made.settings.mesh, cards=str(cards)),
        large_model=LargeModelSettings(base_url=url, name=MODEL, deadline_s=MODEL_S),
    )  # fmt: skip


def _set_free(made: Rig) -> None:
    for link in made.proxy.links.values():
        link.mend()
    made.disk.empty()
    for pid in made.pids().values():
        with suppress(psutil.NoSuchProcess):
            psutil.Process(pid).resume()


@contextmanager
def _liveness(made: Rig) -> Iterator[None]:
    """Kill a worker that says itself that it is stuck, as a container platform does."""
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(LOOK_S):
            pids = made.pids()
            for name, url in made.urls().items():
                if says(url, "/livez") == http.client.SERVICE_UNAVAILABLE:
                    with suppress(psutil.NoSuchProcess, KeyError):
                        made.told.stuck[name] += 1
                        say(f"{name} says that it is stuck: killed")
                        psutil.Process(pids[name]).kill()

    thread = threading.Thread(target=watch, name="liveness", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def says(url: str, path: str) -> int:
    """Return the status that a worker answers with, 0 for no answer."""
    host, _, port = url.removeprefix("http://").partition(":")
    asked = http.client.HTTPConnection(host, int(port), timeout=PROBE_S)
    try:
        asked.request("GET", path)
        return asked.getresponse().status
    except (OSError, http.client.HTTPException):
        return 0
    finally:
        asked.close()


def say(text: str) -> None:
    """Tell whoever watches the run."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def _nothing() -> None:
    """A fault that ends by itself."""
