"""The object store in memory: the twin of `objects/store`."""

from __future__ import annotations

from dataclasses import dataclass, field

from vigimesh.adapters.objects.store import check_bytes, check_name, check_size, missing
from vigimesh.errors import Transient
from vigimesh.events.ids import digest as digest_of

#: Bytes that the store holds before it is "full": 256 MiB, enough for any test.
CAPACITY_BYTES = 268_435_456
_WHERE = "memory"


@dataclass(slots=True)
class MemoryObjects:
    """`ports.Objects` over a dictionary; `held` is open to tests that want to damage it."""

    capacity_bytes: int = CAPACITY_BYTES
    held: dict[str, bytes] = field(default_factory=dict)

    def put(self, data: bytes) -> str:
        """Store `data` once and return its digest; raises `Transient` VM-1603 when full, `Refused` VM-1605 when too large."""
        check_size(data, _WHERE)
        name = digest_of(data)
        if name not in self.held:
            if sum(map(len, self.held.values())) + len(data) > self.capacity_bytes:
                raise Transient(
                    "VM-1603", what="the object store is away or full: no room", where=_WHERE,
                    todo="make more room",
                )  # fmt: skip
            self.held[name] = bytes(data)
        return name

    def get(self, digest: str) -> bytes:
        """Return the bytes; raises `Refused` VM-1601 when there are none, `Broken` VM-1602 when they do not fit."""
        check_name(digest, _WHERE)
        if digest not in self.held:
            raise missing(digest, _WHERE)
        check_bytes(digest, self.held[digest], _WHERE)
        return self.held[digest]
