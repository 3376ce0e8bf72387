"""What was served is forgotten in small pieces, and never what a recall may still ask for."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from clocks import Hand
from vigimesh.adapters.memory.recalls import MemoryRecalls, Served
from vigimesh.app.config.settings import KnowledgeSettings, read_settings
from vigimesh.background.librarian.forget import LEAST_DAYS, MAX_PIECES, PIECE, Forget
from vigimesh.domain.knowledge.recalling import Brought, changes
from vigimesh.errors import Misconfigured
from vigimesh.ports.recalls import START, Mark

KEEP = timedelta(days=LEAST_DAYS)
LABEL = "product/zelora"


def index(clock: Hand, rows: int) -> MemoryRecalls:
    """Return an index of a label whose first version was superseded and recalled as it was served."""
    at = clock.now()
    served = [Served("t/1", "m1", LABEL, "1.0", number, number + 1, at) for number in range(rows)]
    brought = [
        Brought(document_id=LABEL, version=version, current=version == "1.1", brought_at=at)
        for version in ("1.0", "1.1")
    ]
    found = MemoryRecalls(brought=brought, served=[*served, Served("t/1", "m2", LABEL, "1.1", 0, 1, at)])
    (change,) = changes(brought, at)
    found.mark([
        Mark(use=use, cause=change.cause, state="left", at=at, why="x") for use in found.uses([change], START, 10)
    ])  # fmt: skip
    return found


def step(recalls: MemoryRecalls, clock: Hand) -> int:
    return asyncio.run(Forget(recalls=recalls, clock=clock, keep=KEEP).step())


def test_nothing_goes_before_its_time_and_all_that_is_stale_after_it() -> None:
    clock = Hand()
    recalls = index(clock, 3)
    clock.at_s += KEEP.total_seconds()
    assert step(recalls, clock) == 0
    clock.at_s += 1
    assert step(recalls, clock) == 3
    assert [(row.message_id, row.version) for row in recalls.served] == [
        ("m2", "1.1")
    ]  # of the current version
    assert len(recalls.marks) == 1


def test_a_step_removes_small_pieces_and_ends() -> None:
    clock = Hand()
    found = [PIECE] * MAX_PIECES + [PIECE // 2]
    asked: list[int] = []

    class Large(MemoryRecalls):
        def forget_used(self, changes: object, before: datetime, most: int) -> int:
            asked.append(most)
            return found.pop(0)

    clock.at_s += KEEP.total_seconds() + 1
    large = Large(brought=index(Hand(), 0).brought)
    assert step(large, clock) == MAX_PIECES * PIECE
    assert step(large, clock) == PIECE // 2
    assert asked == [PIECE] * (MAX_PIECES + 1)


def test_a_change_that_is_young_keeps_what_it_made_stale_long_ago() -> None:
    """A version that was superseded ten years ago is recalled anew for the change of today."""
    clock = Hand()
    recalls = index(clock, 3)
    clock.at_s += 2 * KEEP.total_seconds()
    recalls.brought[1] = replace(recalls.brought[1], current=False)
    recalls.brought.append(Brought(document_id=LABEL, version="1.2", current=True, brought_at=clock.now()))
    (change,) = changes(recalls.brought, clock.now())
    recalls.mark([
        Mark(use=use, cause=change.cause, state="left", at=clock.now() - 2 * KEEP, why="x")
        for use in recalls.uses([change], START, 10)
    ])  # fmt: skip
    assert step(recalls, clock) == 0
    assert len(recalls.served) == 4


def test_the_setting_may_not_be_shorter_than_the_duty_allows() -> None:
    assert KnowledgeSettings().keep_used_days == LEAST_DAYS
    with pytest.raises(Misconfigured, match="KEEP_USED_DAYS"):
        read_settings({"VIGIMESH_KNOWLEDGE__KEEP_USED_DAYS": str(LEAST_DAYS - 1)})
