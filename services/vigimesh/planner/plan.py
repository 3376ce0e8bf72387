"""plan: which tier and which tools a pass gets, and what is looked up before."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vigimesh.domain.cascade import reading
from vigimesh.domain.policy.cards import Card, Cards
from vigimesh.domain.policy.facts import told_by_form
from vigimesh.domain.policy.limits import Limits, key_of, limits_of
from vigimesh.domain.policy.tiers import ladder, tier_for
from vigimesh.domain.safety import report_counts
from vigimesh.events.case import Case, Product, Reaction
from vigimesh.events.classes import CasePlanned, CaseRouted, Plan, Route
from vigimesh.events.topics import lane_topic
from vigimesh.loop.outcome import Answers, Done, Emit, Input, Need, Outcome

#: What a plan may look up (the contract of `Plan.questions`).
MAX_QUESTIONS = 8
#: Characters of one question: a product and a reaction, not a story.
MAX_QUESTION = 200
#: Names looked at to make questions; a case may hold thousands of products.
MAX_NAMES = 32
#: A case beyond these is called complex in the plan's reason: what one person reads on one screen.
LARGE_BYTES, MANY_PRODUCTS, MANY_REACTIONS = 64 * 1024, 6, 12


@dataclass(frozen=True, slots=True)
class Planner:
    """The planner's verb. It needs the limits of the present (`domain.policy.limits`, as plain values), and names in a text that lacks fields."""

    cards: Cards

    def needs(self, case: Input, answers: Answers) -> tuple[Need, ...]:
        """Ask once what a pass of this workflow may use now, and which names a text holds that its fields do not tell."""
        wanted = (_limits_need(case.event), *_names_need(case.event, self.cards))
        return tuple(need for need in wanted if need.name not in answers)

    def decide(self, case: Input, answers: Answers) -> Outcome:
        """Hand the case with its plan to its lane's `retrieve` topic.

        The tier is the cheapest permitted one that is there and answers within what the card tolerates, one dearer at each further
        pass, else a person; the deterministic tools run in any case. A case of a workflow whose card is gone is planned by the fallback card.
        """
        routed = case.event
        assert isinstance(routed, CaseRouted)
        version, route = routed.case, routed.route
        limits = limits_of(answers[_limits_need(routed).name])
        plan = _plan(version, route, self.cards, limits, answers.get(f"{reading.KIND}:{reading.NAMES}", {}))
        emit = Emit(
            topic=lane_topic("retrieve", route.lane),
            key=version.case_id,
            event=CasePlanned(case=version, route=route, plan=plan),
            messageid=version.message_id,
            workflow=route.workflow,
            lane=route.lane,
        )
        return Done(events=(emit,), why=plan.reason, pass_number=route.pass_number)


def _limits_need(routed: CaseRouted) -> Need:
    return Need(kind="limits", key=key_of(routed.route.lane, routed.route.workflow))


def _names_need(routed: CaseRouted, cards: Cards) -> Iterator[Need]:
    """Yield the names in a text, where the card of a pass has fields extracted; a text in the object store is left to that step."""
    card = cards.named(routed.route.workflow) or cards.fallback
    extracted = reading.FIELDS_STEP in card.steps_of(routed.route.pass_number)
    if extracted and routed.case.narrative and reading.needed(routed.case, reading.FIELDS_STEP):
        yield Need(kind=reading.KIND, key=reading.NAMES, asked=routed.case.narrative)


def _plan(case: Case, route: Route, cards: Cards, limits: Limits, names: Mapping[str, Any]) -> Plan:
    named = cards.named(route.workflow)
    card = named or cards.fallback
    number = route.pass_number
    form = told_by_form(case)
    climb = ladder(card.tiers, limits.in_time(card.latency_tolerance_s), told_by_form=form)
    tier = tier_for(number, climb)
    steps = card.steps_of(number)
    # A title may begin with a product, by which the knowledge base finds its own documents.
    asked = questions(case, (case.title, *reading.questions_from(names)) if names else (), steps)
    parts = [
        f"pass {number}: tier {tier}, {_why_tier(card, climb, form=form)}",
        f"{len(steps)} steps of card {card.name}",
        f"{len(asked)} questions",
    ]
    if names:
        parts.append("names in the text are looked up, as its fields tell no product or reaction")
    parts += limits.left_out_words(card.tiers, card.latency_tolerance_s)
    if named is None:
        parts.append("its own card is not in force any more")
    complex_for = ", ".join(complexity(case))
    parts.append(f"complex: {complex_for}" if complex_for else "not complex")
    return Plan(tier=tier, steps=steps, questions=asked, reason="; ".join(parts))


def _why_tier(card: Card, climb: tuple[str, ...], *, form: bool) -> str:
    if not climb:
        return f"because none of the permitted ({', '.join(card.tiers)}) is there"
    read = (
        ""
        if form or "small" not in climb
        else "; its source has no box for each criterion, so that its text is read"
    )
    return f"of the permitted and available ({', '.join(climb)}){read}"


def complexity(case: Case) -> Iterator[str]:
    """Yield in words what makes a case more than a routine one: size, modality, many products or reactions."""
    if case.narrative_ref or case.size_bytes > LARGE_BYTES:
        yield f"size {case.size_bytes} bytes"
    if case.attachments:
        kinds = sorted({attachment.media_type for attachment in case.attachments[:MAX_NAMES]})
        yield f"{len(case.attachments)} attachments ({' '.join(kinds[:3])})"
    if len(case.products) > MANY_PRODUCTS:
        yield f"{len(case.products)} products"
    if len(case.reactions) > MANY_REACTIONS:
        yield f"{len(case.reactions)} reactions"


def questions(case: Case, named: Sequence[str] = (), steps: Sequence[str] = ()) -> tuple[str, ...]:
    """Return what to look up: what a step wants beside, each suspect product with each reaction, of a document its kind and title; then what its text names."""
    found: dict[str, str] = {}
    counts = _counts_question(case) if report_counts.STEP in steps else ()
    told = _document_questions(case) if case.kind == "document" else _case_questions(case)
    for text in (*counts, *told, *named):
        question = " ".join(text.split())[:MAX_QUESTION].rstrip()
        if question:
            found.setdefault(question.casefold(), question)
        if len(found) == MAX_QUESTIONS:
            break
    return tuple(found.values())


def _counts_question(case: Case) -> Iterator[str]:
    """Yield the question that finds a table of reports. It begins with no product: then that product's own document alone would answer."""
    products, reactions = _suspects(case), case.reactions[:MAX_NAMES]
    if products and reactions:
        yield " ".join((*report_counts.ASKED, *map(_name, products), *map(_term, reactions)))


def _suspects(case: Case) -> list[Product]:
    return [p for p in case.products if p.role in ("suspect", "interacting")][:MAX_NAMES]


def _case_questions(case: Case) -> Iterator[str]:
    """Pair suspects and reactions; the first of each come first, so that many products do not crowd out a reaction."""
    products = _suspects(case)
    reactions = list(case.reactions)[:MAX_NAMES]
    for distance in range(len(products) + len(reactions)):
        for at in range(min(distance, len(reactions) - 1) + 1):
            if distance - at < len(products):
                yield f"{_name(products[distance - at])} {_term(reactions[at])}"


def _document_questions(case: Case) -> Iterator[str]:
    kind = case.document_kind.replace("_", " ")
    yield f"{kind} {case.title}"
    yield f"{kind} handling"


def _name(product: Product) -> str:
    return product.name or product.substance


def _term(reaction: Reaction) -> str:
    return reaction.term or reaction.text
