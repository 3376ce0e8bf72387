"""A workflow card as a value: who owns a kind of work, how urgent it is, what it may cost, what a machine may accept."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Literal

from vigimesh.domain.policy.cel import Reader, Rule
from vigimesh.domain.policy.facts import Known, Readings
from vigimesh.errors import Refused
from vigimesh.events.case import Case

Verdict = Literal["accept", "review", "escalate"]

#: The card that takes what no other card matches.
FALLBACK = "triage"


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneRule:
    """Which lane, when, and why in words. The last rule of a card holds always."""

    name: str
    when: Rule
    lane: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PolicyRule:
    """What happens to a triaged case, when, and why in words; `question` is what a person is asked."""

    name: str
    when: Rule
    then: Verdict
    reason: str
    question: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Escalation:
    """When another pass is worth it, which further steps it runs, and how many passes there may be."""

    when: Rule
    steps: tuple[str, ...]
    max_passes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Caps in micro-units of `currency`; 0 means that nothing may be spent, there is no way to say "no cap"."""

    currency: str
    month_micro: int
    day_micro: int
    case_micro: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarms:
    """Shares of the monthly budget, in percent and rising, at which the owner is told."""

    budget_percent: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Objectives:
    """Seconds within which a case of each lane is to be triaged."""

    hot_s: int
    warm_s: int
    cold_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchWindow:
    """Time of day, HH:MM in UTC, between which gathered cold work runs; it may pass midnight."""

    opens_utc: str
    closes_utc: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSample:
    """Which cases of the small tier a person looks at as well, and what that costs.

    `permille` of them are drawn by a hash of `seed` and the case's id; one takes `minutes` of a person at `minute_micro` a minute, and `month_micro` is
    the line of the budget that it is told against. It is never a cap: no money stops the sample.
    """

    permille: int
    seed: str
    minutes: int
    minute_micro: int
    month_micro: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Cascade:
    """What a workflow wants of the small tier before it may settle a case alone.

    `recall` at `confidence` is what must be shown of it at least: by a certificate, or by labels where none holds. Its threshold is that of a
    certificate of `threshold_recall`, which may be higher: a gate that stands at its limit is opened by honest labels one time in seven. From
    the probability `serious_at` on a case is serious without a large model, never where that is `None`.
    """

    recall: Fraction = Fraction(99, 100)
    confidence: Fraction = Fraction(95, 100)
    serious_at: Fraction | None = None
    audit: AuditSample | None = None
    #: None: the threshold is of the certificate of `recall`, and labels are held to what that one promises.
    threshold_recall: Fraction | None = None

    @property
    def certified_recall(self) -> Fraction:
        """What the certificate that gives the threshold must promise at least."""
        return self.threshold_recall or self.recall

    @property
    def labels_recall(self) -> Fraction | None:
        """What labels must bear out where no certificate holds; None: what the certificate promises."""
        return None if self.threshold_recall is None else self.recall


@dataclass(frozen=True, slots=True, kw_only=True)
class Knowledge:
    """How old, in hours, a stored answer may be for a workflow. A knowledge product's own age counts where it is the shorter."""

    hot_age_hours: int
    warm_age_hours: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AutoAccept:
    """The signature without which a machine accepts nothing. `allows` lifts single points of the floor."""

    signed_by: str
    signed_at: datetime
    use: str
    allows: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """One workflow. `digest` is the SHA-256 of `body`, the card's canonical content as JSON."""

    name: str
    owner: str
    description: str
    priority: int
    match: Rule
    lanes: tuple[LaneRule, ...]
    steps: tuple[str, ...]
    tiers: tuple[str, ...]
    escalation: Escalation
    latency_tolerance_s: int
    budget: Budget
    calls_per_minute: int
    alarms: Alarms
    lane_objectives: Objectives
    outcome: str
    batch_window: BatchWindow
    policy: tuple[PolicyRule, ...]
    auto_accept: AutoAccept | None
    digest: str
    body: bytes
    #: Steps whose failure is for a person; only tools that others add can fail.
    required_steps: tuple[str, ...] = ()
    cascade: Cascade = Cascade()
    #: None where every answer may be as old as its knowledge product says.
    knowledge: Knowledge | None = None

    def steps_of(self, pass_number: int) -> tuple[str, ...]:
        """Return the steps of a pass: those of the card, and those of the escalation from the second pass on."""
        extra = self.escalation.steps if pass_number > 1 else ()
        return self.steps + tuple(step for step in extra if step not in self.steps)


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """The card of a case, and the places of match rules that failed on it (they count as not matching)."""

    card: Card
    failed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Cards:
    """The cards in force, highest priority first. `origin` says in words where they come from."""

    cards: tuple[Card, ...]
    origin: str

    def named(self, name: str) -> Card | None:
        """Return the card of a workflow, or None when there is none of that name."""
        return next((card for card in self.cards if card.name == name), None)

    def card_for(self, case: Case) -> Card:
        """Return the card of a case: the first whose match rule holds, else the fallback."""
        return self.choose(Readings(Known(case=case))).card

    def choose(self, read: Reader) -> Chosen:
        """Return the card of a case whose facts `read` gives, with the match rules that failed on it."""
        failed: list[str] = []
        for card in self.cards:
            try:
                if card.match.holds(read):
                    return Chosen(card=card, failed=tuple(failed))
            except Refused as failure:
                failed.append(failure.where)
        return Chosen(card=self.fallback, failed=tuple(failed))

    @property
    def fallback(self) -> Card:
        """The card that takes what no other matches; reading cards guarantees that it is there."""
        return next(card for card in self.cards if card.name == FALLBACK)
