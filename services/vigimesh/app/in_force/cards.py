"""Reads the cards in force: the shipped ones, and those of a folder laid over them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vigimesh.app.config.settings import DEMO_CARDS, SHIPPED_CARDS, Settings
from vigimesh.app.in_force.toml_folder import Kind
from vigimesh.app.tools.foreign import load_tools
from vigimesh.app.tools.servers import Server, added_names, servers_of
from vigimesh.domain.policy.cards import Cards
from vigimesh.domain.policy.reading import MAX_CARDS, MAX_FILE_BYTES, STEPS
from vigimesh.domain.policy.shipped import shipped_cards, with_overlay

_CARD = Kind(one="card", most=MAX_CARDS, most_bytes=MAX_FILE_BYTES, code="VM-1103")


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
    return with_overlay(_CARD.files(folder), f"shipped cards with those of {folder}", known)


def cards_of(settings: Settings) -> Cards:
    """Return the cards in force by the settings; raises `Misconfigured` when one is wrong."""
    named = settings.mesh.cards
    if named in (SHIPPED_CARDS, DEMO_CARDS):
        return load_cards(None, signed_for_demo=named == DEMO_CARDS)
    return load_cards(Path(named), servers=servers_of(settings.tools))
