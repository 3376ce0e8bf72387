"""Makes the ahead-of-time caches of the Java parts, by letting them start, work a little and stop once."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from vigimesh.app.devstack import kafka, registry
from vigimesh.app.devstack.aot import NAMES, cache_file
from vigimesh.app.devstack.parts import find_parts
from vigimesh.app.devstack.plan import Plan
from vigimesh.app.devstack.progress import Progress
from vigimesh.app.devstack.slot import KILLED_S, Slot
from vigimesh.app.devstack.stack import Wishes, make_plan
from vigimesh.clock import Deadline, SystemClock
from vigimesh.errors import Broken

#: Seconds for the parts to answer, and for a cache to be written at a part's end: nobody waits for it, 30 x what either takes.
STARTING_S = WRITING_S = 300.0

#: Seconds between two looks.
LOOK_S = 0.05


def prime(store: Path, progress: Progress) -> tuple[Path, ...]:
    """Make the caches that are missing, and remove those that nothing uses any more; return those that were made.

    Takes half a minute on an idle machine. Raises what a start raises, `Broken` VM-1209 when a part does not start or
    leaves no cache.
    """
    parts = find_parts(store, progress=progress)
    wanted = {name: cache_file(name, parts, store) for name in NAMES}
    missing = {name: file for name, file in wanted.items() if not file.is_file()}
    if not missing:
        return ()
    with tempfile.TemporaryDirectory(prefix="vigimesh-prime-") as folder:
        data, drafts = Path(folder), {name: Path(folder) / f"{name}.aot" for name in missing}
        plan = make_plan(data, attached=True, progress=progress, wishes=Wishes(store=store))
        _train(
            replace(plan, java_options={name: (f"-XX:AOTCacheOutput={drafts[name]}",) for name in missing})
        )
        for name, draft in drafts.items():
            if not draft.is_file():
                raise _no_cache(name, plan)
            fresh = missing[name].with_suffix(f".{os.getpid()}")
            shutil.copyfile(draft, fresh)
            fresh.replace(missing[name])
    for name in NAMES:
        for old in store.glob(f"{name}-*.aot"):
            if old != wanted[name]:
                old.unlink(missing_ok=True)
    return tuple(missing.values())


def _train(plan: Plan) -> None:
    """Start the Java parts, make topics and schemas on them, and wait until they have stopped in their own way."""
    for folder in (plan.logs, plan.temporary):
        folder.mkdir(exist_ok=True)
    slots = [Slot(kafka.service(plan)), Slot(registry.service(plan))]
    try:
        _await_ready(slots)
        _work(plan)
        for slot in slots:
            slot.ask_to_stop()
        for slot in slots:
            slot.gone_within(WRITING_S)
    finally:
        for slot in slots:
            slot.signal(signal.SIGKILL)
            slot.gone_within(KILLED_S)


def _await_ready(slots: Sequence[Slot]) -> None:
    deadline = time.monotonic() + STARTING_S
    while not all(slot.ready for slot in slots):
        for slot in slots:
            slot.advance()
        if time.monotonic() > deadline:
            late = next(slot.service for slot in slots if not slot.ready)
            raise Broken("VM-1209", what=f"{late.name} did not answer within {STARTING_S:.0f} s",
                         where=str(late.log), todo="start it again when the machine has less to do")  # fmt: skip
        time.sleep(LOOK_S)


def _work(plan: Plan) -> None:
    """Ask of them what every mesh asks first."""
    from vigimesh.adapters.registry import RegistrySchemas
    from vigimesh.adapters.topics import Shape, apply

    urls = plan.urls()
    apply({"bootstrap.servers": urls.kafka}, Shape(), Deadline.after(SystemClock(), STARTING_S))
    RegistrySchemas({"url": urls.registry}).register_all()


def _no_cache(name: str, plan: Plan) -> Broken:
    return Broken("VM-1209", what=f"{name} left no ahead-of-time cache", where=str(plan.logs / f"{name}.log"),
                  todo="nothing needs it: leave it out, or start again with room on the disk")  # fmt: skip
