"""How many records each workflow sent to a lane of a stage and how many the stage took: what waits is the difference."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from vigimesh.domain.control.measure import Known, Measure, Unknown
from vigimesh.events.classes import FlowCounted, FlowTotalled
from vigimesh.events.topics import inputs_of

_CONSUMED, _PRODUCED, _SENT = ".consumed", ".produced", ".sent"


@dataclass(slots=True)
class FlowTotals:
    """Running totals per workflow: `STAGE.LANE.consumed`, `STAGE.LANE.produced` and `TOPIC.sent` to their counts.

    A transaction's flow records commit with its outputs, and those of one workflow lie in one partition in the order of
    their commits. So any beginning of the partition counts at most as many records taken as sent.
    """

    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    #: Workflow -> partition of `flow` -> the next offset that its counts do not hold yet, as they were kept.
    stand: dict[str, Mapping[int, int]] = field(default_factory=dict)

    def add(self, partition: int, offset: int, flow: FlowCounted) -> None:
        """Count what one transaction did for a workflow in a lane; a record that the kept counts hold is passed over."""
        if offset < self.stand.get(flow.workflow, {}).get(partition, 0):
            return
        here = self.counts.setdefault(flow.workflow, {})
        place = f"{flow.stage}.{flow.lane}"
        for name, count in ((place + _CONSUMED, flow.consumed), (place + _PRODUCED, flow.produced)):
            here[name] = here.get(name, 0) + count
        for topic, count in flow.sent.items():
            here[topic + _SENT] = here.get(topic + _SENT, 0) + count

    @property
    def starts(self) -> dict[int, int]:
        """Where reading of `flow` goes on per partition: the lowest offset that any workflow's counts stand at.

        A workflow without kept counts had no record below it, because all that had are kept together.
        """
        found: dict[int, int] = {}
        for places in self.stand.values():
            for partition, offset in places.items():
                found[partition] = min(offset, found.get(partition, offset))
        return found

    @property
    def workflows(self) -> tuple[str, ...]:
        """The workflows that were seen, in order; work without one (not routed yet) is left out."""
        return tuple(sorted(name for name in self.counts if name))

    def waiting(self, workflow: str, stage: str, lane: str) -> Measure:
        """Return the records of a workflow that were sent to a lane of a stage and not taken yet; exact.

        Unknown when more were taken than sent: then part of the flow is not counted (written before `sent` was).
        """
        here = self.counts.get(workflow, {})
        sent = here.get(f"{input_of(stage, lane)}{_SENT}", 0)
        left = sent - here.get(f"{stage}.{lane}{_CONSUMED}", 0)
        if left < 0:
            return Unknown(cause="flow counts more records taken than sent")
        return Known(value=left)


def input_of(stage: str, lane: str) -> str:
    """Return the topic that holds a lane's work for a stage; the lanes of the router are its doors."""
    return next(name for name in inputs_of(stage, None) if name.endswith(f".{lane}"))


def totalled(totals: FlowTotals, offsets: Mapping[int, int]) -> Iterator[FlowTotalled]:
    """Yield the events that keep the totals, one per workflow, all standing at the same offsets of `flow`."""
    places = {str(partition): offset for partition, offset in sorted(offsets.items())}
    for workflow, counts in sorted(totals.counts.items()):
        yield FlowTotalled(workflow=workflow, totals=dict(sorted(counts.items())), offsets=places)


def restored(kept: Iterable[FlowTotalled]) -> FlowTotals:
    """Return the totals that were kept, to be counted on from `starts`.

    All are written in one transaction; of two transactions a reader may see the newer of one workflow beside the older
    of another, so each is counted on from its own offsets.
    """
    found = FlowTotals()
    for one in kept:
        found.counts[one.workflow] = dict(one.totals)
        found.stand[one.workflow] = {int(partition): offset for partition, offset in one.offsets.items()}
    return found
