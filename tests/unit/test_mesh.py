"""One mesh per folder: the second is refused with who holds it, and what a dead one left behind is not believed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import vigimesh
from vigimesh.app.config.clients import registry_options
from vigimesh.app.config.settings import read_settings
from vigimesh.app.mesh.state import MeshState, hold_mesh, read_mesh, write_mesh
from vigimesh.errors import Transient

HOLDS = """
import sys
from pathlib import Path
from vigimesh.app.mesh.state import hold_mesh, write_mesh
with hold_mesh(Path(sys.argv[1])):
    write_mesh(Path(sys.argv[1]), {"router": "http://127.0.0.1:1"})
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_held_mesh_is_found_and_a_second_is_refused(tmp_path: Path) -> None:
    assert read_mesh(tmp_path) is None
    with hold_mesh(tmp_path):
        assert read_mesh(tmp_path) is None
        write_mesh(tmp_path, {"router": "http://127.0.0.1:1"}, "mine")
        urls = {"router": "http://127.0.0.1:1"}
        assert read_mesh(tmp_path) == MeshState(pid=os.getpid(), urls=urls, cards="mine")
        with pytest.raises(Transient, match=f"VM-1708 .*process {os.getpid()}"), hold_mesh(tmp_path):
            pass
    assert read_mesh(tmp_path) is None
    with hold_mesh(tmp_path):
        pass


def test_what_a_killed_holder_wrote_is_not_believed(tmp_path: Path) -> None:
    services = str(Path(vigimesh.__file__).parent.parent)
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": services},
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        found = read_mesh(tmp_path)
        assert found is not None
        assert found.pid == holder.pid
        holder.kill()
        holder.wait()
    assert (tmp_path / "mesh" / "mesh.json").exists()
    assert read_mesh(tmp_path) is None
    with hold_mesh(tmp_path):
        assert read_mesh(tmp_path) is None


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"pid": "x", "urls": {}}', "x" * 200_000])
def test_a_damaged_file_is_no_mesh(tmp_path: Path, text: str) -> None:
    with hold_mesh(tmp_path):
        (tmp_path / "mesh" / "mesh.json").write_text(text)
        assert read_mesh(tmp_path) is None


def test_the_registry_gets_its_credentials_only_where_there_are_any() -> None:
    address = {"VIGIMESH_REGISTRY_URL": "https://r.example"}
    assert registry_options(read_settings(address)) == {"url": "https://r.example"}
    known = read_settings({**address, "VIGIMESH_REGISTRY_USER": "me", "VIGIMESH_REGISTRY_PASSWORD": "pw"})
    assert registry_options(known)["basic.auth.user.info"] == "me:pw"
