"""How a start reports what it is doing: silently, or on the terminal's error stream."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Progress(Protocol):
    """Receives what a person waiting for the stack would like to know."""

    def say(self, text: str) -> None:
        """Tell one short fact."""
        ...

    def downloading(self, files: int, total_bytes: int) -> AbstractContextManager[Callable[[int], None]]:
        """Open a display of a download; call what it gives with each count of bytes."""
        ...


class Silent:
    """Says nothing: for tests and for programs that read standard output and error."""

    def say(self, text: str) -> None:
        """Drop the text."""

    @contextmanager
    def downloading(self, files: int, total_bytes: int) -> Iterator[Callable[[int], None]]:
        """Drop the counts."""
        del files, total_bytes
        yield lambda count: None


class Terminal:
    """Lines and bars on standard error; the bars only where it is a terminal."""

    def say(self, text: str) -> None:
        """Write one line."""
        print(text, file=sys.stderr, flush=True)

    @contextmanager
    def downloading(self, files: int, total_bytes: int) -> Iterator[Callable[[int], None]]:
        """Show a bar of bytes on a terminal, one line elsewhere."""
        title = f"downloading {files} pinned files ({total_bytes / 1e6:.0f} MB, once)"
        if not sys.stderr.isatty():
            self.say(title)
            yield lambda count: None
            return
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )
        from rich.progress import Progress as Bars

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
        )
        with Bars(*columns, console=Console(stderr=True)) as bars:
            task = bars.add_task(title, total=total_bytes)
            yield lambda count: bars.advance(task, count)
