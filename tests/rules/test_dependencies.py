"""What the package imports it declares, and the lock holds what is declared: no luck of a full `.venv`."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import PurePosixPath
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from rules.house import ROOT, breaches, sample, sources

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
RUNTIME = [Requirement(line) for line in PROJECT["dependencies"]]
DEVELOPMENT = [Requirement(line) for line in PROJECT["optional-dependencies"]["dev"]]
DECLARED = {canonicalize_name(requirement.name) for requirement in RUNTIME}
#: What an optional extra brings, and the one file that may import it, when it is asked for.
OPTIONAL = {
    file: {canonicalize_name(Requirement(line).name) for line in PROJECT["optional-dependencies"][extra]}
    for file, extra in (("mcp_host.py", "mcp"), ("ocr.py", "ocr"))
}
OWNERS = packages_distributions()


def undeclared_import(path: PurePosixPath, tree: ast.Module) -> Iterator[str]:
    """Find imports of packages that pyproject.toml does not list as dependencies."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [node.module or ""]
        else:
            continue
        for top in {name.split(".")[0] for name in names} - sys.stdlib_module_names - {"vigimesh"}:
            if not (DECLARED | OPTIONAL.get(path.name, set())) & {
                canonicalize_name(owner) for owner in OWNERS.get(top, [])
            }:
                yield f"{node.lineno}: {top} is no dependency of pyproject.toml"


def test_every_import_is_declared() -> None:
    assert breaches(undeclared_import, sources("services")) == []


@pytest.mark.parametrize(
    "code", ["import pytest", "from hypothesis import given", "def f():\n    import nowhere"]
)
def test_an_undeclared_import_is_caught(code: str) -> None:
    assert sample(undeclared_import, "services/vigimesh/loop/run.py", code)


def test_a_declared_import_passes() -> None:
    code = "import redis, json\nfrom opentelemetry.sdk import trace\nfrom vigimesh import errors"
    assert sample(undeclared_import, "services/vigimesh/adapters/x.py", code) == []


def test_an_optional_import_passes_where_it_belongs_and_is_caught_elsewhere() -> None:
    assert sample(undeclared_import, "services/vigimesh/app/tools/mcp_host.py", "import mcp") == []
    assert sample(undeclared_import, "services/vigimesh/app/workers/worker.py", "import mcp")


def test_the_lock_holds_what_is_declared() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pins = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", lock, flags=re.MULTILINE))
    stale = [
        str(wanted)
        for wanted in RUNTIME + DEVELOPMENT
        if not wanted.specifier.contains(Version(pins.get(canonicalize_name(wanted.name), "0")))
    ]
    assert stale == [], "pyproject.toml has moved on: make lock"
