"""What an HTTP reply of a model's endpoint means: answered, not made, or in doubt. No I/O; shared by the client and its twin.

Money decides the sorting. *Not made* gives the reservation back, so it is said only of replies that by their meaning come
before any work; everything else that is no whole answer with its usage may have been billed, and is *in doubt*.

What an endpoint writes in an error is never repeated, because it may hold a piece of the key or of the prompt; only its
short code is.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import msgspec

from vigimesh.domain.cascade.question import Answer, InDoubt, NotMade, Tokens
from vigimesh.errors import Refused

#: Bytes of one reply at most, 16 MiB: over ten times the longest answer there is.
MAX_REPLY_BYTES = 16_777_216
#: Seconds of `Retry-After` that are believed, one day: what says more gets one day.
MAX_RETRY_AFTER_S = 86_400.0

#: Too many requests, unavailable (RFC 6585 section 4, RFC 9110 section 15.6.4): refused before any work.
BUSY = frozenset({429, 503})

_NAME = "the settings VIGIMESH_LARGE_MODEL__*"
#: Refused for what was sent: the same question is refused again until a person changes something.
MEND: Mapping[int, str] = {
    400: "the endpoint does not take this request: compare model name, limits and schema with its guide",
    401: f"correct the key in {_NAME}",
    402: "the endpoint wants money first: look at the account with it",
    403: f"give the key the right to use this model, or correct {_NAME}",
    404: f"correct base URL and model name in {_NAME}",
    405: f"correct the base URL in {_NAME}: nothing takes chat completions there",
    413: "the prompt is too long for the endpoint: lower what the workflow card puts into it",
    415: f"correct the base URL in {_NAME}: what is there does not take JSON",
    422: "the endpoint does not take this request: compare model name, limits and schema with its guide",
}
#: A redirect is not followed, since the key would go with it.
_REDIRECTED = f"the endpoint has moved: correct the base URL in {_NAME}"
#: Codes with which 429 means that an account is empty, which does not pass by itself.
_EMPTY_ACCOUNT = frozenset({"insufficient_quota", "billing_hard_limit_reached"})

#: What an endpoint may call its model, and how an answer ended: its words end in records and reasons.
_MODEL = re.compile(r"[\w.:/@-]{1,100}")
_SHORT_CODE = re.compile(r"[a-z0-9_.-]{1,60}")
_SECONDS = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,9})?")


class _Details(msgspec.Struct):
    cached_tokens: int | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int
    completion_tokens: int
    prompt_tokens_details: _Details | None = None


class _Said(msgspec.Struct):
    content: str | None = None
    refusal: str | None = None


class _Choice(msgspec.Struct):
    message: _Said
    finish_reason: str | None = None


class _Completion(msgspec.Struct):
    usage: _Usage | None = None
    choices: list[_Choice] = []
    model: str = ""


class _Error(msgspec.Struct):
    code: str | int | None = None
    type: str | None = None


class _ErrorBody(msgspec.Struct):
    error: _Error | None = None


_COMPLETION = msgspec.json.Decoder(_Completion)
_ERROR = msgspec.json.Decoder(_ErrorBody)


def meaning_of(
    status: int, headers: Mapping[str, str], body: bytes, now: datetime
) -> Answer | NotMade | InDoubt:
    """Return what a whole reply means. `headers` have lower-case names; `now` is UTC, for a `Retry-After` that is a date."""
    if status == 200:
        return _completion(body)
    code = _code_in(body)
    said = f"the endpoint answered {status}" + (f" ({code})" if code else "")
    if status in BUSY:
        mend = "the account with the endpoint is empty: fill it" if code in _EMPTY_ACCOUNT else ""
        return NotMade(why=said, retry_after_s=retry_after_s(headers, now), mend=mend, code=_code(mend))
    mend = _REDIRECTED if 300 <= status < 400 else MEND.get(status, "")
    if mend:
        return NotMade(why=said, mend=mend, code=_code(mend))
    return InDoubt(why=said)


def cut(status: int | None, headers: Mapping[str, str], now: datetime, why: str) -> NotMade | InDoubt:
    """Return what a reply means that broke off: `status` is what had come of it, `None` when nothing had.

    A head that says 429 or 503, or that the request is refused, is enough; anything else is in doubt.
    """
    if status is not None and status != 200:
        whole = meaning_of(status, headers, b"", now)
        if isinstance(whole, NotMade):
            return whole
    return InDoubt(why=why)


def not_sent(why: str, mend: str = "") -> NotMade:
    """Return what it means that no byte of the request went out."""
    return NotMade(why=why, mend=mend, code=_code(mend))


def retry_after_s(headers: Mapping[str, str], now: datetime) -> float | None:
    """Return the seconds that `retry-after-ms` or `Retry-After` asks for (RFC 9110 section 10.2.3), `None` without either.

    What is neither seconds nor a date counts as not said; a date that is past as 0.
    """
    millis = headers.get("retry-after-ms", "").strip()
    if _SECONDS.fullmatch(millis):
        return min(float(millis) / 1000, MAX_RETRY_AFTER_S)
    text = headers.get("retry-after", "").strip()
    if _SECONDS.fullmatch(text):
        return min(float(text), MAX_RETRY_AFTER_S)
    try:
        at = parsedate_to_datetime(text)
    except ValueError:
        return None
    wait_s = ((at if at.tzinfo else at.replace(tzinfo=UTC)) - now).total_seconds()
    return min(max(0.0, math.ceil(wait_s)), MAX_RETRY_AFTER_S)


def _completion(body: bytes) -> Answer | InDoubt:
    """Return the answer in the body of a 200; in doubt unless it is whole and says what was used."""
    try:
        found = _COMPLETION.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return InDoubt(why="the answer is no whole chat completion")
    usage = found.usage
    if usage is None or usage.prompt_tokens == 0:
        return InDoubt(why="the answer does not say what it used")
    details = usage.prompt_tokens_details
    cached = (details.cached_tokens or 0) if details else 0
    try:
        tokens = Tokens(prompt=usage.prompt_tokens, cached=cached, completion=usage.completion_tokens)
    except Refused:
        return InDoubt(why="the answer says that it used what cannot be")
    model = found.model if _MODEL.fullmatch(found.model) else ""
    choice = found.choices[0] if found.choices else None
    text = (choice.message.content or "") if choice else ""
    if choice and choice.message.refusal:
        return Answer(text="", tokens=tokens, finish="refusal", model=model)
    finish = (choice.finish_reason or "nothing") if choice and text else "nothing"
    if choice and not text and choice.finish_reason in {"length", "content_filter"}:
        finish = choice.finish_reason
    return Answer(
        text=text, tokens=tokens, finish=finish if _MODEL.fullmatch(finish) else "other", model=model
    )


def _code_in(body: bytes) -> str:
    """Return the short code of an error's body; nothing when there is none, or when it is more than a code."""
    try:
        error = _ERROR.decode(body).error
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    for code in (error.code, error.type) if error else ():
        if isinstance(code, str) and _SHORT_CODE.fullmatch(code) and not code.startswith("sk-"):
            return code
    return ""


def _code(mend: str) -> str:
    """Return the error code: VM-2102 when a person must change something, else VM-2103."""
    return "VM-2102" if mend else "VM-2103"
