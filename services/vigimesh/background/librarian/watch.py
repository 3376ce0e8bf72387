"""Takes up what is put into a folder, once it stands still.

A file stands still when two looks in a row find the same bytes, so that one that is still being written is left alone; who
writes with long pauses writes elsewhere and moves the file in. What is removed stays in the library: only a person withdraws.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field, replace
from pathlib import Path

from vigimesh import names
from vigimesh.background.librarian.folder import bytes_of, files_below, naming, read_files
from vigimesh.clock import Clock
from vigimesh.errors import Refused, VigimeshError
from vigimesh.events.ids import digest
from vigimesh.loop.telemetry import Telemetry
from vigimesh.ports import Library, PageReader

_log = logging.getLogger(__name__)

#: Seconds between two looks: what is put in is taken up within twice that.
EVERY_S = 2.0
#: Seconds after which an unchanged file is read again, so that the library knows that its source still says so.
AGAIN_S = 6 * 3600.0
#: Files of one transaction: the texts of 16 of the longest are 64 MB in memory; bytes are let go one by one.
MAX_FILES_AT_ONCE = 16

#: Size, time of change in ns and inode of a file and of the one that names it.
_Mark = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class _Seen:
    mark: _Mark
    digest: str
    #: When it was taken up or refused, in monotonic seconds; `None` while it is not.
    done_s: float | None = None


@dataclass(slots=True, kw_only=True)
class Watch:
    """The duty that takes files up; `by` is named as who brought them."""

    folder: Path
    library: Library
    telemetry: Telemetry
    clock: Clock
    by: str
    scans: PageReader | None = None
    name: str = field(default="watch", init=False)
    every_s: float = field(default=EVERY_S, init=False)
    _seen: dict[Path, _Seen] = field(default_factory=dict, init=False)

    async def step(self) -> int:
        """Look once; return how many documents entered.

        Raises `Refused` VM-2502 when the folder is not there or holds too many files, `Transient` VM-1501 when the library is away:
        then the files are taken up later.
        """
        return await asyncio.to_thread(self._look)

    def _look(self) -> int:
        files = files_below(self.folder)
        self._seen = {path: self._seen[path] for path in files if path in self._seen}
        still = [path for path in files if self._stands_still(path)]
        entered = 0
        for at in range(0, len(still), MAX_FILES_AT_ONCE):
            entered += self._take(still[at : at + MAX_FILES_AT_ONCE])
        return entered

    def _stands_still(self, path: Path) -> bool:
        """Tell whether a file is to be taken up now, and remember how it looks."""
        seen, now_s = self._seen.get(path), self.clock.monotonic_s()
        try:
            mark = _mark(path)
            if seen and seen.mark == mark and seen.done_s is not None and now_s - seen.done_s < AGAIN_S:
                return False
            content = digest(bytes_of(path) + (bytes_of(naming(path)) if naming(path).is_file() else b""))
        except (OSError, Refused):
            self._seen.pop(path, None)  # gone, or not to be read yet
            return False
        if seen and seen.digest == content and seen.done_s is not None and now_s - seen.done_s < AGAIN_S:
            self._seen[path] = replace(seen, mark=mark)
            return False
        self._seen[path] = _Seen(mark, content)
        return seen is not None and seen.digest == content

    def _take(self, paths: list[Path]) -> int:
        readings = read_files(paths, scans=self.scans)
        done = self.library.ingest([source for _, source in readings.read], by=self.by)
        for path in paths:
            self._seen[path] = replace(self._seen[path], done_s=self.clock.monotonic_s())
        for error in (*(error for _, error in readings.refused), *done.conflicts):
            self._refuse(error)
        return len(done.new)

    def _refuse(self, error: VigimeshError) -> None:
        _log.warning("not taken up: %s", error)
        self.telemetry.add(names.DOCUMENTS_REFUSED, 1, {"code": error.code})


def _mark(path: Path) -> _Mark:
    marks: list[int] = []
    for one in (path, naming(path)):
        if one is path or one.is_file():
            state = one.stat()
            marks += [state.st_size, state.st_mtime_ns, state.st_ino]
    return tuple(marks)
