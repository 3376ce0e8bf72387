"""VAERS tables: `YYYYVAERSDATA` with its symptoms and vaccines beside it, one case a row of the first."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vigimesh.events import words
from vigimesh.events.case import Case, Patient, Product, Reaction, Reporter
from vigimesh.events.ids import case_id, digest, message_id
from vigimesh.intake.csv_records import Record, records
from vigimesh.intake.plain import READ_ERRORS, encoding_of, open_plain
from vigimesh.intake.values import Accepted, FilePart, Item, Origin, Refusal, Remark

#: Columns without which a case would be read wrongly: identity, time, the text, every seriousness tick-box.
ESSENTIAL = {
    "DATA": ("VAERS_ID", "RECVDATE", "AGE_YRS", "SEX", "SYMPTOM_TEXT", "DIED", "L_THREAT", "HOSPITAL", "X_STAY", "DISABLE",
             "VAX_DATE", "ONSET_DATE"),
    "SYMPTOMS": ("VAERS_ID", "SYMPTOM1"),
    "VAX": ("VAERS_ID", "VAX_TYPE", "VAX_NAME"),
}  # fmt: skip
#: Columns that are read when they are there (BIRTH_DEFECT came with form 2).
_OPTIONAL = {
    "DATA": ("CAGE_YR", "CAGE_MO", "DATEDIED", "BIRTH_DEFECT"),
    "SYMPTOMS": ("SYMPTOM2", "SYMPTOM3", "SYMPTOM4", "SYMPTOM5"),
    "VAX": ("VAX_MANU", "VAX_LOT", "VAX_DOSE_SERIES", "VAX_ROUTE"),
}
#: Columns that VAERS gives and this reader has no use for; any other one is named once.
_KNOWN = {
    "DATA": {
        "STATE", "RPT_DATE", "ER_VISIT", "HOSPDAYS", "RECOVD", "NUMDAYS", "LAB_DATA", "V_ADMINBY", "V_FUNDBY",
        "OTHER_MEDS", "CUR_ILL", "HISTORY", "PRIOR_VAX", "SPLTTYPE", "FORM_VERS", "TODAYS_DATE", "OFC_VISIT",
        "ER_ED_VISIT", "ALLERGIES",
    },
    "SYMPTOMS": {f"SYMPTOMVERSION{n}" for n in range(1, 6)},
    "VAX": {"VAX_SITE"},
}  # fmt: skip
#: Tick-box -> criterion. X_STAY is a prolonged hospital stay.
TICKS = {
    "DIED": "death",
    "L_THREAT": "life_threatening",
    "HOSPITAL": "hospitalisation",
    "X_STAY": "hospitalisation",
    "DISABLE": "disability",
    "BIRTH_DEFECT": "congenital_anomaly",
}
_DATE = re.compile(r"(\d{1,2})/(\d{1,2})/(\d{4})$")
_TABLE = re.compile(r"VAERS(DATA|SYMPTOMS|VAX)", re.IGNORECASE)

Row = dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """A table's layout: the wanted columns and where each stands (-1: not there), and how many fields a row has."""

    columns: tuple[tuple[str, int], ...]
    width: int


def table_of(header: list[str], name: str) -> str:
    """Return DATA, SYMPTOMS or VAX by the columns, else by the file's name, else ""."""
    columns = {column.strip().upper() for column in header}
    for table, essential in ESSENTIAL.items():
        if columns.issuperset(essential):
            return table
    named = _TABLE.search(name)
    if named and len(columns) > 1:
        return named[1].upper()
    known = columns & (set(ESSENTIAL["DATA"]) | _KNOWN["DATA"])
    return "DATA" if len(known) >= len(ESSENTIAL["DATA"]) // 2 else ""


def sibling(path: Path, table: str) -> Path | None:
    """Return the file of another table beside this one, packed or not; None when there is none."""
    base = _TABLE.sub(lambda found: found[0][:5] + table, path.name, count=1)
    stem = base.removesuffix(".gz")
    for name in (base, stem, f"{stem}.gz"):
        other = path.with_name(name)
        if other != path and other.is_file():
            return other
    return None


def read_vaers(origin: Origin) -> Iterator[Item]:
    """Yield the cases of a DATA table, joined on VAERS_ID with the SYMPTOMS and VAX tables beside it.

    The two others are held as plain texts, the rows of DATA pass one by one. A missing table, or a missing essential
    column, refuses the file: a case without its products or symptoms would be another case.
    """
    joined: dict[str, dict[str, list[tuple[str, ...]]]] = {}
    for table in ("SYMPTOMS", "VAX"):
        other = sibling(origin.path, table)
        if other is None:
            yield origin.refuse(
                "VM-1412", f"table {table}", f"the table {table} is not beside it: no {_named(origin.path, table)}",
                "put all three VAERS tables of the year into one folder", None,
            )  # fmt: skip
            return
        rows: dict[str, list[tuple[str, ...]]] = {}
        side = Origin(path=other, name=str(Path(origin.name).with_name(other.name)), tenant=origin.tenant)
        broken = False
        for item in _side_table(side, table, rows):
            broken = broken or isinstance(item, Refusal)
            yield item
            if broken:
                break
        if broken:
            yield origin.refuse("VM-1412", f"table {table}", f"{side.name} can't be joined, see its refusal",
                                "correct that table and send the three again")  # fmt: skip
            return
        joined[table] = rows
    yield from _cases(origin, joined)


def _named(path: Path, table: str) -> str:
    return _TABLE.sub(lambda found: found[0][:5] + table, path.name, count=1)


def _cases(origin: Origin, joined: dict[str, dict[str, list[tuple[str, ...]]]]) -> Iterator[Item]:
    for item in _rows(origin, "DATA"):
        yield _case(origin, *item, joined) if isinstance(item, tuple) else item


def _side_table(
    origin: Origin, table: str, rows: dict[str, list[tuple[str, ...]]]
) -> Iterator[Refusal | Remark]:
    """Fill `rows` with the wanted fields by VAERS_ID; a row that can't be read refuses the table."""
    for item in _rows(origin, table):
        if not isinstance(item, tuple):
            yield item
            continue
        layout, record = item
        if record.fault or len(record.fields) != layout.width:
            yield _ragged(origin, record, layout)
            return
        key, *wanted = (record.fields[at].strip() if at >= 0 else "" for _, at in layout.columns)
        rows.setdefault(key, []).append(tuple(wanted))


def _rows(origin: Origin, table: str) -> Iterator[tuple[_Table, Record] | Refusal | Remark]:
    """Yield the rows of a table with its layout, as they are; what keeps it from being read, or from being read whole, is said."""
    layout: _Table | None = None
    try:
        with open_plain(origin.path) as stream:
            for record in records(stream, _encoding(origin.path)):
                if layout is not None:
                    yield layout, record
                    continue
                layout, notes = _layout(origin, table, record)
                yield from notes
                if layout is None:
                    return
    except READ_ERRORS as error:
        yield _broken(origin, error)
    else:
        if layout is None:
            yield origin.refuse(
                "VM-1403", "line 1", "the file is empty", "send the table with its header line"
            )


def _encoding(path: Path) -> str:
    with path.open("rb") as file:
        shown = encoding_of(file.read(8))[0]
    return "utf-8" if shown else "latin-1"


def _layout(origin: Origin, table: str, record: Record) -> tuple[_Table | None, list[Refusal | Remark]]:
    """Return where the wanted columns stand, with a refusal or remark about those that are missing or unknown."""
    header = [column.strip().upper() for column in record.fields]
    places = {column: at for at, column in reversed(list(enumerate(header)))}
    missing = [column for column in ESSENTIAL[table] if column not in places]
    if missing:
        near = "".join(words.nearest(column, [h for h in header if h]) for column in missing[:1])
        what = f"the table {table} lacks the column(s) {', '.join(missing)}{near}"
        todo = "send the table with all columns of VAERS"
        return None, [origin.refuse("VM-1410", f"line {record.line}", what, todo)]
    notes: list[Refusal | Remark] = []
    wanted = ESSENTIAL[table] + _OPTIONAL[table]
    absent = [column for column in _OPTIONAL[table] if column not in places]
    if absent:
        notes.append(
            Remark(source=origin.name, what=f"columns not there, read as empty: {', '.join(absent)}")
        )
    extra = [column for column in header if column not in wanted and column not in _KNOWN[table]]
    if extra:
        notes.append(
            Remark(source=origin.name, what=f"columns not known, not read: {', '.join(extra)[:400]}")
        )
    return _Table(columns=tuple((c, places.get(c, -1)) for c in wanted), width=len(header)), notes


def _ragged(origin: Origin, record: Record, layout: _Table) -> Refusal:
    kept: bytes | FilePart = origin.part(record.start, record.end) if record.too_large else record.raw
    if record.fault:
        code = "VM-1407" if record.too_large else "VM-1404" if "bytes" in record.fault else "VM-1411"
        return origin.refuse(
            code, f"line {record.line}", record.fault, "correct the row and send it again", kept
        )
    what = f"the row has {len(record.fields)} fields, the header {layout.width}"
    return origin.refuse(
        "VM-1411", f"line {record.line}", what, "quote commas inside a field and send the row again", kept
    )


def _broken(origin: Origin, error: BaseException) -> Refusal:
    if isinstance(error, OSError) and error.errno is not None:
        return origin.refuse(
            "VM-1401", "", f"the file can't be read: {error.strerror}", "check that it may be read"
        )
    if isinstance(error, UnicodeDecodeError):
        return origin.refuse(
            "VM-1404", "", f"the bytes are not {error.encoding}", "save the table in latin-1 or UTF-8"
        )
    return origin.refuse(
        "VM-1402", "", "the gzip is cut off or damaged; the rows before were read", "send the file again"
    )


def _case(
    origin: Origin, layout: _Table, record: Record, joined: dict[str, dict[str, list[tuple[str, ...]]]]
) -> Accepted | Refusal:
    if record.fault or len(record.fields) != layout.width:
        return _ragged(origin, record, layout)
    row: Row = {column: record.fields[at].strip() if at >= 0 else "" for column, at in layout.columns}
    number = row["VAERS_ID"]
    if not number:
        return origin.refuse("VM-1408", f"line {record.line}", "the row has no VAERS_ID: nothing names the case",
                             "give the report its VAERS_ID", record.raw)  # fmt: skip
    symptoms, vaccines = joined["SYMPTOMS"].get(number, []), joined["VAX"].get(number, [])
    # The bytes of the message: the joined row as canonical JSON (keys sorted, no blanks, UTF-8), without the file's
    # name, so that the same report in another copy of the tables has the same digest.
    source_bytes = json.dumps(
        {"data": row, "symptoms": symptoms, "vaccines": vaccines}, ensure_ascii=False, sort_keys=True, separators=(",", ":")
    ).encode()  # fmt: skip
    body = digest(source_bytes)
    received = _iso(row["RECVDATE"])
    criteria = words.in_order(word for column, word in TICKS.items() if row[column] == "Y")
    case = Case(
        message_id=message_id(origin.tenant, "VAERS", "", number, received, body),
        case_id=case_id(origin.tenant, "", number),
        tenant=origin.tenant,
        source_format="vaers",
        source=f"{origin.name}#line {record.line}",
        sender="VAERS",
        report_id=number,
        report_type="spontaneous",
        created_on=received,
        first_received_on=received,
        most_recent_on=received,
        country="US",
        media_type="application/json",
        size_bytes=len(source_bytes),
        digest=body,
        # A VAERS form always has its reporter on file; the public tables leave name and profession out.
        reporters=(Reporter(country="US", identified=True),),
        patient=_patient(row),
        products=tuple(_product(vaccine, row) for vaccine in vaccines),
        reactions=tuple(_reactions(symptoms, row)),
        criteria=criteria,
        criteria_form="form",
        narrative=row["SYMPTOM_TEXT"],
    )
    return Accepted(case=case, source_bytes=source_bytes)


def _iso(date: str) -> str:
    """Turn MM/DD/YYYY into ISO 8601; anything else stays as it was given."""
    found = _DATE.match(date)
    return f"{found[3]}-{int(found[1]):02}-{int(found[2]):02}" if found else date


def _patient(row: Row) -> Patient:
    age = _number(row["AGE_YRS"])
    if age is None:
        year, month = _number(row["CAGE_YR"]), _number(row["CAGE_MO"])
        age = None if year is None and month is None else round((year or 0) + (month or 0), 2)
    sex = {"M": "male", "F": "female"}.get(row["SEX"], "")
    held = [("age", age is not None), ("sex", bool(sex))]
    return Patient(
        identified_by=tuple(word for word, there in held if there),
        age_years=age,
        sex=sex,
        died_on=_iso(row["DATEDIED"]),
    )


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 <= number < 200 else None


def _product(vaccine: tuple[str, ...], row: Row) -> Product:
    kind, name, maker, lot, series, route = vaccine
    return Product(
        name=name or kind,
        role="suspect",
        kind="vaccine",
        substance=kind,
        manufacturer=maker,
        lot=lot,
        dose=series,
        route=route,
        started_on=_iso(row["VAX_DATE"]),
    )


def _reactions(symptoms: list[tuple[str, ...]], row: Row) -> Iterator[Reaction]:
    onset = _iso(row["ONSET_DATE"])
    for terms in symptoms:
        for term in terms:
            if term:
                yield Reaction(term=term, onset_on=onset)
