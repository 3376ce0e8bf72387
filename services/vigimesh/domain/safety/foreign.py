"""Tools that others add: what one is, how it is run, and how its answer is read, so that it can break nothing.

A foreign tool is run elsewhere (a process of its own, or a server); what came of it is a plain value. It only adds: its findings stand beside ours, and one whose result is `flag` keeps the case from a machine
(`Triage.flags`). It changes no grade, no criterion and no clock, so that nothing deterministic is ever lowered by it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

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
#: Characters of the name and version of whose tool it is.
OWNER_CHARACTERS = 80


class ForeignTool(Protocol):
    """A pure function of a case and its narrative: the same two always give the same findings.

    No clock, no chance, no file, no network. It must end within milliseconds: its process is killed when it does not end
    within a second. `Finding.step` is set to the name of the entry point.
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


def plain(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """Return findings as plain values, without their step: what an answer holds under `findings`."""
    return [{"result": one.result, "detail": one.detail, "quotes": list(one.quotes)} for one in findings]


def told(name: str, answer: object) -> tuple[Finding, ...]:
    """Return the findings in what came of running the tool `name`, cut to their bounds; never raises.

    `answer` is `{"by": OWNER, "findings": [{"result", "detail", "quotes"}]}` or `{"by": OWNER, "failed": WHY}`; whatever else
    it is, the tool has failed. `by`, the distribution or server with its version, stands at the end of each detail.
    """
    if not isinstance(answer, Mapping):
        return (_failed(name, "it did not answer", ""),)
    by = str(answer.get("by", ""))
    if "failed" in answer:
        return (_failed(name, str(answer["failed"]), by),)
    try:
        said = [_read(row) for row in list(answer["findings"])[:MAX_FINDINGS]]
        found = tuple(_signed(_cut(name, one), by) for one in said)
    except (KeyError, TypeError):
        return (_failed(name, "its answer is no list of findings", by),)
    return found or (_signed(Finding(step=name, result="nothing"), by),)


def _read(row: Any) -> Finding:
    """Return the finding in a row; raises `KeyError` or `TypeError` for what is none."""
    if not isinstance(row, Mapping) or set(row) - {"result", "detail", "quotes"}:
        raise TypeError("no finding")
    quotes = row.get("quotes", ())
    if not isinstance(quotes, list | tuple):
        raise TypeError("its quotes are no list")
    return Finding(step="", result=row["result"], detail=row.get("detail", ""), quotes=tuple(quotes))


def _failed(name: str, why: str, by: str) -> Finding:
    detail = f"the tool failed: {why}"[:DETAIL_CHARACTERS]
    return _signed(Finding(step=name, result=FAILED, detail=_sayable(detail)), by)


def _signed(finding: Finding, by: str) -> Finding:
    """Return a finding with whose tool said it, within the bounds."""
    if not by:
        return finding
    owner = f"({_sayable(by[:OWNER_CHARACTERS])})"
    return replace(finding, detail=f"{finding.detail[: DETAIL_CHARACTERS - len(owner) - 1]} {owner}".lstrip())


def _sayable(text: str) -> str:
    """Return a text that can be written: half a surrogate pair, which JSON can hold, cannot."""
    return text.encode("utf-8", "replace").decode("utf-8")


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
        result=_sayable(finding.result[:RESULT_CHARACTERS]),
        detail=_sayable(finding.detail[:DETAIL_CHARACTERS]),
        quotes=tuple(_sayable(quote[:QUOTE_CHARACTERS]) for quote in quotes),
    )


def _why(failure: BaseException) -> str:
    """Say what failed; the message of a failure may itself fail, or be without end."""
    try:
        said = str(failure)
    except Exception:  # noqa: BLE001 - an exception's own `__str__` is foreign, too
        said = ""
    return f"the tool failed: {type(failure).__name__}: {said}"[:DETAIL_CHARACTERS]
