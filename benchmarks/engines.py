"""The processes that a benchmark starts and ends: our worker, the bare loop, the peers in their own environments."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

import vigimesh
from ground import Ground

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
#: Seconds an engine has to end by itself after SIGTERM; Faust sometimes never does.
STOP_S = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """A program with its interpreter; `name` is what reports call it."""

    name: str
    script: Path
    python: Path = Path(sys.executable)

    @property
    def there(self) -> bool:
        """Whether its environment has been built (`make bench`)."""
        return self.python.exists()

    def argv(self, ground: Ground, more: Sequence[str] = ()) -> list[str]:
        """Return the command line."""
        return [
            str(self.python),
            str(self.script),
            "--kafka",
            ground.kafka,
            "--ids",
            str(ground.ids_file),
            *more,
        ]


OURS = Engine(name="vigimesh", script=HERE / "ours.py")
BARE = Engine(name="bare", script=HERE / "bare.py")
RAW = Engine(name="raw", script=HERE / "peers" / "raw.py")
QUIX = Engine(
    name="quix", script=HERE / "peers" / "quix_stage.py", python=ROOT / ".bench" / "quix" / "bin" / "python"
)
FAUST = Engine(
    name="faust",
    script=HERE / "peers" / "faust_stage.py",
    python=ROOT / ".bench" / "faust" / "bin" / "python",
)


@dataclass(slots=True, kw_only=True)
class Running:
    """A process that was started here, and the file that holds what it said."""

    process: subprocess.Popen[bytes]
    log: Path

    def check(self) -> None:
        """Raise `RuntimeError` with the end of its log when it has died."""
        if self.process.poll() is not None:
            said = self.log.read_text(encoding="utf-8", errors="replace")[-2_000:]
            raise RuntimeError(f"{self.log.stem} ended with {self.process.returncode}: {said}")

    def cpu_s(self) -> float:
        """Return the processor time it has used, in seconds."""
        used = psutil.Process(self.process.pid).cpu_times()
        return float(used.user + used.system)

    def kill(self) -> None:
        """End it at once, as a crash would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def ask_to_stop(self) -> None:
        """Ask it to finish; `wait` sees to the rest."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)

    def wait(self) -> None:
        """Wait for its end, and end it when that takes too long."""
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.kill()


def start(argv: Sequence[str], log: Path, environment: Mapping[str, str] | None = None) -> Running:
    """Start a program, with this project and its benchmarks on its path unless it brings an environment."""
    paths = [str(HERE), str(Path(vigimesh.__file__).parent.parent)]
    with log.open("ab") as said:
        process = subprocess.Popen(
            list(argv),
            stdout=said,
            stderr=said,
            env=environment or {**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )
    return Running(process=process, log=log)


@contextmanager
def running(commands: Mapping[str, Sequence[str]], folder: Path) -> Iterator[dict[str, Running]]:
    """Run programs by name side by side; all are ended at the end."""
    started: dict[str, Running] = {}
    try:
        for name, argv in commands.items():
            started[name] = start(argv, folder / f"{name}.log")
        yield started
    finally:
        for one in started.values():
            one.ask_to_stop()
        for one in started.values():
            one.wait()
