"""The live audit sample: which cases a person sees besides, drawn by a hash of the case id, and what is noted of each.

The draw is among *all* cases of the small tier's pass, at one rate and before any score is known: a sample of what the tier resolved alone would say how
many of its answers are wrong and nothing of recall, which counts the serious cases that it did not resolve, too. A person is paid for only where a
machine would have ended the case.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from fractions import Fraction

from vigimesh.domain.cascade.certify import Certificate, Facts, in_domain
from vigimesh.domain.policy.cards import AuditSample, Card
from vigimesh.domain.policy.facts import serious_signs
from vigimesh.domain.safety.grade import AMBIGUOUS, TELLING_CHARACTERS
from vigimesh.events.case import Case
from vigimesh.events.classes import Route, Triage, UsageRecorded
from vigimesh.events.sampling import CasePlace, CaseSampled

#: The flag of a drawn case: what the tools flag is kept from a machine by the floor, so that a person sees it.
FLAG = "audit_sample"
#: The kind of `usage` that is the sample's line of the budget.
USAGE = "audit_sample"
#: Cases in a thousand, the unit of the rate.
PERMILLE = 1_000


def drawn(case_id: str, audit: AuditSample) -> bool:
    """Return whether a case is in the sample: the same for every version and redo of it, whatever it says."""
    found = hashlib.sha256(f"{audit.seed}\x1f{case_id}".encode()).digest()
    return int.from_bytes(found[:8], "big") * PERMILLE < audit.permille << 64


def place_in(facts: Facts, certificate: Certificate) -> CasePlace:
    """Return where a case counts under a certificate. What labels must bear out is named where it is another than what the certificate promises."""
    certified, wanted = in_domain(certificate, facts), facts.wanted or certificate.recall
    return CasePlace(
        product_class=facts.product_class, source=facts.source, language=facts.language, model=facts.model,
        recall=str(certificate.recall), certified=certified,
        wanted="" if certified or wanted == certificate.recall else str(wanted),
    )  # fmt: skip


def key_of(place: CasePlace) -> str:
    """Return the name of a place: the key of its record, and what is typed on the command line."""
    where = (place.product_class or "-", place.source or "-", place.language or "-")
    recall = "@".join(f"{float(Fraction(one)):g}" for one in (place.wanted, place.recall) if one)
    return "/".join((*where, place.model[:12], recall, "certified" if place.certified else "outside"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Scored:
    """What the small tier made of a case: its margin, the threshold it was held to and where; whether the text was read whole, and the case resolved."""

    place: CasePlace
    margin: float
    threshold: float
    whole: bool = True
    resolved: bool = False


def sampled(
    case: Case, before: Triage, text: str, route: Route, scored: Scored, card: Card
) -> CaseSampled | None:
    """Return the record of a drawn case; None when it is not drawn, is no report, or was found not serious without a model.

    `before` is what the tools said, `text` the narrative. What a field calls serious is noted, and proves nothing about a model.
    """
    audit = card.cascade.audit
    if audit is None or case.kind != "icsr" or before.serious == "no" or not drawn(case.case_id, audit):
        return None
    stated = _stated(case, before, whole=scored.whole)
    return CaseSampled(
        case_id=case.case_id, message_id=case.message_id, workflow=route.workflow, place=scored.place,
        margin=scored.margin, threshold=scored.threshold, stated=stated,
        resolved=scored.resolved, group=_group(case, text), drawn_at=route.received_at,
        price_micro=0 if stated else price_micro(audit), currency=card.budget.currency,
    )  # fmt: skip


def price_micro(audit: AuditSample) -> int:
    """Return what one audit costs, micro-units of the card's currency."""
    return audit.minutes * audit.minute_micro


def usage_of(case: Case, route: Route, card: Card, stage: str) -> UsageRecorded | None:
    """Return the record of an audit on the sample's line of the budget; for a drawn case that a machine would have ended."""
    audit = card.cascade.audit
    if audit is None or not drawn(case.case_id, audit):
        return None
    return UsageRecorded(
        case_id=case.case_id, message_id=case.message_id, workflow=route.workflow, lane=route.lane, stage=stage, kind=USAGE,
        name="audit sample", tier="person", quantity=60 * audit.minutes, unit="seconds", cost_micro=price_micro(audit),
        currency=card.budget.currency, pass_number=route.pass_number,
    )  # fmt: skip


def group_of(text: str) -> str:
    """Return a name (32 hexadecimal digits) for a text and its repeats: the same words in the same order, whatever case and spacing."""
    words = " ".join(text.casefold().split())
    return hashlib.sha256(words.encode("utf-8", errors="replace")).hexdigest()[:32]


def _group(case: Case, text: str) -> str:
    """Return the group of a case; two that say next to nothing are two cases, so that two misses among them are two."""
    return group_of(text if len(text.strip()) >= TELLING_CHARACTERS else case.case_id)


def _stated(case: Case, before: Triage, *, whole: bool) -> str:
    if serious_signs(case):
        return "field"
    if before.serious == "yes" or AMBIGUOUS in before.flags:
        return "text"
    return "" if whole else "cut"
