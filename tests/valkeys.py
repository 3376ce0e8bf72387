"""The embedded stack's Valkey alone, in a folder of its own: a test may flush it, end it and give it an old snapshot."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import redis

from vigimesh.app.devstack.parts import valkey_program
from waiting import WAIT_S, until


@dataclass
class OwnValkey:
    """A server that keeps its data in a snapshot file, written when asked and when it is ended well."""

    folder: Path
    process: subprocess.Popen[bytes] | None = field(default=None)

    @property
    def url(self) -> str:
        return f"unix://{self.folder}/valkey.sock"

    @property
    def file(self) -> Path:
        return self.folder / "dump.rdb"

    def start(self) -> None:
        # As the stack starts it, but with a snapshot in place of the append-only file.
        self.process = subprocess.Popen(
            [str(valkey_program()), "--port", "0", "--unixsocket", f"{self.folder}/valkey.sock", "--dir",
             str(self.folder), "--save", "", "--daemonize", "no"],
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        until(self._answers, what="Valkey answers")

    def stop(self, *, keep: bool) -> None:
        """End it, with its data written first when `keep`; otherwise as kill -9 does."""
        assert self.process is not None
        if keep:
            with self._client() as own:
                own.save()
        self.process.kill()
        self.process.wait(20)
        self.process = None

    def flush(self) -> None:
        with self._client() as own:
            own.flushall()

    def snapshot(self) -> bytes:
        with self._client() as own:
            own.save()
        return self.file.read_bytes()

    def restore(self, snapshot: bytes) -> None:
        self.stop(keep=False)
        self.file.write_bytes(snapshot)
        self.start()

    def restart(self) -> None:
        self.stop(keep=True)
        self.start()

    def _client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url, socket_timeout=WAIT_S)

    def _answers(self) -> bool:
        with self._client() as own:
            try:
                return bool(own.ping())
            except redis.ConnectionError:
                return False


@contextmanager
def own_valkey() -> Iterator[OwnValkey]:
    """Start a server and end it, whatever ends the tests that use it."""
    folder = Path(tempfile.mkdtemp(prefix="vigimesh-valkey-"))
    server = OwnValkey(folder)
    try:
        server.start()
        yield server
    finally:
        if server.process is not None:
            server.stop(keep=False)
        shutil.rmtree(folder, ignore_errors=True)
