"""The Naranjo score: weights, categories and bounds of the publication; a slip is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigimesh.domain.safety.naranjo import HIGHEST, LOWEST, QUESTIONS, naranjo
from vigimesh.errors import Refused

#: The published weights, yes and no, in the order of the questions.
WEIGHTS = [(1, 0), (2, -1), (1, 0), (2, -1), (-1, 2), (-1, 1), (1, 0), (1, 0), (1, 0), (1, 0)]
BEST = {name: "yes" if question.yes > question.no else "no" for name, question in QUESTIONS.items()}
WORST = {name: "yes" if question.yes < question.no else "no" for name, question in QUESTIONS.items()}


def test_the_weights_and_bounds_are_the_published_ones() -> None:
    assert [(question.yes, question.no) for question in QUESTIONS.values()] == WEIGHTS
    assert (naranjo(BEST).total, naranjo(WORST).total) == (HIGHEST, LOWEST) == (13, -4)


@pytest.mark.parametrize(
    ("answers", "total", "category"),
    [
        ({}, 0, "doubtful"),
        ({"reported_before": "yes"}, 1, "possible"),
        ({"reported_before": "yes", "after_drug": "yes", "better_without": "yes"}, 4, "possible"),
        ({"reported_before": "yes", "after_drug": "yes", "other_causes": "no"}, 5, "probable"),
        (
            {
                "reported_before": "yes", "after_drug": "yes", "better_without": "yes", "other_causes": "no",
                "again_on_rechallenge": "yes",
            },
            8,
            "probable",
        ),
        ({**BEST, "again_on_rechallenge": "unknown", "on_placebo": "yes"}, 9, "definite"),
        ({"after_drug": "no", "other_causes": "yes"}, -2, "doubtful"),
    ],
)  # fmt: skip
def test_sums_and_categories(answers: dict[str, str], total: int, category: str) -> None:
    found = naranjo(answers)
    assert (found.total, found.category) == (total, category)
    assert sum(points for _, points in found.points) == total
    assert found.answered == sum(answer != "unknown" for answer in answers.values())


@given(st.dictionaries(st.sampled_from(sorted(QUESTIONS)), st.sampled_from(["yes", "no", "unknown"])))
def test_unknown_is_as_no_answer(answers: dict[str, str]) -> None:
    known = {name: answer for name, answer in answers.items() if answer != "unknown"}
    assert naranjo(answers) == naranjo(known)


@pytest.mark.parametrize("answers", [{"after_drugs": "yes"}, {"after_drug": "Yes"}, {"after_drug": ""}])
def test_a_slip_is_refused(answers: dict[str, str]) -> None:
    with pytest.raises(Refused, match="VM-1108"):
        naranjo(answers)
