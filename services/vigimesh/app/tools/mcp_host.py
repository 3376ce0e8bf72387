"""The process that speaks with one MCP server: `python -m vigimesh.app.tools.mcp_host`, for `adapters/tools/process`.

A process of its own: the SDK brings half a web server with it, and what a server sends is without bounds. The first
frame says which server; each call is `tools/call`, many at once. It ends when the server is gone; the next call starts it again.
"""

from __future__ import annotations

import asyncio
import json
import resource
from collections.abc import Mapping
from contextlib import AsyncExitStack
from typing import Any, BinaryIO

import httpx2
import msgspec
from mcp import Client, MCPError, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client
from mcp.types import CONNECTION_CLOSED, CallToolResult, TextContent

from vigimesh.adapters.tools.process import LENGTH_BYTES, READY
from vigimesh.app.exits import trace_crashes
from vigimesh.app.tools.frames import receive, send, streams

#: Characters of what a server says of an error.
WHY_CHARACTERS = 300
#: Bytes of memory of this process: the SDK takes 60 MB, and a server may send without end.
MEMORY_BYTES = 1 << 30
#: Bytes of an answer that is handed on: `adapters/tools/process` takes no more than 256 KiB with what stands around it.
ANSWER_BYTES = 200 * 1024


def main() -> None:
    """Connect, and call tools as asked until the input ends or the server is gone."""
    trace_crashes()
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
    source, target = streams()
    config = receive(source)
    if config is not None:
        asyncio.run(_serve(config, source, target))


async def _serve(config: Mapping[str, Any], source: BinaryIO, target: BinaryIO) -> None:
    """Serve calls; when there is no server, the first of them is told why, and this ends."""
    calls = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(calls), source)
    served = False
    try:
        async with AsyncExitStack() as stack:
            http = await stack.enter_async_context(
                httpx2.AsyncClient(headers=config["headers"], timeout=config["deadline_s"])
            )
            server = Client(_server(config, http), read_timeout_seconds=config["deadline_s"])
            client = await stack.enter_async_context(server)
            served = True
            send(target, READY)
            await _calls(client, _owner(config, client), calls, target)
    except Exception as error:  # noqa: BLE001  whatever the SDK raises, a server is away
        if served:
            return
        send(target, READY)
        call = await _next(calls)
        if call is not None:
            why = f"the server is away: {_said(error)}"
            send(target, {"id": call["id"], "by": _owner(config, None), "failed": why, "away": True})


async def _next(calls: asyncio.StreamReader) -> Any:
    """Return the next call, or `None` at the end."""
    try:
        length = int.from_bytes(await calls.readexactly(LENGTH_BYTES), "big")
        return msgspec.msgpack.decode(await calls.readexactly(length))
    except asyncio.IncompleteReadError:
        return None


def _server(config: Mapping[str, Any], http: httpx2.AsyncClient) -> Any:
    if config["url"]:
        return streamable_http_client(config["url"], http_client=http)
    command, *args = config["command"]
    return StdioServerParameters(command=command, args=args, env=config["env"])


def _owner(config: Mapping[str, Any], client: Client | None) -> str:
    told = None if client is None else client.server_info
    return f"MCP server {config['name']}" + (f", {told.name} {told.version}" if told is not None else "")


async def _calls(client: Client, by: str, calls: asyncio.StreamReader, target: BinaryIO) -> None:
    """Answer calls, each in a task of its own, until the input ends or the server is gone."""
    gone, tasks = asyncio.Event(), set[asyncio.Task[None]]()

    async def one(call: Mapping[str, Any]) -> None:
        answer = await _answer(client, call)
        if answer.get("away"):
            gone.set()
        send(target, {"id": call["id"], "by": by, **answer})

    async def all_of_them() -> None:
        while (call := await _next(calls)) is not None:
            task = asyncio.create_task(one(call))
            tasks.add(task)
            task.add_done_callback(tasks.discard)

    ends = (asyncio.create_task(all_of_them()), asyncio.create_task(gone.wait()))
    await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    for task in (*ends, *tasks):
        task.cancel()


async def _answer(client: Client, call: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a server answered to one call, as `domain/safety/foreign.told` reads it."""
    try:
        result = await client.call_tool(call["tool"], dict(call["body"]))
    except MCPError as error:
        return {"failed": _said(error), "away": error.error.code == CONNECTION_CLOSED}
    except Exception as error:  # noqa: BLE001  whatever the SDK raises, the tool has failed
        return {"failed": _said(error), "away": True}
    if result.is_error:
        return {"failed": _text(result)[:WHY_CHARACTERS] or "the server says that it failed"}
    findings = _findings(result)
    if not isinstance(findings, list) or len(json.dumps(findings)) > ANSWER_BYTES:
        return {"failed": "its answer is no list of findings, or too long"}
    return {"findings": findings}


def _findings(result: CallToolResult) -> Any:
    """Return the `findings` of a structured answer, or of a text that is such JSON; `None` when there are none."""
    told = result.structured_content
    if told is None:
        try:
            told = json.loads(_text(result))
        except (ValueError, RecursionError):
            return None
    return told.get("findings") if isinstance(told, Mapping) else None


def _text(result: CallToolResult) -> str:
    return "".join(part.text for part in result.content if isinstance(part, TextContent))


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:WHY_CHARACTERS]


if __name__ == "__main__":
    main()
