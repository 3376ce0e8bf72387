"""Questions to a large model behind any OpenAI-compatible endpoint, by the `openai` client. Retries are not made here.

The client's own retries are off and redirects are not followed, so that one question is one request at most. Whether a
byte of it went out decides between *not made* and *in doubt* where no reply came, so the transport's own trace is read. A
connection that its server closed while it lay idle, and that fails when it is used again, is in doubt: the request was
written. Idle connections are therefore dropped early.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx2
import openai

from vigimesh.adapters.model_replies import MAX_REPLY_BYTES, cut, meaning_of, not_sent
from vigimesh.clock import Clock
from vigimesh.domain.cascade.question import Answer, InDoubt, NotMade, Question, schema_of
from vigimesh.errors import Misconfigured

#: Seconds to connect, TLS included; a deadline that is shorter holds.
CONNECT_S = 5.0
#: Connections at once, idle ones kept, and the seconds for which one is kept: shorter than the 5 s after which common
#: servers close it. 200 calls a second of 250 ms need 50 at once.
CONNECTIONS, IDLE, IDLE_S = 256, 64, 3.0

#: Their debug lines hold prompts and headers.
_TALKERS = ("openai", "httpx2", "httpcore2")

#: What a call without a key sends: local servers take anything, the client wants something.
_NO_KEY = "none"

#: What the client may say of a request.
_ITS_HEADERS = frozenset({"host", "connection", "accept", "content-type", "content-length"})

LimitField = Literal["max_tokens", "max_completion_tokens"]


@dataclass(slots=True)
class _Progress:
    """How far one call came."""

    written: bool = False
    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    async def saw(self, event: str, info: Any) -> None:
        """Take an event of the transport's trace."""
        if event.endswith(("send_request_headers.started", "send_request_body.started")):
            self.written = True


#: The call that the current task makes, set anew by each: the client hands nothing through to its hooks.
_PROGRESS: ContextVar[_Progress] = ContextVar("model_call")


class TooLong(Exception):
    """A reply went on past `MAX_REPLY_BYTES`."""


@dataclass(slots=True)
class _Bounded(httpx2.AsyncByteStream):
    """A reply's body that ends with `TooLong` rather than fill the memory."""

    inner: httpx2.AsyncByteStream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        seen = 0
        async for chunk in self.inner:
            seen += len(chunk)
            if seen > MAX_REPLY_BYTES:
                raise TooLong
            yield chunk

    async def aclose(self) -> None:
        """Close the connection's stream."""
        await self.inner.aclose()


class OpenAIModels:
    """`ports.Models` over an OpenAI-compatible endpoint. Belongs to one event loop; `close` it there."""

    def __init__(
        self,
        base_url: str,
        key: str,
        *,
        clock: Clock,
        limit_field: LimitField = "max_tokens",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Join to the endpoint whose `/chat/completions` lies under `base_url`; nothing is sent yet.

        `headers` go with every request. `limit_field` is the name under which the endpoint takes the bound of an answer.
        Raises `Misconfigured` VM-1102 for an address or key that no request could carry.
        """
        _check(base_url, key)
        for name in _TALKERS:
            logging.getLogger(name).setLevel(logging.WARNING)
        self._clock = clock
        self._limit_field = limit_field
        self._headers = {
            "authorization": f"Bearer {key or _NO_KEY}",
            # A packed reply could unpack to any size.
            "accept-encoding": "identity",
            "user-agent": "vigimesh",
            **(headers or {}),
        }
        self._http = httpx2.AsyncClient(
            follow_redirects=False,
            timeout=httpx2.Timeout(None, connect=CONNECT_S),
            limits=httpx2.Limits(
                max_connections=CONNECTIONS, max_keepalive_connections=IDLE, keepalive_expiry=IDLE_S
            ),
            event_hooks={"request": [self._watch], "response": [_bound]},
        )
        self._client = openai.AsyncOpenAI(
            base_url=base_url,
            api_key=key or _NO_KEY,
            max_retries=0,
            http_client=self._http,
        )

    def __repr__(self) -> str:
        """Show neither address nor key."""
        return "OpenAIModels()"

    async def ask(self, question: Question) -> Answer | NotMade | InDoubt:
        """Ask once, and end within `question.deadline_s` seconds whatever the endpoint does. Raises nothing of its own.

        Cancelled, it closes its connection and lets the cancellation through: the caller's call is then in doubt.
        """
        progress = _Progress()
        _PROGRESS.set(progress)
        try:
            async with asyncio.timeout(question.deadline_s):
                return await self._once(question, progress)
        except TimeoutError:
            return self._broke_off(progress, f"no answer within {question.deadline_s:g} s")

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()

    async def _watch(self, request: httpx2.Request) -> None:
        """Let the transport tell the call how far it is; send our headers and none of the client's.

        It adds some from variables of the environment that are no settings of ours (`OPENAI_CUSTOM_HEADERS` could even put
        another key in), and says on what machine it runs.
        """
        request.extensions = {**request.extensions, "trace": _PROGRESS.get().saw}
        for name in set(request.headers) - _ITS_HEADERS:
            del request.headers[name]
        request.headers.update(self._headers)

    async def _once(self, question: Question, progress: _Progress) -> Answer | NotMade | InDoubt:
        body = request_body(question, self._limit_field)
        try:
            # The client's general request and not `chat.completions.create`, which checks each part of the body against its
            # types (a third of the CPU of a call) and builds an answer without checking it.
            reply = await self._client.post("/chat/completions", cast_to=httpx2.Response, body=body)
        except openai.APIStatusError as error:
            return self._meaning(error.response)
        except TooLong:
            return self._broke_off(progress, f"the answer is longer than {MAX_REPLY_BYTES} bytes")
        except (openai.OpenAIError, httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError) as error:
            # The name of the kind alone: what an error says may hold an address with its password.
            return self._broke_off(
                progress, f"the connection failed: {type(error.__cause__ or error).__name__}"
            )
        return self._meaning(reply)

    def _meaning(self, response: Any) -> Answer | NotMade | InDoubt:
        headers = {name.lower(): value for name, value in response.headers.items()}
        return meaning_of(response.status_code, headers, response.content, self._clock.now())

    def _broke_off(self, progress: _Progress, why: str) -> NotMade | InDoubt:
        if not progress.written:
            return not_sent(why)
        return cut(progress.status, progress.headers, self._clock.now(), why)


def _check(base_url: str, key: str) -> None:
    """Raise `Misconfigured` for what would fail in each request, with an error that shows it."""
    try:
        address = httpx2.URL(base_url)
        right = address.scheme in {"http", "https"} and bool(address.host) and not address.userinfo
        right = right and 0 < (address.port or 80) < 65_536
    except httpx2.InvalidURL:
        right = False
    if not right:
        raise Misconfigured(
            "VM-1102", what="the address of the large model is no HTTP address, or holds a user",
            where="VIGIMESH_LARGE_MODEL__BASE_URL",
            todo="write it such as https://models.example/v1, and the key in VIGIMESH_LARGE_MODEL__KEY",
        )  # fmt: skip
    if not (key.isascii() and key.isprintable()):
        raise Misconfigured(
            "VM-1102", what="the key of the large model has characters that no HTTP header takes",
            where="VIGIMESH_LARGE_MODEL__KEY", todo="copy it again",
        )  # fmt: skip


def request_body(question: Question, limit_field: LimitField) -> dict[str, Any]:
    """Return the body of the request, as the chat completions of OpenAI take it."""
    body: dict[str, Any] = {
        "model": question.model,
        "messages": [{"role": message.role, "content": message.text} for message in question.messages],
        limit_field: question.max_tokens,
    }
    if question.schema is not None:
        schema = {"name": question.schema.name, "schema": schema_of(question.schema), "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return body


async def _bound(response: httpx2.Response) -> None:
    """Keep the head of a reply, in case its body never ends, and bound the body."""
    progress = _PROGRESS.get()
    progress.status = response.status_code
    progress.headers = {name.lower(): value for name, value in response.headers.items()}
    if isinstance(response.stream, httpx2.AsyncByteStream):
        response.stream = _Bounded(response.stream)
