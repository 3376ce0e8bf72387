"""The stand-in without a socket: what it answers, how often it is right, how slow it is, how it fails, what it would bill."""

from __future__ import annotations

import json
import statistics
from typing import Any

import pytest

from vigimesh.app.standin import chat, oracle
from vigimesh.app.standin.chat import MODEL, Plan, StandIn
from vigimesh.app.standin.profile import WORDS, BatchProfile, Profile, known, read_faults
from vigimesh.domain.cascade.question import digest_of

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "serious": {"enum": ["yes", "no", "unknown"]},
        "grade": {"type": "integer", "minimum": 0, "maximum": 5},
        "sure": {"type": "boolean"},
        "reasons": {"type": "array", "minItems": 2, "items": {"type": "string"}},
        "due": {"anyOf": [{"type": "null"}, {"type": "string"}]},
        "score": {"type": ["number", "null"]},
        "kind": {"const": "triage"},
    },
}
LABEL = {"serious": "yes", "grade": 5, "sure": True}


def body(text: str = "case", *, max_tokens: int | None = 100, **change: Any) -> bytes:
    message = [{"role": "user", "content": text}]
    return json.dumps({"model": MODEL, "messages": message, "max_tokens": max_tokens, **change}).encode()


def usage(plan: Plan) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(plan.body)["usage"]
    return found


def test_every_reply_says_what_it_is() -> None:
    standin = StandIn()
    for plan in (standin.plan(body(), {}), standin.plan(b"{", {}), standin.plan(body(), {chat.FAULT: "429"})):
        assert json.loads(plan.body)["stand_in"] is True
    answer = json.loads(standin.plan(body(), {}).body)
    assert answer["model"].startswith("standin-")
    assert "not a model" in answer["system_fingerprint"]
    assert "stand-in" in answer["choices"][0]["message"]["content"]


def test_the_same_seed_does_the_same_again_and_another_seed_other_things() -> None:
    def run(seed: int) -> list[Plan]:
        standin = StandIn(Profile(seed=seed, faults={"429": 0.3, "hang": 0.3}))
        schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": SCHEMA}}
        return [standin.plan(body(str(n % 10), response_format=schema), {}) for n in range(40)]

    assert run(1) == run(1)
    assert run(1) != run(2)


def test_latency_is_log_normal_around_its_median() -> None:
    drawn = [Profile(latency_ms=250, spread=0.5).draw(str(n), 1)[0] * 1000 for n in range(4_000)]
    assert statistics.median(drawn) == pytest.approx(250, rel=0.05)
    # Of a log-normal, 84 of 100 lie below the median times e to the spread.
    assert sorted(drawn)[3_360] == pytest.approx(250 * 2.718281828**0.5, rel=0.07)
    assert {Profile(latency_ms=40, spread=0).draw(str(n), 1)[0] for n in range(9)} == {0.04}


def test_faults_come_at_their_rates() -> None:
    profile = Profile(faults={"429": 0.1, "500": 0.05, "hang": 0.02})
    drawn = [profile.draw(str(n % 100), n)[1] for n in range(10_000)]
    for name, rate in profile.faults.items():
        assert drawn.count(name) / len(drawn) == pytest.approx(rate, rel=0.25)
    assert drawn.count("") / len(drawn) == pytest.approx(0.83, rel=0.02)


@pytest.mark.parametrize("accuracy", [0.0, 0.5, 0.97, 1.0])
def test_it_is_right_as_often_as_it_says(accuracy: float) -> None:
    answers = [json.loads(oracle.answer(str(n), SCHEMA, LABEL, accuracy, 1)) for n in range(3_000)]
    right = sum(all(one[name] == value for name, value in LABEL.items()) for one in answers)
    wrong = sum(all(one[name] != value for name, value in LABEL.items()) for one in answers)
    assert right + wrong == len(answers)
    assert right / len(answers) == pytest.approx(accuracy, abs=0.015)


def test_an_answer_fits_its_schema() -> None:
    for n in range(50):
        for label in ({}, LABEL):
            found = json.loads(oracle.answer(str(n), SCHEMA, label, 0.5, 1))
            assert set(found) == set(SCHEMA["properties"])
            assert found["serious"] in {"yes", "no", "unknown"}
            assert found["grade"] in range(6)
            assert found["kind"] == "triage"
            assert len(found["reasons"]) == 2
    assert json.loads(oracle.answer("a", None, LABEL, 1.0, 1)) == LABEL


def test_it_counts_by_the_digest_that_the_journal_uses() -> None:
    standin = StandIn()
    for _ in range(3):
        standin.plan(body("x"), {})
    standin.plan(body("y", max_tokens=7), {})
    account = standin.account()
    assert account["calls"] == 4
    assert account["by_digest"][digest_of(MODEL, [("user", "x")], 100, None)]["calls"] == 3
    assert account["by_digest"][digest_of(MODEL, [("user", "y")], 7, None)]["calls"] == 1


@pytest.mark.parametrize("fault", ["", "500", "502", "504", *WORDS])
def test_it_bills_what_may_have_been_worked_out(fault: str) -> None:
    standin = StandIn()
    standin.plan(body(), {chat.FAULT: fault} if fault else {})
    account = standin.account()
    assert (account["calls"], account["billed"]) == (1, 1)
    assert account["prompt_tokens"] > 0


@pytest.mark.parametrize("fault", ["400", "401", "403", "404", "422", "429", "503"])
def test_it_bills_nothing_that_it_refused(fault: str) -> None:
    standin = StandIn()
    assert standin.plan(body(), {chat.FAULT: fault}).status == int(fault)
    account = standin.account()
    assert (account["calls"], account["billed"], account["prompt_tokens"]) == (1, 0, 0)


def test_an_answer_ends_at_its_bound() -> None:
    plan = StandIn().plan(body(max_tokens=2), {})
    choice = json.loads(plan.body)["choices"][0]
    assert choice["finish_reason"] == "length"
    assert usage(plan)["completion_tokens"] == 2
    assert len(choice["message"]["content"]) <= 8
    assert usage(StandIn().plan(body(max_completion_tokens=2, max_tokens=None), {}))["completion_tokens"] == 2


def test_a_long_beginning_is_cached_the_second_time() -> None:
    standin = StandIn()
    long = [{"role": "system", "content": "word " * 2_000}]

    def ask(text: str) -> dict[str, Any]:
        return usage(standin.plan(body(messages=[*long, {"role": "user", "content": text}]), {}))

    assert ask("a")["prompt_tokens_details"]["cached_tokens"] == 0
    second = ask("b")
    assert 1_024 <= second["prompt_tokens_details"]["cached_tokens"] < second["prompt_tokens"]
    assert second["prompt_tokens_details"]["cached_tokens"] % 128 == 0
    short = [usage(standin.plan(body("short"), {})) for _ in range(2)]
    assert short[1]["prompt_tokens_details"]["cached_tokens"] == 0


@pytest.mark.parametrize(
    ("asked", "headers", "status"),
    [
        (b"", {}, 400),
        (b"\xff", {}, 400),
        (b"[]", {}, 400),
        (body(messages=[]), {}, 400),
        (body(stream=True), {}, 400),
        (body(max_tokens=-1), {}, 400),
        (body(model="gpt"), {}, 404),
        (body(), {chat.FAULT: "explode"}, 400),
        (body(), {chat.LABEL: "{"}, 400),
        (body(), {chat.LABEL: "[]"}, 400),
        (body(), {chat.LATENCY_MS: "soon"}, 400),
        (body(), {chat.LATENCY_MS: "nan"}, 400),
        (body(), {chat.CACHED: "x"}, 400),
    ],
)
def test_what_it_cannot_take_is_refused_and_counted_apart(
    asked: bytes, headers: dict[str, str], status: int
) -> None:
    standin = StandIn()
    assert standin.plan(asked, headers).status == status
    assert standin.account()["calls"] == 0
    assert standin.account()["refused"] == {str(status): 1}


def test_its_memory_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat, "MAX_DIGESTS", 2)
    monkeypatch.setattr(chat, "MAX_PREFIXES", 2)
    standin = StandIn()
    assert [standin.plan(body(text), {}).status for text in "abca"] == [200, 200, 503, 200]


@pytest.mark.parametrize(
    "change",
    [
        {"latency_ms": -1.0},
        {"latency_ms": float("nan")},
        {"spread": 6.0},
        {"accuracy": 1.1},
        {"faults": {"429": 1.1}},
        {"faults": {"429": 0.6, "500": 0.6}},
        {"faults": {"explode": 0.1}},
    ],
)
def test_a_profile_that_cannot_be_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Profile(**change)


def test_faults_are_read() -> None:
    assert read_faults("") == {}
    assert read_faults(" 429=0.01, hang=0.5,") == {"429": 0.01, "hang": 0.5}
    assert known("599")
    for text in ("429", "429=x", "200=0.1", "429=0.1,429=0.2", "explode=1"):
        with pytest.raises(ValueError):
            read_faults(text)


@pytest.mark.parametrize(
    "change",
    [
        {"start_s": -1.0},
        {"item_s": 4_000.0},
        {"spread": 6.0},
        {"faults": {"hang": 0.1}},
        {"faults": {"500": 1.1}},
        {"faults": {"500": 0.6, "429": 0.6}},
    ],
)
def test_a_batch_profile_that_cannot_be_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        BatchProfile(**change)
