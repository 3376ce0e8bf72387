"""The warm level: which summaries are made, which are to be made now, and what they cost. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from vigimesh.domain.knowledge.chunks import version_ordinal
from vigimesh.domain.knowledge.products import Price, Products


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A summary that is there. `digest` and `size` (bytes) are of its body; its age counts from `read_at` (UTC)."""

    document_id: str
    product: str
    older: str
    version: str
    digest: str
    size: int
    names: tuple[str, ...]
    read_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A document whose summary is to be made: of what changed from `older` to `version`."""

    document_id: str
    older: str
    version: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LastTwo:
    """The current version of each document with the one before it, as the library was at its state `number`."""

    number: int
    pairs: tuple[Wanted, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """A version as far as summaries ask: whether it is what is searched, and whether it was taken back."""

    id: str
    version: str
    current: bool
    withdrawn: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What summaries cost: how many were made, of how many characters read, in micro-units of `currency`."""

    made: int
    characters: int
    micro: int
    currency: str


def cost_of(characters: int, price: Price) -> Cost:
    """Return what a summary costs that read so many characters of both versions; a thousand that was begun counts whole."""
    thousands = -(-characters // 1_000)
    return Cost(
        made=1, characters=characters, micro=thousands * price.micro_per_1000, currency=price.currency
    )


def wanted(
    pairs: Iterable[Wanted], kept: Mapping[str, Kept], products: Products, now: datetime
) -> tuple[Wanted, ...]:
    """Return the summaries to be made at `now`, most needed first.

    1. Of a document that has none, or whose last two versions are others: what there is of it is not served.  2. One too old to be served.
    3. One that is due by its product's refresh policy, the oldest first. A document with one version has none: nothing can be compared.
    """
    found: list[tuple[int, datetime, Wanted]] = []
    for want in pairs:
        held, product = kept.get(want.document_id), products.of(want.document_id)
        if held is None or (held.older, held.version) != (want.older, want.version):
            found.append((1, now, want))
        elif now - held.read_at > product.ages.warm:
            found.append((2, held.read_at, want))
        elif product.refresh.due(held.read_at, now):
            found.append((3, held.read_at, want))
    found.sort(key=lambda one: (one[0], one[1], one[2].document_id))
    return tuple(want for *_, want in found)


def gone(pairs: Iterable[Wanted], kept: Mapping[str, Kept]) -> tuple[str, ...]:
    """Return the documents whose summary is to be forgotten: those withdrawn, or not there with two versions."""
    current = {want.document_id for want in pairs}
    return tuple(name for name in kept if name not in current)


def last_two(versions: Iterable[Standing]) -> Iterator[Wanted]:
    """Yield each current version with the one before it; what was withdrawn is compared with nothing."""
    held: dict[str, list[Standing]] = {}
    for one in versions:
        if not one.withdrawn:
            held.setdefault(one.id, []).append(one)
    for name, some in held.items():
        current = next((one for one in some if one.current), None)
        if current is None:
            continue
        number = version_ordinal(current.version)
        older = [one for one in some if version_ordinal(one.version) < number]
        if older:
            before = max(older, key=lambda one: version_ordinal(one.version))
            yield Wanted(document_id=name, older=before.version, version=current.version)
