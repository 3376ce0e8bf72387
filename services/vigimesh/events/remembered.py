"""The bytes that values were read as, for as long as a stage may hand them on."""

from __future__ import annotations

from typing import Any

#: Carried values whose bytes are remembered: two batches of 500 with six each; then all are forgotten.
MAX_REMEMBERED = 6_000
#: Their bytes together; then all are forgotten. A batch of ordinary cases has 2 MB, one large case up to 4 MB.
MAX_REMEMBERED_BYTES = 32 * 1024 * 1024


class Remembered:
    """The bytes of carried values, by the identity of the value; it holds the value, so that no other takes its place."""

    def __init__(self) -> None:
        """Begin empty."""
        self._bytes: dict[int, tuple[Any, bytes]] = {}
        self._size = 0

    def put(self, value: Any, data: bytes) -> None:
        """Remember the bytes of a value."""
        self._size += len(data)
        if len(self._bytes) >= MAX_REMEMBERED or self._size > MAX_REMEMBERED_BYTES:
            self._bytes.clear()
            self._size = len(data)
        self._bytes[id(value)] = (value, data)

    def get(self, value: Any) -> bytes | None:
        """Return the bytes of this very value, or `None`."""
        found = self._bytes.get(id(value))
        return found[1] if found is not None and found[0] is value else None
