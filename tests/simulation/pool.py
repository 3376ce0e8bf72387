"""Runs many seeds on every core."""

from __future__ import annotations

import logging
import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait

from simulation.parts import Result


def everywhere(run: Callable[[int], Result], seeds: Iterable[int]) -> Iterator[Result]:
    """Yield the results of seeds as they come; a seed is asked for when a core is about to be free."""
    cores = os.cpu_count() or 1
    running: set[Future[Result]] = set()
    with ProcessPoolExecutor(
        cores,
        mp_context=multiprocessing.get_context("spawn"),
        # What the processes of a run log of their faults is the same some thousand times.
        initializer=logging.disable,
        initargs=(logging.CRITICAL,),
    ) as pool:
        for seed in seeds:
            running.add(pool.submit(run, seed))
            if len(running) >= 2 * cores:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in done)
        yield from (future.result() for future in running)
