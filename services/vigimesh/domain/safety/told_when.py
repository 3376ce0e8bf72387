"""What a case itself tells of the dates in its narrative: the day it was told on, and the order of day and month.

Each is given only where the fields leave no doubt; else `03/04/97` keeps both readings and "yesterday" stays open.
"""

from __future__ import annotations

from vigimesh.domain.safety.date_values import Order, Told
from vigimesh.domain.safety.dates import parse
from vigimesh.events.case import Case

#: Countries where the short date is written month first, and those where it is day first (Unicode CLDR, short date
#: patterns of each country's own languages). Left out is who writes the year first (CA, CN, HU, JP, KR, LT, SE, ZA) or has
#: languages that differ.
MONTH_FIRST = frozenset({"US"})
DAY_FIRST = frozenset(
    "AR AT AU BE BG BR CH CL CO CZ DE DK EE ES FI FR GB GR HR IE IL IN IS IT LU LV MX NL NO NZ PE PL PT RO RS RU SI SK TR UA".split()
)


def told_of(case: Case) -> Told:
    """Return what a case tells of the dates in its narrative.

    The reference is the day of first receipt (ICH E2B(R3) C.1.4), where it is also that of the most recent information
    (C.1.5): a follow-up's narrative was told on two days. The order is that of the primary source's country and of the
    case's, where they do not differ.
    """
    first, recent = parse(case.first_received_on).exact_day, parse(case.most_recent_on).exact_day
    same = first == recent or (recent is None and not case.most_recent_on)
    places = {case.country, *(one.country for one in case.reporters[:1])} - {""}
    orders = {_order(place) for place in places}
    return Told(reference=first if same else None, order=orders.pop() if len(orders) == 1 else "")


def _order(country: str) -> Order:
    if country in MONTH_FIRST:
        return "month_first"
    return "day_first" if country in DAY_FIRST else ""
