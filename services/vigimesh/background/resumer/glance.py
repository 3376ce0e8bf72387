"""Reads from a parked event's bytes only until when it waits: to index a million bodies need not be decoded.

Avro writes a record as its fields one behind the other, and `not_before` is the second of `EventParked`. That holds for bytes
written with our own schema alone; what was written with another is decoded whole.
"""

from __future__ import annotations


def due_us(value: bytes, head: bytes) -> int | None:
    """Return `not_before` in microseconds since 1970, or `None` when it must be found by decoding.

    `head` is the wire prefix of our own schema of `parked`: `Codec.schema_id` in 4 bytes behind a zero byte.
    """
    if not value.startswith(head):
        return None
    try:
        length, at = _whole_number(value, len(head))
        due, at = _whole_number(value, at + length)
    except IndexError:
        return None
    return max(0, due) if length >= 0 and at <= len(value) else None


def _whole_number(data: bytes, at: int) -> tuple[int, int]:
    """Return the number that begins at `at` (zigzag, 7 bits a byte, lowest first) and where it ends."""
    byte, shift, number = data[at], 7, data[at] & 127
    while byte & 128:
        at += 1
        byte = data[at]
        number |= (byte & 127) << shift
        shift += 7
    return number >> 1 ^ -(number & 1), at + 1
