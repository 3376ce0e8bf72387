"""What the stand-in answers to each request, without a socket: the server plays it, a test may read it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from vigimesh.app.standin.batches import Desk, Refusal
from vigimesh.app.standin.chat import BILLED, FAULT, MODEL, Plan, StandIn, error_plan, json_of, tokens_of
from vigimesh.app.standin.embeddings import (
    DIMENSIONS,
    EMBED_MODEL,
    MAX_DIMENSIONS,
    MAX_INPUTS,
    embedded,
    packed,
)
from vigimesh.clock import Clock, SystemClock

#: What a name of a file or batch looks like in a path.
_NAMED = re.compile(r"/v1/(files|batches)/([\w.-]{1,100})(?:/(content|cancel))?")
_BOUNDARY = re.compile(r'boundary="?([^";]{1,200})"?')

#: Takes the match of a path, the query, headers and body.
Answering = Callable[["Request"], Any]


@dataclass(frozen=True, slots=True)
class Request:
    """One request: `headers` have lower-case names."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        """The path without its query."""
        return urlsplit(self.target).path

    def asked(self, name: str) -> str:
        """Return a value of the query, or nothing."""
        return parse_qs(urlsplit(self.target).query).get(name, [""])[0]

    def decoded(self) -> dict[str, Any]:
        """Return the body as a JSON object. Raises `Refusal` 400."""
        try:
            value = json.loads(self.body)
        except (ValueError, RecursionError):
            value = None
        if not isinstance(value, dict):
            raise Refusal(400, "invalid_request_error")
        return value


class _Wanted(msgspec.Struct):
    model: str
    input: str | list[str]
    dimensions: int = DIMENSIONS
    encoding_format: str = "float"


_WANTED = msgspec.json.Decoder(_Wanted)


@dataclass(slots=True)
class Routes:
    """All that one stand-in answers to."""

    standin: StandIn
    clock: Clock = field(default_factory=SystemClock)
    desk: Desk = field(init=False)

    def __post_init__(self) -> None:
        """Set up the desk for batches."""
        self.desk = Desk(self.standin, self.clock)

    def plan(self, request: Request) -> Plan:
        """Return what becomes of a request.

        A fault that its headers ask for strikes before anything is done, or, when it is one that may have been worked on (500,
        a connection that is closed), after.
        """
        if (request.method, request.path) == ("POST", "/v1/chat/completions"):
            return self.standin.plan(request.body, request.headers)
        fault = request.headers.get(FAULT, "")
        if fault.isdigit() and fault not in BILLED:
            return error_plan(int(fault), 0.0, "1")
        try:
            done = self._done(request)
        except Refusal as refusal:
            return self.standin.refuse(refusal.status, refusal.code)
        if fault.isdigit():
            return error_plan(int(fault))
        if fault in {"hang", "close", "cut"}:
            return Plan(
                status=200,
                body=done,
                manner="close" if fault == "close" else "cut" if fault == "cut" else "hang",
            )
        return Plan(status=200, body=done)

    def _done(self, request: Request) -> bytes:
        answering = self._plain().get((request.method, request.path))
        if answering is not None:
            return json_of(answering(request))
        found = _NAMED.fullmatch(request.path)
        if found is None:
            raise Refusal(404, "not_found")
        what, name, then = found[1], found[2], found[3] or ""
        match (request.method, what, then):
            case ("GET", "files", ""):
                return json_of(self.desk.file(name).shown())
            case ("GET", "files", "content"):
                return self.desk.file(name).data
            case ("DELETE", "files", ""):
                del self.desk.files[self.desk.file(name).id]
                return json_of({"id": name, "object": "file", "deleted": True, "stand_in": True})
            case ("GET", "batches", ""):
                return json_of(self.desk.shown(self.desk.batch(name)))
            case ("POST", "batches", "cancel"):
                return json_of(self.desk.shown(self.desk.cancel(name)))
        raise Refusal(404, "not_found")

    def _plain(self) -> dict[tuple[str, str], Answering]:
        return {
            ("GET", "/v1/models"): lambda _: _models(),
            ("GET", "/standin/calls"): lambda _: self.standin.account() | {"batches": len(self.desk.batches)},
            ("POST", "/standin/clock"): self._moved,
            ("POST", "/v1/embeddings"): self._embedded,
            ("POST", "/v1/files"): self._uploaded,
            ("POST", "/v1/batches"): lambda request: self.desk.shown(self.desk.create(request.decoded())),
            ("GET", "/v1/batches"): self._page,
        }

    def _moved(self, request: Request) -> Any:
        seconds = request.decoded().get("forward_s")
        if not isinstance(seconds, int | float):
            raise Refusal(400, "invalid_request_error")
        return {"ahead_s": self.desk.forward(float(seconds)), "stand_in": True}

    def _page(self, request: Request) -> Any:
        limit = request.asked("limit")
        return self.desk.page(request.asked("after"), int(limit) if limit.isdigit() else 20)

    def _uploaded(self, request: Request) -> Any:
        parts = _form(request.headers.get("content-type", ""), request.body)
        name, data = parts.get("file", ("", b""))
        purpose = parts.get("purpose", ("", b""))[1].decode(errors="replace")
        if "file" not in parts or purpose != "batch":
            raise Refusal(400, "invalid_request_error")
        return self.desk.put(data, purpose, name or "file.jsonl").shown()

    def _embedded(self, request: Request) -> Any:
        try:
            wanted = _WANTED.decode(request.body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise Refusal(400, "invalid_request_error") from None
        texts = [wanted.input] if isinstance(wanted.input, str) else wanted.input
        fits = 1 <= len(texts) <= MAX_INPUTS and all(texts) and 1 <= wanted.dimensions <= MAX_DIMENSIONS
        if not fits or wanted.encoding_format not in {"float", "base64"}:
            raise Refusal(400, "invalid_request_error")
        if wanted.model != EMBED_MODEL:
            raise Refusal(404, "model_not_found")
        vectors = [embedded(text, wanted.dimensions, self.standin.profile.seed) for text in texts]
        tokens = sum(tokens_of(text) for text in texts)
        self.standin.embedded.calls += 1
        self.standin.embedded.add(tokens, 0, 0)
        shown: list[Any] = (
            [packed(one) for one in vectors] if wanted.encoding_format == "base64" else list(vectors)
        )
        return {
            "object": "list", "model": EMBED_MODEL, "stand_in": True,
            "data": [{"object": "embedding", "index": at, "embedding": one} for at, one in enumerate(shown)],
            "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
        }  # fmt: skip


def _models() -> dict[str, Any]:
    shown = [
        {"id": name, "object": "model", "created": 0, "owned_by": "stand-in, not a model"}
        for name in (MODEL, EMBED_MODEL)
    ]
    return {"object": "list", "data": shown, "stand_in": True}


def _form(content_type: str, body: bytes) -> dict[str, tuple[str, bytes]]:
    """Return the parts of a `multipart/form-data` body by their names: file name (or nothing) and bytes (RFC 7578)."""
    found = _BOUNDARY.search(content_type)
    if not content_type.startswith("multipart/form-data") or found is None:
        raise Refusal(400, "invalid_request_error")
    parts = {}
    for piece in (b"\r\n" + body).split(b"\r\n--" + found[1].encode())[1:]:
        head, blank, data = piece.partition(b"\r\n\r\n")
        said = head.decode("latin-1")
        named = re.search(r'\bname="([^"]*)"', said)
        file = re.search(r'filename="([^"]*)"', said)
        if blank and named is not None:
            parts[named[1]] = (file[1] if file else "", data)
    return parts
