"""Added tools run for real: in the process of the installed ones, and at an MCP server over standard streams and HTTP."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from unit.policy_making import SIGNED
from unit.safety_making import AT, STEPS, case
from vigimesh.adapters.tools.calls import Runs, ToolCalls
from vigimesh.adapters.tools.process import ToolProcess
from vigimesh.app.config.model_settings import ToolsSettings
from vigimesh.app.config.settings import Settings
from vigimesh.app.tools.foreign import load_tools
from vigimesh.app.tools.servers import added_names, added_tools, servers_of
from vigimesh.clock import SystemClock
from vigimesh.domain.cascade.breaker import FAILURES
from vigimesh.domain.policy.cards import Cards
from vigimesh.domain.safety.foreign import FAILED
from vigimesh.domain.safety.tools import run_steps
from vigimesh.events.case import Case
from vigimesh.events.classes import EvidenceRetrieved, Finding, Plan, Route, ToolsExecuted
from vigimesh.loop.outcome import Done, Input, Need
from vigimesh.tool_executor.execute import Executor
from waiting import until

pytest.importorskip("mcp", reason="the MCP SDK is not installed: make venv")

#: Settings with a deadline that a busy machine does not reach by starting a process.
SLOW = Settings(tools=ToolsSettings(deadline_s=60))
SERVER = Path(__file__).resolve().parent.parent / "mcp_server.py"
SAID = "Mr. John Smithson of 12 Elm Street fell ill after LOT-77 and was seen at home."
TOOLS = """
    import re
    from vigimesh.events.classes import Finding

    def lots(case, text):
        print("what a tool prints is no answer")
        return [Finding(step="x", result="flag", quotes=tuple(w for w in text.split() if w.startswith("LOT-")))]

    def endless(case, text):
        if "poison" in text:
            re.match(r"(a+)+$", "a" * 64 + "b")  # holds the interpreter for years
        return ()

"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install two tools, in this process and those that it starts."""
    (tmp_path / "lots_module.py").write_text(textwrap.dedent(TOOLS), encoding="utf-8")
    info = tmp_path / "lots-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: lots\nVersion: 1.2\n", encoding="utf-8")
    names = ("lots", "endless")
    rows = "".join(f"{name} = lots_module:{name}\n" for name in names)
    (info / "entry_points.txt").write_text(f"[vigimesh.tools]\n{rows}", encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))


def served(tmp_path: Path, text: str, deadline_s: int) -> Settings:
    file = tmp_path / "servers.toml"
    file.write_text(text, encoding="utf-8")
    return Settings(tools=ToolsSettings(servers=str(file), deadline_s=deadline_s))


def stdio(tmp_path: Path, *tools: str, deadline_s: int = 60) -> Settings:
    rows = ", ".join(f'lab_{tool} = "{tool}"' for tool in tools)
    return served(tmp_path, f"""
        [[servers]]
        name = "lab"
        command = ["{sys.executable}", "{SERVER}"]
        env = ["LAB_KEY"]
        tools = {{ {rows} }}
        """, deadline_s)  # fmt: skip


def given(*steps: str, text: str = SAID) -> Input:
    route = Route(
        workflow="triage", lane="cold", rule="default", reason="none", card_digest="c" * 64,
        version=("2026-03-02", "2026-03-09"), received_at=AT,
    )  # fmt: skip
    event = EvidenceRetrieved(
        case=case(narrative=text), route=route, plan=Plan(tier="tools", steps=(*steps, *STEPS))
    )
    return Input(topic="t", event=event, event_id="e" * 32, key="k", at=AT)


def naming(steps: tuple[str, ...]) -> Cards:
    """Return one card that names steps."""
    return Cards(cards=(dataclasses.replace(SIGNED.fallback, steps=(*STEPS, *steps)),), origin="test")


Ask = Callable[..., Coroutine[Any, Any, tuple[ToolsExecuted, dict[str, Any]]]]


def with_tools(settings: Settings, story: Callable[[Ask, ToolCalls], Coroutine[Any, Any, None]]) -> None:
    """Run `story` with what asks the executor of the settings about a case and returns its event and the answers."""
    names = added_names(load_tools(), servers_of(settings.tools))
    added, calls = added_tools(settings, naming(names), SystemClock())
    executor = Executor(tools=added)
    assert isinstance(calls, ToolCalls)
    ask_calls = calls

    async def ask(record: Input) -> tuple[ToolsExecuted, dict[str, Any]]:
        answers: dict[str, Any] = {}
        for need in executor.needs(record, answers):
            answers[need.name] = await ask_calls.call(need)
        assert executor.needs(record, answers) == ()
        done = executor.decide(record, answers)
        assert isinstance(done, Done)
        # A replay knows only what was recorded: nothing is installed and no server runs.
        assert Executor().decide(record, answers) == done
        event = done.events[0].event
        assert isinstance(event, ToolsExecuted)
        return event, answers

    async def run() -> None:
        keeping = asyncio.create_task(ask_calls.keep())
        try:
            await story(ask, ask_calls)
        finally:
            keeping.cancel()
            await asyncio.wait((keeping,))

    asyncio.run(run())


def of(event: ToolsExecuted, step: str) -> Finding:
    return next(one for one in event.findings if one.step == step)


def alone(record: Input) -> Any:
    event: EvidenceRetrieved = record.event
    of_case: Case = event.case
    return run_steps(STEPS, of_case, of_case.narrative, (), AT)[1]


@pytest.mark.usefixtures("installed")
def test_an_installed_tool_runs_in_a_process_of_its_own_and_its_version_is_told() -> None:
    async def story(ask: Ask, _calls: ToolCalls) -> None:
        event, answers = await ask(given("lots"))
        assert of(event, "lots") == Finding(
            step="lots", result="flag", detail="(lots 1.2)", quotes=("LOT-77",)
        )
        assert "lots" in event.triage.flags
        assert answers["tool:lots"]["lots"]["by"] == "lots 1.2"

    with_tools(SLOW, story)


@pytest.mark.usefixtures("installed")
def test_a_tool_that_never_returns_is_killed_and_the_others_go_on() -> None:
    async def story(ask: Ask, _calls: ToolCalls) -> None:
        records = [given("endless", text="poison"), *(given("lots", "endless") for _ in range(3))]
        events = [event for event, _ in await asyncio.gather(*(ask(record) for record in records))]
        assert of(events[0], "endless").result == FAILED
        assert "it took too long: its process ended" in of(events[0], "endless").detail
        assert [of(event, "endless").result for event in events[1:]] == ["nothing"] * 3
        assert [of(event, "lots").result for event in events[1:]] == ["flag"] * 3

    with_tools(SLOW, story)


def test_a_tool_whose_process_ends_is_left_alone_after_some_failures() -> None:
    ends = ToolProcess((sys.executable, "-c", "raise SystemExit(3)"), {})
    calls = ToolCalls({"exits": Runs(ends, "exits", "lots 1.2")}, 60.0, SystemClock())

    async def ask() -> str:
        return str((await calls.call(Need(kind="tool", key="exits", asked={"exits": {}})))["exits"]["failed"])

    async def run() -> list[str]:
        return [await ask() for _ in range(FAILURES + 1)]

    said = asyncio.run(run())
    assert said[:-1] == ["its process ended with 3"] * FAILURES
    assert "not asked" in said[-1]


LATE = """
    import sys
    from vigimesh.adapters.tools.process import READY
    from vigimesh.app.tools.frames import receive, send, streams

    source, target = streams()
    receive(source)
    open(sys.argv[1]).read()  # a pipe: until the test writes
    send(target, READY)
    while (call := receive(source)) is not None:
        send(target, {"id": call["id"], "by": "late 1.0", "findings": []})
"""


def test_what_a_process_takes_to_start_is_not_its_tools_time(tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    process = ToolProcess((sys.executable, "-c", textwrap.dedent(LATE), str(gate)), dict(os.environ))
    calls = ToolCalls({"late": Runs(process, "late", "")}, 0.05, SystemClock())

    async def run() -> Any:
        asked = asyncio.create_task(calls.call(Need(kind="tool", key="late", asked={"late": {}})))
        done, _ = await asyncio.wait((asked,), timeout=0.5)
        assert not done, "ten times its deadline are over, of which none counts yet"
        calls.deadline_s = 60.0  # for the answer itself, on a busy machine
        await asyncio.to_thread(gate.write_text, "start")
        try:
            return await asked
        finally:
            await process.close()

    assert asyncio.run(run()) == {"late": {"by": "late 1.0", "findings": []}}


def test_a_server_outside_sees_no_person_and_what_is_broken_there_has_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIGIMESH_LARGE_MODEL__KEY", "hidden")
    monkeypatch.setenv("LAB_KEY", "for the lab")
    bad = {
        "raises": "error executing tool", "chats": "no list of findings", "shouts": "no list of findings, or too long",
        "lies": "no list of findings", "missing": "unknown tool",
    }  # fmt: skip

    async def story(ask: Ask, calls: ToolCalls) -> None:
        record = given(*(f"lab_{name}" for name in bad), "lab_seen", "lab_secret")
        event, _ = await ask(record)
        assert of(event, "lab_secret").detail.startswith("LAB_KEY=for the lab (")
        seen = of(event, "lab_seen")
        assert (seen.result, seen.detail) == ("flag", "facts;  (MCP server lab, lab-watch 2.0)")
        assert "LOT-77" in seen.quotes[0]
        assert "Smithson" not in seen.quotes[0]
        assert "Elm" not in seen.quotes[0]
        for name, says in bad.items():
            found = of(event, f"lab_{name}")
            assert found.result == FAILED, name
            assert says in found.detail.lower(), name
        assert dataclasses.replace(event.triage, flags=()) == dataclasses.replace(alone(record), flags=())
        # One that dies is started again, one that hangs costs the deadline.
        assert of((await ask(given("lab_dies")))[0], "lab_dies").result == FAILED
        assert of((await ask(given("lab_seen")))[0], "lab_seen").result == "flag"
        calls.deadline_s = 0.5
        assert "no answer within 0.5 s" in of((await ask(given("lab_hangs")))[0], "lab_hangs").detail

    with_tools(stdio(tmp_path, *bad, "seen", "secret", "dies", "hangs"), story)


@pytest.fixture
def http_port(tmp_path: Path) -> Iterator[str]:
    """Run the server over HTTP and give its port."""
    file = tmp_path / "port"
    with subprocess.Popen([sys.executable, str(SERVER), "http", str(file)]) as process:
        try:
            until(file.exists, within_s=60, what="the port of the MCP server")
            yield file.read_text(encoding="utf-8")
        finally:
            process.kill()


def test_a_server_over_http_answers_the_same_and_one_that_is_not_there_has_failed(
    tmp_path: Path, http_port: str
) -> None:
    settings = served(tmp_path, f"""
        [[servers]]
        name = "lab"
        url = "http://127.0.0.1:{http_port}/mcp"
        tools = {{ lab_seen = "seen", lab_raises = "raises" }}
        [[servers]]
        name = "gone"
        command = ["/nowhere/at-all"]
        tools = {{ lab_gone = "seen" }}
        """, 60)  # fmt: skip

    async def story(ask: Ask, _calls: ToolCalls) -> None:
        event, _ = await ask(given("lab_seen", "lab_raises", "lab_gone"))
        assert of(event, "lab_seen").detail == "facts;  (MCP server lab, lab-watch 2.0)"
        assert of(event, "lab_raises").result == FAILED
        assert "the server is away" in of(event, "lab_gone").detail

    with_tools(settings, story)


@pytest.mark.usefixtures("installed")
def test_where_no_card_names_one_nothing_is_built() -> None:
    added, calls = added_tools(Settings(), naming(()), SystemClock())
    assert (dict(added.sees), calls) == ({}, None)
