"""The reason-of-record: in two to seven plain sentences why a case went where it went.

It names rules, tools, fields and places in the text. It quotes no text of the case and names no person, so that it may
stand in audit, lists and exports. The same grounds always give the same words.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from vigimesh.domain.budget.money import exact_text
from vigimesh.domain.cascade.opinion import ASKED
from vigimesh.domain.cascade.resolved import SMALL_STEP
from vigimesh.domain.policy.cards import Card
from vigimesh.domain.policy.floor import Breach
from vigimesh.events.classes import Clock, Finding, Triage

#: Things named in one sentence at most; the rest is counted. The event holds them all.
MAX_NAMED = 8
#: Places named of one finding at most.
MAX_PLACES = 4
#: Characters of one name that came with the case or from a tool.
MAX_NAME = 100
#: Characters of what a grade rests on, and of why a model handed a case on: a score with its threshold, and what its gate rests on.
MAX_GROUND = 300
#: Characters of a whole reason: a screenful.
MAX_REASON = 4_000

_FIELD = re.compile(r"([A-Za-z][\w.\[\]]{0,60})=")
_PLACE = re.compile(r"(\d{1,9})-(\d{1,9}):")
#: A passage as listedness cites it: `document@version#start-end`.
_CITED = re.compile(r"[^\s@#]{1,128}@[^\s@#]{1,32}#\d{1,9}-\d{1,9}")
#: The steps that cite passages, and what is said of each.
_RESTS = {"listedness": "Listedness", "disproportionality": "Disproportionality", "draft": "The draft reply"}
_WORD = re.compile(r"[a-z][a-z0-9_]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Grounds:
    """What a decision rests on. `outcome` is a clause (`Accepted by machine`), `why` says what the rule says.

    `accepted` says that a machine accepts; `floor` is what touched the policy floor, or None when the decision follows
    from the versions alone.
    """

    outcome: str
    rule: str
    why: str
    card: Card
    triage: Triage
    tier: str
    pass_number: int
    accepted: bool = False
    findings: Sequence[Finding] = ()
    floor: Sequence[Breach] | None = ()
    passages: int = 0
    cost_micro: int = 0


def reason_of_record(grounds: Grounds) -> str:
    """Return the reason: outcome and rule, triage with its evidence and the advice it rests on, floor or signature, tier and budget, clock."""
    sentences = [
        (
            f"{grounds.outcome}: rule {grounds.rule} of card {grounds.card.name} ({grounds.card.digest[:12]}): "
            f"{grounds.why}."
        ),
        _triaged(grounds.triage, grounds.findings),
        _advice(grounds.findings),
        _floor(grounds),
        _spent(grounds),
        clock_words(grounds.triage.clock),
    ]
    return " ".join(filter(None, sentences))[:MAX_REASON]


def _triaged(triage: Triage, findings: Sequence[Finding]) -> str:
    missing = f"not valid (missing {_named(triage.missing)})" if triage.missing else "no report of a case"
    valid = "valid" if triage.valid else missing
    basis = f" because of {_named(triage.grade_reasons, MAX_GROUND)}" if triage.grade_reasons else ""
    flags = f"; flags {_named(triage.flags)}" if triage.flags else ""
    # What a model said comes first: of more findings than are named it must not be the one that is left out.
    ordered = sorted(findings, key=lambda one: one.step not in (SMALL_STEP, ASKED))
    more = f"; and {len(ordered) - MAX_NAMED} more" if len(ordered) > MAX_NAMED else ""
    evidence = "; ".join(_finding(finding) for finding in ordered[:MAX_NAMED]) + more
    shown = f" Evidence: {evidence}." if evidence else ""
    return f"Triage: {valid}, serious {triage.serious}, grade {triage.grade}{basis}, listed {triage.listed}{flags}.{shown}"


def _finding(finding: Finding) -> str:
    places = list(dict.fromkeys(filter(None, map(_place, finding.quotes[:MAX_PLACES]))))
    at = f" at {_named(places)}" if places else ""
    result = finding.result if _WORD.fullmatch(finding.result) else _plain(finding.result)
    why = (
        f" ({_plain(finding.detail, MAX_GROUND)})"
        if finding.step == SMALL_STEP and result == "handed_on"
        else ""
    )
    return f"{finding.step} says {result}{at}{why}"


def _advice(findings: Sequence[Finding]) -> str:
    """Return the passages that listedness, report counts and a draft rest on, so that each can be opened at its version and place."""
    told = []
    for step, words in _RESTS.items():
        quotes = (quote for one in findings if one.step == step for quote in one.quotes)
        cited = [quote for quote in dict.fromkeys(quotes) if _CITED.fullmatch(quote)]
        if cited:
            told.append(f"{words} rests on {_named(cited)}.")
    return " ".join(told)


def _place(quote: str) -> str:
    """Return where a quote stands (a field's name, or characters of the text), never what it says."""
    field = _FIELD.match(quote)
    if field:
        return field.group(1)
    place = _PLACE.match(quote)
    return f"text {place.group(1)}-{place.group(2)}" if place else ""


def _floor(grounds: Grounds) -> str:
    if grounds.floor is None:
        return ""
    if grounds.floor:
        words = "; ".join(breach.words for breach in grounds.floor[:MAX_NAMED])
        return f"The policy floor keeps it from a machine: {words}."
    signature = grounds.card.auto_accept
    if not grounds.accepted or signature is None:
        return "No point of the policy floor is touched."
    allows = f", allowing {_named(signature.allows)}" if signature.allows else ""
    day = signature.signed_at.date().isoformat()
    return f"No point of the policy floor is touched; the card is signed since {day} for {signature.use}{allows}."


def _spent(grounds: Grounds) -> str:
    budget = grounds.card.budget
    passes = "pass" if grounds.pass_number == 1 else "passes"
    cost = f"{exact_text(grounds.cost_micro)} of at most {exact_text(budget.case_micro)} {budget.currency}"
    return (
        f"Tier {grounds.tier} after {grounds.pass_number} {passes}, {grounds.passages} passages looked up, "
        f"cost so far {cost}."
    )


def clock_words(clock: Clock) -> str:
    """Return the legal clock as a sentence."""
    if clock.due_at is None:
        rule = f" ({clock.rule})" if clock.rule else ""
        words = f"No legal clock runs{rule}"
    else:
        source = f", {clock.source}" if clock.source else ""
        words = f"Legal clock {clock.rule}{source}: due {clock.due_at.isoformat(timespec='seconds')}"
    confirm = "; a person must confirm it" if clock.person_needed else ""
    return f"{words}{confirm}."


def _plain(text: str, most: int = MAX_NAME) -> str:
    return " ".join(text.split())[:most]


def _named(names: Iterable[str], most: int = MAX_NAME) -> str:
    listed = [_plain(name, most) for name in names]
    rest = f" and {len(listed) - MAX_NAMED} more" if len(listed) > MAX_NAMED else ""
    return ", ".join(listed[:MAX_NAMED]) + rest
