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
from vigimesh.app.devstack.state import StackUrls
from vigimesh.clock import Deadline, SystemClock
from vigimesh.errors import Broken

#: Seconds for the parts to answer, and for a cache to be written at a part's end: nobody waits for it, 30 x what either takes.
STARTING_S = WRITING_S = 300.0

#: Seconds between two looks.
LOOK_S = 0.05

#: Records that Kafka is let carry: profiles of a thousand cost a broker a tenth more in its first minute. And the seconds after
#: which it has carried enough.
RECORDS, CARRYING_S = 4_000, 120.0


def prime(store: Path, progress: Progress, *, records: int = RECORDS) -> tuple[Path, ...]:
    """Make the caches that are missing, and remove those that nothing uses any more; return those that were made.

    Takes three quarters of a minute on an idle machine, half of it for the `records` that Kafka is let carry. Raises what a
    start raises, `Broken` VM-1209 when a part does not start or leaves no cache, `Transient` VM-1301 when Kafka refuses one.
    """
    parts = find_parts(store, progress=progress)
    wanted = {name: cache_file(name, parts, store) for name in NAMES}
    missing = {name: file for name, file in wanted.items() if not file.is_file()}
    if not missing:
        return ()
    with tempfile.TemporaryDirectory(prefix="vigimesh-prime-") as folder:
        data, drafts = Path(folder), {name: Path(folder) / f"{name}.aot" for name in missing}
        # Lasting: the quick compiler alone, which others have, keeps no profiles.
        plan = make_plan(data, attached=True, progress=progress, wishes=Wishes(store=store, lasting=True))
        told = {name: (f"-XX:AOTCacheOutput={draft}",) for name, draft in drafts.items()}
        _train(replace(plan, java_options=told), tuple(missing), records)
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


def _train(plan: Plan, names: Sequence[str], records: int) -> None:
    """Start the parts, let them work, and wait until they have stopped in their own way."""
    for folder in (plan.logs, plan.temporary):
        folder.mkdir(exist_ok=True)
    slots = [Slot((kafka if name == "kafka" else registry).service(plan)) for name in names]
    try:
        _await_ready(slots)
        for name in names:
            _work(name, plan.urls(), records)
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


def _work(name: str, urls: StackUrls, records: int) -> None:
    """Ask of a part what every mesh asks first, and of Kafka what it asks all day."""
    from vigimesh.adapters.kafka.cluster.topics import Shape, apply
    from vigimesh.adapters.kafka.registry import RegistrySchemas
    from vigimesh.app.devstack.exercise import exercise

    if name == "kafka":
        apply({"bootstrap.servers": urls.kafka}, Shape(), Deadline.after(SystemClock(), STARTING_S))
        exercise(urls.kafka, records, Deadline.after(SystemClock(), CARRYING_S))
    else:
        RegistrySchemas({"url": urls.registry}).register_all()


def _no_cache(name: str, plan: Plan) -> Broken:
    return Broken("VM-1209", what=f"{name} left no ahead-of-time cache", where=str(plan.logs / f"{name}.log"),
                  todo="nothing needs it: leave it out, or start again with room on the disk")  # fmt: skip
