"""Where the certificate does not hold the gate is closed until labels open it: a rule of looks, on the cases in the order of their days.

Cases outside the certificate's domain go on to the large model while the gate is closed, and those tokens count. A label counts from the day after its case came;
the form's ticks stand for what a person would say. Each place (product class, source, language) is opened by its own labels. Looks are planned: after `FIRST`
labelled serious cases of it, and each time they have doubled; the n-th has a 2^-n part of the certificate's delta, so that all together keep it.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from cascade_cases import Report, arrived
from vigimesh.domain.cascade.certify import Certificate, Facts, Seen, opens, recall_bound
from vigimesh.domain.cascade.facts import facts_of
from vigimesh.domain.cascade.model import Model
from vigimesh.domain.cascade.padding import worst_of
from vigimesh.domain.cascade.settled import silent
from vigimesh.domain.cascade.small import Standing, basis_of, certified, place_of
from vigimesh.domain.policy.cards import Cards, Cascade
from vigimesh.domain.safety.tools import run_steps

#: Serious cases of the first look: what 0.99 at 95 % needs without a miss.
FIRST = 299

Place = tuple[str, str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """A case outside of the domain: its day, whether it is serious, and whether the small tier would have resolved it."""

    day: str
    serious: bool
    resolved: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """The labels of a place, and the day after which they opened the gate there; empty when they did not."""

    seen: Seen = field(default_factory=Seen)
    day: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Which places labels opened, and how many cases lay in each place outside of the domain."""

    opened: Mapping[Place, Opened]
    outside: Mapping[Place, int]

    def standing(self, facts: Facts, _certificate: Certificate) -> Standing:
        """Return what labels say of a place on the day of a case."""
        found = self.opened.get(_place(facts))
        there = found is not None and found.day and facts.received_on[:10] > found.day
        return Standing(seen=found.seen) if found is not None and there else Standing()

    @property
    def words(self) -> list[str]:
        """A line for each place."""
        return [
            f"{'/'.join(part or 'unknown' for part in place)}: {self.outside[place]} cases outside the certificate, "
            f"{'opened after ' + one.day if one.day else 'closed'}, {one.seen.serious} labelled serious, {one.seen.missed} missed"
            for place, one in self.opened.items()
        ]


def gate_of(model: Model, reports: Sequence[Report], rule: Cascade, cards: Cards) -> Gate:
    """Return the gate of reports in the order of their days, under the rule of cards; without a certificate nothing opens."""
    certificate = certified(model, rule)
    if certificate is None:
        return Gate(opened={}, outside={})
    rows: dict[Place, list[Labelled]] = defaultdict(list)
    counts: Counter[Place] = Counter()
    for one in reports:
        facts = place_of(one.case, one.case.narrative, basis_of(model.tables_digest))
        if opens(certificate, facts).open:
            continue
        resolved = one.label and _resolved(model, certificate, one, cards)
        rows[_place(facts)].append(Labelled(day=one.day[:10], serious=one.label, resolved=resolved))
        counts[_place(facts)] += 1
    found = {place: looked(held, certificate.recall, certificate.delta) for place, held in rows.items()}
    return Gate(opened=found, outside=counts)


def looked(rows: Sequence[Labelled], recall: Fraction, delta: Fraction) -> Opened:
    """Return when the labels of one place open its gate; `rows` in the order of their days. Those of one day are looked at together."""
    serious = missed = 0
    share, due = delta / 2, FIRST
    for at, row in enumerate(rows):
        serious, missed = serious + row.serious, missed + (row.serious and row.resolved)
        if serious < due or (at + 1 < len(rows) and rows[at + 1].day == row.day):
            continue
        if recall_bound(serious, missed, share) >= recall:
            return Opened(seen=Seen(serious=serious, missed=missed), day=row.day)
        share, due = share / 2, 2 * serious
    return Opened(seen=Seen(serious=serious, missed=missed))


def _resolved(model: Model, certificate: Certificate, one: Report, cards: Cards) -> bool:
    """Return whether the small tier would resolve a case as not serious, were the gate open."""
    (margin,) = worst_of(model, [one.case.narrative], [facts_of(one.case)]).highest.tolist()
    if margin >= certificate.threshold:
        return False
    _, triage = run_steps(cards.card_for(one.case).steps, one.case, one.case.narrative, (), arrived(one))
    return silent(one.case, triage)


def _place(facts: Facts) -> Place:
    return facts.product_class, facts.source, facts.language
