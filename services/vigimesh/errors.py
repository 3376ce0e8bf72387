"""Every error that vigimesh raises on purpose: a kind, a code, and what a person should do.

    VigimeshError
    ├── Transient       may pass by itself: try again (a broker away, a time-out)
    ├── Refused         this input is not accepted; others go on (bad record, bad file, unknown schema)
    ├── Misconfigured   a setting, card or installation is wrong; a person must change it
    ├── Fenced          a newer owner took over; this process must stop touching the thing
    └── Broken          a promise no longer holds; stop here rather than guess

Kinds say what to do, not which vendor failed. `errors.toml` holds the text that `vigimesh explain CODE` prints;
a test holds every code raised anywhere to it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache, partial
from importlib.resources import files
from typing import Any


class VigimeshError(Exception):
    """Something went wrong that a person may have to act on.

    `code` is stable (`VM-nnnn`), `what` says what happened, `where` names the file, line, topic, setting or record,
    `todo` says what to do now.
    """

    kind = "error"

    def __init__(self, code: str, *, what: str, where: str = "", todo: str = "") -> None:
        """Keep the three parts apart; `str()` joins them into one line."""
        self.code = code
        self.what = what
        self.where = where
        self.todo = todo
        super().__init__(code, what, where, todo)

    def __reduce__(self) -> tuple[Any, ...]:
        """Let it cross from one process to another as what it is."""
        return partial(type(self), what=self.what, where=self.where, todo=self.todo), (self.code,)

    def __str__(self) -> str:
        """Join the parts: `VM-1203 what (where); do: todo`."""
        place = f" ({self.where})" if self.where else ""
        action = f"; do: {self.todo}" if self.todo else ""
        return f"{self.code} {self.what}{place}{action}"


def said(error: Exception) -> str:
    """Return what may be told of any error in one line: code and cause of ours, of others only the kind.

    The text of a foreign error may hold a statement, an address or a piece of a case.
    """
    return f"{error.code} {error.what}" if isinstance(error, VigimeshError) else type(error).__name__


class Transient(VigimeshError):
    """May pass by itself; the same thing may be tried again."""

    kind = "transient"


class Refused(VigimeshError):
    """This one input is not accepted, for a reason that will not pass; others go on."""

    kind = "refused"


class Misconfigured(VigimeshError):
    """A setting, card, schema or installation is wrong; a person must change it."""

    kind = "misconfigured"


class Fenced(VigimeshError):
    """A newer owner has taken over; this one must stop at once."""

    kind = "fenced"


class Broken(VigimeshError):
    """A promise no longer holds; stopping is safer than going on."""

    kind = "broken"


@cache
def explanations() -> Mapping[str, tuple[str, str]]:
    """Return code -> (short title, explanation with what to do), from `errors.toml`; read at the first call."""
    text = files("vigimesh").joinpath("errors.toml").read_text(encoding="utf-8")
    return {code: (entry["title"], entry["text"]) for code, entry in tomllib.loads(text).items()}
