"""The door at work: what was read goes to the object store and, in transactions, to the topics; refusals to audit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from vigimesh.clock import Clock
from vigimesh.errors import Fenced, Transient
from vigimesh.events import ids
from vigimesh.events.classes import AuditRecorded, ConfigActivated
from vigimesh.events.codec import Codec
from vigimesh.events.envelope import Envelope, source_of, to_headers, traceparent_of
from vigimesh.events.topics import BY_NAME, topic
from vigimesh.intake.accept import Admitted, accept
from vigimesh.intake.plain import parts
from vigimesh.intake.values import Accepted, Item, Refusal, Remark, Skipped
from vigimesh.loop.broker import TRANSACTION_S, InDoubt, Producer, Write
from vigimesh.ports import Objects

#: Messages of one transaction: enough to make its cost vanish, few enough to be seen downstream within a moment.
CHUNK = 1_000
#: Bytes of source after which a transaction is closed: bounds the door's memory.
CHUNK_BYTES = 16 * 1024 * 1024
#: Bytes of a source up to which it shares an object with its neighbours: what an event may carry, too.
PACKED_BYTES = 64 * 1024
#: Refusals, skipped files and remarks that are kept to be shown; all are counted.
SHOWN = 200
#: Tries of one transaction before the door gives up; the adapter waits for the broker at each.
TRIES = 5


@dataclass(slots=True, kw_only=True)
class Tally:
    """What a door did: `read` = `accepted` + `refused`; files without a case apart. The lists hold at most `SHOWN`."""

    accepted: int = 0
    refused: int = 0
    skipped_files: int = 0
    message_ids: set[str] = field(default_factory=set)
    refusals: list[Refusal] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)

    @property
    def read(self) -> int:
        """Cases read."""
        return self.accepted + self.refused


@dataclass(frozen=True, slots=True, kw_only=True)
class Door:
    """Takes what readers yield. Ids come from the content, so that sending the same again changes nothing."""

    producer: Producer
    codec: Codec
    objects: Objects
    clock: Clock
    instance: str

    async def send(self, items: Iterable[Item], tally: Tally | None = None) -> Tally:
        """Send everything; return the tally, which is that of what was sent before, where it is given, and grows on the way.

        Raises `Transient` when the broker or the object store stays away: what is committed stands, and the same
        files may be sent again.
        """
        tally = tally or Tally()
        for chunk in _chunks(items):
            admitted: list[Admitted] = []
            writes = [write for item in chunk for write in self._take(item, tally, admitted)]
            writes.extend(self._admit(admitted))
            await self.write(writes)
        return tally

    async def activate(self, parts: Iterable[tuple[str, str, bytes]]) -> None:
        """Say what (kind, name, body) is in force from now on: body to the object store, digest to `config`."""
        chunk = []
        for kind, name, body in parts:
            key = self.objects.put(body)
            event = ConfigActivated(
                digest=key, kind=kind, name=name, by=self.instance, reason="start of the mesh"
            )
            event_id = ids.event_id(f"{key}|{self.clock.now().isoformat()}", "config", 1, 0)
            chunk.append(self._record(topic("config"), key, event, (event_id, "")))
        await self.write(chunk)

    async def write(self, chunk: list[Write]) -> None:
        """Write records in one transaction, again when it failed: equal ids make a repeat harmless.

        Raises `Transient` when the broker stays away, `Fenced` when another door has this one's name.
        """
        for left in reversed(range(TRIES)) if chunk else ():
            begun_s = self.clock.monotonic_s()
            try:
                await self.producer.renew()
                begun_s = self.clock.monotonic_s()
                await self._write_once(chunk)
                return
            except (Transient, Fenced) as error:
                self.producer.expire()
                # A broker that was away for longer than a transaction may last has fenced its producer, and nobody else did.
                other = isinstance(error, Fenced) and self.clock.monotonic_s() - begun_s < TRANSACTION_S
                if other or left == 0:
                    raise

    async def _write_once(self, chunk: list[Write]) -> None:
        self.producer.begin()
        try:
            for write in chunk:
                self.producer.write(write)
            await self.producer.commit()
        except Transient as error:
            if not isinstance(error, InDoubt):
                with suppress(Transient):
                    await self.producer.abort()
            raise

    def _take(self, item: Item, tally: Tally, admitted: list[Admitted]) -> list[Write]:
        match item:
            case Accepted():
                found = accept(item)
                if isinstance(found, Refusal):
                    return self._take(found, tally, admitted)
                tally.accepted += 1
                tally.message_ids.add(found.event.case.message_id)
                admitted.append(found)
            case Refusal():
                tally.refused += 1
                _keep(tally.refusals, item)
                return [self._refused(item)]
            case Skipped():
                tally.skipped_files += 1
                _keep(tally.skipped, item)
            case Remark():
                _keep(tally.remarks, item)
        return []

    def _admit(self, admitted: list[Admitted]) -> list[Write]:
        """Put what a transaction's cases leave in the object store there, small sources together, and return their events.

        One object per case cost 0.6 ms of CPU each on a local disk, and a request each in a cloud.
        """
        small = [one.objects_to_store[0] for one in admitted if len(one.objects_to_store[0]) <= PACKED_BYTES]
        pack = self.objects.put(b"".join(small)) if small else ""
        writes, start = [], 0
        for one in admitted:
            source, *others = one.objects_to_store
            for data in others:
                self.objects.put(data)
            if len(source) <= PACKED_BYTES:
                where, start = f"{pack}#{start}-{start + len(source)}", start + len(source)
            else:
                where = f"{self.objects.put(source)}#0-{len(source)}"
            case = replace(one.event.case, source_ref=where)
            name = topic(f"case.received.{one.event.door}")
            ids_ = (case.message_id, case.message_id)
            writes.append(self._record(name, case.case_id, replace(one.event, case=case), ids_))
        return writes

    def _refused(self, refusal: Refusal) -> Write:
        digests = self._kept(refusal) or [ids.digest(b"")]
        place = f"{refusal.source}#{refusal.place}"
        event = AuditRecorded(
            case_id=digests[0], message_id="", event_id=ids.event_id(place, "intake", 1, 0), stage="intake",
            actor=self.instance, action="refused", why=str(refusal), input_digest=digests[0],
            new=" ".join(digests[:SHOWN]),
        )  # fmt: skip
        return self._record(topic("audit"), digests[0], event, (ids.event_id(place, "intake", 1, -1), ""))

    def _kept(self, refusal: Refusal) -> list[str]:
        """Store the bytes of what was refused, as far as they can be read: a folder, or a file without rights, has none."""
        digests: list[str] = []
        with suppress(OSError):
            for part in parts(refusal):
                digests.append(self.objects.put(part))  # noqa: PERF401  what came before a failure counts
        return digests

    def _record(self, name: str, key: str, event: object, named: tuple[str, str]) -> Write:
        event_id, message = named
        trace = ids.trace_id(message or event_id)
        envelope = Envelope(
            id=event_id, source=source_of("intake"), type=BY_NAME[name].ce_type,
            time=self.clock.now(), subject=key, dataschema=self.codec.dataschema(name),
            traceparent=traceparent_of(trace, ids.span_id(f"intake|{event_id}")), messageid=message,
        )  # fmt: skip
        return Write(
            topic=name, key=key.encode(), value=self.codec.encode(name, event), headers=to_headers(envelope)
        )


def _chunks(items: Iterable[Item]) -> Iterator[list[Item]]:
    """Yield the items in lists of at most `CHUNK`, and of a bounded number of bytes: a large case ends its list."""
    chunk: list[Item] = []
    held = 0
    for item in items:
        chunk.append(item)
        held += len(item.source_bytes) if isinstance(item, Accepted | Refusal) else 0
        if len(chunk) >= CHUNK or held >= CHUNK_BYTES:
            yield chunk
            chunk, held = [], 0
    if chunk:
        yield chunk


def _keep(kept: list[Any], one: Any) -> None:
    if len(kept) < SHOWN:
        kept.append(one)
