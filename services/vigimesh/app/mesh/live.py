"""The live table of a run: what each stage has taken, by lane. On a terminal only."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from vigimesh.app.mesh.tail import Tail
from vigimesh.events.topics import LANES, STAGES

#: Redraws per second.
_PER_S = 4


@contextmanager
def live(tail: Tail, told: Callable[[], str]) -> Iterator[None]:
    """Show the progress of a run on standard error while the block runs; `told` gives the line above the table.

    Where standard error is no terminal nothing is drawn.
    """
    console = Console(stderr=True)
    if not sys.stderr.isatty():
        yield
        return
    with Live(
        get_renderable=lambda: _picture(tail, told()),
        console=console,
        refresh_per_second=_PER_S,
        transient=True,
    ):
        yield


def _picture(tail: Tail, told: str) -> Group:
    # The line stands beside the table, not in it: a title is folded to the table's width.
    return Group(Text(told), _table(tail))


def _table(tail: Tail) -> Table:
    table = Table()
    table.add_column("stage")
    for lane in LANES:
        table.add_column(lane, justify="right")
    table.add_column("all", justify="right")
    taken = dict(tail.taken)
    for stage in STAGES:
        counts = [taken.get((stage, lane), 0) for lane in LANES]
        table.add_row(stage, *(str(count) for count in counts), str(sum(counts)))
    return table
