"""Options that several commands have, so that they mean and say the same everywhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

AsJson = Annotated[
    bool, typer.Option("--json", help="One JSON object on standard output, nothing else there.")
]
Data = Annotated[
    Path | None,
    typer.Option(
        "--data", metavar="DIR", help="Folder of the stack's data. [default: in your XDG data folder]"
    ),
]


def print_json(body: Mapping[str, Any]) -> None:
    """Print the object of `--json`, in one line.

    In ASCII, so that it is JSON whatever encoding the terminal or the pipe has, and whatever a text of others holds.
    """
    typer.echo(json.dumps(body, allow_nan=False))


def one_of(given: str, known: tuple[str, ...], what: str) -> None:
    """Refuse a word that is not known, with the nearest one that is; `what` names the argument or option."""
    import difflib

    if given not in known:
        nearest = difflib.get_close_matches(given, known, n=1, cutoff=0.0)[0]
        raise typer.BadParameter(f"{what} takes {', '.join(known)}; not {given!r}. Did you mean {nearest!r}?")
