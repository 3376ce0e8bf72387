"""Starts, finds and stops an embedded stack: `up`, `status`, `down`."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from vigimesh.app.devstack import aot, preflight
from vigimesh.app.devstack.fetch import missing_bytes
from vigimesh.app.devstack.lease import Lease, launch
from vigimesh.app.devstack.lock import lock_holder, try_lock
from vigimesh.app.devstack.parts import Parts, find_parts
from vigimesh.app.devstack.pins import load_lock
from vigimesh.app.devstack.plan import PORTS_NEEDED, Plan
from vigimesh.app.devstack.postgres import prepare_user
from vigimesh.app.devstack.probes import all_answer
from vigimesh.app.devstack.progress import Progress, Silent
from vigimesh.app.devstack.sockets import fixed_port, free_ports, socket_folder
from vigimesh.app.devstack.state import Owned, Stack, default_store, read_state, remove_state
from vigimesh.errors import Transient

#: Seconds to wait for a stack that another process is starting or stopping on the same folder.
OTHER_WAIT_S = 90.0

#: Seconds for a keeper to end after it was asked: its services have 10 s, and 5 s more when killed.
DOWN_WAIT_S = 25.0

#: Seconds between looks while waiting for another process.
LOOK_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """What a user may ask of a new stack; 0 lets a free port be chosen."""

    kafka_port: int = 0
    registry_port: int = 0
    #: Folder of the downloads; `None` is the user's own.
    store: Path | None = None
    #: Whether it is to live for more than some minutes: see `plan.Plan.lasting`.
    lasting: bool = False
    #: Whether its data go with it: then it need not stop in its own way, which takes it some seconds.
    thrown_away: bool = False


def up(
    data_dir: Path, *, attached: bool, progress: Progress | None = None, wishes: Wishes | None = None
) -> Lease:
    """Start a stack on the folder, or find the one that runs there; return when every part answers.

    An *attached* stack that this call started ends with the lease or with this process, however that ends; a *detached* one
    runs until `down`. A stack that was found is left running. Raises `Misconfigured` (VM-1204 to VM-1208, VM-1210),
    `Broken` (VM-1202, VM-1209) or `Transient` (VM-1203, VM-1211), each saying what to do.
    """
    progress = progress or Silent()
    wishes = wishes or Wishes()
    data_dir = data_dir.expanduser().resolve()
    preflight.make_data_dir(data_dir)
    lock = try_lock(data_dir)
    if lock is None:
        found = _wait_for_other(data_dir, progress)
        if isinstance(found, Stack):
            progress.say(f"stack: found running in {data_dir}")
            return Lease(stack=found)
        lock = found
    try:
        sweep(data_dir)
        plan = make_plan(data_dir, attached=attached, progress=progress, wishes=wishes)
        return launch(plan, lock, progress)
    finally:
        os.close(lock)


def _wait_for_other(data_dir: Path, progress: Progress) -> Stack | int:
    """Wait until the stack another process starts answers, or its lock is free; return the stack or the lock."""
    deadline = time.monotonic() + OTHER_WAIT_S
    said = False
    while time.monotonic() < deadline:
        found = status(data_dir)
        if found is not None:
            return found
        lock = try_lock(data_dir)
        if lock is not None:
            return lock
        if not said:
            progress.say("stack: another process is starting or stopping one on this folder; waiting")
            said = True
        time.sleep(LOOK_S)
    raise Transient(
        "VM-1211",
        what=f"another process has held this data folder for {OTHER_WAIT_S:.0f} s without a stack that answers",
        where=str(data_dir),
        todo="run `vigimesh stack down` on this folder, or give --data another one",
    )


def make_plan(data_dir: Path, *, attached: bool, progress: Progress, wishes: Wishes) -> Plan:
    """Check the machine, get every part, choose ports and users: all that can fail before anything is started."""
    store = wishes.store or default_store()
    download_bytes = missing_bytes(load_lock(), store)
    # Downloads are unpacked too: about the same size again.
    preflight.check_room(preflight.measure(data_dir), download_bytes=2 * download_bytes)
    kafka, controller, registry, management = _choose_ports(data_dir, wishes)
    parts: Parts = find_parts(store, progress=progress)
    sockets = socket_folder(data_dir)
    user = prepare_user(data_dir, parts.postgres_bin, sockets, progress)
    return Plan(
        data_dir=str(data_dir),
        sockets_dir=str(sockets),
        java=str(parts.java),
        classpath=tuple(str(jar) for jar in parts.classpath),
        registry_dir=str(parts.registry_dir),
        postgres_bin=str(parts.postgres_bin),
        valkey_server=str(parts.valkey_server),
        kafka_port=kafka,
        controller_port=controller,
        registry_port=registry,
        management_port=management,
        postgres_user=user,
        versions=dict(parts.versions),
        attached=attached,
        lasting=wishes.lasting or not attached,
        thrown_away=wishes.thrown_away,
        java_options=aot.options(parts, store),
    )


def _choose_ports(data_dir: Path, wishes: Wishes) -> tuple[int, ...]:
    """Return the ports: those wished for, else those of the last start on this folder where free, else free ones."""
    memory = data_dir / "ports"
    try:
        last = tuple(int(word) for word in memory.read_text(encoding="ascii").split())
    except (OSError, ValueError):
        last = ()
    chosen = list(free_ports(PORTS_NEEDED, preferred=last))
    for index, wish, purpose in (
        (0, wishes.kafka_port, "Kafka"),
        (2, wishes.registry_port, "the schema registry"),
    ):
        if wish:
            chosen[index] = fixed_port(wish, purpose)
    memory.write_text(" ".join(str(port) for port in chosen) + "\n", encoding="ascii")
    return tuple(chosen)


def sweep(data_dir: Path) -> None:
    """End what is left of a stack whose keeper is gone, and remove its state; the folder's lock must be held."""
    left = read_state(data_dir)
    if left is None:
        remove_state(data_dir)
        return
    orphans = [psutil.Process(owned.pid) for owned in left.processes.values() if owned.alive()]
    for orphan in orphans:
        orphan.terminate()
    _, stubborn = psutil.wait_procs(orphans, timeout=DOWN_WAIT_S)
    for orphan in stubborn:
        orphan.kill()
    remove_state(data_dir)


def status(data_dir: Path) -> Stack | None:
    """Return the stack that runs on the folder and answers, or `None`; changes nothing."""
    kept = runs(data_dir)
    return replace(kept, found=True) if kept is not None and all_answer(kept.urls) else None


def runs(data_dir: Path) -> Stack | None:
    """Return the stack whose processes run on the folder, whether they answer or not."""
    kept = read_state(data_dir.expanduser().resolve())
    if kept is None or not kept.all_alive() or not _is_keeper(kept.processes):
        return None
    return kept


def _is_keeper(processes: Mapping[str, Owned]) -> bool:
    """Return whether the process named as keeper is one."""
    keeper = processes.get("keeper")
    try:
        return keeper is not None and "vigimesh.app.devstack.keeper" in psutil.Process(keeper.pid).cmdline()
    except psutil.Error:
        return False


def down(data_dir: Path) -> bool:
    """Stop the stack on the folder, however it was started; return whether there was one.

    Returns when every process of it is gone. Raises `Transient` (VM-1211) when that takes longer than `DOWN_WAIT_S`.
    """
    data_dir = data_dir.expanduser().resolve()
    keeper = lock_holder(data_dir) if data_dir.is_dir() else None
    if keeper is None:
        return False
    kept = read_state(data_dir)
    watched = [keeper, *(kept.processes.values() if kept is not None else ())]
    _send_term(keeper)
    deadline = time.monotonic() + DOWN_WAIT_S
    while any(owned.alive() for owned in watched):
        if time.monotonic() > deadline:
            raise Transient(
                "VM-1211",
                what=f"the stack did not stop within {DOWN_WAIT_S:.0f} s",
                where=f"keeper, process {keeper.pid}",
                todo=f"look into {data_dir / 'logs'}; `kill -9 {keeper.pid}` ends the keeper and, on Linux, all it started",
            )
        time.sleep(LOOK_S)
    return True


def _send_term(keeper: Owned) -> None:
    """Ask a keeper to stop; one that has just ended is as good."""
    try:
        psutil.Process(keeper.pid).terminate()
    except psutil.NoSuchProcess:
        return
