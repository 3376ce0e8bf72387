"""Make a small model: fit, calibrate, certify, and measure it on what none of that has seen."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from math import inf
from typing import Any

import numpy as np

from vigimesh.app.train.assess import Figure, Ranking, at_threshold, interval, threshold_at_recall, weights
from vigimesh.app.train.examples import Example, Part, texts_of
from vigimesh.app.train.fit import Recipe, fit
from vigimesh.domain.cascade import drift
from vigimesh.domain.cascade.artefact import read_model, read_tables, write_header, write_tables
from vigimesh.domain.cascade.calibration import expected_calibration_error, isotonic
from vigimesh.domain.cascade.certify import Domain, certify, recall_bound, written
from vigimesh.domain.cascade.model import Model, margins_of
from vigimesh.domain.cascade.padding import worst_of
from vigimesh.domain.cascade.small import basis_of
from vigimesh.domain.cascade.vectors import Floats
from vigimesh.errors import Misconfigured
from vigimesh.events.ids import digest

#: Recalls that are certified where the serious cases suffice, each with its own confidence of 95 %.
RECALLS = (
    Fraction(99, 100),
    Fraction(79, 80),
    Fraction(98, 100),
    Fraction(97, 100),
    Fraction(96, 100),
    Fraction(95, 100),
)
DELTA = Fraction(1, 20)
#: The empirical threshold that the benchmark carries over (issue 8): no confidence is claimed for it.
CARRIED = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a model is about: `domain` is None where the source has no dates, and then nothing is certified."""

    name: str
    question: str
    sources: tuple[str, ...]
    language: str
    product_class: str
    domain: Domain | None
    limits: tuple[str, ...]
    recipe: Recipe
    #: Where labels of the part train are from that no person gave; empty when there are none.
    answers: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """The files of one model, and the model as those files give it."""

    header: bytes
    tables: bytes
    model: Model
    card: Mapping[str, Any]


def make(subject: Subject, parts: Mapping[Part, Sequence[Example]], lender: bytes = b"") -> Made:
    """Return the model of these parts: the same files for the same examples in the same order.

    `lender` is the npz of a model of the same texts, whose frequencies this one then has. The part `certify` is needed where something is certified.
    Raises `Misconfigured` VM-2203 when a part lacks examples of one kind, VM-2204 without scikit-learn.
    """
    for part, held in parts.items():
        if len({one.label for one in held}) < 2:
            raise Misconfigured(
                "VM-2203", what=f"the part {part} of {len(held)} examples lacks one kind", where=subject.name,
                todo="name a folder with more reports; the last year is split in shares to tune, certify and hold out",
            )  # fmt: skip
    data = write_tables(
        fit(parts["train"], subject.recipe, read_tables(lender).idf if lender else None), borrows=bool(lender)
    )
    bare = Model(
        name=subject.name, digest="", tables_digest=digest(data), tables=read_tables(data, lender), curve=isotonic([0.0], [True])
    )  # fmt: skip
    margins = {part: margins_of(bare, *texts_of(parts[part])) for part in parts if part != "train"}
    # What a threshold is held against: the highest margin over a text and its parts.
    worst = {
        part: worst_of(bare, *texts_of(parts[part])).highest
        for part in ("certify", "held_out")
        if part in parts
    }
    curve = isotonic(margins["tune"].tolist(), [one.label for one in parts["tune"]])
    certificates = []
    if subject.domain is not None:
        pairs = zip(parts["certify"], worst["certify"].tolist(), strict=True)
        # What the tools tell of is never settled by the model, so that no threshold can miss it.
        serious = [(one.group, inf if one.told else margin) for one, margin in pairs if one.label]
        for recall in RECALLS:
            found = certify(serious, recall, DELTA, subject.domain, basis_of(bare.tables_digest))
            certificates += [written(found)] if found else []
    tuned = np.array([one.label for one in parts["tune"]])
    carried = threshold_at_recall(margins["tune"], tuned, CARRIED)
    more: dict[str, Any] = {"certificates": certificates, **({"borrows": digest(lender)} if lender else {})}
    if certificates:
        more["reference"] = drift.written(drift.reference_of(worst["certify"].tolist()))
    draft = read_model(write_header(subject.name, data, curve, {**more, "card": {}}), data, "", lender)
    card = {
        **_about(subject, parts),
        "carried_threshold": {"recall_on_tune": CARRIED, "margin": carried},
        "held_out": figures(draft, parts["held_out"], (margins["held_out"], worst["held_out"]), carried),
    }
    header = write_header(subject.name, data, curve, {**more, "card": card})
    return Made(header=header, tables=data, model=read_model(header, data, "", lender), card=card)


def figures(
    model: Model, examples: Sequence[Example], scored: tuple[Floats, Floats], carried: float
) -> dict[str, Any]:
    """Return what a model is worth on examples that it has not seen, as JSON values.

    `scored` are the margins of the whole texts, and the highest over each and its parts, which certificates are held against.
    """
    margins, worst = scored
    labels = np.array([one.label for one in examples])
    drawn = weights(len(examples))
    ranking = Ranking(margins, labels)
    probabilities = model.curve.read(margins).tolist()
    adults = np.array([one.age_years is not None and one.age_years >= 18 for one in examples])
    found: dict[str, Any] = {
        "examples": len(examples), "positive": int(labels.sum()),
        "auc": _figure(interval(ranking.auc, drawn)), "ap": _figure(interval(ranking.ap, drawn)),
        "ece": round(expected_calibration_error(probabilities, labels.tolist()), 4),
        "at_carried_threshold": _at(examples, margins, carried),
        "at_certified": [
            {"recall_certified": float(one.recall), **_at(examples, worst, one.threshold)} for one in model.certificates
        ],
    }  # fmt: skip
    if labels[adults].any() and not labels[adults].all():
        found["auc_adults"] = round(Ranking(margins[adults], labels[adults]).auc(), 4)
        found["adults"] = int(adults.sum())
    return found


def _at(examples: Sequence[Example], margins: Floats, threshold: float) -> dict[str, Any]:
    """Return what a threshold does, with the exact lower bound of recall, and the misses by what made them serious."""
    labels = np.array([one.label for one in examples])
    did = at_threshold(margins, labels, threshold)
    missed = Counter(
        criterion
        for one, margin in zip(examples, margins.tolist(), strict=True)
        if one.label and margin < threshold
        for criterion in one.criteria
    )
    return {
        "resolved": round(did.resolved, 4), "recall": round(did.recall, 4), "positive": did.serious, "missed": did.missed,
        "recall_low": round(recall_bound(did.serious, did.missed, DELTA), 4), "missed_by_criterion": dict(sorted(missed.items())),
    }  # fmt: skip


def _about(subject: Subject, parts: Mapping[Part, Sequence[Example]]) -> dict[str, Any]:
    every = [one for held in parts.values() for one in held]
    ages = [one.age_years for one in every if one.age_years is not None]
    criteria = Counter(criterion for one in every for criterion in one.criteria)
    return {
        "question": subject.question, "sources": list(subject.sources), "language": subject.language,
        "product_class": subject.product_class, "recipe": {**asdict(subject.recipe), "blocks": list(subject.recipe.blocks)},
        "parts": {part: _part(held) for part, held in parts.items()},
        "median_age_years": round(statistics.median(ages), 1) if ages else None,
        "share_under_18": round(sum(age < 18 for age in ages) / len(ages), 3) if ages else None,
        "positive_by_criterion": dict(sorted(criteria.items())),
        "limits": list(subject.limits),
        # Only where there are some: the shipped models have none, and their bytes stay.
        **({"answers": dict(subject.answers)} if subject.answers else {}),
    }  # fmt: skip


def _part(held: Sequence[Example]) -> dict[str, Any]:
    days = sorted(one.day for one in held if one.day)
    return {
        "examples": len(held), "positive": sum(one.label for one in held),
        "first_day": days[0] if days else "", "last_day": days[-1] if days else "",
    }  # fmt: skip


def _figure(found: Figure) -> dict[str, float]:
    return {name: round(value, 4) for name, value in asdict(found).items()}
