"""How the time of some work grows with its size: what a test may say of speed on a machine that it does not know."""

from __future__ import annotations

import time
from collections.abc import Callable

#: How often each size is tried; the fastest counts.
TRIES = 3
#: Seconds below which a time is all noise: anything that short counts as so long.
LEAST_S = 1e-4


def growth(prepare: Callable[[int], Callable[[], object]], size: int, *, times: int = 8) -> float:
    """Return how many times longer work of `times` the size takes, in processor time of this thread.

    `prepare` makes the work of a size, outside the time that is taken. Where the work is linear the answer is about `times`,
    where it is a square its square.
    """
    return _fastest(prepare, times * size) / max(LEAST_S, _fastest(prepare, size))


def _fastest(prepare: Callable[[int], Callable[[], object]], size: int) -> float:
    spent = []
    for _ in range(TRIES):
        work = prepare(size)
        began = time.thread_time()
        work()
        spent.append(time.thread_time() - began)
    return min(spent)
