"""Progress against a naive model: random work, aborts, doubts, restarts, gaps, compaction, damage and resets.

The same machine is run over progress with a defect planted in it, and must find each.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any, Self

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from vigimesh.loop.broker import Part, Position
from vigimesh.loop.progress import OPEN_MAX, SPACE, Progress, Taken, holds

PART = Part("plan.hot", 0)

#: Offsets without a record before an appended one: none, a marker, many, as many as a long-lived topic has.
GAPS = st.sampled_from((0, 0, 0, 0, 1, 1, 2, 130, 20_000, 1 << 40))

#: How a transaction ended, and whether its end was known.
ENDS = st.sampled_from(
    ("committed", "committed", "committed", "aborted", "lost and committed", "lost and aborted")
)

#: What may have become of the metadata.
DAMAGES = st.sampled_from(("foreign", "future", "changed", "cut", "none"))


class Partition(RuleBasedStateMachine):
    """A partition's log, its committed position, the work that has been committed, and one member at a time."""

    progress_class: type[Progress] = Progress

    def __init__(self) -> None:
        super().__init__()
        self.log: list[int] = []
        self.end = 0
        self.stored = Position(offset=0)
        #: Work whose transaction has committed.
        self.done: set[int] = set()
        #: Done work that may be done again, since the position that said so was damaged or moved by hand.
        self.forgotten: set[int] = set()
        #: What an operator has skipped by a reset forward.
        self.waived: set[int] = set()
        self.hand: set[int] = set()
        self.fetched = 0
        self.epoch = 0
        self.progress = self.progress_class.resumed(PART, 0, self.stored)

    @initialize(start=st.sampled_from((0, 0, 1, 5, 1_000_000)))
    def begin(self, start: int) -> None:
        self.end = start
        self.stored = Position(offset=start)
        self.restart()

    @rule(gaps=st.lists(GAPS, min_size=1, max_size=12))
    def append(self, gaps: list[int]) -> None:
        for gap in gaps:
            self.log.append(self.end + gap)
            self.end = self.log[-1] + 1

    @rule(count=st.sampled_from((100, OPEN_MAX + 200)), apart=st.sampled_from((0, 1, 200)))
    def fill(self, count: int, apart: int) -> None:
        if len(self.log) < 1_000:
            self.append([apart] * count)
            self.poll(500, to_the_end=False)

    @rule(size=st.integers(0, 6), aborted=st.booleans())
    def append_a_transaction(self, size: int, aborted: bool) -> None:
        if aborted:
            self.end += size
        else:
            self.append([0] * size)
        self.end += 1

    @rule(size=st.sampled_from((1, 3, 10, 10, 500)), to_the_end=st.booleans())
    def poll(self, size: int, to_the_end: bool) -> None:
        batch = [offset for offset in self.log if offset >= self.fetched][:size]
        for at, offset in enumerate(batch):
            answer = self.progress.take(offset)
            if answer == "full":
                assert len(self.hand) >= OPEN_MAX
                assert {self.progress.take(later) for later in batch[at + 1 :]} <= {"full"}
                self.progress.reached(self.end)
                self.fetched = self.progress.unpause()
                break
            self.fetched = offset + 1
            if answer == "new":
                assert offset not in self.hand
                assert offset not in self.done - self.forgotten, "offered as new, though committed"
                self.hand.add(offset)
            else:
                assert answer == "done"
                assert offset in self.done, "skipped, though never committed"
        else:
            if to_the_end and not any(offset >= self.fetched for offset in self.log):
                self.progress.reached(self.end)
                self.fetched = max(self.fetched, self.end)
                assert self.hand or self.progress.position() == Position(offset=self.end), (
                    "held back by nothing"
                )
        assert self.progress.next <= self.fetched or self.progress.next == self.stored.offset

    @rule(choice=st.randoms(use_true_random=False))
    def offer_again(self, choice: random.Random) -> None:
        earlier = [offset for offset in self.log if offset < self.progress.next]
        if earlier:
            offset = choice.choice(earlier)
            assert self.progress.take(offset) == ("again" if offset in self.hand else "done")

    @rule(choice=st.randoms(use_true_random=False), share=st.sampled_from((0.0, 0.3, 0.7, 1.0)), end=ENDS)
    def commit(self, choice: random.Random, share: float, end: str) -> None:
        finished = {offset for offset in sorted(self.hand) if choice.random() < share}
        position = self.progress.position(finished)
        self.check(position, finished)
        if end.endswith("committed"):
            self.stored = position
            self.done |= finished
            self.forgotten -= finished
        if end.startswith("lost"):
            settled = {offset for offset in self.hand if holds(self.stored, offset)}
            assert settled == (finished if end.endswith("committed") else set())
            finished = settled
        if end != "aborted":
            self.progress.finish(finished)
            self.hand -= finished

    @rule()
    def restart(self) -> None:
        self.epoch += 1
        self.progress = self.progress_class.resumed(PART, self.epoch, self.stored)
        self.fetched = self.stored.offset
        self.hand.clear()

    @rule(
        choice=st.randoms(use_true_random=False),
        compacted=st.sampled_from((0.0, 0.0, 0.1, 0.5, 1.0)),
        again=st.integers(0, 8),
        end=ENDS,
    )
    def die_in_the_midst(self, choice: random.Random, compacted: float, again: int, end: str) -> None:
        """The common course of a kill: some work committed, a new owner, some of it read again."""
        self.append([0] * 4)
        self.poll(10, to_the_end=False)
        self.commit(choice, 0.3, end)
        self.commit(choice, 0.5, "committed")
        self.log = [offset for offset in self.log if choice.random() >= compacted]
        self.restart()
        self.poll(again, to_the_end=True)

    @precondition(lambda self: self.stored.metadata)
    @rule(damage=DAMAGES, choice=st.randoms(use_true_random=False))
    def damage(self, damage: str, choice: random.Random) -> None:
        text = self.stored.metadata
        at = choice.randrange(len(text))
        metadata = {
            "foreign": "checkpoint of another system",
            "future": text.replace("vm1", "vm2", 1),
            "changed": text[:at] + chr(ord(text[at]) ^ 1) + text[at + 1 :],
            "cut": text[:at],
            "none": "",
        }[damage]
        self.stored = Position(offset=self.stored.offset, metadata=metadata)
        self.forgotten |= {offset for offset in self.done if offset >= self.stored.offset}
        self.restart()

    @rule(choice=st.randoms(use_true_random=False), kept=st.booleans(), near=st.booleans())
    def reset(self, choice: random.Random, kept: bool, near: bool) -> None:
        low, high = (self.stored.offset - 3, self.stored.offset + 3) if near else (0, self.end)
        to = choice.randint(max(low, 0), min(high, self.end))
        if to == self.stored.offset:
            return
        self.waived |= {offset for offset in self.log if offset < to}
        self.stored = Position(offset=to, metadata=self.stored.metadata if kept else "")
        self.forgotten |= {offset for offset in self.done if offset >= to}
        self.waived -= {offset for offset in self.waived if offset >= to}
        self.restart()

    @invariant()
    def what_would_be_committed_is_right(self) -> None:
        self.check(self.progress.position(), set())
        assert self.progress.idle == (not self.hand)
        assert self.progress.open_count >= len(self.hand)

    def check(self, position: Position, finished: set[int]) -> None:
        """Hold a position to the model: nothing skipped, nothing repeated, never back, not past the end, no larger."""
        assert self.stored.offset <= position.offset <= max(self.end, self.stored.offset)
        assert len(position.metadata) <= SPACE
        assert position.metadata.isascii()
        for offset in self.log:
            if holds(position, offset):
                assert offset in self.done or offset in finished or offset in self.waived, (
                    f"{offset} would be skipped"
                )
            else:
                assert offset not in finished, f"{offset} would be done again"
                assert offset in self.forgotten or offset not in self.done, f"{offset} would be done again"

    def teardown(self) -> None:
        """Whatever went before, the rest is read and done, each once."""
        for _ in range(len(self.log) + 2):
            self.poll(500, to_the_end=True)
            self.commit(random.Random(0), 1.0, "committed")
            if self.fetched >= self.end:
                break
        assert self.stored == Position(offset=self.end)
        assert set(self.log) <= self.done | self.waived
        assert self.progress.open_count == 0
        assert not self.progress.full


#: Enough for each planted defect below to be found with room to spare, in a few seconds.
EXAMPLES = settings(
    max_examples=200,
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    # Explaining a failure runs it hundreds of times more.
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
)

TestPartition = Partition.TestCase
TestPartition.settings = EXAMPLES


class DropsABit(Progress):
    """One open offset of the map is lost."""

    __slots__ = ()

    @classmethod
    def resumed(cls, part: Part, epoch: int, position: Position) -> Self:
        made = super().resumed(part, epoch, position)
        if made._owed:
            made._owed.pop()
        return made


class BaseOneUp(Progress):
    """The watermark is one too high."""

    __slots__ = ()

    def position(self, finished: Iterable[int] = ()) -> Position:
        made = super().position(finished)
        return Position(offset=made.offset + 1, metadata=made.metadata)


class BaseOneDown(Progress):
    """The watermark is one too low."""

    __slots__ = ()

    def position(self, finished: Iterable[int] = ()) -> Position:
        made = super().position(finished)
        return Position(offset=max(0, made.offset - 1), metadata=made.metadata)


class MapOneOff(Progress):
    """The map is read one offset too high."""

    __slots__ = ()

    @classmethod
    def resumed(cls, part: Part, epoch: int, position: Position) -> Self:
        made = super().resumed(part, epoch, position)
        for at in range(len(made._owed)):
            made._owed[at] += 1
        return made


class UnknownIsDone(Progress):
    """Metadata that cannot be read counts as progress."""

    __slots__ = ()

    @classmethod
    def resumed(cls, part: Part, epoch: int, position: Position) -> Self:
        made = super().resumed(part, epoch, position)
        if made.trouble:
            made._high = position.offset + 3
        return made


class LosesTheTail(Progress):
    """While reading again, the rest of the map is left out."""

    __slots__ = ()

    def position(self, finished: Iterable[int] = ()) -> Position:
        owed, high = self._owed.copy(), self._high
        if self._hand and self.next < self._high:
            self._owed.clear()
            self._high = self.next
        made = super().position(finished)
        self._owed, self._high = owed, high
        return made


class FinishesTooEarly(Progress):
    """Work counts as done before its transaction has committed."""

    __slots__ = ()

    def position(self, finished: Iterable[int] = ()) -> Position:
        self.finish(finished)
        return super().position()


class NeverRefuses(Progress):
    """A refused record is passed over, and what comes after it is taken."""

    __slots__ = ()

    def take(self, offset: int) -> Taken:
        answer = super().take(offset)
        self._refused = False
        return answer


class KeepsTheCompacted(Progress):
    """An open offset of the map that was compacted away holds the watermark back for ever."""

    __slots__ = ()

    def reached(self, end: int) -> None:
        owed = self._owed.copy()
        super().reached(end)
        self._owed = owed


class MarkersAreOpen(Progress):
    """The end that was read to is not taken in, so that markers hold the watermark back."""

    __slots__ = ()

    def reached(self, end: int) -> None:
        pass


DEFECTS: list[type[Progress]] = [
    DropsABit,
    BaseOneUp,
    BaseOneDown,
    MapOneOff,
    UnknownIsDone,
    LosesTheTail,
    FinishesTooEarly,
    NeverRefuses,
    KeepsTheCompacted,
    MarkersAreOpen,
]


@pytest.mark.parametrize("defect", DEFECTS, ids=lambda defect: defect.__name__)
def test_a_planted_defect_is_found(defect: type[Progress]) -> None:
    machine: Any = type("Planted", (Partition,), {"progress_class": defect})
    hunt = settings(
        EXAMPLES,
        max_examples=2_000,  # each defect shows within the first 200
        phases=[Phase.generate],
        derandomize=True,
        database=None,
        report_multiple_bugs=False,
    )
    with pytest.raises(AssertionError):
        run_state_machine_as_test(machine, settings=hunt)
