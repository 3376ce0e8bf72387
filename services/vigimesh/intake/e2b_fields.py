"""One ICSR as a case: each element by the number that ICH E2B(R3) gives it; null flavours stay as values."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator

from lxml import etree

from vigimesh.events import words
from vigimesh.events.case import Attachment, Case, Patient, Product, Reaction, Reporter
from vigimesh.events.ids import case_id, digest, message_id
from vigimesh.intake.e2b_products import products_of
from vigimesh.intake.e2b_tree import (
    ICH,
    NAMESPACE,
    OBSERVATIONS,
    attribute,
    code_of,
    content,
    each,
    extension,
    first,
    joined,
    masked_or_stated,
    period,
    stated,
    when,
    years,
)
from vigimesh.intake.values import Accepted, Origin

__all__ = ["NAMESPACE", "case_of"]

_FDA = "2.16.840.1.113883.3.989.5.1.2.2.1"
#: Observation code -> criterion (E.i.3.2 a-f).
_CRITERION = {
    "34": "death", "21": "life_threatening", "33": "hospitalisation", "35": "disability", "12": "congenital_anomaly",
    "26": "other_medically_important",
}  # fmt: skip
#: FDA.E.i.3.2h: code 7 in the FDA's own list (7 in ICH's is the body weight).
_INTERVENTION = ("7", f"{_FDA}.3")
_SPACES = re.compile(r"\s+")
#: Files inside one ICSR that are taken; the 16 MiB of the ICSR bound their size.
_ATTACHMENTS = 200


def case_of(icsr: etree._Element, origin: Origin, number: int) -> Accepted | None:
    """Return the case in a `PORR_IN049016UV` element, or None when neither C.1.1 nor C.1.8.1 names it.

    The bytes kept for the message are the element in exclusive canonical XML, comments included: the same for the same
    message in whatever batch it comes.
    """
    act = first(icsr, "controlActProcess")
    event = first(act, "subject/investigationEvent")
    report_id = stated(extension(event, f"{ICH}.3.1"))
    worldwide_id = stated(extension(event, f"{ICH}.3.2"))
    if not (report_id or worldwide_id):
        return None
    source_bytes = etree.tostring(icsr, method="c14n", exclusive=True, with_comments=True)
    body = digest(source_bytes)
    sender = stated(extension(icsr, f"{ICH}.3.11", "sender/device/id"))
    receiver = stated(extension(icsr, f"{ICH}.3.12", "receiver/device/id"))
    created = when(first(act, "effectiveTime"))
    assessment = first(event, "component/adverseEventAssessment")
    role = first(assessment, "subject1/primaryRole")
    reporters = tuple(_reporters(event))
    reactions = tuple(_reactions(role))
    products = products_of(role, assessment)
    attachments, files = _attachments(event)
    expedited, expedited_kind = _expedited(event)
    study_id, study_type = _study(role)
    case = Case(
        message_id=message_id(origin.tenant, sender, receiver, report_id or worldwide_id, created, body),
        case_id=case_id(origin.tenant, worldwide_id, report_id),
        tenant=origin.tenant,
        source_format="e2b_r3",
        source=f"{origin.name}#ICSR {number}",
        sender=sender,
        receiver=receiver,
        report_id=report_id,
        worldwide_id=worldwide_id,
        linked_ids=tuple(dict.fromkeys(_linked(event))),
        report_type=words.REPORT_TYPE.get(_characteristic(event, "1"), "not_stated"),
        created_on=created,
        first_received_on=when(first(event, "effectiveTime/low")),
        most_recent_on=when(first(event, "availabilityTime")),
        amendment=words.AMENDMENT.get(_characteristic(event, "3"), "none"),
        expedited=expedited,
        expedited_kind=expedited_kind,
        study_id=study_id,
        study_type=study_type,
        country=_country(reactions, reporters),
        media_type="application/xml",
        size_bytes=len(source_bytes),
        digest=body,
        reporters=reporters,
        patient=_patient(role, products[1]),
        products=products[0],
        reactions=reactions,
        criteria=words.in_order(word for reaction in reactions for word in reaction.criteria),
        criteria_form="open",
        situations=_situations(role, products[0], products[1]),
        narrative=content(first(event, "text")),
        attachments=attachments,
    )
    return Accepted(case=case, source_bytes=source_bytes, attachments=files)


def _linked(event: etree._Element | None) -> Iterator[str]:
    """C.1.9.1.r.2, then C.1.10.r."""
    for found in each(event, "subjectOf1/controlActEvent/id"):
        if found.get("root") == f"{ICH}.3.3":
            yield from filter(None, [stated(attribute(found, "extension"))])
    for link in each(event, "outboundRelationship/relatedInvestigation"):
        code = first(link, "code")
        if code is not None and code.get("nullFlavor") == "NA":
            number = extension(link, f"{ICH}.3.2", "subjectOf2/controlActEvent/id")
            yield from filter(None, [stated(number)])


def _characteristic(event: etree._Element | None, code: str) -> str:
    """C.1.3 (code 1) and C.1.11.1 (code 3)."""
    for found in each(event, "subjectOf2/investigationCharacteristic"):
        if code_of(found) == (code, f"{ICH}.1.23"):
            return attribute(first(found, "value"), "code")
    return ""


def _expedited(event: etree._Element | None) -> tuple[str, str]:
    """C.1.7 (only true or false; NI is empty) and FDA.C.1.7.1; the element list and the instances place the second apart."""
    expedited = kind = ""
    for found in (
        *each(event, "component/observationEvent"),
        *each(event, "subjectOf2/investigationCharacteristic"),
    ):
        code, value = code_of(found), first(found, "value")
        if code == ("23", OBSERVATIONS):
            expedited = attribute(value, "value")
        elif code[0] == "C54588" or (value is not None and value.get("codeSystem") == f"{_FDA}.1.1.1"):
            kind = attribute(value, "code")
    return expedited if expedited in {"true", "false"} else "", kind


def _study(role: etree._Element | None) -> tuple[str, str]:
    """C.5.1.r.1, else C.5.3, else the FDA's IND or pre-ANDA number (FDA.C.5.5); and C.5.4."""
    study = first(role, "subjectOf1/researchStudy")
    if study is None:
        return "", ""
    roots = (f"{ICH}.3.6", f"{_FDA}.2.1", f"{_FDA}.2.2")
    registered = [stated(extension(study, root, "authorization/studyRegistration/id")) for root in roots]
    number = registered[0] or stated(extension(study, f"{ICH}.3.5")) or registered[1] or registered[2]
    return number, words.STUDY_TYPE.get(code_of(study)[0], "")


def _country(reactions: tuple[Reaction, ...], reporters: tuple[Reporter, ...]) -> str:
    for reaction in reactions:
        if reaction.country:
            return reaction.country
    return reporters[0].country if reporters else ""


def _reporters(event: etree._Element | None) -> Iterator[Reporter]:
    """C.2.r; the primary source for regulatory purposes (C.2.r.5 = 1) first."""
    sources = [
        link
        for link in each(event, "outboundRelationship")
        if code_of(link, "relatedInvestigation/code") == ("2", f"{ICH}.1.22")
    ]
    for link in sorted(sources, key=lambda link: attribute(first(link, "priorityNumber"), "value") != "1"):
        who = first(link, "relatedInvestigation/subjectOf2/controlActEvent/author/assignedEntity")
        person = first(who, "assignedPerson")
        yield Reporter(
            qualification=words.QUALIFICATION.get(code_of(person, "asQualifiedEntity/code")[0], "not_stated"),
            country=stated(attribute(first(person, "asLocatedEntity/location/code"), "code")).upper(),
            identified=_identified(who),
        )


def _identified(who: etree._Element | None) -> bool:
    named = ("assignedPerson/name/given", "assignedPerson/name/family", "assignedPerson/name/prefix")
    placed = ("streetAddressLine", "city", "state", "postalCode")
    texts = [
        *named,
        *(f"addr/{part}" for part in placed),
        "representedOrganization/name",
        "representedOrganization/assignedEntity/representedOrganization/name",
    ]
    if any(masked_or_stated(found) for text in texts for found in each(who, text)):
        return True
    return any(masked_or_stated(found, "value") for found in each(who, "telecom"))


def _observation(role: etree._Element | None, code: str) -> etree._Element | None:
    """Return the value of the patient's observation with this code of ICH's list."""
    for found in each(role, "subjectOf2/observation"):
        if code_of(found) == (code, OBSERVATIONS):
            return first(found, "value")
    return None


def _patient(role: etree._Element | None, exposed: bool) -> Patient:
    """D.1 to D.5, D.9.1; `exposed`: a product names the gestation period at exposure (G.k.6)."""
    player = first(role, "player1")
    age, group = _observation(role, "3"), _observation(role, "4")
    age_years = years(attribute(age, "value"), attribute(age, "unit"))
    age_group = words.AGE_GROUP.get(attribute(group, "code"), "")
    sex = words.SEX.get(attribute(first(player, "administrativeGenderCode"), "code"), "")
    numbers = list(each(player, "asIdentifiedEntity/id"))
    held = {
        "initials": masked_or_stated(first(player, "name")),
        "record_number": any(masked_or_stated(found, "extension") for found in numbers),
        "birth_date": masked_or_stated(first(player, "birthTime"), "value"),
        "age": age_years is not None,
        "age_group": bool(age_group),
        "sex": bool(sex),
    }
    own = exposed and sex != "male" and first(player, "role") is None and age_group != "foetus"
    return Patient(
        identified_by=tuple(word for word, there in held.items() if there),
        age_years=age_years,
        age_group=age_group,
        sex=sex,
        pregnant="yes" if own else "not_stated",
        died_on=when(first(player, "deceasedTime")),
    )


def _situations(role: etree._Element | None, products: tuple[Product, ...], exposed: bool) -> tuple[str, ...]:
    """G.k.10.r of all products; pregnancy when a gestation period is given (D.2.2.1, G.k.6)."""
    pregnancy = exposed or bool(stated(attribute(_observation(role, "16"), "value")))
    words_found = ["pregnancy"] if pregnancy else []
    return tuple(dict.fromkeys([*words_found, *(word for p in products for word in p.situations)]))


def _reactions(role: etree._Element | None) -> Iterator[Reaction]:
    """E.i; an observation with the reaction's code is one, with or without an id of its own."""
    for found in each(role, "subjectOf2/observation"):
        if code_of(found) == ("29", OBSERVATIONS):
            yield _reaction(found)


def _reaction(found: etree._Element) -> Reaction:
    value = first(found, "value")
    more: dict[str, etree._Element | None] = {}
    criteria = set()
    for inner in each(found, "outboundRelationship2/observation"):
        code, system = code_of(inner)
        answer = first(inner, "value")
        if (code, system) == _INTERVENTION:
            word = "required_intervention"
        else:
            more.setdefault(code, answer)
            word = _CRITERION.get(code, "")
        if word and attribute(answer, "value") in {"true", "1"}:
            criteria.add(word)
    native, translated = content(first(value, "originalText")), content(more.get("30"))
    onset, end = period(first(found, "effectiveTime"))
    place = first(found, "location/locatedEntity/locatedPlace/code")
    return Reaction(
        text=joined([native, translated]),
        term="" if value is None else (value.get("displayName") or "").strip(),
        code=stated(attribute(value, "code")),
        highlighted=stated(attribute(more.get("37"), "code")),
        criteria=words.in_order(criteria),
        onset_on=onset,
        ended_on=end,
        outcome=words.OUTCOME.get(attribute(more.get("27"), "code"), ""),
        country=stated(attribute(place, "code")).upper(),
    )


def _attachments(
    event: etree._Element | None,
) -> tuple[tuple[Attachment, ...], tuple[tuple[str, bytes], ...]]:
    """C.1.6.1.r.2 and C.4.r.2: the files inside the message; one that is no base64 is kept as it was sent."""
    held: list[Attachment] = []
    files: dict[str, bytes] = {}
    for document in each(event, "reference/document"):
        text = first(document, "text")
        raw = content(text)
        if text is None or not raw or len(held) >= _ATTACHMENTS:
            continue
        name = attribute(first(text, "reference"), "value")
        title = (
            content(first(document, "title"))
            or content(first(document, "bibliographicDesignationText"))
            or name
        )
        media = text.get("mediaType") or "application/octet-stream"
        data = raw.encode()
        if text.get("representation") == "B64":
            try:
                data = base64.b64decode(_SPACES.sub("", raw), validate=True)
            except (binascii.Error, ValueError):
                title, media = f"{title} (as sent: no valid base64)", "application/octet-stream"
        name = digest(data)
        files[name] = data
        held.append(
            Attachment(digest=name, media_type=media, size_bytes=len(data), title=_SPACES.sub(" ", title))
        )
    return tuple(held), tuple(files.items())
