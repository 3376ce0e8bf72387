"""A drafted reply, as events carry it to the person who alone may correct, sign and send it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated as A

# A field per line, its meaning beside it.
# fmt: off


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """One statement of a draft."""

    text: A[str, "what it says, personal data put back"]
    cites: A[tuple[str, ...], "what it rests on: document@version#start-end of a passage, mail, or tools; empty for a courtesy"] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A reply that nobody has signed: no machine sends or accepts it."""

    statements: A[tuple[Statement, ...], "in the order of the letter, at most 8"] = ()
    by: A[str, "template, or the model that answered"] = "template"
    prompt: A[str, "name, version and digest of the prompt; empty for the template"] = ""
