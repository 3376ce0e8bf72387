"""The floor under every card: what a machine never accepts, in code and not in data. A card can only be stricter.

Auto-accept means that the triage result stands, no more: it never submits, closes, nullifies or merges a case.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from vigimesh.domain.policy.cards import Card
from vigimesh.domain.policy.facts import is_paediatric, is_study, serious_signs, stated_situations
from vigimesh.events.case import Case
from vigimesh.events.classes import Clock, Triage

#: The highest grade that a machine may accept (the seed's "severity > 2 is never auto-accepted").
MAX_GRADE = 2
#: What a card's signature may lift: only what a product class makes ordinary (children in a vaccine programme).
LIFTABLE = ("paediatric",)
#: Flags that say the same as a point of the floor, so that they are told once, in that point's words.
_SAME = {
    "paediatric": "paediatric",
    "pregnancy": "pregnancy",
    "breastfeeding": "pregnancy",
    "blinded": "blinded",
    "study": "study",
    "death": "death",
    "new_product": "new_product",
}
_WORDS = {
    "death": "a death is never accepted by machine",
    "pregnancy": "a pregnancy or breastfeeding is never accepted by machine",
    "paediatric": "a patient below eighteen is not accepted by machine, save where the card's signature allows it",
    "blinded": "a blinded product is never accepted by machine",
    "study": "a case of a study is never accepted by machine",
    "new_product": "a new product is never accepted by machine",
}
#: Special situations that are told as a pregnancy.
_PREGNANCY = frozenset({"pregnancy", "breastfeeding"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """One point of the floor that a case touches: its name, and why in words."""

    name: str
    words: str


def floor(case: Case, triage: Triage, card: Card, *, hold: bool, tier: str) -> tuple[Breach, ...]:
    """Return every point of the floor that keeps this case from a machine; empty when there is none.

    `hold` is the operator's stop; `tier` is the one that resolved the case.
    """
    found = {breach.name: breach for breach in _points(case, triage, card)}
    if tier == "person":
        found["no_tier"] = Breach(name="no_tier", words="no permitted tier is available")
    if card.auto_accept is None:
        words = f"the owner of {card.name} has not signed for auto-accept"
        found["unsigned"] = Breach(name="unsigned", words=words)
    if hold:
        found["hold"] = Breach(name="hold", words="auto-accept is held by an operator")
    allowed = card.auto_accept.allows if card.auto_accept else ()
    lifted = [name for name in LIFTABLE if name in allowed]
    return tuple(breach for name, breach in found.items() if name not in lifted)


def _points(case: Case, triage: Triage, card: Card) -> Iterator[Breach]:
    document = case.kind == "document"
    if triage.grade > MAX_GRADE:
        yield Breach(name="grade", words=f"grade {triage.grade} is above {MAX_GRADE}")
    if triage.serious != "no":
        state = "unknown" if triage.serious == "unknown" else "serious"
        yield Breach(name="seriousness", words=f"seriousness is {state}")
    if not triage.valid and not document:
        yield Breach(name="non_valid", words="minimum criteria are missing: " + ", ".join(triage.missing))
    if case.urgent:
        yield Breach(name="urgent", words="what its sender marked as urgent is looked at by a person")
    if case.amendment == "nullification":
        yield Breach(name="nullification", words="a nullification is confirmed by a person")
    for name in _named(case, triage, document):
        yield Breach(name=name, words=_WORDS[name])
    situations = set(triage.situations).union(stated_situations(case)) - _PREGNANCY
    if situations:
        words = "special situation: " + ", ".join(sorted(situations))
        yield Breach(name="special_situation", words=words)
    clock: Clock = triage.clock
    if clock.person_needed:
        yield Breach(name="clock", words="a person must confirm the legal clock")
    flags = [flag for flag in triage.flags if flag not in _SAME]
    if flags:
        yield Breach(name="flagged", words="the tools raised " + ", ".join(dict.fromkeys(flags)))


def _named(case: Case, triage: Triage, document: bool) -> Iterator[str]:
    signs = serious_signs(case)
    stated = set(triage.situations).union(stated_situations(case))
    named = {_SAME[flag] for flag in triage.flags if flag in _SAME}
    if {"death", "fatal_outcome", "died_on"}.intersection(signs):
        named.add("death")
    if case.patient.pregnant == "yes" or stated & _PREGNANCY:
        named.add("pregnancy")
    if is_paediatric(case):
        named.add("paediatric")
    if any(product.blinded for product in case.products):
        named.add("blinded")
    if is_study(case):
        named.add("study")
    if document:
        named.discard("study")  # a protocol belongs to a study; only a patient's case is held back for it
    yield from (name for name in _WORDS if name in named)
