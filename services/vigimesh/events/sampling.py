"""The events of the live audit sample: a case was drawn for a person, a person labelled it, a gate was moved.

As in `classes`: frozen values, money in micro-units, moments in UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated as A

# A field per line, its meaning beside it.
# fmt: off


@dataclass(frozen=True, slots=True, kw_only=True)
class CasePlace:
    """Where a small model is judged: what its certificate names, the model, the recall that names the threshold, and what labels are held to."""

    product_class: A[str, "drug, vaccine, ...; empty when not known"]
    source: A[str, "format of the source"]
    language: A[str, "ISO 639-1 code; empty when not known"]
    model: A[str, "sha256 of what makes a margin"]
    recall: A[str, "the certificate's recall as a fraction, 19/20"]
    certified: A[bool, "whether the certificate's domain holds the case, its day of receipt included"]
    wanted: A[str, "the recall that labels must bear out, as a fraction; empty: the certificate's"] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseSampled:
    """A case of the small tier's pass was drawn for a person: what the tier made of it, so that a label can be held against it."""

    case_id: A[str, "the case"]
    message_id: A[str, "the version's message"]
    workflow: A[str, "workflow card"]
    place: A[CasePlace, "where it counts"]
    margin: A[float, "the score, before calibration"]
    threshold: A[float, "the certified margin: below it the tier resolves a case of which nothing else speaks"]
    stated: A[str, "why the tier does not resolve it whatever its score: field or text called it serious or may do so, cut when not all was read; or empty"] = ""
    resolved: A[bool, "whether the tier resolved it alone; false in shadow"] = False
    group: A[str, "the same for cases with the same words"] = ""
    drawn_at: A[datetime, "broker append time of the received record"]
    price_micro: A[int, "what the audit costs where a machine would have ended the case, micro-units; 0 where none could"] = 0
    currency: A[str, "ISO 4217 code"] = "EUR"


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseLabelled:
    """A person said whether a drawn case is serious."""

    case_id: A[str, "the case"]
    message_id: A[str, "the message of the version that was drawn"]
    serious: A[bool, "whether it is serious"]
    by: A[str, "the person"]
    at: A[datetime, "when the person said so"]
    comment: A[str, "the person's; never text of the case"] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GateMoved:
    """What the labels of a place let a small model do there, as of its newest look, closing or opening."""

    place: A[CasePlace, "where"]
    series: A[int, "1 for the first series of looks, one more each time a person begins anew"] = 1
    since: A[datetime | None, "cases drawn earlier do not count, or null"] = None
    look: A[int, "looks of the series so far"] = 0
    open: A[bool, "whether a look has opened it and the bound still holds; means nothing where the certificate holds"] = False
    serious: A[int, "labelled serious cases that count, repeats removed"] = 0
    missed: A[int, "those of them that the tier would have resolved"] = 0
    closed: A[str, "why it is closed whatever a certificate says, or empty"] = ""
    reason: A[str, "why it was moved, in words"] = ""
    by: A[str, "the person who moved it, empty for a rule"] = ""
    at: A[datetime, "when"]
