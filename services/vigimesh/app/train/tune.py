"""`vigimesh tune`: what each threshold of the small model would cost and miss, on labelled history; as JSON, SVG and PNG.

A curve says what would have been, and certifies nothing beyond each point: whoever picks the best point of many has used the cases up. The certificates
beside it are made as `certify` makes them, for recalls that are fixed beforehand.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import typer

from vigimesh.app.config.model_settings import SmallModelSettings
from vigimesh.app.config.settings import read_settings
from vigimesh.app.in_force.own_model import header_in_force, model_in_force
from vigimesh.app.options import print_json
from vigimesh.app.train.examples import one_per_group, read_vaers, texts_of
from vigimesh.app.train.tune_picture import drawn, painted
from vigimesh.domain.cascade.artefact import card_of
from vigimesh.domain.cascade.certify import allowed_misses, recall_bound
from vigimesh.domain.cascade.padding import worst_of
from vigimesh.errors import Misconfigured

#: Bounds that are marked on the curve (issue 8), each with confidence 1 - `DELTA`.
BOUNDS = (Fraction(95, 100), Fraction(98, 100), Fraction(99, 100))
DELTA = Fraction(1, 20)
#: Points of a curve at most, and the lowest recall that it shows: a picture shows no more, and an exact bound of many misses takes seconds.
MAX_POINTS, LOWEST = 50, 0.8
#: Cases whose cost is told.
PER = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelled:
    """One labelled case: its margin, infinite where the tier never resolves it, whether it is serious, and its group of repeats.

    `model` is the beginning of the name of what gave the margin; empty where it is the shipped one.
    """

    margin: float
    serious: bool
    group: str
    model: str = ""


def history(data: Path, settings: SmallModelSettings) -> list[Labelled]:
    """Return the labelled cases of a folder of VAERS tables that the weights of the model in force were not made from.

    Raises `Misconfigured` VM-2203 when there is no report, VM-2201 and VM-2202 for the model.
    """
    last = str(card_of(header_in_force(settings))["parts"]["train"]["last_day"])
    every = read_vaers(data)
    known = {one.group for one in every if one.day <= last}
    fresh = one_per_group(one for one in every if one.day > last and one.group not in known)
    margins = worst_of(model_in_force(settings), *texts_of(fresh)).highest.tolist() if fresh else []
    return [
        Labelled(margin=inf if one.told else margin, serious=one.label, group=one.group)
        for one, margin in zip(fresh, margins, strict=True)
    ]


def exported(file: Path) -> list[Labelled]:
    """Return the cases that `vigimesh cascade export` wrote. Raises `Misconfigured` VM-2706 for a file that is none, or of several models.

    The shipped model and an endpoint in its place have margins that say nothing of each other, and so have two versions of one.
    """
    try:
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
        found = [
            Labelled(
                margin=inf if row["stated"] else float(row["margin"]), serious=bool(row["serious"]), group=str(row["group"]),
                model=_model_of(str(row.get("place", ""))),
            )
            for row in rows
            if row["stated"] != "field"
        ]  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _nothing(f"no export of labels: {type(error).__name__}", file) from error
    models = sorted({one.model for one in found})
    if len(models) > 1:
        raise Misconfigured(
            "VM-2706", what=f"these labels are of several models ({', '.join(models)}), whose margins cannot be compared", where=str(file),
            todo="keep the lines of one of them: its name stands in each line's place",
        )  # fmt: skip
    return found


def _model_of(place: str) -> str:
    """Return the model in the name of a place (`sample.key_of`)."""
    parts = place.split("/")
    return parts[-3] if len(parts) > 3 else ""


def curve(cases: Sequence[Labelled], call_micro: int) -> dict[str, Any]:
    """Return the curve of these cases as JSON values.

    `points` in rising order of misses, down to a recall of `LOWEST`: below `threshold` the tier resolves, `handed_on` is the share that it does not, `recall` what is found
    here with its lower bound at 95 %, `cost_per_1000_micro` what the calls for 1,000 cases cost at `call_micro` each. `bounds` is the cheapest
    threshold that is certified for each recall of `BOUNDS`, null where the serious cases do not suffice. Raises `Misconfigured` VM-2706 without a serious case.
    """
    lowest: dict[str, Labelled] = {}
    for case in cases:
        held = lowest.get(case.group)
        if held is None or (case.serious, -case.margin) > (held.serious, -held.margin):
            lowest[case.group] = case
    margins = np.array([one.margin for one in lowest.values()])
    serious = np.sort(np.array([one.margin for one in lowest.values() if one.serious]))
    if not len(serious):
        raise _nothing("no serious case", None)
    found = len(serious)

    def point(misses: int) -> dict[str, Any] | None:
        threshold = float(serious[misses])
        if not np.isfinite(threshold):
            return None  # from here on the serious cases are those that the tier never resolves
        # Cases that share the threshold's margin lie at it and not below; so do misses.
        missed = int((serious < threshold).sum())
        handed_on = float((margins >= threshold).mean())
        return {
            "threshold": threshold, "misses": missed, "recall": 1 - missed / found,
            "recall_low": recall_bound(found, missed, DELTA), "handed_on": handed_on,
            "cost_per_1000_micro": round(handed_on * PER * call_micro),
        }  # fmt: skip

    steps = sorted({round(at) for at in np.linspace(0, int((1 - LOWEST) * found), MAX_POINTS)})
    points = [made for at in steps if (made := point(at)) is not None]
    bounds = {}
    for recall in BOUNDS:
        misses = allowed_misses(found, recall, DELTA)
        bounds[f"{float(recall):g}"] = None if misses is None else point(misses)
    return {
        "cases": len(lowest), "serious": found, "confidence": float(1 - DELTA), "call_micro": call_micro, "points": points,
        "bounds": bounds,
    }  # fmt: skip


def tune_command(*, data: Path | None, labels: Path | None, out: Path, call_micro: int, as_json: bool) -> int:
    """Draw the curve into `out` as `curve.json`, `curve.svg` and `curve.png`; return 0. Raises as `history`, `exported` and `curve`."""
    settings = read_settings(os.environ).small_model
    cases = exported(labels) if labels is not None else history(data or Path(), settings)
    made = {
        **curve(cases, call_micro),
        "model": next((one.model for one in cases if one.model), model_in_force(settings).digest),
        "source": (labels or data or out).name,
    }
    text = json.dumps(made, indent=1, allow_nan=False) + "\n"
    out.mkdir(parents=True, exist_ok=True)
    (out / "curve.json").write_text(text, encoding="utf-8")
    (out / "curve.svg").write_text(drawn(made), encoding="utf-8")
    (out / "curve.png").write_bytes(painted(made))
    if as_json:
        print_json(made)
        return 0
    typer.echo(f"{made['cases']} cases, {made['serious']} of them serious; curve.json, .svg, .png in {out}")
    for recall, one in made["bounds"].items():
        told = (
            f"hands on {one['handed_on']:.1%} below margin {one['threshold']:.3f}"
            if one
            else "too few serious cases"
        )
        typer.echo(f"recall >= {recall} at 95 %: {told}")
    return 0


def _nothing(what: str, place: Path | None) -> Misconfigured:
    return Misconfigured(
        "VM-2706", what=f"{what} to tune with", where=str(place or "labelled history"),
        todo="name a folder of VAERS tables with reports after the last that the model was made from, or an export of labels",
    )  # fmt: skip
