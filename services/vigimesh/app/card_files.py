"""Reads the cards in force: the shipped ones, and those of a folder laid over them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vigimesh.app.foreign_tools import load_tools
from vigimesh.app.settings import DEMO_CARDS, SHIPPED_CARDS, Settings
from vigimesh.app.tool_servers import Server, added_names, servers_of
from vigimesh.domain.policy.cards import Cards
from vigimesh.domain.policy.reading import MAX_CARDS, MAX_FILE_BYTES, STEPS
from vigimesh.domain.policy.shipped import shipped_cards, with_overlay
from vigimesh.errors import Misconfigured


def load_cards(
    folder: Path | None, *, signed_for_demo: bool = False, servers: Sequence[Server] = ()
) -> Cards:
    """Return the shipped cards, with those of `folder` added or put in place of namesakes.

    A folder's cards lie over the unsigned ones, so that only what is signed there is accepted by machine;
    `signed_for_demo` chooses the demo's signed cards and means something without a folder only.
    Its cards may name tools that other distributions add, and those of `servers`. Raises `Misconfigured` VM-1103 or VM-1104, naming the file, and
    VM-1107 for a tool.
    """
    if folder is None:
        return shipped_cards(signed_for_demo)
    known = (*STEPS, *added_names(load_tools(), servers))
    return with_overlay(_files(folder), f"shipped cards with those of {folder}", known)


def cards_of(settings: Settings) -> Cards:
    """Return the cards in force by the settings; raises `Misconfigured` when one is wrong."""
    named = settings.mesh.cards
    if named in (SHIPPED_CARDS, DEMO_CARDS):
        return load_cards(None, signed_for_demo=named == DEMO_CARDS)
    return load_cards(Path(named), servers=servers_of(settings.tools))


def _files(folder: Path) -> dict[str, bytes]:
    try:
        paths = sorted(path for path in folder.iterdir() if path.suffix == ".toml")
        if not paths:
            raise _wrong("there is no card in the folder", folder, "put files NAME.toml there")
        if len(paths) > MAX_CARDS:
            raise _wrong(f"there are {len(paths)} cards", folder, f"keep to {MAX_CARDS}")
        return {str(path): _bytes(path) for path in paths}
    except OSError as failure:
        what = f"cards cannot be read: {failure.strerror}"
        raise _wrong(what, Path(failure.filename or folder), "name a readable folder of *.toml") from failure


def _bytes(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(MAX_FILE_BYTES + 1)  # one more than allowed, so that too large is seen


def _wrong(what: str, where: Path, todo: str) -> Misconfigured:
    return Misconfigured("VM-1103", what=what, where=str(where), todo=todo)
