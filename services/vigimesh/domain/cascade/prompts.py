"""The prompts of the large tier as data: each file in `prompt_files` is one, with its version and its digest.

The fixed part is a whole message of its own and comes first, so that two questions have the same bytes until the case begins.
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from typing import Any

from vigimesh.domain.cascade.question import MAX_ANSWER_TOKENS, AnswerSchema, Message, Question, schema_of
from vigimesh.domain.privacy.rules import rules_digest
from vigimesh.errors import Misconfigured, Refused
from vigimesh.events.ids import digest

#: Bytes of one file: forty times the longest there is.
MAX_PROMPT_FILE = 131_072
#: Digits of a digest that stand in a question and in records: 48 bits tell the few prompts there ever are apart.
SHORT = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One call that a prompt is used for: tokens of its answer, and, when it asks again, what stands for the answer and what is said."""

    max_tokens: int
    answered: str = ""
    again: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A prompt: its fixed part, the schema of its answers, and its steps by name. `digest` is that of the file (64 hexadecimal digits)."""

    name: str
    version: int
    digest: str
    system: str
    schema: AnswerSchema
    steps: Mapping[str, Step]

    @property
    def label(self) -> str:
        """Name, version and the beginning of the digest: what a question, a finding and a usage record say of it."""
        return f"{self.name} {self.version} {self.digest[:SHORT]}"

    def asked(
        self, step: str, told: Mapping[str, Any], model: str, deadline_s: float, schema: AnswerSchema | None = None
    ) -> Question:  # fmt: skip
        """Return the question of a step about what is told; `schema` is the prompt's own, or one narrower.

        By which prompt and rules of redaction it was made stands in its first message, which is the same for all. Raises `Refused` VM-2101
        for what cannot be asked.
        """
        made_by = f"Prompt {self.label}, redaction {rules_digest()[:SHORT]}"
        return Question(
            model=model,
            messages=(
                Message("system", f"{self.system}\n{made_by}."),
                Message("user", json.dumps(told, ensure_ascii=False, sort_keys=True)),
            ),
            max_tokens=self.steps[step].max_tokens, deadline_s=deadline_s, schema=schema or self.schema,
        )  # fmt: skip

    def asked_again(self, step: str, question: Question) -> Question:
        """Return the question that asks once more, after an answer that could not be used: nothing of that answer is in it."""
        asks = self.steps[step]
        more = (Message("assistant", asks.answered), Message("user", asks.again))
        return replace(question, messages=(*question.messages, *more), max_tokens=asks.max_tokens)


@cache
def shipped_prompt(name: str) -> Prompt:
    """Return a prompt that comes with the program. Raises `Misconfigured` VM-2301 when it is missing or is none."""
    file = f"{name}.toml"
    try:
        data = (resources.files(__package__) / "prompt_files" / file).read_bytes()
    except OSError as error:
        raise _wrong(file, "it is not installed") from error
    return read_prompt(data, file)


def read_prompt(data: bytes, file: str) -> Prompt:
    """Return the prompt in `data`. Raises `Misconfigured` VM-2301 for one that is none: nothing is asked with half a prompt."""
    if len(data) > MAX_PROMPT_FILE:
        raise _wrong(file, f"it has {len(data)} bytes, more than {MAX_PROMPT_FILE}")
    try:
        raw = tomllib.loads(data.decode())
        name, version = _text(raw, "name"), raw["version"]
        schema = AnswerSchema(name, json.dumps(json.loads(_text(raw, "schema")), sort_keys=True))
        schema_of(schema)
        steps = {step: Step(**_step(values)) for step, values in raw["steps"].items()}
        extra = set(raw) - {"name", "version", "system", "schema", "steps"}
        if type(version) is not int or version < 1 or not steps or extra:
            raise ValueError(", ".join(sorted(extra)) or "no version or no step")
        return Prompt(
            name=name, version=version, digest=digest(data), system=_text(raw, "system").strip(), schema=schema, steps=steps
        )  # fmt: skip
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, Refused) as error:
        raise _wrong(file, f"{type(error).__name__}: {error}") from error


def _step(values: Mapping[str, Any]) -> dict[str, Any]:
    most = values["max_tokens"]
    if type(most) is not int or not 1 <= most <= MAX_ANSWER_TOKENS:
        raise ValueError(f"max_tokens is {most}")
    if not all(isinstance(value, str) and value for key, value in values.items() if key != "max_tokens"):
        raise ValueError("a text is missing")
    return dict(values)


def _text(raw: Mapping[str, Any], key: str) -> str:
    value = raw[key]
    if not isinstance(value, str) or not value.strip():
        raise ValueError(f"{key} is no text")
    return value


def _wrong(file: str, why: str) -> Misconfigured:
    return Misconfigured(
        "VM-2301", what=f"a prompt cannot be used: {why}", where=file,
        todo="install vigimesh again: the prompts are part of it",
    )  # fmt: skip
