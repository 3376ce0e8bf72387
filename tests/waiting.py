"""Waiting in tests: on a condition, with a deadline; never for a length of time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

#: Seconds between two looks: short beside any service, long beside the look itself.
PAUSE_S = 0.02


def until(condition: Callable[[], T], *, within_s: float, what: str) -> T:
    """Return the first true value of `condition`; fail after `within_s` seconds, saying `what` did not come."""
    deadline = time.monotonic() + within_s
    while not (value := condition()):
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {within_s:g} s: {what}")
        time.sleep(PAUSE_S)
    return value


async def until_async(condition: Callable[[], T], *, within_s: float, what: str) -> T:
    """Do the same as `until` and let the other tasks of the loop run between two looks."""
    deadline = time.monotonic() + within_s
    while not (value := condition()):
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {within_s:g} s: {what}")
        await asyncio.sleep(PAUSE_S)
    return value
