"""Batches of questions behind an OpenAI-compatible endpoint, by the `openai` client: files, batches, results. No retries here.

What each line of a result means is sorted as a single reply is (`replies`). A line in the error file, or one that the endpoint
did not come to, is *not made*: providers bill what a batch completed.
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any, Final

import httpx2
import msgspec
import openai
from openai.types import Batch

from vigimesh.adapters.models.openai import (
    CONNECT_S,
    NO_KEY,
    TALKERS,
    LimitField,
    check_endpoint,
    request_body,
)
from vigimesh.adapters.models.replies import meaning_of
from vigimesh.clock import Clock
from vigimesh.domain.budget.batching import MAX_ITEMS, Item
from vigimesh.domain.cascade.question import EXPIRED, Answer, InDoubt, NotMade
from vigimesh.errors import Transient

#: Seconds for one request: a file of some MiB goes up or comes down.
REQUEST_S = 120.0
#: Bytes of a result file that are read: 64 KiB for each question.
MAX_RESULT_BYTES = 65_536 * MAX_ITEMS
#: Batches that are looked through for one of ours, the newest first.
MAX_LISTED = 2_000
#: By how much the endpoint's clock may be behind when a batch is looked for by its age.
CLOCKS = timedelta(hours=1)
#: The key of a batch's metadata that holds its name.
NAME = "vigimesh_batch"
PATH: Final = "/v1/chat/completions"
#: What the client may say of a request.
_ITS_HEADERS = frozenset({"host", "connection", "accept", "content-type", "content-length"})
#: Words for a batch that goes on.
_GOES_ON = frozenset({"validating", "in_progress", "finalizing", "cancelling"})


class _Response(msgspec.Struct):
    status_code: int
    body: msgspec.Raw = msgspec.Raw(b"null")


class _Failure(msgspec.Struct):
    code: str | None = None


class _Line(msgspec.Struct):
    custom_id: str
    response: _Response | None = None
    error: _Failure | None = None


_LINE = msgspec.json.Decoder(_Line)
#: The code of a line that a batch did not come to (OpenAI's guide to its batches).
_EXPIRED = "batch_expired"


class OpenAIBatches:
    """`ports.Batches` over an OpenAI-compatible endpoint. Belongs to one event loop; `close` it there."""

    def __init__(
        self, base_url: str, key: str, *, clock: Clock, limit_field: LimitField = "max_tokens",
        headers: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        """Join to the endpoint under `base_url`; nothing is sent yet. Raises `Misconfigured` VM-1102 as `OpenAIModels` does."""
        check_endpoint(base_url, key)
        for name in TALKERS:
            logging.getLogger(name).setLevel(logging.WARNING)
        self._clock = clock
        self._limit_field = limit_field
        self._headers = {
            "authorization": f"Bearer {key or NO_KEY}", "accept-encoding": "identity", "user-agent": "vigimesh",
            **(headers or {}),
        }  # fmt: skip
        self._http = httpx2.AsyncClient(
            follow_redirects=False, timeout=httpx2.Timeout(REQUEST_S, connect=CONNECT_S),
            event_hooks={"request": [self._ours]},
        )  # fmt: skip
        self._client = openai.AsyncOpenAI(
            base_url=base_url, api_key=key or NO_KEY, max_retries=0, http_client=self._http
        )

    def __repr__(self) -> str:
        """Show neither address nor key."""
        return "OpenAIBatches()"

    async def close(self) -> None:
        """Close all connections."""
        await self._client.close()

    async def upload(self, items: Sequence[Item]) -> str:
        """Send the questions as a file; see `ports.Batches`."""
        data = b"".join(_line(one, self._limit_field) for one in items)
        async with _named("a file could not be sent"):
            return (await self._client.files.create(file=("vigimesh.jsonl", data), purpose="batch")).id

    async def create(self, file_id: str, name: str) -> str:
        """Begin a batch; see `ports.Batches`."""
        async with _named("a batch could not be created"):
            made = await self._client.batches.create(
                input_file_id=file_id, endpoint=PATH, completion_window="24h", metadata={NAME: name}
            )
            return made.id

    async def find(self, name: str, since: datetime) -> str:
        """Find a batch by its name; see `ports.Batches`."""
        earliest = (since - CLOCKS).timestamp()
        async with _named("the batches could not be listed"):
            listed = 0
            async for one in self._client.batches.list(limit=100):
                listed += 1
                if (one.metadata or {}).get(NAME) == name:
                    return one.id
                if one.created_at < earliest or listed >= MAX_LISTED:
                    break
            return ""

    async def results(
        self, batch_id: str
    ) -> Mapping[str, Answer | NotMade | InDoubt] | NotMade | InDoubt | None:
        """Return how each question ended, or all of them; see `ports.Batches`."""
        async with _named("the results of a batch could not be read"):
            try:
                batch = await self._client.batches.retrieve(batch_id)
                if batch.status in _GOES_ON:
                    return None
                if batch.status == "failed" and not batch.error_file_id and not batch.output_file_id:
                    return NotMade(why=f"the endpoint refused its batch ({_first_code(batch)})")
                found: dict[str, Answer | NotMade | InDoubt] = {}
                for file_id, failed in ((batch.error_file_id, True), (batch.output_file_id, False)):
                    for line in await self._lines(file_id):
                        found[line.custom_id] = self._meaning(line, failed=failed)
                return found
            except openai.NotFoundError:
                return InDoubt(why="the endpoint does not know its batch any more")

    async def _ours(self, request: httpx2.Request) -> None:
        """Send our headers and none that the client takes from its environment, as `OpenAIModels` does."""
        for name in set(request.headers) - _ITS_HEADERS:
            del request.headers[name]
        request.headers.update(self._headers)

    async def _lines(self, file_id: str | None) -> list[_Line]:
        if not file_id:
            return []
        async with self._client.files.with_streaming_response.content(file_id) as reply:
            data = b""
            async for chunk in reply.iter_bytes():
                data += chunk
                if len(data) > MAX_RESULT_BYTES:
                    raise Transient("VM-2402", what="a result file is too long", where="large model")
        return [_LINE.decode(line) for line in data.split(b"\n") if line.strip()]

    def _meaning(self, line: _Line, *, failed: bool) -> Answer | NotMade | InDoubt:
        if line.response is None or line.response.status_code != 200:
            code = (line.error.code if line.error else None) or (
                line.response.status_code if line.response else "nothing"
            )
            why = f"the batch did not answer it ({str(code)[:60]})"
            return NotMade(why=why, code=EXPIRED) if code == _EXPIRED else NotMade(why=why)
        if failed:
            return InDoubt(why="the batch lists an answer among what failed")
        return meaning_of(200, {}, bytes(line.response.body), self._clock.now())


def _first_code(batch: Batch) -> str:
    """Return the code of the first thing that is wrong with a batch's file; its words may repeat what was sent."""
    told = batch.errors.data if batch.errors else None
    return str((told[0].code if told else None) or "no code")[:60]


def _line(item: Item, limit_field: LimitField) -> bytes:
    asked: dict[str, Any] = {
        "custom_id": item.key, "method": "POST", "url": PATH, "body": request_body(item.question, limit_field),
    }  # fmt: skip
    return json.dumps(asked, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"


@asynccontextmanager
async def _named(what: str) -> AsyncIterator[None]:
    """Turn what the client raises into ours; what an endpoint says in an error is never repeated."""
    try:
        yield
    except openai.APIStatusError as error:
        raise _away(f"{what}: the endpoint answered {error.status_code}") from None
    except (openai.OpenAIError, httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError) as error:
        raise _away(f"{what}: {type(error.__cause__ or error).__name__}") from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise _away(f"{what}: a result file holds a line that is none") from None


def _away(what: str) -> Transient:
    return Transient(
        "VM-2402",
        what=what,
        where="large model",
        todo="nothing: the batcher asks again; see the endpoint's own pages",
    )
