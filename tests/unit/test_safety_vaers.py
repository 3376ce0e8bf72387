"""Real reports: the text of VAERS 1997 against its boxes. The figures are printed; only a floor is held."""

from __future__ import annotations

import csv
import gzip
import io
from pathlib import Path

import pytest

from unit.safety_making import case, triage
from vigimesh.domain.safety.text_seriousness import read_text, stated
from vigimesh.events.case import Patient

BOXES = ("DIED", "L_THREAT", "HOSPITAL", "X_STAY", "DISABLE")


@pytest.mark.data
def test_text_alone_finds_much_of_what_is_ticked_and_raises_little_else(real_data: Path) -> None:
    packed = real_data / "vaers" / "1997VAERSDATA.csv.gz"
    if not packed.is_file():
        pytest.skip("no real input: vaers/1997VAERSDATA.csv.gz is not there")
    with gzip.open(packed) as raw:
        rows = list(csv.DictReader(io.TextIOWrapper(raw, encoding="latin-1")))
    ticked = [row for row in rows if any(row[box] == "Y" for box in BOXES)]
    plain = [row for row in rows if not any(row[box] == "Y" for box in BOXES)]
    found = sum(bool(stated(read_text(row["SYMPTOM_TEXT"]))) for row in ticked)
    raised = sum(bool(stated(read_text(row["SYMPTOM_TEXT"]))) for row in plain)
    print(f"ticked {len(ticked)}, found by text {found}; not ticked {len(plain)}, text says serious {raised}")
    assert found > 0.55 * len(ticked)
    assert raised < 0.08 * len(plain)
    died = [row for row in rows if row["DIED"] == "Y"]
    told = sum("death" in stated(read_text(row["SYMPTOM_TEXT"])) for row in died)
    print(f"died {len(died)}, the text says so {told}")
    assert told > 0.65 * len(died)


#: Of each criterion: the boxes that say it, and the floors of recall and precision of the text. A box is often ticked
#: without a word in the text, and a text may tell of a threat to life that nobody ticked: the floors of those are low.
CRITERIA_FLOORS = [
    ("death", ("DIED",), 0.7, 0.9),
    ("hospitalisation", ("HOSPITAL", "X_STAY"), 0.35, 0.9),
    ("life_threatening", ("L_THREAT",), 0.12, 0.25),
    ("disability", ("DISABLE",), 0.15, 0.4),
]


@pytest.mark.data
@pytest.mark.parametrize(("criterion", "boxes", "least_recall", "least_precision"), CRITERIA_FLOORS)
def test_each_criterion_is_read_from_the_text(
    real_data: Path, criterion: str, boxes: tuple[str, ...], least_recall: float, least_precision: float
) -> None:
    packed = real_data / "vaers" / "1997VAERSDATA.csv.gz"
    if not packed.is_file():
        pytest.skip("no real input: vaers/1997VAERSDATA.csv.gz is not there")
    with gzip.open(packed) as raw:
        rows = list(csv.DictReader(io.TextIOWrapper(raw, encoding="latin-1")))
    told = [criterion in stated(read_text(row["SYMPTOM_TEXT"])) for row in rows]
    ticked = [any(row[box] == "Y" for box in boxes) for row in rows]
    both = sum(one and other for one, other in zip(told, ticked, strict=True))
    print(f"{criterion}: ticked {sum(ticked)}, told {sum(told)}, both {both}")
    assert both > least_recall * sum(ticked)
    assert both > least_precision * sum(told)


@pytest.mark.data
def test_no_box_is_lowered_by_its_own_text(real_data: Path) -> None:
    packed = real_data / "vaers" / "1990VAERSDATA.csv.gz"
    if not packed.is_file():
        pytest.skip("no real input: vaers/1990VAERSDATA.csv.gz is not there")
    with gzip.open(packed) as raw:
        for row in csv.DictReader(io.TextIOWrapper(raw, encoding="latin-1")):
            if row["HOSPITAL"] == "Y":
                report = case(
                    criteria=("hospitalisation",), narrative=row["SYMPTOM_TEXT"], patient=Patient(sex="male")
                )
                assert triage(report).grade >= 3
