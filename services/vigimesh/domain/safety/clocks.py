"""The legal clock of a case version: which rule applies, from which day, and when it ends.

The table is data (`clocks.toml`). What is not known is read the strict way: unknown seriousness is serious, an
unlisted reaction is what nobody has shown to be listed, suspected causality is what nobody has denied, an imprecise
day 0 is its earliest day, and a case of a jurisdiction without a rule gets the shortest clock and a person.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache

from vigimesh.domain.safety.clock_rules import ClockRule, shipped_rules
from vigimesh.domain.safety.criteria import SUSPECT_ROLES
from vigimesh.domain.safety.dates import parse
from vigimesh.domain.safety.seriousness import seriousness_flags
from vigimesh.events.case import Case
from vigimesh.events.classes import Clock

#: Member states of the European Union and of the European Economic Area, ISO 3166-1 (EL and XI as EU texts use them).
EEA = frozenset(
    "AT BE BG CY CZ DE DK EE EL ES FI FR GR HR HU IE IS IT LI LT LU LV MT NL NO PL PT RO SE SI SK XI EU".split()
)
#: Distinct situations remembered: jurisdictions times kinds times triggers of a few days.
_MEMORY = 4_096
_FATAL = ("death", "life_threatening")
_NO_CLOCK_YET = "GVP VI.B.2, VI.B.7.1: day 0 is the day on which the last minimum criterion arrives"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Situation:
    """What the columns of the table are compared with."""

    jurisdiction: str
    report: str
    products: frozenset[str]
    triggers: frozenset[str]


def clock(
    case: Case, serious: str, valid: bool, listed: str, at: datetime, *, fatal: bool | None = None
) -> Clock:
    """Return the clock that runs for `case`, which arrived `at` (UTC).

    `serious` is yes, no or unknown; `listed` yes, no or not_checked; `fatal` says whether it is fatal or
    life-threatening, None to take that from the case's own fields. A machine's "listed" never takes a clock away from
    a case that may be serious: it asks for a person, because expectedness is also a matter of severity (21 CFR
    314.80(a)). A document, and a case that is not valid, has no clock yet. Rules are those in force at `at`.
    """
    if case.kind != "icsr":
        return Clock()
    jurisdiction = _jurisdiction(case)
    if not valid:
        return Clock(source=_NO_CLOCK_YET, jurisdiction=jurisdiction)
    if fatal is None:
        fatal = any(criterion in _FATAL for criterion, _ in seriousness_flags(case).criteria)
    found = _Situation(
        jurisdiction=jurisdiction,
        report=_report(case),
        products=_products(case),
        triggers=_triggers(case, serious, fatal=fatal),
    )
    fitting, stranger = _rules_for(found, at.astimezone(UTC).date())
    unsure = stranger or (serious != "no" and listed == "yes" and jurisdiction != "EU")
    return _shortest(case, fitting, at, person_needed=unsure, jurisdiction=jurisdiction)


@lru_cache(maxsize=_MEMORY)
def _rules_for(found: _Situation, day: date) -> tuple[tuple[ClockRule, ...], bool]:
    """Return the rules that apply on `day`, and whether they are other jurisdictions' because this one has none."""
    in_force = [rule for rule in shipped_rules() if rule.in_force(day)]
    fitting = tuple(rule for rule in in_force if _fits(rule, found, anywhere=False))
    if fitting:
        return fitting, False
    return tuple(rule for rule in in_force if _fits(rule, found, anywhere=True)), True


def _jurisdiction(case: Case) -> str:
    country = case.country.strip().upper()
    if country in EEA:
        return "EU"
    # FDA.C.1.7.1 is an element of the FDA's own region: the case is addressed there wherever it occurred.
    return "US" if case.expedited_kind and not country else country


def _report(case: Case) -> str:
    """Only interventional trials have clocks of their own; other studies are solicited reports (GVP VI.C.1)."""
    trial = case.study_type == "clinical_trial" or (case.report_type == "study" and not case.study_type)
    return "trial" if trial else "post_marketing"


def _products(case: Case) -> frozenset[str]:
    kinds = {product.kind for product in case.products if product.role in SUSPECT_ROLES}
    known = kinds & {"drug", "vaccine", "device", "combination"}
    return frozenset({"any", *(known or {"drug"})})


def _triggers(case: Case, serious: str, *, fatal: bool) -> frozenset[str]:
    found = {"non_serious"} if serious == "no" else {"serious", "serious_unlisted"}
    if serious != "no" and fatal:
        found.add("fatal_unlisted")
    if case.expedited_kind:
        found.add(f"fda_{case.expedited_kind}")
    return frozenset(found)


def _fits(rule: ClockRule, found: _Situation, *, anywhere: bool) -> bool:
    if rule.trigger.startswith("fda_"):
        # The kind was set for the FDA, wherever the event occurred.
        return rule.trigger in found.triggers
    return (
        (anywhere or rule.jurisdiction == found.jurisdiction)
        and rule.report in ("any", found.report)
        and rule.product in found.products
        and rule.trigger in found.triggers
    )


def _shortest(
    case: Case, rules: Iterable[ClockRule], at: datetime, *, person_needed: bool, jurisdiction: str
) -> Clock:
    """Return the clock of the rule that ends first; of rules without a clock, the first."""
    best: Clock | None = None
    for rule in rules:
        day0, imprecise = day0_of(case, rule.day0, at)
        due = None if rule.days == 0 else end_of_day(add_days(day0, rule.days, rule.unit))
        if best is not None and (due is None or (best.due_at is not None and best.due_at <= due)):
            continue
        best = Clock(
            rule=rule.name,
            source=rule.source,
            jurisdiction=jurisdiction,
            day0_on=day0.isoformat(),
            due_at=due,
            person_needed=person_needed or (imprecise and due is not None),
        )
    return best or Clock(jurisdiction=jurisdiction, person_needed=True)


def day0_of(case: Case, column: str, at: datetime) -> tuple[date, bool]:
    """Return day 0 and whether a person must confirm it.

    `column` is `first_received_on` (C.1.4) or `most_recent_on` (C.1.5), the other when that is absent; a month or a
    year counts from its first day; without any date, or with one that lies in the future, it is the day of `at`.
    """
    other = "first_received_on" if column == "most_recent_on" else "most_recent_on"
    arrived = at.astimezone(UTC).date()
    for text in (getattr(case, column), getattr(case, other)):
        given = parse(text)
        if given.first is None:
            continue
        day = given.first.date()
        if day > arrived + timedelta(days=1):
            return arrived, True
        return day, given.precision in ("year", "month")
    return arrived, True


def add_days(day: date, days: int, unit: str) -> date:
    """Return the last day of a clock of `days` that starts on `day` (not counted); `work` days skip week-ends."""
    if unit == "calendar":
        return _capped(day, days)
    left, last = days, day
    while left > 0:  # bounded by MAX_DAYS of a rule: at most seven calendar days for five of work
        last = _capped(last, 1)
        left -= last.weekday() < 5 or last == date.max
    return last


def _capped(day: date, days: int) -> date:
    return date.max if (date.max - day).days < days else day + timedelta(days=days)


def end_of_day(day: date) -> datetime:
    """Return the last second of `day` in UTC."""
    return datetime.combine(day, time(23, 59, 59), tzinfo=UTC)
