"""The VAERS-like part of the demo: three joined tables of invented vaccine reports, in the public form's columns."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from random import Random

from vigimesh.app.demo.builder import Calendar

_DATA = (
    "VAERS_ID,RECVDATE,STATE,AGE_YRS,CAGE_YR,CAGE_MO,SEX,RPT_DATE,SYMPTOM_TEXT,DIED,DATEDIED,L_THREAT,ER_VISIT,HOSPITAL,"
    "HOSPDAYS,X_STAY,DISABLE,RECOVD,VAX_DATE,ONSET_DATE,NUMDAYS,LAB_DATA,V_ADMINBY,V_FUNDBY,OTHER_MEDS,CUR_ILL,HISTORY,"
    "PRIOR_VAX,SPLTTYPE,FORM_VERS,TODAYS_DATE,BIRTH_DEFECT,OFC_VISIT,ER_ED_VISIT,ALLERGIES"
).split(",")
_SYMPTOMS = ("VAERS_ID", *(f"{name}{i}" for i in range(1, 6) for name in ("SYMPTOM", "SYMPTOMVERSION")))
_VACCINES = (
    "VAERS_ID",
    "VAX_TYPE",
    "VAX_MANU",
    "VAX_LOT",
    "VAX_DOSE_SERIES",
    "VAX_ROUTE",
    "VAX_SITE",
    "VAX_NAME",
)

#: Vaccine type -> name as the form writes it; the maker is invented.
_NAMES = {
    "FLU3": "INFLUENZA (SEASONAL) (NO BRAND NAME)",
    "DTP": "DTP (NO BRAND NAME)",
    "HEP": "HEP B (NO BRAND NAME)",
    "MMR": "MEASLES + MUMPS + RUBELLA (NO BRAND NAME)",
    "OPV": "POLIO VIRUS, ORAL (NO BRAND NAME)",
    "VARCEL": "VARICELLA (NO BRAND NAME)",
    "TD": "TD ADSORBED (NO BRAND NAME)",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One report: age in years, sex, vaccine types, terms, text, and what was ticked on the form."""

    age: float
    sex: str
    vaccines: tuple[str, ...]
    terms: tuple[str, ...]
    text: str
    ticked: Mapping[str, str]


def _report(age: float, sex: str, vaccines: str, terms: str, text: str, **ticked: str) -> Report:
    return Report(
        age=age,
        sex=sex,
        vaccines=tuple(vaccines.split()),
        terms=tuple(terms.split(", ")),
        text=text,
        ticked=ticked,
    )


REPORTS: tuple[Report, ...] = (
    _report(45, "F", "FLU3", "Injection site pain, Myalgia", "sore arm and aching shoulders the day after; well in two days"),
    _report(38, "M", "TD", "Injection site erythema, Injection site swelling", "redness of 4 cm at the site, cool pack, gone after three days"),
    _report(0.5, "M", "DTP OPV", "Pyrexia, Crying", "temp 38.6 in the evening, cried for an hour, fine in the morning"),
    _report(1.2, "F", "MMR", "Rash, Pyrexia", "light rash on the trunk nine days after the shot, slight fever, no doctor seen"),
    _report(29, "F", "HEP", "Headache, Fatigue", "headache and tired for a day; works in a hospital laboratory, was not admitted"),
    _report(52, "M", "FLU3", "Tinnitus", "ringing in both ears since the evening of the shot, not gone yet"),
    _report(4, "F", "VARCEL", "Injection site induration", "hard spot of two cm at the site, seen at the café-side clinic, no treatment"),
    _report(67, "M", "FLU3", "Guillain-Barre syndrome", "weakness of both legs two weeks later, taken to hospital, on the ward nine days", HOSPITAL="Y", HOSPDAYS="9"),
    _report(0.3, "F", "DTP", "Sudden infant death syndrome", "found without breath in the cot the next morning; efforts to bring her back failed", DIED="Y"),
    _report(1.5, "M", "MMR", "Febrile convulsion", "shook all over for three minutes with a temp of 40.1; ambulance came; no tick on the form"),
    _report(33, "F", "HEP", "Anaphylactic reaction", "throat closed up within minutes, epinephrine given on the spot", L_THREAT="Y"),
    _report(24, "F", "TD", "Exposure during pregnancy, Injection site pain", "pt was pregnant in week 8 and did not know; sore arm only"),
)  # fmt: skip


def tables(calendar: Calendar, chance: Random) -> dict[str, bytes]:
    """Return the three files by name, latin-1 as the public files are; lot numbers and days come from `chance`."""
    data, symptoms, vaccines = [], [], []
    for index, report in enumerate(REPORTS):
        number = f"{9_000_101 + index:07d}"
        onset = chance.randint(8, 20)
        given = onset + chance.randint(0, 3)
        row = {
            "VAERS_ID": number, "RECVDATE": _us(calendar.day(chance.randint(1, 5))), "STATE": "ZZ",
            "AGE_YRS": f"{report.age:g}", "CAGE_YR": f"{int(report.age)}", "SEX": report.sex,
            "SYMPTOM_TEXT": report.text, "RECOVD": chance.choice(("Y", "U")), "VAX_DATE": _us(calendar.day(given)),
            "ONSET_DATE": _us(calendar.day(onset)), "NUMDAYS": str(given - onset), "V_ADMINBY": "PVT",
            "V_FUNDBY": "PVT", "FORM_VERS": "1", **report.ticked,
        }  # fmt: skip
        if report.ticked.get("DIED"):
            row["DATEDIED"], row["RECOVD"] = _us(calendar.day(onset)), "N"
        data.append([row.get(name, "") for name in _DATA])
        padded = (*report.terms, *[""] * (5 - len(report.terms)))
        symptoms.append([number, *(cell for term in padded for cell in (term, "8.10" if term else ""))])
        vaccines += [
            [
                number,
                kind,
                "VESTMARK VACCINES",
                f"VV{chance.randint(1000, 9999)}",
                "1",
                "IM",
                "LA",
                _NAMES[kind],
            ]
            for kind in report.vaccines
        ]
    year = calendar.today.year
    return {
        f"{year}VAERSDATA.csv": _csv(_DATA, data),
        f"{year}VAERSSYMPTOMS.csv": _csv(_SYMPTOMS, symptoms),
        f"{year}VAERSVAX.csv": _csv(_VACCINES, vaccines),
    }


def _us(iso: str) -> str:
    year, month, day = iso.split("-")
    return f"{month}/{day}/{year}"


def _csv(header: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\r\n").writerows([header, *rows])
    return out.getvalue().encode("latin-1")
