"""From the bytes of TOML files to cards: pure, strict, and with a message that names file, key and nearest known key."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime, time
from typing import Any

from vigimesh.domain.policy import cards as c
from vigimesh.domain.policy import facts
from vigimesh.domain.policy.cel import compile_rule, nearest
from vigimesh.domain.policy.floor import LIFTABLE
from vigimesh.domain.policy.tables import Table, wrong
from vigimesh.domain.policy.tiers import TIERS
from vigimesh.events.topics import LANES

#: Bytes of one card file: a card of today has 3 KiB.
MAX_FILE_BYTES = 256 * 1024
#: Cards in force together.
MAX_CARDS = 64
#: Passes over one case version at most: there are three machine tiers.
MAX_PASSES = 4
#: Seconds in 90 days, the longest legal clock (Dir. 2001/83/EC Art. 107(3)): no tolerance is longer.
MAX_WAIT_S = 90 * 86_400
#: Hours of the longest age of a stored answer: 366 days (`knowledge.freshness.MAX_AGE`).
MAX_AGE_HOURS = 366 * 24

#: Names of the steps a card may ask for: deterministic tools, small models that read, a draft. The tool-executor's own lists are held to this one by a test.
STEPS = (
    "minimum_criteria",
    "seriousness_flags",
    "seriousness_text",
    "dates",
    "situations",
    "listedness",
    "clock",
    "text_dates",
    "durations",
    "ages",
    "doses",
    "dimensions",
    "lab_values",
    "reply_asked",
    "naranjo",
    "disproportionality",
    "adverse_event",
    "extraction",
    "grave",
    "draft",
)
VERDICTS: tuple[c.Verdict, ...] = ("accept", "review", "escalate")

_KEYS = (
    "name", "owner", "description", "priority", "match", "lanes", "steps", "tiers", "escalation",
    "latency_tolerance_s", "budget", "calls_per_minute", "alarms", "lane_objectives", "outcome", "batch_window",
    "policy",
)  # fmt: skip

Raw = Mapping[str, Any]


def parse_toml(data: bytes, file: str) -> dict[str, Any]:
    """Return the tables of a card file; raises `Misconfigured` VM-1103 when it is no TOML in UTF-8."""
    if len(data) > MAX_FILE_BYTES:
        raise wrong(file, f"card has {len(data)} bytes", f"keep a card within {MAX_FILE_BYTES} bytes")
    try:
        return tomllib.loads(data.decode("utf-8"))
    except UnicodeDecodeError as failure:
        raise wrong(file, f"card is not UTF-8 (byte {failure.start})", "save it as UTF-8") from failure
    except (tomllib.TOMLDecodeError, RecursionError) as failure:
        raise wrong(file, f"card is not TOML: {failure}", "correct the syntax") from failure


def read_card(
    data: bytes, file: str, bases: Mapping[str, Raw] | None = None, steps: Sequence[str] = STEPS
) -> c.Card:
    """Return the card in `data`; `bases` are the raw tables of the cards that it may extend, `steps` what it may ask for.

    Raises `Misconfigured` VM-1103 for the card, VM-1104 for a rule in it.
    """
    return card_of(extended(parse_toml(data, file), file, bases or {}), file, steps)


def extended(raw: Raw, file: str, bases: Mapping[str, Raw]) -> dict[str, Any]:
    """Return `raw` laid over the card it extends: tables key by key, lists as a whole, a signature never."""
    if "extends" not in raw:
        return dict(raw)
    name = raw["extends"]
    if not isinstance(name, str) or name not in bases:
        todo = nearest(str(name), bases) if bases else "a shipped card extends no other: write every key"
        raise wrong(file, f"'extends' names the unknown card {name!r}", todo)
    below = {key: value for key, value in bases[name].items() if key != "auto_accept"}
    return _over(below, {key: value for key, value in raw.items() if key != "extends"})


def _over(below: Raw, above: Raw) -> dict[str, Any]:
    """Return a table laid over another, and so the tables in it: `[cascade.audit]` with one key keeps the other keys of the card below."""
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        merged[key] = _over(under, value) if isinstance(under, dict) and isinstance(value, dict) else value
    return merged


def card_of(raw: Raw, file: str, known: Sequence[str] = STEPS) -> c.Card:
    """Return the card that complete tables describe; `known` are the tools there are, those that others add included."""
    top = Table(file, "", raw, _KEYS, ("auto_accept", "required_steps", "cascade", "knowledge"))
    body = _canonical(raw)
    steps, escalation = top.choices("steps", known, least=1), _escalation(top, known)
    return c.Card(
        name=top.word("name"),
        owner=top.text("owner"),
        description=top.text("description"),
        priority=top.whole("priority", 0, 1_000),
        match=compile_rule(top.text("match"), f"{file}: match", facts.samples(facts.MATCH), facts.RARE),
        lanes=_lanes(top),
        steps=steps,
        tiers=top.choices("tiers", TIERS, least=1),
        escalation=escalation,
        latency_tolerance_s=top.whole("latency_tolerance_s", 1, MAX_WAIT_S),
        budget=_budget(top),
        calls_per_minute=top.whole("calls_per_minute", 0, 1_000_000),
        alarms=c.Alarms(
            budget_percent=top.table("alarms", ("budget_percent",)).rising("budget_percent", 1, 100)
        ),
        lane_objectives=_objectives(top),
        outcome=top.word("outcome"),
        batch_window=_batch_window(top),
        policy=_policy(top),
        auto_accept=_auto_accept(top) if top.has("auto_accept") else None,
        digest=hashlib.sha256(body).hexdigest(),
        body=body,
        required_steps=(
            top.choices("required_steps", (*steps, *escalation.steps)) if top.has("required_steps") else ()
        ),
        cascade=_cascade(top) if top.has("cascade") else c.Cascade(),
        knowledge=_knowledge(top) if top.has("knowledge") else None,
    )


def gather(cards: Iterable[tuple[c.Card, str]], origin: str) -> c.Cards:
    """Return the cards in force, checked against each other; each comes with the file it was read from.

    Raises `Misconfigured` VM-1103 when two have the same name or priority, so that their order is never chance.
    """
    rows = sorted(cards, key=lambda row: -row[0].priority)
    if len(rows) > MAX_CARDS:
        raise wrong(origin, f"there are {len(rows)} cards", f"keep to {MAX_CARDS}")
    names: dict[str, str] = {}
    priorities: dict[int, c.Card] = {}
    for card, file in rows:
        if card.name in names:
            raise wrong(
                file, f"card {card.name!r} is in {names[card.name]} already", "give it a name of its own"
            )
        if card.priority in priorities:
            raise wrong(
                file,
                f"'priority' {card.priority} is that of card {priorities[card.priority].name!r}",
                "give each card a priority of its own: the highest whose rule matches takes the case",
            )
        names[card.name] = file
        priorities[card.priority] = card
    if c.FALLBACK not in names:
        raise wrong(origin, f"there is no card {c.FALLBACK!r}", "add it: it takes what no other card matches")
    return c.Cards(cards=tuple(card for card, _ in rows), origin=origin)


def _lanes(top: Table) -> tuple[c.LaneRule, ...]:
    rows = top.tables("lanes", ("name", "when", "lane", "reason"))
    known = facts.samples(facts.LANE)
    rules = tuple(
        c.LaneRule(
            name=row.word("name"),
            when=compile_rule(row.text("when"), f"{top.file}: {row.name('when')}", known, facts.RARE),
            lane=row.choice("lane", LANES),
            reason=row.text("reason"),
        )
        for row in rows
    )
    if rules[-1].when.constant is not True:
        raise rows[-1].bad("when", '"true" in the last lane rule, so that every case has a lane')
    return rules


def _policy(top: Table) -> tuple[c.PolicyRule, ...]:
    known = facts.samples(facts.POLICY)
    rules = []
    for row in top.tables("policy", ("name", "when", "then", "reason"), ("question",)):
        then = next(verdict for verdict in VERDICTS if verdict == row.choice("then", VERDICTS))
        if row.has("question") is (then == "accept"):
            todo = "remove it" if then == "accept" else "say what the person is asked"
            state = "is given" if then == "accept" else "is missing"
            raise wrong(top.file, f"{row.name('question')!r} {state} where 'then' is {then!r}", todo)
        rules.append(
            c.PolicyRule(
                name=row.word("name"),
                when=compile_rule(row.text("when"), f"{top.file}: {row.name('when')}", known, facts.RARE),
                then=then,
                reason=row.text("reason"),
                question=row.text("question") if row.has("question") else "",
            )
        )
    return tuple(rules)


def _escalation(top: Table, known: Sequence[str]) -> c.Escalation:
    table = top.table("escalation", ("when", "steps", "max_passes"))
    where = f"{top.file}: {table.name('when')}"
    return c.Escalation(
        when=compile_rule(table.text("when"), where, facts.samples(facts.POLICY), facts.RARE),
        steps=table.choices("steps", known),
        max_passes=table.whole("max_passes", 1, MAX_PASSES),
    )


def _budget(top: Table) -> c.Budget:
    table = top.table("budget", ("currency", "month_micro", "day_micro", "case_micro"))
    budget = c.Budget(
        currency=table.currency("currency"),
        month_micro=table.whole("month_micro"),
        day_micro=table.whole("day_micro"),
        case_micro=table.whole("case_micro"),
    )
    if not budget.case_micro <= budget.day_micro <= budget.month_micro:
        raise wrong(
            top.file,
            "'budget' does not rise from case to day to month",
            "give case_micro <= day_micro <= month_micro",
        )
    return budget


def _objectives(top: Table) -> c.Objectives:
    table = top.table("lane_objectives", ("hot_s", "warm_s", "cold_s"))
    hot, warm, cold = (table.whole(key, 1, MAX_WAIT_S) for key in ("hot_s", "warm_s", "cold_s"))
    if not hot <= warm <= cold:
        raise wrong(
            top.file, "'lane_objectives' do not rise from hot to cold", "give hot_s <= warm_s <= cold_s"
        )
    return c.Objectives(hot_s=hot, warm_s=warm, cold_s=cold)


def _batch_window(top: Table) -> c.BatchWindow:
    table = top.table("batch_window", ("opens_utc", "closes_utc"))
    return c.BatchWindow(opens_utc=table.time_of_day("opens_utc"), closes_utc=table.time_of_day("closes_utc"))


def _cascade(top: Table) -> c.Cascade:
    table = top.table("cascade", ("recall", "confidence", "serious_at"), ("audit", "threshold_recall"))
    recall = table.share("recall")
    threshold_recall = table.share("threshold_recall") if table.has("threshold_recall") else None
    if threshold_recall is not None and threshold_recall < recall:
        raise table.bad("threshold_recall", f"a share not below 'cascade.recall', {float(recall):g}")
    return c.Cascade(
        recall=recall,
        threshold_recall=threshold_recall,
        confidence=table.share("confidence"),
        serious_at=table.share("serious_at"),
        audit=_audit_sample(table) if table.has("audit") else None,
    )


def _knowledge(top: Table) -> c.Knowledge:
    table = top.table("knowledge", ("hot_age_hours", "warm_age_hours"))
    hot, warm = (table.whole(key, 1, MAX_AGE_HOURS) for key in ("hot_age_hours", "warm_age_hours"))
    if hot > warm:
        raise wrong(
            top.file, "'knowledge' lets a copy outlive its source", "give hot_age_hours <= warm_age_hours"
        )
    return c.Knowledge(hot_age_hours=hot, warm_age_hours=warm)


def _audit_sample(cascade: Table) -> c.AuditSample:
    table = cascade.table("audit", ("permille", "seed", "minutes", "minute_micro", "month_micro"))
    return c.AuditSample(
        permille=table.whole("permille", 0, 1_000),
        seed=table.word("seed"),
        minutes=table.whole("minutes", 1, 240),
        minute_micro=table.whole("minute_micro"),
        month_micro=table.whole("month_micro"),
    )


def _auto_accept(top: Table) -> c.AutoAccept:
    table = top.table("auto_accept", ("signed_by", "signed_at", "use", "allows"))
    return c.AutoAccept(
        signed_by=table.text("signed_by"),
        signed_at=table.moment("signed_at"),
        use=table.text("use"),
        allows=table.choices("allows", LIFTABLE),
    )


def _canonical(raw: Raw) -> bytes:
    text = json.dumps(raw, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=_moment_text)
    return text.encode()


def _moment_text(value: object) -> str:
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    raise TypeError(f"no canonical form of {type(value).__name__}")
