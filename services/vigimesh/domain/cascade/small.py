"""What the small tier says of a case: resolved as not serious, or handed on, and why. It can never say *serious* for good, nor unsay a flag.

The caller has read the structured flags first: this is asked about a case that has none, and what it hands on goes to the large tier or
a person (DESIGN part 7: model output can raise a grade, never lower a deterministic flag).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from vigimesh.domain.cascade.certify import Certificate, Facts, opens
from vigimesh.domain.cascade.model import Absent, Model, Score


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """Whether the small tier resolves the case as not serious; `reason` is for the reason-of-record."""

    resolved: bool
    reason: str


def said(model: Model | Absent, score: Score | None, facts: Facts, recall: Fraction) -> Said:
    """Return what the small tier says of a case with this score, at the certificate of this recall.

    1. no model, or no score of it: handed on. 2. a text that was not read whole: handed on. 3. a gate that is closed: handed on. 4. a margin at or
    above the threshold: handed on. 5. else resolved. `facts.model` is the model's `tables_digest`.
    """
    if isinstance(model, Absent):
        return Said(resolved=False, reason=f"{model.outcome}: {model.why}")
    if score is None or score.model != model.digest:
        return Said(resolved=False, reason="there is no score of the model in use")
    if not score.whole:
        return Said(resolved=False, reason="only the beginning of the text was read")
    certificate = certified(model, recall)
    gate = opens(certificate, facts)
    if certificate is None or not gate.open:
        return Said(resolved=False, reason=gate.reason)
    terms = ", ".join(f"{term.text} {term.weight:+.2f}" for term in score.terms)
    told = f"probability {score.probability:.3f}, margin {score.margin:.3f}, threshold {certificate.threshold:.3f}; {terms}"
    if score.margin >= certificate.threshold:
        return Said(resolved=False, reason=f"not below the certified threshold: {told}")
    return Said(resolved=True, reason=f"below the certified threshold: {told}; {gate.reason}")


def certified(model: Model, recall: Fraction) -> Certificate | None:
    """Return the model's certificate of the lowest recall that is at least this one; None when it has none."""
    fitting = [one for one in model.certificates if one.recall >= recall]
    return min(fitting, key=lambda one: one.recall, default=None)
