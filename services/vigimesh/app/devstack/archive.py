"""Unpacks the pinned registry archive once, and notices when a file of the result was changed since."""

from __future__ import annotations

import json
import shutil
import tarfile
import tempfile
from pathlib import Path

from vigimesh.errors import Broken

#: The registry's archive has 470 members; a hundred times more is not the pinned one.
MEMBERS_MAX = 50_000

_MANIFEST = "unpacked.json"


def unpacked(archive: Path, sha256: str, store: Path) -> Path:
    """Return the folder with the archive's content; unpack it if it is absent or no longer as it was unpacked.

    `archive` must have been checked against `sha256` before. Raises `Broken` (VM-1202) for an archive that cannot be read.
    """
    target = store / f"unpacked-{sha256[:16]}"
    if _is_untouched(target):
        return target
    scratch = Path(tempfile.mkdtemp(prefix=".unpack-", dir=store))
    try:
        with tarfile.open(archive) as source:
            source.extractall(scratch, filter="data")
        (scratch / _MANIFEST).write_text(json.dumps(_manifest(scratch)), encoding="utf-8")
        shutil.rmtree(target, ignore_errors=True)
        scratch.chmod(0o755)
        scratch.replace(target)
    except (tarfile.TarError, EOFError) as error:
        raise Broken(
            "VM-1202",
            what=f"the archive cannot be unpacked: {error}",
            where=str(archive),
            todo="delete that file and start again",
        ) from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return target


def _is_untouched(target: Path) -> bool:
    """Return whether every file has the size and modification time it had when unpacked, and none was added."""
    try:
        kept = json.loads((target / _MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return bool(kept == _manifest(target))


def _manifest(folder: Path) -> dict[str, list[int]]:
    """Return size and modification time of every file below the folder, the manifest itself left out."""
    found: dict[str, list[int]] = {}
    for path in sorted(folder.rglob("*"))[:MEMBERS_MAX]:
        if path.is_file() and path.name != _MANIFEST:
            stat = path.stat()
            found[str(path.relative_to(folder))] = [stat.st_size, stat.st_mtime_ns]
    return found
