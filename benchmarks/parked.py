"""A million parked events on a broker: how soon a resumer is ready, what it holds of them, and that what is due comes back once.

The topic is filled once; each round starts a `vigimesh resumer` on it, gives it events that are due, and kills it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from urllib.request import urlopen

import psutil

from ground import Ground, Ready, Spot, ground, until, versions
from measuring import Goal, Report, finish, options, say
from vigimesh.adapters.kafka.registry import RegistrySchemas
from vigimesh.background.resumer.emit import PARKED
from vigimesh.events.classes import EventParked, Header
from vigimesh.events.codec import Codec
from vigimesh.events.envelope import Envelope, to_headers
from vigimesh.events.topics import topic

GOALS = {
    "bytes_an_event": Goal(bound="<=", value=500),
    "whole_s": Goal(),
    "not_once": Goal(bound="=", value=0),
}
EVENTS, QUICK = 1_000_000, 20_000
#: Events that are due in each round, beside all those that are not.
DUE = 1_000
#: Bytes of a body: those of a case with a short narrative.
BODY = b"x" * 600
PLAN = topic("plan.cold")
#: Seconds in which the index must be whole, and must have sent back what is due.
WHOLE_S, BACK_S = 300.0, 60.0


def main() -> int:
    """Measure and print."""
    chosen = options(__doc__ or "")
    report, count = Report("parked", GOALS), QUICK if chosen.quick else EVENTS
    with ground() as base:
        codec = Codec(RegistrySchemas({"url": base.urls.registry}))
        with resumer(base) as one:
            one.whole(0)
            empty = one.bytes()
        base.fill(PARKED, waiting(codec, count))
        sent = Counter[str]()
        begin = base.ends(PLAN)
        for number in range(chosen.rounds):
            due = [f"due.{number}.{one}" for one in range(DUE)]
            with resumer(base) as one:
                report.add("million", "whole_s", one.whole(count))
                report.add("million", "processor_s", one.processor_s())
                report.add("million", "bytes_an_event", (one.bytes() - empty) / count)
                base.fill(PARKED, (ready(codec, parked(name, 0.0)) for name in due))
                wanted = DUE * (number + 1)
                until(partial(_are_back, base, begin, wanted), BACK_S, "what is due", pause_s=0.5)
                report.add("million", "memory_mib", one.bytes() / 2**20)
            sent.update(due)
            found = Counter(seen.event_id for seen in base.read(PLAN, begin))
            report.add("million", "not_once", sum(((found - sent) + (sent - found)).values()))
            say(f"parked: round {number + 1} of {chosen.rounds} done")
        report.notes |= {
            "events": count,
            "body_bytes": len(BODY),
            "due_a_round": DUE,
            "empty_mib": empty >> 20,
        }
        return finish(report, chosen, versions(base))


def _are_back(base: Ground, begin: Mapping[Spot, int], count: int) -> bool:
    return len(base.read(PLAN, begin)) >= count


@dataclass
class Served:
    """A resumer in a process of its own."""

    process: psutil.Process
    port_file: Path
    began_s: float

    def whole(self, count: int) -> float:
        """Wait until it is ready and knows of so many events; return the seconds that it took from its start.

        Both, since a resumer that has no partition yet is ready: it may have come to stand by.
        """
        until(
            lambda: self._get("readyz") is not None and self._waiting() >= count,
            WHOLE_S,
            "the index to be whole",
        )
        return time.monotonic() - self.began_s

    def bytes(self) -> int:
        """Return the memory that it has."""
        return int(self.process.memory_info().rss)

    def processor_s(self) -> float:
        """Return the processor time that it took."""
        return float(sum(self.process.cpu_times()[:2]))

    def _waiting(self) -> int:
        found = re.search(
            r"^vigimesh_parked_waiting.* ([0-9.e+]+)$", self._get("metrics") or "", re.MULTILINE
        )
        return int(float(found[1])) if found else -1

    def _get(self, path: str) -> str | None:
        try:
            port = self.port_file.read_text(encoding="utf-8").strip()
            with urlopen(f"http://127.0.0.1:{port}/{path}", timeout=5) as answer:
                return str(answer.read().decode())
        except OSError:  # not there yet, or not ready: urllib's errors are among them
            return None


@contextmanager
def resumer(base: Ground) -> Iterator[Served]:
    """Start a resumer and kill it in the end."""
    port_file = base.folder / "resumer.port"
    port_file.unlink(missing_ok=True)
    urls, began_s = base.urls, time.monotonic()
    names = {
        "VIGIMESH_KAFKA_BOOTSTRAP": urls.kafka, "VIGIMESH_REGISTRY_URL": urls.registry,
        "VIGIMESH_POSTGRES_DSN": urls.postgres, "VIGIMESH_OBJECTS_URL": urls.objects,
        "VIGIMESH_INSTANCE": "resumer.0", "VIGIMESH_PORT_FILE": str(port_file),
    }  # fmt: skip
    with subprocess.Popen(
        [sys.executable, "-m", "vigimesh", "resumer"], env={**os.environ, **names}
    ) as child:
        try:
            yield Served(psutil.Process(child.pid), port_file, began_s)
        finally:
            child.kill()


def parked(name: str, in_s: float) -> EventParked:
    """Return an event that is due so many seconds from now."""
    now = datetime.now(UTC)
    original = Envelope(id=name, source="/bench", type="vigimesh.CaseRouted", time=now, subject=name,
                        messageid=name, workflow="triage", lane="cold")  # fmt: skip
    return EventParked(
        event_id=name, not_before=now + timedelta(seconds=in_s), resume_topic=PLAN, reason="held", workflow="triage",
        key=name.encode(), headers=tuple(Header(name=n, value=v) for n, v in to_headers(original)), value=BODY,
    )  # fmt: skip


def ready(codec: Codec, event: EventParked) -> Ready:
    """Return a parked event as a stage writes it."""
    own = Envelope(
        id=f"parked.{event.event_id}", source="/bench", type="vigimesh.EventParked", time=event.not_before,
        subject=event.event_id, messageid=event.event_id, workflow=event.workflow, lane="cold",
    )  # fmt: skip
    return event.event_id.encode(), codec.encode(PARKED, event), to_headers(own)


def waiting(codec: Codec, count: int) -> Iterable[Ready]:
    """Yield events that wait for a week: one, under keys of their own, since making each would take most of the time."""
    _, value, headers = ready(codec, parked("waits", 7 * 86_400.0))
    return ((f"waits.{number}".encode(), value, headers) for number in range(count))


if __name__ == "__main__":
    raise SystemExit(main())
