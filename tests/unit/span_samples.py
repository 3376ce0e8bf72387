"""Sentences of our own words in PHEE's form, whose fields their words tell."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

DRUGS = ("fictixine", "madeupol", "inventamab", "nosuchine")
EFFECTS = ("green hair", "hiccups", "blue toes", "loud ears")


def line(text: str, **fields: str) -> dict[str, Any]:
    """Return a sentence in which each field is the first place of its words."""

    def entity(words: str) -> dict[str, Any]:
        return {"text": [[words]], "start": [[text.index(words)]]}

    treatment = {
        name: entity(fields[key])
        for key, name in {"drug": "Drug", "dose": "Dosage", "time": "Time_elapsed"}.items()
        if key in fields
    }
    event: dict[str, Any] = {"event_type": "Adverse_event", "Treatment": treatment}
    if "age" in fields:
        event["Subject"] = {"Age": entity(fields["age"])}
    if "reaction" in fields:
        event["Effect"] = entity(fields["reaction"])
    return {"id": "1_1", "context": text, "annotations": [{"events": [event]}]}


def lines(count: int, mark: str) -> list[dict[str, Any]]:
    found = []
    for at, (letters, drug, effect) in enumerate(
        product(product("abcdefghij", repeat=2), DRUGS, EFFECTS)
    ):  # fmt: skip
        if at == count:
            break
        age, dose, time = f"{20 + at % 60}-year-old", f"{5 * (1 + at % 9)} mg", f"{2 + at % 7} days"
        text = f"A {age} man {mark}{''.join(letters)} had {effect} {time} after {dose} of {drug}."
        found.append(line(text, age=age, reaction=effect, time=time, dose=dose, drug=drug))
    return found


def write_phee(folder: Path, train: int = 60, dev: int = 60) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, count in (("train", train), ("dev", dev), ("test", 9)):
        made = "".join(json.dumps(one) + "\n" for one in lines(count, name))
        (folder / f"{name}.json").write_text(made, encoding="utf-8")
    return folder
