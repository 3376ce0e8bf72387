"""A whole mesh with a stand-in for the large model and cards whose money ends early; and one run through it. Loaded by conftest."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from mesh_fixture import kept_mesh
from meshes import Answer, Mesh, child_of, vigimesh
from standins import served
from vigimesh.app.config.settings import Settings, read_settings
from vigimesh.app.demo.builder import HEALTH, Calendar, adult, case, product, reaction
from vigimesh.app.demo.line_cases import line
from vigimesh.app.standin.chat import MODEL, StandIn
from vigimesh.app.standin.profile import Profile
from vigimesh.domain.budget.windows import span
from waiting import until

#: Cases of each kind: serious ones, those of which nobody knows, and those that are not serious.
EACH = 60
#: Micro-units that the month has: enough for some fifty opinions of the hundred and twenty that are wanted.
MONTH_MICRO = 60_000

#: Seconds that the month must have left when the run begins, so that what it spends is of one month: its processes go by the
#: machine's clock. Run and looks take about a minute; a test has five, the waiting included (pyproject).
LEFT_S = 150.0

#: A second opinion for whatever is not known to be serious. Only the month's money is short.
_CARD = """
extends = "triage"
{head}
calls_per_minute = 10_000

[escalation]
when = "valid && serious != 'yes'"
steps = []
max_passes = 2

[budget]
currency = "EUR"
month_micro = {month}
day_micro = {month}
case_micro = 50_000

[auto_accept]
signed_by = "owner of the workflow (test)"
signed_at = 2026-01-05T09:00:00Z
use = "tests"
allows = []
"""
CARD = _CARD.format(head="", month=MONTH_MICRO)

#: Vaccine reports have a month of their own: money for those of two quiet days, and for some of a third one's.
VACCINES, VACCINES_MICRO = "vaccine_month", 50_000
VACCINE_CARD = (
    _CARD.format(
        head=f"""
name = "{VACCINES}"
owner = "vaccine-safety"
description = "Vaccine reports of a month that is short of money."
priority = 5
match = "kind == 'icsr' && suspects > 0 && suspect_kinds.all(k, k == 'vaccine')"
""",
        month=VACCINES_MICRO,
    )
    + """
[[lanes]]
name = "routine"
when = "true"
lane = "warm"
reason = "not cold, so that nothing waits for a cheaper batch instead"
"""
)


def name_of(number: int) -> str:
    """Return the name of a case: serious when its number is a multiple of three, not serious when it is two above one."""
    return f"DE-TIGHT-2026-{number:05d}"


def cases(today: datetime) -> Iterator[str]:
    """Yield the lines of a file: a third serious, a third of which nothing says so or not, a third not serious."""
    calendar = Calendar(today=today.date())
    for number in range(3 * EACH):
        criteria = ("hospitalisation",) if number % 3 == 0 else ()
        marked = "2" if number % 3 == 2 else ""
        name = name_of(number)
        yield line(
            case(
                sender="CALLCENTRE", receiver="VIGIMESH", report_id=name, worldwide_id=name, country="DE",
                report_type="spontaneous", created_on=calendar.moment(1), first_received_on=calendar.day(3),
                most_recent_on=calendar.day(2), reporters=(HEALTH,), patient=adult(20 + number % 60, "female"),
                products=(product("Torvexil"),),
                reactions=(reaction(f"Headache, case {number}", *criteria, highlighted=marked, outcome="recovered"),),
                criteria=criteria, narrative=f"Report {number}: a mild headache for a day, gone by the next.",
            )
        )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Tight:
    """The run: its mesh and settings, the stand-in that was asked, the object that it ended with, when, and the budget then."""

    mesh: Mesh
    settings: Settings
    standin: StandIn
    result: dict[str, Any]
    ended_at: datetime
    budget: dict[str, Any]

    def told(self, *arguments: str) -> dict[str, Any]:
        """Return what a command with --json says."""
        return said(self.mesh, *arguments)


def said(mesh: Mesh, *arguments: str) -> dict[str, Any]:
    answer = vigimesh(*arguments, "--data", mesh.data, "--json")
    assert answer.out, answer.err
    return answer.json


def has_room(at: datetime) -> bool:
    """Tell whether a run that begins now ends in the same month."""
    return (span("month", at).closes_at - at).total_seconds() >= LEFT_S


@pytest.fixture(scope="session")
def tight(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tight]:
    """Send the cases through a mesh whose month has too little money, once."""
    cards = tmp_path_factory.mktemp("cards")
    (cards / "triage.toml").write_text(CARD, encoding="utf-8")
    (cards / f"{VACCINES}.toml").write_text(VACCINE_CARD, encoding="utf-8")
    source = tmp_path_factory.mktemp("tight") / "cases.jsonl"
    source.write_text("\n".join(cases(datetime.now(UTC))) + "\n", encoding="utf-8")
    standin = StandIn(Profile(latency_ms=20, spread=0.3, seed=7))
    with served(standin) as url:
        settings = {
            "VIGIMESH_CARDS": str(cards), "VIGIMESH_LARGE_MODEL__BASE_URL": url, "VIGIMESH_LARGE_MODEL__NAME": MODEL,
        }  # fmt: skip
        with kept_mesh(settings) as mesh:
            answer = short_run(mesh, source)
            yield Tight(
                mesh=mesh, settings=read_settings(settings), standin=standin, result=answer.json, ended_at=datetime.now(UTC),
                budget=said(mesh, "budget", "show"),
            )  # fmt: skip


def short_run(mesh: Mesh, source: Path, *options: str) -> Answer:
    """Send files through the mesh within one month, while nobody lowers a ceiling before the money ends: the budget alone is to hold."""
    until(
        lambda: has_room(datetime.now(UTC)), within_s=LEFT_S + 1, what="the next month, to which its money belongs"
    )  # fmt: skip
    with suspended(mesh, "controller"):
        answer = mesh.run(source, *options)
    assert answer.status == 0, answer.err + answer.out
    return answer


@contextmanager
def suspended(mesh: Mesh, command: str) -> Iterator[None]:
    """Let a process of the mesh stand still for a while."""
    process = until(lambda: child_of(mesh.pid, f"vigimesh {command}"), within_s=60, what=f"the {command}")
    assert process is not None
    process.suspend()
    try:
        yield
    finally:
        process.resume()
