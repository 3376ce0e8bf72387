"""Bad input through the command line: each is refused with its place and a remedy, its bytes kept, its neighbours taken."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from meshes import Mesh, sums_hold
from unit.intake_samples import (
    DATA_HEADER,
    HEAD,
    TAIL,
    batch,
    csv_text,
    icsr,
    reaction,
    vaers_folder,
    vaers_row,
)
from vigimesh.adapters.objects.store import ObjectStore

pytestmark = pytest.mark.real

#: Bytes of the narrative that nobody can read through, as the issue has it, and of one that is merely long.
HUGE_BYTES, LONG_BYTES = 50_000_000, 1_000_000

XXE = '<!DOCTYPE MCCI_IN200100UV01 [<!ENTITY x SYSTEM "file:///etc/passwd">]>'
BOMB = "<!DOCTYPE MCCI_IN200100UV01 [" + "".join(
    f'<!ENTITY e{n + 1} "{f"&e{n};" * 10}">' if n else '<!ENTITY e1 "ha">' for n in range(9)
) + "]>"  # fmt: skip


def good(number: int, text: str = "A headache.") -> str:
    """Write an ICSR that nothing is wrong with."""
    return icsr(f"ZZ-GOOD-{number}", text=text, role=reaction(highlighted="2"))


def line(number: int, narrative: str = "A headache.") -> str:
    return f'{{"sender": "S", "report_id": "ZZ-LINE-{number}", "narrative": "{narrative}"}}'


@dataclass(frozen=True)
class Wrong:
    """One refusal that is expected: of which file, at which place, with which code, and which bytes are kept.

    `part` is a piece that the kept bytes must hold; without it they are the whole file.
    """

    place: str
    code: str
    part: bytes | None = None
    file: str = ""
    content: bytes = b""

    def said_by(self, text: str) -> bool:
        return text.startswith(f"{self.code} {self.file}{', ' if self.place else ''}{self.place}")


@dataclass
class Bad:
    """The folder, and what must become of it: so many cases taken, these refusals."""

    folder: Path
    good: int = 0
    wrong: list[Wrong] = field(default_factory=list)

    def write(self, name: str, content: bytes | str, good: int, *wrong: Wrong) -> None:
        """Write a file with so many good cases and `wrong` ones."""
        data = content.encode() if isinstance(content, str) else content
        (self.folder / name).write_bytes(data)
        self.good += good
        self.wrong += [replace(one, file=name, content=data) for one in wrong]


def doctype(text: str, entity: str) -> str:
    head, rest = HEAD.split("\n", 1)
    return f"{head}\n{text}\n{rest}{good(1, entity)}{TAIL}"


@pytest.fixture(scope="module")
def bad(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bad]:
    found = Bad(tmp_path_factory.mktemp("bad"))
    whole = Wrong("line 2", "VM-1406")
    cut = Wrong("ICSR 3, ", "VM-1405", part=b"ZZ-GOOD-4")
    found.write("cut.xml", HEAD + good(2) + good(3) + good(4)[:-200], 2, cut, Wrong("line 43", "VM-1405"))
    broken = good(6).replace("</text>", "</txt>")
    found.write(
        "broken.xml", batch(good(5), broken, good(7)), 2, Wrong("ICSR 2, ", "VM-1405", part=b"</txt>")
    )
    found.write("doctype.xml", doctype("<!DOCTYPE x>", "x"), 0, whole)
    found.write("bomb.xml", doctype(BOMB, "&e9;"), 0, whole)
    found.write("external.xml", doctype(XXE, "&x;"), 0, whole)
    latin = batch(good(8, "Schläfrig."), good(12)).encode("latin-1")
    found.write("encoding.xml", latin, 1, Wrong("ICSR 1, ", "VM-1405", part=b"Schl\xe4frig"))
    huge = batch(good(9), good(10, "x" * HUGE_BYTES), good(11))
    found.write("huge.xml", huge, 2, Wrong("ICSR 2, ", "VM-1407", part=b"x" * HUGE_BYTES))
    no_json = '{"sender": "S", "report_id": "ZZ-'
    lines = "\n".join((line(1), no_json, line(2), line(3, "y" * LONG_BYTES), ""))
    found.write("lines.jsonl", lines, 3, Wrong("line 2", "VM-1413", part=no_json.encode()))
    found.write("empty.jsonl", "", 0, Wrong("line 1", "VM-1403"))
    for year in ("missing", "extra"):
        (found.folder / year).mkdir()
        vaers_folder(found.folder / year, [vaers_row(f"000000{number}") for number in (1, 2, 3)])
    lacking = [name for name in DATA_HEADER if name != "SYMPTOM_TEXT"]
    table = csv_text([lacking, vaers_row("0000001")])
    found.write("missing/1999VAERSDATA.csv", table, 0, Wrong("line 1", "VM-1410"))
    table = csv_text([[*DATA_HEADER, "NEW_COLUMN"], [*vaers_row("0000002"), "z"], vaers_row("0000003")])
    found.write("extra/1999VAERSDATA.csv", table, 1, Wrong("line 3", "VM-1411", part=b"0000003"))
    (found.folder / "loop").symlink_to(found.folder / "loop")
    found.wrong.append(Wrong("", "VM-1401", file="loop"))
    locked = found.folder / "locked"
    if os.geteuid():  # the system's administrator may read everything
        locked.mkdir(mode=0)
        found.wrong.append(Wrong("", "VM-1401", file="locked"))
    yield found
    if locked.exists():
        locked.chmod(0o700)


@pytest.fixture(scope="module")
def result(bad: Bad, mesh: Mesh) -> dict[str, Any]:
    answer = mesh.run(bad.folder)
    assert answer.status == 0, answer.err
    assert "Traceback" not in answer.err
    return answer.json


def test_the_totals_add_up_and_the_neighbours_are_taken(bad: Bad, result: dict[str, Any]) -> None:
    sums_hold(result)
    assert result["accepted"] == bad.good
    assert result["refused"] == len(bad.wrong)


def test_each_refusal_says_what_where_and_what_to_do(bad: Bad, result: dict[str, Any]) -> None:
    assert len(result["refusals"]) == len(bad.wrong)
    for one in bad.wrong:
        (found,) = [text for text in result["refusals"] if one.said_by(text)]
        where, _, rest = found.partition(": ")
        what, _, todo = rest.rpartition("; do: ")
        assert one.file in where
        assert len(what) > 10, found
        assert len(todo) > 10, found
    assert not [text for text in result["refusals"] if "root:" in text], "an outside entity was read"


def test_the_bytes_of_what_was_refused_are_kept(bad: Bad, mesh: Mesh, result: dict[str, Any]) -> None:
    assert result["refused"] > 0
    store = ObjectStore(mesh.urls.objects)
    refused = {one.why: one for one in mesh.events("audit") if one.action == "refused"}
    for one in bad.wrong:
        (audit,) = [audit for why, audit in refused.items() if one.said_by(why)]
        if not one.content:
            continue
        held = b"".join(store.get(name) for name in audit.new.split())
        if one.part is None:
            assert held == one.content, one.file
        else:
            assert one.part in held, one.file
            assert held in one.content, one.file


def test_a_long_narrative_goes_by_reference_and_is_read(mesh: Mesh, result: dict[str, Any]) -> None:
    assert result["accepted"] > 0
    (case,) = [
        event.case
        for door in ("urgent", "normal")
        for event in mesh.events(f"case.received.{door}")
        if event.case.report_id == "ZZ-LINE-3"
    ]
    assert case.narrative == ""
    assert len(ObjectStore(mesh.urls.objects).get(case.narrative_ref)) == LONG_BYTES
