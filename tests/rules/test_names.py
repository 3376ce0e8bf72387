"""Names say what a thing is; one function alone decides about retrying, one prints `--json`; queues have a bound."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import PurePosixPath

import pytest

from rules.house import Rule, breaches, sample, sources, uses

EMPTY_CLASS_NAME = re.compile(r"(Manager|Helpe[r]|Util(s|ity|ities)?)$")
EMPTY_MODULE_NAMES = {"util", "utils", "common", "misc", "manager", "helpe" + "rs", "helpe" + "r"}
#: The one module that turns an error into an outcome.
OUTCOMES = "services/vigimesh/loop/outcome.py"
#: The one module that prints the object of `--json`.
PRINTS_JSON = "services/vigimesh/app/options.py"
QUEUES = {"asyncio.Queue", "asyncio.PriorityQueue", "queue.Queue", "queue.PriorityQueue"}


def empty_name(path: PurePosixPath, tree: ast.Module) -> Iterator[str]:
    """Find modules, folders and classes whose name fits anything."""
    for part in (*path.parts[:-1], path.stem):
        if part in EMPTY_MODULE_NAMES:
            yield f"1: '{part}' says nothing: name it after what it does"
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef) and EMPTY_CLASS_NAME.search(node.name):
            yield f"{node.lineno}: class {node.name} says nothing: name it after what it does"


def reads_retryable(path: PurePosixPath, tree: ast.Module) -> Iterator[str]:
    """Find a second opinion about retrying: outcomes are values, made in one place."""
    if str(path) == OUTCOMES:
        return
    for node in ast.walk(tree):
        read = isinstance(node, ast.Attribute) and node.attr == "retryable"
        if isinstance(node, ast.expr) and (
            read or (isinstance(node, ast.Constant) and node.value == "retryable")
        ):
            yield f"{node.lineno}: only {OUTCOMES} looks at retryable: return an Outcome"


def unbounded_queue(_path: PurePosixPath, tree: ast.Module) -> Iterator[str]:
    """Find queues that may grow without end."""
    bounded = {
        id(node.func)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and (node.args or any(k.arg == "maxsize" for k in node.keywords))
    }
    called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    for line, name, node in uses(tree):
        if name in QUEUES | {"queue.SimpleQueue"} and id(node) in called - bounded:
            yield f"{line}: {name} without a bound: give it a maxsize and say where the number comes from"


def prints_json(path: PurePosixPath, tree: ast.Module) -> Iterator[str]:
    """Find a second way of printing an object: in another encoding, or over several lines."""
    if str(path) == PRINTS_JSON:
        return
    prints = {id(node) for _, name, node in uses(tree) if name in {"typer.echo", "print"}}
    dumps = {id(node) for _, name, node in uses(tree) if name == "json.dumps"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and id(node.func) in prints:
            given = [one for one in node.args if isinstance(one, ast.Call)]
            if any(id(one.func) in dumps for one in given):
                yield f"{node.lineno}: only {PRINTS_JSON} prints an object: call print_json"


@pytest.mark.parametrize("rule", [empty_name, reads_retryable, unbounded_queue, prints_json])
def test_the_code_keeps_the_rule(rule: Rule) -> None:
    assert breaches(rule, sources("services")) == []


def test_tests_have_names_too() -> None:
    assert breaches(empty_name, sources("tests", "benchmarks")) == []


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("services/vigimesh/common/x.py", ""),
        ("services/vigimesh/loop/utils.py", ""),
        ("services/vigimesh/loop/run.py", "class LoopManager: ..."),
        ("services/vigimesh/loop/run.py", "class CommitHelpe" + "r: ..."),
    ],
)
def test_an_empty_name_is_caught(path: str, code: str) -> None:
    assert sample(empty_name, path, code)


@pytest.mark.parametrize("code", ["if error.retryable: ...", "getattr(error, 'retryable', False)"])
def test_a_second_opinion_is_caught(code: str) -> None:
    assert sample(reads_retryable, "services/vigimesh/loop/run.py", code)
    assert sample(reads_retryable, OUTCOMES, code) == []


@pytest.mark.parametrize(
    "code", ["import asyncio\nq = asyncio.Queue()", "from queue import Queue\nq = Queue()"]
)
def test_an_endless_queue_is_caught(code: str) -> None:
    assert sample(unbounded_queue, "services/vigimesh/loop/run.py", code)
    bounded = code.replace("Queue()", "Queue(maxsize=8)")
    assert sample(unbounded_queue, "services/vigimesh/loop/run.py", bounded) == []


@pytest.mark.parametrize("call", ["typer.echo(json.dumps(body))", "print(json.dumps(body), flush=True)"])
def test_a_second_way_of_printing_an_object_is_caught(call: str) -> None:
    code = f"import json\nimport typer\n{call}"
    assert sample(prints_json, "services/vigimesh/app/commands/lag.py", code)
    assert sample(prints_json, PRINTS_JSON, code) == []
