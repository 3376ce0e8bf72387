"""The model card as Markdown, made from the facts in the model's JSON (Mitchell et al., *Model Cards for Model Reporting*, 2019)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vigimesh.domain.cascade.model import Model
from vigimesh.domain.cascade.shipped import SERIOUS

#: Where `benchmarks/transfer.py` writes what the model is worth elsewhere; both lines stay.
TRANSFER_BEGIN, TRANSFER_END = "<!-- transfer: begin -->", "<!-- transfer: end -->"

_ELSEWHERE = (
    "## Elsewhere", "",
    (
        "What a threshold from elsewhere does (`benchmarks/transfer.py` says how): other vaccine types than it learned from, adults, and single sentences about "
        "drugs. No certificate."
    ), "",
    TRANSFER_BEGIN, "Not measured for these weights: run `benchmarks/transfer.py --card FILE`.", TRANSFER_END, "",
)  # fmt: skip


def card_text(model: Model, card: Mapping[str, Any]) -> str:
    """Return the card of a model; `card` is what `artefact.card_of` gives."""
    held = card["held_out"]
    lines = [
        f"# Small model `{model.name}`",
        "",
        f"Made by `vigimesh train`, not by hand. Asks: {card['question']}",
        "",
        f"Digest `{model.digest}`, of the weights `{model.tables_digest}`.",
        "",
        f"Made from {', '.join(card['sources'])}; product class {card['product_class']}, language {card['language']}.",
        "",
        "| part | use | examples | positive | first day | last day |",
        "|---|---|---|---|---|---|",
        *(_part(part, use, card["parts"][part]) for part, use in _USES.items() if part in card["parts"]),
        "",
        *_people(card),
        "## On the part held out",
        "",
        "| figure | value | 95 % interval |",
        "|---|---|---|",
        *(
            f"| {name} | {held[key]['value']} | {held[key]['low']} to {held[key]['high']} |"
            for key, name in _FIGURES.items()
        ),
        f"| expected calibration error, ten bins | {held['ece']} | |",
        *(
            [f"| area under the ROC curve, {held['adults']} adults | {held['auc_adults']} | |"]
            if "adults" in held
            else []
        ),
        "",
        "| threshold | resolved below it | recall | at least, 95 % | missed |",
        "|---|---|---|---|---|",
        _row(
            f"recall {card['carried_threshold']['recall_on_tune']} on the part tune",
            held["at_carried_threshold"],
        ),
        *(_row(f"certified {one['recall_certified']}", one) for one in held["at_certified"]),
        "",
        "## Certificates",
        "",
        *([f"- {one.words}" for one in model.certificates] or ["None: the gate stays closed."]),
        "",
        *(_ELSEWHERE if model.name == SERIOUS else ()),
        "## Limits",
        "",
        *(f"- {limit}" for limit in card["limits"]),
        "",
    ]
    return "\n".join(lines)


_USES = {
    "train": "weights",
    "tune": "table of probabilities, carried threshold",
    "certify": "certificates",
    "held_out": "the figures below",
}
_FIGURES = {"auc": "area under the ROC curve", "ap": "average precision"}


def _part(name: str, use: str, part: Mapping[str, Any]) -> str:
    return f"| {name} | {use} | {part['examples']} | {part['positive']} | {part['first_day'][:10]} | {part['last_day'][:10]} |"


def _people(card: Mapping[str, Any]) -> list[str]:
    if card["median_age_years"] is None:
        return []
    by_criterion = ", ".join(
        f"{criterion} {count}" for criterion, count in card["positive_by_criterion"].items()
    )
    return [
        f"Median age {card['median_age_years']} years, {card['share_under_18']:.0%} under 18. Ticked in them: {by_criterion}.",
        "",
    ]


def _row(name: str, did: Mapping[str, Any]) -> str:
    missed = ", ".join(f"{criterion} {count}" for criterion, count in did["missed_by_criterion"].items())
    told = f"{did['missed']} of {did['positive']}" + (f" ({missed})" if missed else "")
    return f"| {name} | {did['resolved']:.1%} | {did['recall']} | {did['recall_low']} | {told} |"
