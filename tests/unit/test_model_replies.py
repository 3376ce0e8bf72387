"""What each reply of an endpoint means for the money: a table, and the bounds of what is believed."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vigimesh.adapters.models.replies import MAX_RETRY_AFTER_S, MEND, cut, meaning_of, not_sent, retry_after_s
from vigimesh.domain.cascade.question import Answer, InDoubt, NotMade, Tokens

NOW = datetime(2026, 3, 2, 12, 0, 0, tzinfo=UTC)
USAGE: dict[str, Any] = {
    "prompt_tokens": 40, "completion_tokens": 7, "total_tokens": 47, "prompt_tokens_details": {"cached_tokens": 8},
}  # fmt: skip


def completion(content: str | None = "yes", finish: str | None = "stop", **change: Any) -> bytes:
    message = {"role": "assistant", "content": content}
    value = {"model": "m-1", "choices": [{"message": message, "finish_reason": finish}], "usage": USAGE}
    return json.dumps({**value, **change}).encode()


def error(code: object, kind: object = None) -> bytes:
    return json.dumps({"error": {"message": "key sk-1234 of patient A", "code": code, "type": kind}}).encode()


def test_a_whole_answer_is_one() -> None:
    tokens = Tokens(prompt=40, cached=8, completion=7)
    expected = Answer(text="yes", tokens=tokens, finish="stop", model="m-1")
    assert meaning_of(200, {}, completion(), NOW) == expected


@pytest.mark.parametrize(
    ("body", "text", "finish"),
    [
        (completion("cut", "length"), "cut", "length"),
        (completion("", "length"), "", "length"),
        (completion(None, "content_filter"), "", "content_filter"),
        (completion(None, "stop"), "", "nothing"),
        (completion("x", None), "x", "nothing"),
        (completion(choices=[]), "", "nothing"),
        (completion(choices=[{"message": {"content": None, "refusal": "no"}}]), "", "refusal"),
    ],
)
def test_an_answer_with_its_usage_is_paid_whatever_it_says(body: bytes, text: str, finish: str) -> None:
    found = meaning_of(200, {}, body, NOW)
    assert isinstance(found, Answer)
    assert (found.text, found.finish, found.tokens.prompt) == (text, finish, 40)


@pytest.mark.parametrize("details", [None, {}, {"cached_tokens": None}, {"cached_tokens": 0}])
def test_nothing_said_of_a_cache_is_nothing_cached(details: object) -> None:
    found = meaning_of(200, {}, completion(usage={**USAGE, "prompt_tokens_details": details}), NOW)
    assert isinstance(found, Answer)
    assert found.tokens.cached == 0


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"<html>",
        b"\xff\xfe",
        completion()[:-1],
        completion()[:50],
        completion(usage=None),
        completion(usage={"prompt_tokens": 4}),
        completion(usage={**USAGE, "prompt_tokens": 0}),
        completion(usage={**USAGE, "prompt_tokens": "40"}),
        completion(usage={**USAGE, "prompt_tokens": 4.5}),
        completion(usage={**USAGE, "completion_tokens": -1}),
        completion(usage={**USAGE, "prompt_tokens_details": {"cached_tokens": 41}}),
        completion(choices="x"),
        error("server_error"),
    ],
)
def test_a_200_that_is_no_whole_answer_is_in_doubt(body: bytes) -> None:
    assert isinstance(meaning_of(200, {}, body, NOW), InDoubt)


@pytest.mark.parametrize("status", [429, 503])
def test_busy_was_not_made(status: int) -> None:
    found = meaning_of(status, {"retry-after": "7"}, error("rate_limit_exceeded"), NOW)
    assert found == NotMade(why=f"the endpoint answered {status} (rate_limit_exceeded)", retry_after_s=7.0)
    assert isinstance(meaning_of(status, {}, b"", NOW), NotMade)


def test_an_empty_account_does_not_pass_by_itself() -> None:
    found = meaning_of(429, {"retry-after": "1"}, error("insufficient_quota"), NOW)
    assert isinstance(found, NotMade)
    assert (bool(found.mend), found.code) == (True, "VM-2102")


@pytest.mark.parametrize("status", [*MEND, 301, 302, 303, 307, 308])
def test_a_refusal_was_not_made_and_a_person_must_mend_it(status: int) -> None:
    found = meaning_of(status, {}, error("x"), NOW)
    assert isinstance(found, NotMade)
    assert found.mend
    assert (found.retry_after_s, found.code) == (None, "VM-2102")


def test_the_refusals_are_those_of_the_contract() -> None:
    assert set(MEND) >= {400, 401, 403, 404, 422}


@pytest.mark.parametrize(
    "status", [201, 202, 204, 408, 409, 425, 499, 500, 501, 502, 504, 520, 524, 529, 599]
)
def test_everything_else_is_in_doubt(status: int) -> None:
    found = meaning_of(status, {"retry-after": "1"}, completion(), NOW)
    assert isinstance(found, InDoubt)
    assert (found.code, str(status) in found.why) == ("VM-2104", True)


@pytest.mark.parametrize("status", [*range(100, 600)])
def test_only_what_came_before_any_work_gives_money_back(status: int) -> None:
    given_back = isinstance(meaning_of(status, {}, b"", NOW), NotMade)
    assert given_back == (status in {429, 503} | set(MEND) or 300 <= status < 400)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (None, InDoubt),
        (200, InDoubt),
        (500, InDoubt),
        (504, InDoubt),
        (429, NotMade),
        (503, NotMade),
        (401, NotMade),
    ],
)
def test_a_reply_that_broke_off_is_judged_by_its_head(status: int | None, kind: type) -> None:
    assert isinstance(cut(status, {"retry-after": "3"}, NOW, "cut"), kind)


def test_what_was_not_sent_was_not_made() -> None:
    assert not_sent("refused") == NotMade(why="refused")
    assert not_sent("refused", "do it").code == "VM-2102"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": " 2.5 "}, 2.5),
        ({"retry-after": "999999999"}, MAX_RETRY_AFTER_S),
        ({"retry-after": "Mon, 02 Mar 2026 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Mon, 02 Mar 2026 11:00:00 GMT"}, 0.0),
        ({"retry-after": "Mon, 02 Mar 2026 12:00:30 -0000"}, 30.0),
        ({"retry-after": "Mon, 02 Mar 2037 12:00:30 GMT"}, MAX_RETRY_AFTER_S),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after-ms": "x", "retry-after": "9"}, 9.0),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "1e9"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Mon, 99 Mar 2026 12:00:30 GMT"}, None),
    ],
)
def test_retry_after_is_read(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(headers, NOW) == seconds


@given(text=st.text(max_size=60), millis=st.text(max_size=20))
def test_no_retry_after_hurts(text: str, millis: str) -> None:
    found = retry_after_s({"retry-after": text, "retry-after-ms": millis}, NOW)
    assert found is None or 0 <= found <= MAX_RETRY_AFTER_S


@pytest.mark.parametrize("code", ["sk-1234567890abcdef", "patient A, born 1950", "x" * 61, 5, None])
def test_what_an_endpoint_writes_is_not_repeated(code: object) -> None:
    for status in (400, 401, 429, 500):
        said = repr(meaning_of(status, {}, error(code, kind=code), NOW))
        assert "sk-" not in said
        assert "patient" not in said
        assert "xxx" not in said


@given(status=st.integers(100, 599), body=st.binary(max_size=200))
def test_no_body_hurts(status: int, body: bytes) -> None:
    assert isinstance(meaning_of(status, {}, body, NOW), InDoubt | NotMade)
