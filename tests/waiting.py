"""Waiting in tests: on a condition, with a deadline; never for a length of time."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

#: Seconds after which what must come is taken for lost. A limit of patience and no claim: a busy machine has let a broker stand still
#: for 45. What is promised within a time is waited for with that time.
WAIT_S = 60.0

#: Seconds between two looks: short beside any service.
PAUSE_S = 0.02

#: A pause is so many times as long as what the look took of a processor, up to so many seconds: one that reads topics, or
#: starts a program, would else take a processor from what it waits for.
REST, REST_MOST_S = 3, 1.0


def until(condition: Callable[[], T], *, within_s: float = WAIT_S, what: str) -> T:
    """Return the first true value of `condition`; fail after `within_s` seconds, saying `what` did not come."""
    deadline = time.monotonic() + within_s
    used_s = _used_s()
    while not (value := condition()):
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {within_s:g} s: {what}")
        time.sleep(max(PAUSE_S, min(REST * (_used_s() - used_s), REST_MOST_S)))
        used_s = _used_s()
    return value


def _used_s() -> float:
    """Return the processor time that this process has used, and those that it started and waited for."""
    return time.process_time() + sum(os.times()[2:4])


async def until_async(condition: Callable[[], T], *, within_s: float = WAIT_S, what: str) -> T:
    """Do the same as `until` and let the other tasks of the loop run between two looks."""
    deadline = time.monotonic() + within_s
    while not (value := condition()):
        if time.monotonic() >= deadline:
            raise AssertionError(f"not within {within_s:g} s: {what}")
        await asyncio.sleep(PAUSE_S)
    return value
