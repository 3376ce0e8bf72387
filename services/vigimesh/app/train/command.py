"""`vigimesh train`: labelled data in, models with their cards out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import typer

from vigimesh.app.options import print_json
from vigimesh.app.train.answers import limits_of, provenance, read_answers, taught
from vigimesh.app.train.card import card_text
from vigimesh.app.train.examples import Example, Part, by_year, nothing_to_train, read_sentences, read_vaers
from vigimesh.app.train.fit import needed
from vigimesh.app.train.make import Made, make
from vigimesh.app.train.make_tagger import MadeTagger, make_tagger, tagger_card_text
from vigimesh.app.train.spans import read_spans
from vigimesh.app.train.subjects import adverse_event, grave, serious
from vigimesh.domain.cascade.shipped import ADVERSE_EVENT, EVERY, EXTRACTION, GRAVE, SERIOUS, SUMS, sums_of
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
        made = _grave(data, last_year, files, out) if name == GRAVE else _made(name, data, last_year, answers)
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


def _grave(data: Path, last_year: int | None, files: Mapping[str, bytes], out: Path) -> _Made:
    """Return the model of grade 4 or 5, which borrows from that of seriousness: the one just made, else the one in the folder.

    Raises `Misconfigured` VM-2203 when there is none.
    """
    name = f"{SERIOUS}.npz"
    if name not in files and not (out / name).is_file():
        raise nothing_to_train(
            f"no {name}, whose frequencies {GRAVE} shares,",
            out,
            f"make {SERIOUS} first, with the same --data and --out",
        )
    lender = files[name] if name in files else (out / name).read_bytes()
    made = make(*grave(_parts(data, last_year)), lender)
    return _files(GRAVE, made, card_text(made.model, made.card))


def _parts(data: Path, last_year: int | None) -> dict[Part, list[Example]]:
    examples = read_vaers(data)
    return by_year(examples, max(one.year for one in examples) if last_year is None else last_year)


def _serious(data: Path, last_year: int | None, answers: Path | None) -> Made:
    parts = _parts(data, last_year)
    if answers is None:
        return make(serious(parts), parts)
    more, told = taught(parts, read_answers(answers), data)
    subject = serious(more)
    limits = (*subject.limits, *limits_of(told))
    return make(replace(subject, limits=limits, answers=provenance(told)), more)


__all__ = ["ADVERSE_EVENT", "SERIOUS", "train_command"]
