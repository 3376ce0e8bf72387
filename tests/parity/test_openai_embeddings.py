"""The client of an embeddings endpoint against a real server on loopback: what it takes, refuses and never tells."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np
import pytest

from vigimesh.adapters.models.openai_embeddings import TEXTS, Endpoint, OpenAIEmbeddings
from vigimesh.errors import Misconfigured, Transient

KEY = "sk-a-secret-that-nobody-may-see"
Serve = Callable[[dict[str, Any]], tuple[int, bytes]]


def rows(body: dict[str, Any]) -> list[dict[str, Any]]:
    """Return an embedding of each text, the last text first: order is told by the index."""
    found = [
        {"index": at, "embedding": [float(len(text)), 1.0, 0.0]} for at, text in enumerate(body["input"])
    ]
    return found[::-1]


def good(body: dict[str, Any]) -> tuple[int, bytes]:
    """Answer as a server does that works."""
    return 200, json.dumps({"object": "list", "data": rows(body)}).encode()


@contextmanager
def serving(serve: Serve) -> Iterator[tuple[OpenAIEmbeddings, list[dict[str, Any]]]]:
    """Yield a client of a server that answers by `serve`, and what the server was sent."""
    seen: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            seen.append({"path": self.path, "key": self.headers["authorization"], **body})
            status, data = serve(body)
            self.send_response(status)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    client = OpenAIEmbeddings(
        Endpoint(
            base_url=f"http://127.0.0.1:{server.server_port}/v1",
            name="embed-1",
            key=KEY,
            dimensions=3,
            deadline_s=20,
        )
    )
    try:
        yield client, seen
    finally:
        client.close()
        server.shutdown()
        server.server_close()
        thread.join()


def test_rows_come_in_the_order_of_the_texts_and_at_unit_length() -> None:
    texts = ["x" * (at + 1) for at in range(TEXTS + 3)]
    with serving(good) as (client, seen):
        found = client.embed(texts)
        assert client.embed([]).shape == (0, 3)
    assert [len(one["input"]) for one in seen] == [TEXTS, 3]
    assert {(one["path"], one["key"], one["model"]) for one in seen} == {
        ("/v1/embeddings", f"Bearer {KEY}", "embed-1")
    }
    wanted = np.array([[at + 1, 1.0, 0.0] for at in range(TEXTS + 3)])
    wanted /= np.linalg.norm(wanted, axis=1, keepdims=True)
    assert np.abs(found - wanted).max() < 0.001


@pytest.mark.parametrize(
    "data",
    [
        b"no json",
        b"{}",
        json.dumps({"data": []}).encode(),
        json.dumps({"data": [{"index": 1, "embedding": [1.0, 0.0, 0.0]}]}).encode(),
        json.dumps({"data": [{"index": 0, "embedding": [1.0, 0.0]}]}).encode(),
        json.dumps({"data": [{"index": 0, "embedding": [1.0, 0.0, "x"]}]}).encode(),
        b'{"data": [{"index": 0, "embedding": [1.0, 0.0, 1e39]}]}',
    ],
)
def test_what_is_no_list_of_embeddings_is_refused(data: bytes) -> None:
    with serving(lambda _: (200, data)) as (client, _), pytest.raises(Misconfigured, match="VM-2612"):
        client.embed(["Torvexil rash"])


def test_vectors_of_another_length_are_refused_with_the_setting_that_takes_them() -> None:
    data = json.dumps({"data": [{"index": 0, "embedding": [1.0, 0.0]}]}).encode()
    with serving(lambda _: (200, data)) as (client, _), pytest.raises(Misconfigured) as caught:
        client.embed(["Torvexil rash"])
    assert caught.value.what == "its vectors have 2 numbers, not 3"
    assert "VIGIMESH_EMBEDDINGS__DIMENSIONS=2" in caught.value.todo


@pytest.mark.parametrize(
    ("status", "kind"),
    [(429, Transient), (500, Transient), (503, Transient), (401, Misconfigured), (302, Misconfigured)],
)
def test_a_status_says_whether_it_may_pass(status: int, kind: type[Exception]) -> None:
    with (
        serving(lambda _: (status, b"secret words of the server")) as (client, _),
        pytest.raises(kind) as raised,
    ):
        client.embed(["Torvexil rash"])
    assert "secret" not in str(raised.value)
    assert "Torvexil" not in str(raised.value)


def test_an_endpoint_that_is_gone_is_away_and_neither_key_nor_address_is_told() -> None:
    with serving(good) as (client, _):
        pass
    gone = OpenAIEmbeddings(
        Endpoint(base_url="http://127.0.0.1:1/v1", name="embed-1", key=KEY, dimensions=3, deadline_s=5)
    )
    with pytest.raises(Transient, match="VM-2611") as raised:
        gone.embed(["Torvexil rash"])
    assert KEY not in f"{raised.value}{gone!r}{client!r}"
    assert "127.0.0.1" not in f"{raised.value}{gone!r}"
    gone.close()


def test_another_address_name_or_size_is_another_model() -> None:
    base = Endpoint(base_url="http://a.example/v1", name="one", key="", dimensions=3, deadline_s=5)
    others = (
        replace(base, base_url="http://b.example/v1"),
        replace(base, name="two"),
        replace(base, dimensions=4),
    )
    assert len({OpenAIEmbeddings(one).digest for one in (base, *others)}) == 4
    assert OpenAIEmbeddings(replace(base, key="x")).digest == OpenAIEmbeddings(base).digest
