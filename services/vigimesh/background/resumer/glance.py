"""Reads of a parked event's bytes only until when it waits, and whose: to index a million bodies need not be decoded.

Avro writes a record as its fields one behind the other, and `EventParked` begins with five that are short: event id, moment,
topic, reason, workflow. That holds for bytes written with our own schema alone; what was written with another is decoded whole.
"""

from __future__ import annotations

from typing import NamedTuple

from vigimesh.domain.budget.waiting import WAITS

#: How the reason of what waits for money begins.
MONEY = WAITS["denied"].encode()


class Glimpse(NamedTuple):
    """What is seen of a parked event: `not_before` in microseconds since 1970, the UTF-8 of topic and workflow, and whether it waits for money."""

    due_us: int
    resume_topic: bytes
    workflow: bytes
    money: bool


def glimpse(value: bytes, head: bytes) -> Glimpse | None:
    """Return what is seen of a parked event's bytes, or `None` when it must be found by decoding.

    `head` is the wire prefix of our own schema of `parked`: `Codec.schema_id` in 4 bytes behind a zero byte.
    """
    if not value.startswith(head):
        return None
    try:
        _, at = _text(value, len(head))
        due, at = _whole_number(value, at)
        topic, topic_end = _text(value, at)
        reason, at = _text(value, topic_end)
        workflow, end = _text(value, at)
    except IndexError:
        return None
    money = value.startswith(MONEY, reason, at)
    return Glimpse(max(0, due), value[topic:topic_end], value[workflow:end], money)


def _text(data: bytes, at: int) -> tuple[int, int]:
    """Return where the text begins and ends whose length stands at `at`; raises `IndexError` when it is not whole."""
    length, start = data[at] >> 1, at + 1
    if data[at] & 129:  # longer than 63 bytes, or negative
        length, start = _whole_number(data, at)
    end = start + length
    if length < 0 or end > len(data):
        raise IndexError
    return start, end


def _whole_number(data: bytes, at: int) -> tuple[int, int]:
    """Return the number that begins at `at` (zigzag, 7 bits a byte, lowest first) and where it ends."""
    byte, shift, number = data[at], 7, data[at] & 127
    while byte & 128:
        at += 1
        byte = data[at]
        number |= (byte & 127) << shift
        shift += 7
    return number >> 1 ^ -(number & 1), at + 1
