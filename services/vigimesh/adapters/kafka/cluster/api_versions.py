"""One question to a broker that the Kafka client has no call for: which features its cluster has switched on.

The request (`ApiVersions` version 3) needs no log-in, so that only the connection is made here: plain, or TLS by the same
librdkafka settings. What can't be asked so is not known, which is an answer too.
"""

from __future__ import annotations

import socket
import ssl
import struct
from collections.abc import Mapping
from typing import Any

#: Seconds for the connection and for the answer.
ASK_S = 5.0
#: Brokers that are asked in turn: any one knows the answer.
TRIED = 3
#: Bytes of an answer: a broker's is some 700.
MOST_BYTES = 1_000_000

_API, _VERSION, _CORRELATION = 18, 3, 1
#: Tag of the list of finalized features in the answer.
_FEATURES = 2


def features(base: Mapping[str, Any]) -> Mapping[str, int] | None:
    """Return the level of each feature that is switched on, `None` when no broker can be asked this way."""
    for address in str(base.get("bootstrap.servers", "")).split(",")[:TRIED]:
        host, _, port = address.strip().rpartition(":")
        try:
            with _connected(host.strip("[]"), int(port), base) as connection:
                connection.sendall(_request())
                return features_in(_answer(connection))
        except (OSError, ValueError, IndexError, struct.error):
            continue
    return None


def features_in(body: bytes) -> dict[str, int]:
    """Return the finalized features of an `ApiVersions` answer, its length and correlation id left out.

    Raises `ValueError` for an error code, `IndexError` or `struct.error` for an answer that is cut off.
    """
    (code,) = struct.unpack_from(">h", body)
    if code != 0:
        raise ValueError(f"the broker answered with error {code}")
    count, at = _varint(body, 2)
    for _ in range(count - 1):
        # Key, lowest and highest version, and its own optional fields.
        at = _past_tags(body, at + 6)
    tagged, at = _varint(body, at + 4)
    found: dict[str, int] = {}
    for _ in range(tagged):
        tag, at = _varint(body, at)
        size, at = _varint(body, at)
        if tag == _FEATURES:
            found = _levels(body, at)
        at += size
    return found


def _levels(body: bytes, at: int) -> dict[str, int]:
    found = {}
    count, at = _varint(body, at)
    for _ in range(count - 1):
        size, at = _varint(body, at)
        name = body[at : at + size - 1].decode("utf-8", "replace")
        (highest,) = struct.unpack_from(">h", body, at + size - 1)
        found[name] = int(highest)
        at = _past_tags(body, at + size - 1 + 4)
    return found


def _past_tags(body: bytes, at: int) -> int:
    count, at = _varint(body, at)
    for _ in range(count):
        _, at = _varint(body, at)
        size, at = _varint(body, at)
        at += size
    return at


def _varint(body: bytes, at: int) -> tuple[int, int]:
    """Return an unsigned number, seven bits a byte, the lowest first, and where it ends."""
    found = 0
    for shift in range(0, 35, 7):
        byte = body[at]
        at += 1
        found |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return found, at
    raise ValueError("a number of more than five bytes")


def _request() -> bytes:
    client = b"vigimesh"
    head = struct.pack(">hhih", _API, _VERSION, _CORRELATION, len(client)) + client + b"\x00"
    # Name and version of the software, each with its length and one; no optional fields.
    body = bytes([len(client) + 1]) + client + b"\x02" + b"1" + b"\x00"
    return struct.pack(">i", len(head) + len(body)) + head + body


def _answer(connection: socket.socket) -> bytes:
    (size,) = struct.unpack(">i", _exactly(connection, 4))
    if not 4 <= size <= MOST_BYTES:
        raise ValueError(f"an answer of {size} bytes")
    return _exactly(connection, size)[4:]


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        piece = connection.recv(size - len(data))
        if not piece:
            raise ValueError("the broker closed the connection")
        data += piece
    return bytes(data)


def _connected(host: str, port: int, base: Mapping[str, Any]) -> socket.socket:
    plain = socket.create_connection((host, port), timeout=ASK_S)
    if "SSL" not in str(base.get("security.protocol", "PLAINTEXT")).upper().split("_"):
        return plain
    context = ssl.create_default_context(cafile=base.get("ssl.ca.location"))
    if base.get("ssl.certificate.location"):
        context.load_cert_chain(
            base["ssl.certificate.location"], base.get("ssl.key.location"), base.get("ssl.key.password")
        )
    if str(base.get("ssl.endpoint.identification.algorithm", "https")) == "none":
        context.check_hostname = False
    return context.wrap_socket(plain, server_hostname=host)
