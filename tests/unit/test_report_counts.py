"""A table of reports: each row is told or named, and the prior that is fitted to it can be put into it and read again."""

from __future__ import annotations

import json
from pathlib import Path
from random import Random

import pytest
from typer.testing import CliRunner, Result

from vigimesh.app.commands.knowledge import app
from vigimesh.app.commands.knowledge_counts import read_table
from vigimesh.app.exits import NOT_HELD, OK
from vigimesh.domain.safety.disproportionality import Counts, Prior, ebgm
from vigimesh.domain.safety.report_counts import prior_line, stated_prior, table_rows
from vigimesh.errors import Refused

HEAD = "| Product | Reaction | a | b | c | d |\n|---|:--|--:|---|---|---|\n"
ROW = "| Torvexil | Headache | 25 | 75 | 100 | 9,800 |\n"


def told(file: Path, *options: str) -> Result:
    return CliRunner().invoke(app, ["counts", str(file), *options], catch_exceptions=False)


def whole_table() -> str:
    """Return the counts of 20 products and 20 reactions; every seventh pair comes four times as often as the margins say."""
    chance = Random(5)
    cells = {
        (product, reaction): sum(
            chance.random() < 0.2 for _ in range((1 + product) * (1 + reaction) // 8 * (1 if (product + 3 * reaction) % 7 else 4))
        )
        for product in range(20)
        for reaction in range(20)
    }  # fmt: skip
    total = sum(cells.values())
    lines = []
    for (product, reaction), a in cells.items():
        row = sum(count for (one, _), count in cells.items() if one == product)
        column = sum(count for (_, one), count in cells.items() if one == reaction)
        lines.append(
            f"| P{product} | R{reaction} | {a} | {row - a} | {column - a} | {total - row - column + a} |"
        )
    return HEAD + "\n".join(lines) + "\n"


def test_each_row_is_read_or_named_by_its_line() -> None:
    text = f"A title | with a bar\n\n{HEAD}{ROW}| x | y | two | 1 | 1 | 1 |\n| x | y | 1 |\n| x | y | 1 | -1 | 1 | 1 |\n\nEnd.\n"
    assert list(table_rows(text.splitlines())) == [
        (5, ("Torvexil", "Headache", Counts(a=25, b=75, c=100, d=9_800))),
        (6, None), (7, None), (8, None),
    ]  # fmt: skip


def test_a_pair_is_told_with_every_measure(tmp_path: Path) -> None:
    file = tmp_path / "reports.md"
    file.write_text("EBGM prior: 0.2, 0.06, 1.4, 1.8, 0.1\n\n" + HEAD + ROW, encoding="utf-8")
    done = told(file, "--json")
    (pair,) = json.loads(done.stdout)["pairs"]
    assert (done.exit_code, pair["product"], pair["expected"]) == (OK, "Torvexil", 1.25)
    assert [round(pair[name]["value"], 2) for name in ("prr", "ror", "ic")] == [24.75, 32.67, 3.87]
    assert round(pair["chi_squared"], 1) == 461.6
    prior = Prior(shape1=0.2, rate1=0.06, shape2=1.4, rate2=1.8, share=0.1)
    assert pair["ebgm"]["value"] == ebgm(25, 1.25, prior).value


def test_the_line_of_a_fitted_prior_is_read_as_that_prior(tmp_path: Path) -> None:
    text, file = whole_table(), tmp_path / "reports.md"
    found = read_table(text, "reports.md")
    assert found.fitted is not None
    line = prior_line(found.fitted)
    again = read_table(f"{line}\n\n{text}", "reports.md")
    assert again.stated == stated_prior(line)
    ours, theirs = ([one.ebgm.value for one in table.told if one.ebgm] for table in (found, again))
    assert len(ours) == 400
    assert ours == pytest.approx(theirs, rel=1e-6)
    # What is more often than the margins say comes first.
    first = [(int(one.product[1:]), int(one.reaction[1:])) for one in found.told[:20]]
    assert all((product + 3 * reaction) % 7 == 0 for product, reaction in first)
    file.write_text(text, encoding="utf-8")
    assert line in told(file).stdout


def test_too_few_pairs_tell_no_prior_and_no_ebgm() -> None:
    few = HEAD + "".join(ROW.replace("Headache", f"R{number}") for number in range(12))
    for text in (HEAD + ROW, few):
        found = read_table(text, "reports.md")
        assert (found.fitted, found.stated, found.told[0].ebgm) == (None, None, None)


def test_a_row_that_is_none_is_said_and_is_status_1(tmp_path: Path) -> None:
    file = tmp_path / "reports.md"
    file.write_text(HEAD + ROW + "| x | y | two | 1 | 1 | 1 |\n", encoding="utf-8")
    done = told(file)
    assert (done.exit_code, "line 4" in done.stderr) == (NOT_HELD, True)


@pytest.mark.parametrize(
    "body", [b"", b"no table", HEAD.encode(), (HEAD + "| M\xfcller | x | 1 | 1 | 1 | 1 |").encode("latin-1")]
)
def test_what_is_no_table_is_refused(tmp_path: Path, body: bytes) -> None:
    file = tmp_path / "reports.md"
    file.write_bytes(body)
    with pytest.raises(Refused) as error:
        told(file)
    assert error.value.code == "VM-1622"
