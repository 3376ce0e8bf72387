"""A small model at an endpoint, in the place of the shipped one: what it is asked, how its answer is read, and where it may be relied on. Pure.

Nothing is known of such a model but its name. So its number is no probability: it never makes a case serious, and it settles one only
where people have labelled enough serious cases of its own live sample, at its own threshold (`live.py`).
The gate begins closed. What the endpoint says that it ran, the prompt, the threshold, the rules of redaction and what reads the text before
it are one name (`basis_of`): when one of them changes, it begins closed again.

It is asked only about a narrative that may leave whole and in which nothing could be an order (`narrative.py`); the shipped model reads the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import log

import msgspec

from vigimesh.domain.cascade.certify import Certificate, Domain, recall_bound
from vigimesh.domain.cascade.narrative import MAX_SENT, Leaving
from vigimesh.domain.cascade.opinion import facts_of
from vigimesh.domain.cascade.prompts import shipped_prompt
from vigimesh.domain.cascade.question import Question
from vigimesh.domain.cascade.sample import place_in
from vigimesh.domain.cascade.small import Asked, Reading, Standings, Told, orders_in, place_of, unlabelled
from vigimesh.domain.cascade.tokens import prompt_bound
from vigimesh.domain.policy.cards import Cascade
from vigimesh.domain.privacy.rules import rules_digest
from vigimesh.domain.safety.reading_version import reading_version
from vigimesh.events.case import Case
from vigimesh.events.classes import Finding, Triage
from vigimesh.events.ids import digest
from vigimesh.events.knowledge import Passage

#: The prompt, and the step under which its calls are remembered.
PROMPT, ASKED = "seriousness", "small_model_endpoint"
#: The number of what is certainly serious.
MOST = 100
#: Characters of an answer that is read: four times the tokens that it may have.
MAX_CHARACTERS = 120
#: A certificate of nothing: no day lies in it, so that only labels open its gate.
_NOWHERE = Domain(product_class="", source="", language="", first_day="9999-12-31", last_day="0001-01-01")


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """The model that is asked: its name there, the seconds of one call, and the percentage below which it would settle a case."""

    name: str
    deadline_s: float
    below: int


class _Said(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    serious_percent: int


def question(
    endpoint: Endpoint,
    case: Case,
    triage: Triage,
    findings: Sequence[Finding],
    passages: Sequence[Passage],
    narrative: Leaving,
) -> Question:
    """Return the question about a case, the same for the same facts and narrative; its first message is the same for all cases.

    Raises `Refused` VM-2101 for what cannot be asked, `Misconfigured` VM-2301 without a prompt.
    """
    prompt = shipped_prompt(PROMPT)
    told = facts_of(case, triage, findings, passages) | {"narrative": {"text": narrative.text}}
    return prompt.asked(ASKED, told, endpoint.name, endpoint.deadline_s)


def longest(endpoint: Endpoint) -> tuple[int, int]:
    """Return the tokens of prompt and answer that a call about a long narrative has at most, for whoever prices calls before there are any.

    Raises as `question`.
    """
    told = {"narrative": {"text": "x" * MAX_SENT}}
    asked = shipped_prompt(PROMPT).asked(ASKED, told, endpoint.name, endpoint.deadline_s)
    return prompt_bound(asked), asked.max_tokens


def read_percent(text: str) -> int | None:
    """Return the number in an answer, 0 to 100; `None` for anything that does not match the schema."""
    if len(text) > MAX_CHARACTERS:
        return None
    try:
        found = msgspec.json.decode(text, type=_Said).serious_percent
    except (msgspec.DecodeError, UnicodeEncodeError):
        return None
    return found if 0 <= found <= MOST else None


def margin_of(percent: int) -> float:
    """Return the log odds of a percentage; half a point from either end, so that 0 and 100 have one too."""
    return log((percent + 0.5) / (MOST - percent + 0.5))


def basis_of(reading: Reading) -> str:
    """Return the name of all that its gate rests on, 64 hexadecimal digits."""
    parts = (
        reading.model, str(reading.below), shipped_prompt(PROMPT).digest, rules_digest(), reading_version(),
    )  # fmt: skip
    return digest("|".join(("endpoint", *parts)).encode())


def wanted(reading: Reading, rule: Cascade) -> Certificate:
    """Return what a card wants of such a model, in the form of a certificate that rests on no case and holds nowhere."""
    return Certificate(
        threshold=margin_of(reading.below), n=0, k=0, recall=rule.recall, delta=Fraction(1) - rule.confidence,
        domain=_NOWHERE, model=basis_of(reading),
    )  # fmt: skip


def told(asked: Asked, reading: Reading, standings: Standings = unlabelled) -> Told:
    """Return what `small.said` reads of a case that the endpoint answered about, with how its gate stands now."""
    certificate = wanted(reading, asked.rule)
    place = place_of(asked.case, asked.text, certificate.model)
    standing = standings(place, certificate)
    seen, margin = standing.seen, margin_of(reading.percent)
    bound = recall_bound(seen.serious, seen.missed, certificate.delta)
    is_open = bound >= certificate.recall and not standing.closed
    gate = (
        f"no certificate names {reading.model}: {seen.serious} labelled serious cases, {seen.missed} missed, "
        f"recall >= {bound:.4f} of {float(certificate.recall):g}"
    )
    return Told(
        model=reading.model, probability=reading.percent / MOST, margin=margin, whole=True, calibrated=False,
        recall=str(certificate.recall), threshold=certificate.threshold, open=is_open, gate=standing.closed or gate,
        place=place_in(place, certificate),
        instructions=orders_in(asked.text) if is_open and margin < certificate.threshold else (),
    )  # fmt: skip
