"""`vigimesh knowledge counts`: what a table of reports says of each pair, and the prior that its EBGM needs."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from vigimesh.app.exits import NOT_HELD, OK
from vigimesh.app.options import AsJson, print_json
from vigimesh.domain.safety.disproportionality import (
    Counts,
    Measure,
    Prior,
    chi_squared,
    ebgm,
    information_component,
    prr,
    ror,
)
from vigimesh.domain.safety.gamma_poisson import MIN_PAIRS, at_the_edge, fit_prior
from vigimesh.domain.safety.report_counts import prior_line, stated_prior, table_rows
from vigimesh.errors import Refused

#: Bytes of a table that are read: a million pairs.
MAX_BYTES = 100_000_000
#: Lines that are named of those which are no rows.
_NAMED = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a table says of one pair: EBGM where there is a prior, with its two-sided 90 % interval, the others with 95 %."""

    product: str
    reaction: str
    counts: Counts
    prr: Measure
    ror: Measure
    chi_squared: float | None
    ic: Measure
    ebgm: Measure | None

    @property
    def rank(self) -> float:
        """The lower end of EBGM, else of the IC: by what pairs are put in order."""
        low = self.ebgm.low if self.ebgm else self.ic.low
        return -math.inf if low is None else low


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table that was read. `stated` stands in it, `fitted` was fitted to `pairs` of it, `passed` are the lines that are no rows."""

    told: tuple[Told, ...]
    passed: tuple[int, ...]
    pairs: int
    stated: Prior | None
    fitted: Prior | None


def counts(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", exists=True, dir_okay=False, help="The table, as it is or will be ingested."
        ),
    ],
    limit: Annotated[int, typer.Option("--limit", min=1, metavar="N", help="Pairs shown at most.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Work out PRR, ROR, IC and EBGM of a table of reports.

    For each pair, the most conspicuous first, and fit the prior that EBGM needs: put the line `EBGM prior:` above the table before it
    is ingested. Fit it to all pairs of the database that have a report; the prior that a file states is used for its EBGM. Reads the
    file alone. Without a prior, or where the pairs are too few to tell one, there is no EBGM. Exit status 1 when a line of the table
    is no row of counts.
    """
    found = read_table(_text(file), str(file))
    if as_json:
        print_json(document(found))
    else:
        from rich.console import Console

        Console(highlight=False).print(_drawn(found, limit))
        _tell(found)
    raise typer.Exit(NOT_HELD if found.passed else OK)


def read_table(text: str, where: str) -> Table:
    """Return what a table of reports says. Raises `Refused` VM-1622 when it has no row of counts."""
    rows = list(table_rows(text.splitlines()))
    good = [row for _, row in rows if row is not None]
    if not good:
        raise _unread(where, "there is no row of counts")
    pairs = [(one.a, one.expected) for _, _, one in good if one.a]
    stated, fitted = stated_prior(text), fit_prior(pairs) if len(pairs) >= MIN_PAIRS else None
    if fitted and at_the_edge(fitted):
        fitted = None
    told = (_told(*row, prior=stated or fitted) for row in good)
    return Table(
        told=tuple(sorted(told, key=lambda one: (-one.rank, one.product, one.reaction))),
        passed=tuple(number for number, row in rows if row is None),
        pairs=len(pairs), stated=stated, fitted=fitted,
    )  # fmt: skip


def document(found: Table) -> dict[str, Any]:
    """Return the object of `--json`; a figure that the counts do not define is null."""
    return {
        "pairs": [asdict(one) | {"expected": one.counts.expected} for one in found.told],
        "prior": {
            name: prior and asdict(prior) | {"line": prior_line(prior)}
            for name, prior in (("stated", found.stated), ("fitted", found.fitted))
        },
        "fitted_to": found.pairs,
        "passed_over": list(found.passed),
    }


def _told(product: str, reaction: str, row: Counts, *, prior: Prior | None) -> Told:
    return Told(
        product=product, reaction=reaction, counts=row, prr=prr(row), ror=ror(row), chi_squared=chi_squared(row),
        ic=information_component(row), ebgm=ebgm(row.a, row.expected, prior) if prior else None,
    )  # fmt: skip


def _text(file: Path) -> str:
    if file.stat().st_size > MAX_BYTES:
        raise _unread(str(file), f"it has over {MAX_BYTES // 1_000_000} MB")
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise _unread(str(file), "it is not UTF-8") from None


def _unread(where: str, what: str) -> Refused:
    return Refused(
        "VM-1622", what=what, where=where, todo="give a table with the columns product, reaction, a, b, c, d: docs/tools.md shows one"
    )  # fmt: skip


def _drawn(found: Table, limit: int) -> Any:
    from rich.table import Table as Drawn

    made = Drawn(box=None, pad_edge=False)
    for name in ("product", "reaction"):
        made.add_column(name, overflow="fold")
    for name in ("a", "expected", "PRR", "ROR", "chi²", "IC", "EBGM"):
        made.add_column(name, justify="right")
    for one in found.told[:limit]:
        squared = "-" if one.chi_squared is None else f"{one.chi_squared:.1f}"
        made.add_row(
            one.product, one.reaction, str(one.counts.a), f"{one.counts.expected:.2f}", _cell(one.prr), _cell(one.ror), squared,
            _cell(one.ic), _cell(one.ebgm),
        )  # fmt: skip
    return made


def _cell(one: Measure | None) -> str:
    """Return a figure with its interval below it, so that a row fits 100 columns."""
    if one is None or one.value is None:
        return "-"
    below = "" if one.low is None or one.high is None else f"\n{_short(one.low)} to {_short(one.high)}"
    return _short(one.value) + below


def _short(value: float) -> str:
    """Return two decimals of a small figure, fewer of a large one."""
    return f"{value:.{0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2}f}"


def _tell(found: Table) -> None:
    """Say below the table which prior there is, and what was not read."""
    if found.stated:
        typer.echo(f"EBGM by the prior that the file states: {prior_line(found.stated)}")
    if found.fitted:
        typer.echo(f"fitted to the {found.pairs} pairs with a report: {prior_line(found.fitted)}")
    elif not found.stated:
        typer.echo(
            f"no EBGM: {found.pairs} pairs with a report do not tell its prior; fit it to all pairs of the database",
            err=True,
        )
    if found.passed:
        named = ", ".join(map(str, found.passed[:_NAMED]))
        more = f" and {len(found.passed) - _NAMED} more" if len(found.passed) > _NAMED else ""
        typer.echo(f"no rows of counts, passed over: line {named}{more}", err=True)
