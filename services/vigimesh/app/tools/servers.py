"""The MCP servers of the settings, with the tools of theirs that a card may name; and where each added tool runs."""

from __future__ import annotations

import os
import re
import sys
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vigimesh.app.config.model_settings import ToolsSettings
from vigimesh.app.config.settings import Settings, without_settings
from vigimesh.app.tools.foreign import MAX_TOOLS, STEP_NAME, load_tools, owners
from vigimesh.clock import Clock
from vigimesh.domain.policy.cel import nearest
from vigimesh.domain.policy.reading import STEPS
from vigimesh.errors import Misconfigured
from vigimesh.tool_executor.added import AddedTools, Sees

if TYPE_CHECKING:
    from vigimesh.adapters.tools.calls import Runs, ToolCalls
    from vigimesh.domain.policy.cards import Cards

#: Servers of one file, and bytes of the file.
MAX_SERVERS, MAX_FILE_BYTES = 8, 64 * 1024
_KEYS = ("name", "command", "url", "env", "headers", "inside", "tools")
_URL = re.compile(r"https?://[^\s]{1,2000}")
#: An address that names this machine: only there is a case sent without encryption.
_HERE = re.compile(r"http://(?:127\.0\.0\.1|localhost|\[::1\])(?::\d+)?(?:/|$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """An MCP server: a `command` to start, or a `url`. `tools` are (step, its name there); `inside` sees whole cases.

    `env` names variables of this process that the command gets, `headers` are (header, variable that holds its value).
    """

    name: str
    command: tuple[str, ...] = ()
    url: str = ""
    env: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    inside: bool = False
    tools: tuple[tuple[str, str], ...] = ()


def servers_of(settings: ToolsSettings) -> tuple[Server, ...]:
    """Return the servers of the file that the settings name; none when they name none. Raises `Misconfigured` VM-2601."""
    if not settings.servers:
        return ()
    try:
        with Path(settings.servers).open("rb") as stream:
            data = stream.read(MAX_FILE_BYTES + 1)
    except OSError as failure:
        raise _wrong(
            settings.servers, f"it cannot be read: {failure.strerror}", "name a readable file"
        ) from failure
    return read_servers(data, settings.servers)


def read_servers(data: bytes, file: str) -> tuple[Server, ...]:
    """Return the servers in the bytes of a TOML file (`[[servers]]`). Raises `Misconfigured` VM-2601."""
    if len(data) > MAX_FILE_BYTES:
        raise _wrong(file, f"it has more than {MAX_FILE_BYTES} bytes", "make it shorter")
    try:
        raw = tomllib.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as failure:
        raise _wrong(file, f"it is no TOML in UTF-8: {failure}", "correct the syntax") from failure
    rows = raw.get("servers")
    if set(raw) != {"servers"} or not isinstance(rows, list) or not 1 <= len(rows) <= MAX_SERVERS:
        raise _wrong(
            file, "it does not hold `[[servers]]` alone", f"write 1 to {MAX_SERVERS} tables `[[servers]]`"
        )
    servers = tuple(_server(row, file) for row in rows)
    names = [one.name for one in servers]
    if len(set(names)) != len(names):
        raise _wrong(file, "two servers have one name", "give each a name of its own")
    added_names((), servers, file)
    return servers


def added_names(tools: Iterable[str], servers: Sequence[Server], file: str = "") -> tuple[str, ...]:
    """Return the names of all added tools. Raises `Misconfigured` VM-2601 for a name that two have, or too many."""
    names = [*tools, *(step for one in servers for step, _ in one.tools)]
    where = file or "tools of MCP servers and of distributions"
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise _wrong(where, f"the step {twice[0]!r} is there twice", "give each tool a step of its own")
    if len(names) > MAX_TOOLS:
        raise _wrong(where, f"there are {len(names)} added tools", f"keep to {MAX_TOOLS}")
    return tuple(names)


def added_tools(settings: Settings, cards: Cards, clock: Clock) -> tuple[AddedTools, ToolCalls | None]:
    """Return what the verb knows of the added tools that a card names, and what calls them; `None` where there are none.

    Nothing is started yet. Raises `Misconfigured`: VM-1107 for an installed tool, VM-2601 for the file of servers, VM-2602
    when a card names a tool of a server and the SDK is not installed.
    """
    installed, servers = load_tools(), servers_of(settings.tools)
    added_names(installed, servers)
    wanted = {step for card in cards.cards for step in (*card.steps, *card.escalation.steps)}
    sees: dict[str, Sees] = {name: "all" for name in installed if name in wanted}
    runs: dict[str, Runs] = _installed(sees) if sees else {}
    for server in servers:
        steps = [step for step, _ in server.tools if step in wanted]
        if steps and find_spec("mcp") is None:
            raise Misconfigured(
                "VM-2602", what=f"a card names the step {steps[0]!r} of an MCP server, and the MCP SDK is not installed",
                where=settings.tools.servers, todo="install `vigimesh[mcp]`, or take the step out of the card",
            )  # fmt: skip
        sees.update(dict.fromkeys(steps, "all" if server.inside else "facts"))
        runs.update({step: one for step, one in _offered(server, settings.tools).items() if step in steps})
    if not runs:
        return AddedTools(), None
    from vigimesh.adapters.tools.calls import ToolCalls

    return AddedTools(sees=sees), ToolCalls(runs, settings.tools.deadline_s, clock)


def _installed(names: Iterable[str]) -> dict[str, Runs]:
    from vigimesh.adapters.tools.calls import Runs

    process, of = _process("vigimesh.app.tools.host", None), owners()
    return {name: Runs(process, name, of[name]) for name in names}


def _offered(server: Server, settings: ToolsSettings) -> dict[str, Runs]:
    from vigimesh.adapters.tools.calls import Runs

    first = {
        "name": server.name, "command": list(server.command), "url": server.url, "deadline_s": float(settings.deadline_s),
        "env": {name: os.environ[name] for name in server.env if name in os.environ},
        "headers": {header: os.environ.get(name, "") for header, name in server.headers},
    }  # fmt: skip
    process = _process("vigimesh.app.tools.mcp_host", first)
    return {step: Runs(process, tool, f"MCP server {server.name}") for step, tool in server.tools}


def _process(module: str, first: Any) -> Any:
    """Return the process of a module of ours: with this one's environment, and without our settings and secrets."""
    from vigimesh.adapters.tools.process import ToolProcess

    return ToolProcess(
        command=(sys.executable, "-m", module), environ=without_settings(os.environ), first=first
    )


def _server(row: Any, file: str) -> Server:
    if not isinstance(row, Mapping):
        raise _wrong(file, "a server is no table", "write `[[servers]]`")
    for key in row:
        if key not in _KEYS:
            raise _wrong(file, f"unknown key {key!r}", nearest(key, _KEYS))
    name, inside = row.get("name"), row.get("inside", False)
    if not isinstance(name, str) or STEP_NAME.fullmatch(name) is None:
        todo = "give small letters, digits and underscores, a letter first"
        raise _wrong(file, f"'name' is {name!r:.80}", todo)
    if not isinstance(inside, bool):
        raise _wrong(file, f"'inside' of {name!r} is {inside!r:.80}", "give true or false")
    tools = _pairs(row, "tools", name, file)
    for step, _ in tools:
        if STEP_NAME.fullmatch(step) is None or step in STEPS:
            raise _wrong(
                file, f"{step!r} of {name!r} can be no step", "give a name of its own in small letters"
            )
    if not tools:
        todo = "name at least one under 'tools': step = \"tool of the server\""
        raise _wrong(file, f"{name!r} offers no tool", todo)
    command, env = _texts(row, "command", name, file), _texts(row, "env", name, file)
    headers, url = _pairs(row, "headers", name, file), _url(row, name, file)
    if bool(command) is bool(url):
        raise _wrong(file, f"{name!r} has both of 'command' and 'url', or neither", "give one of the two")
    if (env and url) or (headers and command):
        todo = "remove the other's key"
        raise _wrong(file, f"{name!r} mixes 'env' of a command with 'headers' of a url", todo)
    return Server(name=name, command=command, url=url, env=env, headers=headers, inside=inside, tools=tools)


def _url(row: Mapping[str, Any], name: str, file: str) -> str:
    url = row.get("url", "")
    if not isinstance(url, str) or (url and _URL.fullmatch(url) is None):
        raise _wrong(file, f"'url' of {name!r} is no address", "give one like https://tools.example/mcp")
    if url.startswith("http://") and _HERE.match(url) is None:
        raise _wrong(file, f"'url' of {name!r} is not encrypted", "use https outside this machine")
    return url


def _texts(row: Mapping[str, Any], key: str, name: str, file: str) -> tuple[str, ...]:
    values = row.get(key, [])
    if not isinstance(values, list) or not all(
        isinstance(one, str) and one and "\0" not in one for one in values
    ):
        raise _wrong(file, f"{key!r} of {name!r} is no list of texts", f'write {key} = ["...", "..."]')
    return tuple(values)


def _pairs(row: Mapping[str, Any], key: str, name: str, file: str) -> tuple[tuple[str, str], ...]:
    values = row.get(key, {})
    if not isinstance(values, Mapping) or not all(isinstance(one, str) and one for one in values.values()):
        raise _wrong(file, f"{key!r} of {name!r} is no table of texts", f'write {key} = {{ one = "..." }}')
    return tuple(values.items())


def _wrong(where: str, what: str, todo: str) -> Misconfigured:
    return Misconfigured("VM-2601", what=f"MCP servers: {what}", where=where, todo=todo)
