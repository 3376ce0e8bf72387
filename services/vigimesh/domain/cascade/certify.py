"""A threshold below which few serious cases lie, with a stated confidence; and where such a certificate holds.

n independent serious cases were scored, none of them used for training or tuning. Let a case be resolved by the model when its score is
below the (k+1)-th lowest of theirs. If the model missed more than a share of 1 - r of the serious cases there, then at most k of n would have
fallen among that share: a chance of at most BinomCDF(k; n, 1 - r). With k the largest number for which that is <= delta, recall is
at least r with confidence 1 - delta, whatever the distribution of scores (an order statistic as tolerance limit: Wilks, *Determination
of Sample Sizes for Setting Tolerance Limits*, 1941). All of it in whole numbers: nothing is rounded.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import comb, inf, isnan

#: Serious groups of one certificate. The whole numbers have some n x log2(denominator of r) bits, a hundred kilobytes here.
MAX_GROUPS = 100_000
#: Bits of the bounds that are searched for: 2^-32 is far below any digit that is shown.
_BITS = 32
#: Certificates and bounds remembered: few are asked for in one process, tests ask for one thousands of times.
_MEMORY = 256


@lru_cache(maxsize=_MEMORY)
def allowed_misses(n: int, recall: Fraction, delta: Fraction) -> int | None:
    """Return k: the largest number with BinomCDF(k; n, 1 - recall) <= delta, or None when even 0 is too many.

    Exact. Raises `ValueError` for n outside 0 to `MAX_GROUPS`, or a recall or delta that is not between 0 and 1.
    """
    _check(n, recall, delta)
    miss, keep = recall.denominator - recall.numerator, recall.numerator
    # Each term is comb(n, i) * miss^i * keep^(n - i); all share the denominator recall.denominator^n.
    limit = delta.numerator * recall.denominator**n
    term, total = keep**n, 0
    for k in range(n + 1):
        total += term
        if total * delta.denominator > limit:
            return k - 1 if k else None
        term = term * (n - k) * miss // ((k + 1) * keep)
    raise AssertionError("a distribution function ends at 1, and delta is below 1")


@lru_cache(maxsize=_MEMORY)
def recall_bound(n: int, misses: int, delta: Fraction) -> float:
    """Return the lower end of the one-sided exact interval of recall (Clopper and Pearson, 1934) when `misses` of n were missed.

    Confidence 1 - `delta`; rounded down at 2^-32. Nothing seen (n = 0) bounds nothing: 0. Raises `ValueError` as `allowed_misses`,
    and for misses that are not 0 to n.
    """
    _check(n, Fraction(1, 2), delta)
    if not 0 <= misses <= n:
        raise ValueError(f"{misses} misses of {n}")
    if misses == n:
        return 0.0
    # The largest recall r (in steps of 2^-32) at which this few misses still have a chance of at most delta.
    low, high = 0, 1 << _BITS
    while high - low > 1:
        middle = (low + high) // 2
        if _at_most(n, misses, middle, delta):
            low = middle
        else:
            high = middle
    return low / (1 << _BITS)


def _at_most(n: int, misses: int, recall: int, delta: Fraction) -> bool:
    """Tell whether BinomCDF(misses; n, 1 - recall / 2^32) <= delta."""
    miss = (1 << _BITS) - recall
    # recall^(n - misses) stands in every term: it is multiplied once.
    few: int = sum(comb(n, i) * miss**i * recall ** (misses - i) for i in range(misses + 1))
    total: int = few * recall ** (n - misses)
    return total * delta.denominator <= delta.numerator << (_BITS * n)


def _check(n: int, recall: Fraction, delta: Fraction) -> None:
    if not (0 <= n <= MAX_GROUPS and 0 < recall < 1 and 0 < delta < 1):
        raise ValueError(
            f"n {n}, recall {recall}, delta {delta}: n up to {MAX_GROUPS}, the others between 0 and 1"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Domain:
    """What a certificate speaks of; days as ISO 8601 dates, both included."""

    product_class: str
    source: str
    language: str
    first_day: str
    last_day: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificate:
    """A threshold with what it promises: of the serious cases of `domain`, at least `recall` score at or above it.

    With confidence 1 - `delta`, from `n` groups of serious cases of which `k` scored lower. `threshold` is a margin, before calibration;
    `model` names what it was certified with (`small.basis_of`). Recall and delta are exact: `19/20`.
    """

    threshold: float
    n: int
    k: int
    recall: Fraction
    delta: Fraction
    domain: Domain
    model: str

    @property
    def words(self) -> str:
        """The promise in one line."""
        return (
            f"recall >= {float(self.recall):g} at {float(1 - self.delta):.0%} confidence: {self.n} serious, {self.k} below the threshold; "
            f"{self.domain.product_class}, {self.domain.source}, {self.domain.language}, "
            f"{self.domain.first_day} to {self.domain.last_day}"
        )


def lowest_by_group(scored: Iterable[tuple[str, float]]) -> list[float]:
    """Return one score for each group, the lowest of it, in rising order: a repeat is no second case, and no better one."""
    lowest: dict[str, float] = {}
    for group, score in scored:
        lowest[group] = min(score, lowest.get(group, inf))
    return sorted(lowest.values())


def certify(
    serious: Iterable[tuple[str, float]], recall: Fraction, delta: Fraction, domain: Domain, model: str
) -> Certificate | None:
    """Return the certificate of these serious cases, given as (group, score); None when they are too few for it.

    They must not have been used to train or to tune the model. A serious case that the model is never asked to settle, because something
    else tells of it, has the score infinity: it cannot be missed by any threshold. Raises `ValueError` for a score that is none or minus
    infinity, and as `allowed_misses`.
    """
    scores = lowest_by_group(serious)
    if any(isnan(score) or score == -inf for score in scores):
        raise ValueError("a score is not a number, or minus infinity")
    k = allowed_misses(len(scores), recall, delta)
    if k is None or scores[k] == inf:
        return None  # too few, or so few that the model could miss that no threshold is seen
    return Certificate(
        threshold=scores[k], n=len(scores), k=k, recall=recall, delta=delta, domain=domain, model=model
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Labelled serious cases seen in shadow where no certificate holds, repeats removed: labels from people only."""

    serious: int = 0
    missed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Where a case stands: its product class, source, language, day of receipt (ISO 8601), and what is in use (`small.basis_of`).

    `seen` is what was labelled of that product class, source and language with this model and threshold, `wanted` the recall that those labels
    must bear out where no certificate holds; None: the certificate's.
    """

    product_class: str
    source: str
    language: str
    received_on: str
    model: str
    seen: Seen = Seen()
    wanted: Fraction | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Whether the small model may resolve a case alone, and why or why not."""

    open: bool
    reason: str


def opens(certificate: Certificate, facts: Facts) -> Gate:
    """Return whether the gate is open for a case: closed outside of what the certificate names, until labels say otherwise.

    1. a certificate of another model: closed. 2. every part of the domain fits: open. 3. else it depends on the labelled serious
    cases of that place: open once their bound reaches the wanted recall at the certificate's confidence (299 without a miss for 0.99 at 95 %).
    """
    if certificate.model != facts.model:
        return Gate(open=False, reason="the certificate is of another model, or of other tools")
    outside = [*_outside(certificate.domain, facts)]
    if not outside:
        return Gate(open=True, reason=certificate.words)
    seen, wanted = facts.seen, facts.wanted or certificate.recall
    bound = recall_bound(seen.serious, seen.missed, certificate.delta)
    told = (
        f"outside the certificate ({', '.join(outside)}): {seen.serious} labelled serious cases, {seen.missed} missed, "
        f"recall >= {bound:.4f} of {float(wanted):g}"
    )
    return Gate(open=bound >= wanted, reason=told)


def in_domain(certificate: Certificate, facts: Facts) -> bool:
    """Return whether a certificate speaks of such a case: every part of its domain fits."""
    return certificate.model == facts.model and not [*_outside(certificate.domain, facts)]


def _outside(domain: Domain, facts: Facts) -> Iterable[str]:
    pairs: Sequence[tuple[str, str, str]] = (
        ("product class", facts.product_class, domain.product_class),
        ("source", facts.source, domain.source),
        ("language", facts.language, domain.language),
    )
    for what, found, wanted in pairs:
        if found != wanted:
            yield f"{what} {found or 'unknown'}, not {wanted}"
    # Whole dates compare as texts; a partial or missing one is outside.
    day = facts.received_on[:10]
    if len(day) < 10 or not domain.first_day <= day <= domain.last_day:
        yield f"received {day or 'on an unknown day'}, not {domain.first_day} to {domain.last_day}"


def written(certificate: Certificate) -> dict[str, object]:
    """Return a certificate as JSON values."""
    domain = certificate.domain
    return {
        "threshold": certificate.threshold, "n": certificate.n, "k": certificate.k,
        "recall": str(certificate.recall), "delta": str(certificate.delta), "model": certificate.model,
        "domain": {name: getattr(domain, name) for name in Domain.__slots__},
    }  # fmt: skip


def read(value: Mapping[str, object]) -> Certificate:
    """Return the certificate that `written` wrote. Raises `ValueError`, `KeyError` or `TypeError` for anything else."""
    domain = value["domain"]
    threshold, n, k = value["threshold"], value["n"], value["k"]
    if not (
        isinstance(domain, dict)
        and isinstance(threshold, float)
        and isinstance(n, int)
        and isinstance(k, int)
    ):
        raise TypeError("a certificate has a domain, a threshold, n and k")
    recall, delta = Fraction(str(value["recall"])), Fraction(str(value["delta"]))
    if allowed_misses(n, recall, delta) != k:
        raise ValueError(f"{k} misses of {n} do not certify a recall of {recall} at {delta}")
    return Certificate(
        threshold=threshold,
        n=n,
        k=k,
        recall=recall,
        delta=delta,
        domain=Domain(**domain),
        model=str(value["model"]),
    )
