"""The stand-in as people start it: `vigimesh standin`, over HTTP, on loopback and nowhere else."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import openai
import psutil
import pytest

from vigimesh.app.standin import server as serving
from vigimesh.app.standin.chat import MODEL, StandIn
from vigimesh.app.standin.embeddings import EMBED_MODEL
from vigimesh.app.standin.profile import BatchProfile, Profile
from vigimesh.app.standin.server import Server
from vigimesh.errors import Misconfigured
from waiting import until, until_async

SERVICES = str(Path(__file__).resolve().parents[2] / "services")


def start(*options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "vigimesh", "standin", *options],
        env={**os.environ, "PYTHONPATH": SERVICES},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def process() -> Iterator[subprocess.Popen[str]]:
    started = start("--latency-ms", "0", "--faults", "500=0.5", "--seed", "3")
    try:
        yield started
    finally:
        started.kill()
        started.communicate()


def ask(port: int, method: str, path: str, body: Any = None) -> tuple[int, Any, str]:
    connection = HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path, None if body is None else json.dumps(body))
        reply = connection.getresponse()
        return reply.status, json.loads(reply.read()), reply.headers["x-stand-in"]
    finally:
        connection.close()


def test_the_command_serves_until_it_is_told_to_stop(process: subprocess.Popen[str]) -> None:
    assert process.stdout is not None
    assert process.stdout.readline().startswith(f"{MODEL} is a stand-in, not a model")
    line = process.stdout.readline()
    found = re.search(r"VIGIMESH_LARGE_MODEL__BASE_URL=(\S+) VIGIMESH_LARGE_MODEL__NAME=(\S+)", line)
    assert found
    assert found[2] == MODEL
    port = urlsplit(found[1]).port
    assert port is not None
    listening = [c for c in psutil.Process(process.pid).net_connections() if c.status == psutil.CONN_LISTEN]
    assert [c.laddr.ip for c in listening] == ["127.0.0.1"]

    assert ask(port, "GET", "/v1/models")[1]["data"][0]["id"] == MODEL
    body = {"model": MODEL, "messages": [{"role": "user", "content": "x"}]}
    replies = [ask(port, "POST", "/v1/chat/completions", body) for _ in range(20)]
    assert {status for status, _, _ in replies} == {200, 500}
    assert {mark for _, _, mark in replies} == {f"{MODEL}; not a model"}
    assert ask(port, "GET", "/standin/calls")[1]["calls"] == 20
    assert ask(port, "GET", "/nowhere")[0] == 404

    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0


def test_wrong_options_are_refused() -> None:
    for options in (["--faults", "explode=1"], ["--accuracy", "2"], ["--latency-ms", "-1"]):
        done = start(*options)
        assert done.communicate(timeout=60)[1].strip()
        assert done.returncode == 2


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = start("--port", str(taken.getsockname()[1]))
        said = done.communicate(timeout=60)[1]
    assert done.returncode == 2
    assert "VM-2106" in said


def test_a_port_that_is_taken_is_misconfigured() -> None:
    async def run() -> None:
        async with Server(StandIn()) as first:
            with pytest.raises(Misconfigured, match="VM-2106"):
                async with Server(StandIn(), first.port):
                    pass

    asyncio.run(run())


@pytest.mark.parametrize(
    "sent",
    [
        b"\x00\xff\r\n\r\n",
        b"GET /" + b"x" * 100_000,
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 2000\r\n\r\n" + b"x" * 2_000,
    ],
)
def test_what_is_no_request_ends_its_connection_alone(sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "MAX_REQUEST_BYTES", 1_000)

    async def run() -> None:
        async with Server(StandIn()) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(sent)
            assert await asyncio.wait_for(reader.read(), 20) == b""
            writer.close()
            await until_async(lambda: server.open == 0, within_s=10, what="closed")
            assert (await asyncio.to_thread(ask, server.port, "GET", "/v1/models"))[0] == 200

    asyncio.run(run())


def test_connections_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "MAX_CONNECTIONS", 2)

    async def run() -> None:
        async with Server(StandIn()) as server:
            kept = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(2)]
            await until_async(lambda: server.open == 2, within_s=10, what="two connections")
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await asyncio.wait_for(reader.readexactly(1), 20)
            writer.close()
            for _, one in kept:
                one.close()

    asyncio.run(run())


def test_two_requests_at_once_on_one_connection_are_both_answered() -> None:
    async def run() -> bytes:
        async with Server(StandIn()) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"GET /v1/models HTTP/1.1\r\nhost: x\r\n\r\n" * 2)
            read = b""
            while read.count(b"HTTP/1.1 200") < 2:
                piece = await asyncio.wait_for(reader.read(65_536), 20)
                assert piece
                read += piece
            writer.close()
            return read

    assert asyncio.run(run()).count(b"x-stand-in: standin-1; not a model") == 2


def test_a_client_that_leaves_is_not_waited_for() -> None:
    async def run() -> None:
        async with Server(StandIn()) as server:
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            body = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": "x"}]}).encode()
            writer.write(
                b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nx-standin-fault: hang\r\n"
                b"content-length: %d\r\n\r\n%s" % (len(body), body)
            )
            await until_async(lambda: server.standin.account()["calls"] == 1, within_s=10, what="asked")
            writer.close()
            await until_async(lambda: server.open == 0, within_s=10, what="let go")

    asyncio.run(run())


def test_nothing_is_left_when_it_stops() -> None:
    async def run() -> int:
        async with Server(StandIn()) as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            await until_async(lambda: server.open == 1, within_s=10, what="connected")
        assert server.open == 0
        assert await asyncio.wait_for(reader.read(), 20) == b""
        writer.close()
        return server.port

    port = asyncio.run(run())
    until(lambda: _free(port), within_s=10, what="port given back")


def _free(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) != 0


def test_the_client_of_openai_takes_its_embeddings_files_and_batches() -> None:
    async def run() -> None:
        profile = Profile(latency_ms=0, spread=0, batch=BatchProfile(start_s=600, item_s=1, spread=0))
        async with (
            Server(StandIn(profile)) as server,
            openai.AsyncOpenAI(base_url=server.base_url, api_key="x") as client,
        ):
            vectors = await client.embeddings.create(
                model=EMBED_MODEL, input=["fever", "rash"], dimensions=64
            )
            assert [len(one.embedding) for one in vectors.data] == [64, 64]

            body = {"model": MODEL, "messages": [{"role": "user", "content": "caf\u00e9"}]}
            lines = [
                json.dumps({"custom_id": name, "method": "POST", "url": "/v1/chat/completions", "body": body})
                for name in ("a", "b")
            ]
            file = await client.files.create(file=("in.jsonl", "\n".join(lines).encode()), purpose="batch")
            made = await client.batches.create(
                input_file_id=file.id,
                endpoint="/v1/chat/completions",
                completion_window="24h",
                metadata={"run": "7"},
            )
            assert made.status == "validating"
            await asyncio.to_thread(ask, server.port, "POST", "/standin/clock", {"forward_s": 700})
            ended = await client.batches.retrieve(made.id)
            assert ended.status == "completed"
            assert ended.request_counts is not None
            assert (ended.request_counts.total, ended.request_counts.completed) == (2, 2)
            assert ended.output_file_id is not None
            text = (await client.files.content(ended.output_file_id)).text
            assert {json.loads(line)["custom_id"] for line in text.splitlines()} == {"a", "b"}
            listed = [one async for one in client.batches.list(limit=1)]
            assert [(one.id, one.metadata) for one in listed] == [(made.id, {"run": "7"})]

    asyncio.run(run())


def test_the_command_takes_an_oracle_and_refuses_one_that_is_none(tmp_path: Path) -> None:
    wrong = tmp_path / "gold.jsonl"
    wrong.write_text('{"key": 1}\n')
    done = start("--oracle", str(wrong))
    said = done.communicate(timeout=60)[1]
    assert (done.returncode, "VM-2404" in said, "line 1" in said) == (2, True, True)
