"""Finds the tools that installed distributions add (entry points of group `vigimesh.tools`) and checks them once, at start."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType

from vigimesh.domain.policy.reading import STEPS
from vigimesh.domain.safety.foreign import ForeignTool
from vigimesh.errors import Misconfigured

GROUP = "vigimesh.tools"
#: Tools that may be added; each runs for every case whose card names it.
MAX_TOOLS = 16
#: A name as a card writes it: the same shape as our own.
STEP_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


def load_tools() -> Mapping[str, ForeignTool]:
    """Return the tools that installed distributions add, by name.

    Raises `Misconfigured` VM-1107, naming the distribution, when one has a name of ours or another's, cannot be
    imported, or is not a function of (case, text).
    """
    points = sorted(entry_points(group=GROUP), key=lambda p: (p.name, _of(p)))
    if len(points) > MAX_TOOLS:
        raise _wrong(points[MAX_TOOLS], f"there are {len(points)} added tools", f"keep to {MAX_TOOLS}")
    tools: dict[str, ForeignTool] = {}
    owners: dict[str, str] = {}
    for point in points:
        _check_name(point, owners)
        tools[point.name] = _loaded(point)
        owners[point.name] = _of(point)
    return MappingProxyType(tools)


def owners() -> Mapping[str, str]:
    """Return by tool the distribution that adds it, with its version; nothing is imported."""
    return {point.name: _of(point) for point in entry_points(group=GROUP)}


def _check_name(point: EntryPoint, owners: Mapping[str, str]) -> None:
    if STEP_NAME.fullmatch(point.name) is None:
        todo = "name the entry point in small letters, digits and underscores, a letter first, at most 40"
        raise _wrong(point, "its name is not one that a card can write", todo)
    if point.name in STEPS:
        raise _wrong(
            point, "its name is that of a tool of vigimesh", "give the entry point a name of its own"
        )
    if point.name in owners:
        todo = f"uninstall one of them, or have one renamed: {owners[point.name]} has the name already"
        raise _wrong(point, "its name is that of another added tool", todo)


def _loaded(point: EntryPoint) -> ForeignTool:
    try:
        tool = point.load()
    except (Exception, SystemExit) as failure:
        what = f"it cannot be imported: {type(failure).__name__}: {failure}"
        raise _wrong(point, what, "repair or uninstall the distribution") from failure
    if not callable(tool) or inspect.isclass(tool):
        raise _wrong(point, f"it is {type(tool).__name__}, no function", _SIGNATURE)
    if inspect.iscoroutinefunction(tool) or inspect.isasyncgenfunction(tool):
        raise _wrong(point, "it is async", _SIGNATURE)
    try:
        inspect.signature(tool).bind(object(), "")
    except (TypeError, ValueError) as failure:
        raise _wrong(point, f"it does not take (case, text): {failure}", _SIGNATURE) from failure
    checked: ForeignTool = tool
    return checked


_SIGNATURE = "write it as `def NAME(case, text)` that returns Findings: docs/tools.md"


def _of(point: EntryPoint) -> str:
    """Name the distribution of an entry point."""
    return (
        "a distribution without metadata" if point.dist is None else f"{point.dist.name} {point.dist.version}"
    )


def _wrong(point: EntryPoint, what: str, todo: str) -> Misconfigured:
    where = f"entry point '{point.name} = {point.value}' of {_of(point)}"
    return Misconfigured("VM-1107", what=f"added tool: {what}", where=where, todo=todo)
