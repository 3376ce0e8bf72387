"""Free loopback ports and short folders for Unix sockets."""

from __future__ import annotations

import hashlib
import os
import random
import socket
import tempfile
from pathlib import Path

from vigimesh.errors import Misconfigured

LOOPBACK = "127.0.0.1"

#: Ports are drawn below 32768, where Linux begins to give ports to outgoing connections: nobody takes one by chance
#: between our look and the server's bind.
PORT_FIRST, PORT_LAST = 18_000, 31_999

#: Draws before giving up; with 14,000 ports, this many taken ones in a row means that loopback itself is unusable.
PORT_DRAWS = 200

#: The kernel takes Unix socket paths of at most 107 bytes (103 on macOS).
SOCKET_PATH_MAX_BYTES = 103

#: What the servers append to the folder: `/pg/.s.PGSQL.5432.lock` is the longest.
_LONGEST_SOCKET_NAME = "/pg/.s.PGSQL.5432.lock"


def is_free(port: int) -> bool:
    """Return whether a server could listen on this loopback port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def fixed_port(port: int, purpose: str) -> int:
    """Return the port the user asked for.

    Raises `Misconfigured` (VM-1204) when it is no port or another program listens there.
    """
    if not 1 <= port <= 65_535:
        raise Misconfigured(
            "VM-1204", what=f"{port} is not a port", where=f"port for {purpose}", todo="give 1 to 65535"
        )
    if not is_free(port):
        raise Misconfigured(
            "VM-1204",
            what=f"port {port} is taken by another program, or not permitted to you",
            where=f"port for {purpose} on {LOOPBACK}",
            todo=f"stop the program that listens there (`ss -ltnp 'sport = :{port}'` names it), give another port, or give none "
            "to have a free one chosen",
        )
    return port


def free_ports(count: int, *, preferred: tuple[int, ...] = ()) -> tuple[int, ...]:
    """Return different free loopback ports, the preferred ones (those of the last start) where still free."""
    chosen = [port for port in dict.fromkeys(preferred) if is_free(port)] if len(preferred) == count else []
    if len(chosen) == count:
        return tuple(chosen)
    chosen = []
    draw = random.SystemRandom()
    for _ in range(PORT_DRAWS):
        port = draw.randint(PORT_FIRST, PORT_LAST)
        if port not in chosen and is_free(port):
            chosen.append(port)
        if len(chosen) == count:
            return tuple(chosen)
    raise Misconfigured(
        "VM-1204",
        what=f"no {count} free ports between {PORT_FIRST} and {PORT_LAST}",
        where=LOOPBACK,
        todo="check that the loopback interface is up (`ip address show lo`)",
    )


def socket_folder(data_dir: Path) -> Path:
    """Return the folder for Unix sockets: inside the data folder, or a short one of its own when that path is too long.

    Raises `Misconfigured` (VM-1205) when no short enough folder is ours.
    """
    inside = data_dir / "run"
    if _fits(inside):
        inside.mkdir(parents=True, exist_ok=True, mode=0o711)
        return inside
    digest = hashlib.sha256(str(data_dir).encode()).hexdigest()[:12]
    short = Path(tempfile.gettempdir()) / f"vigimesh-{os.getuid()}-{digest}"
    if not _fits(short):
        raise Misconfigured(
            "VM-1205",
            what=f"no folder with a path short enough for Unix sockets ({SOCKET_PATH_MAX_BYTES} bytes)",
            where=str(short),
            todo="set TMPDIR to a short path, or give --data a shorter one",
        )
    short.mkdir(exist_ok=True, mode=0o711)
    if short.is_symlink() or short.stat().st_uid != os.getuid():
        raise Misconfigured(
            "VM-1205",
            what="the folder for sockets belongs to somebody else",
            where=str(short),
            todo="give --data a shorter path",
        )
    return short


def _fits(folder: Path) -> bool:
    """Return whether the longest socket name in this folder is within the kernel's limit."""
    return len(os.fsencode(str(folder)) + _LONGEST_SOCKET_NAME.encode()) <= SOCKET_PATH_MAX_BYTES
