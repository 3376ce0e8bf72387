"""Prompts are data: each published version stays as it was, and one that is wrong is said, never half used."""

from __future__ import annotations

import json

import pytest

from vigimesh.domain.cascade import draft, endpoint
from vigimesh.domain.cascade.opinion import ASKED, ASKED_AGAIN, PROMPT
from vigimesh.domain.cascade.prompts import read_prompt, shipped_prompt
from vigimesh.domain.privacy.rules import rules_digest
from vigimesh.errors import Misconfigured

#: Name and version -> digest: a change of the file without a new version fails.
PUBLISHED = {
    ("triage", 2): "abd3b682f7fe7f290c390a7aa0bc552010725a115240c4a4659857001714b033",
    ("draft", 1): "892b3fe255ee84582d8f6ffa4f776bb9e41d1eb859ecefdd0e400727ac5d239a",
    ("seriousness", 1): "c08def3d55dd2558fed00186d875031204a055366e4b59e6be4f655da1884da9",
}
OBJECT = """'{"type": "object"}'"""
GOOD = f"""
name = "x"
version = 1
system = "Say so."
schema = {OBJECT}
[steps.first]
max_tokens = 5
"""


@pytest.mark.parametrize(
    ("name", "steps"), [(PROMPT, {ASKED, ASKED_AGAIN}), (draft.PROMPT, {draft.DRAFTED, draft.DRAFTED_AGAIN})]
)
def test_what_was_published_stays_as_it_was(name: str, steps: set[str]) -> None:
    prompt = shipped_prompt(name)
    assert PUBLISHED[(prompt.name, prompt.version)] == prompt.digest
    assert prompt.label == f"{name} {prompt.version} {prompt.digest[:12]}"
    assert set(prompt.steps) == steps


def test_what_an_endpoint_in_the_small_tiers_place_is_asked_stays_as_it_was() -> None:
    prompt = shipped_prompt(endpoint.PROMPT)
    assert PUBLISHED[(prompt.name, prompt.version)] == prompt.digest
    assert set(prompt.steps) == {endpoint.ASKED}


def test_its_schema_takes_what_the_reader_takes() -> None:
    schema = json.loads(shipped_prompt(PROMPT).schema.body)
    assert set(schema["properties"]) == {"serious", "grade", "evidence"}
    assert (schema["additionalProperties"], set(schema["required"])) == (False, set(schema["properties"]))


def test_a_prompt_is_read() -> None:
    prompt = read_prompt(GOOD.encode(), "x.toml")
    assert (prompt.system, prompt.steps["first"].max_tokens) == ("Say so.", 5)
    assert read_prompt(GOOD.encode() + b"# more", "x.toml").digest != prompt.digest


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('system = "Say so."', ""), ('system = "Say so."', 'system = " "'), ('system = "Say so."', "system = 3"), ("version = 1", "version = 0"),
        ("version = 1", "version = true"), ("version = 1", ""), (OBJECT, "'[1]'"), (OBJECT, "'{'"),
        ("max_tokens = 5", ""), ("max_tokens = 5", "max_tokens = 0"), ("max_tokens = 5", "max_tokens = 5\nmost = 3"),
        ("max_tokens = 5", 'max_tokens = 5\nagain = ""'), ("[steps.first]\nmax_tokens = 5", "steps = 3"), ("version = 1", 'version = 1\nsytem = "x"'),
        ("name", "\x00"),
    ],
)  # fmt: skip
def test_a_wrong_one_is_refused_and_named(before: str, after: str) -> None:
    assert before in GOOD
    with pytest.raises(Misconfigured, match=r"VM-2301.*x\.toml"):
        read_prompt(GOOD.replace(before, after).encode(), "x.toml")


@pytest.mark.parametrize("data", [b"", b"\xff", b"a" * 200_000])
def test_what_is_no_text_is_refused(data: bytes) -> None:
    with pytest.raises(Misconfigured, match="VM-2301"):
        read_prompt(data, "x.toml")


def test_one_that_is_missing_is_said() -> None:
    with pytest.raises(Misconfigured, match=r"VM-2301.*not installed"):
        shipped_prompt("nothing")


def test_the_rules_of_redaction_have_a_digest() -> None:
    assert len(rules_digest()) == 64
