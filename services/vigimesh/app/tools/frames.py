"""What a process that runs added tools has in common: its frames, and that nothing a tool prints is taken for one.

The other end, and what the frames hold, is `adapters/tools/process`.
"""

from __future__ import annotations

import os
import sys
from typing import Any, BinaryIO

import msgspec

from vigimesh.adapters.tools.process import LENGTH_BYTES


def streams() -> tuple[BinaryIO, BinaryIO]:
    """Return where frames come from and go to, and hand the process's own standard streams over to whoever uses them.

    What is printed goes to standard error from now on, and reading from standard input gives nothing.
    """
    # Nothing is read ahead: whoever reads on may read from the descriptor.
    source, target = os.fdopen(os.dup(0), "rb", buffering=0), os.fdopen(os.dup(1), "wb")
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return source, target


def receive(source: BinaryIO) -> Any:
    """Return the next frame, or `None` at the end."""
    length = _exactly(source, LENGTH_BYTES)
    data = _exactly(source, int.from_bytes(length, "big")) if length else b""
    return msgspec.msgpack.decode(data) if data else None


def _exactly(source: BinaryIO, size: int) -> bytes:
    """Return so many bytes, or none at all at the end."""
    parts, left = list[bytes](), size
    while left:
        part = source.read(left)
        if not part:
            return b""
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def send(target: BinaryIO, value: Any) -> None:
    """Write one frame."""
    data = msgspec.msgpack.encode(value)
    target.write(len(data).to_bytes(LENGTH_BYTES, "big") + data)
    target.flush()
