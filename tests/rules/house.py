"""What the house rules look at: the files of the project, and their syntax trees."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).resolve().parents[2]

#: A rule takes a path from the root and a syntax tree, and yields one line per breach: `line: what`.
Rule = Callable[[PurePosixPath, ast.Module], Iterator[str]]


@cache
def project_files() -> tuple[PurePosixPath, ...]:
    """List the files that git tracks or would, from the root; those ignored and those deleted left out."""
    command = [
        "git",
        "-c",
        "safe.directory=*",
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]
    listing = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    paths = sorted({name for name in listing.split("\0") if name})
    return tuple(PurePosixPath(path) for path in paths if (ROOT / path).is_file())


def sources(*folders: str) -> list[PurePosixPath]:
    """List the Python files under `folders`."""
    return [p for p in project_files() if p.suffix == ".py" and p.parts[0] in folders]


def breaches(rule: Rule, paths: list[PurePosixPath]) -> list[str]:
    """Apply `rule` to files; return its findings as `path:line: what`."""
    found = []
    for path in paths:
        tree = ast.parse((ROOT / path).read_bytes(), filename=str(path))
        found += [f"{path}:{breach}" for breach in rule(path, tree)]
    return found


def sample(rule: Rule, path: str, code: str) -> list[str]:
    """Apply `rule` to a made-up file: each rule is shown to catch what it forbids."""
    return list(rule(PurePosixPath(path), ast.parse(code)))


def dotted(node: ast.AST) -> str:
    """Write a name or attribute chain as `a.b.c`; empty for anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = dotted(node.value)
        return f"{before}.{node.attr}" if before else f".{node.attr}"
    return ""


def imported_names(tree: ast.Module) -> dict[str, str]:
    """Map each name that an import binds to what it stands for: `sleep` to `time.sleep`."""
    names = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names[alias.asname or alias.name.split(".")[0]] = (
                    alias.name if alias.asname else alias.name.split(".")[0]
                )
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return names


def uses(tree: ast.Module) -> Iterator[tuple[int, str, ast.AST]]:
    """Yield (line, full dotted name, node) for each name and attribute read, imports resolved."""
    known = imported_names(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load):
            head, _, rest = dotted(node).partition(".")
            full = known.get(head, head)
            yield node.lineno, f"{full}.{rest}" if rest else full, node
