"""One look at the lag of a cluster: where groups stand, and what `flow` counted, put together by the rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vigimesh.adapters.kafka.cluster.flow_totals import FlowReader
from vigimesh.adapters.kafka.cluster.positions import Positions
from vigimesh.clock import Clock
from vigimesh.domain.control.flow import FlowTotals
from vigimesh.domain.control.lag import LagRow, lag
from vigimesh.domain.control.measure import Unknown
from vigimesh.events.classes import FlowTotalled
from vigimesh.events.codec import Codec


class LagReader:
    """Looks again and again over connections that stay open; joins no group and moves nothing. For one thread."""

    def __init__(self, base: Mapping[str, Any], codec: Codec, workflows: Sequence[str], clock: Clock) -> None:
        """Connect at the first look. `base` are the settings of every client, `workflows` the names of the cards."""
        self._positions = Positions(base, clock)
        self._flow = FlowReader(base, codec, clock)
        self._workflows = tuple(workflows)
        self._clock = clock

    def look(self, flow_within_s: float) -> tuple[LagRow, ...]:
        """Return a row for every lane of every stage and every workflow in it; what is not known says so.

        Takes at most `flow_within_s` for what `flow` holds that was not counted yet, and a few seconds for the rest. Never
        raises for a broker or registry that is away.
        """
        stands = self._positions.stands()
        troubles = {stand.trouble for some in stands.values() for stand in some}
        flow: FlowTotals | Unknown
        if "" in troubles:
            flow = self._flow.advance(flow_within_s)
        else:  # nothing answered: asking on would only take as long again
            flow = Unknown(cause=min(troubles))
        return lag(stands, flow, self._workflows, self._clock.now())

    def totals(self) -> tuple[FlowTotalled, ...]:
        """Return the totals of `flow` as of the last look, to be kept in one transaction; nothing while unknown."""
        return tuple(self._flow.kept())

    def close(self) -> None:
        """Let go of the connections."""
        self._positions.close()
        self._flow.close()
