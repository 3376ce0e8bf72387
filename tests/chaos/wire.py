"""The few fields of Kafka's protocol that the proxy must know: who asks what, and where an answer names the broker."""

from __future__ import annotations

import struct
from dataclasses import dataclass

#: Api keys of requests (kafka.apache.org/protocol).
METADATA, FIND_COORDINATOR, INIT_PRODUCER_ID = 3, 10, 22
HEARTBEAT = 68  # ConsumerGroupHeartbeat, of KIP-848
ADD_PARTITIONS, ADD_OFFSETS, END_TXN, TXN_OFFSET_COMMIT = 24, 25, 26, 28

#: Answers that tell a client where to connect.
ADDRESSING = frozenset({METADATA, FIND_COORDINATOR})
#: Requests that show a transaction to have begun on the broker.
BEGINNING = frozenset({ADD_PARTITIONS, ADD_OFFSETS})

#: Errors with which a broker refuses a producer that a newer one has replaced.
FENCED = frozenset({47, 90})  # INVALID_PRODUCER_EPOCH, PRODUCER_FENCED

#: Version of EndTxn from which on its header and body carry tagged fields.
_FLEXIBLE_END_TXN = 3

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request as its header names it; `client` is the client's own `client.id`."""

    key: int
    version: int
    correlation: int
    client: str


def request_of(frame: bytes) -> Request:
    """Read the header of a request, which begins alike in all versions."""
    key, version, correlation, length = struct.unpack_from(">hhih", frame)
    client = frame[10 : 10 + length].decode() if length > 0 else ""
    return Request(key=key, version=version, correlation=correlation, client=client)


def correlation_of(frame: bytes) -> int:
    """Return which request an answer belongs to."""
    found: int = struct.unpack_from(">i", frame)[0]
    return found


def commits(frame: bytes, version: int) -> bool:
    """Return whether an EndTxn request wants to commit (and not to abort)."""
    return bool(frame[-2 if version >= _FLEXIBLE_END_TXN else -1])


def end_txn_error(frame: bytes, version: int) -> int:
    """Return the error code of an answer to EndTxn; 0 is success."""
    # correlation id, from version 3 on a byte of tagged fields, throttle time, error.
    found: int = struct.unpack_from(">h", frame, 9 if version >= _FLEXIBLE_END_TXN else 8)[0]
    return found


def readdress(frame: bytes, broker_port: int, own_port: int) -> bytes:
    """Replace the broker's port behind its host name: an answer names hosts as text followed by a port of four bytes."""
    host = LOOPBACK.encode()
    return frame.replace(host + struct.pack(">i", broker_port), host + struct.pack(">i", own_port))
