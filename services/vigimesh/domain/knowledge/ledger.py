"""What was served, booked from the retriever's telemetry: which passages fed which case, and how the caches do. Pure.

A measurement is one record of `retrieval.telemetry`, at one place (topic, partition, offset). All that is kept of it is made here, and stored in one
transaction with the place behind it, so that a measurement counts once whatever is killed where.

Each answer that a cache gave is audited afterwards: was what it cites current, and young enough, when it was served? What was not is a *false hit*.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from math import ceil, log2

from vigimesh.domain.knowledge.freshness import Level
from vigimesh.domain.knowledge.products import Products
from vigimesh.domain.knowledge.warm import Cost
from vigimesh.events.knowledge import RetrievalMeasured

#: Measurements of one step: at three questions a case those of 700 cases, some 6,000 rows.
MAX_STEP = 2_000
#: Time that may pass between the serving of an answer and its record's place in the log: a transaction of the retriever with its time-out (10 s),
#: a lost worker and what its next one redoes. Within it an answer counts as served before the change.
IN_FLIGHT = timedelta(seconds=60)
#: Buckets of an age between one power of two and the next: a quantile read from them is at most 9.1 % (2 ** (1/8)) too high.
_PER_DOUBLING = 8
#: The largest bucket: two years, twice what any age may be.
MAX_BUCKET = 8 * 26

_PLACE = re.compile(r"(.{1,128})@([0-9.]{1,64})#(\d{1,9})-(\d{1,9})", re.DOTALL)
#: Documents with their versions.
Pair = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One measurement and where it stands; `at` is when its record was appended (UTC)."""

    partition: int
    offset: int
    at: datetime
    measured: RetrievalMeasured


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """One passage that fed one case: `first` to `last` are characters of the document, `source` is topic-partition-offset."""

    case_id: str
    message_id: str
    workflow: str
    lane: str
    question_key: str
    document_id: str
    version: str
    first: int
    last: int
    at: datetime
    source: str


@dataclass(frozen=True, slots=True, order=True, kw_only=True)
class Kind:
    """What is counted together: answers of one product, day (UTC), level and match; why no cache had one; what the audit says."""

    product: str
    day: date
    level: str
    match: str
    missed: str = ""
    false_hit: str = ""


@dataclass(slots=True)
class Count:
    """How many answers of a kind there were, and how many of them found a passage; `ages` are those at serve, by bucket."""

    answers: int = 0
    grounded: int = 0
    ages: Counter[int] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True, kw_only=True)
class Booked:
    """What a step stores: rows, counts to be added, and the next offset of each partition, before the step and after it."""

    used: tuple[Used, ...]
    counts: Mapping[Kind, Count]
    before: Mapping[int, int]
    after: Mapping[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """When versions of documents ended to be servable: superseded by a newer one, or withdrawn with the document."""

    superseded: Mapping[Pair, datetime] = field(default_factory=dict)
    withdrawn: Mapping[str, datetime] = field(default_factory=dict)


def cited(measured: RetrievalMeasured) -> tuple[tuple[str, str, int, int], ...]:
    """Return (document, version, first, last) of each passage of a measurement; what is no place is left out."""
    found = (_PLACE.fullmatch(one) for one in measured.passages)
    return tuple((one[1], one[2], int(one[3]), int(one[4])) for one in found if one)


def book(
    seen: Sequence[Seen], topic: str, products: Products, ended: Ended, spans: tuple[Mapping[int, int], Mapping[int, int]]
) -> Booked:  # fmt: skip
    """Return what to store of `seen`, records of `topic`; `spans` are the next offsets before and after them."""
    counts: dict[Kind, Count] = {}
    used: dict[tuple[str, str, str, int], Used] = {}
    for one in seen:
        places = cited(one.measured)
        kind = _kind(one, places, products, ended)
        count = counts.setdefault(kind, Count())
        count.answers += 1
        count.grounded += bool(places)
        if one.measured.read_at is not None and kind.level in ("hot", "warm"):
            count.ages[bucket_of(one.at - one.measured.read_at)] += 1
        source = f"{topic}-{one.partition}-{one.offset}"
        for document, version, first, last in places:
            row = _used(one, (document, version, first, last), source)
            used.setdefault((source, document, version, first), row)
    return Booked(used=tuple(used.values()), counts=counts, before=spans[0], after=spans[1])


def product_of(one: RetrievalMeasured, products: Products) -> str:
    """Return the product that a question is about: the one it names, else that of the first document it cites, else the default one."""
    if one.product and products.named(one.product) is not None:
        return one.product
    places = cited(one)
    return products.of(places[0][0] if places else "").id


def false_hit(one: Seen, age: timedelta, ended: Ended) -> str:
    """Return why an answer of a cache should not have been served, or empty; `age` is its level's.

    Judged by when its record was written less `IN_FLIGHT`: the moment of serving itself is not recorded. So a breach that lasted less is not seen.
    """
    places = cited(one.measured)
    served = one.at - IN_FLIGHT
    if any(ended.withdrawn.get(document, one.at) < served for document, *_ in places):
        return "withdrawn"
    if any(ended.superseded.get((document, version), one.at) < served for document, version, *_ in places):
        return "superseded"
    read_at = one.measured.read_at
    return "too_old" if read_at is None or served - read_at > age else ""


def bucket_of(age: timedelta) -> int:
    """Return the bucket of an age: 0 up to a second, then `_PER_DOUBLING` to each doubling, at most `MAX_BUCKET`."""
    seconds = age.total_seconds()
    return 0 if seconds <= 1 else min(MAX_BUCKET, ceil(_PER_DOUBLING * log2(seconds)))


def quantile_s(ages: Mapping[int, int], share: float) -> float | None:
    """Return the age in seconds that a `share` of the answers did not exceed, from above; `None` where there is none."""
    total, below = sum(ages.values()), 0
    for bucket in sorted(ages):
        below += ages[bucket]
        if below >= share * total:
            return float(2 ** (bucket / _PER_DOUBLING))
    return None


def by_product(
    counts: Mapping[Kind, Count], costs: Mapping[str, Sequence[Cost]]
) -> dict[str, dict[str, object]]:
    """Return the figures of `vigimesh knowledge stats`, by product and for `all` of them together.

    To those of `figures` comes `summaries`: by currency how many were `made`, of how many `characters`, for how many `micro`.
    """
    products = sorted({kind.product for kind in counts} | set(costs))
    made = {"all": figures(counts) | {"summaries": _costs(one for some in costs.values() for one in some)}}
    for name in products:
        own = figures({kind: count for kind, count in counts.items() if kind.product == name})
        made[name] = own | {"summaries": _costs(costs.get(name, ()))}
    return made


def figures(counts: Mapping[Kind, Count]) -> dict[str, object]:
    """Return the figures of some counts.

    `questions`; `levels` (answers by level) with `hit_rate` of each cache; `semantic` (served for a question that agrees); `grounded_rate` (answers with a
    passage); ages at serve of cached answers in seconds; `false_hits` by reason, from the audit; `missed` by reason; `refused`: the misses
    among them where an answer was there and a guard or the rule of freshness held it back. A rate of nothing is `None`.
    """
    total = sum(one.answers for one in counts.values())
    levels = _sums((kind.level, one.answers) for kind, one in counts.items())
    missed = _sums((kind.missed, one.answers) for kind, one in counts.items() if kind.missed)
    ages: Counter[int] = Counter()
    for one in counts.values():
        ages.update(one.ages)
    return {
        "questions": total,
        "levels": levels,
        "hit_rate": {level: _rate(levels.get(level, 0), total) for level in ("hot", "warm")},
        "semantic": sum(one.answers for kind, one in counts.items() if kind.match == "semantic"),
        "grounded_rate": _rate(sum(one.grounded for one in counts.values()), total),
        "age_p50_s": quantile_s(ages, 0.5),
        "age_p99_s": quantile_s(ages, 0.99),
        "false_hits": _sums((kind.false_hit, one.answers) for kind, one in counts.items() if kind.false_hit),
        "missed": missed,
        "refused": sum(number for reason, number in missed.items() if reason != "absent"),
    }


def _kind(
    one: Seen, places: Sequence[tuple[str, str, int, int]], products: Products, ended: Ended
) -> Kind:  # fmt: skip
    measured = one.measured
    name = product_of(measured, products)
    level: Level | None = (
        "hot" if measured.cache_level == "hot" else "warm" if measured.cache_level == "warm" else None
    )
    product = products.named(name)
    wrong = false_hit(one, product.ages.of(level), ended) if level and product else ""
    return Kind(
        product=name, day=one.at.date(), level=measured.cache_level, match=measured.match, missed=measured.missed, false_hit=wrong,
    )  # fmt: skip


def _used(one: Seen, place: tuple[str, str, int, int], source: str) -> Used:
    measured = one.measured
    return Used(
        case_id=measured.case_id, message_id=measured.message_id, workflow=measured.workflow, lane=measured.lane,
        question_key=measured.question_key, document_id=place[0], version=place[1], first=place[2], last=place[3],
        at=one.at, source=source,
    )  # fmt: skip


def _sums(rows: Iterable[tuple[str, int]]) -> dict[str, int]:
    made: Counter[str] = Counter()
    for name, number in rows:
        made[name] += number
    return dict(sorted(made.items()))


def _costs(costs: Iterable[Cost]) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = {}
    for one in costs:
        held = found.setdefault(one.currency, {"made": 0, "characters": 0, "micro": 0})
        held["made"] += one.made
        held["characters"] += one.characters
        held["micro"] += one.micro
    return dict(sorted(found.items()))


def _rate(part: int, total: int) -> float | None:
    return part / total if total else None
