"""The demo's input: the same bytes each time, read back field by field, and everything in it that it promises."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from passage import Passage
from vigimesh.adapters.memory.registry import MemorySchemas
from vigimesh.app.cases.history import audit_facts
from vigimesh.app.demo import DEMO_DAY, poison_record, write_demo
from vigimesh.app.demo.builder import PRODUCTS, Calendar
from vigimesh.app.demo.e2b_cases import batch_cases
from vigimesh.app.demo.e2b_writer import hl7_time
from vigimesh.app.demo.line_cases import calls, documents
from vigimesh.app.demo.vaers_cases import REPORTS
from vigimesh.app.demo.writing import BATCH_FILE, CALLS_FILE, DOCUMENTS_FILE, _OneId
from vigimesh.app.mesh.reckoning import RECKONED, reckon
from vigimesh.domain.knowledge.shipped import shipped_documents
from vigimesh.domain.record.checker import check
from vigimesh.errors import Refused
from vigimesh.events.case import Case
from vigimesh.events.codec import Codec
from vigimesh.intake.accept import Admitted, accept
from vigimesh.intake.reading import read_path
from vigimesh.intake.values import Accepted, Refusal

#: Made from the bytes or the file, so that a case does not have them before it was read.
MADE_BY_READING = {"message_id", "case_id", "source", "source_format", "media_type", "size_bytes", "digest"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("demo")
    write_demo(path)
    return path


def accepted(path: Path) -> list[Case]:
    return [item.case for item in read_path(path, tenant="default", limit=None) if isinstance(item, Accepted)]


def differences(wanted: Any, got: Any, at: str = "") -> Iterator[str]:
    """Yield each field that differs."""
    if dataclasses.is_dataclass(wanted):
        for field in dataclasses.fields(wanted):
            yield from differences(
                getattr(wanted, field.name), getattr(got, field.name), f"{at}.{field.name}"
            )
    elif isinstance(wanted, tuple) and len(wanted) == len(got):
        for index, (one, other) in enumerate(zip(wanted, got, strict=True)):
            yield from differences(one, other, f"{at}[{index}]")
    elif wanted != got:
        yield f"{at}: {wanted!r} is read as {got!r}"


def without_made(found: Iterator[str], *also: str) -> list[str]:
    left_out = tuple(f".{name}:" for name in (*MADE_BY_READING, *also))
    return [line for line in found if not line.startswith(left_out)]


def test_the_same_day_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    write_demo(tmp_path / "again")
    write_demo(tmp_path / "later", today=date(2026, 5, 4))
    names = sorted(path.name for path in folder.iterdir())
    assert names == sorted(path.name for path in (tmp_path / "again").iterdir())
    for name in names:
        assert (folder / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


def test_another_day_moves_every_date(folder: Path, tmp_path: Path) -> None:
    write_demo(tmp_path, today=date(2026, 5, 4))
    assert (folder / BATCH_FILE).read_bytes() != (tmp_path / BATCH_FILE).read_bytes()
    days = {case.most_recent_on for case in accepted(tmp_path)}
    assert min(days) > "2026-04-01"
    assert max(days) <= "2026-05-04"


def test_what_is_read_is_what_was_promised(folder: Path, tmp_path: Path) -> None:
    promised = write_demo(tmp_path)
    items = list(read_path(tmp_path, tenant="default", limit=None))
    refused = [item for item in items if isinstance(item, Refusal)]
    taken = [item for item in items if isinstance(item, Accepted)]
    assert len(taken) == promised.accepted
    assert len(refused) == promised.refused == len(promised.refusals)
    assert promised.read == promised.accepted + promised.refused
    assert Counter(Path(item.source).name for item in refused) == {BATCH_FILE: 2, CALLS_FILE: 1}
    assert sorted(path.name for path in tmp_path.iterdir()) == list(promised.files)


def test_the_batch_reads_back_field_by_field(folder: Path) -> None:
    written = list(batch_cases(Calendar(today=DEMO_DAY)))
    usable = [case for case in written if case.report_id]
    once = [case for index, case in enumerate(usable) if case not in usable[:index]]
    read = accepted(folder / BATCH_FILE)
    assert len(read) == len(once)
    # The standard has no place for the kind of a product, and special situations are those of the products.
    for wanted, got in zip(once, read, strict=True):
        found = without_made(differences(wanted, got), "situations")
        assert [line for line in found if ".kind:" not in line] == [], got.report_id


def test_documents_and_calls_read_back(folder: Path) -> None:
    calendar = Calendar(today=DEMO_DAY)
    for name, written in ((DOCUMENTS_FILE, documents(calendar)), (CALLS_FILE, calls(calendar))):
        read = accepted(folder / name)
        assert len(read) == len(written)
        for wanted, got in zip(written, read, strict=True):
            assert without_made(differences(wanted, got)) == []


def test_the_vaccine_reports_read_back(folder: Path) -> None:
    read = [case for case in accepted(folder) if case.source_format == "vaers"]
    assert len(read) == len(REPORTS)
    for wanted, got in zip(REPORTS, read, strict=True):
        assert got.narrative == wanted.text
        assert tuple(reaction.term for reaction in got.reactions) == wanted.terms
        assert got.patient.age_years == wanted.age
        assert len(got.products) == len(wanted.vaccines)
        assert bool(got.criteria) == bool(set(wanted.ticked) & {"DIED", "L_THREAT", "HOSPITAL"})


def test_every_kind_of_case_is_there(folder: Path) -> None:
    cases = accepted(folder)
    criteria = {word for case in cases for word in case.criteria}
    assert criteria == {
        "death", "life_threatening", "hospitalisation", "disability", "congenital_anomaly",
        "other_medically_important", "required_intervention",
    }  # fmt: skip
    assert any("admitted" in case.narrative and not case.criteria for case in cases), "serious by text only"
    assert any("not hospitalised" in case.narrative for case in cases), "negated"
    assert any("pregnant" in case.narrative for case in cases)
    assert any(case.patient.age_years is not None and case.patient.age_years < 2 for case in cases)
    assert any(not case.patient.identified_by for case in cases if case.kind == "icsr"), "no patient"
    assert any(not any(r.identified for r in case.reporters) for case in cases if case.kind == "icsr"), (
        "no reporter"
    )
    assert any(product.blinded for case in cases for product in case.products)
    assert any(case.amendment == "nullification" for case in cases)
    assert any(len(case.products[0].started_on) == 7 for case in cases if case.products), "partial date"
    assert len({case.document_kind for case in cases}) >= 8
    versions: dict[str, list[Case]] = {}
    for case in cases:
        versions.setdefault(case.case_id, []).append(case)
    ordinals = [[(c.most_recent_on, c.created_on) for c in of] for of in versions.values()]
    assert any(found != sorted(found) for found in ordinals), "an older version after a newer"
    assert any(len(set(found)) < len(found) for found in ordinals), "a conflict: one ordinal, two messages"


def test_products_and_listed_terms_are_those_of_the_knowledge_base(folder: Path) -> None:
    texts = {one.title.split(":")[0]: one.text for one in (source.document for source in shipped_documents())}
    assert set(PRODUCTS) <= set(texts)
    listed = [
        all(reaction.text in texts[case.products[0].name] for reaction in case.reactions)
        for case in accepted(folder)
        if case.products and case.products[0].name in texts
    ]
    assert listed.count(True) >= 12
    assert listed.count(False) >= 8


def test_the_verbs_bring_every_case_to_one_place(folder: Path) -> None:
    """All outcomes but parked, in at least four workflows; nothing lost, doubled or torn; the sums hold."""
    codec = Codec(schemas=MemorySchemas())
    passage = Passage(codec)
    items = [accept(item) for item in read_path(folder, tenant="default") if isinstance(item, Accepted)]
    passage.accept(item.event for item in items if isinstance(item, Admitted))
    passage.put(*poison_record(codec.schema_id("vigimesh.case.received.normal")))
    passage.run()
    reckoning = reckon(passage.rows, codec)
    result = check(passage.rows, audits=audit_facts(passage.rows, codec))
    assert reckoning.check == result
    assert sum(reckoning.decisions.values()) == result.accepted
    assert sum(group.cases for group in reckoning.waiting) == result.in_review
    assert reckoning.waiting[0].first_due_at is not None
    assert set(reckoning.spend_micro) >= {"triage", "vaccine_triage", "clinical_ops"}
    assert {row.topic for row in passage.rows} <= set(RECKONED)
    assert result.accepted == write_demo(folder).accepted + 1
    assert result.balanced
    assert (result.dead_lettered, result.in_flight, result.parked) == (1, 0, 0)
    assert (result.lost, result.duplicated, result.torn, result.unaccounted) == (0, 0, 0, 0)
    assert result.decided >= 20
    assert result.in_review >= 20
    assert len({workflow for _, workflow, _ in result.table if workflow}) >= 4
    assert {lane for lane, _, _ in result.table} >= {"hot", "warm", "cold"}
    decided = (row for row in passage.rows if row.topic == "vigimesh.case.decided")
    words = {codec.decode(row.topic, row.value or b"").decision for row in decided}
    assert words == {"auto_accepted", "superseded", "nullified"}


@pytest.mark.parametrize(
    ("iso", "expected"),
    [
        ("2026", "2026"),
        ("2026-03", "202603"),
        ("2026-03-15", "20260315"),
        ("2026-03-15T10:20:30-05:00", "20260315102030-0500"),
        ("2026-03-15T10:20:30Z", "20260315102030+0000"),
    ],
)
def test_dates_keep_their_precision(iso: str, expected: str) -> None:
    assert hl7_time(iso) == expected


def test_the_poison_cannot_be_decoded() -> None:
    topic, key, value = poison_record(7)
    assert value[:5] == b"\x00\x00\x00\x00\x07"
    assert key.startswith(b"default/")
    with pytest.raises(Refused, match="VM-1003"):
        Codec(schemas=_OneId(7)).decode(topic, value)
