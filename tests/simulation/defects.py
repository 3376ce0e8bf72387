"""Defects that are planted on purpose, each breaking one rule of the loop: the simulation has to find them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

from simulation.faults import KINDS, SimProducer
from simulation.plant import OUTSIDE, Plant
from simulation.virtual import Process
from simulation.world import World
from vigimesh.adapters.memory.broker import MemoryProducer
from vigimesh.events.bodies import NOTHING, Carried
from vigimesh.loop import commit as loop_commit
from vigimesh.loop import finish as loop_finish
from vigimesh.loop.broker import Part, Position, Write
from vigimesh.loop.hand import Hand, Transaction
from vigimesh.loop.outcome import Emit
from vigimesh.loop.progress import Progress
from vigimesh.loop.worker import Bundle, Worker

_real_end = loop_commit._end
_real_settle = loop_commit.settle
_real_write_of = loop_finish.write_of


class DropsABit(Progress):
    """The lowest open offset of the map, beyond the watermark, reads as done."""

    @classmethod
    def resumed(cls, part: Part, epoch: int, position: Position) -> Self:
        found = super().resumed(part, epoch, position)
        if len(found._owed) > 1:
            del found._owed[1]
        return found


class CommitsBeforeHandOver(Progress):
    """What has only been taken in hand counts as done: the commit overtakes it."""

    def position(self, finished: Iterable[int] = ()) -> Position:
        done = set(finished)
        return super().position({offset for offset in self._hand if done and offset <= max(done)})


class ForgetsTheMap(Progress):
    """Commits the watermark without the map, as a plain consumer does."""

    def position(self, finished: Iterable[int] = ()) -> Position:
        return Position(offset=super().position(finished).offset)


@dataclass
class Trusting(SimProducer):
    """Goes on with the same producer after a doubt."""

    def expire(self) -> None: ...


class ReusesADoubtfulProducer(Plant):
    def producer(self, world: World, process: Process, name: str) -> SimProducer:
        made = super().producer(world, process, name)
        return Trusting(made.inner, name, process, world)


class Fresh(MemoryProducer):
    """Commits with the group metadata of this moment."""

    metadata: Callable[[], Any]

    async def send_offsets(self, positions: Mapping[Part, Position], group: Any) -> None:
        await super().send_offsets(positions, self.metadata())


class TakesFreshMetadata(Plant):
    def producer(self, world: World, process: Process, name: str) -> SimProducer:
        inner = Fresh(world.broker, name)
        inner.metadata = self.consumers[process].metadata
        return SimProducer(inner, name, process, world)


async def not_waiting(
    worker: Worker, hand: Hand, bundle: Bundle, turn: tuple[Any, Transaction | None, float]
) -> None:
    """Send the positions of the second transaction while the first may still be ending."""
    await _real_end(worker, hand, bundle, (turn[0], None, turn[2]))


def heedless(hand: Hand) -> frozenset[Part]:
    """Take no heed of transactions that are still ending: positions are read while they may still move."""
    return frozenset()


async def believing(worker: Worker, hand: Hand) -> None:
    """After a doubt, take for granted that nothing was committed: the committed positions are not read."""
    if hand.doubt and not hand.transactions:
        hand.done[:0] = [work for work in hand.doubtful if hand.owns(work.place)]
        hand.doubtful, hand.doubt = [], ""
        for producer in worker.producers:
            producer.expire()
    await _real_settle(worker, hand)


def causeless(
    worker: Worker,
    emit: Emit,
    named: tuple[str, str],
    now: datetime,
    cause: str = "",
    carried: Carried = NOTHING,
) -> Write:
    """Write what came of a recall without its cause: it looks like the arrival again."""
    return _real_write_of(worker, emit, named, now)


def holding(worker: Worker, hand: Hand) -> None:
    """Never fetch again what was held."""
    hand.settled.set()
    for part, place in hand.places.items():
        if part not in hand.held and place.open_count > 5:
            hand.held.add(part)
            worker.consumer.hold(part)


def _only(**kinds: tuple[str, ...]) -> Mapping[str, tuple[str, ...]]:
    return {name.replace("_", "."): found for name, found in kinds.items()}


def _patched(
    name: str, by: Any, kinds: Mapping[str, tuple[str, ...]] = KINDS, outside: tuple[str, ...] = OUTSIDE
) -> Callable[[], Plant]:
    return lambda: Plant(patches={name: by}, kinds=kinds, outside=outside, rate=0.03)


_ENDS = _only(
    commit_before=("kept", "twice", "lost", "slow"), offsets_before=("slow", "transient"), call=("slow",)
)
_SLOW = _only(offsets_before=("slow",))
_FENCES = ("fence at an await",)
_MOVES = ("join", "leave at an await", "freeze at an await")

#: What is planted, and the seeds within which it has to be found.
DEFECTS: Mapping[str, tuple[Callable[[], Plant], int]] = {
    "drop one bit of the map": (_patched("vigimesh.loop.run.Progress", DropsABit), 5),
    "commit without the map": (_patched("vigimesh.loop.run.Progress", ForgetsTheMap), 5),
    "commit before hand-over": (_patched("vigimesh.loop.run.Progress", CommitsBeforeHandOver), 5),
    "reuse a doubtful producer": (lambda: ReusesADoubtfulProducer(kinds=_ENDS, rate=0.03), 40),
    "B sends offsets before A has ended": (_patched("vigimesh.loop.commit._end", not_waiting, _ENDS), 20),
    "fresh group metadata at commit": (
        lambda: TakesFreshMetadata(kinds=_SLOW, outside=_MOVES, rate=0.15),
        120,  # one seed in twenty shows it
    ),
    "read positions that may still move": (
        _patched("vigimesh.loop.hand.Hand.ending", heedless, _SLOW, _FENCES),
        20,
    ),
    "fetching that is held stays held": (_patched("vigimesh.loop.run.unpause", holding), 20),
    "believe a slow commit": (_patched("vigimesh.loop.commit.DOUBT_S", float("inf"), _ENDS), 40),
    "drop the cause of a recall": (_patched("vigimesh.loop.finish.write_of", causeless), 5),
    "commit again without asking": (_patched("vigimesh.loop.run.settle", believing, _ENDS), 20),
}
