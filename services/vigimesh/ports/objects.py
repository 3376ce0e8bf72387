"""Where bytes are kept by their digest."""

from __future__ import annotations

from typing import Protocol


class Objects(Protocol):
    """A content-addressed, create-only store: the name of an object is the SHA-256 of its bytes."""

    def put(self, data: bytes) -> str:
        """Store `data` once and return its digest; storing the same bytes again is no error.

        Raises `Transient` when the store is away or full.
        """
        ...

    def get(self, digest: str) -> bytes:
        """Return the bytes; raises `Refused` VM-1601 when there are none, `Broken` VM-1602 when they do not fit."""
        ...
