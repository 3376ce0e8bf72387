"""The warm level: which summaries are made, and which are to be made now. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from vigimesh.domain.knowledge.chunks import version_ordinal
from vigimesh.domain.knowledge.editions import Shelved
from vigimesh.domain.knowledge.products import Products


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


def wanted(
    versions: Iterable[Shelved], kept: Mapping[str, Kept], products: Products, now: datetime
) -> tuple[Wanted, ...]:
    """Return the summaries to be made at `now`, most needed first.

    1. Of a document that has none, or whose last two versions are others: what there is of it is not served.  2. One too old to be served.
    3. One that is due by its product's refresh policy, the oldest first. A document with one version has none: nothing can be compared.
    """
    found: list[tuple[int, datetime, Wanted]] = []
    for want in _last_two(versions):
        held, product = kept.get(want.document_id), products.of(want.document_id)
        if held is None or (held.older, held.version) != (want.older, want.version):
            found.append((1, now, want))
        elif now - held.read_at > product.ages.warm:
            found.append((2, held.read_at, want))
        elif product.refresh.due(held.read_at, now):
            found.append((3, held.read_at, want))
    found.sort(key=lambda one: (one[0], one[1], one[2].document_id))
    return tuple(want for *_, want in found)


def gone(versions: Iterable[Shelved], kept: Mapping[str, Kept]) -> tuple[str, ...]:
    """Return the documents whose summary is to be forgotten: those withdrawn, or not there with two versions."""
    current = {want.document_id for want in _last_two(versions)}
    return tuple(name for name in kept if name not in current)


def _last_two(versions: Iterable[Shelved]) -> Iterable[Wanted]:
    """Yield each current version with the one before it; what was withdrawn is compared with nothing."""
    held: dict[str, list[Shelved]] = {}
    for one in versions:
        if not one.withdrawn_by:
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
