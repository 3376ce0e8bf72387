"""What a reader is told is held to what is there: tables, links, commands, promises, the demo's output."""

from __future__ import annotations

import re
import tomllib
from datetime import UTC, datetime
from functools import cache
from itertools import pairwise
from pathlib import Path, PurePosixPath

import pytest
from typer.testing import CliRunner

from rules.house import ROOT, project_files
from vigimesh.app.cli import app
from vigimesh.app.config.settings import Settings, rows
from vigimesh.app.contract.metrics_table import metrics_document
from vigimesh.app.contract.topics_table import with_table
from vigimesh.app.demo.writing import write_demo
from vigimesh.app.mesh.reckoning import Reckoning, Waiting
from vigimesh.app.mesh.result import Result, show
from vigimesh.domain.record.checker import Check
from vigimesh.domain.record.triage_time import TriageTime, TriageTimes
from vigimesh.intake.values import Refusal, Skipped
from vigimesh.intake.worker import Tally

#: Documents of the knowledge base are data, not guides.
DATA = PurePosixPath("services/vigimesh/domain/knowledge/documents")
GUIDES = [p for p in project_files() if p.suffix == ".md" and DATA not in p.parents]

FENCE = re.compile(r"^```(?P<info>[^\n]*)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?P<target>[^)\s]+)\)")
SECTIONS = ("Context", "Choice", "Measured", "Rejected")


@cache
def text_of(path: PurePosixPath | str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


README = text_of("README.md")


def between(text: str, name: str) -> str:
    """Return what stands between the markers `name: begin` and `name: end`."""
    found = re.search(rf"<!-- {name}: begin[^\n]*-->\n(.*?)<!-- {name}: end -->", text, re.DOTALL)
    assert found, f"the markers of {name} are missing"
    return found[1]


def prose(text: str) -> str:
    """Leave out blocks of code and code in lines, where a bracket is no link."""
    return re.sub(r"`[^`\n]*`", "``", FENCE.sub("", text))


def anchors(text: str) -> set[str]:
    """Return the anchors of a Markdown file's headings, as web views of repositories make them."""
    heads = re.findall(r"^#+ (.*)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", head.lower()).strip().replace(" ", "-") for head in heads}


def broken_links(path: PurePosixPath, text: str) -> list[str]:
    """Find relative links that lead nowhere."""
    found = []
    for target in LINK.findall(prose(text)):
        place, _, anchor = target.partition("#")
        if "://" in target:
            continue
        there = (ROOT / path).parent / place if place else ROOT / path
        if not there.exists():
            found.append(f"{path}: {target}: no such file")
        elif anchor and anchor not in anchors(there.read_text(encoding="utf-8")):
            found.append(f"{path}: {target}: no such heading")
    return found


def missing_tests(row: str, folder: Path) -> list[str]:
    """Find tests a table row names that are in none of the test files it links to."""
    files = [folder / target for target in LINK.findall(row) if "tests/" in target]
    gone = [str(file) for file in files if not file.is_file()]
    defined = {
        name for file in files if file.is_file() for name in re.findall(r"def (test_\w+)", file.read_text())
    }
    return gone + sorted(set(re.findall(r"`(test_\w+)`", row)) - defined)


def run_lines() -> list[tuple[str, str]]:
    """Return every command of the blocks marked `sh run`, with the guide it stands in."""
    found = []
    for path in GUIDES:
        for block in FENCE.finditer(text_of(path)):
            if block["info"].split() == ["sh", "run"]:
                found += [(str(path), line) for line in block["body"].splitlines() if line and line[0] != "#"]
    return found


def wrong_command(line: str) -> str:
    """Return what is wrong with one command line, or nothing: unknown target, setting, command, option or argument."""
    first, *words = line.split()
    if first == "make":
        targets = set(re.findall(r"^([a-z-]+):", text_of("Makefile"), re.MULTILINE))
        return "" if set(words) <= targets else f"no target of the Makefile: {words}"
    if first == "export":
        known = {row.setting.variable for row in rows(Settings())}
        given = {word.partition("=")[0] for word in words}
        return "" if given <= known else f"no setting: {sorted(given - known)}"
    if first != "vigimesh":
        return f"neither make, export nor vigimesh: {first}"
    done = CliRunner().invoke(app, [*words, "--help"])
    return "" if done.exit_code == 0 else done.output


def test_the_readme_is_short_and_is_the_packages_own() -> None:
    assert len(README.splitlines()) <= 250
    assert tomllib.loads(text_of("pyproject.toml"))["project"]["readme"] == "README.md"


def test_the_table_of_topics_is_that_of_the_code() -> None:
    assert with_table(README, "README.md") == README, "run: vigimesh topics table --write README.md"


def test_the_guide_to_metrics_is_that_of_the_code() -> None:
    told = "run: vigimesh config metrics --write docs/metrics.md"
    assert text_of("docs/metrics.md") == metrics_document(), told


def test_every_link_leads_somewhere() -> None:
    assert [line for path in GUIDES for line in broken_links(path, text_of(path))] == []


def test_a_broken_link_is_caught() -> None:
    here = PurePosixPath("docs/README.md")
    assert broken_links(
        here, "see [x](nowhere.md), [y](contract.md#no-such-part) and [z](contract.md#ids)"
    ) == [
        "docs/README.md: nowhere.md: no such file",
        "docs/README.md: contract.md#no-such-part: no such heading",
    ]


@pytest.mark.parametrize(("guide", "line"), run_lines())
def test_every_command_shown_exists(guide: str, line: str) -> None:
    assert wrong_command(line) == "", guide


@pytest.mark.parametrize(
    "line",
    [
        "vigimesh rum --from FILE",
        "vigimesh run --form FILE",
        "make demos",
        "export VIGIMESH_KAFKA=x",
        "curl x",
    ],
)
def test_a_command_that_does_not_exist_is_caught(line: str) -> None:
    assert wrong_command(line)


def test_every_promise_has_its_evidence_or_says_that_there_is_none() -> None:
    promises = re.findall(r"^\| P\d \|.*$", README, re.MULTILINE)
    assert [row[2:4] for row in promises] == [f"P{number}" for number in range(1, 9)]
    for row in promises:
        evidence = row.split("|")[3]
        assert "not yet proven" in evidence or "](tests/" in evidence, row
        assert missing_tests(row, ROOT) == []


def test_every_promise_file_stands_in_its_row() -> None:
    files = [str(p) for p in project_files() if p.match("tests/promises/test_p[1-8]_*.py")]
    rows_of = {row[2:4].lower(): row for row in re.findall(r"^\| P\d \|.*$", README, re.MULTILINE)}
    told = "link it in the README's table of promises, and say there what it proves and what not yet"
    assert [f for f in files if f"]({f})" not in rows_of[PurePosixPath(f).name[5:7]]] == [], told


def test_every_failure_of_others_names_tests_that_exist() -> None:
    failures = [row for row in text_of("docs/failures.md").splitlines() if row.startswith("| ")]
    named = [row for row in failures if "test_" in row]
    assert len(named) >= 15
    for row in failures:
        assert row.endswith(" test here |") or "`test_" in row or "none yet" in row, row
        assert missing_tests(row, ROOT / "docs") == []


def test_every_bad_input_names_tests_that_exist() -> None:
    rows = [row for row in text_of("docs/bad-input.md").splitlines() if row.startswith("| ")]
    named = [row for row in rows if not row.endswith(" test |")]
    assert len(named) >= 7
    for row in named:
        assert "`test_" in row, row
        assert missing_tests(row, ROOT / "docs") == []


def test_a_test_that_does_not_exist_is_caught() -> None:
    row = "| x | `test_that_is_nowhere` in [test_names.py](tests/rules/test_names.py), [a](tests/gone.py) |"
    assert missing_tests(row, ROOT) == [str(ROOT / "tests/gone.py"), "test_that_is_nowhere"]


def test_the_glossary_has_each_word_once_and_in_order() -> None:
    words = [
        row.split("|")[1].strip() for row in text_of("docs/glossary.md").splitlines() if row.startswith("| ")
    ]
    assert words[0] == "word"
    assert words[1:] == sorted(set(words[1:]), key=str.lower)


def test_every_decision_is_whole_and_in_the_list() -> None:
    folder = PurePosixPath("docs/decisions")
    records = [p for p in GUIDES if p.parent == folder and p.name != "README.md"]
    assert [p.name[:4] for p in records] == [f"{n:04}" for n in range(1, len(records) + 1)]
    listed = re.findall(r"^\| \[(\d{4})\]\((.+?)\) \| (.+) \|$", text_of(folder / "README.md"), re.MULTILINE)
    assert [(p.name[:4], p.name) for p in records] == [(number, name) for number, name, _ in listed]
    for path, (number, _, title) in zip(records, listed, strict=True):
        assert text_of(path).startswith(f"# {number} {title}\n")
        assert [
            s for s in SECTIONS if not re.search(rf"^\*\*{s}\b[^*]*\*\*", text_of(path), re.MULTILINE)
        ] == []


def columns(text: str) -> list[list[str]]:
    """Return the column names of each table drawn in `text`."""
    return [
        [cell.strip() for cell in line.strip("┃").split("┃")] for line in text.splitlines() if "┃" in line
    ]


def headings(text: str) -> list[str]:
    """Return the lines over the tables and lists: those followed by a frame or by indented lines."""
    lines = [line.rstrip() for line in text.splitlines()]
    return [line for line, below in pairwise(lines) if below.startswith(("┏", "  ")) and line[:1].isalpha()]


def last_lines(text: str) -> list[str]:
    """Return the seven lines of totals, numbers left out."""
    return [re.sub(r"\d[\d.]*", "N", line.rstrip()) for line in text.strip().splitlines()[-7:]]


def test_the_demos_output_has_the_shape_that_is_printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = re.search(r"demo: begin .*, (\d+) columns wide", README)
    assert wide
    monkeypatch.setenv("COLUMNS", wide[1])
    pasted = between(README, "demo").strip().removeprefix("```text\n").removesuffix("\n```")
    one = TriageTime(triaged=1, censored=0, median_s=1.0, p99_s=1.0)
    begun = datetime(2026, 3, 2, tzinfo=UTC)
    check = Check(
        accepted=1, decided=1, in_review=0, parked=0, dead_lettered=0, in_flight=0, lost=0, duplicated=0, torn=0,
        unaccounted=0, triage=TriageTimes(overall=one, by_lane={"hot": one}),
        first_append_at=begun, last_outcome_at=begun.replace(second=2),
    )  # fmt: skip
    asked = Waiting(workflow="triage", lane="hot", question="?" * 44, cases=1, first_due_at=None)
    reckoning = Reckoning(
        check=check, spend_micro={"triage": 2_900}, calls=2, tiers={"tools": 1},
        decisions={("hot", "regulatory_prep", "in_review"): 1}, waiting=(asked,),
    )  # fmt: skip
    refusal = Refusal(source="x", place="line 1", code="VM-1413", what="y", todo="z")
    tally = Tally(refused=1, refusals=[refusal], skipped=[Skipped(source="x", why="y")])
    cards, model = pasted.rpartition("cards: ")[2].split("\nlarge model: ")
    show(
        Result(
            tally=tally,
            extra=0,
            reckoning=reckoning,
            peak_rss_bytes=1,
            restarts=0,
            cards=cards,
            large_model=model,
        )
    )
    printed = capsys.readouterr().out
    assert columns(pasted) == columns(printed)
    assert headings(pasted) == headings(printed)
    assert last_lines(pasted) == last_lines(printed)


def test_the_demos_totals_are_those_that_its_files_promise(tmp_path: Path) -> None:
    promised = write_demo(tmp_path)
    pasted = between(README, "demo")
    sums = re.findall(r"^(?:read|accepted) (\d+) = (.*)$", pasted, re.MULTILINE)
    for total, parts in sums:
        assert int(total) == sum(map(int, re.findall(r"\d+", parts)))
    assert len(sums) == 2
    # One record more is written straight to a topic: accepted, and found unreadable.
    assert (
        f"read {promised.read + 1} = accepted {promised.accepted + 1} + refused {promised.refused}\n"
        in pasted
    )
    assert "lost 0, duplicated 0, torn 0" in pasted
