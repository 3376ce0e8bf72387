"""The priced backlog on recorded traffic: VAERS reports of 1996 by the day they were received. Nothing flaps."""

from __future__ import annotations

import csv
import gzip
from collections import Counter
from datetime import timedelta
from itertools import groupby
from pathlib import Path
from random import Random

import pytest

from pricing_making import NOW, account, backlog, lowered, means
from vigimesh.domain.control import pricing
from vigimesh.domain.control.pricing import CALM_FOR_S, LOWERED, InForce, price

#: A day of the record is taken for ten minutes, so that its deliveries come at a pace that can outrun the money; seconds between two looks.
DAY_S, LOOK_S = 600, 5
#: Days of the record, from its first: the half of the year with its largest delivery but one.
DAYS = 130
#: What one case is expected to cost, and what one costs at least: a reservation is trimmed to what the answer took.
COST, LEAST = 10, 2
#: Cases that a day's money pays for at their expected cost: half the days of the record bring more.
PAID = 40
#: Cases that are paid for between two looks, as long as the lane may ask.
SPEED = 5


@pytest.fixture(scope="module")
def received(real_data: Path) -> list[int]:
    """Return how many reports came on each day on which any did."""
    days: Counter[str] = Counter()
    with gzip.open(real_data / "vaers" / "1996VAERSDATA.csv.gz", "rt", encoding="latin-1") as file:
        for row in csv.DictReader(file):
            days[row["RECVDATE"]] += 1
    # Month, day, year: of one year they are in order as they stand.
    return [days[day] for day in sorted(days)][:DAYS]


def played(received: list[int], seed: int = 7) -> list[list[str]]:
    """Return what is lowered after each look; what waits is carried over, the money of a day is not."""
    chance, held, waits = Random(seed), InForce(), 0
    seen: list[list[str]] = []
    for number, count in enumerate(received):
        left = PAID * COST
        # A delivery comes as it was packed: in some files within the first half of the day.
        due = sorted(chance.randrange(DAY_S // 2) for _ in range(max(1, count // 20)))
        for at_s in range(0, DAY_S, LOOK_S):
            files = [at for at in due if at_s <= at < at_s + LOOK_S]
            waits += sum(count // len(due) for _ in files)
            now = NOW + timedelta(seconds=number * DAY_S + at_s)
            ruling = price([backlog((0, 0, waits), cost=COST)], means(account(left)), held, now)
            held = ruling.in_force
            seen.append(lowered(ruling))
            for _ in range(min(SPEED, waits)):
                waits -= 1  # paid for, or gone on without
                if "cold" not in seen[-1] and left >= COST:
                    left -= chance.randint(LEAST, COST)
    return seen


def hasty(looks: list[list[str]]) -> tuple[int, int]:
    """Return how often a lane was lowered and given back, and how often of these before it had been calm for its time."""
    runs = [
        (is_low, len(list(run))) for lane in LOWERED for is_low, run in groupby(lane in one for one in looks)
    ]
    low = [LOOK_S * length for is_low, length in runs if is_low]
    return len(low), sum(took_s < CALM_FOR_S for took_s in low)


def test_recorded_traffic_does_not_make_it_flap(received: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    times, flaps = hasty(played(received))
    assert times > 20, "the record must be dear on many days"
    assert flaps == 0
    monkeypatch.setattr(pricing, "CALM_PERCENT", 100)
    monkeypatch.setattr(pricing, "CALM_FOR_S", 0.0)
    times, flaps = hasty(played(received))
    assert flaps > times // 2, "a rule that only compares flaps on it"
