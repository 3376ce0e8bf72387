"""How the stand-in behaves: its latency, its faults, its accuracy; all drawn from a seed."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

#: Milliseconds that one answer takes at most, ten minutes: a log-normal has no end of its own.
MAX_LATENCY_MS = 600_000.0

#: Seconds before a batch starts at most, a week: a log-normal has no end of its own; and seconds of one request in it.
MAX_START_S, MAX_ITEM_S = 604_800.0, 3_600.0

#: Faults other than a status, with what a client sees. All of them cost money with a real endpoint.
WORDS: Mapping[str, str] = {
    "hang": "nothing ever comes",
    "close": "the connection is closed without a reply",
    "cut": "the connection is closed in the middle of the body",
    "truncated": "a whole reply whose JSON ends in the middle",
    "no-usage": "an answer that does not say what it used",
    "drip": "the answer comes byte by byte",
}
#: Any error status is a fault as well.
_STATUS = re.compile(r"[45][0-9]{2}")


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchProfile:
    """How long a batch takes, and how many of its requests fail.

    It starts after a log-normal time whose median is `start_s` (standard deviation of its logarithm: `spread`); from then on a
    request takes `item_s` seconds, one after the other in a drawn order. `faults` gives the share of requests that end with an
    error status in the error file. Nothing that fails in a batch is billed.
    """

    start_s: float = 600.0
    item_s: float = 0.5
    spread: float = 0.5
    faults: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise `ValueError` for what cannot be."""
        if not (
            0 <= self.start_s <= MAX_START_S and 0 <= self.item_s <= MAX_ITEM_S and 0 <= self.spread <= 5
        ):
            raise ValueError(
                "a batch starts after 0 to 604,800 s, its requests take 0 to 3,600 s, its spread is 0 to 5"
            )
        if any(_STATUS.fullmatch(name) is None or not 0 <= rate <= 1 for name, rate in self.faults.items()):
            raise ValueError("a fault in a batch is a status from 400 to 599, its rate 0 to 1")
        if sum(self.faults.values()) > 1:
            raise ValueError("the rates of all faults together are at most 1")

    def started_s(self, seed: int, name: str) -> float:
        """Return how many seconds a batch waits before it starts; always the same."""
        return min(self.start_s * math.exp(self.spread * Random(f"{seed}|batch|{name}").gauss()), MAX_START_S)

    def order(self, seed: int, name: str, items: int) -> list[int]:
        """Return the order in which the requests of a batch are worked on; always the same."""
        order = list(range(items))
        Random(f"{seed}|order|{name}").shuffle(order)
        return order

    def fault(self, seed: int, digest: str, nth: int) -> str:
        """Return the fault of the `nth` time that this prompt comes in a batch, or nothing; always the same."""
        return _drawn(Random(f"{seed}|item|{digest}|{nth}"), self.faults)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What the stand-in does when a request does not say otherwise.

    Latency is log-normal: `latency_ms` is its median, `spread` the standard deviation of its logarithm (0: always the
    median). `accuracy` is the share of labelled questions that it answers as labelled. `faults` gives the share of requests
    that meet a fault.
    """

    latency_ms: float = 250.0
    spread: float = 0.3
    seed: int = 1
    accuracy: float = 0.97
    faults: Mapping[str, float] = field(default_factory=dict)
    batch: BatchProfile = field(default_factory=BatchProfile)

    def __post_init__(self) -> None:
        """Raise `ValueError` for what cannot be."""
        if not (0 <= self.latency_ms <= MAX_LATENCY_MS and 0 <= self.spread <= 5):
            raise ValueError("latency is 0 to 600,000 ms with a spread of 0 to 5")
        if not 0 <= self.accuracy <= 1:
            raise ValueError("accuracy is 0 to 1")
        if any(not known(name) or not 0 <= rate <= 1 for name, rate in self.faults.items()):
            raise ValueError(
                f"a fault is a status from 400 to 599 or one of {', '.join(WORDS)}, its rate 0 to 1"
            )
        if sum(self.faults.values()) > 1:
            raise ValueError("the rates of all faults together are at most 1")

    def draw(self, digest: str, nth: int) -> tuple[float, str]:
        """Return latency in seconds and fault (or nothing) of the `nth` request with a prompt digest; always the same."""
        chance = Random(f"{self.seed}|wire|{digest}|{nth}")
        latency_ms = min(self.latency_ms * math.exp(self.spread * chance.gauss()), MAX_LATENCY_MS)
        return latency_ms / 1000, _drawn(chance, self.faults)


def _drawn(chance: Random, faults: Mapping[str, float]) -> str:
    left = chance.random()
    for name, rate in sorted(faults.items()):
        if left < rate:
            return name
        left -= rate
    return ""


def known(fault: str) -> bool:
    """Return whether this names a fault."""
    return fault in WORDS or _STATUS.fullmatch(fault) is not None


def read_faults(text: str) -> dict[str, float]:
    """Read `429=0.01,hang=0.001`; nothing is no fault. Raises `ValueError` for anything else."""
    found: dict[str, float] = {}
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, equals, rate = part.partition("=")
        if not equals or not known(name) or name in found:
            raise ValueError(part)
        found[name] = float(rate)
    return found
