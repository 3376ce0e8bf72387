"""What was spent, from `usage` alone."""

from __future__ import annotations

from dataclasses import dataclass, field

from vigimesh.events.classes import UsageRecorded


@dataclass(slots=True)
class Spent:
    """Costs in micro-units of the cards' currency by workflow; a paid call counts once, however often it was used.

    It is used twice when its message was sent twice, or when its event was worked on again after its answer was stored.
    """

    by_workflow: dict[str, int] = field(default_factory=dict)
    #: Message -> what it cost, where that is anything.
    by_message: dict[str, int] = field(default_factory=dict)
    #: Paid call -> what it cost.
    calls: dict[str, int] = field(default_factory=dict)

    def add(self, used: UsageRecorded) -> None:
        """Count one record of `usage`."""
        if used.call_id:
            if used.call_id in self.calls:
                return
            self.calls[used.call_id] = used.cost_micro
        self.by_workflow[used.workflow] = self.by_workflow.get(used.workflow, 0) + used.cost_micro
        if used.cost_micro:
            self.by_message[used.message_id] = self.by_message.get(used.message_id, 0) + used.cost_micro
