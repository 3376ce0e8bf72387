"""What a small model may see of a case besides its narrative, as words.

Allowed: age, sex, of the suspect products their substances, makers, doses and routes, coded terms of the reactions, days from the first dose to the onset and from
both to the receipt, how much was written, what the tools read of seriousness *in the text*; and each term once more together with the age and with the onset (a linear
model cannot combine them by itself). Never: the seriousness criteria, the date of death, the sender's own verdicts, an outcome. They are what the model is to find,
and where a case has them the tools read them first. VAERS' ER_VISIT, RECOVD and HOSPDAYS stand in the same box of
the form as those ticks; intake does not read them, and neither does this.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date

from vigimesh.domain.cascade.features import PAIR
from vigimesh.domain.safety.text_seriousness import Hit, read_text
from vigimesh.events.case import Case, Reaction

#: Bands of age in years, each with what lies below its bound: the age groups of ICH E2B(R3) D.2.3, the first year halved
#: because the schedules of vaccines differ within it.
_AGES = (
    (1 / 12, "neonate"),
    (0.5, "half_year"),
    (2, "infant"),
    (12, "child"),
    (18, "adolescent"),
    (65, "adult"),
)
#: Bands of days from the dose to the onset.
_DAYS = ((0, "before"), (1, "same_day"), (2, "next_day"), (8, "week"), (31, "month"), (366, "year"))
#: Bands of days from the dose, or the onset, to the receipt of the report: what is grave is told at another pace than what is not.
_LATE = ((0, "before"), *((days, f"below_{days}") for days in (8, 15, 31, 61, 91, 181, 366)))
#: Bands of words in the narrative; of terms and products the number itself up to a last one.
_LENGTHS = tuple(
    (bound, f"below_{bound}") for bound in (5, 10, 15, 20, 25, 30, 35, 40, 50, 70, 100, 200, 400)
)
#: What is told of a suspect product besides its substance, as its fields are named; an empty one tells, too.
_HOW = ("manufacturer", "dose", "route")
#: How the facts of a narrative begin: its length, and what the tools read in it.
_LENGTH, _TEXT = "words:", "text:"
_MANY_TERMS, _MANY_PRODUCTS = 10, 6


def facts_of(case: Case, hits: Iterable[Hit] | None = None) -> tuple[str, ...]:
    """Return the facts of a case as distinct words in a fixed order, such as `term:pyrexia`, `age:child`, `onset:next_day`.

    `hits` is what `read_text` found in the narrative, where the caller has it already; it is read here when None.
    """
    return tuple(dict.fromkeys(_facts(case, read_text(case.narrative) if hits is None else hits)))


def facts_with(facts: Iterable[str], text: str) -> tuple[str, ...]:
    """Return the facts that a case would have with `text` for its narrative; `facts` are those that it has with another."""
    rest = (fact for fact in facts if not fact.startswith((_LENGTH, _TEXT)))
    return tuple(dict.fromkeys((*rest, *_told(read_text(text)), _length(text))))


def _told(hits: Iterable[Hit]) -> Iterator[str]:
    for hit in hits:
        yield f"{_TEXT}{hit.criterion}:{hit.polarity}"


def _length(text: str) -> str:
    return f"{_LENGTH}{_band(len(text.split()), _LENGTHS, 'more')}"


def _facts(case: Case, hits: Iterable[Hit]) -> Iterator[str]:
    age = f"age:{_band(case.patient.age_years, _AGES, 'elderly')}"
    yield age
    yield f"sex:{case.patient.sex or 'unknown'}"
    suspects = [one for one in case.products if one.role == "suspect"]
    for product in suspects:
        yield f"product:{(product.substance or product.name).lower()}"
    dosed = _earliest(one.started_on for one in suspects)
    began = _earliest(one.onset_on for one in case.reactions)
    onset = f"onset:{_band(_days(dosed, began), _DAYS, 'later')}"
    yield onset
    received = _earliest([case.first_received_on])
    yield f"told_after_dose:{_band(_days(dosed, received), _LATE, 'later')}"
    yield f"told_after_onset:{_band(_days(began, received), _LATE, 'later')}"
    yield from _told(hits)
    terms = list(dict.fromkeys(f"term:{_term(reaction)}" for reaction in case.reactions))
    yield f"terms:{min(len(terms), _MANY_TERMS)}"
    yield f"products:{min(len(suspects), _MANY_PRODUCTS)}"
    yield _length(case.narrative)
    for term in terms:
        yield from (term, f"{age}{PAIR}{term}", f"{onset}{PAIR}{term}")
    # Last, because of many facts the first ones are looked at.
    for product in suspects:
        yield from (f"{name}:{getattr(product, name).lower()}" for name in _HOW)


def _term(reaction: Reaction) -> str:
    return (reaction.term or reaction.text).lower()


def _band(value: float | None, bands: tuple[tuple[float, str], ...], beyond: str) -> str:
    if value is None:
        return "unknown"
    return next((word for bound, word in bands if value < bound), beyond)


def _days(first: date | None, last: date | None) -> int | None:
    return (last - first).days if first and last else None


def _earliest(given: Iterable[str]) -> date | None:
    """Return the earliest whole date among those given; partial dates and null flavours count for nothing."""
    found = []
    for text in given:
        try:
            found.append(date.fromisoformat(text[:10]))
        except ValueError:
            continue
    return min(found, default=None)
