"""What the small tier says of a case: not serious, serious, or handed on, and why. It can never unsay what a field or a text says.

It is asked about a case of which neither says for certain whether it is serious (`settled.open_to_models`). What it hands on goes to the large tier or a person. What
it was told stands in `Told` whole, so that a decision replays without the model.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cache
from typing import Any, Literal

import msgspec

from vigimesh.domain.cascade.certify import Certificate, Facts, Gate, Seen, opens
from vigimesh.domain.cascade.facts import facts_of
from vigimesh.domain.cascade.features import is_cut
from vigimesh.domain.cascade.instructions import instructions_in
from vigimesh.domain.cascade.model import Absent, Model, Score, score_many
from vigimesh.domain.cascade.padding import worst_of
from vigimesh.domain.cascade.sample import place_in
from vigimesh.domain.cascade.settled import open_to_models, settled
from vigimesh.domain.language import is_english
from vigimesh.domain.plain_form import hides, shown
from vigimesh.domain.policy.cards import Cascade
from vigimesh.domain.policy.facts import suspects
from vigimesh.domain.safety.grade import SERIOUS_GRADE
from vigimesh.domain.safety.reading_version import reading_version
from vigimesh.events.case import Case
from vigimesh.events.classes import Triage
from vigimesh.events.ids import digest
from vigimesh.events.sampling import CasePlace

Verdict = Literal["not_serious", "serious", "handed_on"]
#: The language that narratives are read in; what is not English is of no known one.
ENGLISH = "en"
#: The kind of order of a text that hides words from whoever reads it by rule.
HIDDEN = "hidden letters"


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What people and the watch on drift say of the place of a case: cases that people labelled, and why it is closed, if it is."""

    seen: Seen = field(default_factory=Seen)
    closed: str = ""


#: The standing of a place at a certificate's threshold; without labels there is none.
Standings = Callable[[Facts, Certificate], Standing]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What an endpoint made of a case (`endpoint.py`): `percent` from 0 to 100, by the `model` that it says it ran; it settles `below`."""

    model: str
    percent: int
    below: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A case whose text is to be read, and what its card wants certified. With `reading` an endpoint has read it already."""

    case: Case
    text: str
    rule: Cascade
    reading: Reading | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """All that is told of one case. `why` says why there is no score; then nothing else is given.

    `threshold` is the certified margin and `recall` what it promises ("19/20"), `None` and empty without a certificate; `margin` is the highest over the text and its parts (`padding.py`); `gate` is why it may be relied on here, or why not, `place` where its label counts. `terms` are words with what they
    add to the margin, `instructions` the kinds of what could be an order to a machine in the text, looked for only where nothing else hands it on.
    A `probability` that is not `calibrated` is an endpoint's own number and makes no case serious.
    """

    why: str = ""
    model: str = ""
    probability: float = 0.5
    margin: float = 0.0
    terms: tuple[tuple[str, float], ...] = ()
    whole: bool = False
    recall: str = ""
    threshold: float | None = None
    open: bool = False
    gate: str = ""
    place: CasePlace | None = None
    instructions: tuple[str, ...] = ()
    calibrated: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """The verdict; `reason` is for the reason-of-record and holds no word of the case, `terms` explain the score by its words."""

    verdict: Verdict
    reason: str
    terms: tuple[str, ...] = field(default=())


def unlabelled(_place: Facts, _certificate: Certificate) -> Standing:
    """Return the standing where nobody has labelled a case."""
    return Standing()


def tell(
    model: Model | Absent, asked: Sequence[Asked], standings: Standings = unlabelled
) -> list[dict[str, Any]]:
    """Return for each case what `said` reads, as plain values, in their order: one reading of the model for all."""
    if isinstance(model, Absent):
        return [msgspec.to_builtins(Told(why=f"{model.outcome}: {model.why}")) for _ in asked]
    texts = [shown(one.text) for one in asked]
    facts = [facts_of(_with(one.case, text)) for one, text in zip(asked, texts, strict=True)]
    worst = worst_of(model, texts, facts)
    # Margin and terms are of the part that counts; the probability is of the whole text, as it was calibrated.
    scores = score_many(model, worst.texts, worst.facts)
    chances = model.curve.read(worst.own).tolist()
    whole = [seen and not is_cut(text) for seen, text in zip(worst.seen, texts, strict=True)]
    return [
        msgspec.to_builtins(_told(model, one, replace(score, probability=chance, whole=all_read), standings))
        for one, score, chance, all_read in zip(asked, scores, chances, whole, strict=True)
    ]


def _with(case: Case, text: str) -> Case:
    """Return the case with its narrative as it is read, which may lie in the object store."""
    return case if case.narrative == text else replace(case, narrative=text)


def _told(model: Model, one: Asked, score: Score, standings: Standings) -> Told:
    if not one.text.strip():
        # Its facts alone would settle it, whatever the reporter meant to write: most often the text is missing, not empty.
        return Told(why="there is no narrative to read")
    certificate = certified(model, one.rule)
    place = replace(
        place_of(one.case, one.text, basis_of(model.tables_digest)), wanted=one.rule.labels_recall
    )
    standing = standings(place, certificate) if certificate else Standing()
    gate = (
        opens(certificate, replace(place, seen=standing.seen))
        if certificate
        else Gate(open=False, reason=no_certificate(model, one.rule))
    )
    is_open = gate.open and not standing.closed
    # Half of what the tier costs is the search for orders: it is made where it could keep a case from being settled, and nowhere else.
    would_settle = (
        is_open and certificate is not None and score.whole and score.margin < certificate.threshold
    )
    return Told(
        model=score.model, probability=score.probability, margin=score.margin, whole=score.whole,
        terms=tuple((term.text, round(term.weight, 4)) for term in score.terms),
        recall=str(certificate.recall) if certificate else "", threshold=certificate.threshold if certificate else None,
        open=is_open, gate=standing.closed or gate.reason,
        place=place_in(place, certificate) if certificate else None, instructions=orders_in(one.text) if would_settle else (),
    )  # fmt: skip


def orders_in(text: str) -> tuple[str, ...]:
    """Return the kinds of what could be an order to a machine in a text as it came, each once; words that it hides are one."""
    found = instructions_in(shown(text))
    return (HIDDEN, *found) if hides(text) else found


def said(told: Mapping[str, Any], rule: Cascade) -> Said:
    """Return what the small tier says of a case.

    1. no score, or a text that was not read whole: handed on. 2. a calibrated probability at or above the card's `serious_at`: serious. 3. a gate that is closed:
    handed on. 4. what could be an order to a machine in the text: handed on. 5. a margin at or above the certified threshold: handed on. 6. else not
    serious.
    """
    given = msgspec.convert(told, Told)
    if given.why:
        return Said(verdict="handed_on", reason=given.why)
    terms = tuple(f"{text} {weight:+.2f}" for text, weight in given.terms)
    known = "probability" if given.calibrated else f"{given.model} says"
    score = f"{known} {given.probability:.3f}, margin {given.margin:.3f}"
    if not given.whole:
        return Said(
            verdict="handed_on", reason=f"only the beginning of the text was read: {score}", terms=terms
        )
    if given.calibrated and rule.serious_at is not None and given.probability >= rule.serious_at:
        return Said(verdict="serious", reason=f"{score}, at or above {float(rule.serious_at):g}", terms=terms)
    if not given.open or given.threshold is None:
        return Said(verdict="handed_on", reason=f"{given.gate}; {score}", terms=terms)
    if given.instructions:
        reason = (
            f"its text holds what could be an order to a machine ({', '.join(given.instructions)}); {score}"
        )
        return Said(verdict="handed_on", reason=reason, terms=terms)
    if given.margin >= given.threshold:
        reason = f"{score}, not below the certified threshold {given.threshold:.3f}"
        return Said(verdict="handed_on", reason=reason, terms=terms)
    reason = f"{score}, below the certified threshold {given.threshold:.3f}; {given.gate}"
    return Said(verdict="not_serious", reason=reason, terms=terms)


def triaged(case: Case, triage: Triage, heard: Said, at: datetime) -> Triage:
    """Return the triage result after the small tier: what nobody knew may become serious, and what is silent besides not serious.

    Any other result is as it was. What is not known has the clock of the serious already. `at` is when the case arrived.
    """
    why = f"small model: {heard.reason}"
    if heard.verdict == "not_serious":
        return settled(case, triage, why, at)
    if heard.verdict == "serious" and open_to_models(case, triage):
        grade = max(triage.grade, SERIOUS_GRADE)
        return replace(triage, serious="yes", grade=grade, grade_reasons=(why, *triage.grade_reasons))
    return triage


def certified(model: Model, rule: Cascade) -> Certificate | None:
    """Return the model's certificate of the lowest recall that is at least what the threshold is chosen for; None when it has none."""
    fitting = [
        one
        for one in model.certificates
        if one.recall >= rule.certified_recall and 1 - one.delta >= rule.confidence
    ]
    return min(fitting, key=lambda one: one.recall, default=None)


def no_certificate(model: Model, rule: Cascade) -> str:
    """Return the words of a card for which the model has no certificate: it settles nothing, wherever a case is from."""
    has = ", ".join(
        f"{float(one.recall):g} at {float(100 * (1 - one.delta)):g}%" for one in model.certificates
    )
    return (
        f"the model has no certificate of recall >= {float(rule.certified_recall):g} at {float(100 * rule.confidence):g}%; "
        f"it has {has or 'none'}"
    )


@cache
def basis_of(tables_digest: str) -> str:
    """Return the name of what a certificate rests on: the weights of a model and the tools that read the text before it, 64 hexadecimal digits."""
    return digest(f"{tables_digest}|{reading_version()}".encode())


def place_of(case: Case, text: str, model: str) -> Facts:
    """Return where a case stands as a certificate names it; products of several classes are of none."""
    kinds = set(suspects(case))
    return Facts(
        product_class=kinds.pop() if len(kinds) == 1 else "", source=case.source_format,
        language=ENGLISH if is_english(text) else "", received_on=case.first_received_on, model=model,
    )  # fmt: skip
