"""Questions to a large model behind any OpenAI-compatible endpoint, by the `openai` client. Retries are not made here.

The client's own retries are off and redirects are not followed, so that one question is one request at most. Whether a
byte of it may have gone out decides between *not made* and *in doubt* where no reply came, so what sends tells whether it had a
connection (`wire`). A connection that its server closed while it lay idle, and that fails when it is used again, is in doubt:
the request was written. Idle connections are therefore dropped early.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Mapping
from typing import Any, Literal

import httpx2
import msgspec
import openai

from vigimesh.adapters.models.replies import MAX_REPLY_BYTES, cut, meaning_of, not_sent
from vigimesh.adapters.models.wire import PROGRESS, Bounds, Progress, TooLong, Wire
from vigimesh.clock import Clock
from vigimesh.domain.cascade.question import Answer, InDoubt, NotMade, Question, schema_of
from vigimesh.errors import Misconfigured

#: Seconds to connect, TLS included; a deadline that is shorter holds.
CONNECT_S = 5.0
#: Connections at once, and the seconds for which an idle one is kept: shorter than the 5 s after which common servers close it.
#: 200 calls a second of 250 ms need 50 at once.
CONNECTIONS, IDLE_S = 256, 3.0

#: Loggers whose debug lines hold prompts and headers.
TALKERS = ("openai", "httpx2", "httpcore2", "aiohttp")

#: What a call without a key sends: local servers take anything, the client wants something.
NO_KEY = "none"

LimitField = Literal["max_tokens", "max_completion_tokens"]


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
        check_endpoint(base_url, key)
        for name in TALKERS:
            logging.getLogger(name).setLevel(logging.WARNING)
        self._clock = clock
        self._limit_field = limit_field
        self._http = Wire(
            base_url,
            {
                "authorization": f"Bearer {key or NO_KEY}",
                # A packed reply could unpack to any size.
                "accept-encoding": "identity",
                "user-agent": "vigimesh",
                **(headers or {}),
            },
            Bounds(
                connect_s=CONNECT_S,
                connections=CONNECTIONS,
                idle_s=IDLE_S,
                reply_bytes=MAX_REPLY_BYTES,
            ),
        )
        self._client = openai.AsyncOpenAI(
            base_url=base_url,
            api_key=key or NO_KEY,
            max_retries=0,
            http_client=self._http,
        )
        #: Whole, since the client joins a part to its base anew for each request: a twentieth of what a question costs.
        self._address = str(self._client.base_url.join("chat/completions"))

    def __repr__(self) -> str:
        """Show neither address nor key."""
        return "OpenAIModels()"

    async def ask(
        self, question: Question, leave: Awaitable[None] | None = None
    ) -> Answer | NotMade | InDoubt:
        """Ask once, and end within `question.deadline_s` seconds whatever the endpoint does. Raises nothing of its own.

        Cancelled, it closes its connection and lets the cancellation through: the caller's call is then in doubt.
        """
        progress = Progress()
        PROGRESS.set(progress)
        try:
            async with asyncio.timeout(None) as bound:

                async def may_go() -> None:
                    if leave is not None:
                        await leave
                    bound.reschedule(asyncio.get_running_loop().time() + question.deadline_s)

                progress.may_go = may_go
                return await self._once(question, progress)
        except TimeoutError:
            return self._broke_off(progress, f"no answer within {question.deadline_s:g} s")

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()

    async def _once(self, question: Question, progress: Progress) -> Answer | NotMade | InDoubt:
        body = msgspec.json.encode(request_body(question, self._limit_field))
        try:
            # The client's general request and not `chat.completions.create`, which checks each part of the body against its
            # types (a third of the CPU of a call) and builds an answer without checking it.
            reply = await self._client.post(self._address, cast_to=httpx2.Response, content=body)
        except openai.APIStatusError as error:
            return self._meaning(error.response, progress)
        except TooLong:
            return self._broke_off(progress, f"the answer is longer than {MAX_REPLY_BYTES} bytes")
        except (openai.OpenAIError, httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError) as error:
            # The name of the kind alone: what an error says may hold an address with its password.
            return self._broke_off(
                progress, f"the connection failed: {type(error.__cause__ or error).__name__}"
            )
        return self._meaning(reply, progress)

    def _meaning(self, reply: httpx2.Response, progress: Progress) -> Answer | NotMade | InDoubt:
        return meaning_of(reply.status_code, progress.headers, reply.content, self._clock.now())

    def _broke_off(self, progress: Progress, why: str) -> NotMade | InDoubt:
        if not progress.written:
            return not_sent(why)
        return cut(progress.status, progress.headers, self._clock.now(), why)


def check_endpoint(base_url: str, key: str) -> None:
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
