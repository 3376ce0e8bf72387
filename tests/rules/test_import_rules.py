"""The import rules of pyproject.toml hold, and refuse what they are there to refuse."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rules.house import ROOT

ROOMS = "adapters app background console domain events intake loop planner retriever router supervisor tool_executor"
LEAVES = "clock errors names ports"
FOLDERS = "adapters/kafka adapters/redis app/commands app/workers domain/policy domain/record domain/safety"


def lint(project: Path) -> tuple[int, str]:
    """Run the import rules on a project; return exit code and output, white space folded."""
    code = "from importlinter.cli import lint_imports_command as run; run(['--no-logo', '--no-cache'])"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=project,
        env=os.environ | {"PYTHONPATH": str(project / "services"), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, " ".join((done.stdout + done.stderr).split())


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build an empty house with all its rooms under the project's own rules."""
    project = tmp_path_factory.mktemp("model")
    shutil.copy(ROOT / "pyproject.toml", project)
    package = project / "services" / "vigimesh"
    for room in ("", *ROOMS.split(), *FOLDERS.split()):
        (package / room).mkdir(parents=True, exist_ok=True)
        (package / room / "__init__.py").touch()
    for leaf in LEAVES.split():
        (package / f"{leaf}.py").touch()
    return project


def test_an_empty_house_passes(model: Path) -> None:
    assert lint(model)[0] == 0


@pytest.mark.parametrize(
    ("where", "code", "says"),
    [
        ("newroom/__init__.py", "", "vigimesh.newroom"),
        ("domain/newroom/__init__.py", "", "vigimesh.domain.newroom"),
        ("adapters/newroom/__init__.py", "", "vigimesh.adapters.newroom"),
        ("app/nowhere.py", "", "vigimesh.app.nowhere"),
        (
            "adapters/kafka/x.py",
            "from vigimesh.adapters import redis",
            "vigimesh.adapters.kafka is not allowed to import vigimesh.adapters.redis",
        ),
        (
            "app/workers/x.py",
            "from vigimesh.app import commands",
            "vigimesh.app.workers is not allowed to import vigimesh.app.commands",
        ),
        (
            "loop/run.py",
            "from vigimesh import domain",
            "vigimesh.loop is not allowed to import vigimesh.domain",
        ),
        (
            "router/worker.py",
            "from vigimesh import planner",
            "vigimesh.router is not allowed to import vigimesh.planner",
        ),
        (
            "events/codec.py",
            "from vigimesh import loop",
            "vigimesh.events is not allowed to import vigimesh.loop",
        ),
        (
            "domain/safety/x.py",
            "from vigimesh.domain import record",
            "is not allowed to import vigimesh.domain.record",
        ),
        ("domain/safety/x.py", "import asyncio", "vigimesh.domain.safety.x is not allowed to import asyncio"),
        (
            "loop/run.py",
            "import confluent_kafka",
            "vigimesh.loop.run is not allowed to import confluent_kafka",
        ),
        ("tool_executor/worker.py", "import openai", "is not allowed to import openai"),
        ("router/worker.py", "from opentelemetry import trace", "is not allowed to import opentelemetry"),
        (
            "loop/run.py",
            "from http.server import HTTPServer",
            "vigimesh.loop.run is not allowed to import http",
        ),
        (
            "adapters/kafka/client.py",
            "import fastavro",
            "vigimesh.adapters.kafka.client is not allowed to import fastavro",
        ),
        ("router/worker.py", "import lxml", "vigimesh.router.worker is not allowed to import lxml"),
        ("router/route.py", "import cel", "vigimesh.router.route is not allowed to import cel"),
    ],
)
def test_a_breach_is_refused(model: Path, where: str, code: str, says: str) -> None:
    file = model / "services" / "vigimesh" / where
    made = [parent for parent in (file.parent,) if not parent.exists()]
    file.parent.mkdir(exist_ok=True)
    file.write_text(code + "\n", encoding="utf-8")
    try:
        exit_code, output = lint(model)
    finally:
        file.unlink()
        for folder in made:
            shutil.rmtree(folder)
    assert exit_code == 1
    assert says in output


def test_two_files_that_import_each_other_are_refused_though_one_does_so_late(model: Path) -> None:
    folder = model / "services" / "vigimesh" / "app" / "commands"
    early, late = folder / "budget.py", folder / "books.py"
    early.write_text("from vigimesh.app.commands import books\n", encoding="utf-8")
    late.write_text("def show():\n    from vigimesh.app.commands import budget\n", encoding="utf-8")
    try:
        exit_code, output = lint(model)
    finally:
        early.unlink()
        late.unlink()
    assert exit_code == 1
    assert "No cycles are allowed in vigimesh.app.commands." in output


@pytest.mark.parametrize(
    ("where", "code"),
    [
        (
            "adapters/kafka/client.py",
            "import confluent_kafka, redis, psycopg, obstore, openai\nfrom opentelemetry import trace",
        ),
        ("app/cli.py", "import http.server, socket, confluent_kafka"),
        ("loop/health.py", "import http.server, socket"),
        ("events/codec.py", "import fastavro"),
        ("intake/e2b.py", "from lxml import etree"),
        ("domain/policy/rules.py", "import cel"),
    ],
)
def test_what_has_its_place_passes(model: Path, where: str, code: str) -> None:
    file = model / "services" / "vigimesh" / where
    file.write_text(code + "\n", encoding="utf-8")
    try:
        exit_code, output = lint(model)
    finally:
        file.unlink()
    assert exit_code == 0, output
