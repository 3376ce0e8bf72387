"""What the stand-in answers: the label with a stated accuracy, else something that fits the schema. The same for the same prompt."""

from __future__ import annotations

import json
from collections.abc import Mapping
from random import Random
from typing import Any

#: Schemas nested deeper are answered with a text from there on.
_DEPTH = 12
#: What stands where a schema asks for any text.
_TEXT = "stand-in text"


def answer(
    digest: str, schema: Any, label: Mapping[str, Any], accuracy: float, seed: int, wrong: Mapping[str, Any] | None = None
) -> str:  # fmt: skip
    """Return the text of the answer, a function of its arguments alone; `digest` names what is asked about.

    With probability `accuracy` over names the labelled properties have their labelled values; else those of `wrong`, and where
    nothing is given there another value if one fits. Properties without a label are drawn. Without a schema and a label it is a
    sentence.
    """
    chance = Random(f"{seed}|oracle|{digest}")
    right = chance.random() < accuracy
    if not isinstance(schema, dict):
        if not label:
            return f"This is a stand-in's answer, no model's: {digest[:12]}"
        schema = {
            "type": "object",
            "properties": {name: _schema_like(value) for name, value in label.items()},
        }
    value = _invent(schema, chance, _DEPTH)
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        for name in sorted(set(label) & set(value)):
            value[name] = label[name] if right else _other(label[name], properties[name])
        if not right and wrong is not None:
            value |= {name: one for name, one in wrong.items() if name in value}
    return json.dumps(value, ensure_ascii=False)


def _invent(schema: Any, chance: Random, depth: int) -> Any:
    """Return a value that fits the common parts of JSON schema."""
    if not isinstance(schema, dict) or depth == 0:
        return _TEXT
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return chance.choice(schema["enum"])
    for choice in ("anyOf", "oneOf"):
        if schema.get(choice):
            return _invent(schema[choice][0], chance, depth - 1)
    kind = schema.get("type")
    kind = kind[0] if isinstance(kind, list) and kind else kind
    if kind == "object":
        properties = schema.get("properties", {})
        return {name: _invent(one, chance, depth - 1) for name, one in properties.items()}
    if kind == "array":
        return [_invent(schema.get("items"), chance, depth - 1) for _ in range(schema.get("minItems", 1))]
    if kind in {"integer", "number"}:
        least = int(schema.get("minimum", 0))
        drawn = chance.randint(least, max(least, int(schema.get("maximum", least + 9))))
        return drawn if kind == "integer" else float(drawn)
    return {"boolean": chance.random() < 0.5, "null": None}.get(str(kind), _TEXT)


def _other(value: Any, schema: Any) -> Any:
    """Return another value than `value` that fits, where there is one."""
    words = schema.get("enum", ()) if isinstance(schema, dict) else ()
    for word in words:
        if word != value:
            return word
    if words:
        return value
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        top = schema.get("maximum") if isinstance(schema, dict) else None
        return value + 1 if top is None or value + 1 <= top else value - 1
    return f"not {value}" if isinstance(value, str) else None


def _schema_like(value: Any) -> dict[str, Any]:
    """Return a schema that a label's value fits."""
    kinds: tuple[tuple[type, str], ...] = (
        (bool, "boolean"),
        (int, "integer"),
        (float, "number"),
        (str, "string"),
    )
    return {"type": next((name for kind, name in kinds if isinstance(value, kind)), "null")}
