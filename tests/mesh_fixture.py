"""One whole mesh for the session, kept by `vigimesh dev`, and the demo's cases sent through it; loaded by conftest."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from meshes import COMMAND, Collector, Mesh, refuse_missing
from vigimesh.adapters.kafka.registry import RegistrySchemas
from vigimesh.app.config.settings import DEMO_CARDS
from vigimesh.app.demo import write_demo
from vigimesh.app.devstack.state import read_state
from vigimesh.events.codec import Codec
from waiting import until

#: Seconds for stack and workers on a machine that does other things too; about 15 on an idle one.
UP_S = 150.0
#: Seconds for everything to end.
DOWN_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoRun:
    """The demo's files sent through the session's mesh: where they lie, and the object that the run ended with."""

    folder: Path
    result: dict[str, Any]
    status: int


@pytest.fixture(scope="session")
def mesh() -> Iterator[Mesh]:
    """Start stack and mesh at their first use, with the demo's signed cards; end them with the session."""
    with kept_mesh({"VIGIMESH_CARDS": DEMO_CARDS}) as found:
        yield found


@contextmanager
def kept_mesh(settings: Mapping[str, str]) -> Iterator[Mesh]:
    """Start stack and mesh with some settings, kept by `vigimesh dev`; end them in the end."""
    folder = Path(tempfile.mkdtemp(prefix="vigimesh-test-"))
    # The database's own user must pass through it.
    folder.chmod(0o711)
    log = folder / "dev.err"
    with Collector() as collector, log.open("wb") as said:
        settings = {"VIGIMESH_OTLP_ENDPOINT": collector.url, **settings}
        process = subprocess.Popen(
            [*COMMAND, "dev", "--data", str(folder)],
            stdout=subprocess.DEVNULL, stderr=said, env={**os.environ, **settings},
        )  # fmt: skip
        try:
            until(
                lambda: "next: " in log.read_text(encoding="utf-8") or process.poll() is not None,
                within_s=UP_S, what="stack and mesh",
            )  # fmt: skip
            if process.poll() is not None:
                refuse_missing(log.read_text(encoding="utf-8"))
                raise AssertionError(log.read_text(encoding="utf-8"))
            stack = read_state(folder)
            assert stack is not None
            codec = Codec(RegistrySchemas({"url": stack.urls.registry}))
            yield Mesh(data=folder, pid=process.pid, spans=collector, codec=codec)
        finally:
            process.terminate()
            try:
                process.wait(DOWN_S)
            finally:
                process.kill()
                process.wait()
                shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def demo_run(mesh: Mesh, tmp_path_factory: pytest.TempPathFactory) -> DemoRun:
    """Send the demo's cases and documents through the session's mesh, once."""
    folder = tmp_path_factory.mktemp("demo")
    write_demo(folder)
    answer = mesh.run(folder)
    return DemoRun(folder=folder, result=answer.json, status=answer.status)
