"""Real input, where it is present: counted and looked up by other means than the reader's own."""

from __future__ import annotations

import csv
import gzip
import re
from pathlib import Path

import pytest
from lxml import etree

from unit.intake_samples import accepted, read, refused, write
from vigimesh.events.case import Case
from vigimesh.events.ids import digest
from vigimesh.intake.reading import Skipped

pytestmark = pytest.mark.data

ICSR = "{urn:hl7-org:v3}PORR_IN049016UV"
NS = {"h": "urn:hl7-org:v3"}
ROLE = "//h:primaryRole"
#: ICSRs in the made batch: enough for many chunks, small enough for a fast test.
BATCH_ICSRS = 350


@pytest.fixture(scope="module")
def fda(real_data: Path) -> Path:
    return real_data / "e2b_r3_fda"


def by_name(folder: Path) -> dict[str, Case]:
    return {item.case.source.split("#")[0]: item.case for item in accepted(read(folder))}


def text_of(path: Path, xpath: str) -> list[str]:
    found = etree.parse(path).xpath(xpath, namespaces=NS)
    assert isinstance(found, list)
    return [str(each).strip() for each in found]


def test_every_icsr_is_read_once(fda: Path) -> None:
    counted = sum(len(list(etree.parse(path).iter(ICSR))) for path in fda.glob("*.xml"))
    items = read(fda)
    assert counted == len(accepted(items)) == 7
    assert not refused(items)
    skipped = {item.source for item in items if isinstance(item, Skipped)}
    assert skipped == {path.name for path in fda.iterdir() if path.suffix != ".xml"}
    assert {"R3ack-negative.ack", "R3ack-positive.ack"} < skipped


def test_the_seven_messages_are_four_reports_of_three_cases(fda: Path) -> None:
    cases = list(by_name(fda).values())
    assert len({case.message_id for case in cases}) == 7
    assert len({case.report_id for case in cases}) == 4
    assert len({case.worldwide_id for case in cases}) == 3
    assert all(case.criteria for case in cases)


@pytest.mark.parametrize(
    "name", ["FAERS2022Scenario1.xml", "FAERS2022Scenario6.xml", "FAERS2022Scenario4.xml"]
)
def test_key_fields_by_xpath(fda: Path, name: str) -> None:
    case, path = by_name(fda)[name], fda / name
    ids = "//h:investigationEvent/h:id[@root='2.16.840.1.113883.3.989.2.1.3.{}']/@extension"
    assert [case.report_id] == text_of(path, ids.format(1))
    assert [case.worldwide_id] == text_of(path, ids.format(2))
    assert [case.sender] == text_of(path, "//h:PORR_IN049016UV/h:sender//h:id/@extension")
    codes = text_of(path, f"{ROLE}/h:subjectOf2/h:observation[h:code/@code='29']/h:value/@code")
    assert [reaction.code for reaction in case.reactions] == codes
    drugs = f"{ROLE}/h:subjectOf2/h:organizer[h:code/@code='4']/h:component/h:substanceAdministration/h:consumable"
    names = text_of(path, f"{drugs}/h:instanceOfKind/h:kindOfProduct/h:name/text()")
    assert sorted(product.name for product in case.products) == sorted(names)
    true = [
        len(text_of(path, f"//h:observation[h:code/@code='{code}']/h:value[@value='true']")) > 0
        for code in ("34", "21", "33", "35", "12", "26")
    ]
    words = (
        "death",
        "life_threatening",
        "hospitalisation",
        "disability",
        "congenital_anomaly",
        "other_medically_important",
    )
    assert [word in case.criteria for word in words] == true
    assert (
        case.expedited_kind == text_of(path, "//h:observationEvent[h:code/@code='C54588']/h:value/@code")[0]
    )
    links = text_of(path, "//h:controlActEvent/h:id/@extension")
    assert sorted(case.linked_ids) == sorted(links)


def test_scenario_6_in_words(fda: Path) -> None:
    case = by_name(fda)["FAERS2022Scenario6.xml"]
    assert case.patient.died_on == "2009-01-01"
    assert case.patient.identified_by == ("initials", "record_number", "birth_date", "age", "sex")
    assert [reporter.qualification for reporter in case.reporters] == ["physician", "pharmacist"]
    first = case.products[0]
    assert (first.role, first.blinded, first.kind, first.lot) == ("suspect", True, "combination", "4577BN2")
    assert first.situations == ("taken_beyond_expiry", "abuse", "occupational_exposure")
    assert (case.reactions[0].onset_on, case.reactions[0].ended_on, case.reactions[1].onset_on) == (
        "2009-01-01",
        "2009-01-02",
        "NASK",
    )
    assert [a.media_type for a in case.attachments] == [
        "text/plain",
        "application/octet-stream",
        "application/pdf",
    ]


def test_attachments_are_the_files_that_were_sent(fda: Path) -> None:
    (item,) = accepted(read(fda / "FAERS2022Scenario6.xml"))
    assert [digest(data) for _, data in item.attachments] == [name for name, _ in item.attachments]
    assert item.attachments[2][1].startswith(b"%PDF-1.")
    assert item.attachments[2][1].rstrip().endswith(b"%%EOF")


def test_a_batch_of_hundreds(fda: Path, tmp_path: Path) -> None:
    pattern = re.compile(rb"<PORR_IN049016UV>.*</PORR_IN049016UV>", re.DOTALL)
    small = [path.read_bytes() for path in sorted(fda.glob("*.xml")) if path.stat().st_size < 1_000_000]
    pieces = [found.group() for data in small for found in pattern.finditer(data)]
    made = [pieces[n % len(pieces)].replace(b"US-APHARMA-", b"US-MADE%d-" % n) for n in range(BATCH_ICSRS)]
    head, tail = pattern.split(small[0])
    path = write(tmp_path / "batch.xml", head + b"\n".join(made) + tail)
    counted = sum(1 for _, element in etree.iterparse(path, tag=ICSR) if element.clear() is None)
    items = read(path)
    assert counted == len(accepted(items)) == BATCH_ICSRS
    assert not refused(items)
    assert len({item.case.case_id for item in accepted(items)}) == BATCH_ICSRS


def rows_of(path: Path) -> list[dict[str, str]]:
    with gzip.open(path, "rt", encoding="latin-1", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("year", [1990, 1997])
def test_a_year_of_vaers(real_data: Path, year: int) -> None:
    folder = real_data / "vaers"
    rows = {row["VAERS_ID"]: row for row in rows_of(folder / f"{year}VAERSDATA.csv.gz")}
    items = read(folder / f"{year}VAERSDATA.csv.gz")
    cases = {item.case.report_id: item.case for item in accepted(items)}
    assert not refused(items)
    assert len(accepted(items)) == len(rows)
    assert cases.keys() == rows.keys()
    flags = ("DIED", "L_THREAT", "HOSPITAL", "X_STAY", "DISABLE")
    serious = {number for number, row in rows.items() if any(row[flag] == "Y" for flag in flags)}
    assert {number for number, case in cases.items() if case.criteria} == serious
    assert {n for n, c in cases.items() if "death" in c.criteria} == {
        n for n, r in rows.items() if r["DIED"] == "Y"
    }
    assert all(cases[number].narrative == row["SYMPTOM_TEXT"].strip() for number, row in rows.items())
    terms = [r[f"SYMPTOM{n}"] for r in rows_of(folder / f"{year}VAERSSYMPTOMS.csv.gz") for n in range(1, 6)]
    assert sum(len(case.reactions) for case in cases.values()) == sum(1 for term in terms if term.strip())
    assert sum(len(case.products) for case in cases.values()) == len(
        rows_of(folder / f"{year}VAERSVAX.csv.gz")
    )
