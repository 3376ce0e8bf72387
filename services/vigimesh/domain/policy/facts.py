"""What a rule in a card may ask about a case: the one list of facts, with their meaning and a sample of their type.

Case facts are known at the door; clock facts once the provisional clock is; triage facts once the tools have run.
A list holds distinct values, at most `MAX_ITEMS`, so that no rule gets slow on a large case.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from vigimesh.events.case import CRITERIA, Case
from vigimesh.events.classes import Clock, Plan, Route, Triage

#: Distinct values in a list fact. Closed sets have at most 12 words; only names can reach this.
MAX_ITEMS = 64
#: Reads as "no clock runs": more days than any legal clock has.
NO_CLOCK_DAYS = 99_999
#: Whole days in seconds.
_DAY_S = 86_400
#: Reads as "age is not known".
NO_AGE = -1.0
#: Age groups of D.2.3 below eighteen years.
PAEDIATRIC_GROUPS = frozenset({"foetus", "neonate", "infant", "child", "adolescent"})
#: Years of age from which a patient counts as an adult (ICH E11).
ADULT_YEARS = 18.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """All that is known of a case when a rule is asked; later parts are None until their stage has run.

    `left_out` says in words why tiers that are there are not in `tiers`: an order, or that they are too slow.
    """

    case: Case
    clock: Clock | None = None
    at: datetime | None = None
    route: Route | None = None
    plan: Plan | None = None
    triage: Triage | None = None
    passages: int = 0
    tiers: tuple[str, ...] = ()
    left_out: str = ""
    cost_micro: int = 0
    failed_steps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """One fact: what it means, a sample of its type, and how it is read; lists are tuples.

    `rare` marks free text and measures: their values hardly come again.
    """

    meaning: str
    sample: Any
    read: Callable[[Known], Any]
    rare: bool = False


def _distinct(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([value for value in values if value]))[:MAX_ITEMS]


def serious_signs(case: Case) -> tuple[str, ...]:
    """Return what in the structured fields says serious: criteria, then `highlighted`, `fatal_outcome`, `died_on`.

    Sources: ICH E2B(R3) E.i.3.2 (criteria), E.i.3.1 (3 and 4 = serious), E.i.7 (fatal), D.9.1 (date of death).
    """
    ticked = set(case.criteria)
    highlighted = fatal = False
    for reaction in case.reactions:
        ticked.update(reaction.criteria)
        highlighted = highlighted or reaction.highlighted in ("3", "4")
        fatal = fatal or reaction.outcome == "fatal"
    signs = [criterion for criterion in CRITERIA if criterion in ticked]
    signs += sorted(ticked.difference(CRITERIA))
    if highlighted:
        signs.append("highlighted")
    if fatal:
        signs.append("fatal_outcome")
    if case.patient.died_on:
        signs.append("died_on")
    return tuple(signs)


def is_paediatric(case: Case) -> bool:
    """Return whether the patient is below eighteen by age or age group (D.2.2, D.2.3)."""
    age = case.patient.age_years
    return (age is not None and age < ADULT_YEARS) or case.patient.age_group in PAEDIATRIC_GROUPS


def stated_situations(case: Case) -> tuple[str, ...]:
    """Return the special situations that the source states, of the case and of its products."""
    found = dict.fromkeys(case.situations)
    for product in case.products:
        found.update(dict.fromkeys(product.situations))
    return tuple(found)


def is_study(case: Case) -> bool:
    """Return whether the case comes from a study (C.1.3 = 2, C.5)."""
    return bool(case.study_id or case.study_type or case.report_type == "study")


def told_by_form(case: Case) -> bool:
    """Return whether the tools need no reading of the text: a form with a box for each criterion, or no report at all."""
    return case.kind != "icsr" or case.criteria_form == "form"


def suspects(case: Case) -> list[str]:
    """Return the kinds of the suspect and interacting products, one for each."""
    return [product.kind for product in case.products if product.role in ("suspect", "interacting")]


def clock_days(clock: Clock | None, at: datetime | None) -> int:
    """Return the whole days from `at` to the end of the clock, below 0 when it has passed, `NO_CLOCK_DAYS` if none."""
    if clock is None or clock.due_at is None or at is None:
        return NO_CLOCK_DAYS
    return int((clock.due_at - at).total_seconds() // _DAY_S)


def _age(known: Known) -> float:
    age = known.case.patient.age_years
    return NO_AGE if age is None else float(age)


CASE_FACTS: dict[str, Fact] = {
    "kind": Fact(meaning="icsr or document", sample="icsr", read=lambda k: k.case.kind),
    "document_kind": Fact(meaning="see Case.document_kind", sample="icsr", read=lambda k: k.case.document_kind),
    "tenant": Fact(meaning="whose case it is", sample="default", read=lambda k: k.case.tenant),
    "source_format": Fact(meaning="e2b_r3, vaers, jsonl, ...", sample="vaers", read=lambda k: k.case.source_format),
    "sender": Fact(meaning="message sender", sample="", rare=True, read=lambda k: k.case.sender),
    "receiver": Fact(meaning="message receiver", sample="", rare=True, read=lambda k: k.case.receiver),
    "report_type": Fact(meaning="C.1.3 as a word", sample="study", read=lambda k: k.case.report_type),
    "study_id": Fact(meaning="study number or empty", sample="", rare=True, read=lambda k: k.case.study_id),
    "study_type": Fact(meaning="C.5.4 as a word or empty", sample="", read=lambda k: k.case.study_type),
    "study": Fact(meaning="whether it comes from a study", sample=False, read=lambda k: is_study(k.case)),
    "country": Fact(meaning="ISO 3166-1 alpha-2 or empty", sample="DE", read=lambda k: k.case.country),
    "title": Fact(meaning="title of a document, lower case", sample="", rare=True, read=lambda k: k.case.title.lower()),
    "urgent": Fact(meaning="hint of the upstream system", sample=False, read=lambda k: k.case.urgent),
    "amendment": Fact(meaning="none, amendment, nullification", sample="none", read=lambda k: k.case.amendment),
    "expedited": Fact(meaning="true, false or empty (C.1.7)", sample="", read=lambda k: k.case.expedited),
    "expedited_kind": Fact(meaning="FDA.C.1.7.1", sample="1", read=lambda k: k.case.expedited_kind),
    "media_type": Fact(meaning="media type of the source", sample="", rare=True, read=lambda k: k.case.media_type),
    "size_bytes": Fact(meaning="size of the source", sample=1, rare=True, read=lambda k: k.case.size_bytes),
    "attachments": Fact(meaning="how many attachments", sample=0, read=lambda k: len(k.case.attachments)),
    "criteria_form": Fact(meaning="open, form or none", sample="form", read=lambda k: k.case.criteria_form),
    "serious_flag": Fact(
        meaning="whether any structured field says serious", sample=False,
        read=lambda k: bool(serious_signs(k.case)),
    ),
    "serious_signs": Fact(
        meaning="criteria ticked, and highlighted, fatal_outcome, died_on", sample=("death",),
        read=lambda k: serious_signs(k.case),
    ),
    "outcomes": Fact(
        meaning="outcomes of the reactions", sample=("unknown",),
        read=lambda k: _distinct(r.outcome for r in k.case.reactions),
    ),
    "product_names": Fact(
        meaning="names of the products, lower case", sample=("x",),
        rare=True, read=lambda k: _distinct(p.name.lower() for p in k.case.products),
    ),
    "suspect_kinds": Fact(
        meaning="kinds of the suspect products", sample=("vaccine",),
        read=lambda k: _distinct(suspects(k.case)),
    ),
    "suspects": Fact(meaning="how many suspect products", sample=1, read=lambda k: len(suspects(k.case))),
    "reactions": Fact(meaning="how many reactions", sample=1, read=lambda k: len(k.case.reactions)),
    "stated_situations": Fact(
        meaning="special situations the source states", sample=("overdose",),
        read=lambda k: _distinct(stated_situations(k.case)),
    ),
    "age_years": Fact(meaning="age at onset, -1.0 when not known", sample=1.5, rare=True, read=_age),
    "paediatric": Fact(meaning="below eighteen", sample=False, read=lambda k: is_paediatric(k.case)),
    "pregnant": Fact(meaning="yes, no, not_stated", sample="no", read=lambda k: k.case.patient.pregnant),
    "blinded": Fact(
        meaning="whether any product is blinded", sample=False,
        read=lambda k: any(p.blinded for p in k.case.products),
    ),
}  # fmt: skip

CLOCK_FACTS: dict[str, Fact] = {
    "clock_days": Fact(
        meaning="whole days to the end of the legal clock, below 0 when passed, 99999 when none runs", sample=15,
        read=lambda k: clock_days(k.clock, k.at),
    ),
    "clock_rule": Fact(
        meaning="name of the clock's rule or empty", sample="",
        read=lambda k: k.clock.rule if k.clock else "",
    ),
    "clock_person_needed": Fact(
        meaning="whether a person must confirm the clock", sample=False,
        read=lambda k: bool(k.clock and k.clock.person_needed),
    ),
}  # fmt: skip


def _triage(known: Known) -> Triage:
    assert known.triage is not None, "triage facts are read by the supervisor only"
    return known.triage


def _route(known: Known) -> Route:
    assert known.route is not None, "triage facts are read by the supervisor only"
    return known.route


TRIAGE_FACTS: dict[str, Fact] = {
    "lane": Fact(meaning="hot, warm or cold", sample="cold", read=lambda k: _route(k).lane),
    "pass_number": Fact(meaning="which pass this is", sample=1, read=lambda k: _route(k).pass_number),
    "valid": Fact(meaning="all four minimum criteria met", sample=True, read=lambda k: _triage(k).valid),
    "missing": Fact(
        meaning="minimum criteria missing", sample=("patient",),
        read=lambda k: _distinct(_triage(k).missing),
    ),
    "serious": Fact(meaning="yes, no or unknown", sample="no", read=lambda k: _triage(k).serious),
    "grade": Fact(meaning="0 to 5, see Triage.grade", sample=1, read=lambda k: _triage(k).grade),
    "listed": Fact(meaning="yes, no or not_checked", sample="yes", read=lambda k: _triage(k).listed),
    "situations": Fact(
        meaning="special situations found", sample=("overdose",),
        read=lambda k: _distinct(_triage(k).situations),
    ),
    "flags": Fact(
        meaning="what keeps it from a machine", sample=("study",),
        read=lambda k: _distinct(_triage(k).flags),
    ),
    "tier": Fact(
        meaning="the tier that ran", sample="tools",
        read=lambda k: k.plan.tier if k.plan else "",
    ),
    "tiers": Fact(meaning="tiers available now", sample=("tools",), read=lambda k: k.tiers),
    "passages": Fact(meaning="passages found", sample=0, read=lambda k: k.passages),
    "cost_micro": Fact(meaning="cost of this version so far", sample=0, rare=True, read=lambda k: k.cost_micro),
}  # fmt: skip

#: Which facts a rule of each part of a card may name.
MATCH = CASE_FACTS
LANE = CASE_FACTS | CLOCK_FACTS
POLICY = CASE_FACTS | CLOCK_FACTS | TRIAGE_FACTS


#: Facts whose values hardly come again.
RARE = frozenset(name for name, fact in POLICY.items() if fact.rare)


def samples(facts: Mapping[str, Fact]) -> dict[str, Any]:
    """Return a value of each fact's type, against which rules are tried when a card is read."""
    return {name: fact.sample for name, fact in facts.items()}


class Readings:
    """The facts of one case, each read once when a rule first asks."""

    __slots__ = ("_done", "_known")

    def __init__(self, known: Known) -> None:
        """Begin with nothing read."""
        self._known = known
        self._done: dict[str, Any] = {}

    def __call__(self, name: str) -> Any:
        """Return the fact `name`."""
        if name not in self._done:
            self._done[name] = POLICY[name].read(self._known)
        return self._done[name]
