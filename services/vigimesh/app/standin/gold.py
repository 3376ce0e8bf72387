"""Right answers that the stand-in is told beforehand, so that no prompt has to hold them.

A file of JSON lines, each an object: `key` says which question, `gold` has the right values of the answer's properties, `wrong`
the values of an answer that is wrong (what is wrong and yet makes sense only its writer knows). A key is the digest of a prompt
(`domain.cascade.question.prompt_digest`) or of a text that the last user message is, or holds in its JSON object: the
narrative of a case, for example, whatever else is asked about it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from vigimesh.errors import Misconfigured
from vigimesh.events.ids import digest

#: Lines of one file: more than there are reports of adverse events in a year.
MAX_LINES = 4_000_000


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line of the file."""

    key: str
    gold: dict[str, Any]
    wrong: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Gold:
    """Rows by their keys."""

    rows: Mapping[str, Row] = field(default_factory=dict)

    def find(self, prompt: str, messages: Sequence[tuple[str, str]]) -> Row | None:
        """Return the row for a prompt, by its digest or by what is in its `messages`, which are (role, text)."""
        if not self.rows:
            return None
        return next((self.rows[key] for key in keys_of(prompt, messages) if key in self.rows), None)


def key_of(text: str) -> str:
    """Return the key of a text that stands in a prompt."""
    return digest(text.encode())


def keys_of(prompt: str, messages: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Yield the keys by which a prompt may be known: its digest, its last user message, the texts in that message's object."""
    yield prompt
    said = next((text for role, text in reversed(messages) if role == "user"), "")
    yield key_of(said)
    try:
        value = json.loads(said)
    except (ValueError, RecursionError):
        return
    yield from map(key_of, _texts(value))


def _texts(value: Any) -> Iterator[str]:
    """Yield the texts in an object of JSON, wherever they stand; as deep as `json` reads."""
    if isinstance(value, str) and value:
        yield value
    elif isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _texts(one)


def read_gold(lines: Iterable[bytes], file: str) -> Gold:
    """Return the rows of a file, empty lines left out.

    Raises `Misconfigured` VM-2404 for a line that is none, a key that comes twice with other answers, or too many lines.
    """
    rows: dict[str, Row] = {}
    decoder = msgspec.json.Decoder(Row)
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise _wrong(file, number, "is no object with key, gold and wrong") from error
        if rows.setdefault(row.key, row) != row:
            raise _wrong(file, number, "has the key of another line, and other answers")
        if len(rows) > MAX_LINES:
            raise _wrong(file, number, f"is one more than {MAX_LINES} keys")
    return Gold(rows)


def _wrong(file: str, number: int, what: str) -> Misconfigured:
    return Misconfigured(
        "VM-2404",
        what=f"line {number} {what}",
        where=file,
        todo="give one JSON object a line: key, gold, wrong",
    )
