"""E2B(R3) batches: every ICSR once, broken ones named, the fields where ICH puts them."""

from __future__ import annotations

import base64
import gzip
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from unit.intake_samples import HEAD, ICH, OBS, TAIL, accepted, batch, icsr, reaction, read, refused, write
from vigimesh.events.case import Case
from vigimesh.events.ids import digest
from vigimesh.intake.e2b_split import Splitter
from vigimesh.intake.e2b_tree import moment, years
from vigimesh.intake.reading import Skipped, parts


def case_in(folder: Path, role: str = "", event: str = "") -> Case:
    items = read(write(folder / "one.xml", batch(icsr(role=role, event=event))))
    assert not refused(items), [str(r) for r in refused(items)]
    return accepted(items)[0].case


def test_ids_dates_and_identity(tmp_path: Path) -> None:
    item = accepted(read(write(tmp_path / "one.xml", batch(icsr()))))[0]
    case = item.case
    assert (case.sender, case.receiver, case.report_id, case.worldwide_id) == (
        "SEND",
        "RECV",
        "ZZ-TEST-1",
        "",
    )
    assert case.case_id == "demo/ZZ-TEST-1"
    assert (case.created_on, case.first_received_on, case.most_recent_on) == (
        "2024-05-02",
        "2024-04-30",
        "2024-05-01",
    )
    assert case.source == "one.xml#ICSR 1"
    assert case.digest == digest(item.source_bytes)
    assert case.size_bytes == len(item.source_bytes)
    assert case.criteria_form == "open"


def test_the_bytes_do_not_depend_on_the_batch(tmp_path: Path) -> None:
    alone = accepted(read(write(tmp_path / "a.xml", batch(icsr()))))[0]
    other = HEAD.replace("<MCCI", '<h:MCCI xmlns:h="urn:hl7-org:v3" xmlns:q="urn:q"', 1).replace(
        "batch-1", "batch-2"
    )
    text = other.replace("h:MCCI xmlns:h", "MCCI xmlns:h") + icsr("ZZ-TEST-0") + icsr() + TAIL
    text = text.replace('<MCCI xmlns:h="urn:hl7-org:v3" xmlns:q="urn:q"_IN', "<MCCI_IN")
    text = text.replace("_IN200100UV01 xmlns", "_IN200100UV01 xmlns:q='urn:q' xmlns", 1)
    items = read(write(tmp_path / "b.xml", text))
    assert [i.case.message_id for i in accepted(items)][1:] == [alone.case.message_id], [
        str(r) for r in refused(items)
    ]


def test_prefixed_and_cr_only_batches_are_read(tmp_path: Path) -> None:
    prefixed = batch(icsr()).replace("</", "</h:").replace('xmlns="urn', 'xmlns:h="urn')
    prefixed = prefixed.replace("<", "<h:").replace("<h:/h:", "</h:").replace("<h:?", "<?")
    assert len(accepted(read(write(tmp_path / "p.xml", prefixed)))) == 1
    items = read(write(tmp_path / "cr.xml", batch(icsr("A"), icsr("B")).replace("\n", "\r")))
    assert [i.case.report_id for i in accepted(items)] == ["A", "B"]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-be", "iso-8859-1", "windows-1252"])
def test_honest_encodings_are_read(tmp_path: Path, encoding: str) -> None:
    declared = {"utf-8-sig": "UTF-8", "utf-16-be": "UTF-16"}.get(encoding, encoding)
    text = batch(icsr(text="Fièvre élevée")).replace("UTF-8", declared)
    items = read(write(tmp_path / "x.xml", text.encode(encoding)))
    assert [i.case.narrative for i in accepted(items)] == ["Fièvre élevée"], [str(r) for r in refused(items)]


@pytest.mark.parametrize(
    ("code", "word"),
    [
        ("34", "death"),
        ("21", "life_threatening"),
        ("33", "hospitalisation"),
        ("35", "disability"),
        ("12", "congenital_anomaly"),
        ("26", "other_medically_important"),
    ],
)
def test_each_criterion(tmp_path: Path, code: str, word: str) -> None:
    case = case_in(tmp_path, role=reaction() + reaction(code))
    assert case.criteria == (word,)
    assert [r.criteria for r in case.reactions] == [(), (word,)]


def test_the_fda_criterion_is_told_from_the_body_weight(tmp_path: Path) -> None:
    fda = 'codeSystem="2.16.840.1.113883.3.989.5.1.2.2.1.3"'
    weight = reaction("7")
    assert case_in(tmp_path, role=weight).criteria == ()
    assert case_in(tmp_path, role=weight.replace(f'code="7" {OBS}', f'code="7" {fda}')).criteria == (
        "required_intervention",
    )


def test_null_flavours_stay_values(tmp_path: Path) -> None:
    role = reaction().replace(
        "<value xsi:type", '<effectiveTime><low nullFlavor="ASKU"/></effectiveTime><value xsi:type', 1
    )
    case = case_in(tmp_path, role=role)
    assert case.reactions[0].onset_on == "ASKU"
    unknown = batch(icsr(created="")).replace(
        '<effectiveTime value=""/>', '<effectiveTime nullFlavor="UNK"/>'
    )
    assert accepted(read(write(tmp_path / "u.xml", unknown)))[0].case.created_on == "UNK"


def observation(code: str, value: str) -> str:
    return f"<subjectOf2><observation><code code='{code}' {OBS}/>{value}</observation></subjectOf2>\n"


@pytest.mark.parametrize(
    ("unit", "value", "expected"),
    [
        ("a", "48", 48.0),
        ("mo", "6", 0.5),
        ("10.a", "8", 80.0),
        ("wk", "52", 0.9966),
        ("d", "3", 0.0082),
        ("kg", "4", None),
    ],
)
def test_stated_age_in_years(tmp_path: Path, unit: str, value: str, expected: float | None) -> None:
    case = case_in(tmp_path, role=observation("3", f'<value value="{value}" unit="{unit}"/>'))
    assert case.patient.age_years == expected
    assert ("age" in case.patient.identified_by) == (expected is not None)


def product(number: int, inner: str = "", more: str = "") -> str:
    return (
        f"<component><substanceAdministration><id root='P{number}'/><consumable><instanceOfKind><kindOfProduct>"
        f"<name>Drug {number}</name>{inner}</kindOfProduct></instanceOfKind></consumable>{more}"
        "</substanceAdministration></component>"
    )


def products(*each: str) -> str:
    inside = "".join(each)
    return (
        f"<subjectOf2><organizer><code code='4' codeSystem='{ICH}.1.20'/>{inside}</organizer></subjectOf2>\n"
    )


def role_of(number: int, code: str) -> str:
    return (
        f"<component><causalityAssessment><code code='20' {OBS}/><value code='{code}'/>"
        f"<subject2><productUseReference><id root='p{number}'/></productUseReference></subject2></causalityAssessment></component>"
    )


def test_roles_put_suspects_first_and_an_unstated_role_is_suspect(tmp_path: Path) -> None:
    text = icsr(role=products(product(1), product(2), product(3), product(4)))
    roles = role_of(1, "2") + role_of(2, "1") + role_of(3, "3")
    text = text.replace("</adverseEventAssessment>", roles + "</adverseEventAssessment>")
    case = accepted(read(write(tmp_path / "r.xml", batch(text))))[0].case
    assert [(p.name, p.role) for p in case.products] == [
        ("Drug 2", "suspect"),
        ("Drug 4", "suspect"),
        ("Drug 3", "interacting"),
        ("Drug 1", "concomitant"),
    ]


def test_situations_blinding_and_pregnancy_of_a_product(tmp_path: Path) -> None:
    def more(code: str, value: str) -> str:
        return f"<outboundRelationship2><observation><code code='{code}' {OBS}/>{value}</observation></outboundRelationship2>"

    coded = more("9", f"<value code='2' codeSystem='{ICH}.1.17'/>") + more(
        "9", f"<value code='11' codeSystem='{ICH}.1.17'/>"
    )
    given = coded + more("6", "<value value='true'/>") + more("16", "<value value='10' unit='wk'/>")
    case = case_in(tmp_path, role=products(product(1, more=given)))
    assert case.products[0].situations == ("overdose", "off_label_use")
    assert case.products[0].blinded
    assert case.situations == ("pregnancy", "overdose", "off_label_use")
    assert case.patient.pregnant == "yes"


def reporter(name: str, code: str, primary: str = "") -> str:
    return (
        f"<outboundRelationship>{primary}<relatedInvestigation><code code='2' codeSystem='{ICH}.1.22'/><subjectOf2><controlActEvent>"
        f"<author><assignedEntity><assignedPerson><name>{name}</name><asQualifiedEntity><code code='{code}'/></asQualifiedEntity>"
        "<asLocatedEntity><location><code code='fr'/></location></asLocatedEntity></assignedPerson></assignedEntity></author>"
        "</controlActEvent></subjectOf2></relatedInvestigation></outboundRelationship>"
    )


def test_the_primary_source_comes_first_and_masked_is_identified(tmp_path: Path) -> None:
    event = (
        reporter('<given nullFlavor="UNK"/>', "5")
        + reporter('<given nullFlavor="MSK"/>', "1", '<priorityNumber value="1"/>')
        + reporter("<family>Roe</family>", "3")
    )
    case = case_in(tmp_path, event=event)
    assert [(r.qualification, r.identified, r.country) for r in case.reporters] == [
        ("physician", True, "FR"),
        ("consumer", False, "FR"),
        ("other_health_professional", True, "FR"),
    ]
    assert case.country == "FR"


def document(content: str, title: str = "Letter") -> str:
    return (
        f"<reference><document><code code='1'/><title>{title}</title>"
        f'<text mediaType="application/pdf" representation="B64">{content}</text></document></reference>'
    )


def test_attachments_go_by_digest(tmp_path: Path) -> None:
    data = b"%PDF-1.7 made up" * 50
    text = base64.encodebytes(data).decode()
    item = accepted(
        read(write(tmp_path / "a.xml", batch(icsr(event=document(text) + document("no base64!")))))
    )[0]
    first, second = item.case.attachments
    assert (first.digest, first.size_bytes, first.media_type, first.title) == (
        digest(data),
        len(data),
        "application/pdf",
        "Letter",
    )
    assert dict(item.attachments) == {first.digest: data, second.digest: b"no base64!"}
    assert second.title == "Letter (as sent: no valid base64)"


def test_comments_inside_a_text_do_not_cut_it(tmp_path: Path) -> None:
    items = read(
        write(tmp_path / "c.xml", batch(icsr(text="He <!-- x --> died<![CDATA[ <PORR_IN049016UV> ]]>.")))
    )
    assert [i.case.narrative for i in accepted(items)] == ["He  died <PORR_IN049016UV> ."]
    assert not refused(items)


def test_an_icsr_without_any_id_is_refused(tmp_path: Path) -> None:
    items = read(write(tmp_path / "n.xml", batch(icsr("A"), icsr(""), icsr("C"))))
    assert [i.case.report_id for i in accepted(items)] == ["A", "C"]
    assert [(r.code, r.place) for r in refused(items)] == [
        ("VM-1408", f"ICSR 2, line {(HEAD + icsr('A')).count(chr(10)) + 1}")
    ]


def test_a_broken_icsr_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    broken = icsr("B").replace("</text>", "</wrong>")
    items = read(write(tmp_path / "b.xml", batch(icsr("A"), broken, icsr("C"))))
    assert [i.case.report_id for i in accepted(items)] == ["A", "C"]
    (refusal,) = refused(items)
    line = batch(icsr("A"), broken).split("\n").index("<text>A headache.</wrong>") + 1
    assert (refusal.code, refusal.place) == ("VM-1405", f"ICSR 2, line {line}")
    assert refusal.source_bytes.decode().strip() == broken.strip()
    assert "ICSR 2" in str(refusal)
    assert refusal.todo


def test_an_icsr_that_is_not_closed_is_named(tmp_path: Path) -> None:
    items = read(
        write(tmp_path / "b.xml", batch(icsr("A"), icsr("B").replace("</PORR_IN049016UV>", ""), icsr("C")))
    )
    assert [i.case.report_id for i in accepted(items)] == ["A", "C"]
    assert [r.place.split(",")[0] for r in refused(items)] == ["ICSR 2"]


def test_a_batch_cut_off_between_icsrs_is_named(tmp_path: Path) -> None:
    items = read(write(tmp_path / "b.xml", HEAD + icsr("A")))
    assert len(accepted(items)) == 1
    (refusal,) = refused(items)
    assert refusal.code == "VM-1405"
    assert "outside the 1 ICSRs" in refusal.place


def test_a_message_between_the_icsrs_that_is_no_icsr_is_named(tmp_path: Path) -> None:
    items = read(write(tmp_path / "b.xml", batch(icsr("A"), "<PORR_IN049017UV><a/></PORR_IN049017UV>")))
    assert [(r.code, "PORR_IN049017UV" in r.what) for r in refused(items)] == [("VM-1403", True)]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (HEAD + TAIL, "VM-1403"),
        ("<ichicsr><safetyreport/></ichicsr>", "VM-1403"),
        (icsr(), "VM-1403"),
        (batch(icsr()).replace("urn:hl7-org:v3", "urn:other"), "VM-1405"),
        ("", "VM-1403"),
        ("   \n ", "VM-1403"),
        ("not xml at all", "VM-1405"),
        ("<!-- never closed", "VM-1405"),
    ],
)
def test_what_is_no_batch_is_refused(tmp_path: Path, text: str, code: str) -> None:
    items = read(write(tmp_path / "x.xml", text))
    assert [r.code for r in refused(items)] == [code]
    assert not accepted(items)


def test_acknowledgements_and_other_xml_are_skipped(tmp_path: Path) -> None:
    write(tmp_path / "a.ack", HEAD.replace("MCCI_IN200100UV01", "MCCI_IN200101UV01") + "</MCCI_IN200101UV01>")
    write(tmp_path / "b.xml", "<document xmlns='urn:hl7-org:v3'/>")
    assert [isinstance(item, Skipped) for item in read(tmp_path)] == [True, True]


def test_packed_batches_and_their_damage(tmp_path: Path) -> None:
    data = gzip.compress(
        batch(*(icsr(f"A{n}", text="x" * 900 + str(n)) for n in range(400))).encode(), compresslevel=1
    )
    assert len(accepted(read(write(tmp_path / "whole.xml.gz", data)))) == 400
    items = read(write(tmp_path / "half.xml.gz", data[: len(data) // 2]))
    assert [r.code for r in refused(items)] == ["VM-1402"]
    refusal = refused(items)[0]
    assert f"ICSR {len(accepted(items)) + 1} " in refusal.place
    assert b"".join(parts(refusal)) == data[: len(data) // 2]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    noise=st.lists(
        st.sampled_from(
            [
                "<!-- <PORR_IN049016UV> -->",
                "<![CDATA[</PORR_IN049016UV>]]>",
                "<?p <PORR_IN049016UV?>",
                "t",
                "\r\n",
            ]
        ),
        max_size=6,
    ),
    size=st.integers(1, 400),
)
def test_the_cut_does_not_depend_on_where_chunks_end(
    noise: list[str], size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    import io

    inside = "".join(noise)
    data = batch(
        *(f"<PORR_IN049016UV x='{n}'>{inside}{n}</PORR_IN049016UV>\n" for n in range(4)),
        inside.replace("t", ""),
    ).encode()
    monkeypatch.setattr("vigimesh.intake.e2b_split.CHUNK_BYTES", size)
    outside = bytearray()
    splitter = Splitter(stream=io.BytesIO(data), outside=outside.extend)
    pieces = list(splitter.pieces())
    assert [p.data for p in pieces] == [data[p.start : p.end] for p in pieces]
    assert [p.data for p in pieces] == [
        f"<PORR_IN049016UV x='{n}'>{inside}{n}</PORR_IN049016UV>".encode() for n in range(4)
    ]
    assert len(outside) + sum(p.end - p.start for p in pieces) == len(data)
    assert splitter.line == len(data.decode().replace("\r\n", "\n").split("\n"))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_damage_loses_an_icsr_silently(tmp_path: Path, data: st.DataObject) -> None:
    good = batch(*(icsr(f"ID{n}") for n in range(3))).encode()
    at = data.draw(st.integers(0, len(good) - 1))
    damage = data.draw(st.binary(min_size=0, max_size=4))
    items = read(write(tmp_path / "d.xml", good[:at] + damage + good[at + data.draw(st.integers(0, 3)) :]))
    assert len(accepted(items)) == 3 or refused(items) or any(isinstance(i, Skipped) for i in items)


@pytest.mark.parametrize(
    ("given_time", "iso"),
    [
        ("2024", "2024"),
        ("202403", "2024-03"),
        ("20240315", "2024-03-15"),
        ("20240315102030-0500", "2024-03-15T10:20:30-05:00"),
        ("202403151020+01", "2024-03-15T10:20+01:00"),
        ("20240315102030.5", "2024-03-15T10:20:30.5"),
        ("UNK", "UNK"),
        ("15/03/2024", "15/03/2024"),
        ("", ""),
    ],
)
def test_moments(given_time: str, iso: str) -> None:
    assert moment(given_time) == iso


def test_an_impossible_age_is_no_age() -> None:
    assert [years(value, "a") for value in ("-1", "nan", "inf", "1e9", "x")] == [None] * 5
