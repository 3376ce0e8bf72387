"""A question to a model, and the three ways in which it ends: answered, not made, or in doubt. Values only."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal

from vigimesh.errors import Broken, Refused
from vigimesh.events.ids import digest

#: Seconds that one question may take at most: ten minutes, what public endpoints end a request after themselves.
MAX_DEADLINE_S = 600.0
#: Tokens of one answer at most: above the longest output that a public model offers today (128,000).
MAX_ANSWER_TOKENS = 1_000_000
#: Tokens of one call, for each of prompt and answer: the longest published context is ten million.
MAX_TOKENS = 100_000_000
#: UTF-8 bytes of all messages and the schema together: 4 MiB, beyond every context window (a million tokens or so).
MAX_PROMPT_BYTES = 4_194_304

#: The code of what was not made because its batch came to its end first.
EXPIRED = "VM-1621"

#: Answer schemas whose canonical text is kept: those of the prompts, and those of a few drafts, which name their own sources.
SCHEMAS = 64

#: The same bytes for the same value, whatever order its keys came in.
_CANONICAL = json.JSONEncoder(ensure_ascii=True, sort_keys=True, separators=(",", ":"))

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a prompt. Its text stays out of `repr`, and so out of logs."""

    role: Role
    text: str

    def __repr__(self) -> str:
        """Say only who speaks, and how much."""
        return f"Message({self.role}, {len(self.text)} characters)"


@dataclass(frozen=True, slots=True)
class AnswerSchema:
    """The JSON schema that an answer must match: `body` is the schema as JSON text, `name` what it is called."""

    name: str
    body: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What one call asks: at most `max_tokens` tokens of answer, within `deadline_s` seconds from the call on.

    Raises `Refused` VM-2101 for what no model could be asked: no message, a bound that is none, a text that is no UTF-8
    (half a surrogate pair), a schema that is no JSON object.
    """

    model: str
    messages: tuple[Message, ...]
    max_tokens: int
    deadline_s: float
    schema: AnswerSchema | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be asked, before anything is reserved for it."""
        if not self.model or not self.messages:
            raise _refused("it names no model or has no message")
        if not 1 <= self.max_tokens <= MAX_ANSWER_TOKENS:
            raise _refused(f"max_tokens is {self.max_tokens}, not 1 to {MAX_ANSWER_TOKENS}")
        if not (math.isfinite(self.deadline_s) and 0 < self.deadline_s <= MAX_DEADLINE_S):
            raise _refused(f"deadline_s is {self.deadline_s}, not above 0 and up to {MAX_DEADLINE_S:g}")
        try:
            size = prompt_bytes(self)
        except UnicodeEncodeError:
            raise _refused("a text cannot be written as UTF-8") from None
        if size > MAX_PROMPT_BYTES:
            raise _refused(f"it is {size} bytes long, at most {MAX_PROMPT_BYTES}")
        if self.schema is not None:
            schema_of(self.schema)


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens of one call as the endpoint counts them; `cached` is the part of `prompt` that was cached there and has its own price.

    Raises `Refused` VM-1905 for counts that cannot be.
    """

    prompt: int
    cached: int
    completion: int

    def __post_init__(self) -> None:
        counts = (self.prompt, self.cached, self.completion)
        whole = all(type(count) is int and 0 <= count <= MAX_TOKENS for count in counts)
        if not whole or self.cached > self.prompt:
            raise Refused(
                "VM-1905", what=f"usage {counts} is none", where="tokens of a call",
                todo="charge what was reserved: cached tokens are a part of those of the prompt",
            )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The endpoint answered and said what it used: paid, whatever the text is worth.

    `finish` is the endpoint's own word: `stop`, `length` (cut at `max_tokens`), `content_filter`, ...; `refusal` when the
    model declined, `nothing` when no text came. `model` is what the endpoint says that it ran, which may be a dated
    version of what was asked for; a stand-in's begins with `standin-`. The text stays out of `repr`.
    """

    text: str
    tokens: Tokens
    finish: str
    model: str = ""

    def __repr__(self) -> str:
        """Leave the text out."""
        return f"Answer({len(self.text)} characters, {self.tokens}, {self.finish}, {self.model})"


@dataclass(frozen=True, slots=True, kw_only=True)
class NotMade:
    """Nothing was worked out and nothing is owed: the reservation goes back.

    `retry_after_s` is what the endpoint asked for, `None` when it asked for nothing. `mend` says what a person must change
    before the same question can succeed; while it is empty, the cause may pass by itself. `code` is an error code.
    """

    why: str
    retry_after_s: float | None = None
    mend: str = ""
    code: str = "VM-2103"


@dataclass(frozen=True, slots=True, kw_only=True)
class InDoubt:
    """Nobody knows whether the call was worked out and billed: it counts as its worst case and is not made again.

    `code` is an error code.
    """

    why: str
    code: str = "VM-2104"


def prompt_bytes(question: Question) -> int:
    """Return the UTF-8 bytes of all texts of a question, schema included. Raises `UnicodeEncodeError`."""
    texts = [message.text for message in question.messages]
    if question.schema is not None:
        texts += (question.schema.name, question.schema.body)
    return sum(len(text.encode()) for text in texts)


def prompt_digest(question: Question) -> str:
    """Return the digest (64 hexadecimal digits) under which a call is remembered: the same for the same thing asked.

    Model, messages, `max_tokens` and the schema's content count; its name and the deadline do not.
    """
    schema = "null" if question.schema is None else _canonical(question.schema)
    return _digest(
        question.model,
        [(message.role, message.text) for message in question.messages],
        question.max_tokens,
        schema,
    )


def digest_of(model: str, messages: Sequence[tuple[str, str]], max_tokens: int, schema: Any) -> str:
    """Return what `prompt_digest` returns, from the parts: `messages` are (role, text), `schema` is decoded JSON or `None`."""
    return _digest(model, messages, max_tokens, _CANONICAL.encode(schema))


def _digest(model: str, messages: Sequence[tuple[str, str]], max_tokens: int, schema: str) -> str:
    """Return the digest of the canonical list of all four; the last one, which is the same for every case, is already text."""
    return digest(f"{_CANONICAL.encode([model, messages, max_tokens])[:-1]},{schema}]".encode())


@lru_cache(maxsize=SCHEMAS)
def _canonical(schema: AnswerSchema) -> str:
    return _CANONICAL.encode(schema_of(schema))


def schema_of(schema: AnswerSchema) -> dict[str, Any]:
    """Return the schema as decoded JSON. Raises `Refused` VM-2101 when it is no JSON object."""
    try:
        value = json.loads(schema.body)
    except ValueError:
        value = None
    if not isinstance(value, dict) or not schema.name:
        raise _refused("its answer schema has no name or is no JSON object")
    return value


def write_answer(answer: Answer) -> bytes:
    """Return an answer as bytes, the same bytes for the same answer: what the call journal stores."""
    tokens = answer.tokens
    told = {
        "text": answer.text, "finish": answer.finish, "model": answer.model,
        "tokens": {"prompt": tokens.prompt, "cached": tokens.cached, "completion": tokens.completion},
    }  # fmt: skip
    return _CANONICAL.encode(told).encode()


def read_answer(data: bytes) -> Answer:
    """Return the answer that `write_answer` wrote. Raises `Broken` VM-2105 for other bytes."""
    try:
        value = json.loads(data)
        return Answer(**{**value, "tokens": Tokens(**value["tokens"])})
    except (ValueError, TypeError, KeyError, Refused) as error:
        raise Broken(
            "VM-2105", what="a stored answer cannot be read", where="call journal",
            todo="restore the journal from a copy; do not trust what cites this answer until then",
        ) from error  # fmt: skip


def _refused(why: str) -> Refused:
    return Refused(
        "VM-2101", what=f"this cannot be put to a model: {why}", where="question",
        todo="correct the prompt or the limits of the workflow card",
    )  # fmt: skip
