"""The Naranjo score of a case from its structured fields: what they do not tell is unknown, counts as 0, and is said.

Answered are only questions that a field or a cited passage answers: the rest is a person's. See `naranjo` for the scale.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from vigimesh.domain.safety.dates import compare, parse
from vigimesh.domain.safety.listed_terms import SURE
from vigimesh.domain.safety.listedness import Listedness
from vigimesh.domain.safety.naranjo import QUESTIONS, Score, naranjo
from vigimesh.events.case import Case, Product, Reaction
from vigimesh.events.classes import Finding

STEP = "naranjo"
#: Suspect products and reactions that are paired: what a reviewer compares on one screen.
MAX_EACH = 8
_SUSPECT = ("suspect", "interacting")
_BETTER = ("recovered", "recovering", "recovered_with_sequelae")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """A suspect product and a reaction by their places in the case, with what the fields answer and the score of it."""

    product: int
    reaction: int
    answers: Mapping[str, str]
    places: tuple[str, ...]
    score: Score


def pairs(case: Case, listed: Listedness) -> Iterator[Pair]:
    """Yield each suspect product with each reaction, `MAX_EACH` of each at most, in the order of the case."""
    suspects = [place for place, one in enumerate(case.products) if one.role in _SUSPECT][:MAX_EACH]
    for product in suspects:
        for reaction in range(min(len(case.reactions), MAX_EACH)):
            answers, places = _answers(case, product, reaction, listed)
            yield Pair(
                product=product, reaction=reaction, answers=answers, places=places, score=naranjo(answers)
            )  # fmt: skip


def naranjo_finding(case: Case, listed: Listedness) -> Finding:
    """Return the highest score among the pairs of a case, the first of equal ones, with what was not known.

    It changes no grade: the scale is a help for a person who judges a cause.
    """
    best = max(pairs(case, listed), key=lambda one: one.score.total, default=None)
    if best is None:
        return Finding(step=STEP, result="not_scored", detail="no suspect product with a reaction")
    known = "; ".join(f"{name} {answer}" for name, answer in best.answers.items()) or "no question"
    unknown = len(QUESTIONS) - best.score.answered
    detail = (
        f"products[{best.product}] with reactions[{best.reaction}]: score {best.score.total}; the case answers {known}; "
        f"{unknown} of {len(QUESTIONS)} questions are unknown and count as 0: a person answers them"
    )
    return Finding(step=STEP, result=best.score.category, detail=detail, quotes=best.places)


def _answers(
    case: Case, product: int, reaction: int, listed: Listedness
) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the answers to a pair, and the places they rest on."""
    drug, event = case.products[product], case.reactions[reaction]
    answers: dict[str, str] = {}
    places: list[str] = []
    # A list that lacks the reaction says nothing of reports elsewhere: no "no" comes of it.
    cited = _cited(drug, event, listed)
    if cited:
        answers["reported_before"] = "yes"
        places.append(cited)
    order = compare(parse(event.onset_on), parse(drug.started_on))
    if order != "unknown":
        answers["after_drug"] = "yes" if order == "after" else "no"
        places += (f"reactions[{reaction}].onset_on={event.onset_on}", f"products[{product}].started_on={drug.started_on}")  # fmt: skip
    stopped = parse(drug.stopped_on)
    if stopped.known and compare(parse(event.onset_on), stopped) != "after":
        if event.outcome in _BETTER and compare(parse(event.ended_on), stopped) == "after":
            answers["better_without"] = "yes"
        elif event.outcome == "not_recovered":
            answers["better_without"] = "no"
        if "better_without" in answers:
            places += (f"products[{product}].stopped_on={drug.stopped_on}", f"reactions[{reaction}].outcome={event.outcome}")  # fmt: skip
    return answers, tuple(places)


def _cited(drug: Product, event: Reaction, listed: Listedness) -> str:
    """Return the passage that lists the reaction for the product; empty when none does for certain."""
    term = (event.term or event.text).strip()
    for one in listed.listings:
        if (one.term, one.product) == (term, drug.name) and one.how in SURE:
            return f"{one.document_id}@{one.version}#{one.start}-{one.end}"
    return ""
