"""Knowledge products as data: who answers for which documents, how fresh they are kept, how old an answer from them may be.

A product is a TOML file, read as strictly as a workflow card. A pattern of `documents` is a document's id, or the beginning of one with `*`
behind it; of all patterns that fit a document the longest says whose it is, and no two products have the same one.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from functools import cache
from importlib import resources
from typing import Any, Literal

from vigimesh.domain.knowledge.freshness import MAX_AGE, Ages
from vigimesh.domain.policy.tables import Table
from vigimesh.errors import Misconfigured

#: Bytes of one file: a product of today has half a KiB.
MAX_FILE_BYTES = 64 * 1024
#: Products in force together.
MAX_PRODUCTS = 256
#: Hours in the longest service level and the longest age: see `freshness.MAX_AGE`.
MAX_HOURS = int(MAX_AGE.total_seconds() // 3_600)
#: Characters of a pattern: a document's id has at most 128.
MAX_PATTERN = 128

_SIGNS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789./_-")
#: `scheduled`: every day within the window, and after each change. `on_change`: after a change only.
Policy = Literal["scheduled", "on_change"]
POLICIES: tuple[Policy, ...] = ("scheduled", "on_change")


@dataclass(frozen=True, slots=True, kw_only=True)
class Refresh:
    """When summaries are made anew: each day from `opens` until before `closes` (UTC; may pass midnight), or on a change only."""

    policy: Policy
    opens: time
    closes: time

    def is_open(self, now: datetime) -> bool:
        """Return whether the window is open at `now` (UTC)."""
        at = now.time()
        if self.opens <= self.closes:
            return self.opens <= at < self.closes
        return at >= self.opens or at < self.closes

    def opened(self, now: datetime) -> datetime:
        """Return when the window opened last, at or before `now`."""
        today = datetime.combine(now.date(), self.opens, tzinfo=now.tzinfo)
        return today if today <= now else today - timedelta(days=1)

    def due(self, made_at: datetime | None, now: datetime) -> bool:
        """Return whether what was made at `made_at` (`None`: never) is to be made anew now."""
        if self.policy == "on_change":
            return False
        return self.is_open(now) and (made_at is None or made_at < self.opened(now))

    def next_after(self, now: datetime) -> datetime | None:
        """Return when the window opens next, or `None` where only a change counts."""
        return None if self.policy == "on_change" else self.opened(now) + timedelta(days=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What a summary costs for each 1,000 characters read of the two versions, its place in the store included; micro-units."""

    currency: str
    micro_per_1000: int


#: What a file that names no price takes: 250 tokens of four characters at 0.13 a million, as an embedding of them is sold; that is above what
#: comparing and storing them takes here, so that a summary is never shown as cheaper than it is.
ASSUMED_PRICE = Price(currency="EUR", micro_per_1000=33)


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """One knowledge product.

    `service_level` is the time within which each of its sources must have been read again. `ages` bound what is served from a cache; a workflow card
    may only shorten them. `semantic` lets a question be answered by what was stored for one that agrees with it.
    """

    id: str
    owner: str
    description: str
    documents: tuple[str, ...]
    service_level: timedelta
    refresh: Refresh
    ages: Ages
    semantic: bool
    summary_price: Price = ASSUMED_PRICE


#: What no file names: the careful side of each choice. Nobody but the operator of the librarian answers for it.
DEFAULT = Product(
    id="default", owner="operator of the librarian", description="documents that no product names", documents=(),
    service_level=MAX_AGE, refresh=Refresh(policy="on_change", opens=time(2), closes=time(4)),
    ages=Ages(hot=timedelta(hours=24), warm=timedelta(hours=168)), semantic=False,
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Products:
    """The products in force, ordered by id. `origin` says in words where they come from."""

    products: tuple[Product, ...]
    origin: str

    @property
    def semantic(self) -> bool:
        """Whether any product allows a match by meaning, the default one included."""
        return any(one.semantic for one in (*self.products, DEFAULT))

    def of(self, document_id: str) -> Product:
        """Return the product of a document: that of the longest pattern that fits, else `DEFAULT`."""
        best, length = DEFAULT, -1
        for product in self.products:
            for pattern in product.documents:
                if _fits(pattern, document_id) and _weight(pattern) > length:
                    best, length = product, _weight(pattern)
        return best

    def named(self, product_id: str) -> Product | None:
        """Return the product of this id, the default one included; `None` where there is none."""
        return next((one for one in (*self.products, DEFAULT) if one.id == product_id), None)


def read_product(data: bytes, file: str) -> Product:
    """Return the product in `data`; raises `Misconfigured` VM-2801 for a file that is wrong, naming it and the key."""
    try:
        if len(data) > MAX_FILE_BYTES:
            raise _wrong(file, f"product has {len(data)} bytes", f"keep it within {MAX_FILE_BYTES} bytes")
        return _product(tomllib.loads(data.decode("utf-8")), file)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as failure:
        raise _wrong(file, f"no TOML in UTF-8: {failure}", "correct the syntax") from failure
    except Misconfigured as failure:
        raise _wrong(file, failure.what, failure.todo) from failure


def gather(products: Iterable[tuple[Product, str]], origin: str) -> Products:
    """Return the products in force, each given with the file it was read from.

    Raises `Misconfigured` VM-2801 when two have one id or one pattern, so that whose a document is never is chance.
    """
    rows = sorted(products, key=lambda row: row[0].id)
    if len(rows) > MAX_PRODUCTS:
        raise _wrong(origin, f"there are {len(rows)} products", f"keep to {MAX_PRODUCTS}")
    ids: dict[str, str] = {}
    patterns: dict[str, str] = {}
    for product, file in rows:
        if product.id in ids or product.id == DEFAULT.id:
            what = f"product {product.id!r} is in {ids.get(product.id, 'every mesh')} already"
            raise _wrong(file, what, "give it an id of its own")
        ids[product.id] = file
        for pattern in product.documents:
            if pattern in patterns:
                what = f"pattern {pattern!r} is that of product {patterns[pattern]!r}"
                raise _wrong(file, what, "let one of the two have it, or write a longer one")
            patterns[pattern] = product.id
    return Products(products=tuple(product for product, _ in rows), origin=origin)


def with_overlay(files: Mapping[str, bytes], origin: str) -> Products:
    """Return the shipped products with those of `files` (name to bytes) added, or put in place of namesakes.

    Raises `Misconfigured` VM-2801, naming the file.
    """
    own = [(read_product(data, file), file) for file, data in files.items()]
    replaced = {product.id for product, _ in own}
    kept = [(one, f"{one.id}.toml") for one in shipped_products().products if one.id not in replaced]
    return gather([*kept, *own], origin)


@cache
def shipped_products() -> Products:
    """Return the products of the documents that come with the program."""
    place = resources.files(__package__) / "product_files"
    found = sorted(
        (entry.name, entry.read_bytes()) for entry in place.iterdir() if entry.name.endswith(".toml")
    )
    return gather([(read_product(data, name), name) for name, data in found], "shipped products")


def _product(raw: Mapping[str, Any], file: str) -> Product:
    top = Table(file, "", raw, (
        "id", "owner", "description", "documents", "service_level_hours", "semantic", "refresh", "ages",
    ), ("summary_price",))  # fmt: skip
    ages = top.table("ages", ("hot_hours", "warm_hours"))
    hot, warm = (ages.whole(key, 1, MAX_HOURS) for key in ("hot_hours", "warm_hours"))
    if hot > warm:
        raise _wrong(
            file, f"'ages.hot_hours' {hot} is above 'ages.warm_hours' {warm}", "give hot_hours <= warm_hours"
        )
    level = top.whole("service_level_hours", 1, MAX_HOURS)
    return Product(
        id=top.word("id"),
        owner=top.text("owner"),
        description=top.text("description"),
        documents=_patterns(raw["documents"], top),
        service_level=timedelta(hours=level),
        refresh=_refresh(top.table("refresh", ("policy", "opens_utc", "closes_utc"))),
        ages=Ages(hot=timedelta(hours=hot), warm=timedelta(hours=warm)),
        semantic=_flag(raw["semantic"], top),
        summary_price=_price(top) if top.has("summary_price") else ASSUMED_PRICE,
    )


def _price(top: Table) -> Price:
    price = top.table("summary_price", ("currency", "micro_per_1000_characters"))
    return Price(
        currency=price.currency("currency"), micro_per_1000=price.whole("micro_per_1000_characters", 1)
    )


def _refresh(table: Table) -> Refresh:
    policy = next(one for one in POLICIES if one == table.choice("policy", POLICIES))
    opens, closes = (time.fromisoformat(table.time_of_day(key)) for key in ("opens_utc", "closes_utc"))
    if opens == closes:
        raise table.bad("closes_utc", "another time than 'opens_utc': the window would never be open")
    return Refresh(policy=policy, opens=opens, closes=closes)


def _patterns(values: object, top: Table) -> tuple[str, ...]:
    expected = "a list of document ids, or of their beginnings with * behind, each once"
    if not isinstance(values, list) or not values or len(values) > MAX_PRODUCTS:
        raise top.bad("documents", expected)
    for value in values:
        if not isinstance(value, str) or not 1 <= len(value) <= MAX_PATTERN:
            raise top.bad("documents", expected)
        if not set(value.removesuffix("*")) <= _SIGNS:
            raise top.bad("documents", expected)
    if len(set(values)) != len(values):
        raise top.bad("documents", expected)
    return tuple(values)


def _flag(value: object, top: Table) -> bool:
    if not isinstance(value, bool):
        raise top.bad("semantic", "true or false")
    return value


def _fits(pattern: str, document_id: str) -> bool:
    return document_id.startswith(pattern[:-1]) if pattern.endswith("*") else document_id == pattern


def _weight(pattern: str) -> int:
    """Return how closely a pattern names a document: a whole id more closely than any beginning."""
    return len(pattern) - 1 if pattern.endswith("*") else MAX_PATTERN + 1


def _wrong(file: str, what: str, todo: str) -> Misconfigured:
    return Misconfigured("VM-2801", what=what, where=file, todo=todo)
