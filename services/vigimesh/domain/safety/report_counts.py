"""Counts of reports for disproportionality, read from a table that the knowledge base holds; without one nothing is guessed.

The table is a document of the workflow's owner (an extract of the safety database, with its date as its version): rows of `|`
with the columns product, reaction, a, b, c, d, as `disproportionality.Counts` names them. A line `EBGM prior:` with five numbers (shape, rate,
shape, rate, share) gives the fitted prior; without it there is no EBGM, because a prior cannot be fitted from one row. A table that is cut into
passages states it in one of them: that is read for the others too, where it is among what was found and the document states no second one.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from vigimesh.domain.safety.disproportionality import (
    Counts,
    Measure,
    Prior,
    ebgm,
    information_component,
    prr,
    ror,
)
from vigimesh.errors import Refused
from vigimesh.events.case import Case
from vigimesh.events.classes import Finding
from vigimesh.events.knowledge import Passage

STEP = "disproportionality"
#: The columns of a table of reports.
COLUMNS = ("product", "reaction", "a", "b", "c", "d")
#: How a question for such a table begins: with its head's words, under which it is found whatever its title.
ASKED = ("reports", "by", "product", "and", "reaction")
#: The largest count that is read: a hundred times the largest public database of reports.
MAX_COUNT = 10**10
#: Pairs told of one case, and lines read of one passage (a passage has 1,200 characters).
MAX_PAIRS, MAX_LINES = 4, 200
#: A cell of the line below a table's head.
_RULE = re.compile(r":?-+:?")
_SUSPECT = ("suspect", "interacting")
#: A strength behind a name, and what follows it: a case names `Torvexil 10 mg`, a table of reports `Torvexil`.
_STRENGTH = re.compile(r"(?i)[ ,]{1,4}\d[\d.,]{0,12} ?(?:mg|g|mcg|ug|\u00b5g|ml|iu|units?|%)(?!\w).{0,200}$")
_PRIOR = re.compile(
    r"(?i)\bEBGM prior:[ \t]{0,4}((?:\d{1,6}(?:\.\d{1,9})?[,; \t]{1,4}){4}\d{1,6}(?:\.\d{1,9})?)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """A row that names a product and a reaction of the case; `cite` is `document@version#start-end` of its passage."""

    product: str
    reaction: str
    counts: Counts
    prior: Prior | None
    cite: str


def counted(case: Case, passages: Sequence[Passage]) -> tuple[Counted, ...]:
    """Return the rows for suspect products and reactions of `case`, each pair once, the first that is found."""
    given = [name for one in case.products if one.role in _SUSPECT for name in (one.name, one.substance)]
    products = {_plain(name) for whole in given for name in (whole, without_strength(whole))}
    reactions = {_plain(name) for one in case.reactions for name in (one.term, one.text)}
    read = [(passage, stated_prior(passage.text)) for passage in passages]
    stated: dict[tuple[str, str], set[Prior]] = defaultdict(set)
    for passage, prior in read:
        if prior is not None:
            stated[passage.document_id, passage.version].add(prior)
    found: dict[tuple[str, str], Counted] = {}
    for passage, prior in read:
        whole = stated[passage.document_id, passage.version]
        for one in rows_of(passage, prior or (next(iter(whole)) if len(whole) == 1 else None)):
            pair = (_plain(one.product), _plain(one.reaction))
            if pair[0] in products - {""} and pair[1] in reactions - {""}:
                found.setdefault(pair, one)
    return tuple(found.values())[:MAX_PAIRS]


def without_strength(name: str) -> str:
    """Return a product's name without a strength behind it, and what follows that."""
    return _STRENGTH.sub("", name)


def rows_of(passage: Passage, prior: Prior | None) -> Iterator[Counted]:
    """Yield the rows of counts in a passage; a row that is none (a gap, a word, below 0) is passed over."""
    cite = f"{passage.document_id}@{passage.version}#{passage.start}-{passage.end}"
    for _, row in table_rows(passage.text.splitlines()[:MAX_LINES]):
        if row is not None:
            product, reaction, counts = row
            yield Counted(product=product, reaction=reaction, counts=counts, prior=prior, cite=cite)


def table_rows(lines: Iterable[str]) -> Iterator[tuple[int, tuple[str, str, Counts] | None]]:
    """Yield the number of each row below a head of `COLUMNS`, with product, reaction and counts; `None` for a row that is no such row."""
    places: dict[str, int] = {}
    for number, line in enumerate(lines, start=1):
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        names = [cell.casefold() for cell in cells]
        if set(COLUMNS) <= set(names):
            places = {name: names.index(name) for name in COLUMNS}
        elif places and "|" in line and not all(_RULE.fullmatch(cell) for cell in cells):
            whole = len(cells) > max(places.values())
            counts = _counts([cells[places[name]] for name in COLUMNS[2:]]) if whole else None
            yield number, (cells[places["product"]], cells[places["reaction"]], counts) if counts else None


def disproportionality_finding(case: Case, passages: Sequence[Passage]) -> Finding:
    """Return PRR, ROR, IC and EBGM of the pairs of a case that a table counts, each with its interval and the table cited.

    The result is `calculated`, or `no_counts`: then nothing is. It changes no grade; thresholds are the workflow's.
    """
    found = counted(case, passages)
    if not found:
        detail = f"nothing calculated: no passage holds a table ({', '.join(COLUMNS)}) with a suspect product and a reaction of this case"
        return Finding(step=STEP, result="no_counts", detail=detail)
    cites = tuple(dict.fromkeys(one.cite for one in found))
    return Finding(step=STEP, result="calculated", detail="; ".join(map(_told, found)), quotes=cites)


def _told(one: Counted) -> str:
    counts = one.counts
    parts = [
        f"{one.product} with {one.reaction}: a {counts.a}, b {counts.b}, c {counts.c}, d {counts.d}",
        _measure("PRR", prr(counts)),
        _measure("ROR", ror(counts)),
        _measure("IC", information_component(counts)),
    ]
    if one.prior is None:
        parts.append("EBGM not calculated (the table states no prior)")
    else:
        parts.append(_measure("EBGM", ebgm(counts.a, counts.expected, one.prior), "90 %"))
    return ", ".join(parts)


def _measure(name: str, one: Measure, level: str = "95 %") -> str:
    if one.value is None:
        return f"{name} undefined"
    if one.low is None or one.high is None:
        return f"{name} {one.value:.2f} without interval"
    return f"{name} {one.value:.2f} ({level}: {one.low:.2f} to {one.high:.2f})"


def _counts(cells: Sequence[str]) -> Counts | None:
    plain = [cell.replace(",", "").replace(" ", "") for cell in cells]
    if not all(cell.isascii() and cell.isdecimal() and len(cell) <= len(str(MAX_COUNT)) for cell in plain):
        return None
    a, b, c, d = map(int, plain)
    try:
        return Counts(a=a, b=b, c=c, d=d)
    except Refused:
        return None


def stated_prior(text: str) -> Prior | None:
    """Return the prior that a line `EBGM prior:` states; `None` without one, or for numbers that are none."""
    found = _PRIOR.search(text)
    if found is None:
        return None
    shape1, rate1, shape2, rate2, share = (float(part) for part in re.split(r"[,; \t]+", found[1]))
    if min(shape1, rate1, shape2, rate2) <= 0 or not 0 < share < 1:
        return None
    return Prior(shape1=shape1, rate1=rate1, shape2=shape2, rate2=rate2, share=share)


def prior_line(prior: Prior) -> str:
    """Return the line that states a prior, as `stated_prior` reads it."""
    parts = (prior.shape1, prior.rate1, prior.shape2, prior.rate2, prior.share)
    return "EBGM prior: " + ", ".join(f"{part:.9f}".rstrip("0").rstrip(".") for part in parts)


def _plain(name: str) -> str:
    return " ".join(name.casefold().split())
