"""Added tools without running any: what is asked, what their answers are read as, which files of servers are refused."""

from __future__ import annotations

from typing import Any

import pytest

from unit.safety_making import AT, STEPS, case
from vigimesh.app.tools.foreign import MAX_TOOLS
from vigimesh.app.tools.servers import added_names, read_servers
from vigimesh.domain.safety.foreign import DETAIL_CHARACTERS, FAILED, MAX_FINDINGS, told
from vigimesh.errors import Misconfigured
from vigimesh.events.case import Case
from vigimesh.events.classes import EvidenceRetrieved, Finding, Plan, Route
from vigimesh.loop.outcome import Input, Need, Reject
from vigimesh.tool_executor.added import AddedTools, said
from vigimesh.tool_executor.execute import Executor

EXECUTOR = Executor(tools=AddedTools({"lab": "facts", "lots": "all"}))
FOUND = {
    "by": "lots 1.2",
    "findings": [{"result": "flag", "detail": "a lot under watch", "quotes": ["LOT-77"]}],
}


def given(*steps: str, of: Case | None = None) -> Input:
    route = Route(
        workflow="triage", lane="cold", rule="default", reason="none", card_digest="c" * 64,
        version=("2026-03-02", "2026-03-09"), received_at=AT,
    )  # fmt: skip
    event = EvidenceRetrieved(case=of or case(), route=route, plan=Plan(tier="tools", steps=(*steps, *STEPS)))
    return Input(topic="t", event=event, event_id="e" * 32, key="k", at=AT)


def test_all_added_tools_of_a_pass_are_one_need_asked_once() -> None:
    record = given("lots", "lab")
    (need,) = EXECUTOR.needs(record, {})
    assert need == Need(kind="tool", key="lots lab")
    assert set(need.asked) == {"lots", "lab"}
    assert EXECUTOR.needs(record, {need.name: {"lots": FOUND}}) == ()
    assert EXECUTOR.needs(given(), {}) == ()


def test_outside_go_facts_and_no_person_and_inside_the_case() -> None:
    text = "Mrs. Jane Smithson, born 3 May 1961, had a rash."
    (need,) = EXECUTOR.needs(given("lots", "lab", of=case(narrative=text)), {})
    assert need.asked["lots"]["narrative"] == text
    assert need.asked["lots"]["case"]["report_id"] == "DE-1"
    assert set(need.asked["lab"]) == {"facts", "narrative", "withheld"}
    assert "rash" in need.asked["lab"]["narrative"]
    assert not [word for word in ("Smithson", "1961", "DE-1") if word in str(need.asked["lab"])]


@pytest.mark.parametrize(
    ("of", "why"),
    [
        (case(kind="document", document_kind="vendor_mail"), "document"),
        (case(narrative="J\u200bo\ufffd\ufffd\ufffd\ufffdn " + "\u0430\u043d\u043d\u0430 " * 9), ""),
    ],
)
def test_what_must_not_leave_is_withheld_with_the_reason(of: Case, why: str) -> None:
    (need,) = EXECUTOR.needs(given("lab", of=of), {})
    body = need.asked["lab"]
    assert body["narrative"] == ""
    assert why in body["withheld"]
    assert body["withheld"]


def test_a_long_narrative_is_fetched_before_a_tool_reads_it() -> None:
    far = given("lots", of=case(narrative="", narrative_ref="d" * 64))
    (first,) = EXECUTOR.needs(far, {})
    (second,) = EXECUTOR.needs(far, {first.name: "the whole story"})
    assert (first.kind, second.kind, second.asked["lots"]["narrative"]) == (
        "object",
        "tool",
        "the whole story",
    )


def test_a_replay_needs_no_tool() -> None:
    record, answers = given("lots"), {"tool:lots": {"lots": FOUND}}
    assert Executor().decide(record, answers) == EXECUTOR.decide(record, answers)
    assert said(answers) == {
        "lots": (
            Finding(step="lots", result="flag", detail="a lot under watch (lots 1.2)", quotes=("LOT-77",)),
        )
    }


def test_a_step_that_nobody_has_is_rejected() -> None:
    outcome = EXECUTOR.decide(given("nobody"), {})
    assert isinstance(outcome, Reject)
    assert outcome.code == "VM-1103"


@pytest.mark.parametrize(
    "answer",
    [
        None, "yes", 7, {}, {"by": "x"}, {"findings": None}, {"findings": "flag"}, {"findings": ["flag"]},
        {"findings": [{"detail": "no result"}]}, {"findings": [{"result": 5}]},
        {"findings": [{"result": "flag", "quotes": "LOT"}]}, {"findings": [{"result": "flag", "quotes": [None]}]},
        {"findings": [{"result": "flag", "step": "clock"}]}, {"findings": [{"result": "no", "grade": 0}]},
        {"failed": "late"}, {"failed": None}, {"by": None, "failed": {"a": 1}},
    ],
)  # fmt: skip
def test_what_is_no_answer_is_a_failed_finding(answer: Any) -> None:
    assert [(one.step, one.result) for one in told("lab", answer)] == [("lab", FAILED)]


def test_an_answer_is_cut_to_its_bounds_and_can_always_be_written() -> None:
    row = {"result": "r\ud800" * 99, "detail": "d" * 9_999, "quotes": ["q\udfff" * 999] * 99}
    found = told("lab", {"by": "server " * 99, "findings": [row] * 99})
    assert len(found) == MAX_FINDINGS
    assert {len(one.detail) <= DETAIL_CHARACTERS for one in found} == {True}
    assert all(part.encode() for one in found for part in (one.result, one.detail, *one.quotes))


def test_nothing_found_says_so() -> None:
    assert told("lab", {"findings": []}) == (Finding(step="lab", result="nothing"),)


GOOD = """
[[servers]]
name = "lab"
command = ["python", "-m", "lab"]
env = ["LAB_KEY"]
tools = { lot_watch = "check-lot" }
[[servers]]
name = "far"
url = "https://tools.example/mcp"
headers = { Authorization = "FAR_KEY" }
inside = true
tools = { far_look = "look" }
"""


def test_a_file_of_servers_is_read() -> None:
    lab, far = read_servers(GOOD.encode(), "servers.toml")
    assert (lab.name, lab.command, lab.env, lab.inside) == (
        "lab",
        ("python", "-m", "lab"),
        ("LAB_KEY",),
        False,
    )
    assert (far.url, far.headers, far.inside) == (
        "https://tools.example/mcp", (("Authorization", "FAR_KEY"),), True
    )  # fmt: skip
    assert added_names(("own",), (lab, far)) == ("own", "lot_watch", "far_look")


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("name", "nam", "unknown key 'nam'"),
        ('"lab"', '"Lab"', "'name' is"),
        ('"far"', '"lab"', "two servers have one name"),
        ("far_look", "lot_watch", "is there twice"),
        ("far_look", "clock", "can be no step"),
        ("far_look", '"Far Look"', "can be no step"),
        ("https://", "http://", "not encrypted"),
        ("https://tools", "tools", "no address"),
        ("inside = true", 'inside = "yes"', "'inside'"),
        ("inside = true", "", ""),
        ('command = ["python", "-m", "lab"]', "", "neither"),
        ('command = ["python", "-m", "lab"]', 'command = "python"', "no list of texts"),
        ('env = ["LAB_KEY"]', 'headers = { A = "B" }', "mixes"),
        ('{ lot_watch = "check-lot" }', "{}", "offers no tool"),
        ("[[servers]]", "[[server]]", "alone"),
        ("= [", "= [[", "no TOML"),
    ],
)
def test_a_wrong_file_of_servers_is_refused_and_says_why(old: str, new: str, says: str) -> None:
    data = GOOD.replace(old, new).encode()
    if not says:
        assert read_servers(data, "servers.toml")[1].inside is False
        return
    with pytest.raises(Misconfigured, match="VM-2601") as caught:
        read_servers(data, "servers.toml")
    assert says in str(caught.value)


def test_there_is_a_bound_on_all_added_tools_together() -> None:
    rows = ", ".join(f'step_{number} = "x"' for number in range(MAX_TOOLS))
    servers = read_servers(
        GOOD.replace('lot_watch = "check-lot"', rows).split('[[servers]]\nname = "far"')[0].encode(), "f"
    )
    with pytest.raises(Misconfigured, match=f"keep to {MAX_TOOLS}"):
        added_names(("own",), servers)
