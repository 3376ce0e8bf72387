"""What the controller knows of money: backlogs from lag, costs from what was spent, and a reign that fits its offset."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from statistics import mode

import pytest

from pricing_making import AWAY, NOW, account, cold, warm
from vigimesh.app.config.model_settings import LargeModelSettings
from vigimesh.app.config.settings import PostgresSettings, RedisSettings, Settings, read_settings
from vigimesh.app.in_force.small_model import call_micro
from vigimesh.app.workers.controller import money_of
from vigimesh.background.controller.accounts import BudgetAccounts
from vigimesh.background.controller.money import (
    ASSUMED_CLOCK_S,
    PAYER,
    Money,
    NoAccounts,
    Seen,
    Watch,
    backlog_of,
    rule,
)
from vigimesh.background.controller.reign import HOLD_S, METADATA_MAX, Reign, limits_of, succeeded
from vigimesh.clock import SystemClock
from vigimesh.domain.control.calls import Share
from vigimesh.domain.control.costs import Learned, prior_micro
from vigimesh.domain.control.lag import PLACES, LagRow
from vigimesh.domain.control.measure import NONE, Known, Measure, Unknown
from vigimesh.domain.control.pricing import InForce
from vigimesh.domain.policy.shipped import shipped_cards
from vigimesh.domain.safety.clock_rules import shipped_rules
from vigimesh.events.classes import FlowTotalled
from vigimesh.events.topics import LANE_STAGES, STAGES

CARD = shipped_cards(False).named("triage")
assert CARD is not None


def rows(waits: dict[tuple[str, str], Measure], seconds: Measure = NONE) -> list[LagRow]:
    """Return a row for each place of triage, and of another workflow that has much waiting."""
    found = []
    for stage, lane in PLACES:
        here = waits.get((stage, lane), NONE)
        found.append(LagRow(stage=stage, lane=lane, workflow="", records=Known(value=999), seconds=seconds))
        for workflow, records in (("triage", here), ("signal", Known(value=777))):
            if stage != "router":
                found.append(
                    LagRow(stage=stage, lane=lane, workflow=workflow, records=records, seconds=seconds)
                )
    return found


def test_the_backlog_is_what_waits_before_or_in_the_stage_that_pays() -> None:
    assert CARD is not None
    assert PAYER in STAGES
    waits: dict[tuple[str, str], Measure] = {
        ("planner", "cold"): Known(value=5), ("retriever", "cold"): Known(value=3), (PAYER, "cold"): Known(value=2),
        ("supervisor", "cold"): Known(value=100), ("planner", "hot"): AWAY,
    }  # fmt: skip
    backlog = backlog_of(CARD, rows(waits, seconds=Known(value=60)), 17)
    found = {one.lane: one.records for one in backlog.lanes}
    assert found == {"hot": AWAY, "warm": NONE, "cold": Known(value=10)}
    slacks = {one.lane: one.slack_s for one in backlog.lanes}
    assert slacks["warm"] is None, "nothing waits there"
    assert isinstance(slacks["hot"], Unknown)
    assert slacks["cold"] == Known(value=ASSUMED_CLOCK_S["cold"] - 60)
    assert {one.case_micro for one in backlog.lanes} == {17}


@pytest.mark.parametrize("stage", [*LANE_STAGES, "all"])
def test_a_lane_that_was_not_measured_is_unknown(stage: str) -> None:
    assert CARD is not None
    left = [row for row in rows({}) if row.stage != stage and stage != "all"]
    backlog = backlog_of(CARD, left, 17)
    assert backlog.unknown is not None
    assert isinstance(backlog.slack_s, Unknown)


def test_the_clock_that_is_assumed_is_the_commonest_of_the_rules() -> None:
    serious = [rule.days for rule in shipped_rules() if rule.trigger.startswith("serious")]
    others = [rule.days for rule in shipped_rules() if rule.trigger == "non_serious"]
    assert ASSUMED_CLOCK_S["hot"] == 86_400 * mode(serious)
    assert ASSUMED_CLOCK_S["warm"] == ASSUMED_CLOCK_S["cold"] == 86_400 * max(others)


def totals(**taken: int) -> list[FlowTotalled]:
    counts = {f"{PAYER}.{lane}.consumed": count for lane, count in taken.items()}
    return [FlowTotalled(workflow="triage", totals=counts, offsets={})]


def test_a_case_costs_what_was_spent_on_those_that_might_ask() -> None:
    watch = Watch()
    watch.add({"triage": account(0, recorded=1_000)}, totals(hot=10, cold=10), {})
    assert watch.learned == {}, "what was there before is no news"
    watch.add({"triage": account(0, recorded=1_600)}, totals(hot=15, cold=25), {})
    assert watch.learned == {"triage": Learned(spent_micro=600, cases=20)}
    watch.add({"triage": account(0, recorded=1_700)}, totals(hot=20, cold=999), {"triage": {"cold": 0}})
    assert watch.learned == {"triage": Learned(spent_micro=700, cases=25)}, "cold may not ask: no proof"


def test_what_was_planned_before_a_ceiling_teaches_what_it_cost() -> None:
    """A burst dearer than what is left by the first guess, and cheaper by what its cases cost: the next one is asked for."""
    assert CARD is not None
    money, watch, in_force = Money(accounts=NoAccounts(()), cards=(CARD,)), Watch(), InForce()
    prior, real = prior_micro(CARD.budget.case_micro), 40
    left, burst = 500 * prior, 1_000

    def look(at_s: float, waits: dict[str, float], taken: int, asked: int) -> list[str]:
        nonlocal in_force
        there: dict[tuple[str, str], Measure] = {
            (stage, "cold"): Known(value=n) for stage, n in waits.items()
        }
        seen = Seen(
            rows=rows(there), totals=totals(cold=taken),
            accounts={"triage": account(left - asked * real, recorded=asked * real)},
        )  # fmt: skip
        in_force = rule(money, watch, seen, in_force, NOW + timedelta(seconds=at_s)).in_force
        return [one.lane for one in in_force.ceilings]

    assert look(0, {"planner": burst}, 0, 0) == ["cold"]
    # Until the order is obeyed, 300 were planned for the large model; they are paid for as they come, and nothing after them.
    look(1, {"planner": 700, "retriever": 100, PAYER: 150}, 50, 50)
    look(3, {"planner": 0, PAYER: 800}, 200, 200)
    look(4, {PAYER: 500}, 500, 300)
    look(5, {}, burst, 300)
    assert watch.learned["triage"] == Learned(spent_micro=300 * real, cases=300)
    look(6, {}, burst, 300)
    assert look(70, {}, burst, 300) == []
    assert look(71, {"planner": burst}, burst, 300) == []


@pytest.mark.parametrize("lowered", [{}, {"triage": {"cold": 0}}, {"triage": {"cold": 900}}])
def test_totals_made_anew_teach_nothing_whatever_is_lowered(lowered: dict[str, dict[str, int]]) -> None:
    watch = Watch()
    watch.add({"triage": account(0, recorded=1_000)}, totals(cold=500), {})
    watch.add({"triage": account(0, recorded=1_700)}, totals(cold=20), lowered)
    assert watch.learned == {"triage": Learned()}


def test_what_is_not_known_or_of_another_month_teaches_nothing() -> None:
    watch = Watch()
    watch.add({"triage": account(0, recorded=1_000)}, totals(hot=10), {})
    watch.add({"triage": AWAY}, totals(hot=20), {})
    watch.add({"triage": account(0, recorded=1_000)}, [], {})
    watch.add({}, totals(hot=20), {})
    assert watch.learned == {}
    december = account(0, recorded=5)
    month = replace(december.windows[2], name="2026-12")
    watch.add({"triage": replace(december, windows=(*december.windows[:2], month))}, totals(hot=90), {})
    assert watch.learned == {}, "a new month begins at 0"
    watch.add({"triage": replace(december, windows=december.windows[:1])}, totals(hot=90), {})
    assert watch.learned == {}, "an account without a month"


MONEY = InForce(
    ceilings=(cold(), replace(warm(), calm_since=NOW + timedelta(microseconds=1))),
    shares=(Share(workflow="triage", calls=39, wanted=60, limit=40, since=NOW),),
)
COSTS = (("triage", Learned(spent_micro=123, cases=4)),)


def test_a_reign_hands_its_money_on() -> None:
    kept = Reign(term=7, money=MONEY, learned=COSTS, ordered_at=NOW).metadata()
    assert kept.isascii()
    assert len(kept) < 500
    found = succeeded(kept, NOW + timedelta(seconds=HOLD_S - 1))
    assert found.term == 8
    # Calm is kept in whole seconds, rounded up: never shorter.
    calm = replace(warm(), calm_since=NOW + timedelta(seconds=1))
    assert found.money == replace(MONEY, ceilings=(cold(), calm))
    assert found.learned == COSTS
    assert not found.due((), found.money, NOW + timedelta(seconds=1)), (
        "nothing changed, it is not written at once"
    )
    late = succeeded(kept, NOW + timedelta(seconds=HOLD_S))
    assert late == Reign(term=8, learned=COSTS), "orders have expired, what was learned has not"


def test_the_metadata_of_a_version_without_money_is_read() -> None:
    assert succeeded("vc1:[7,null,[]]", NOW) == Reign(term=8)


@pytest.mark.parametrize("lane", ["hot", "tepid"])
def test_no_reign_lowers_hot_whatever_its_metadata_says(lane: str) -> None:
    kept = Reign(term=7, money=InForce(ceilings=(cold(lane=lane),)), ordered_at=NOW)
    assert succeeded(kept.metadata(), NOW).money.ceilings == ()


def test_beyond_what_an_offset_holds_costs_go_first_then_calls_then_the_last_ceilings() -> None:
    names = [f"workflow_{number:03}" for number in range(100)]
    ceilings = tuple(cold(name) for name in names)
    shares = tuple(Share(workflow=name, calls=1, wanted=60, limit=99, since=NOW) for name in names)
    costs = tuple((name, Learned(spent_micro=10**9, cases=5_000)) for name in names)

    def kept(ceilings_kept: int, shares_kept: int) -> Reign:
        money = InForce(ceilings=ceilings[:ceilings_kept], shares=shares[:shares_kept])
        text = Reign(term=1, money=money, learned=costs, ordered_at=NOW).metadata()
        assert len(text) <= METADATA_MAX
        return succeeded(text, NOW)

    all_of_it = kept(100, 100)
    assert (all_of_it.learned, all_of_it.money.shares) == ((), ())
    assert all_of_it.money.ceilings == ceilings[: len(all_of_it.money.ceilings)]
    assert len(all_of_it.money.ceilings) > 30
    some = kept(20, 30)
    assert (some.learned, len(some.money.shares), len(some.money.ceilings)) == ((), 30, 20)


def test_an_order_is_due_when_it_changes_and_again_after_a_while() -> None:
    reign = Reign(term=1, money=MONEY, ordered_at=NOW)
    assert not reign.due((), MONEY, NOW)
    assert reign.due((), InForce(), NOW)
    assert reign.due((), replace(MONEY, ceilings=()), NOW)
    assert reign.due((), MONEY, NOW + timedelta(seconds=10))
    assert not Reign(term=1).due((), InForce(), NOW)
    unlimited = InForce(shares=(Share(workflow="triage", calls=60, wanted=60, limit=None, since=NOW),))
    assert limits_of(unlimited) == {}
    assert "may ask up to small; the endpoint takes 40" in limits_of(MONEY)["cold", "triage"][2]


def test_money_is_joined_only_where_somebody_pays() -> None:
    cards, clock = shipped_cards(False).cards, SystemClock()
    paid = LargeModelSettings(base_url="http://models.example/v1", name="standin-1", calls_per_minute=600)
    assert money_of(Settings(), cards, clock) is None
    without = money_of(Settings(large_model=paid), cards, clock)
    assert without is not None
    assert isinstance(without.accounts, NoAccounts)
    assert without.calls_per_minute == 600
    assert {card.name for card in without.cards} == {card.name for card in cards if "large" in card.tiers}
    stores = Settings(
        large_model=replace(paid, calls_per_minute=0), redis=RedisSettings(url="redis://nowhere.example"),
        postgres=PostgresSettings(dsn="postgresql://nowhere.example/db"),
    )  # fmt: skip
    joined = money_of(stores, cards, clock)
    assert joined is not None
    assert isinstance(joined.accounts, BudgetAccounts)
    assert joined.calls_per_minute is None


def small(**changes: str) -> Settings:
    values = {"BASE_URL": "http://models.example/v1", "NAME": "small-1"} | changes
    return read_settings({f"VIGIMESH_SMALL_MODEL__{name}": value for name, value in values.items()})


def test_a_small_model_that_is_paid_for_is_priced_with_and_without_a_large_one() -> None:
    """Its prior is a call a case at the most that one may cost; a large model's, which is dearer, includes it."""
    assert CARD is not None
    cards, clock = (
        replace(CARD, name="both"), replace(CARD, name="cheap", tiers=("tools", "small")),
        replace(CARD, name="free", tiers=("tools",)),
    ), SystemClock()  # fmt: skip
    alone = money_of(small(), cards, clock)
    assert alone is not None
    assert ([one.name for one in alone.cards], alone.paid) == (["both", "cheap"], ("small",))
    assert alone.small_micro == call_micro(small(), clock.now()) > 0
    assert [alone.prior(card) for card in cards] == [alone.small_micro, alone.small_micro, 0]
    paid = LargeModelSettings(base_url="http://models.example/v1", name="large-1", calls_per_minute=600)
    with_large = money_of(replace(small(), large_model=paid), cards, clock)
    assert with_large is not None
    assert (with_large.paid, with_large.calls_per_minute) == (("small", "large"), 600)
    dear = max(prior_micro(CARD.budget.case_micro), alone.small_micro)
    assert [with_large.prior(card) for card in cards] == [dear, alone.small_micro, 0]


def test_a_small_model_that_is_free_or_is_never_called_is_not_priced(tmp_path: Path) -> None:
    """With a price at 0 its calls would be held for money that nobody spends."""
    cards, clock = shipped_cards(False).cards, SystemClock()
    assert money_of(small(NAME="local"), cards, clock) is None
    book = tmp_path / "prices.toml"
    book.write_text(
        '[[prices]]\nmodel = "small-1"\ncurrency = "EUR"\nfrom = 2020-01-01T00:00:00Z\nuntil = 2021-01-01T00:00:00Z\n'
        "[[prices.tiers]]\nabove_prompt_tokens = 0\ninput_micro = 1\ncached_input_micro = 1\noutput_micro = 1\n"
    )
    old = replace(small(), large_model=LargeModelSettings(prices=str(book)))
    assert money_of(old, cards, clock) is None


def test_the_backlog_of_a_small_model_lowers_cold_and_what_it_cost_is_learned() -> None:
    assert CARD is not None
    money = Money(accounts=NoAccounts(()), cards=(CARD,), small_micro=100, large=False)
    waits: dict[tuple[str, str], Measure] = {("planner", "cold"): Known(value=50)}
    watch, seen = Watch(), Seen(rows=rows(waits), totals=totals(cold=0), accounts={"triage": account(4_999)})
    ruling = rule(money, watch, seen, InForce(), NOW)
    assert [(one.lane, one.tier) for one in ruling.in_force.ceilings] == [("cold", "small")]
    assert ruling.priced[0].price == Known(value=5_000)
    # 500 cases cost 10 each, its calls are among what the month recorded: with 20 of the prior 13.46 a case, rounded up.
    cheap = replace(seen, totals=totals(cold=500), accounts={"triage": account(4_999, recorded=5_000)})
    ruling = rule(money, watch, cheap, InForce(), NOW)
    assert ruling.priced[0].price == Known(value=50 * 14)
    assert ruling.in_force.ceilings == ()
