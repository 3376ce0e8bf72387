"""What redaction finds, what it takes away too much, and how fast: on invented texts whose places are known.

Groups of texts: *tuned*, *second*, *third* and *held* are drawn from templates anew in each round (see `redaction_texts`), *hard*
are those of `tests/data/redaction_hard.jsonl`, written by hand. `recall`: gold places of which no letter or digit is left, also
because the text was refused; by kind as `recall_KIND`. `precision`: places taken out that touch a gold one. `clinical_kept`: names of
products, doses, reactions, values, lots and dates that are left whole. `refused`: texts that must not leave at all.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from time import perf_counter

from measuring import Goal, Report, finish, options, say
from redaction_texts import GROUPS, PRODUCTS, Sample, samples
from vigimesh.domain.privacy.redaction import Known, Redacted, redact

#: Ours, for want of a published one: a bound that a change of the rules must not fall through.
GOALS = {
    "recall": Goal(bound=">=", value=0.95, points=("held",)),
    "clinical_kept": Goal(bound=">=", value=0.95, points=("held", "hard")),
    "precision": Goal(points=("held",)),
    "refused": Goal(points=("held",)),
    "texts_per_second": Goal(points=("held",)),
}
HARD = Path(__file__).resolve().parent.parent / "tests" / "data" / "redaction_hard.jsonl"
TEXTS, QUICK_TEXTS = 120, 30
SEED = 20260301
KNOWN = Known(products=(*PRODUCTS, "Fluzone"))
#: Left of a name, it tells nobody: a title.
_TITLE = re.compile(r"\b(?:Mrs?|Ms|Miss)\b|'s\b")


def hard_texts() -> list[Sample]:
    """Return the texts written by hand."""
    rows = [json.loads(line) for line in HARD.read_text(encoding="utf-8").splitlines()]
    return [
        Sample(
            row["text"],
            tuple(tuple(one) for one in row["gold"]),
            tuple(tuple(one) for one in row["clinical"]),
        )
        for row in rows
    ]


def taken(redacted: Redacted, length: int) -> Iterator[tuple[int, int]]:
    """Yield the places of the plain text that were taken out of it, read from the placeholders; `length` is its length."""
    values = dict(redacted.table.rows)
    if not values:
        return
    shift = 0
    for found in re.finditer("|".join(map(re.escape, values)), redacted.text):
        start = found.start() + shift
        shift += len(values[found.group()]) - len(found.group())
        yield start, start + len(values[found.group()])
    assert len(redacted.text) + shift == length, (
        "the plain text has another length: its places are not those of the gold"
    )


def judge(texts: Sequence[Sample]) -> dict[str, float]:
    """Return the figures of one group."""
    found, gold, kept, clinical, right, all_taken, refused = Counter[str](), Counter[str](), 0, 0, 0, 0, 0
    begun = perf_counter()
    results = [redact(one.text, KNOWN) for one in texts]
    seconds = perf_counter() - begun
    for one, result in zip(texts, results, strict=True):
        places = [*taken(result, len(one.text))] if isinstance(result, Redacted) else [(0, len(one.text))]
        refused += not isinstance(result, Redacted)
        for start, end, kind in one.gold:
            left = "".join(one.text[at] if not _within(at, places) else "\0" for at in range(start, end))
            gold[kind] += 1
            found[kind] += not any(map(str.isalnum, _TITLE.sub("", left)))
        clinical += len(one.clinical)
        kept += sum(not _touched(place, places) for place in one.clinical)
        if isinstance(result, Redacted):
            all_taken += len(places)
            right += sum(_touched(place, [(start, end) for start, end, _ in one.gold]) for place in places)
    return {
        "recall": sum(found.values()) / sum(gold.values()),
        **{f"recall_{kind}": found[kind] / gold[kind] for kind in sorted(gold)},
        "precision": right / max(1, all_taken),
        "clinical_kept": kept / clinical,
        "refused": refused / len(texts),
        "texts_per_second": len(texts) / seconds,
    }


def _within(at: int, places: Sequence[tuple[int, int]]) -> bool:
    return any(start <= at < end for start, end in places)


def _touched(place: tuple[int, int], places: Sequence[tuple[int, int]]) -> bool:
    return any(start < place[1] and place[0] < end for start, end in places)


def main() -> int:
    """Judge every group in each round, drawn with another seed."""
    chosen = options(__doc__ or "")
    report = Report("redaction", GOALS)
    count = QUICK_TEXTS if chosen.quick else TEXTS
    report.notes["texts"] = {**dict.fromkeys(GROUPS, count), "hard": len(hard_texts())}
    for number in range(chosen.rounds):
        say(f"round {number + 1} of {chosen.rounds}")
        for point in (*GROUPS, "hard"):
            texts = hard_texts() if point == "hard" else samples(point, count, SEED + number)
            for key, figure in judge(texts).items():
                report.add(point, key, figure)
    return finish(report, chosen, {})


if __name__ == "__main__":
    raise SystemExit(main())
