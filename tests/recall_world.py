"""Cases that rest on a label, the label changed, and the librarian who recalls them: all in memory, stopped wherever a test wants."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import datetime

from clocks import Hand
from libraries import note
from passage import Passage
from unit.policy_making import ADULT
from vigimesh.adapters.memory.broker import MemoryBroker
from vigimesh.adapters.memory.recalls import MemoryRecallDesk, MemoryRecalls, Served
from vigimesh.adapters.memory.registry import MemorySchemas
from vigimesh.app.cases.history import audit_facts
from vigimesh.background.librarian.recall import Recaller
from vigimesh.domain.knowledge.recalling import Brought
from vigimesh.domain.record.checker import Check, check
from vigimesh.domain.record.rows import Row
from vigimesh.events.case import Case, Product, Reaction
from vigimesh.events.classes import CaseDecided, CaseReceived, CaseRouted, ReviewRequested
from vigimesh.events.codec import Codec
from vigimesh.events.envelope import from_headers, to_headers
from vigimesh.events.knowledge import RetrievalMeasured
from vigimesh.events.topics import BY_NAME, topic
from vigimesh.loop.broker import Write

LABEL = "product/zelora"
CHANGED_AT = datetime.fromisoformat("2026-01-01T00:00:00+00:00")


def case(number: int, product: str = "Zelora", reaction: str = "Hiccups", **changes: object) -> Case:
    """Return a non-serious case of a grown-up in the US."""
    one = dataclasses.replace(
        ADULT, message_id=f"{number:032x}", case_id=f"default/Z-{number}",
        products=(Product(name=product, kind="vaccine", role="suspect"),),
        reactions=(Reaction(text=reaction.lower(), term=reaction, highlighted="1"),),
    )  # fmt: skip
    return dataclasses.replace(one, **changes)  # type: ignore[arg-type]  # fields of Case, given by name


class World:
    """The five verbs, the topics on a broker with transactions, the index of what was served, and the librarian."""

    def __init__(self, cases: Sequence[Case], listed: str = "Hiccups") -> None:
        self.clock = Hand()
        self.codec = Codec(MemorySchemas())
        self.broker = MemoryBroker(tuple(BY_NAME), self.clock)
        self.mesh = self.passage()
        self.recalls = MemoryRecalls()
        self._copied = 0
        self.bring("1.0", listed)
        self.mesh.accept([CaseReceived(case=one) for one in cases])
        self.run()

    def passage(self) -> Passage:
        """Return the five verbs; another kind of world may have others."""
        return Passage(self.codec)

    def bring(self, version: str, listed: str) -> None:
        """Ingest a version of the label: it is current from then on."""
        self.mesh.load([note(version, listed)])
        self.recalls.brought = [dataclasses.replace(one, current=False) for one in self.recalls.brought]
        self.recalls.brought.append(
            Brought(document_id=LABEL, version=version, current=True, brought_at=CHANGED_AT)
        )

    def run(self, *, booked: bool = True) -> None:
        """Let the stages work on what there is; `booked` says whether telemetry arrives in the index."""
        self.mesh.run()
        for row in self.mesh.rows[self._copied :]:
            if row.headers.source.endswith("/librarian"):
                continue
            self.clock.at_s += 0.001
            self.broker.append(
                Write(topic=row.topic, key=row.key.encode(), value=row.value, headers=to_headers(row.headers))
            )
        self._copied = len(self.mesh.rows)
        if booked:
            self.book()

    def book(self) -> None:
        """Bring all telemetry into the index, as `knowledge.used` has it."""
        self.recalls.served.clear()
        for row in self.mesh.rows:
            if row.topic == topic("retrieval.telemetry"):
                event: RetrievalMeasured = self.codec.decode(row.topic, row.value or b"")
                for passage in event.passages:
                    name, _, place = passage.partition("#")
                    document, _, version = name.rpartition("@")
                    first, _, last = place.partition("-")
                    self.recalls.served.append(
                        Served(event.case_id, event.message_id, document, version, int(first), int(last))
                    )

    def librarian(self) -> Recaller:
        """Return a librarian who has just started."""
        return Recaller(
            recalls=self.recalls, desk=MemoryRecallDesk(self.broker), codec=self.codec, clock=self.clock, actor="test",
        )  # fmt: skip

    def orders(self) -> list[Row]:
        """Return the recalls that were committed."""
        return [
            row for row in self.committed() if row.topic.startswith("vigimesh.plan.") and row.headers.cause
        ]

    def routes(self) -> list[CaseRouted]:
        """Return the orders as they lie on the topics."""
        return [self.codec.decode(row.topic, row.value or b"") for row in self.orders()]

    def committed(self) -> list[Row]:
        """Return what librarians committed."""
        found = []
        for name in BY_NAME:
            for one in self.broker.committed_records(name):
                headers = from_headers(one.headers, "")
                if headers.source.endswith("/librarian"):
                    key = one.key.decode()
                    found.append(Row(name, one.part.partition, one.offset, one.at, key, headers, one.value))
        return found

    def deliver(self) -> None:
        """Hand what librarians committed, and the mesh does not have yet, to the mesh, and let it work."""
        there = [row.headers.id for row in self.mesh.rows]
        for row in self.committed():
            if there.count(row.headers.id) < sum(
                one.headers.id == row.headers.id for one in self.committed()
            ):
                self.mesh.take(row)
        self._copied = len(self.mesh.rows)
        self.run()

    def ends(self) -> dict[str, tuple[str, str]]:
        """Return the last conclusion of each message: decision or rule, and its cause."""
        found: dict[str, tuple[str, str]] = {}
        for row in self.mesh.rows:
            if row.topic in (topic("case.decided"), topic("case.review")):
                event: CaseDecided | ReviewRequested = self.codec.decode(row.topic, row.value or b"")
                word = event.decision if isinstance(event, CaseDecided) else event.rule
                found[event.message_id] = word, event.cause
        return found

    def check(self) -> Check:
        """Return what the checker says of it all."""
        return check(self.mesh.rows, audits=tuple(audit_facts(self.mesh.rows, self.codec)))
