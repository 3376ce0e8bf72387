"""A steady stream of invented cases through the real door, whatever happens to broker and object store meanwhile."""

from __future__ import annotations

import asyncio
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from vigimesh.adapters.kafka.client import common
from vigimesh.adapters.kafka.producer import KafkaProducer
from vigimesh.adapters.objects.store import ObjectStore
from vigimesh.app.config.settings import Settings
from vigimesh.app.demo.builder import HEALTH, RECEIVER, Calendar, adult, case, product, reaction
from vigimesh.app.demo.line_cases import line
from vigimesh.app.demo.writing import DEMO_DAY, poison_record
from vigimesh.clock import SystemClock
from vigimesh.errors import Transient
from vigimesh.events.classes import ThrottleOrdered
from vigimesh.events.codec import Codec
from vigimesh.events.topics import topic
from vigimesh.intake.reading import read_path
from vigimesh.intake.values import Item
from vigimesh.intake.worker import Door
from vigimesh.loop.broker import Write
from vigimesh.loop.orders import ANY_CALLS, ANY_TIER

#: Seconds between two sends, and cases of one send at most: after a time without broker the door catches up in steps.
EVERY_S, AT_ONCE = 0.5, 200
#: One case in so many is long enough for the object store; one record in so many cannot be read.
LONG_EVERY, BROKEN_EVERY = 60, 150
#: One in so many is a document that nobody waits for: the cold lane.
COLD_EVERY = 4
#: Seconds between two orders that let the documents' workflow wait, and how long one holds: they are parked, and resumed.
HOLD_EVERY_S, HOLD_S = 15.0, 4.0
#: Characters of a long narrative: above what travels in a record (64 KiB).
LONG_CHARS = 70_000
#: Cases between the two versions of a case.
APART = 40


def lines(number: int) -> Iterator[str]:
    """Yield what is sent as the `number`-th: a first version, and a second version of an earlier case.

    Every third case is serious. Of each second case the older version comes last.
    """
    yield _version(number, 1 if number % 2 else 0)
    if number % COLD_EVERY == 0:
        yield literature(number)
    if number >= APART:
        yield _version(number - APART, 0 if number % 2 else 1)


def send(bootstrap: str, settings: Settings, codec: Codec, batch: Sequence[str]) -> set[str]:
    """Send lines through the door at once; return their message ids."""
    door = door_of(bootstrap, settings, codec)

    async def deliver() -> set[str]:
        with tempfile.TemporaryDirectory(prefix="vigimesh-chaos-") as folder:
            tally = await door.send(_items(Path(folder) / "cases.jsonl", batch))
        await door.producer.close()
        return tally.message_ids

    return asyncio.run(deliver())


def door_of(bootstrap: str, settings: Settings, codec: Codec) -> Door:
    """Return the door of this process."""
    return Door(
        producer=KafkaProducer({**common(bootstrap, {}), "log_level": 0}, "vigimesh.intake.chaos"),
        codec=codec, objects=ObjectStore(settings.objects.url), clock=SystemClock(), instance="intake.chaos",
    )  # fmt: skip


def _items(file: Path, batch: Sequence[str]) -> Iterator[Item]:
    file.write_text("\n".join(batch) + "\n", encoding="utf-8")
    return read_path(file, tenant="default")


def literature(number: int) -> str:
    """Return a document that nobody waits for: it goes to the cold lane."""
    day = Calendar(today=DEMO_DAY).day(3)
    return line(
        case(
            kind="document", document_kind="literature", sender="ARCHIVE", receiver=RECEIVER, country="DE",
            report_id=f"DOC-CHAOS-{number:06d}", created_on=day, most_recent_on=day, first_received_on=day,
            title="A review without single patients",
            narrative="The authors review published trials. No single patient is described and no new risk is claimed.",
        )
    )  # fmt: skip


def hold(codec: Codec, workflow: str, seconds: float) -> Write:
    """Return an order, as an operator writes it, that lets a workflow of the cold lane wait."""
    ordered = ThrottleOrdered(
        workflow=workflow, lane="cold", term=0, expires_at=datetime.now(UTC) + timedelta(seconds=seconds),
        tier_ceiling=ANY_TIER, calls_per_minute=ANY_CALLS, yields=True, share_percent=0, reason="chaos", by="chaos",
    )  # fmt: skip
    name = topic("throttle")
    return Write(topic=name, key=f"cold/{workflow}".encode(), value=codec.encode(name, ordered))


def _version(number: int, version: int) -> str:
    calendar = Calendar(today=DEMO_DAY)
    ago = 5 - 3 * version
    serious = ("hospitalisation",) if number % 3 == 0 else ()
    name = f"DE-CHAOS-2026-{number:06d}"
    text = f"Version {version}: a mild headache for a day. "
    long = number % LONG_EVERY == 0
    return line(
        case(
            sender="CALLCENTRE", receiver="VIGIMESH", report_id=name, worldwide_id=name, country="DE",
            report_type="spontaneous", created_on=calendar.moment(ago), first_received_on=calendar.day(6),
            most_recent_on=calendar.day(ago), reporters=(HEALTH,), patient=adult(30 + number % 40, "female"),
            products=(product("Torvexil"),), criteria=serious,
            reactions=(reaction("Headache", *serious, highlighted="" if serious else "2", outcome="recovered"),),
            narrative=text * (LONG_CHARS // len(text)) if long else text,
        )
    )  # fmt: skip


class Feed:
    """Sends cases in a thread of its own. `sent` are the message ids whose transaction the door counts as committed."""

    def __init__(self, bootstrap: str, settings: Settings, codec: Codec, per_s: float) -> None:
        """Nothing is sent yet; `per_s` counts messages."""
        self.sent: set[str] = set()
        #: Records sent that nobody can read, and orders that let a workflow wait.
        self.broken = self.holds = 0
        self.repeats = 0
        self.failure: BaseException | None = None
        self._per_s = per_s
        self._codec = codec
        self._door = door_of(bootstrap, settings, codec)
        self._stop = threading.Event()
        #: Never set: what was begun goes on after the stop, at the same pace.
        self._pause = threading.Event()
        self._thread = threading.Thread(target=self._run, name="feed", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self, within_s: float) -> None:
        """Send no more, and return when what was begun is committed. Raises what ended the feed, if anything did."""
        self._stop.set()
        self._thread.join(within_s)
        if self._thread.is_alive():
            raise AssertionError(f"the door did not finish within {within_s:g} s")
        if self.failure is not None:
            raise self.failure

    def _run(self) -> None:
        try:
            with tempfile.TemporaryDirectory(prefix="vigimesh-chaos-") as folder:
                asyncio.run(self._send(Path(folder)))
        except BaseException as error:  # noqa: BLE001  raised to whoever stops the feed
            self.failure = error

    async def _send(self, folder: Path) -> None:
        begun_s, messages, number = time.monotonic(), 0, 0
        name, key, value = poison_record(self._codec.schema_id(topic("case.received.normal")))
        poison = Write(topic=name, key=key, value=value)
        while not self._stop.is_set():
            due = min(int((time.monotonic() - begun_s) * self._per_s) - messages, AT_ONCE)
            batch: list[str] = []
            while len(batch) < due:
                batch.extend(lines(number))
                number += 1
            messages += len(batch)
            if batch:
                await self._deliver(folder / "cases.jsonl", batch)
            if number // BROKEN_EVERY > self.broken:
                await self._write(poison)
                self.broken += 1
            if time.monotonic() - begun_s > self.holds * HOLD_EVERY_S:
                await self._write(hold(self._codec, "literature_scan", HOLD_S))
                self.holds += 1
            await asyncio.to_thread(self._stop.wait, EVERY_S)
        await self._door.producer.close()

    async def _deliver(self, file: Path, batch: list[str]) -> None:
        """Send a file until the door says that it is in; sending it again changes nothing."""
        while True:
            with suppress(Transient):
                tally = await self._door.send(_items(file, batch))
                assert tally.refused == 0, tally.refusals
                self.sent |= tally.message_ids
                return
            self.repeats += 1
            await asyncio.to_thread(self._pause.wait, EVERY_S)

    async def _write(self, record: Write) -> None:
        """Write a record once, or not at all while the broker is away."""
        with suppress(Transient):
            await self._door.write([record])
