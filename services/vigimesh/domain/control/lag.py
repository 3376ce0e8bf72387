"""Lag in records and seconds per stage, lane and workflow, from where groups stand and what `flow` counted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal

from vigimesh.domain.control.flow import FlowTotals
from vigimesh.domain.control.measure import NONE, Known, Measure, Unknown, largest, plain, total
from vigimesh.events.topics import DOORS, LANES, STAGES

State = Literal["unknown", "waiting", "done"]

_UNREAD = "the oldest unfinished record could not be read in time"

#: Every lane of every stage, in the order of the flow. The lanes of the router are its doors.
PLACES: tuple[tuple[str, str], ...] = tuple(
    (stage, lane) for stage in STAGES for lane in (DOORS if stage == "router" else LANES)
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Glance:
    """What was read of a partition from the group's position on: unfinished records only, markers are none.

    `whole` says that the end was reached, so that `records` is all there is. `oldest` is the append time of the first
    record seen of each workflow (empty at the door, where none is known).
    """

    records: int
    whole: bool
    oldest: Mapping[str, datetime] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stand:
    """Where a group stands in one partition.

    `committed` is its next offset, `None` without one. `first` and `end` bound what a reader of committed records can
    still see; both count transaction markers, which are offsets without a record. `trouble` says why nothing is known.
    """

    committed: int | None = None
    first: int = 0
    end: int = 0
    glance: Glance | None = None
    trouble: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class LagRow:
    """Lag of one workflow (empty: of all) in one lane of one stage. `seconds` is the age of the oldest unfinished record."""

    stage: str
    lane: str
    workflow: str
    records: Measure
    seconds: Measure

    @property
    def state(self) -> State:
        """Unknown when any part is; done only when it is known that nothing waits."""
        if isinstance(self.records, Unknown) or isinstance(self.seconds, Unknown):
            return "unknown"
        return "waiting" if self.records.value > 0 else "done"

    def plain(self) -> dict[str, Any]:
        """Return the row for JSON; an unknown number is null, with its cause."""
        causes = [m.cause for m in (self.records, self.seconds) if isinstance(m, Unknown)]
        return {
            "stage": self.stage, "lane": self.lane, "workflow": self.workflow, "state": self.state,
            "records": plain(self.records)["value"], "seconds": plain(self.seconds)["value"],
            "at_most": isinstance(self.records, Known) and self.records.at_most,
            "unknown": bool(causes), "cause": causes[0] if causes else "",
        }  # fmt: skip


def lag(
    stands: Mapping[tuple[str, str], Sequence[Stand]],
    flow: FlowTotals | Unknown,
    workflows: Iterable[str],
    now: datetime,
) -> tuple[LagRow, ...]:
    """Return a row for every lane of every stage, and for every workflow in each lane behind the door.

    `workflows` are those of the cards; others that `flow` has seen are added. A place without a stand is unknown, never
    left out and never 0.
    """
    seen = flow.workflows if isinstance(flow, FlowTotals) else ()
    named = tuple(sorted({*workflows, *seen}))
    return tuple(
        row
        for stage, lane in PLACES
        for row in _place((stage, lane), tuple(stands.get((stage, lane), ())), flow, (named, now))
    )


def records(stand: Stand) -> Measure:
    """Return how many records wait in a partition.

    1. What is not known, or makes no sense, is unknown.
    2. A group that stands at the end has finished.
    3. Records that were read to the end are counted: offsets would count markers, and lag would stay at 1 for ever.
    4. Else the offsets between are an upper bound.
    """
    if cause := _trouble(stand):
        return Unknown(cause=cause)
    if stand.committed == stand.end:
        return NONE
    if stand.glance is not None and stand.glance.whole:
        return Known(value=stand.glance.records)
    return Known(value=stand.end - (stand.committed or 0), at_most=True)


def age(stand: Stand, now: datetime, workflow: str = "") -> Measure:
    """Return the seconds since the oldest unfinished record (of a workflow) was appended; 0 when nothing waits.

    Of a workflow of which none was seen before reading stopped, the oldest record of all is the upper bound.
    """
    if cause := _trouble(stand):
        return Unknown(cause=cause)
    if stand.committed == stand.end:
        return NONE
    glance = stand.glance
    if glance is None:
        return Unknown(cause=_UNREAD)
    if workflow in glance.oldest and workflow:
        return _since(glance.oldest[workflow], now)
    if glance.whole and (workflow or not glance.oldest):
        return NONE
    if not glance.oldest:
        return Unknown(cause=_UNREAD)
    return replace(_since(min(glance.oldest.values()), now), at_most=bool(workflow))


def _place(
    place: tuple[str, str],
    stands: tuple[Stand, ...],
    flow: FlowTotals | Unknown,
    asked: tuple[tuple[str, ...], datetime],
) -> Iterator[LagRow]:
    stage, lane = place
    workflows, now = asked
    if not stands:
        stands = (Stand(trouble="nothing was asked about this lane"),)
    by_workflow = {name: _flow(flow, name, place) for name in workflows} if stage != "router" else {}
    counted = total(records(stand) for stand in stands)
    exact = total(by_workflow.values())
    seen = sum(stand.glance.records for stand in stands if stand.glance is not None)
    if isinstance(counted, Known) and counted.at_most and isinstance(exact, Known) and exact.value >= seen:
        # What the flow counts is exact, unless records are there that it does not know.
        counted = Known(value=min(counted.value, exact.value)) if by_workflow else counted
    yield LagRow(
        stage=stage, lane=lane, workflow="", records=counted,
        seconds=largest(age(stand, now) for stand in stands),
    )  # fmt: skip
    for name, waiting in by_workflow.items():
        seconds = largest(age(stand, now, name) for stand in stands)
        if isinstance(waiting, Known) and waiting.value == 0 and isinstance(seconds, Known):
            seconds = NONE
        yield LagRow(stage=stage, lane=lane, workflow=name, records=waiting, seconds=seconds)


def _flow(flow: FlowTotals | Unknown, workflow: str, place: tuple[str, str]) -> Measure:
    return flow if isinstance(flow, Unknown) else flow.waiting(workflow, *place)


def _since(at: datetime, now: datetime) -> Known:
    # A broker's clock ahead of ours makes no record younger than new.
    return Known(value=max(0.0, (now - at).total_seconds()))


def _trouble(stand: Stand) -> str:
    if stand.trouble:
        return stand.trouble
    if stand.committed is None:
        return "the group has no committed offset: vigimesh topics apply"
    if stand.committed < stand.first:
        return "the group stands before the log's start: records it had not taken are gone"
    if stand.committed > stand.end:
        return (
            f"the group stands at {stand.committed}, behind the log's end {stand.end}: the broker lost its newest records, "
            "or the topic was made anew"
        )
    return ""
