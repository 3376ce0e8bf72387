"""Exit statuses of `vigimesh`: the one table that the command line, its guide and its tests read."""

from __future__ import annotations

import faulthandler
import sys
from dataclasses import dataclass

from vigimesh.errors import VigimeshError


@dataclass(frozen=True, slots=True, kw_only=True)
class ExitStatus:
    """One status with what it means to a script."""

    status: int
    meaning: str


OK = 0
NOT_HELD = 1
MISCONFIGURED = 2
REFUSED = 3
TRANSIENT = 4
BROKEN = 5
INTERRUPTED = 130

EXITS: tuple[ExitStatus, ...] = (
    ExitStatus(status=OK, meaning="done"),
    ExitStatus(
        status=NOT_HELD,
        meaning="the command did its work and the result is bad: a run whose sums do not hold, a check that found a "
        "difference, a worker that could not go on",
    ),
    ExitStatus(
        status=MISCONFIGURED,
        meaning="wrong arguments, setting, card, schema or installation: a person must change something",
    ),
    ExitStatus(status=REFUSED, meaning="the input is not accepted, or what was asked for is not there"),
    ExitStatus(
        status=TRANSIENT,
        meaning="the broker, registry or network is away or too slow: the same command may work later",
    ),
    ExitStatus(
        status=BROKEN,
        meaning="a promise no longer holds, a newer process took over, or a defect of vigimesh (then with its traceback)",
    ),
    ExitStatus(status=INTERRUPTED, meaning="interrupted with Ctrl-C before the end"),
)

#: Kind of error -> exit status.
_OF_KIND = {
    "transient": TRANSIENT,
    "refused": REFUSED,
    "misconfigured": MISCONFIGURED,
    "fenced": BROKEN,
    "broken": BROKEN,
}


def trace_crashes() -> None:
    """Let a crash in a library's code say on standard error where every thread was: it leaves nothing else behind."""
    if not faulthandler.is_enabled():  # a test run has its own already
        faulthandler.enable(2)


def exit_status_of(error: VigimeshError) -> int:
    """Return the exit status that an error ends the command with."""
    return _OF_KIND.get(error.kind, BROKEN)


def tell(error: VigimeshError, *, as_json: bool) -> None:
    """Say what went wrong in one line; to a program that reads standard output as JSON also there."""
    print("vigimesh: " + " ".join(str(error).split()), file=sys.stderr, flush=True)
    if as_json:
        from vigimesh.app.options import print_json

        body = {
            "code": error.code,
            "kind": error.kind,
            "what": error.what,
            "where": error.where,
            "todo": error.todo,
        }
        print_json({"error": body})


def exits_table() -> str:
    """Return the table of exit statuses in Markdown."""
    lines = ["| status | meaning |", "|---|---|", *(f"| {one.status} | {one.meaning} |" for one in EXITS)]
    return "\n".join(lines) + "\n"
