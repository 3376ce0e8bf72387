"""What a worker reads from a registry is what the registry's own client reads, errors included."""

from __future__ import annotations

import base64
import json
import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from vigimesh.adapters.kafka.registry import RegistrySchemas
from vigimesh.adapters.kafka.registry_reader import RegistryReader
from vigimesh.app.devstack import Stack
from vigimesh.errors import Misconfigured, Refused, Transient, VigimeshError
from vigimesh.events.topics import TOPICS


@pytest.fixture
def both(applied_stack: Stack) -> tuple[RegistryReader, RegistrySchemas]:
    url = applied_stack.urls.registry
    return RegistryReader(url), RegistrySchemas({"url": url})


def test_ids_and_schemas_are_the_same(both: tuple[RegistryReader, RegistrySchemas]) -> None:
    reader, client = both
    for topic in TOPICS:
        number = reader.id_of(topic.subject)
        assert number == client.id_of(topic.subject)
        assert reader.schema(number) == client.schema(number)


def test_what_the_registry_does_not_know_is_refused(both: tuple[RegistryReader, RegistrySchemas]) -> None:
    for one in both:
        with pytest.raises(Refused, match="VM-1002 the registry does not know schema id 2000000000"):
            one.schema(2_000_000_000)
        with pytest.raises(Refused, match="VM-1002"):
            one.schema_by_guid(uuid.UUID(int=7))


class Registry:
    """Answers every request as a test says, and keeps who asked."""

    def __init__(self) -> None:
        self.status, self.body = 200, b"{}"
        self.asked: list[str] = []
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                registry.asked.append(self.headers.get("Authorization", ""))
                self.send_response(registry.status)
                self.send_header("Content-Length", str(len(registry.body)))
                self.end_headers()
                self.wfile.write(registry.body)

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers["Content-Length"]))
                self.do_GET()

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def registry() -> Iterator[Registry]:
    made = Registry()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.mark.parametrize(
    ("status", "body", "kind", "code"),
    [
        (404, {"error_code": 40403, "message": "x"}, Refused, "VM-1002"),
        (404, {"error_code": 404}, Misconfigured, "VM-1008"),
        (404, "page not found", Misconfigured, "VM-1008"),
        (401, {"error_code": 401}, Misconfigured, "VM-1008"),
        (429, {}, Transient, "VM-1301"),
        (503, "busy", Transient, "VM-1301"),
        (200, [], Misconfigured, "VM-1008"),
        (200, {"id": 1}, Misconfigured, "VM-1008"),
        (200, {"schema": "{}", "schemaType": "PROTOBUF"}, Refused, "VM-1002"),
        (200, {"schema": "no json"}, Refused, "VM-1002"),
        (200, {"schema": '"string"'}, Refused, "VM-1002"),
    ],
)
def test_an_answer_means_what_it_means(
    registry: Registry, status: int, body: object, kind: type[VigimeshError], code: str
) -> None:
    registry.status, registry.body = status, json.dumps(body).encode()
    with pytest.raises(kind, match=code):
        RegistryReader(registry.url).schema(1)


def test_what_is_no_json_is_no_registry(registry: Registry) -> None:
    registry.body = b"<html>"
    with pytest.raises(Misconfigured, match="VM-1008"):
        RegistryReader(registry.url).schema(1)


def test_a_subject_without_our_schema_says_what_to_do(registry: Registry) -> None:
    registry.status, registry.body = 404, b'{"error_code": 40401}'
    with pytest.raises(Misconfigured, match="VM-1009"):
        RegistryReader(registry.url).id_of(TOPICS[0].subject)


def test_each_schema_is_asked_for_once_and_by_whom_it_may_be(registry: Registry) -> None:
    registry.body = b'{"schema": "{\\"type\\": \\"record\\"}"}'
    reader = RegistryReader(f"{registry.url}/", user="reader", password="p:w")
    assert reader.schema(1) == reader.schema(1) == {"type": "record"}
    assert registry.asked == ["Basic " + base64.b64encode(b"reader:p:w").decode()]


def test_a_registry_that_is_away_is_transient() -> None:
    with pytest.raises(Transient, match="VM-1301"):
        RegistryReader("http://127.0.0.1:9").schema(1)


@pytest.mark.parametrize("address", ["", "nowhere", "nowhere:8081", "file:///etc/hostname"])
def test_what_is_no_address_is_said_before_anything_is_asked(address: str) -> None:
    with pytest.raises(Misconfigured, match="VM-1102"):
        RegistryReader(address)
