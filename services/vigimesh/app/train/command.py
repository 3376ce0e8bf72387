"""`vigimesh train`: labelled data in, models with their cards out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import typer

from vigimesh.app.options import print_json
from vigimesh.app.train.answers import limits_of, provenance, read_answers, taught
from vigimesh.app.train.card import card_text
from vigimesh.app.train.examples import by_year, read_sentences, read_vaers
from vigimesh.app.train.fit import needed
from vigimesh.app.train.make import Made, make
from vigimesh.app.train.make_tagger import MadeTagger, make_tagger, tagger_card_text
from vigimesh.app.train.spans import read_spans
from vigimesh.app.train.subjects import adverse_event, serious
from vigimesh.domain.cascade.shipped import ADVERSE_EVENT, EVERY, EXTRACTION, SERIOUS, SUMS, sums_of
from vigimesh.events.ids import digest


def train_command(
    *,
    data: Path,
    out: Path,
    models: tuple[str, ...],
    last_year: int | None,
    as_json: bool,
    answers: Path | None = None,
) -> int:
    """Make the models that are named and write them; return 0. `answers` is a file of `vigimesh calls answers` (`serious` alone).

    Raises `Misconfigured` VM-2203 or VM-2204.
    """
    needed("sklearn.linear_model:LogisticRegression")
    files: dict[str, bytes] = {}
    told: dict[str, object] = {}
    for name in models:
        typer.echo(f"vigimesh: making {name}", err=True)
        made = _made(name, data, last_year, answers)
        files |= made.files
        told[name] = {"digest": digest(made.files[f"{name}.json"]), "held_out": made.held_out}
        if not as_json:
            typer.echo(files[f"{name}.md"].decode())
    out.mkdir(parents=True, exist_ok=True)
    kept = {
        f"{name}{end}": out / f"{name}{end}"
        for name in EVERY
        if name not in models
        for end in (".npz", ".json", ".md")
    }
    files |= {name: path.read_bytes() for name, path in kept.items() if path.is_file()}
    files[SUMS] = sums_of(files)
    for name, content in files.items():
        (out / name).write_bytes(content)
    if as_json:
        print_json({"out": str(out), "models": told})
    else:
        typer.echo(f"{len(files)} files in {out}, {sum(map(len, files.values()))} bytes")
    return 0


@dataclass(frozen=True, slots=True)
class _Made:
    """The three files of a model, by their names, and its figures on the part held out."""

    files: Mapping[str, bytes]
    held_out: object


def _made(name: str, data: Path, last_year: int | None, answers: Path | None) -> _Made:
    if name == EXTRACTION:
        tagger = make_tagger(read_spans(data))
        return _files(name, tagger, tagger_card_text(tagger))
    made = (
        _serious(data, last_year, answers) if name == SERIOUS else make(adverse_event(), read_sentences(data))
    )
    return _files(name, made, card_text(made.model, made.card))


def _files(name: str, made: Made | MadeTagger, card: str) -> _Made:
    files = {f"{name}.npz": made.tables, f"{name}.json": made.header, f"{name}.md": card.encode()}
    return _Made(files, made.card["held_out"])


def _serious(data: Path, last_year: int | None, answers: Path | None) -> Made:
    examples = read_vaers(data)
    last = max(one.year for one in examples) if last_year is None else last_year
    parts = by_year(examples, last)
    if answers is None:
        return make(serious(parts), parts)
    more, told = taught(parts, read_answers(answers), data)
    subject = serious(more)
    limits = (*subject.limits, *limits_of(told))
    return make(replace(subject, limits=limits, answers=provenance(told)), more)


__all__ = ["ADVERSE_EVENT", "SERIOUS", "train_command"]
