"""`vigimesh dev`: one command starts stack and mesh, a second finds them, and nothing is left behind, however it ends."""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from meshes import workers
from vigimesh.app.devstack.state import Owned, read_state
from vigimesh.app.mesh.fleet import BESIDE, seats
from vigimesh.events.topics import TOPICS
from waiting import WAIT_S, until

pytestmark = pytest.mark.real

#: Seconds for stack and workers on a machine that does other things too; about 12 on an idle one.
UP_S = 150.0
#: Seconds for everything to end.
DOWN_S = 60.0

COMMAND = [sys.executable, "-m", "vigimesh", "dev", "--data"]
WORKERS = set(seats())


class Dev:
    """A running `vigimesh dev` with the processes that belong to it."""

    def __init__(self, data: Path, **settings: str) -> None:
        self.data = data
        self.log = data / "dev.err"
        with (data / "dev.out").open("wb") as out, self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*COMMAND, str(data)], stdout=out, stderr=log, env={**os.environ, **settings}
            )
        self.family: list[Owned] = []

    def said(self) -> str:
        return self.log.read_text(encoding="utf-8")

    def up(self) -> Dev:
        until(
            lambda: "next: " in self.said() or self.process.poll() is not None,
            within_s=UP_S,
            what="stack and mesh",
        )
        if self.process.poll() is not None:
            if re.search(r"VM-12(?:03|0[5-8]|10)", self.said()):
                pytest.skip(f"the stack cannot be started here: {self.said()}")
            raise AssertionError(self.said())
        stack = read_state(self.data)
        assert stack is not None
        self.family = [Owned.of(pid) for pid in (*stack.pids.values(), *self.workers().values())]
        return self

    def workers(self) -> dict[str, int]:
        """Find the workers as `ps` shows them."""
        return workers(self.process.pid)

    def left(self) -> list[Owned]:
        return [owned for owned in self.family if owned.alive()]

    def end(self) -> None:
        """Let it end by itself, or end it."""
        self.process.terminate()
        try:
            self.process.wait(DOWN_S)
        finally:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def dev() -> Iterator[Dev]:
    folder = Path(tempfile.mkdtemp(prefix="vigimesh-test-"))
    folder.chmod(0o711)
    running = Dev(folder)
    try:
        yield running.up()
    finally:
        running.end()
        shutil.rmtree(folder, ignore_errors=True)


def status_of(url: str) -> int:
    host, _, path = url.removeprefix("http://").partition("/")
    asked = http.client.HTTPConnection(host, timeout=WAIT_S)
    try:
        asked.request("GET", f"/{path}")
        return asked.getresponse().status
    finally:
        asked.close()


def test_dev_from_start_to_end(dev: Dev) -> None:
    out = (dev.data / "dev.out").read_text(encoding="utf-8")
    for name in ("kafka", "registry", "postgres", "redis", "objects", *WORKERS, *BESIDE):
        assert f"\n  {name} " in out
    assert set(dev.workers()) == WORKERS
    for url in re.findall(r"http://\S+/(?:readyz|metrics)", out):
        # Ready is what a worker is by its last turn: a slow commit takes it back until the next.
        until(lambda url=url: status_of(url) == 200, within_s=DOWN_S, what=f"200 at {url}")  # type: ignore[misc]

    second = subprocess.run(
        [*COMMAND, str(dev.data)], capture_output=True, text=True, timeout=UP_S, check=False
    )
    assert second.returncode == 0, second.stderr
    assert second.stdout.splitlines() == out.splitlines()
    assert str(dev.process.pid) in second.stderr
    assert dev.process.poll() is None

    before = dev.workers()
    os.kill(before["planner.cold"], signal.SIGKILL)
    until(
        lambda: dev.workers().get("planner.cold", before["planner.cold"]) != before["planner.cold"],
        within_s=UP_S,
        what="a planner",
    )
    state = dev.data / "mesh" / "mesh.json"
    until(
        lambda: set(json.loads(state.read_text())["urls"]) == {*WORKERS, *BESIDE},
        within_s=UP_S,
        what="its address",
    )
    assert "worker planner.cold ended with status -9" in dev.said()
    assert {k: v for k, v in dev.workers().items() if k != "planner.cold"} == {
        k: v for k, v in before.items() if k != "planner.cold"
    }

    began_s = time.monotonic()
    dev.family += [Owned.of(dev.workers()["planner.cold"])]
    dev.process.send_signal(signal.SIGTERM)
    assert dev.process.wait(DOWN_S) == 0, dev.said()
    assert dev.left() == []
    assert time.monotonic() - began_s < DOWN_S
    assert "Traceback" not in dev.said()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux ends a child with its parent")
def test_nothing_outlives_a_killed_dev(dev: Dev) -> None:
    dev.process.kill()
    dev.process.wait()
    until(lambda: not dev.left(), within_s=DOWN_S, what="the end of stack and workers")
    # What it left behind is taken up again, and what is no longer as the settings say is named and left as it is.
    again = Dev(dev.data, VIGIMESH_PARTITIONS="5")
    try:
        named = [line for line in again.up().said().splitlines() if line.startswith("VM-1007 ")]
        assert len(named) == sum(topic.partitions == "case" for topic in TOPICS), again.said()
        assert set(again.workers()) == WORKERS
    finally:
        again.end()
