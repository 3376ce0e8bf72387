"""The deterministic readers of dates, durations, ages, dimensions and units against published specifications.

    python benchmarks/tools.py --data ../shared/data --json

`--data` names the folder that holds `recognizers` (test specifications of English recognizers, JSON: `Input`, `Results`)
and `ucum` (the essence of the unit standard, XML, and its table of example codes, XLSX). Without a folder its keys are null.

What counts as passed. Of a specification every result is found and nothing else: the same text at the same place, and the
same value. A specification that some implementation marks `NotSupported` counts like any other; what our readers tell
apart (`ambiguous`, `impossible`, `vague`) earns nothing where the specification wants one value.

- dates: the ISO days of the past and the future resolution are our readings; `0001-01-01` is our `impossible`. The
  extractors' specifications have no value: place alone. They are of the United States, so figures are month first.
- durations: the ISO 8601 duration, part by part (`Timex`), and its seconds with months of 30 and years of 365 days.
- ages: number and unit; the specifications' unit "Age" is a number without a unit.
- dimensions: the value in the specification's unit (exactly, or to the 12 digits that its float was printed with), also
  null; degrees without a scale are `Degree`. Temperatures have specifications of their own and a key of their own.
- units: an atom counts when its factor, power of pi and dimension are those of its definition in the XML (of a function its
  dimension); an example code when it is read and one of it is converted to its base units, both ways, exactly.
- calls_per_second: calls of the readers, each text of the specifications by each reader, one after another, on one core.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from measuring import Goal, Report, finish, options, say
from vigimesh.domain.safety.ages import ages
from vigimesh.domain.safety.date_values import Told
from vigimesh.domain.safety.doses import doses
from vigimesh.domain.safety.durations import durations
from vigimesh.domain.safety.lab_values import lab_values
from vigimesh.domain.safety.quantities import Quantity, dimensions
from vigimesh.domain.safety.text_dates import text_dates
from vigimesh.domain.safety.unit_names import unit_at
from vigimesh.domain.safety.units import convert, unit

GOALS = {
    "dates": Goal(bound=">=", value=0.90),
    "durations": Goal(bound=">=", value=0.95),
    "ages": Goal(bound=">=", value=0.95),
    "dimensions": Goal(bound=">=", value=0.90),
    "units": Goal(bound=">=", value=0.98),
    "calls_per_second": Goal(bound=">=", value=2_000),
    "temperatures": Goal(),
}
#: The type of a specification's results, and the key it counts for.
KINDS = {
    "date": "dates",
    "duration": "durations",
    "age": "ages",
    "dimension": "dimensions",
    "temperature": "temperatures",
}
#: The day that specifications without one are told on: that of most of those that have one.
TODAY = "2016-11-07"
#: The share of a value that a float printed with 16 digits may be off.
PRINTED = Fraction(1, 10**12)
#: Days that the specifications give a month and a year.
DAYS = {"mo": 30, "a": 365, "{business_day}": 1}
SECONDS = {"s": 1, "min": 60, "h": 3_600, "d": 86_400, "wk": 604_800}

#: (where it starts, text in lower case, value): what is compared.
Answer = tuple[int, str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spec:
    """One specification: a text, the day it is told on, and the results it wants."""

    kind: str
    text: str
    today: date
    results: Sequence[dict[str, Any]]


def specs(folder: Path) -> list[Spec]:
    """Read every specification below a folder; the kind of a file is that of most of its results."""
    found = []
    for file in sorted(folder.rglob("*.json")):
        rows = json.loads(file.read_text(encoding="utf-8-sig"))
        named = Counter(
            str(r.get("TypeName") or r.get("Type")) for row in rows for r in row.get("Results", ())
        )
        kind = KINDS.get(named.most_common(1)[0][0]) if named else None
        for row in rows if kind else ():
            today = (row.get("Context") or {}).get("ReferenceDateTime") or TODAY
            found.append(
                Spec(
                    kind=str(kind),
                    text=row["Input"],
                    today=date.fromisoformat(today[:10]),
                    results=row.get("Results", ()),
                )
            )
    return found


def answers(spec: Spec) -> list[Answer]:
    """Return what our reader says of a specification's text."""
    return sorted(ANSWERS[spec.kind](spec), key=str)


def wanted(spec: Spec) -> list[Answer]:
    """Return what a specification wants."""
    return sorted(
        ((int(r.get("Start", -1)), r["Text"].lower(), WANTED[spec.kind](r)) for r in spec.results), key=str
    )


def passed(spec: Spec) -> bool:
    """Say whether our reader says what the specification wants, and nothing else."""
    mine, theirs = answers(spec), wanted(spec)
    return len(mine) == len(theirs) and all(map(same, mine, theirs))


def same(mine: Answer, theirs: Answer) -> bool:
    """Compare place, text and value; a value that is not asked for is None in a specification without values."""
    at_place = mine[1] == theirs[1] and theirs[0] in (-1, mine[0])
    if theirs[2] is ANY or not at_place:
        return at_place
    one, other = mine[2], theirs[2]
    if isinstance(one, Quantity):
        return _same_quantity(one, *other)
    return bool(one == other)


ANY = object()


def _dates(spec: Spec) -> Iterator[Answer]:
    for one in text_dates(spec.text, Told(reference=spec.today, order="month_first")):
        yield one.start, one.text.lower(), one.readings


def _wanted_date(result: dict[str, Any]) -> Any:
    value = result.get("Value")
    if not value:
        return ANY
    days = {value[key]["date"] for key in ("PastResolution", "FutureResolution")} - {"0001-01-01"}
    return tuple(sorted(days))


def _durations(spec: Spec) -> Iterator[Answer]:
    for one in durations(spec.text):
        seconds = sum(
            (value * (SECONDS.get(code) or DAYS[code] * 86_400) for value, code in one.parts), Decimal(0)
        )
        yield one.start, one.text.lower(), (one.iso, seconds)


def _wanted_duration(result: dict[str, Any]) -> Any:
    value = result.get("Value")
    return (value["Timex"], Decimal(value["FutureResolution"]["duration"])) if value else ANY


def _ages(spec: Spec) -> Iterator[Answer]:
    for one in ages(spec.text):
        value, code = one.parts[0] if one.parts else (None, "")
        yield one.start, one.text.lower(), (value, code if one.unit_stated else "")


def _wanted_age(result: dict[str, Any]) -> Any:
    named = unit_at(result["Resolution"]["unit"].lower(), 0)
    return Decimal(result["Resolution"]["value"]), named.code if named else ""


def _quantities(spec: Spec) -> Iterator[Answer]:
    for one in dimensions(spec.text):
        # A share and a count ("25 %", "2 tablets") are no dimension to either of the specifications.
        if (one.what == "temperature") == (spec.kind == "temperatures") and one.what not in (
            "fraction",
            "count",
        ):
            yield one.start, one.text.lower(), one


def _wanted_quantity(result: dict[str, Any]) -> Any:
    return result["Resolution"]["value"], result["Resolution"]["unit"]


def _same_quantity(mine: Quantity, value: str | None, name: str) -> bool:
    named = unit_at(name.lower(), 0)
    code = {"C": "Cel", "F": "[degF]"}.get(name, named.code if named else "")
    if name == "Degree" and mine.choices:
        return mine.value == Decimal(str(value))
    if value is None:
        return mine.value is None and mine.unit == code
    if mine.value is None or mine.upto is not None:
        return False
    if name == "Degree":
        return mine.unit == "deg" and mine.value == Decimal(value)
    if mine.unit == code:
        return mine.value == Decimal(value)
    found = convert(mine.value, mine.unit, code)
    return found is not None and abs(found - Fraction(value)) <= PRINTED * abs(found)


ANSWERS: dict[str, Callable[[Spec], Iterator[Answer]]] = {
    "dates": _dates, "durations": _durations, "ages": _ages, "dimensions": _quantities, "temperatures": _quantities,
}  # fmt: skip
WANTED: dict[str, Callable[[dict[str, Any]], Any]] = {
    "dates": _wanted_date, "durations": _wanted_duration, "ages": _wanted_age,
    "dimensions": _wanted_quantity, "temperatures": _wanted_quantity,
}  # fmt: skip


def atoms(folder: Path) -> Iterator[tuple[str, bool]]:
    """Yield each symbol of the standard's essence, and whether ours is what it defines."""
    for file in sorted(folder.rglob("*.xml")):
        for node in ET.parse(file).getroot():
            tag = node.tag.rpartition("}")[2]
            if tag == "base-unit":
                yield node.attrib["Code"], unit(node.attrib["Code"]) is not None
            elif tag == "unit":
                yield node.attrib["Code"], _defined(node)


def _defined(node: ET.Element) -> bool:
    space = node.tag.partition("}")[0] + "}"
    value = node.find(f"{space}value")
    mine = unit(node.attrib["Code"])
    if value is None or mine is None:
        return False
    function = value.find(f"{space}function")
    meant = unit((value if function is None else function).attrib["Unit"])
    if meant is None:
        return False
    if node.attrib.get("isArbitrary") == "yes":
        return len(mine.dimension) == 1
    if function is not None:
        return mine.dimension == meant.dimension
    if mine.pi_power and not meant.pi_power:
        return mine.factor == 1  # pi itself: the standard prints its digits
    factor = meant.factor * Fraction(value.attrib["value"])
    return (mine.factor, mine.pi_power, mine.dimension) == (factor, meant.pi_power, meant.dimension)


def examples(folder: Path) -> Iterator[tuple[str, bool]]:
    """Yield each code of the tables of examples, and whether it is read and converted."""
    for file in sorted(folder.rglob("*.xlsx")):
        for code in _column(file, "UCUM_CODE"):
            yield code, _converted(code)


def _converted(code: str) -> bool:
    mine = unit(code)
    if mine is None:
        return False
    if mine.scale == "function" or mine.pi_power:
        return convert(1, code, code) == 1
    there = convert(1, code, mine.base)
    return there is not None and convert(there, mine.base, code) == 1


def _column(file: Path, header: str) -> list[str]:
    """Return the texts below a header on the first sheet of an XLSX file."""
    with zipfile.ZipFile(file) as packed:
        shared = ET.fromstring(packed.read("xl/sharedStrings.xml"))
        sheet = ET.fromstring(packed.read("xl/worksheets/sheet1.xml"))
    space = sheet.tag.partition("}")[0] + "}"
    texts = ["".join(part.text or "" for part in item.iter(f"{space}t")) for item in shared]
    cells = {
        (str(cell.get("r")).rstrip("0123456789"), row): texts[int(value.text or 0)]
        for row, line in enumerate(sheet.iter(f"{space}row"))
        for cell in line
        if cell.get("t") == "s" and (value := cell.find(f"{space}v")) is not None
    }
    top = next(((column, row) for (column, row), text in cells.items() if text == header), None)
    if top is None:
        return []
    return [text.strip() for (column, row), text in cells.items() if column == top[0] and row > top[1]]


def pace(texts: Sequence[str]) -> float:
    """Return calls per second: every text by every reader, reader after reader."""
    told = Told(reference=date.fromisoformat(TODAY), order="month_first")
    readers: tuple[Callable[[str], object], ...] = (
        lambda text: text_dates(text, told), durations, ages, dimensions, doses, lab_values,
    )  # fmt: skip
    begun = time.perf_counter()
    for reader in readers:
        for text in texts:
            reader(text)
    return len(readers) * len(texts) / (time.perf_counter() - begun)


def measure(folder: Path, report: Report, chosen: argparse.Namespace) -> None:
    """Measure what the folder has data for."""
    found = specs(folder / "recognizers")
    for key in sorted({spec.kind for spec in found}):
        mine = [spec for spec in found if spec.kind == key]
        missed = [spec for spec in mine if not passed(spec)]
        report.add("specifications", key, 1 - len(missed) / len(mine))
        report.notes[key] = f"{len(mine) - len(missed)} of {len(mine)}"
        for spec in missed if chosen.debug else ():
            say(f"{key}: {spec.text!r}\n  found {answers(spec)}\n  wanted {wanted(spec)}")
    codes = [*atoms(folder / "ucum"), *examples(folder / "ucum")]
    if codes:
        right = sum(fits for _, fits in codes)
        report.add("specifications", "units", right / len(codes))
        report.notes["units"] = f"{right} of {len(codes)}"
        for code, fits in codes if chosen.debug else ():
            if not fits:
                say(f"units: {code}")
    if found:
        texts = [spec.text for spec in found]
        pace(texts)  # the tables are read once, before
        for _ in range(chosen.rounds):
            report.add("specifications", "calls_per_second", pace(texts))


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data", type=Path, default=Path("../shared/data"), help="folder that holds recognizers and ucum"
    )
    parser.add_argument("--debug", action="store_true", help="tell on standard error what is not passed")


def main() -> int:
    """Measure and print; 0 when every goal that has data is met."""
    chosen = options(__doc__.splitlines()[0] if __doc__ else "", _options)
    report = Report(name="tools", goals=GOALS)
    measure(chosen.data, report, chosen)
    return finish(report, chosen, {}, lambda made: {**dict.fromkeys(GOALS), **made})


if __name__ == "__main__":
    sys.exit(main())
