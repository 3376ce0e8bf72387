"""The supervisor at work: the verb with its table of case heads and the limits of the present."""

from __future__ import annotations

from collections.abc import Mapping

from vigimesh.domain.policy.cards import Cards
from vigimesh.events.topics import topic
from vigimesh.loop.stage import Fetcher, Stage
from vigimesh.supervisor.supervise import Supervisor


def stage(cards: Cards, fetchers: Mapping[str, Fetcher]) -> Stage:
    """Return the supervisor as the loop runs it: one group over all lanes, `case.head` as its state."""
    return Stage(
        name="supervisor", lane=None, verb=Supervisor(cards), fetchers=fetchers,
        table_topic=topic("case.head"),
    )  # fmt: skip
