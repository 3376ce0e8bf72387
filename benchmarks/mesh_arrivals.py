"""What is sent through the mesh under each of the four controllers: a card, and the same cases at the same seconds for a seed.

Bursts of cold and warm cases that all want a paid opinion, and hot ones all the time: half of those are serious by their
flags and want none, half are urgent and nobody knows, so that each of them wants one too. The month pays for half of what
is wanted.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from random import Random

from vigimesh.app.demo.builder import HEALTH, RECEIVER, Calendar, adult, case, product, reaction
from vigimesh.app.demo.line_cases import line
from vigimesh.intake.reading import read_path
from vigimesh.intake.values import Item

#: Micro-units of one opinion about such a case, as the stand-in bills it; the month is counted out by it.
COST_MICRO = 930
#: Share of the wanted opinions that the month pays for.
PAYS_FOR = 0.5
#: What one case may cost, as in the simulated month; and money that no run can spend.
CASE_MICRO, WIDE_MICRO = 10_000, 10**12
#: Cases of each lane that are concluded before the measured ones are sent; the hot and warm ones pay for an opinion too.
WARM_UP = 4
TENANT = "default"

_CARD = """
extends = "triage"
calls_per_minute = 1_000_000

[escalation]
when = "valid && serious != 'yes'"
steps = []
max_passes = 2

[budget]
currency = "EUR"
month_micro = {month}
day_micro = {month}
case_micro = {case}

[auto_accept]
signed_by = "owner of the triage workflow (benchmark)"
signed_at = 2026-01-05T09:00:00Z
use = "benchmarks"
allows = []
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How much is sent: cases of a burst by lane, when bursts come, how many hot cases a second for how long."""

    cold: int
    warm: int
    bursts_at_s: tuple[float, ...]
    hot_per_s: float
    seconds: float


#: The larger the month beside what may be open at once (a hundred calls a lane, each at its worst case), the more of it is
#: spent before the budget has to refuse; these are as many as a machine of two cores does in some ninety seconds.
FULL = Size(cold=700, warm=200, bursts_at_s=(10.0, 40.0), hot_per_s=4.0, seconds=60.0)
QUICK = Size(cold=60, warm=30, bursts_at_s=(3.0,), hot_per_s=2.0, seconds=10.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """One case: when it is due to be sent, the lane that the router gives it, and what the tools make of it."""

    at_s: float
    lane: str
    serious: str
    name: str

    @property
    def wants(self) -> bool:
        """Whether the card has an opinion asked for it."""
        return self.serious != "yes"

    @property
    def case_id(self) -> str:
        """The key of its records."""
        return f"{TENANT}/{self.name}"


def arrivals(seed: int, size: Size) -> list[Arrival]:
    """Return the cases in the order of their coming, the same for a seed; hot ones anywhere in their slot."""
    chance, numbers = Random(seed), itertools.count()
    found = [
        _arrival((slot + chance.random()) / size.hot_per_s, "hot", chance.choice(("yes", "unknown")), next(numbers))
        for slot in range(round(size.seconds * size.hot_per_s))
    ]  # fmt: skip
    for at_s in size.bursts_at_s:
        lanes = ["cold"] * size.cold + ["warm"] * size.warm
        chance.shuffle(lanes)
        found += [
            _arrival(at_s, lane, "no" if lane == "cold" else chance.choice(("no", "unknown")), next(numbers))
            for lane in lanes
        ]
    return sorted(found, key=lambda one: one.at_s)


def warming_up(turn: int) -> list[Arrival]:
    """Return the cases of one turn of the warm-up: of every kind, all at once."""
    kinds = {"hot": ("yes", "unknown"), "warm": ("no", "unknown"), "cold": ("no",)}
    return [
        Arrival(at_s=0.0, lane=lane, serious=among[number % len(among)], name=f"DE-FIRST-{turn}-{lane}-{number}")
        for lane, among in kinds.items()
        for number in range(WARM_UP)
    ]  # fmt: skip


def month_micro(sent: Sequence[Arrival]) -> int:
    """Return the month's money: for half of the opinions that are wanted."""
    return round(PAYS_FOR * COST_MICRO * sum(one.wants for one in sent))


def card(month: int) -> str:
    """Return the text of the triage card with this month's money, all of which may be spent on one day."""
    return _CARD.format(month=month, case=CASE_MICRO)


def moments(sent: Sequence[Arrival], folder: Path, today: datetime) -> list[tuple[float, list[Item]]]:
    """Return what the door is given at which second: read before anything is sent, so that reading takes no time then."""
    found = []
    for number, (at_s, together) in enumerate(itertools.groupby(sent, key=lambda one: one.at_s)):
        file = folder / f"{number:05d}.jsonl"
        file.write_text("\n".join(_lines(list(together), today)) + "\n", encoding="utf-8")
        found.append((at_s, list(read_path(file, tenant=TENANT))))
    return found


def _arrival(at_s: float, lane: str, serious: str, number: int) -> Arrival:
    return Arrival(at_s=at_s, lane=lane, serious=serious, name=f"DE-MESH-{number:05d}")


def _lines(sent: Sequence[Arrival], today: datetime) -> Iterator[str]:
    """Yield the cases as a call centre would send them. Only the days depend on `today`, since legal clocks run."""
    calendar = Calendar(today=today.date())
    for one in sent:
        criteria = ("hospitalisation",) if one.serious == "yes" else ()
        # Without a closed form a case is warm; its reporter then says of each reaction that it is not serious, or nothing.
        form = "form" if one.lane == "cold" else "none"
        marked = "2" if one.serious == "no" and form == "none" else ""
        yield line(
            case(
                sender="CALLCENTRE", receiver=RECEIVER, report_id=one.name, worldwide_id=one.name, country="DE",
                report_type="spontaneous", created_on=calendar.moment(1), first_received_on=calendar.day(3),
                most_recent_on=calendar.day(2), reporters=(HEALTH,), patient=adult(20 + Random(one.name).randrange(60), "female"),
                products=(product("Torvexil"),), criteria=criteria, criteria_form=form,
                urgent=one.lane == "hot" and not criteria,
                reactions=(reaction(f"Headache, report {one.name}", *criteria, highlighted=marked, outcome="recovered"),),
                narrative=f"Report {one.name}: a mild headache for a day, gone by the next.",
            )
        )  # fmt: skip
