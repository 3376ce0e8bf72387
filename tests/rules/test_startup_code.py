"""Nothing runs at the start of Python that nobody put there.

A `.pth` file of site-packages runs its `import` lines in every Python that starts: that is how a stolen package
release worked unseen. Only an installed setuptools may have one, with the content that its RECORD vouches for.
"""

from __future__ import annotations

import base64
import hashlib
import sysconfig
from importlib.metadata import distributions
from pathlib import Path

import pytest

ALLOWED_OWNERS = {"setuptools"}
CUSTOMISERS = ("sitecustomize.py", "usercustomize.py")


def vouched_for(file: Path, site: Path) -> bool:
    """Tell whether an allowed package's RECORD lists `file` with the content that it has."""
    digest = hashlib.sha256(file.read_bytes()).digest()
    wanted = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    for package in distributions(path=[str(site)]):
        if package.name in ALLOWED_OWNERS:
            listed = [f for f in package.files or () if str(f) == file.name]
            if any(f.hash is not None and f.hash.value == wanted for f in listed):
                return True
    return False


def startup_code(site: Path) -> list[str]:
    """Find what would run at each start of a Python that uses `site`."""
    found = [f"{name}: runs at every start of Python" for name in CUSTOMISERS if (site / name).exists()]
    for file in sorted(site.glob("*.pth")):
        lines = file.read_text(encoding="utf-8-sig", errors="replace").splitlines()
        code = [line for line in lines if line.startswith(("import ", "import\t"))]
        if code and not vouched_for(file, site):
            found.append(f"{file.name}: runs at every start of Python: {code[0][:80]}")
    return found


def test_site_packages_run_nothing_at_start() -> None:
    places = {Path(sysconfig.get_path(kind)) for kind in ("purelib", "platlib")}
    found = [breach for site in sorted(places) for breach in startup_code(site)]
    assert found == [], "remove these, find out what installed them, and build .venv anew: make clean venv"


@pytest.mark.parametrize("name", ["evil.pth", "distutils-precedence.pth", "_vigimesh.pth", *CUSTOMISERS])
def test_planted_code_is_caught(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("import os; os.environ['X'] = '1'\n", encoding="utf-8")
    assert startup_code(tmp_path)


def test_a_path_alone_is_fine(tmp_path: Path) -> None:
    (tmp_path / "_vigimesh.pth").write_text("../services\n# import nothing\n", encoding="utf-8")
    assert startup_code(tmp_path) == []
