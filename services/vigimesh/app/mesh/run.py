"""`vigimesh run` and `vigimesh demo`: real files through the whole mesh, and an account of every case."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil

from vigimesh.adapters.kafka.desks.cascade import CascadeDesk
from vigimesh.adapters.kafka.history import bounds
from vigimesh.adapters.kafka.producer import KafkaProducer
from vigimesh.adapters.objects.store import ObjectStore
from vigimesh.app.config.clients import codec_of, kafka_of, quiet_kafka_of
from vigimesh.app.config.located import in_trouble
from vigimesh.app.config.model_settings import LargeModelSettings
from vigimesh.app.config.settings import DEMO_CARDS, Settings, names_cluster, read_settings
from vigimesh.app.demo.answers import WHY, gate, gold
from vigimesh.app.demo.builder import Calendar
from vigimesh.app.demo.writing import poison_record, write_demo
from vigimesh.app.devstack import Stack, Wishes, all_pids, runs, status, up
from vigimesh.app.devstack.progress import Terminal
from vigimesh.app.in_force.cards import cards_of
from vigimesh.app.in_force.large_model import assumed_of, has_large_model
from vigimesh.app.in_force.own_model import model_or_absent
from vigimesh.app.in_force.small_model import check_models
from vigimesh.app.mesh.arrivals import Reports
from vigimesh.app.mesh.dev import READY_S
from vigimesh.app.mesh.fleet import Fleet, Restart, worker_programs
from vigimesh.app.mesh.forkserver import ForkServer
from vigimesh.app.mesh.live import live
from vigimesh.app.mesh.prepare import prepare
from vigimesh.app.mesh.reckoning import RECKONED, account, rows_of_run
from vigimesh.app.mesh.result import Result, fields, show
from vigimesh.app.mesh.state import hold_mesh, read_mesh
from vigimesh.app.mesh.tail import Tail
from vigimesh.app.operators.cascade_records import Doer, gate_records
from vigimesh.app.options import print_json
from vigimesh.app.standin.beside import serving
from vigimesh.app.standin.chat import MODEL, StandIn
from vigimesh.app.standin.profile import Profile
from vigimesh.app.workers.worker import rest_collector
from vigimesh.clock import Deadline, SystemClock
from vigimesh.domain.cascade.model import Model
from vigimesh.errors import Misconfigured
from vigimesh.events.codec import Codec
from vigimesh.events.topics import topic
from vigimesh.intake.reading import read_path
from vigimesh.intake.values import Item
from vigimesh.intake.worker import Door, Tally
from vigimesh.loop.broker import Write

#: Seconds without any new outcome after which a run stops waiting and reports what is in flight. Above what the
#: death of a worker costs: 4-6 s to give its partitions away, 10 s transaction time-out, 1 s clean-up, 30 s back-off.
STALLED_S = 60.0
#: Seconds between two looks at memory.
_SAMPLE_S = 0.5
#: Median of the demo's model in milliseconds: quicker than a real one, so that nobody waits.
_DEMO_LATENCY_MS = 60.0
#: What is sent together, with its day.
Parts = Iterable[tuple[str, Iterator[Item]]]
#: What names the cards of every other command; the demo shows its own, whatever is set.
_CARDS = "VIGIMESH_CARDS"


def run_command(
    reports: Reports, *, cards: Path | None, as_json: bool, stack: Path | None, data: Path | None
) -> int:
    """Send the cases of a file or folder through the mesh; return 0 when every case is accounted for, else 1.

    Raises what the stack, the settings and the cards raise, and `Refused` VM-1401 when there is no such file.
    """
    if not reports.source.exists():
        next(iter(read_path(reports.source, tenant="default")))
    with _mesh(cards, os.environ.get(_CARDS, ""), stack=stack, data=data) as mesh:
        items = read_path(reports.source, tenant=mesh.settings.mesh.tenant, limit=reports.limit)
        return _carry(mesh, reports.parts(items), (), json_wanted=as_json)


def demo_command(*, as_json: bool) -> int:
    """Send the project's own synthetic cases through the mesh; return 0 when every case is accounted for, else 1."""
    with (
        _demo_model() as model,
        _mesh(None, stack=None, data=None, model=model, first=_open_demo_gate) as mesh,
        tempfile.TemporaryDirectory(prefix="vigimesh-demo-") as folder,
    ):
        mesh = replace(mesh, origin=f"{mesh.origin}; the small model settles calls about vaccines upon {WHY}")
        write_demo(Path(folder), today=mesh.clock.now().date())
        items = read_path(Path(folder), tenant=mesh.settings.mesh.tenant)
        parts = Reports(source=Path(folder)).parts(items)
        name, key, value = poison_record(mesh.codec.schema_id(topic("case.received.normal")))
        poison = Write(topic=name, key=key, value=value)
        return _carry(mesh, parts, (poison,), json_wanted=as_json)


@contextmanager
def _demo_model() -> Iterator[LargeModelSettings]:
    """Yield the large model of the environment, else a stand-in that answers while the block runs."""
    given = read_settings(os.environ).large_model
    if has_large_model(given):
        yield given
        return
    answers = gold(Calendar(today=SystemClock().now().date()))
    with serving(StandIn(Profile(latency_ms=_DEMO_LATENCY_MS), gold=answers)) as base_url:
        yield LargeModelSettings(base_url=base_url, name=MODEL)


def _open_demo_gate(settings: Settings) -> None:
    """Let the small model settle the demo's calls about vaccines, upon labels that are invented, and said to be."""
    model, card = model_or_absent(settings.small_model), cards_of(settings).named("vaccine_triage")
    opened = gate(model, card, SystemClock().now()) if isinstance(model, Model) and card else None
    if opened is None:
        return
    codec = codec_of(settings)
    doer = Doer(by=opened.by, at=opened.at)
    desk = CascadeDesk(kafka_of(settings), codec)
    asyncio.run(desk.give(lambda held: [*gate_records(codec, [opened], held.gates, doer)]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Mesh:
    """A mesh that is up: where it is, and the processes that make it."""

    settings: Settings
    stack: Stack
    fleet: Fleet | None
    codec: Codec
    clock: SystemClock
    origin: str

    def pids(self) -> Iterable[int]:
        """Return every process of the run, this one included."""
        workers = self.fleet.pids().values() if self.fleet else ()
        return {*all_pids(self.stack), *workers, os.getpid()}


@contextmanager
def _mesh(
    cards: Path | None,
    otherwise: str = "",
    *,
    stack: Path | None,
    data: Path | None,
    model: LargeModelSettings | None = None,
    first: Callable[[Settings], None] = lambda _: None,
) -> Iterator[Mesh]:
    """Bring a mesh up and take it down: a throw-away one, one on `data`, or the one that runs on `stack`.

    It follows the cards of a folder, else those that `otherwise` names, else those that are signed for the demo. `first` is done before any
    worker starts.
    """
    with ExitStack() as held:
        # Before anything is started, so that a wrong setting or card costs no wait.
        named = str(cards.expanduser().resolve()) if cards else otherwise or DEMO_CARDS
        given = read_settings(os.environ)
        given = replace(given, mesh=replace(given.mesh, cards=named), large_model=model or given.large_model)
        in_force = cards_of(given)
        origin = in_force.origin
        check_models(given, SystemClock(), in_force.cards)
        if names_cluster(given):
            _say("this works on a stack of its own: the addresses set in the environment are not used")
        folder = stack or data or Path(held.enter_context(_thrown_away()))
        folder = folder.expanduser().resolve()
        server = held.enter_context(ForkServer()) if not (stack and read_mesh(folder)) else None
        running = (
            held.enter_context(
                up(folder, attached=True, progress=Terminal(), wishes=Wishes(thrown_away=data is None))
            )
            if not stack
            else found_on(folder)
        )
        settings = Settings.for_stack(running.urls, given)
        clock = SystemClock()
        fleet = None
        if stack and (other := read_mesh(folder)):
            if cards:
                raise _cards_of_another(folder)
            origin = other.cards
            _say(f"mesh: the one that process {other.pid} keeps does the work, with its own cards")
        else:
            held.enter_context(hold_mesh(folder))
            _say("mesh: topics, schemas, tables, documents")
            for line in prepare(settings).warnings:
                _say(line)
            first(settings)
            programs = worker_programs(settings, folder)
            fleet = held.enter_context(Fleet(programs, on_restart=_tell_restart, server=server))
            _say("mesh: workers are starting")
            fleet.wait_ready(Deadline.after(clock, READY_S))
            _say("mesh: ready; cases are on their way")
        codec = codec_of(settings)
        yield Mesh(settings=settings, stack=running, fleet=fleet, codec=codec, clock=clock, origin=origin)


def found_on(folder: Path) -> Stack:
    """Return the stack that runs on a folder. Raises `Transient` VM-1612 when it does not answer in time, `Misconfigured` VM-1102 when none runs."""
    there = status(folder)
    if there is None and runs(folder) is not None:
        raise in_trouble(folder)
    if there is None:
        raise Misconfigured("VM-1102", what="no stack runs there", where=str(folder),
                            todo=f"vigimesh dev --data {folder}, or leave --stack out")  # fmt: skip
    return there


def _cards_of_another(folder: Path) -> Misconfigured:
    """Return the error for cards that a mesh which runs already would not follow."""
    return Misconfigured(
        "VM-1102", what="--cards has no effect on a mesh that runs already", where=str(folder),
        todo="leave --cards out, or stop that mesh and run again; `vigimesh dev` takes its cards from VIGIMESH_CARDS",
    )  # fmt: skip


@contextmanager
def _thrown_away() -> Iterator[str]:
    folder = tempfile.mkdtemp(prefix="vigimesh-run-")
    if os.geteuid() == 0:
        # PostgreSQL's own user must pass through; nobody may list it.
        Path(folder).chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _carry(mesh: Mesh, parts: Parts, extra: tuple[Write, ...], *, json_wanted: bool) -> int:
    rest_collector()
    # What goes wrong is told by the run itself; the client's own lines would fill the screen after Ctrl-C.
    kafka = quiet_kafka_of(mesh.settings)
    tail = Tail(kafka, mesh.codec)
    tail.start()
    starts = {part: end for part, (_, end) in bounds(kafka, RECKONED).items()}
    memory = _Memory(mesh)
    memory.start()
    try:
        tally, days = _send(mesh, kafka, parts, (tail, extra))
    finally:
        memory.stop()
        tail.stop()
    reckoning = account(kafka, mesh.codec, own=lambda rows: rows_of_run(rows, tally.message_ids, starts))
    result = Result(
        tally=tally, days=days, extra=len(extra), reckoning=reckoning, peak_rss_bytes=memory.peak_bytes,
        restarts=mesh.fleet.restarts if mesh.fleet else 0, cards=mesh.origin, large_model=_told_model(mesh.settings, mesh.clock) if mesh.fleet else ANOTHERS,
    )  # fmt: skip
    if json_wanted:
        print_json(fields(result))
    else:
        show(result)
    return 0 if result.holds else 1


#: What is said of the large model where the settings of the mesh that does the work are not those of this process.
ANOTHERS = "that of the mesh that does the work, if it has one"


def _told_model(settings: Settings, clock: SystemClock) -> str:
    """Return which large model was there, in words, and at what price if nobody named one; a stand-in is never called a model."""
    name = settings.large_model.name
    if not has_large_model(settings.large_model):
        return "none: what the cheaper tiers leave open is for a person"
    told = f"{name}, a stand-in and no real model" if name == MODEL else name
    assumed = assumed_of(settings.large_model, clock.now())
    return f"{told}; {assumed}" if assumed else told


def _send(
    mesh: Mesh, kafka: dict[str, Any], parts: Parts, more: tuple[Tail, tuple[Write, ...]]
) -> tuple[Tally, dict[str, frozenset[str]]]:
    """Send part after part, each when every case before it has an outcome, or nothing moves any more; wait for the last too.

    Returns what was sent, and the messages of each part that has a day.
    """
    tail, extra = more
    producer = KafkaProducer(kafka, f"vigimesh.intake.{os.getpid()}")
    door = Door(
        producer=producer, codec=mesh.codec, objects=ObjectStore(mesh.settings.objects.url), clock=mesh.clock,
        instance=f"intake.{os.getpid()}",
    )  # fmt: skip
    tally = Tally()
    days: dict[str, frozenset[str]] = {}

    def line() -> str:
        return f"read {tally.read}, accepted {tally.accepted}, refused {tally.refused}, concluded {len(tail.concluded)}"

    with live(tail, line), asyncio.Runner() as turns:
        turns.run(door.write(list(extra)))
        for day, items in parts:
            before = frozenset(tally.message_ids)
            turns.run(door.send(items, tally))
            _wait(mesh, tail, tally.message_ids, len(extra))
            if day:
                days[day] = days.get(day, frozenset()) | (tally.message_ids - before)
        turns.run(producer.close())
    return tally, days


def _wait(mesh: Mesh, tail: Tail, ids: set[str], extra: int) -> None:
    """Wait until all of `ids` and `extra` more have an outcome, or nothing has come for `STALLED_S`."""
    pause, seen, deadline = threading.Event(), (-1, -1), Deadline.after(mesh.clock, STALLED_S)
    while not (ids <= tail.concluded and len(tail.concluded) >= len(ids) + extra):
        moved = (len(tail.concluded), sum(tail.taken.values()))
        if moved != seen:
            seen, deadline = moved, Deadline.after(mesh.clock, STALLED_S)
        if deadline.passed():
            _say(f"nothing came for {STALLED_S:g} s; reporting what is in flight")
            return
        if mesh.fleet:
            mesh.fleet.check()
        pause.wait(0.05)


class _Memory:
    """Samples the memory of all processes of a run together."""

    def __init__(self, mesh: Mesh) -> None:
        self._mesh = mesh
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="memory", daemon=True)
        self.peak_bytes = 0

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        while True:
            self.peak_bytes = max(self.peak_bytes, sum(_rss(pid) for pid in self._mesh.pids()))
            if self._stop.wait(_SAMPLE_S):
                return


def _rss(pid: int) -> int:
    try:
        return int(psutil.Process(pid).memory_info().rss)
    except psutil.Error:
        return 0


def _tell_restart(restart: Restart) -> None:
    _say(
        f"worker {restart.stage} ended with status {restart.status}; starting it again in {restart.pause_s:g} s: "
        f"{restart.cause}"
    )


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
