"""One request to the stand-in and what becomes of it, without a socket; the server plays it, the memory twin reads it."""

from __future__ import annotations

import json
from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec

from vigimesh.app.standin import oracle
from vigimesh.app.standin.gold import Gold
from vigimesh.app.standin.profile import MAX_LATENCY_MS, Profile, known
from vigimesh.domain.cascade.question import digest_of
from vigimesh.events.ids import digest

#: The one model that it has. Every name of a stand-in begins like this.
MODEL = "standin-1"
#: The header of every reply, and what it says.
MARK = ("x-stand-in", f"{MODEL}; not a model")
#: Request headers by which a test says what shall happen.
FAULT, LATENCY_MS, RETRY_AFTER = "x-standin-fault", "x-standin-latency-ms", "x-standin-retry-after"
LABEL, ACCURACY, CACHED = "x-standin-label", "x-standin-accuracy", "x-standin-cached"

#: Prompts that are told apart, so that the memory has an end; a new one beyond gets 503 with a code that says so.
MAX_DIGESTS = 1_000_000
#: Blocks of prompts that count as cached.
MAX_PREFIXES = 100_000
#: A prompt is cached from 1,024 tokens on, in steps of 128 (OpenAI's guide to prompt caching).
CACHED_FROM, CACHED_STEP = 1_024, 128
#: Bytes that count as one token: about what English text has. Fewer tokens than `domain.cascade.tokens` allows for.
TOKEN_BYTES = 4
MESSAGE_TOKENS = REPLY_TOKENS = 3
#: Tokens of an answer when a request names no bound.
DEFAULT_ANSWER_TOKENS = 1_024

#: Statuses after which work may have been done, and is billed here, so that whoever takes one for free is found out.
BILLED = frozenset({"500", "502", "504"})

Manner = Literal["whole", "cut", "drip", "hang", "close"]
#: Faults that are a manner of answering.
_MANNERS: Mapping[str, Manner] = {"cut": "cut", "drip": "drip", "hang": "hang", "close": "close"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What the server does: after `after_s` seconds, a status, headers and a body, in a manner."""

    status: int
    body: bytes
    after_s: float = 0.0
    manner: Manner = "whole"
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(slots=True)
class Tally:
    """Calls of one prompt: how many came, how many a real endpoint would have billed, and the tokens billed."""

    calls: int = 0
    billed: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0

    def add(self, prompt: int, cached: int, completion: int) -> None:
        """Bill one call."""
        self.billed += 1
        self.prompt_tokens += prompt
        self.cached_tokens += cached
        self.completion_tokens += completion


class _Message(msgspec.Struct):
    role: str
    content: str


class _Format(msgspec.Struct):
    type: str
    json_schema: dict[str, Any] | None = None


class _Request(msgspec.Struct):
    model: str
    messages: list[_Message]
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    response_format: _Format | None = None
    stream: bool = False

    @property
    def limit(self) -> int:
        """The bound of the answer, in tokens."""
        return self.max_tokens or self.max_completion_tokens or DEFAULT_ANSWER_TOKENS

    @property
    def pairs(self) -> list[tuple[str, str]]:
        """The messages as (role, text)."""
        return [(one.role, one.content) for one in self.messages]

    @property
    def schema(self) -> Any:
        """The schema of the answer as decoded JSON, or `None`."""
        return (self.response_format.json_schema or {}).get("schema") if self.response_format else None


_REQUEST = msgspec.json.Decoder(_Request)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wishes:
    """What the headers of a request ask for; `None` leaves it to the profile."""

    fault: str | None
    after_s: float | None
    retry_after: str | None
    label: dict[str, Any]
    accuracy: float | None
    cached: int | None

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> _Wishes:
        """Read headers with lower-case names. Raises `ValueError` for what is no wish."""
        fault, label = headers.get(FAULT), json.loads(headers.get(LABEL, "{}"))
        if (fault and not known(fault)) or not isinstance(label, dict):
            raise ValueError(fault)
        millis, accuracy, cached = headers.get(LATENCY_MS), headers.get(ACCURACY), headers.get(CACHED)
        if millis is not None and not 0 <= float(millis) <= MAX_LATENCY_MS:
            raise ValueError(millis)
        return cls(
            fault=fault,
            after_s=None if millis is None else float(millis) / 1000,
            retry_after=headers.get(RETRY_AFTER),
            label=label,
            accuracy=None if accuracy is None else float(accuracy),
            cached=None if cached is None else int(cached),
        )


#: What a request without our headers asks for.
_NO_WISHES = _Wishes.of({})


@dataclass(slots=True)
class StandIn:
    """The stand-in's mind: its profile, what it has been told and asked, and what it would have billed."""

    profile: Profile = field(default_factory=Profile)
    gold: Gold = field(default_factory=Gold)
    #: The model that it takes questions for; its answers say what it is all the same.
    name: str = MODEL
    by_digest: dict[str, Tally] = field(default_factory=dict)
    #: What of it came in batches.
    batched: Tally = field(default_factory=Tally)
    embedded: Tally = field(default_factory=Tally)
    #: Requests that were no chat completion, by status.
    refused: Counter[int] = field(default_factory=Counter)
    _prefixes: OrderedDict[str, None] = field(default_factory=OrderedDict)

    def plan(self, body: bytes, headers: Mapping[str, str], *, in_batch: bool = False) -> Plan:
        """Count a request for a chat completion and say what becomes of it; `headers` have lower-case names.

        One `in_batch` takes no time of its own and fails only by status.
        """
        try:
            asked, wishes = _REQUEST.decode(body), _Wishes.of(headers)
            if asked.stream or not asked.messages or asked.limit < 1:
                raise ValueError
        except (msgspec.DecodeError, UnicodeDecodeError, ValueError):
            return self.refuse(400, "invalid_request_error")
        if asked.model != self.name:
            return self.refuse(404, "model_not_found")
        name = digest_of(asked.model, asked.pairs, asked.limit, asked.schema)
        if name not in self.by_digest and len(self.by_digest) >= MAX_DIGESTS:
            return self.refuse(503, "stand_in_is_full")
        tally = self.by_digest.setdefault(name, Tally())
        tally.calls += 1
        if in_batch:
            self.batched.calls += 1
            fault = self.profile.batch.fault(self.profile.seed, name, tally.calls)
            if fault:
                return error_plan(int(fault))
            text, usage = self._worked(name, asked, _NO_WISHES, (tally, self.batched))
            return _reply(name, text, usage, 0.0, "")
        return self._planned(name, asked, wishes, tally)

    def _planned(self, name: str, asked: _Request, wishes: _Wishes, tally: Tally) -> Plan:
        after_s, fault = self.profile.draw(name, tally.calls)
        after_s = after_s if wishes.after_s is None else wishes.after_s
        fault = fault if wishes.fault is None else wishes.fault
        # What a client takes for "not made" must cost nothing, and nothing else may.
        if fault.isdigit() and fault not in BILLED:
            return error_plan(int(fault), after_s, wishes.retry_after or "1")
        text, usage = self._worked(name, asked, wishes, (tally,))
        if fault.isdigit():
            return error_plan(int(fault), after_s, "")
        return _reply(name, text, usage, after_s, fault)

    def _worked(
        self, name: str, asked: _Request, wishes: _Wishes, tallies: tuple[Tally, ...]
    ) -> tuple[str, dict[str, Any]]:
        """Return the answer's text and its usage, billed to `tallies`."""
        accuracy = self.profile.accuracy if wishes.accuracy is None else wishes.accuracy
        row = None if wishes.label else self.gold.find(name, asked.pairs)
        if row is None:
            text = oracle.answer(name, asked.schema, wishes.label, accuracy, self.profile.seed)
        else:
            # By the row's key, so that it is right or wrong about a case however often and with whatever else it is asked.
            text = oracle.answer(row.key, asked.schema, row.gold, accuracy, self.profile.seed, row.wrong)
        return text, self._bill(tallies, asked, text, wishes.cached)

    def account(self) -> dict[str, Any]:
        """Return what `GET /standin/calls` shows: totals, and each prompt's tally by its digest."""
        each = {name: _counts(tally) for name, tally in self.by_digest.items()}
        total = {slot: sum(row[slot] for row in each.values()) for slot in Tally.__slots__}
        refused = {str(status): count for status, count in self.refused.items()}
        return {
            "stand_in": True, "model": MODEL, **total, "batched": _counts(self.batched),
            "embedded": _counts(self.embedded), "refused": refused, "by_digest": each,
        }  # fmt: skip

    def _bill(
        self, tallies: tuple[Tally, ...], asked: _Request, text: str, cached: int | None
    ) -> dict[str, Any]:
        """Count what a real endpoint would bill, and return it as the `usage` of the answer."""
        seen = self._seen_before(asked)
        prompt = sum(tokens_of(one.content) + MESSAGE_TOKENS for one in asked.messages) + REPLY_TOKENS
        prompt += tokens_of(json.dumps(asked.schema)) if asked.schema is not None else 0
        from_cache = min(seen if cached is None else cached, prompt)
        completion = min(tokens_of(text), asked.limit)
        for tally in tallies:
            tally.add(prompt, from_cache, completion)
        return {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
            "prompt_tokens_details": {"cached_tokens": from_cache},
        }

    def _seen_before(self, asked: _Request) -> int:
        """Return how many tokens this prompt begins with as an earlier one did, in whole blocks, and remember its own."""
        whole = "".join(f"<{one.role}>{one.content}" for one in asked.messages).encode()
        size = CACHED_STEP * TOKEN_BYTES
        seen, chain, known_so_far = 0, "", True
        for end in range(size, len(whole) + 1, size):
            chain = digest(chain.encode() + whole[end - size : end])
            known_so_far = known_so_far and chain in self._prefixes
            seen += CACHED_STEP if known_so_far else 0
            self._prefixes[chain] = None
            self._prefixes.move_to_end(chain)
        while len(self._prefixes) > MAX_PREFIXES:
            self._prefixes.popitem(last=False)
        return seen if seen >= CACHED_FROM else 0

    def refuse(self, status: int, code: str) -> Plan:
        """Count a request that is refused for what it is, and return the error."""
        self.refused[status] += 1
        return error_plan(status, 0.0, "1", code)


def _counts(tally: Tally) -> dict[str, int]:
    return {slot: getattr(tally, slot) for slot in Tally.__slots__}


def tokens_of(text: str) -> int:
    """Return how many tokens a text is billed as."""
    return -(-len(text.encode()) // TOKEN_BYTES)


def error_plan(
    status: int, after_s: float = 0.0, retry_after: str = "", code: str = "stand_in_fault"
) -> Plan:
    """Return an error in the form that OpenAI's endpoints give it."""
    error = {
        "message": f"The stand-in was told to answer {status}.",
        "type": code,
        "param": None,
        "code": code,
    }
    headers = (("retry-after", retry_after),) if retry_after and status in {429, 503} else ()
    return Plan(
        status=status, body=json_of({"error": error, "stand_in": True}), after_s=after_s, headers=headers
    )


def _reply(name: str, text: str, usage: dict[str, Any], after_s: float, fault: str) -> Plan:
    """Return an answer, spoilt by a fault where there is one."""
    most = usage["completion_tokens"] * TOKEN_BYTES
    whole = len(text.encode()) <= most
    value: dict[str, Any] = {
        "id": f"standin-{name[:24]}",
        "object": "chat.completion",
        "created": 0,
        "model": MODEL,
        "stand_in": True,
        "system_fingerprint": "stand-in, not a model",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": text if whole else text.encode()[:most].decode(errors="ignore"),
                },
                "finish_reason": "stop" if whole else "length",
            }
        ],
        "usage": usage,
    }
    if fault == "no-usage":
        del value["usage"]
    body = json_of(value)
    if fault == "truncated":
        body = body[: len(body) // 2]
    return Plan(status=200, body=body, after_s=after_s, manner=_MANNERS.get(fault, "whole"))


def json_of(value: Any) -> bytes:
    """Return a value as JSON in UTF-8."""
    return json.dumps(value, ensure_ascii=False).encode()
