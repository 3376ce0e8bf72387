"""The Naranjo score: ten questions about one suspected adverse drug reaction, a sum, a category.

Source: Naranjo CA, Busto U, Sellers EM, et al. A method for estimating the probability of adverse drug reactions.
Clin Pharmacol Ther 1981;30:239-245 (questions and weights: the table of the scale; categories: its results).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from vigimesh.errors import Refused

Answer = Literal["yes", "no", "unknown"]
Category = Literal["definite", "probable", "possible", "doubtful"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question: what it asks, and the points for yes and for no; unknown always has none."""

    asks: str
    yes: int
    no: int


#: The ten questions in their order; the names are ours.
QUESTIONS: Mapping[str, Question] = MappingProxyType(
    {
        "reported_before": Question(asks="Do conclusive reports of this reaction exist?", yes=1, no=0),
        "after_drug": Question(asks="Did the event begin after the drug was given?", yes=2, no=-1),
        "better_without": Question(
            asks="Did it improve when the drug was stopped or a specific antagonist was given?", yes=1, no=0
        ),
        "again_on_rechallenge": Question(
            asks="Did it come back when the drug was given again?", yes=2, no=-1
        ),
        "other_causes": Question(asks="Could something else have caused it alone?", yes=-1, no=2),
        "on_placebo": Question(asks="Did it come back when a placebo was given?", yes=-1, no=1),
        "toxic_level": Question(asks="Was the drug measured at a toxic concentration?", yes=1, no=0),
        "dose_dependent": Question(
            asks="Was it more severe at a higher, or less severe at a lower dose?", yes=1, no=0
        ),
        "earlier_exposure": Question(
            asks="Did the patient react alike to this or a similar drug before?", yes=1, no=0
        ),
        "objective_evidence": Question(asks="Was it confirmed by objective evidence?", yes=1, no=0),
    }
)
#: The least score of each category, the highest first; below the last it is doubtful.
CATEGORIES: tuple[tuple[int, Category], ...] = ((9, "definite"), (5, "probable"), (1, "possible"))
#: The lowest and highest sums that the weights allow.
LOWEST, HIGHEST = (
    sum(min(question.yes, question.no, 0) for question in QUESTIONS.values()),
    sum(max(question.yes, question.no, 0) for question in QUESTIONS.values()),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """The sum (-4 to 13), its category, the points by question, and how many questions were answered yes or no."""

    total: int
    category: Category
    points: tuple[tuple[str, int], ...]
    answered: int


def naranjo(answers: Mapping[str, str]) -> Score:
    """Return the score of `answers` (question name to yes, no or unknown); a question without answer is unknown.

    Raises `Refused` VM-1108 for a question or an answer that does not exist: a slip must not count as unknown.
    """
    for name, answer in answers.items():
        if name not in QUESTIONS:
            raise _wrong(f"unknown question '{name[:60]}'", f"one of {', '.join(QUESTIONS)}")
        if answer not in ("yes", "no", "unknown"):
            raise _wrong(f"answer '{answer[:60]}' to '{name}'", "yes, no or unknown")
    points = tuple(
        (name, _points(question, answers.get(name, "unknown"))) for name, question in QUESTIONS.items()
    )
    total = sum(point for _, point in points)
    category: Category = next((name for least, name in CATEGORIES if total >= least), "doubtful")
    answered = sum(answer != "unknown" for answer in answers.values())
    return Score(total=total, category=category, points=points, answered=answered)


def _points(question: Question, answer: str) -> int:
    return {"yes": question.yes, "no": question.no}.get(answer, 0)


def _wrong(what: str, todo: str) -> Refused:
    return Refused("VM-1108", what=what, where="answers of the Naranjo scale", todo=todo)
