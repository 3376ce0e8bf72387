"""Labels from recorded answers of the large tier: what was paid for once may teach the small model.

An answer labels a report where no person's label is there. It joins the part train alone: thresholds, certificates and figures rest on labels
of people, as before. Where a form says serious or not, the form stands.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from vigimesh.app.train.examples import Example, Part, nothing_to_train
from vigimesh.domain.cascade.facts import facts_of
from vigimesh.domain.cascade.opinion import Opinion, read_opinion
from vigimesh.domain.cascade.sample import group_of
from vigimesh.domain.privacy.plain_text import Unreadable, plain
from vigimesh.events.ids import digest
from vigimesh.intake.reading import read_path
from vigimesh.intake.values import Accepted

#: Bytes of a file of answers that are read: a million answers of some 400 bytes.
MAX_BYTES = 512 * 1024 * 1024
#: What a model's name begins with when it is the stand-in of tests and demonstrations.
STAND_IN = "standin-"
#: What stands for personal data in what was sent (`domain.privacy.redaction`).
_MARK = re.compile(r"\[[A-Z][A-Z0-9+-]{1,30}\]")
#: Of several answers about one case the graver one counts.
_ORDER = ("no", "unknown", "yes")


@dataclass(frozen=True, slots=True)
class Answers:
    """Recorded answers: `serious` gives yes, no or unknown for each case (its id without the tenant), `models` how many each gave.

    `quotes` are what they quote of its narrative as it was sent, redacted. `digest` is the sha256 of the file, `unread` how many lines hold no opinion, the days are ISO 8601 and may be empty.
    """

    serious: Mapping[str, str]
    quotes: Mapping[str, frozenset[str]]
    models: Mapping[str, int]
    digest: str
    unread: int
    first_day: str
    last_day: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Taught:
    """The provenance of distilled labels, for the card: what was taken, and what was left out and why."""

    taken: int
    positive: int
    models: Mapping[str, int]
    file_sha256: str
    first_day: str
    last_day: str
    left_out: Mapping[str, int] = field(default_factory=dict)


def read_answers(file: Path) -> Answers:
    """Return the answers in a file of JSON lines, as `vigimesh calls answers` writes them: `case_id`, `model`, `at`, `answer`.

    Raises `Misconfigured` VM-2203 when there is none.
    """
    try:
        with file.open("rb") as stream:
            data = stream.read(MAX_BYTES)
    except OSError:
        raise nothing_to_train(
            "no file of answers", file, "name what `vigimesh calls answers` wrote"
        ) from None
    serious: dict[str, str] = {}
    quotes: dict[str, frozenset[str]] = {}
    models: Counter[str] = Counter()
    days: list[str] = []
    unread = 0
    for line in data.decode("utf-8", errors="replace").splitlines():
        try:
            value = json.loads(line)
            case, told = str(value["case_id"]).partition("/")[2], _read(value["answer"])
        except (ValueError, KeyError, TypeError):
            unread += 1
            continue
        if not case or told is None:
            unread += 1
            continue
        serious[case] = max(serious.get(case, "no"), told.serious, key=_ORDER.index)
        quotes[case] = quotes.get(case, frozenset()) | frozenset(told.evidence)
        models[str(value.get("model", ""))] += 1
        days.append(str(value.get("at", ""))[:10])
    if not serious:
        raise nothing_to_train(
            "no answer of the large tier", file, "name what `vigimesh calls answers` wrote"
        )
    return Answers(serious, quotes, models, digest(data), unread, min(days), max(days))


def _read(answer: str) -> Opinion | None:
    """Return the opinion in an answer; whether its quotes were given is seen where the report is there (`_quoted`)."""
    found = json.loads(answer)
    given = found.get("evidence", ()) if isinstance(found, dict) else ()
    return read_opinion(answer, "\n".join(given))


def _quoted(narrative: str, quotes: Iterable[str]) -> bool:
    """Return whether a narrative has every quote; what was redacted in it may have been anything."""
    try:
        told = " ".join(plain(narrative).split())
    except Unreadable:
        return not any(quotes)  # such a text is never sent
    return all(
        " ".join(piece.split()) in told for quote in quotes for piece in _MARK.split(quote) if piece.strip()
    )


def taught(
    parts: Mapping[Part, Sequence[Example]], answers: Answers, reports: Path
) -> tuple[dict[Part, list[Example]], Taught]:
    """Return the parts with the reports below a folder that only an answer labels in the part train, and where those labels are from.

    Left out: an answer *unknown*; a report whose text is in any part already (a person labelled it, or it judges the model); a report on a form, whose
    blank boxes are an answer; an answer that quotes what its report does not say; one without a report. Raises `Misconfigured` VM-2203 when nothing is left.
    """
    known = {one.group for held in parts.values() for one in held}
    added: dict[str, Example] = {}
    left: Counter[str] = Counter()
    found: set[str] = set()
    for item in read_path(reports, tenant="train"):
        case = item.case if isinstance(item, Accepted) else None
        name = case.case_id.partition("/")[2] if case else ""
        if case is None or name not in answers.serious or name in found:
            continue
        found.add(name)
        example = Example(
            text=case.narrative, facts=facts_of(case), label=answers.serious[name] == "yes",
            group=group_of(case.narrative), day=case.first_received_on, age_years=case.patient.age_years,
        )  # fmt: skip
        if answers.serious[name] == "unknown":
            left["unknown"] += 1
        elif case.criteria or case.criteria_form == "form":
            left["labelled by its source"] += 1
        elif not _quoted(case.narrative, answers.quotes[name]):
            left["quotes another text"] += 1
        elif example.group in known:
            left["text known"] += 1
        else:
            first = added.setdefault(example.group, example)
            added[example.group] = example if example.label and not first.label else first
    left["no report"] = len(answers.serious.keys() - found)
    if not added:
        raise nothing_to_train(
            "no report that only an answer labels",
            reports,
            "name the folder of the reports that were asked about",
        )
    made = {part: list(held) for part, held in parts.items()}
    made["train"] += added.values()
    return made, Taught(
        taken=len(added), positive=sum(one.label for one in added.values()), models=dict(sorted(answers.models.items())),
        file_sha256=answers.digest, first_day=answers.first_day, last_day=answers.last_day,
        left_out={**{why: count for why, count in sorted(left.items()) if count}, "unread": answers.unread},
    )  # fmt: skip


def limits_of(told: Taught) -> tuple[str, ...]:
    """Return what the card says of distilled labels."""
    named = ", ".join(f"{name or 'a model without a name'} {count}" for name, count in told.models.items())
    share = f"{told.taken} examples of the part train are labelled by answers of a large model ({named}), not by people; the other parts are not."
    if any(name.startswith(STAND_IN) for name in told.models):
        return (
            share,
            "Some of those answers are a stand-in's, which is no model: this model is for trying only.",
        )
    return (share,)


def provenance(told: Taught) -> dict[str, object]:
    """Return the provenance as JSON values."""
    return asdict(told)
