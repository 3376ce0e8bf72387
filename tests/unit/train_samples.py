"""VAERS tables of our own words, with labels that the words tell: a third of the reports is serious."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path

DATA = "VAERS_ID,RECVDATE,AGE_YRS,SEX,SYMPTOM_TEXT,DIED,L_THREAT,HOSPITAL,X_STAY,DISABLE,VAX_DATE,ONSET_DATE"
SERIOUS_WORDS = ("admitted to icu", "seizure and hosp", "stopped breathing", "intubated")
OTHER_WORDS = ("sore arm", "mild rash", "fever for a day", "cried a lot")


def reports(year: int, count: int) -> Iterator[tuple[str, str, bool]]:
    """Yield (id, narrative, serious): a third serious, told by their words; numbers are alike, so a narrative needs words of its own."""
    letters = ["".join(parts) for parts in product("abcdefghij", repeat=3)]
    for at in range(count):
        is_serious = at % 3 == 0
        words = (SERIOUS_WORDS if is_serious else OTHER_WORDS)[at % 4]
        yield f"{year}{at:04}", f"pt {words} {letters[at]} {year % 10 * 'x'}", is_serious


def write_vaers(folder: Path, years: dict[int, int], names: str = "{year}VAERS{table}.csv") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for year, count in years.items():
        rows = [
            f"{number},03/0{1 + at % 9}/{year},30,F,{text},,,{'Y' if bad else ''},,,03/01/{year},03/02/{year}"
            for at, (number, text, bad) in enumerate(reports(year, count))
        ]
        for table, lines in {
            "DATA": [DATA, *rows],
            "SYMPTOMS": ["VAERS_ID,SYMPTOM1"],
            "VAX": ["VAERS_ID,VAX_TYPE,VAX_NAME"],
        }.items():
            file = folder / names.format(year=year, table=table)
            file.write_text("\n".join(lines) + "\n", encoding="latin-1")
    return folder
