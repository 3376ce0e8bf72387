"""CEL rules: compiled once, held to the known facts, and a small table of what the language means here."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from vigimesh.domain.policy import facts
from vigimesh.domain.policy.cel import MAX_KEPT, MAX_LENGTH, compile_rule
from vigimesh.errors import Misconfigured, Refused

KNOWN: dict[str, Any] = {
    "grade": 1, "age": 1.5, "name": "x", "flags": ("a",), "ok": True, "at": datetime(2026, 1, 1, tzinfo=UTC),
    "note": None,
}  # fmt: skip


@pytest.mark.parametrize(
    ("source", "facts_given", "expected"),
    [
        ("grade > 2", {"grade": 3}, True),
        ("grade > 2", {"grade": 2}, False),
        ("grade > 2.5", {"grade": 3}, True),
        ("age >= 18.0", {"age": 18.0}, True),
        ("age < 18", {"age": 17.9}, True),
        ("grade == 2.0", {"grade": 2}, True),
        ("'a' in flags", {"flags": ()}, False),
        (
            "'a' in flags",
            {
                "flags": (
                    "b",
                    "a",
                )
            },
            True,
        ),
        (
            "flags.exists(f, f.startsWith('a'))",
            {
                "flags": (
                    "b",
                    "ab",
                )
            },
            True,
        ),
        ("flags.all(f, f == 'a')", {"flags": ()}, True),
        ("size(flags) == 0", {"flags": ()}, True),
        ("name == 'über'", {"name": "über"}, True),
        ("name.matches('^(a+)+$')", {"name": "a" * 40 + "b"}, False),
        ("ok && !(grade > 2)", {"ok": True, "grade": 1}, True),
        ("at < timestamp('2026-02-01T00:00:00Z')", {"at": datetime(2026, 1, 1, tzinfo=UTC)}, True),
        ("note == null", {"note": None}, True),
        ("true || name == 'x'", {"name": "y"}, True),
    ],
)
def test_what_the_language_means(source: str, facts_given: dict[str, Any], expected: bool) -> None:
    assert compile_rule(source, "test", KNOWN).holds(facts_given.__getitem__) is expected


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("grad > 2", "unknown fact 'grad'|did you mean 'grade'"),
        ("flags.exists(f, g == 'a')", "unknown fact 'g'"),
        ("grade >", "does not parse"),
        ("", "empty"),
        ("  ", "empty"),
        ("grade", "type int"),
        ("name > 2", "does not fit"),
        ("flags[0] == 'a'", "does not fit"),
        ("sise(flags) == 0", "unknown function 'sise'|did you mean 'size'"),
        ("now() > at", "unknown function 'now'"),
        ("grade > 2 /* " + "x" * MAX_LENGTH, "at most 2000"),
        ("flags.exists(a, flags.exists(b, flags.exists(c, flags.exists(d, a == d))))", "4 comprehensions"),
        ("(" * 900 + "true" + ")" * 900, "does not parse"),
    ],
)
def test_a_wrong_rule_is_named_with_the_nearest(source: str, words: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        compile_rule(source, "card.toml: match", KNOWN)
    assert caught.value.code == "VM-1104"
    assert caught.value.where == "card.toml: match"
    for part in words.split("|"):
        assert part in str(caught.value)


def test_a_name_in_a_text_is_no_fact() -> None:
    rule = compile_rule("name == 'x.exists(grad, 1)'", "test", KNOWN)
    assert rule.names == ("name",)


def test_only_the_facts_a_rule_names_are_read() -> None:
    asked: list[str] = []

    def read(name: str) -> Any:
        asked.append(name)
        return KNOWN[name]

    assert compile_rule("grade > 0 && ok", "test", KNOWN).holds(read)
    assert sorted(asked) == ["grade", "ok"]
    assert compile_rule("true", "test", KNOWN).holds(KNOWN.__getitem__)
    assert sorted(asked) == ["grade", "ok"]


@pytest.mark.parametrize("value", ["a text", None, ()])
def test_a_rule_that_fails_on_a_case_says_so(value: Any) -> None:
    rule = compile_rule("1 / grade > 0", "card.toml: policy[1].when", {"grade": 1})
    with pytest.raises(Refused) as caught:
        rule.holds({"grade": value}.__getitem__)
    assert caught.value.code == "VM-1105"
    assert caught.value.where == "card.toml: policy[1].when"
    assert "a text" not in str(caught.value)
    with pytest.raises(Refused):
        rule.holds({"grade": 0}.__getitem__)


def test_every_fact_has_a_meaning_and_a_sample_that_a_rule_takes() -> None:
    for name, fact in facts.POLICY.items():
        assert fact.meaning
        compile_rule(f"{name} == {name}", "test", facts.samples(facts.POLICY))


def test_answers_are_kept_within_a_bound_and_stay_true() -> None:
    kept = compile_rule("grade % 2 == 0", "test", KNOWN)
    for number in [*range(MAX_KEPT + 5), 3, 4]:
        assert kept.holds({"grade": number}.__getitem__) is (number % 2 == 0)
    assert kept.kept is not None
    assert 0 < len(kept.kept) <= MAX_KEPT
    assert compile_rule("grade % 2 == 0", "test", KNOWN, {"grade"}).kept is None


def test_rules_bring_no_command_line_along() -> None:
    code = "import sys, vigimesh.domain.policy.cel; print(sorted({'prompt_toolkit', 'rich', 'typer'} & sys.modules.keys()))"
    services = str(Path(__file__).parents[2] / "services")
    told = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": services},
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert told.stdout == "[]\n"
