"""The librarian's duty of making summaries: when a document has a new version, and by its product's refresh policy."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field

from vigimesh.background.librarian.records import record
from vigimesh.background.librarian.run import NAME
from vigimesh.clock import Clock
from vigimesh.domain.knowledge.products import Products
from vigimesh.domain.knowledge.summaries import body_of, names_of, summarise
from vigimesh.domain.knowledge.warm import Kept, Wanted, gone, wanted
from vigimesh.errors import Refused
from vigimesh.events import ids
from vigimesh.events.classes import UsageRecorded
from vigimesh.events.codec import Codec
from vigimesh.events.topics import topic
from vigimesh.loop.broker import Desk, Write
from vigimesh.ports import Library, Objects, SummaryIndex

_log = logging.getLogger(__name__)

#: Summaries made in one step: two labels of the largest size take some 0.1 s to compare, and other duties wait.
MAX_STEP = 20
#: What `usage` calls the workflow of work that is done for no case.
WORKFLOW = "knowledge"
_USAGE = topic("usage")


@dataclass(slots=True, kw_only=True)
class Summarising:
    """Makes the summaries that are wanted, the most needed first, and forgets those of what was withdrawn.

    What is wanted is read from the library, not from `knowledge.changed`: a change that was told while nobody listened is not missed.
    The body is stored first, its row second: a librarian that is killed in between leaves an object that nobody knows, and makes
    the same one again. An object store that is away or full leaves the rows as they were: an old summary is served within its age and version only.
    """

    library: Library
    index: SummaryIndex
    objects: Objects
    products: Products
    codec: Codec
    desk: Desk
    clock: Clock
    name: str = field(default="summaries", init=False)
    every_s: float = field(default=10.0, init=False)

    async def step(self) -> int:
        """Make at most `MAX_STEP` summaries; return how many. Raises `Transient` when a store or the broker is away."""
        versions = await asyncio.to_thread(self.library.documents)
        kept = {one.document_id: one for one in await asyncio.to_thread(self.index.rows)}
        left = gone(versions, kept)
        if left:
            await asyncio.to_thread(self.index.drop, left)
        made = 0
        for want in wanted(versions, kept, self.products, self.clock.now())[:MAX_STEP]:
            done = await asyncio.to_thread(self._make, want)
            if done is not None:
                await self.desk.write([self._used(done)])
                made += 1
        return made

    def _make(self, want: Wanted) -> Kept | None:
        """Make one summary and keep it; `None` where a version's text was not kept, which a person is told."""
        # Before the sources are read: the age of what is read counts from here.
        read_at = self.clock.now()
        try:
            older = self.library.source(want.document_id, want.older)
            newer = self.library.source(want.document_id, want.version)
        except Refused as error:
            _log.warning("no summary of %s %s: %s", want.document_id, want.version, error.what)
            return None
        body = body_of(summarise(older, newer))
        kept = Kept(
            document_id=want.document_id, product=self.products.of(want.document_id).id, older=want.older, version=want.version,
            digest=self.objects.put(body), size=len(body), names=names_of(newer), read_at=read_at,
        )  # fmt: skip
        self.index.put(kept)
        return kept

    def _used(self, kept: Kept) -> Write:
        """Return what a summary used: bytes of the object store. No price book prices them, so they cost 0, as a retrieval does."""
        used = UsageRecorded(
            case_id="", message_id="", workflow=WORKFLOW, lane="cold", stage=NAME, kind="storage", name="object_store",
            tier="tools", quantity=kept.size, unit="bytes", cache_level="warm",
        )  # fmt: skip
        named = f"summary|{kept.document_id}|{kept.older}|{kept.version}|{kept.read_at.isoformat()}"
        event_id = ids.event_id(named, NAME, 1, 0)
        return record(
            self.codec, (_USAGE, event_id), kept.document_id, self.codec.encode(_USAGE, used), kept.read_at
        )
