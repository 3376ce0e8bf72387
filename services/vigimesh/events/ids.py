"""Names of things, made only from what they name, so that a redo makes the same ones."""

from __future__ import annotations

import hashlib

#: Hexadecimal digits of an id: 128 bits, so that a billion events collide with probability 1e-21.
ID_DIGITS = 32
#: Hexadecimal digits that tell records of one name apart: 64 bits.
MARK_DIGITS = 16


def digest(data: bytes) -> str:
    """Return the SHA-256 of `data` in hexadecimal (64 digits): the name of an object in the store."""
    return hashlib.sha256(data).hexdigest()


def event_id(input_id: str, stage: str, pass_number: int, index: int) -> str:
    """Return the id of the `index`-th event that `stage` makes from the event `input_id` in a pass (32 digits)."""
    return _short(f"{input_id}|{stage}|{pass_number}|{index}")


def unread_id(given_id: str, key: bytes, value: bytes) -> str:
    """Return the id of a record that nobody could read: what it calls itself, and the beginning of the digest of its bytes.

    Another record under the same name has another one; the same bytes, sent again or sent back under this id, have the same.
    """
    mark = f"~{digest(key + b'|' + value)[:MARK_DIGITS]}"
    return given_id if given_id.endswith(mark) else given_id + mark


def given_id(event_id: str) -> str:
    """Return what a record that nobody could read calls itself; the id of any other as it is."""
    return event_id[: -MARK_DIGITS - 1] if is_unread(event_id) else event_id


def is_unread(event_id: str) -> bool:
    """Return whether an id is that of a record that nobody could read."""
    return event_id[-MARK_DIGITS - 1 : -MARK_DIGITS] == "~"


def message_id(
    tenant: str, sender: str, receiver: str, report_id: str, created_on: str, body_digest: str
) -> str:
    """Return the id of a message: the same message sent again has the same id (docs/contract.md, Ids)."""
    parts = (tenant, sender, receiver, report_id, created_on, body_digest)
    return _short("\x1f".join(parts))


def case_id(tenant: str, worldwide_id: str, report_id: str) -> str:
    """Return the record key of a case: tenant, slash, worldwide unique id, else the sender's report id."""
    return f"{tenant}/{worldwide_id or report_id}"


def call_id(case: str, version: str, step: str, pass_number: int, prompt_digest: str) -> str:
    """Return the id of a paid call (32 digits): asking the same in the same pass is the same call."""
    return _short("\x1f".join(("call", case, version, step, str(pass_number), prompt_digest)))


def trace_id(message: str) -> str:
    """Return the W3C trace id (32 hexadecimal digits) under which every span of a message stands."""
    return _short(f"trace|{message}")


def span_id(event: str) -> str:
    """Return a W3C span id (16 hexadecimal digits) for the work that made an event."""
    return _short(f"span|{event}")[:16]


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:ID_DIGITS]
