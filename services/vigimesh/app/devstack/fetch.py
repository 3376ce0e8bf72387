"""Gets the pinned files into the store: reads what is there, downloads what is missing, refuses what differs."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from vigimesh.app.devstack.pins import Pin, VerifiedMarks, check_file, sha256_of
from vigimesh.app.devstack.progress import Progress
from vigimesh.errors import Transient

if TYPE_CHECKING:
    from jgo.maven import MavenContext

#: Downloads at the same time: 45 small files in 11 s with 8 (measured), and no server minds.
DOWNLOAD_THREADS = 8

#: Attempts at one file; a refused or cut connection is tried twice more.
DOWNLOAD_ATTEMPTS = 3

#: Seconds without a byte after which a download counts as cut.
DOWNLOAD_SILENCE_S = 30

#: What one download does: the pin, a scratch folder, what to call with each count of bytes; returns the file.
Download = Callable[[Pin, Path, Callable[[int], None]], Path]


def obtain(
    pins: Sequence[Pin], store: Path, *, progress: Progress, download: Download | None = None
) -> dict[Pin, Path]:
    """Return the path of every pinned file in the store, each checked against its digest before this returns.

    Raises `Broken` (VM-1202) for a file that differs from its pin, `Transient` (VM-1203) when a missing one cannot be
    downloaded.
    """
    store.mkdir(parents=True, exist_ok=True)
    marks = VerifiedMarks(store / "verified.json")
    paths = {pin: store / pin.filename for pin in pins}
    missing = [pin for pin in pins if not paths[pin].exists()]
    unproven = [pin for pin in pins if pin not in missing and not marks.holds(pin, paths[pin])]
    with ThreadPoolExecutor(max_workers=DOWNLOAD_THREADS) as pool:
        list(pool.map(lambda pin: check_file(pin, paths[pin]), unproven))
    if missing:
        _download_all(missing, store, progress, download or from_maven)
    if missing or unproven:
        marks.add((pin, paths[pin]) for pin in [*missing, *unproven])
    return paths


def missing_bytes(pins: Sequence[Pin], store: Path) -> int:
    """Return how many bytes a start would have to download."""
    return sum(pin.size_bytes for pin in pins if not (store / pin.filename).exists())


def _download_all(missing: Sequence[Pin], store: Path, progress: Progress, download: Download) -> None:
    """Download into a scratch folder, check there, and only then move into the store: a cut download leaves no trace."""
    scratch = Path(tempfile.mkdtemp(prefix=".download-", dir=store))
    try:
        total = sum(pin.size_bytes for pin in missing)
        with (
            progress.downloading(len(missing), total) as count,
            ThreadPoolExecutor(max_workers=DOWNLOAD_THREADS) as pool,
        ):
            jobs = [pool.submit(_download_one, pin, scratch, count, download) for pin in missing]
            try:
                for pin, job in zip(missing, jobs, strict=True):
                    # Into the store one by one: what has come need not come again if another file fails.
                    job.result().replace(store / pin.filename)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _download_one(pin: Pin, scratch: Path, count: Callable[[int], None], download: Download) -> Path:
    """Download one file and check it, trying again when the connection fails; the failure names the file."""
    last = "no attempt was made"
    for attempt in range(DOWNLOAD_ATTEMPTS):
        folder = scratch / f"{pin.filename}.{attempt}"
        folder.mkdir()
        try:
            path = download(pin, folder, count)
        except (OSError, RuntimeError) as error:
            last = _last_cause(error)
            continue
        if path.stat().st_size != pin.size_bytes and attempt + 1 < DOWNLOAD_ATTEMPTS:
            last = f"{path.stat().st_size} of {pin.size_bytes} bytes came"
            continue
        check_file(pin, path)
        return path
    raise Transient(
        "VM-1203",
        what=f"{pin.coordinate} could not be downloaded in {DOWNLOAD_ATTEMPTS} attempts: {last}",
        where="the Maven repository; the first start needs the network once",
        todo="check the network, HTTPS_PROXY and (behind an intercepting proxy) REQUESTS_CA_BUNDLE, then start again: what "
        "has been downloaded is kept",
    )


def _last_cause(error: BaseException) -> str:
    """Return a short text of an error; the client's own are long and repeat the address."""
    text = str(error)
    return f"{type(error).__name__}: {text[:200]}"


def from_maven(pin: Pin, folder: Path, count: Callable[[int], None]) -> Path:
    """Get one pinned file: from the user's own Maven folder when the very file is there, else from the repository."""
    local = _user_repository()
    held = local / Path(*pin.group.split(".")) / pin.artifact / pin.version / _maven_name(pin)
    if held.is_file() and held.stat().st_size == pin.size_bytes and sha256_of(held) == pin.sha256:
        target = folder / pin.filename
        shutil.copyfile(held, target)
        count(pin.size_bytes)
        return target
    artifact = (
        _maven_context(folder, count)
        .project(pin.group, pin.artifact)
        .at_version(pin.version)
        .artifact(classifier=pin.classifier, packaging=pin.packaging)
    )
    return Path(artifact.resolve())


def _maven_context(folder: Path, count: Callable[[int], None]) -> MavenContext:
    """Return a client that downloads into `folder` and reports its bytes."""
    from jgo.maven import MavenContext, PythonResolver

    @contextmanager
    def report(filename: str, total: int) -> Iterator[Callable[[int], None]]:
        """Pass the client's counts on; file name and size are known from the pin."""
        del filename, total
        yield count

    callback: Callable[[str, int], AbstractContextManager[Callable[[int], None]]] = report
    return MavenContext(
        resolver=PythonResolver(progress_callback=callback),
        repo_cache=folder,
        local_repos=[],
        timeout=DOWNLOAD_SILENCE_S,
    )


def _maven_name(pin: Pin) -> str:
    """Return the file's name in a Maven repository."""
    tail = f"-{pin.classifier}" if pin.classifier else ""
    return f"{pin.artifact}-{pin.version}{tail}.{pin.packaging}"


def _user_repository() -> Path:
    """Return the folder where Maven keeps the user's downloads."""
    configured = os.environ.get("M2_REPO")
    with contextlib.suppress(RuntimeError):
        return Path(configured) if configured else Path.home() / ".m2" / "repository"
    return Path("/nonexistent")
