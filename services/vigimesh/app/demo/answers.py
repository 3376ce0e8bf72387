"""What the demo's stand-in answers, and the labels that let the small model settle the demo's calls: invented, both of them."""

from __future__ import annotations

from datetime import datetime

from vigimesh.app.demo.builder import Calendar
from vigimesh.app.demo.line_cases import calls
from vigimesh.app.standin.gold import Gold, Row, key_of
from vigimesh.domain.cascade.certify import Facts
from vigimesh.domain.cascade.model import Model
from vigimesh.domain.cascade.narrative import leaving
from vigimesh.domain.cascade.sample import place_in
from vigimesh.domain.cascade.small import ENGLISH, basis_of, certified
from vigimesh.domain.policy.cards import Card
from vigimesh.events.sampling import GateMoved

#: Number of a call -> what a careful reader would say of it: serious or not, and the grade. The stand-in is told; no prompt holds it.
_READ = {2: ("no", 2), 10: ("no", 2), 11: ("yes", 3)}
#: Serious cases that people are said to have labelled without a miss: enough for the recall of the demo's card.
LABELLED = 99
#: Said wherever the gate of the demo is told of.
WHY = "invented labels, for the demonstration only"


def gold(calendar: Calendar) -> Gold:
    """Return what the stand-in is told of the demo's calls, by the text that leaves of each."""
    told = {}
    for number, case in enumerate(calls(calendar), 1):
        if number in _READ:
            serious, grade = _READ[number]
            right, wrong = (
                {"serious": word, "grade": at, "evidence": []}
                for word, at in ((serious, grade), ("unknown", 3))
            )
            key = key_of(leaving(case, case.narrative, (), ()).text)
            told[key] = Row(key=key, gold=right, wrong=wrong)
    return Gold(rows=told)


def gate(model: Model, card: Card, at: datetime) -> GateMoved | None:
    """Return the record that opens the small tier for the demo's calls about vaccines; `None` where the model has no certificate for the card."""
    certificate = certified(model, card.cascade)
    if certificate is None:
        return None
    facts = Facts(
        product_class="vaccine", source="jsonl", language=ENGLISH, received_on="", model=basis_of(model.tables_digest),
        wanted=card.cascade.labels_recall,
    )  # fmt: skip
    place = place_in(facts, certificate)
    return GateMoved(place=place, look=1, open=True, serious=LABELLED, reason=WHY, by="demonstration", at=at)
