"""What the keeper must know of one service: how to prepare, start, ask and stop it."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

#: Seconds from the keeper's start until every service must have answered: 20 x what an idle machine needs. On two cores that
#: do much else a start takes a minute; what will never answer ends by itself, and that is noticed at once.
START_DEADLINE_S = 120.0

#: The whole environment of a service: settings in the user's environment (JAVA_TOOL_OPTIONS, PGDATA, QUARKUS_*) must not
#: reach into the stack.
SERVICE_ENVIRONMENT: Mapping[str, str] = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "LANG": "C.UTF-8",
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A program with its arguments, the folder it starts in and the system user it runs as (`None`: this one)."""

    argv: tuple[str, ...]
    folder: Path
    user: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One server of the stack.

    `prepare` runs once for a new data folder; its success is remembered by the file `prepared`. `answers` asks the server
    a real question, takes at most about two seconds and returns whether it was answered.
    """

    name: str
    command: Command
    answers: Callable[[], bool]
    log: Path
    prepare: Command | None = None
    prepared: Path | None = None
    #: Called before each preparation: makes the folders anew, so that a preparation that was killed leaves nothing behind.
    clear: Callable[[], None] = field(default=lambda: None)
    #: Called before each start: removes what a killed server left behind.
    tidy: Callable[[], None] = field(default=lambda: None)
    #: Run before a start when `damaged`, and stopped once it has done what `repaired` sees.
    repair: Command | None = None
    damaged: Callable[[], bool] = field(default=lambda: False)
    repaired: Callable[[], bool] = field(default=lambda: True)
    stop_signal: signal.Signals = signal.SIGTERM
    #: What the kernel sends when the keeper is gone; it cannot be refused unless the server must clean up its children.
    orphan_signal: signal.Signals = signal.SIGKILL
