"""The four minimum criteria: who is the patient, who told, which product, what happened.

EMA GVP module VI, VI.B.2 and ICH E2D(R1) 4.2: a report that lacks one is *non-valid*. It is a state and not an end:
the criterion is asked for, and the day it arrives is day 0.
"""

from __future__ import annotations

from dataclasses import dataclass

from vigimesh.events.case import Case

SUSPECT_ROLES = ("suspect", "interacting")


@dataclass(frozen=True, slots=True, kw_only=True)
class Criteria:
    """What is missing (`patient`, `reporter`, `product`, `reaction`) and the fields that meet the rest."""

    missing: tuple[str, ...]
    met_by: tuple[str, ...]
    reaction_in_text_only: bool

    @property
    def valid(self) -> bool:
        """Whether nothing is missing."""
        return not self.missing


def minimum_criteria(case: Case, text: str) -> Criteria:
    """Return which minimum criteria `case` meets; `text` is its narrative.

    A reporter counts as identified by a name, initials, address or organisation, or by a qualification: without the
    latter it is a consumer (GVP VI.B.2). An event that stands in the narrative alone is not coded: the criterion stays
    missing, and `reaction_in_text_only` says that there is something to code.
    """
    checks = {
        "patient": _patient(case),
        "reporter": _reporter(case),
        "product": _product(case),
        "reaction": _reaction(case),
    }
    missing = tuple(name for name, met in checks.items() if not met)
    return Criteria(
        missing=missing,
        met_by=tuple(met for met in checks.values() if met),
        reaction_in_text_only="reaction" in missing and bool(text.strip()),
    )


def _patient(case: Case) -> str:
    patient = case.patient
    if patient.identified_by:
        return "patient.identified_by=" + ",".join(patient.identified_by)
    for name, value in (("age_group", patient.age_group), ("sex", patient.sex)):
        if value:
            return f"patient.{name}={value}"
    return "" if patient.age_years is None else f"patient.age_years={patient.age_years:g}"


def _reporter(case: Case) -> str:
    for place, reporter in enumerate(case.reporters):
        if reporter.identified:
            return f"reporters[{place}].identified=true"
        if reporter.qualification not in ("", "not_stated"):
            return f"reporters[{place}].qualification={reporter.qualification}"
    return ""


def _product(case: Case) -> str:
    for place, product in enumerate(case.products):
        if product.role in SUSPECT_ROLES and (product.name.strip() or product.substance.strip()):
            return f"products[{place}].role={product.role}"
    return ""


def _reaction(case: Case) -> str:
    for place, reaction in enumerate(case.reactions):
        if reaction.text.strip() or reaction.term.strip() or reaction.code.strip():
            return f"reactions[{place}]"
    return ""
