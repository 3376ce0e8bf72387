"""Tools that a distribution adds: found by entry point, checked at start, never able to break a worker or lower anything."""

from __future__ import annotations

import dataclasses
import json
import sys
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from unit.policy_making import ADULT, CALM, SIGNED, accepting, conclusion, executed, route_of, supervised
from unit.safety_making import AT, STEPS, case
from vigimesh.app.in_force.cards import load_cards
from vigimesh.app.tools.foreign import GROUP, MAX_TOOLS, load_tools
from vigimesh.domain.policy.cards import Card, Cards
from vigimesh.domain.policy.facts import Known
from vigimesh.domain.policy.reading import card_of
from vigimesh.domain.policy.shipped import shipped_raw
from vigimesh.domain.policy.verdict import judge
from vigimesh.domain.safety.foreign import (
    DETAIL_CHARACTERS,
    FAILED,
    FLAG,
    MAX_FINDINGS,
    MAX_QUOTES,
    QUOTE_CHARACTERS,
    ForeignTool,
    run_foreign,
)
from vigimesh.domain.safety.tools import MANDATORY, run_steps
from vigimesh.errors import Misconfigured
from vigimesh.events.case import Case
from vigimesh.events.classes import CaseDecided, Finding, Plan, ReviewRequested
from vigimesh.supervisor.supervise import Supervisor

SOURCE = """
    from vigimesh.events.classes import Finding

    def lot_watch(case, text):
        lots = [word for word in text.split() if word.startswith("LOT-")]
        if not lots:
            return ()
        return (Finding(step="anything", result="flag", detail="a lot is named", quotes=tuple(lots)),)

    def broken(case, text):
        return 1 / 0

    async def slow(case, text):
        return ()

    def narrow(case):
        return ()

    class Kind:
        pass

    number = 7
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder on the path, as an installation has one."""
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


def install(site: Path, tools: Mapping[str, str], name: str = "lotwatch", source: str = SOURCE) -> None:
    """Write a real distribution: a module, and a dist-info with its entry points."""
    module = f"{name}_module"
    sys.modules.pop(module, None)
    (site / f"{module}.py").write_text(textwrap.dedent(source), encoding="utf-8")
    info = site / f"{name}-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n", encoding="utf-8")
    rows = "".join(f"{tool} = {module}:{what}\n" for tool, what in tools.items())
    (info / "entry_points.txt").write_text(f"[{GROUP}]\n{rows}", encoding="utf-8")


def run(tools: Mapping[str, ForeignTool], *steps: str, of: Case | None = None, text: str = "") -> Any:
    """Run the steps with what the tools say, each run as its own process runs it."""
    about = case() if of is None else of
    said = {name: run_foreign(name, tool, about, text) for name, tool in tools.items()}
    return run_steps(steps, about, text, (), AT, said)


def test_nothing_is_added_where_nothing_is_installed() -> None:
    assert dict(load_tools()) == {}


def test_an_installed_tool_is_found_and_runs_as_a_named_step(site: Path) -> None:
    install(site, {"lot_watch": "lot_watch"})
    findings, triage = run(load_tools(), "lot_watch", "dates", text="rash after LOT-77 and LOT-78")
    assert [finding.step for finding in findings] == ["lot_watch", "dates", *MANDATORY]
    assert findings[0] == Finding(
        step="lot_watch", result=FLAG, detail="a lot is named", quotes=("LOT-77", "LOT-78")
    )
    assert "lot_watch" in triage.flags


def test_a_tool_that_finds_nothing_says_so_and_changes_nothing(site: Path) -> None:
    install(site, {"lot_watch": "lot_watch"})
    findings, triage = run(load_tools(), "lot_watch", *STEPS, text="a plain headache")
    assert findings[0] == Finding(step="lot_watch", result="nothing")
    assert triage == run({}, *STEPS, text="a plain headache")[1]


def test_a_card_may_name_it_only_where_it_is_installed(site: Path) -> None:
    folder = site / "cards"
    folder.mkdir()
    steps = json.dumps(["lot_watch", *STEPS])
    (folder / "mine.toml").write_text(
        f'extends = "triage"\nname = "mine"\npriority = 77\nsteps = {steps}\nrequired_steps = ["lot_watch"]\n',
        encoding="utf-8",
    )
    with pytest.raises(Misconfigured, match="VM-1103") as caught:
        load_cards(folder)
    assert "lot_watch" in str(caught.value)
    install(site, {"lot_watch": "lot_watch"})
    card = load_cards(folder).named("mine")
    assert card is not None
    assert (card.steps[0], card.required_steps) == ("lot_watch", ("lot_watch",))


def test_a_card_requires_only_steps_that_it_has() -> None:
    raw = {**shipped_raw()["triage"], "required_steps": ["lot_watch"]}
    with pytest.raises(Misconfigured, match="required_steps"):
        card_of(raw, "mine.toml")


@pytest.mark.parametrize(
    ("tools", "says"),
    [
        ({"clock": "lot_watch"}, "that of a tool of vigimesh"),
        ({"Lot-Watch": "lot_watch"}, "not one that a card can write"),
        ({"lot_watch": "missing"}, "cannot be imported: AttributeError"),
        ({"lot_watch": "narrow"}, "does not take (case, text)"),
        ({"lot_watch": "slow"}, "it is async"),
        ({"lot_watch": "Kind"}, "no function"),
        ({"lot_watch": "number"}, "it is int, no function"),
    ],
)
def test_what_cannot_be_used_is_refused_at_start_and_names_its_distribution(
    site: Path, tools: dict[str, str], says: str
) -> None:
    install(site, tools)
    with pytest.raises(Misconfigured, match="VM-1107") as caught:
        load_tools()
    assert says in str(caught.value)
    assert "lotwatch 1.2" in str(caught.value)


def test_a_module_that_fails_or_exits_on_import_is_refused(site: Path) -> None:
    install(site, {"lot_watch": "lot_watch"}, source="raise SystemExit(3)")
    with pytest.raises(Misconfigured, match="SystemExit"):
        load_tools()


def test_two_distributions_with_one_name_are_both_named(site: Path) -> None:
    install(site, {"lot_watch": "lot_watch"})
    install(site, {"lot_watch": "lot_watch"}, name="otherwatch")
    with pytest.raises(Misconfigured, match="VM-1107") as caught:
        load_tools()
    assert "lotwatch 1.2" in str(caught.value)
    assert "otherwatch 1.2" in str(caught.value)


def test_there_is_a_bound_on_how_many(site: Path) -> None:
    install(site, {f"tool_{number}": "lot_watch" for number in range(MAX_TOOLS + 1)})
    with pytest.raises(Misconfigured, match=f"keep to {MAX_TOOLS}"):
        load_tools()


def test_a_failing_tool_is_a_finding_and_the_rest_goes_on(site: Path) -> None:
    install(site, {"broken": "broken"})
    findings, triage = run(load_tools(), "broken", *STEPS)
    assert (findings[0].step, findings[0].result) == ("broken", FAILED)
    assert "ZeroDivisionError" in findings[0].detail
    assert (findings[1:], triage) == run({}, *STEPS)


def leaves(_case: Case, _text: str) -> tuple[Finding, ...]:
    raise SystemExit(1)


class Unsayable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def says_nothing(_case: Case, _text: str) -> tuple[Finding, ...]:
    raise Unsayable


@pytest.mark.parametrize(
    "tool",
    [
        leaves,
        says_nothing,
        lambda _case, _text: None,
        lambda _case, _text: ("serious",),
        lambda _case, _text: (Finding(step="x", result=5),),  # type: ignore[arg-type]
        lambda _case, _text: (Finding(step="x", result="y", quotes=(None,)),),  # type: ignore[arg-type]
    ],
)
def test_whatever_it_does_no_worker_ends(tool: Any) -> None:
    findings, triage = run({"odd": tool}, "odd", *STEPS)
    assert [finding.result for finding in findings if finding.step == "odd"] == [FAILED]
    assert triage == run({}, *STEPS)[1]


def test_what_it_says_is_cut_to_its_bounds() -> None:
    def endless(_case: Case, _text: str) -> list[Finding]:
        return [Finding(step="x", result="r" * 999, detail="d" * 9_999, quotes=("q" * 999,) * 99)] * 99

    said = [finding for finding in run({"endless": endless}, "endless")[0] if finding.step == "endless"]
    assert len(said) == MAX_FINDINGS
    assert max(len(finding.detail) for finding in said) == DETAIL_CHARACTERS
    assert {len(finding.quotes) for finding in said} == {MAX_QUOTES}
    assert {len(quote) for finding in said for quote in finding.quotes} == {QUOTE_CHARACTERS}


@pytest.mark.parametrize("result", [FLAG, "not_serious", "accept", "yes", ""])
def test_nothing_it_says_lowers_anything(result: str) -> None:
    def soothing(_case: Case, _text: str) -> tuple[Finding, ...]:
        return (Finding(step="seriousness_flags", result=result, detail="all is well"),)

    for of in (case(), case(criteria=("death",)), case(criteria=("hospitalisation",), patient=ADULT.patient)):
        alone, beside = run({}, *STEPS, of=of)[1], run({"soothing": soothing}, "soothing", *STEPS, of=of)[1]
        assert dataclasses.replace(beside, flags=()) == dataclasses.replace(alone, flags=())
        assert set(alone.flags) <= set(beside.flags)


def accepts_all() -> Card:
    """Return the signed fallback card with one rule, which accepts everything."""
    always = next(lane.when for lane in SIGNED.fallback.lanes if lane.when.constant is True)
    return accepting(SIGNED.fallback, always)


@pytest.mark.parametrize(
    ("required", "failed", "then"),
    [
        (("odd",), ("odd",), ("review", "required_step")),
        (("odd",), (), ("accept", "all")),
        ((), ("odd",), ("accept", "all")),
    ],
)
def test_a_required_step_that_failed_is_for_a_person(
    required: tuple[str, ...], failed: tuple[str, ...], then: tuple[str, str]
) -> None:
    card = dataclasses.replace(accepts_all(), steps=("odd",), required_steps=required)
    event = executed(triage=CALM, route=route_of("triage"))
    known = Known(
        case=ADULT, clock=CALM.clock, at=AT, route=event.route, plan=Plan(tier="tools", steps=("odd",)), triage=CALM,
        tiers=("tools",), failed_steps=failed,
    )  # fmt: skip
    found = judge(known, card, hold=False)
    assert (found.then, found.rule) == then


@pytest.mark.parametrize(("result", "event"), [(FAILED, ReviewRequested), ("nothing", CaseDecided)])
def test_the_supervisor_sees_it_in_the_findings(result: str, event: type) -> None:
    card = dataclasses.replace(accepts_all(), required_steps=("odd",))
    supervisor = Supervisor(Cards(cards=(card,), origin="test"))
    ran = executed(route=route_of(card.name), findings=(Finding(step="odd", result=result),))
    assert isinstance(conclusion(supervised(ran, supervisor=supervisor)), event)
