"""Reads the TOML files of a folder that an operator names: cards, knowledge products."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vigimesh.errors import Misconfigured


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What the files hold, in the singular; how many and how large they may be; the code of the error."""

    one: str
    most: int
    most_bytes: int
    code: str

    def files(self, folder: Path) -> dict[str, bytes]:
        """Return the files `*.toml` of `folder` by path, one byte more than allowed of a file that is too large.

        Raises `Misconfigured` (`code`) when there is none, there are too many, or one cannot be read.
        """
        try:
            paths = sorted(path for path in folder.iterdir() if path.suffix == ".toml")
            if not paths:
                raise self._wrong(
                    f"there is no {self.one} in the folder", folder, "put files NAME.toml there"
                )
            if len(paths) > self.most:
                raise self._wrong(f"there are {len(paths)} {self.one}s", folder, f"keep to {self.most}")
            return {str(path): self._bytes(path) for path in paths}
        except OSError as failure:
            what = f"{self.one}s cannot be read: {failure.strerror}"
            place = Path(failure.filename or folder)
            raise self._wrong(what, place, "name a readable folder of *.toml") from failure

    def _bytes(self, path: Path) -> bytes:
        with path.open("rb") as stream:
            return stream.read(self.most_bytes + 1)  # one more than allowed, so that too large is seen

    def _wrong(self, what: str, where: Path, todo: str) -> Misconfigured:
        return Misconfigured(self.code, what=what, where=str(where), todo=todo)
