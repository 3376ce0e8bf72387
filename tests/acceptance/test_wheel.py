"""What is tested in the checkout is in the wheel too: schemas, cards, SQL, Lua, templates, and the command itself.

The wheel is unpacked into a folder of its own and run by an isolated Python that finds it there and the packages it
stands on in .venv, but not the checkout.
"""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
#: Seconds for one run of the installed command: it starts in well under one.
RUN_TIMEOUT_S = 60

#: Run in an isolated Python: paths come from the arguments, not from `.pth` files, so the checkout is not on them.
START = (
    "import sys; sys.path[:0] = sys.argv[1:3]; sys.argv = ['vigimesh', *sys.argv[3:]]; "
    "from vigimesh.app.cli import main; main()"
)
WHERE = "import sys; sys.path[:0] = sys.argv[1:3]; import vigimesh; print(vigimesh.__file__)"


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel once."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unpack the wheel where an installation would put it."""
    site = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    return site


def run_isolated(code: str, installed: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `code` against the unpacked wheel, from its folder, without site-packages' own start-up files."""
    packages = sysconfig.get_path("purelib")
    command = [sys.executable, "-I", "-S", "-c", code, str(installed), packages, *arguments]
    return subprocess.run(
        command, cwd=installed, capture_output=True, text=True, check=False, timeout=RUN_TIMEOUT_S
    )


def tracked(*places: str) -> list[str]:
    """List the files below `places` that git tracks or would."""
    command = [
        "git",
        "-c",
        "safe.directory=*",
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
        "--",
        *places,
    ]
    listing = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return sorted(name for name in set(listing.split("\0")) if name and (ROOT / name).is_file())


def test_every_file_ships(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        shipped = set(archive.namelist())
    wanted = {name.removeprefix("services/") for name in tracked("services/vigimesh")}
    wanted |= {f"vigimesh/{name}" for name in tracked("schemas")}
    assert "vigimesh/__init__.py" in wanted
    assert sorted(wanted - shipped) == []


def test_nothing_else_ships(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.split("/")[0] for name in archive.namelist()}
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert tops == {"vigimesh", f"vigimesh-{version}.dist-info"}


def test_the_installed_package_is_what_runs(installed: Path) -> None:
    done = run_isolated(WHERE, installed)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()) == installed / "vigimesh" / "__init__.py"


@pytest.mark.skipif(not (ROOT / "services/vigimesh/app/cli.py").exists(), reason="there is no command yet")
@pytest.mark.parametrize("arguments", [["--version"], ["--help"], ["cards", "check"], ["schemas", "--help"]])
def test_the_installed_command_runs(installed: Path, arguments: list[str]) -> None:
    done = run_isolated(START, installed, *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
