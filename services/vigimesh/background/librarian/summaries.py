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
from vigimesh.domain.knowledge.warm import Cost, Kept, LastTwo, Wanted, cost_of, gone, wanted
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

    What is wanted is read from the library, not from `knowledge.changed`: a change that was told while nobody listened is not missed. It is read
    when the number of the library's state is another than before; at rest a step asks for that number and compares ages in memory.
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
    _last: LastTwo | None = field(default=None, init=False)
    _kept: dict[str, Kept] = field(default_factory=dict, init=False)

    async def step(self) -> int:
        """Make at most `MAX_STEP` summaries; return how many. Raises `Transient` when a store or the broker is away."""
        pairs = await asyncio.to_thread(self._look)
        left = gone(pairs, self._kept)
        if left:
            await asyncio.to_thread(self.index.drop, left)
            for name in left:
                del self._kept[name]
        made = 0
        for want in wanted(pairs, self._kept, self.products, self.clock.now())[:MAX_STEP]:
            done = await asyncio.to_thread(self._make, want)
            if done is not None:
                await self.desk.write(self._used(*done))
                made += 1
        return made

    def _look(self) -> tuple[Wanted, ...]:
        """Read what changed: nothing while the library stands as it did."""
        found = self.library.last_two(self._last.number if self._last else None)
        if found is not None:
            # Another librarian may have made some of them.
            self._kept = {one.document_id: one for one in self.index.rows()}
            self._last = found
        return self._last.pairs if self._last else ()

    def _make(self, want: Wanted) -> tuple[Kept, Cost] | None:
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
        product = self.products.of(want.document_id)
        kept = Kept(
            document_id=want.document_id, product=product.id, older=want.older, version=want.version,
            digest=self.objects.put(body), size=len(body), names=names_of(newer), read_at=read_at,
        )  # fmt: skip
        cost = cost_of(len(older.document.text) + len(newer.document.text), product.summary_price)
        self.index.put(kept, cost)
        self._kept[want.document_id] = kept
        return kept, cost

    def _used(self, kept: Kept, cost: Cost) -> list[Write]:
        """Return what a summary used: the run at its product's price, and the bytes of the object store, which that price holds."""
        run = UsageRecorded(
            case_id="", message_id="", workflow=WORKFLOW, lane="cold", stage=NAME, kind="tool_run", name="summary",
            tier="tools", quantity=1, unit="runs", price_micro=cost.micro, cost_micro=cost.micro, currency=cost.currency,
            cache_level="warm",
        )  # fmt: skip
        stored = UsageRecorded(
            case_id="", message_id="", workflow=WORKFLOW, lane="cold", stage=NAME, kind="storage", name="object_store",
            tier="tools", quantity=kept.size, unit="bytes", currency=cost.currency, cache_level="warm",
        )  # fmt: skip
        named = f"summary|{kept.document_id}|{kept.older}|{kept.version}|{kept.read_at.isoformat()}"
        return [
            record(
                self.codec, (_USAGE, ids.event_id(named, NAME, 1, at)), kept.document_id, self.codec.encode(_USAGE, used),
                kept.read_at,
            )
            for at, used in enumerate((stored, run))
        ]  # fmt: skip
