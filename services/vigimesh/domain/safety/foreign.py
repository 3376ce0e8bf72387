"""Tools that others add: what one is, and how it is run so that it can break nothing.

A foreign tool only adds: its findings stand beside ours, and one whose result is `flag` keeps the case from a machine
(`Triage.flags`). It changes no grade, no criterion and no clock, so that nothing deterministic is ever lowered by it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from vigimesh.events.case import Case
from vigimesh.events.classes import Finding

#: Result of a finding that says that the tool itself failed. Ours never say it.
FAILED = "failed"
#: Result of a finding that raises a flag named as its tool, so that a person looks.
FLAG = "flag"
#: Findings of one tool kept, and characters of a result, a detail and a quote: an event stays small.
MAX_FINDINGS, RESULT_CHARACTERS, DETAIL_CHARACTERS, QUOTE_CHARACTERS = 4, 60, 500, 200
#: Quotes in one finding.
MAX_QUOTES = 12


class ForeignTool(Protocol):
    """A pure function of a case and its narrative: the same two always give the same findings.

    No clock, no chance, no file, no network: a decision is replayed years later. It runs between other cases of its lane,
    so it must end within milliseconds. `Finding.step` is set to the name of the entry point.
    """

    def __call__(self, case: Case, text: str, /) -> Sequence[Finding]:
        """Return what was found; nothing is an empty sequence."""
        ...


def run_foreign(name: str, tool: ForeignTool, case: Case, text: str) -> tuple[Finding, ...]:
    """Return the findings of `tool`, cut to their bounds; a tool that fails gives one finding that says so."""
    try:
        said = [_cut(name, finding) for finding in tuple(tool(case, text))[:MAX_FINDINGS]]
    except (Exception, SystemExit) as failure:  # noqa: BLE001 - whatever it raises is its own, and never ends a worker
        return (Finding(step=name, result=FAILED, detail=_why(failure)),)
    return tuple(said) or (Finding(step=name, result="nothing"),)


def flags_of(findings: Sequence[Finding]) -> tuple[str, ...]:
    """Return the flags that foreign findings raise: the names of their tools, each once."""
    return tuple(dict.fromkeys(finding.step for finding in findings if finding.result == FLAG))


def _cut(name: str, finding: Finding) -> Finding:
    """Return a finding under its tool's name and within its bounds; raises `TypeError` for what is none."""
    if not isinstance(finding, Finding):
        raise TypeError(f"returned {type(finding).__name__}, not Finding")
    quotes = tuple(finding.quotes)[:MAX_QUOTES]
    if not all(isinstance(part, str) for part in (finding.result, finding.detail, *quotes)):
        raise TypeError("a Finding holds something else than text")
    return replace(
        finding,
        step=name,
        result=finding.result[:RESULT_CHARACTERS],
        detail=finding.detail[:DETAIL_CHARACTERS],
        quotes=tuple(quote[:QUOTE_CHARACTERS] for quote in quotes),
    )


def _why(failure: BaseException) -> str:
    """Say what failed; the message of a failure may itself fail, or be without end."""
    try:
        said = str(failure)
    except Exception:  # noqa: BLE001 - an exception's own `__str__` is foreign, too
        said = ""
    return f"the tool failed: {type(failure).__name__}: {said}"[:DETAIL_CHARACTERS]
