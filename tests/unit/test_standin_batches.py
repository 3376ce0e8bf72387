"""The stand-in's files, batches, embeddings and oracle, without a socket: a clock that the test moves, seeded times and faults."""

from __future__ import annotations

import base64
import json
from array import array
from typing import Any

import pytest

from clocks import Hand
from vigimesh.app.standin import batches
from vigimesh.app.standin.chat import FAULT, MODEL, Plan, StandIn
from vigimesh.app.standin.embeddings import EMBED_MODEL, MAX_DIMENSIONS, embedded
from vigimesh.app.standin.gold import Gold, key_of, read_gold
from vigimesh.app.standin.profile import BatchProfile, Profile
from vigimesh.app.standin.routes import Request, Routes
from vigimesh.errors import Misconfigured

DAY_S = 86_400.0
SCHEMA = {
    "type": "object",
    "properties": {"serious": {"enum": ["yes", "no", "unknown"]}, "grade": {"type": "integer", "maximum": 5}},
}
FORMAT = {"type": "json_schema", "json_schema": {"name": "triage", "schema": SCHEMA}}


class Endpoint:
    """A stand-in and the requests that a client would send to it."""

    def __init__(self, profile: Profile | None = None, gold: Gold | None = None) -> None:
        batch = BatchProfile(start_s=60, item_s=10, spread=0)
        self.clock = Hand()
        self.standin = StandIn(profile or Profile(batch=batch), gold or Gold())
        self.routes = Routes(self.standin, self.clock)

    def plan(self, method: str, target: str, body: Any = None, **headers: str) -> Plan:
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.routes.plan(
            Request(method, target, {k.replace("_", "-"): v for k, v in headers.items()}, data)
        )

    def ask(self, method: str, target: str, body: Any = None, **headers: str) -> Any:
        plan = self.plan(method, target, body, **headers)
        assert plan.status == 200, plan.body
        return json.loads(plan.body)

    def upload(self, data: bytes, purpose: str = "batch") -> Plan:
        body = (
            b'--edge\r\ncontent-disposition: form-data; name="purpose"\r\n\r\n' + purpose.encode()
            + b'\r\n--edge\r\ncontent-disposition: form-data; name="file"; filename="in.jsonl"\r\n'
            + b"content-type: application/octet-stream\r\n\r\n" + data + b"\r\n--edge--\r\n"
        )  # fmt: skip
        return self.plan("POST", "/v1/files", body, content_type="multipart/form-data; boundary=edge")

    def create(self, data: bytes, window: str = "24h", **metadata: str) -> Any:
        file = json.loads(self.upload(data).body)["id"]
        asked = {
            "input_file_id": file,
            "endpoint": batches.ENDPOINT,
            "completion_window": window,
            "metadata": metadata,
        }
        return self.ask("POST", "/v1/batches", asked)

    def look(self, name: str) -> Any:
        return self.ask("GET", f"/v1/batches/{name}")

    def lines(self, file: str | None) -> list[Any]:
        if file is None:
            return []
        return [json.loads(line) for line in self.plan("GET", f"/v1/files/{file}/content").body.splitlines()]


def line(text: str, custom_id: str = "", **change: Any) -> dict[str, Any]:
    body = {"model": MODEL, "messages": [{"role": "user", "content": text}], "max_tokens": 100}
    found = {"custom_id": custom_id or text, "method": "POST", "url": batches.ENDPOINT, "body": body}
    return found | change


def jsonl(*lines: dict[str, Any]) -> bytes:
    return "".join(json.dumps(one) + "\n" for one in lines).encode()


def test_a_batch_takes_its_time_and_then_holds_every_answer_once() -> None:
    here = Endpoint()
    made = here.create(jsonl(*(line(text) for text in "abc")), run="7")
    assert (made["status"], made["request_counts"]["total"], made["metadata"]) == (
        "validating",
        3,
        {"run": "7"},
    )
    here.clock.at_s = 75
    begun = here.look(made["id"])
    assert (begun["status"], begun["request_counts"]["completed"], begun["output_file_id"]) == (
        "in_progress",
        1,
        None,
    )
    here.clock.at_s = 91
    ended = here.look(made["id"])
    assert [here.look(made["id"]) for _ in range(3)] == [ended] * 3  # polling bills nothing
    assert (ended["status"], ended["error_file_id"]) == ("completed", None)
    results = here.lines(ended["output_file_id"])
    assert sorted(one["custom_id"] for one in results) == ["a", "b", "c"]
    for one in results:
        assert one["response"]["status_code"] == 200
        assert one["response"]["body"]["stand_in"] is True
        assert "not a model" in one["stand_in"]
    account = here.ask("GET", "/standin/calls")
    assert (account["calls"], account["billed"], account["batched"]["billed"], account["batches"]) == (
        3,
        3,
        3,
        1,
    )
    spent = sum(one["response"]["body"]["usage"]["prompt_tokens"] for one in results)
    assert account["batched"]["prompt_tokens"] == account["prompt_tokens"] == spent


def test_requests_that_fail_are_in_the_error_file_and_billed_to_nobody() -> None:
    profile = Profile(batch=BatchProfile(start_s=0, item_s=0, spread=0, faults={"500": 0.3, "429": 0.2}))
    here = Endpoint(profile)
    made = here.create(jsonl(*(line(f"case {n}") for n in range(60))))
    ended = here.look(made["id"])
    good, bad = here.lines(ended["output_file_id"]), here.lines(ended["error_file_id"])
    assert len(good) + len(bad) == 60
    assert 15 <= len(bad) <= 45
    assert {one["response"]["status_code"] for one in bad} == {429, 500}
    assert ended["request_counts"] == {"total": 60, "completed": len(good), "failed": len(bad)}
    assert here.standin.batched.billed == len(good)


def test_what_is_not_done_when_its_window_closes_has_expired() -> None:
    here = Endpoint(Profile(batch=BatchProfile(start_s=0, item_s=1_500, spread=0)))
    made = here.create(jsonl(*(line(text) for text in "abcd")), window="1h")
    here.clock.at_s = DAY_S
    ended = here.look(made["id"])
    assert (ended["status"], ended["expired_at"]) == ("expired", made["expires_at"])
    assert len(here.lines(ended["output_file_id"])) == 2
    left = here.lines(ended["error_file_id"])
    assert [(one["response"], one["error"]["code"]) for one in left] == [(None, "batch_expired")] * 2
    assert here.standin.batched.billed == 2


def test_a_cancelled_batch_keeps_what_was_done_and_ends() -> None:
    here = Endpoint()
    made = here.create(jsonl(*(line(text) for text in "abc")))
    here.clock.at_s = 85
    ended = here.ask("POST", f"/v1/batches/{made['id']}/cancel")
    assert ended["status"] == "cancelled"
    assert len(here.lines(ended["output_file_id"])) == 2
    assert here.lines(ended["error_file_id"])[0]["error"]["code"] == "batch_cancelled"
    assert here.plan("POST", f"/v1/batches/{made['id']}/cancel").status == 409
    here.clock.at_s = DAY_S
    assert here.look(made["id"]) == ended
    assert here.standin.batched.billed == 2


def test_a_test_moves_its_clock() -> None:
    here = Endpoint()
    made = here.create(jsonl(line("a")))
    assert here.ask("POST", "/standin/clock", {"forward_s": 3_600})["ahead_s"] == 3_600
    assert here.look(made["id"])["status"] == "completed"
    wrongs: tuple[Any, ...] = ({}, {"forward_s": -1}, {"forward_s": "soon"}, {"forward_s": 1e12}, [])
    for wrong in wrongs:
        assert here.plan("POST", "/standin/clock", wrong).status == 400


def test_times_faults_and_order_come_from_the_seed() -> None:
    def run(seed: int) -> list[Any]:
        batch = BatchProfile(start_s=50, item_s=1, spread=0.5, faults={"500": 0.5})
        here = Endpoint(Profile(seed=seed, batch=batch))
        made = here.create(jsonl(*(line(f"case {n}") for n in range(20))))
        seen = []
        for at_s in range(0, 400, 20):
            here.clock.at_s = at_s
            seen.append(here.look(made["id"]))
        return [*seen, *here.lines(seen[-1]["output_file_id"]), *here.lines(seen[-1]["error_file_id"])]

    assert run(1) == run(1)
    assert run(1) != run(2)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"\xff\n",
        jsonl(line("a"), line("a")),
        jsonl(line("a", url="/v1/embeddings")),
        jsonl(line("a", method="GET")),
        jsonl({"custom_id": "a"}),
    ],
)
def test_a_wrong_file_makes_a_batch_that_failed_and_is_billed_to_nobody(data: bytes) -> None:
    here = Endpoint()
    made = here.create(data)
    assert made["status"] == "failed"
    assert made["errors"]["data"]
    here.clock.at_s = DAY_S
    assert here.look(made["id"])["output_file_id"] is None
    assert here.standin.account()["calls"] == 0


def test_a_request_in_a_batch_that_is_none_fails_alone() -> None:
    here = Endpoint(Profile(batch=BatchProfile(start_s=0, item_s=0)))
    made = here.create(
        jsonl(line("a"), line("b", body={"model": MODEL}), line("c", body={"model": "x", "messages": []}))
    )
    ended = here.look(made["id"])
    bad = {one["custom_id"]: one["response"]["status_code"] for one in here.lines(ended["error_file_id"])}
    assert bad == {"b": 400, "c": 400}
    assert len(here.lines(ended["output_file_id"])) == 1


def test_what_no_endpoint_takes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    here = Endpoint()
    file = json.loads(here.upload(jsonl(line("a"))).body)["id"]
    right = {"input_file_id": file, "endpoint": batches.ENDPOINT, "completion_window": "24h"}
    for change, status in (
        ({"input_file_id": "none"}, 404),
        ({"endpoint": "/v1/embeddings"}, 400),
        ({"completion_window": "soon"}, 400),
        ({"completion_window": "0h"}, 400),
        ({"metadata": {str(n): "x" for n in range(17)}}, 400),
    ):
        assert here.plan("POST", "/v1/batches", right | change).status == status
    assert here.upload(b"x", "fine-tune").status == 400
    assert here.plan("POST", "/v1/files", b"x", content_type="text/plain").status == 400
    for method, path in (
        ("GET", "/v1/files/none"), ("GET", "/v1/batches/none"), ("POST", "/v1/batches/none/cancel"), ("GET", "/nowhere"),
        ("DELETE", "/v1/batches/none"),
    ):  # fmt: skip
        assert here.plan(method, path).status == 404
    monkeypatch.setattr(batches, "MAX_BATCHES", 0)
    monkeypatch.setattr(batches, "MAX_FILES", 0)
    assert here.plan("POST", "/v1/batches", right).status == 503
    assert here.upload(b"x").status == 503


def test_files_come_back_byte_by_byte_and_can_be_deleted() -> None:
    here = Endpoint()
    data = "caf\u00e9\r\n--ed\n\n".encode() + bytes(range(256))
    file = json.loads(here.upload(data).body)["id"]
    assert here.plan("GET", f"/v1/files/{file}/content").body == data
    assert here.ask("GET", f"/v1/files/{file}")["bytes"] == len(data)
    assert here.ask("DELETE", f"/v1/files/{file}")["deleted"] is True
    assert here.plan("GET", f"/v1/files/{file}").status == 404


def test_batches_are_listed_the_newest_first_page_by_page() -> None:
    here = Endpoint()
    names = [here.create(jsonl(line("a")))["id"] for _ in range(5)]
    first = here.ask("GET", "/v1/batches?limit=3")
    assert [one["id"] for one in first["data"]] == names[:1:-1]
    rest = here.ask("GET", f"/v1/batches?limit=3&after={first['last_id']}")
    assert ([one["id"] for one in rest["data"]], rest["has_more"]) == (names[1::-1], False)


@pytest.mark.parametrize(("fault", "made"), [("429", 0), ("503", 0), ("500", 1), ("close", 1), ("cut", 1)])
def test_a_fault_strikes_before_the_work_or_after_it(fault: str, made: int) -> None:
    here = Endpoint()
    file = json.loads(here.upload(jsonl(line("a"))).body)["id"]
    asked = {"input_file_id": file, "endpoint": batches.ENDPOINT, "completion_window": "24h"}
    plan = here.plan("POST", "/v1/batches", asked, **{FAULT: fault})
    assert len(here.ask("GET", "/v1/batches")["data"]) == made
    assert (plan.status, plan.manner) == ((int(fault), "whole") if fault.isdigit() else (200, fault))


def test_the_oracle_answers_gold_as_often_as_it_says_and_the_same_again() -> None:
    rows = [
        {
            "key": key_of(f"narrative {n}"),
            "gold": {"serious": "yes", "grade": 3},
            "wrong": {"serious": "no", "grade": 1},
        }
        for n in range(2_000)
    ]
    gold = read_gold((json.dumps(row).encode() for row in rows), "gold.jsonl")
    here = Endpoint(Profile(accuracy=0.9), gold)

    def said(n: int, other: str) -> Any:
        user = json.dumps({"narrative": f"narrative {n}", "other": other})
        body = {"model": MODEL, "messages": [{"role": "user", "content": user}], "response_format": FORMAT}
        return json.loads(here.ask("POST", "/v1/chat/completions", body)["choices"][0]["message"]["content"])

    first = [said(n, "first pass") for n in range(2_000)]
    right = sum(one == {"serious": "yes", "grade": 3} for one in first)
    assert right + sum(one == {"serious": "no", "grade": 1} for one in first) == 2_000
    assert right / 2_000 == pytest.approx(0.9, abs=0.02)
    # Whatever else is asked about a case, it is right or wrong about it as before.
    assert [said(n, "second pass") for n in range(200)] == first[:200]
    assert said(9_999, "not in the file")["serious"] in {"yes", "no", "unknown"}


def test_gold_is_found_by_the_digest_of_the_prompt_and_by_the_whole_message_too() -> None:
    row = {"gold": {"serious": "yes"}, "wrong": {"serious": "no"}}
    rows = [{"key": key, **row} for key in ("d" * 64, key_of("whole message"))]
    gold = read_gold((json.dumps(one).encode() for one in rows), "gold.jsonl")
    assert gold.find("d" * 64, [("user", "x")]) is not None
    assert gold.find("x", [("system", "x"), ("user", "whole message")]) is not None
    assert gold.find("x", [("system", "whole message"), ("user", "[]")]) is None


@pytest.mark.parametrize(
    "text",
    [
        b"{",
        b"[]",
        b'{"key": "a", "gold": {}}',
        b'{"key": "a", "gold": {}, "wrong": {}, "more": 1}',
        b'{"key": "a", "gold": {}, "wrong": {}}\n{"key": "a", "gold": {"x": 1}, "wrong": {}}',
    ],
)
def test_an_oracle_file_that_is_none_is_named_with_its_line(text: bytes) -> None:
    with pytest.raises(Misconfigured, match="VM-2404"):
        read_gold([b"\n", *text.split(b"\n")], "gold.jsonl")


def test_embeddings_have_length_1_and_near_texts_are_near() -> None:
    here = Endpoint()
    texts = ["fever after the vaccine", "Fever  after the vaccination", "broken left arm"]
    body = {"model": EMBED_MODEL, "input": texts, "dimensions": 512}
    told = here.ask("POST", "/v1/embeddings", body)
    assert told["stand_in"] is True
    assert told["model"].startswith("standin-")
    vectors = [one["embedding"] for one in told["data"]]
    assert {len(one) for one in vectors} == {512}
    for one in vectors:
        assert sum(x * x for x in one) == pytest.approx(1.0)

    def cosine(one: list[float], other: list[float]) -> float:
        return sum(a * b for a, b in zip(one, other, strict=True))

    assert cosine(vectors[0], vectors[1]) > 0.5 > cosine(vectors[0], vectors[2]) + 0.2
    assert here.ask("POST", "/v1/embeddings", body) == told
    assert embedded("fever", 64, 1) != embedded("fever", 64, 2)
    packed = here.ask("POST", "/v1/embeddings", body | {"encoding_format": "base64"})["data"][0]["embedding"]
    assert list(array("f", base64.b64decode(packed))) == pytest.approx(vectors[0], abs=1e-6)
    account = here.standin.account()
    assert (account["embedded"]["calls"], account["calls"]) == (3, 0)
    assert account["embedded"]["prompt_tokens"] == 3 * told["usage"]["prompt_tokens"]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"input": ""}, 400),
        ({"input": []}, 400),
        ({"input": ["a", ""]}, 400),
        ({"input": ["a"] * 2_049}, 400),
        ({"dimensions": 0}, 400),
        ({"dimensions": MAX_DIMENSIONS + 1}, 400),
        ({"encoding_format": "int8"}, 400),
        ({"model": "ada"}, 404),
    ],
)
def test_embeddings_that_cannot_be_are_refused(change: dict[str, Any], status: int) -> None:
    assert (
        Endpoint().plan("POST", "/v1/embeddings", {"model": EMBED_MODEL, "input": "a"} | change).status
        == status
    )


def test_what_is_cached_is_counted_in_blocks_of_128_tokens_from_1024_on() -> None:
    here = Endpoint()

    def cached(beginning: int, rest: str) -> int:
        text = "x" * beginning + rest
        body = {"model": MODEL, "messages": [{"role": "system", "content": text}]}
        found = here.ask("POST", "/v1/chat/completions", body)["usage"]["prompt_tokens_details"]
        return int(found["cached_tokens"])

    assert cached(20_000, "a") == 0
    # 20,008 bytes begin alike (with the role): 39 whole blocks of 512 bytes.
    assert cached(20_000, "b" * 1_000) == 39 * 128
    assert cached(4_096, "c" * 5_000) == 8 * 128
    assert cached(4_000, "d" * 5_000) == 0  # 7 blocks: below 1,024 tokens


def test_every_refusal_says_what_it_is() -> None:
    for plan in (
        Endpoint().plan("GET", "/nowhere"),
        Endpoint().plan("POST", "/v1/batches", {}),
        Endpoint().upload(b"", "x"),
    ):
        assert json.loads(plan.body)["stand_in"] is True
