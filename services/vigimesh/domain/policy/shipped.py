"""The cards that come with the program: unsigned, and the same signed for the demo and for benchmarks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any

from vigimesh.domain.policy.cards import Cards
from vigimesh.domain.policy.reading import STEPS, card_of, gather, parse_toml, read_card

#: Folders of this package, by what stands in them.
PLAIN, DEMO = "cards", "cards_demo"


@cache
def shipped_files(folder: str = PLAIN) -> Mapping[str, bytes]:
    """Return the shipped card files of `PLAIN` or `DEMO`, name to bytes, in the order of their names."""
    place = resources.files(__package__) / folder
    found = sorted(
        (entry.name, entry.read_bytes()) for entry in place.iterdir() if entry.name.endswith(".toml")
    )
    return dict(found)


def shipped_raw() -> dict[str, dict[str, Any]]:
    """Return the raw tables of the shipped unsigned cards by name: what another card may extend."""
    tables = (parse_toml(data, file) for file, data in shipped_files().items())
    return {raw["name"]: raw for raw in tables}


@cache
def shipped_cards(signed_for_demo: bool) -> Cards:
    """Return the shipped cards; with `signed_for_demo` those whose signature is for the demo and benchmarks only.

    Without it no card is signed, so that every case ends with a person.
    """
    if not signed_for_demo:
        return with_overlay({}, "shipped cards, unsigned: nothing is accepted by machine")
    return with_overlay(shipped_files(DEMO), "shipped cards, signed for the demo and benchmarks only")


def with_overlay(files: Mapping[str, bytes], origin: str, steps: Sequence[str] = STEPS) -> Cards:
    """Return the shipped unsigned cards with those of `files` (name to bytes) added, or put in place of namesakes.

    `steps` are the tools that a card may ask for.
    Raises `Misconfigured` VM-1103 or VM-1104, naming the file.
    """
    bases = shipped_raw()
    own = [(read_card(data, file, bases, steps), file) for file, data in files.items()]
    replaced = {card.name for card, _ in own}
    kept = [
        (card_of(raw, f"{name}.toml"), f"{name}.toml") for name, raw in bases.items() if name not in replaced
    ]
    return gather([*kept, *own], origin)
