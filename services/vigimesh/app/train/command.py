"""`vigimesh train`: labelled data in, models with their cards out."""

from __future__ import annotations

import json
from pathlib import Path

import typer

from vigimesh.app.train.card import card_text
from vigimesh.app.train.examples import by_year, read_sentences, read_vaers
from vigimesh.app.train.fit import needed
from vigimesh.app.train.make import Made, make
from vigimesh.app.train.subjects import adverse_event, serious
from vigimesh.domain.cascade.shipped import ADVERSE_EVENT, NAMES, SERIOUS, SUMS, sums_of


def train_command(
    *, data: Path, out: Path, models: tuple[str, ...], last_year: int | None, as_json: bool
) -> int:
    """Make the models that are named and write them; return 0. Raises `Misconfigured` VM-2203 or VM-2204."""
    needed("sklearn.linear_model:LogisticRegression")
    files: dict[str, bytes] = {}
    told: dict[str, object] = {}
    for name in models:
        typer.echo(f"vigimesh: making {name}", err=True)
        made = _serious(data, last_year) if name == SERIOUS else make(adverse_event(), read_sentences(data))
        files |= {
            f"{name}.npz": made.tables, f"{name}.json": made.header,
            f"{name}.md": card_text(made.model, made.card).encode(),
        }  # fmt: skip
        told[name] = {"digest": made.model.digest, "held_out": made.card["held_out"]}
        if not as_json:
            typer.echo(files[f"{name}.md"].decode())
    out.mkdir(parents=True, exist_ok=True)
    kept = {
        f"{name}{end}": out / f"{name}{end}"
        for name in NAMES
        if name not in models
        for end in (".npz", ".json", ".md")
    }
    files |= {name: path.read_bytes() for name, path in kept.items() if path.is_file()}
    files[SUMS] = sums_of(files)
    for name, content in files.items():
        (out / name).write_bytes(content)
    if as_json:
        typer.echo(json.dumps({"out": str(out), "models": told}))
    else:
        typer.echo(f"{len(files)} files in {out}, {sum(map(len, files.values()))} bytes")
    return 0


def _serious(data: Path, last_year: int | None) -> Made:
    examples = read_vaers(data)
    last = max(one.year for one in examples) if last_year is None else last_year
    parts = by_year(examples, last)
    return make(serious(parts), parts)


__all__ = ["ADVERSE_EVENT", "SERIOUS", "train_command"]
