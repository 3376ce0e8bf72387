"""The index of parked events against a plain model, and how little it takes; the glance at a body against the codec."""

from __future__ import annotations

import tracemalloc
from datetime import UTC, datetime, timedelta

import hypothesis.strategies as st
from hypothesis import given, settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from vigimesh.adapters.memory.registry import MemorySchemas
from vigimesh.background.resumer.glance import Glimpse, glimpse
from vigimesh.background.resumer.index import LABELS_MAX, Index, micros
from vigimesh.domain.budget.waiting import WAITS
from vigimesh.events.classes import EventParked
from vigimesh.events.codec import Codec
from vigimesh.events.topics import topic

KEYS = st.sampled_from([b"a", b"b", b"c", b"d", b"e"])
MOMENTS = st.integers(0, 20)
TEXTS = st.text(st.characters(codec="utf-8"), max_size=200)
LABELS = st.sampled_from([0, 1, LABELS_MAX])


class Machine(RuleBasedStateMachine):
    """A log of one partition, read in order; what the index says is compared with the log itself.

    `waits` is what a reader of the whole log up to here would resume: key -> moment and offset of its newest record.
    """

    def __init__(self) -> None:
        super().__init__()
        self.index = Index()
        self.offset = 0
        self.now = 0
        self.waits: dict[bytes, tuple[int, int]] = {}
        self.labels: dict[bytes, int] = {}
        self.hand: dict[int, bytes] = {}
        self.untold: list[tuple[bytes, int]] = []

    @rule(key=KEYS, moment=MOMENTS, label=LABELS)
    def park(self, key: bytes, moment: int, label: int) -> None:
        """An event is parked: its record is read, behind the tombstones that were written before it."""
        self.tombstones()
        self.index.learn(key, self.offset, moment, label)
        self.lost(key)
        self.waits[key], self.labels[key] = (moment, self.offset), label
        self.offset += 1

    @rule(key=KEYS, moment=MOMENTS)
    def overtaken(self, key: bytes, moment: int) -> None:
        """A record is read that was written before a tombstone of ours which is still to come."""
        if key in [name for name, _ in self.untold]:
            self.index.learn(key, self.offset, moment)
            self.offset += 1

    @rule(key=KEYS)
    def close(self, key: bytes) -> None:
        """Somebody else writes a tombstone."""
        self.tombstones()
        self.index.learn(key, self.offset, None)
        self.lost(key)
        self.offset += 1

    @rule(step=st.integers(-5, 5))
    def clock(self, step: int) -> None:
        self.now = max(0, self.now + step)

    @rule(wanted=st.dictionaries(MOMENTS, st.sets(LABELS), max_size=3), whenever=st.sets(LABELS, max_size=1))
    def call_back(self, wanted: dict[int, set[int]], whenever: set[int]) -> None:
        found = [
            key for key, (moment, offset) in self.waits.items()
            if moment > self.now and offset not in self.hand and self.labels[key] in wanted.get(moment, set()) | whenever
        ]  # fmt: skip
        assert self.index.call_back(wanted, self.now, whenever) == len(found)
        self.waits |= {key: (self.now, self.waits[key][1]) for key in found}

    @rule()
    def take(self) -> None:
        soonest = self.index.soonest_us()
        free = {where: key for key, where in self.waits.items() if where[1] not in self.hand}
        assert soonest == (min(free)[0] if free else None)
        if soonest is not None and soonest <= self.now:
            offset = self.index.take()
            assert (soonest, offset) == min(free)
            self.hand[offset] = free[min(free)]

    @rule()
    def give_back(self) -> None:
        self.index.give_back(list(self.hand))
        self.hand.clear()

    @rule()
    def commit(self) -> None:
        """What is in hand is resumed for certain; its tombstones are read some time later."""
        for offset, key in self.hand.items():
            assert self.index.in_hand(offset)
            self.index.resumed(key, offset)
            self.waits.pop(key)
            self.untold.append((key, offset))
        self.hand.clear()

    @rule()
    def tombstones(self) -> None:
        for key, _ in self.untold:
            self.index.learn(key, self.offset, None)
            self.offset += 1
        self.untold.clear()

    def lost(self, key: bytes) -> None:
        where = self.waits.pop(key, None)
        if where is not None:
            self.hand.pop(where[1], None)
            assert not self.index.in_hand(where[1])

    @invariant()
    def holds_what_waits(self) -> None:
        assert len(self.index) == len(self.waits)
        assert all(self.index.due(offset, self.waits[key][0]) for offset, key in self.hand.items())
        assert not any(self.index.due(offset, self.waits[key][0] - 1) for offset, key in self.hand.items())


TestIndexAgainstAModel = Machine.TestCase
TestIndexAgainstAModel.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def test_an_event_costs_less_than_200_bytes() -> None:
    many = 20_000
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        index = Index()
        for number in range(many):
            index.learn(
                b"%032x" % (number * 7_919), number, 1_790_000_000_000_000 + number * 3 % 1_000_003, 7
            )
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(index) == many
    assert (after - before) / many < 200


def test_an_index_that_is_filled_and_emptied_does_not_grow() -> None:
    index = Index()
    for number in range(50_000):
        index.learn(b"%d" % (number % 10), number, number)
    assert len(index) == 10
    assert len(index._heap) < 2_100
    assert len(index._stale) < 2_100


def test_a_moment_before_1970_is_due() -> None:
    assert micros(datetime(1900, 1, 1, tzinfo=UTC)) == 0


@given(
    name=TEXTS, seconds=st.integers(-2_000_000_000, 200_000_000_000), micro=st.integers(0, 999_999),
    reason=st.builds("".join, st.tuples(st.sampled_from(["", WAITS["denied"], WAITS["gathered"]]), TEXTS)),
    workflow=TEXTS,
)  # fmt: skip
def test_the_glance_sees_what_the_codec_decodes(
    name: str, seconds: int, micro: int, reason: str, workflow: str
) -> None:
    codec = CODEC
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds, microseconds=micro)
    event = EventParked(
        event_id=name, not_before=moment, resume_topic=topic("plan.hot"), reason=reason, workflow=workflow
    )
    value = codec.encode(topic("parked"), event)
    head = b"\x00" + codec.schema_id(topic("parked")).to_bytes(4, "big")
    seen = glimpse(value, head)
    money = reason.startswith(WAITS["denied"])
    assert seen == Glimpse(micros(moment), topic("plan.hot").encode(), workflow.encode(), money)
    assert seen.due_us == micros(codec.decode(topic("parked"), value).not_before)


CODEC = Codec(MemorySchemas())


def test_the_glance_leaves_what_it_does_not_know_to_the_codec() -> None:
    head, rest = b"\x00\x00\x00\x00\x05", b"\x02t\x02r\x02w"
    assert glimpse(head + b"\x02a\x02" + rest, head) == Glimpse(1, b"t", b"w", money=False)
    assert glimpse(b"\x00\x00\x00\x00\x06\x02a\x02" + rest, head) is None
    assert glimpse(head, head) is None
    assert glimpse(head + b"\x02a\xff", head) is None
    assert glimpse(head + b"\xc8\x01a\x02" + rest, head) is None
    assert glimpse(head + b"\x01a\x02" + rest, head) is None
    assert glimpse(head + b"\x02a\x02" + rest[:-1], head) is None
