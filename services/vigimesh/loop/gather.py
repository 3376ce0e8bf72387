"""gather: finished work becomes one transaction, with the counts of what flowed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping

from vigimesh.events import ids
from vigimesh.events.classes import FlowCounted
from vigimesh.events.topics import ASIDE, READ, topic
from vigimesh.loop.broker import Part, Write
from vigimesh.loop.finish import traceparent, write_of
from vigimesh.loop.hand import Hand
from vigimesh.loop.outcome import Emit
from vigimesh.loop.worker import RECOMMIT_S, Bundle, Ended, Work, Worker

#: Seconds that finished work of a lane that yields waits for a transaction of others to go with.
_ALONG_S = 0.1


def gather(worker: Worker, hand: Hand) -> Bundle | None:
    """Take the finished work out of the hand, in the order it was finished, and return it as one transaction.

    Nothing while one is ending and less than `worker.overlap` is finished, while both producers are busy, or when an end is in
    doubt: then it waits, and the next bundle is larger. When nothing was finished for `RECOMMIT_S`, the positions alone: they
    stand behind transaction markers then, and monitors outside see that the group is alive.
    """
    if hand.doubt or len(hand.transactions) == 2 or (hand.transactions and len(hand.done) < worker.overlap):
        return None
    now_s = worker.clock.monotonic_s()
    if not hand.done and (hand.transactions or not hand.places or now_s - hand.committed_s < RECOMMIT_S):
        return None
    parts = _together(hand, now_s)
    if parts is None or _goes_along(hand, now_s):
        return None
    # Work of a key that is in a transaction still open waits: what is written first is read first, whoever commits first.
    open_keys = {work.key for transaction in hand.transactions for work in transaction.bundle.works}
    works: list[Work] = []
    later: list[Work] = []
    for work in hand.done:
        (works if work.record.part in parts and work.key not in open_keys else later).append(work)
    if later and not works:
        return None
    hand.done, hand.committed_s = later, now_s
    if not works:
        return Bundle(works=(), writes=(), ended={}, places=dict(hand.places), started_s=now_s)
    writes = [write for work in works for write in work.writes]
    ended = Counter([work.ended for work in works])
    writes.extend(_flow(worker, works[0], ended))
    places = {work.record.part: work.place for work in works}
    return Bundle(
        works=tuple(works), writes=tuple(writes), ended=ended, places=places, started_s=works[0].taken_s
    )


def _goes_along(hand: Hand, now_s: float) -> bool:
    """Return whether all that is finished is of lanes that yield beside others, and may wait for a transaction of those.

    One of its own, for each few records of a turn that is kept short, would be one that the next urgent record waits for.
    """
    if hand.leaving or not hand.done or now_s - hand.committed_s >= _ALONG_S:
        return False
    return all(work.record.part.topic in hand.yielding for work in hand.done)


def _together(hand: Hand, now_s: float) -> frozenset[Part] | None:
    """Return the partitions whose work goes into one transaction; `None` when one is under way that must end first.

    All of them, unless the broker has refused two transactions in a row: then each partition is tried alone, once, so that
    one whose record is refused (a dead letter that its topic does not take) holds up no other.
    """
    if not hand.suspects and not hand.sour:
        return frozenset(hand.places)
    if hand.transactions:
        return None
    waiting = {work.record.part for work in hand.done}
    hand.suspects &= waiting
    due = {part for part in waiting & hand.sour.keys() if hand.sour[part][0] <= now_s}
    alone = sorted(hand.suspects) or sorted(due)
    if alone:
        return frozenset(alone[:1])
    return frozenset(waiting - hand.sour.keys()) or None


def _flow(worker: Worker, first: Work, every: Mapping[Ended, int]) -> Iterator[Write]:
    """Yield what was consumed and sent, per workflow and lane; the ids are made from those of the first work."""
    counts: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    sent: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for ended, times in every.items():
        count = counts[ended.label]
        count["consumed"] += times
        count[ended.action] += times
        for name, workflow, lane in ended.sent:
            count["produced"] += times * (name not in ASIDE)
            if name in READ:
                sent[workflow, lane][name] += times
    now, trace = worker.clock.now(), traceparent(first)
    for index, label in enumerate(sorted(counts.keys() | sent.keys())):
        workflow, lane = label
        flowed = FlowCounted(
            stage=worker.stage.name, workflow=workflow, lane=lane,
            consumed=counts[label]["consumed"], produced=counts[label]["produced"],
            dead_lettered=counts[label]["rejected"], parked=counts[label]["parked"],
            sent=dict(sent[label]),
        )  # fmt: skip
        counted = Emit(topic=topic("flow"), key=workflow, event=flowed, workflow=workflow, lane=lane)
        event_id = ids.event_id(first.envelope.id, f"{worker.stage.name}.flow", 1, index)
        yield write_of(worker, counted, (event_id, trace), now)
