"""A whole mesh in tests: the command line as a process, a mesh that runs, and a collector of its spans."""

from __future__ import annotations

import gzip
import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import psutil
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from vigimesh.adapters.kafka.history import scan
from vigimesh.app.devstack.state import StackUrls, read_state
from vigimesh.app.mesh.state import read_mesh
from vigimesh.domain.record.rows import Row
from vigimesh.errors import Transient
from vigimesh.events.codec import Codec
from vigimesh.events.topics import topic

COMMAND = (sys.executable, "-m", "vigimesh")

#: Seconds for one command on a machine that does other things too: a run with its own stack takes about 20.
COMMAND_S = 240.0

#: What a machine may lack for a stack: the test then skips, or fails in CI (tests/conftest.py).
_MISSING = re.compile(r"VM-12(?:0[3-8]|10)\b")

#: The keys that the object of `vigimesh run --json` must have, by the issue that asked for it.
KEYS = frozenset({
    "read", "accepted", "refused", "decided", "in_review", "parked", "dead_lettered", "in_flight", "lost",
    "duplicated", "cases_per_second", "triage_p50_s", "triage_p99_s", "triage_censored", "peak_rss_bytes",
    "skipped_files",
})  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a command did."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """Standard output, which must hold one JSON object and nothing else."""
        found: dict[str, Any] = json.loads(self.out)
        return found


def vigimesh(*arguments: object) -> Answer:
    """Run the command line in a process of its own and wait for its end."""
    ended = subprocess.run(
        [*COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=COMMAND_S, check=False
    )
    refuse_missing(ended.stderr)
    return Answer(status=ended.returncode, out=ended.stdout, err=ended.stderr)


def refuse_missing(said: str) -> None:
    """Raise `Transient` when a command said that this machine cannot start a stack."""
    if _MISSING.search(said):
        raise Transient("VM-1203", what=said.strip().splitlines()[-1], where="this machine", todo="see there")


def sums_hold(found: Mapping[str, Any]) -> None:
    """Assert what must hold for every run, whatever it read."""
    assert found.keys() >= KEYS
    assert found["read"] == found["accepted"] + found["refused"]
    places = ("decided", "in_review", "parked", "dead_lettered", "in_flight")
    assert found["accepted"] == sum(found[place] for place in places)
    assert (found["lost"], found["duplicated"], found["torn"], found["in_flight"]) == (0, 0, 0, 0)


def workers(pid: int) -> dict[str, int]:
    """Find the workers among the children of a process, as `ps` shows them: seat (`planner.hot`) -> process number."""
    found = {}
    for child in psutil.Process(pid).children():
        try:
            shown = re.search(r"vigimesh worker (\S+)(?: --lane (\S+))?", " ".join(child.cmdline()))
        except psutil.Error:  # one that has just ended
            continue
        if shown:
            found[".".join(filter(None, shown.groups()))] = child.pid
    return found


def child_of(pid: int, words: str) -> psutil.Process | None:
    """Return a child of a process whose command line holds these words, nothing while there is none."""
    for child in psutil.Process(pid).children():
        try:
            if words in " ".join(child.cmdline()):
                return child
        except psutil.Error:  # one that has just ended
            continue
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mesh:
    """A mesh that `vigimesh dev` keeps on a folder; `spans` has what its workers tell of their work.

    `codec` is kept, for it asks the registry for each schema once.
    """

    data: Path
    pid: int
    spans: Collector
    codec: Codec

    @property
    def urls(self) -> StackUrls:
        """Where the parts of its stack answer."""
        found = read_state(self.data)
        assert found is not None
        return found.urls

    @property
    def health(self) -> Mapping[str, str]:
        """Where each worker's `/readyz` and `/metrics` answer."""
        found = read_mesh(self.data)
        assert found is not None
        return found.urls

    def run(self, source: Path, *options: str) -> Answer:
        """Send a file or folder through it."""
        return vigimesh("run", "--stack", self.data, "--from", source, "--json", *options)

    def case(self, *arguments: str) -> dict[str, Any]:
        """Ask `vigimesh case` and return its JSON."""
        answer = vigimesh("case", *arguments, "--data", self.data, "--json")
        assert answer.status == 0, answer.err
        return answer.json

    def rows(self, *names: str) -> list[Row]:
        """Return every committed record of these topics (short names)."""
        return list(scan(self.urls.kafka, [topic(name) for name in names]))

    def events(self, name: str) -> list[Any]:
        """Return the events of a topic (short name), decoded; what a test wrote without headers is passed over."""
        rows = [row for row in self.rows(name) if row.headers.type]
        return [self.codec.decode(row.topic, row.value) for row in rows if row.value is not None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """One span as a collector receives it; ids in hexadecimal, no parent empty."""

    service: str
    trace: str
    span: str
    parent: str
    attributes: Mapping[str, str]


class Collector:
    """Receives spans by OTLP over HTTP, as any OpenTelemetry collector does."""

    def __init__(self) -> None:
        self._spans: list[Span] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self._spans))
        self._thread = threading.Thread(target=self._server.serve_forever, name="collector", daemon=True)

    @property
    def url(self) -> str:
        """What OTEL_EXPORTER_OTLP_ENDPOINT takes."""
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def of(self, trace: str) -> list[Span]:
        """Return the spans of a trace that have come so far."""
        return [span for span in tuple(self._spans) if span.trace == trace]

    def __enter__(self) -> Collector:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _handler(spans: list[Span]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            if self.path == "/v1/traces":
                spans.extend(_spans(ExportTraceServiceRequest.FromString(body)))
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    return Handler


def _spans(request: ExportTraceServiceRequest) -> Iterable[Span]:
    for group in request.resource_spans:
        told = {one.key: one.value.string_value for one in group.resource.attributes}
        for scope in group.scope_spans:
            for one in scope.spans:
                yield Span(
                    service=told.get("service.name", ""), trace=one.trace_id.hex(), span=one.span_id.hex(),
                    parent=one.parent_span_id.hex(),
                    attributes={each.key: each.value.string_value for each in one.attributes},
                )  # fmt: skip
