"""Made-up input for the tests of intake: a small E2B(R3) batch, VAERS tables, nothing of it real."""

from __future__ import annotations

import csv
import gzip
import io
from collections.abc import Iterable
from pathlib import Path

from vigimesh.intake.reading import Accepted, Item, Refusal, read_path

ICH = "2.16.840.1.113883.3.989.2.1"
OBS = f'codeSystem="{ICH}.1.19"'
HEAD = (
    '<?xml version="1.0" encoding="UTF-8"?>\n'
    '<MCCI_IN200100UV01 xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" ITSVersion="XML_1.0">\n'
    f'<id extension="batch-1" root="{ICH}.3.22"/>\n<creationTime value="20240501120000+0000"/>\n'
)
TAIL = '<receiver typeCode="RCV"/>\n<sender typeCode="SND"/>\n</MCCI_IN200100UV01>\n'


def reaction(flags: str = "", highlighted: str = "", outcome: str = "", text: str = "headache") -> str:
    """Write a reaction; `flags` are the codes of the criteria that are true, by blanks."""
    inner = "".join(
        f'<outboundRelationship2 typeCode="PERT"><observation><code code="{code}" {OBS}/><value xsi:type="BL" value="true"/>'
        "</observation></outboundRelationship2>"
        for code in flags.split()
    )
    for code, value in (("37", highlighted), ("27", outcome)):
        if value:
            inner += (
                f'<outboundRelationship2 typeCode="PERT"><observation><code code="{code}" {OBS}/>'
                f'<value xsi:type="CE" code="{value}"/></observation></outboundRelationship2>'
            )
    return (
        f'<subjectOf2 typeCode="SBJ"><observation><code code="29" {OBS}/>'
        f'<value xsi:type="CE" code="10019211" codeSystem="2.16.840.1.113883.6.163"><originalText>{text}</originalText></value>'
        f"{inner}</observation></subjectOf2>\n"
    )


def icsr(
    report_id: str = "ZZ-TEST-1",
    *,
    text: str = "A headache.",
    role: str = "",
    event: str = "",
    created: str = "20240502",
) -> str:
    """Write an ICSR; `role` goes where the reactions stand, `event` beside the narrative."""
    return (
        "<PORR_IN049016UV>\n"
        f'<id extension="m-{report_id}" root="{ICH}.3.1"/>\n'
        f'<receiver><device><id extension="RECV" root="{ICH}.3.12"/></device></receiver>\n'
        f'<sender><device><id extension="SEND" root="{ICH}.3.11"/></device></sender>\n'
        f'<controlActProcess><effectiveTime value="{created}"/><subject><investigationEvent>\n'
        f'<id extension="{report_id}" root="{ICH}.3.1"/>\n'
        f"<text>{text}</text>\n"
        '<effectiveTime><low value="20240430"/></effectiveTime><availabilityTime value="20240501"/>\n'
        f"{event}<component><adverseEventAssessment><subject1><primaryRole>\n<player1><name>AB</name></player1>\n"
        f"{role}</primaryRole></subject1></adverseEventAssessment></component>\n"
        "</investigationEvent></subject></controlActProcess>\n</PORR_IN049016UV>\n"
    )


def batch(*icsrs: str) -> str:
    """Write a batch of ICSRs."""
    return HEAD + "".join(icsrs) + TAIL


def write(path: Path, content: str | bytes) -> Path:
    """Write a file and return it."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def read(path: Path, limit: int | None = None) -> list[Item]:
    """Read a file or folder whole."""
    return list(read_path(path, tenant="demo", limit=limit))


def accepted(items: Iterable[Item]) -> list[Accepted]:
    """Return what was accepted."""
    return [item for item in items if isinstance(item, Accepted)]


def refused(items: Iterable[Item]) -> list[Refusal]:
    """Return what was refused."""
    return [item for item in items if isinstance(item, Refusal)]


DATA_HEADER = (
    "VAERS_ID,RECVDATE,STATE,AGE_YRS,CAGE_YR,CAGE_MO,SEX,RPT_DATE,SYMPTOM_TEXT,DIED,DATEDIED,L_THREAT,ER_VISIT,HOSPITAL,"
    "HOSPDAYS,X_STAY,DISABLE,RECOVD,VAX_DATE,ONSET_DATE,NUMDAYS"
).split(",")


def vaers_row(number: str, **columns: str) -> list[str]:
    """Return a row of DATA; what is not given is empty."""
    values = {"VAERS_ID": number, "RECVDATE": "01/02/1999", "SYMPTOM_TEXT": "Fever."} | columns
    return [values.get(column, "") for column in DATA_HEADER]


def csv_text(rows: Iterable[Iterable[str]]) -> bytes:
    """Write rows as latin-1 CSV."""
    out = io.StringIO()
    csv.writer(out).writerows(rows)
    return out.getvalue().encode("latin-1")


def vaers_folder(
    folder: Path, rows: Iterable[list[str]], header: list[str] = DATA_HEADER, *, pack: bool = False
) -> Path:
    """Write the three tables of a year, one symptom row and one vaccine a report; return the DATA file."""
    held = list(rows)
    tables = {
        "DATA": csv_text([header, *held]),
        "SYMPTOMS": csv_text([["VAERS_ID", "SYMPTOM1", "SYMPTOMVERSION1", "SYMPTOM2"], *([r[0], "Pyrexia", "8.1", ""] for r in held)]),
        "VAX": csv_text([["VAERS_ID", "VAX_TYPE", "VAX_MANU", "VAX_LOT", "VAX_NAME"], *([r[0], "DTP", "ACME", "L1", "DTP (ACME)"] for r in held)]),
    }  # fmt: skip
    for table, content in tables.items():
        name = f"1999VAERS{table}.csv" + (".gz" if pack else "")
        write(folder / name, gzip.compress(content) if pack else content)
    return folder / ("1999VAERSDATA.csv" + (".gz" if pack else ""))
