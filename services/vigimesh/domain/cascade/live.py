"""What the labels of the live sample let a small model do: looks that may open a gate, and everything that closes one. Pure.

Where no certificate holds, a gate opens at a *look* alone, when so many labelled serious cases of the sample are known (`looks`). Who looked after each
label would open one too soon in the end, however bad the model: the confidence is split over the looks of a series, and between two of them, an epoch, a
gate can only close.

The sample is read in the order of its draw up to the first case below the threshold that nobody has labelled (`Tally.waits_for`): who labels the plain cases
first, which are not below it, must not open a gate by that. A miss counts at once wherever it lies.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from fractions import Fraction
from functools import lru_cache

from vigimesh.domain.cascade.certify import MAX_GROUPS, allowed_misses, recall_bound
from vigimesh.domain.cascade.drift import WINDOW, Reference, contradicted, reference_of, windows
from vigimesh.errors import Refused
from vigimesh.events.sampling import CaseLabelled, CasePlace, CaseSampled, GateMoved

#: Share of the confidence that the first look has. So much that a recall of 0.99 needs the 299 cases without a miss that it needs alone (0.99^299 is
#: 0.99 of 0.05); the other looks share what is left.
FIRST = Fraction(124, 125)
#: The looks, as multiples of the first one's cases; after the last one a person begins a new series.
TIMES = (1, 4, 8, 16)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """A planned look: after `serious` labelled serious cases it opens with at most `allowed` misses among them."""

    serious: int
    allowed: int
    delta: Fraction


@lru_cache(maxsize=64)
def looks(recall: Fraction, delta: Fraction) -> tuple[Look, ...]:
    """Return the looks of a series. Together they open a gate of a lower recall with a chance of at most `delta`.

    Raises `ValueError` for a recall or delta that is not between 0 and 1, or a recall that needs over `MAX_GROUPS` cases.
    """
    first = FIRST * delta
    few, many = 0, 1
    while allowed_misses(many, recall, first) is None:
        few, many = many, 2 * many
        if TIMES[-1] * many > MAX_GROUPS:
            raise ValueError(f"a recall of {recall} needs over {MAX_GROUPS} cases")
    while many - few > 1:
        middle = (few + many) // 2
        few, many = (middle, many) if allowed_misses(middle, recall, first) is None else (few, middle)
    shares = (first, *[(delta - first) / (len(TIMES) - 1)] * (len(TIMES) - 1))
    planned = (
        (many * times, allowed_misses(many * times, recall, share), share)
        for times, share in zip(TIMES, shares, strict=True)
    )
    return tuple(Look(serious=n, allowed=k, delta=share) for n, k, share in planned if k is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Audited:
    """A drawn case with its label; `serious` is None while nobody has given one."""

    sample: CaseSampled
    serious: bool | None = None

    @property
    def below(self) -> bool:
        """Whether the tier resolves it, or would: nothing else speaks, and its margin is below the threshold."""
        return not self.sample.stated and self.sample.margin < self.sample.threshold

    @property
    def counts(self) -> bool:
        """Whether it says anything of recall: what a field calls serious never depended on the tier."""
        return self.sample.stated != "field"


def joined(
    samples: Iterable[CaseSampled], labels: Iterable[CaseLabelled]
) -> dict[CasePlace, tuple[Audited, ...]]:
    """Return the drawn cases of each place in the order of their draw. A label counts for the version that it was given for."""
    given = {(one.case_id, one.message_id): one.serious for one in labels}
    places: dict[CasePlace, list[Audited]] = defaultdict(list)
    for sample in samples:
        label = given.get((sample.case_id, sample.message_id))
        places[sample.place].append(Audited(sample=sample, serious=label))
    return {
        place: tuple(sorted(cases, key=lambda one: (one.sample.drawn_at, one.sample.case_id)))
        for place, cases in places.items()
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """What the labels of a place come to.

    `serious` and `missed` are what the bound is worked out from: the cases up to `waits_for`, and every miss behind it. `every` are all labelled ones, in
    whatever order. `passed` says of each look that was reached whether it opens, `opened` how many cases had been drawn at the newest look.
    `spent_micro` is what `usage` holds for those that the tier resolved: behind a closed gate it resolves none, and nobody is paid besides. `price_micro`
    is what all of them would cost behind an open gate.
    """

    drawn: int = 0
    labelled: int = 0
    serious: int = 0
    missed: int = 0
    every: tuple[int, int] = (0, 0)
    passed: tuple[bool, ...] = ()
    opened: int = 0
    waits_for: str = ""
    missed_cases: tuple[str, ...] = ()
    price_micro: int = 0
    spent_micro: int = 0

    def bound(self, delta: Fraction) -> float:
        """Return the lower bound of recall with confidence 1 - `delta`; 0 while nothing is known."""
        return recall_bound(self.serious, self.missed, delta)


@dataclass(slots=True)
class _Groups:
    """Groups of repeats: a group is one serious case, and is missed when any of it is."""

    missed: dict[str, bool] = field(default_factory=dict)

    def add(self, case: Audited) -> None:
        if case.serious and case.counts:
            group = case.sample.group
            self.missed[group] = self.missed.get(group, False) or case.below

    @property
    def figures(self) -> tuple[int, int]:
        return len(self.missed), sum(self.missed.values())


def tallied(cases: Sequence[Audited], plan: Sequence[Look]) -> Tally:
    """Return what the drawn cases of one place come to, given in the order of their draw."""
    first, every = _Groups(), _Groups()
    waits_for, passed, opened = "", list[bool](), 0
    for at, case in enumerate(cases):
        every.add(case)
        if case.serious is None and case.below and case.counts and not waits_for:
            waits_for = case.sample.case_id
        if waits_for:
            if case.below:
                first.add(case)  # a miss: at once
            continue
        first.add(case)
        serious, missed = first.figures
        if len(passed) < len(plan) and serious == plan[len(passed)].serious:
            passed.append(missed <= plan[len(passed)].allowed)
            opened = at + 1
    serious, missed = first.figures
    return Tally(
        drawn=len(cases), labelled=sum(one.serious is not None for one in cases), serious=serious, missed=missed,
        every=every.figures, passed=tuple(passed), opened=opened, waits_for=waits_for,
        missed_cases=tuple(one.sample.case_id for one in cases if one.serious and one.counts and one.below),
        price_micro=sum(one.sample.price_micro for one in cases), spent_micro=spent(one.sample for one in cases),
    )  # fmt: skip


def spent(samples: Iterable[CaseSampled]) -> int:
    """Return what was spent on drawn cases, micro-units: those that the small tier resolved, each as its pass booked it on `usage`."""
    return sum(one.price_micro for one in samples if one.resolved)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a place is held to: the certificate's recall, its delta, and the scores of the cases it was made from, where they are known."""

    recall: Fraction
    delta: Fraction
    reference: Reference | None = None

    @property
    def plan(self) -> tuple[Look, ...]:
        """The looks of a series."""
        return looks(self.recall, self.delta)


def since(cases: Sequence[Audited], gate: GateMoved | None) -> tuple[Audited, ...]:
    """Return the cases of a place that count for its series."""
    begun = gate.since if gate else None
    return tuple(one for one in cases if begun is None or one.sample.drawn_at >= begun)


def moved(
    place: CasePlace, cases: Sequence[Audited], before: GateMoved | None, terms: Terms, at: datetime
) -> GateMoved:
    """Return the gate of a place after all that is known of it, `before` being how it stood; `cases` are all of the place.

    1. What is closed stays so until a person begins a new series. 2. Scores that have drifted close it. 3. Where the certificate holds, labels that contradict it
    close it. 4. Elsewhere the newest look opens it when it is a new one and passed, and it is open no longer than its look, made anew from
    the labels of now, passes and the bound holds.
    """
    gate = before or GateMoved(place=place, at=at)
    counting = since(cases, gate)
    tally = tallied(counting, () if place.certified else terms.plan)
    look = max(gate.look, len(tally.passed))
    closed = gate.closed or drifted(place, counting, tally, terms)
    newer = len(tally.passed) > gate.look
    passes = bool(tally.passed) and len(tally.passed) == look and tally.passed[-1]
    holds = passes and tally.bound(terms.delta) >= terms.recall
    new = replace(
        gate, look=look, closed=closed, serious=tally.serious, missed=tally.missed,
        open=holds and not closed and (newer or gate.open),
    )  # fmt: skip
    if before is not None and new == gate:
        return gate
    return replace(new, reason=closed or _told(tally, terms, new), by="", at=at)


def drifted(place: CasePlace, cases: Sequence[Audited], tally: Tally, terms: Terms) -> str:
    """Return why a gate must close, empty when nothing has drifted; `cases` and `tally` are those of the series."""
    if place.certified and contradicted(*tally.every, terms.recall):
        serious, missed = tally.every
        return (
            f"labels contradict the certificate: {missed} of {serious} serious cases missed at a certified recall "
            f"of {float(terms.recall):g}"
        )
    margins = [one.sample.margin for one in cases]
    reference = terms.reference
    if not place.certified:
        # Nothing is known of such a place but what its own sample showed up to the look that opened it.
        reference = reference_of(margins[: tally.opened]) if tally.opened >= WINDOW else None
        margins = margins[tally.opened :]
    found = () if reference is None else windows(reference, margins)
    return next((f"drift: {one.words}" for one in found if one.drifted), "")


def begun_anew(gate: GateMoved, by: str, reason: str, at: datetime) -> GateMoved:
    """Return the gate with a new series: nothing drawn before counts. Where the certificate holds it is open again, elsewhere a look must open it.

    Raises `Refused` VM-2704 when nobody says why.
    """
    by, reason = _person(by, reason)
    return GateMoved(place=gate.place, series=gate.series + 1, since=at, reason=reason, by=by, at=at)


def shut(gate: GateMoved, by: str, reason: str, at: datetime) -> GateMoved:
    """Return the gate closed by a person until one begins a new series. Raises `Refused` VM-2704 when nobody says why."""
    by, reason = _person(by, reason)
    return replace(gate, open=False, closed=f"closed by {by}: {reason}", reason=reason, by=by, at=at)


def _person(by: str, reason: str) -> tuple[str, str]:
    if not (by.strip() and reason.strip() and (by + reason).isprintable()):
        raise Refused(
            "VM-2704", what="a gate is moved by a person who says why", where="the gate",
            todo="give --reason TEXT and --by NAME, printable and not empty",
        )  # fmt: skip
    return by.strip(), reason.strip()


def _told(tally: Tally, terms: Terms, gate: GateMoved) -> str:
    state = "" if gate.place.certified else f"; look {gate.look}, {'open' if gate.open else 'closed'}"
    return (
        f"{tally.serious} labelled serious cases, {tally.missed} missed: recall >= {tally.bound(terms.delta):.4f} "
        f"at {float(1 - terms.delta):.0%} of {float(terms.recall):g}{state}"
    )


def next_look(tally: Tally, terms: Terms) -> Look | None:
    """Return the look that is to come and does not allow less than is missed already; None when none is left."""
    ahead = (look for look in terms.plan if look.serious > tally.serious and look.allowed >= tally.missed)
    return next(ahead, None)


def projected(tally: Tally, look: Look) -> int | None:
    """Return how many more cases must be drawn until a look, at the share of serious ones so far; None when that is not known."""
    if not tally.serious:
        return None
    done = max(tally.labelled, tally.serious)
    return -(-(look.serious - tally.serious) * done // tally.serious)


def standing(gates: Mapping[CasePlace, GateMoved], place: CasePlace) -> tuple[int, int, str]:
    """Return what a worker may rely on in a place: labelled serious cases and misses behind an open gate, else none; and why it is closed, or empty."""
    gate = gates.get(place)
    if gate is None:
        return 0, 0, ""
    return (gate.serious, gate.missed, gate.closed) if gate.open else (0, 0, gate.closed)
