"""Writes ICSRs as an E2B(R3) batch: HL7 v3, `MCCI_IN200100UV01` with one `PORR_IN049016UV` for each case.

Element places, object identifiers and code lists follow ICH's E2B(R3) implementation guide (section 3.4) and its
regional part of the FDA. Only what a `Case` holds is written, with invented initials, names and places where the
structure wants a person.
"""

from __future__ import annotations

import hashlib
import html
import re
from collections.abc import Iterable, Sequence

from vigimesh.events.case import Case, Product, Reaction, Reporter

#: Arcs of ICH's code systems (…989.2.1.1) and identifiers (…989.2.1.3), ISO 3166, ISO 5218 and MedDRA.
_LIST = "2.16.840.1.113883.3.989.2.1.1."
_NAMED = "2.16.840.1.113883.3.989.2.1.3."
_NCI = "2.16.840.1.113883.3.26.1.1"
_COUNTRY = "1.0.3166.1.2.2"
_SEX = "1.0.5218"
_MEDDRA = "2.16.840.1.113883.6.163"

_REPORT_TYPES = {"spontaneous": "1", "study": "2", "other": "3", "not_stated": "4"}
_AMENDMENTS = {"nullification": "1", "amendment": "2"}
_QUALIFICATIONS = {
    "physician": "1", "pharmacist": "2", "other_health_professional": "3", "lawyer": "4", "consumer": "5",
}  # fmt: skip
_STUDY_TYPES = {"clinical_trial": "1", "individual_use": "2", "other": "3"}
_AGE_GROUPS = {
    "foetus": "0", "neonate": "1", "infant": "2", "child": "3", "adolescent": "4", "adult": "5", "elderly": "6",
}  # fmt: skip
_SEXES = {"male": "1", "female": "2"}
_OUTCOMES = {
    "unknown": "0", "recovered": "1", "recovering": "2", "not_recovered": "3", "recovered_with_sequelae": "4",
    "fatal": "5",
}  # fmt: skip
_ROLES = {"suspect": "1", "concomitant": "2", "interacting": "3", "not_administered": "4"}
_SITUATIONS = {
    "counterfeit": "1", "overdose": "2", "taken_by_father": "3", "taken_beyond_expiry": "4", "batch_in_spec": "5",
    "batch_out_of_spec": "6", "medication_error": "7", "misuse": "8", "abuse": "9", "occupational_exposure": "10",
    "off_label_use": "11",
}  # fmt: skip
#: E.i.3.2 a-f and FDA's h: word -> (code, code system, display name).
_CRITERIA = {
    "death": ("34", _LIST + "19", "resultsInDeath"),
    "life_threatening": ("21", _LIST + "19", "isLifeThreatening"),
    "hospitalisation": ("33", _LIST + "19", "requiresInpatientHospitalization"),
    "disability": ("35", _LIST + "19", "resultsInPersistentOrSignificantDisability"),
    "congenital_anomaly": ("12", _LIST + "19", "congenitalAnomalyBirthDefect"),
    "other_medically_important": ("26", _LIST + "19", "otherMedicallyImportantCondition"),
    "required_intervention": ("7", "2.16.840.1.113883.3.989.5.1.2.2.1.3", "requiredIntervention"),
}
_NULL_FLAVOURS = frozenset({"UNK", "ASKU", "NASK", "NI", "MSK", "NA"})
_OBSERVED = 'classCode="OBS" moodCode="EVN"'


def batch(cases: Iterable[Case], *, number: str, sent_on: str, sender: str, receiver: str) -> bytes:
    """Return one batch file in UTF-8: the cases' messages in their order, then receiver and sender (N.1.2 to N.1.5)."""
    head = (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<MCCI_IN200100UV01 xmlns="urn:hl7-org:v3" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
        ' ITSVersion="XML_1.0">\n'
        f'{_id(number, _NAMED + "22")}<creationTime {_time(sent_on)}/><responseModeCode code="D"/>'
        '<interactionId extension="MCCI_IN200100UV01" root="2.16.840.1.113883.1.6"/>'
        f'<name code="1" codeSystem="{_LIST}1" displayName="ichicsr"/>\n'
    )
    tail = f"{_party('receiver', receiver, '14')}{_party('sender', sender, '13')}\n</MCCI_IN200100UV01>\n"
    return (head + "".join(message(case) for case in cases) + tail).encode()


def message(case: Case) -> str:
    """Return one `PORR_IN049016UV`; the same case gives the same text."""
    created = _time(case.created_on)
    ids = (_id(case.report_id, _NAMED + "1") if case.report_id else "") + (
        _id(case.worldwide_id, _NAMED + "2") if case.worldwide_id else ""
    )
    return (
        f"<PORR_IN049016UV>{_id(case.report_id, _NAMED + '1') if case.report_id else ''}<creationTime {created}/>"
        '<interactionId extension="PORR_IN049016UV" root="2.16.840.1.113883.1.6"/>'
        '<processingCode code="P"/><processingModeCode code="T"/><acceptAckCode code="AL"/>'
        f"{_party('receiver', case.receiver, '12')}{_party('sender', case.sender, '11')}"
        '<controlActProcess classCode="CACT" moodCode="EVN">'
        '<code code="PORR_TE049016UV" codeSystem="2.16.840.1.113883.1.18"/>'
        f'<effectiveTime {created}/><subject typeCode="SUBJ"><investigationEvent classCode="INVSTG" moodCode="EVN">'
        f'{ids}<code code="PAT_ADV_EVNT" codeSystem="2.16.840.1.113883.5.4"/><text>{_text(case.narrative)}</text>'
        f'<statusCode code="active"/><effectiveTime><low {_time(case.first_received_on)}/></effectiveTime>'
        f"<availabilityTime {_time(case.most_recent_on)}/>{_assessment(case)}{_about_report(case)}"
        f"{''.join(_reporter(reporter, number) for number, reporter in enumerate(case.reporters, 1))}"
        f"{_linked(case.linked_ids)}{_characteristics(case)}"
        "</investigationEvent></subject></controlActProcess></PORR_IN049016UV>\n"
    )


def hl7_time(iso: str) -> str:
    """Return a date of ISO 8601 as HL7 writes it: `2026-03-15T10:20:30+01:00` becomes `20260315102030+0100`."""
    day, _, clock = iso.partition("T")
    return re.sub(r"[-:]", "", day) + re.sub(r":", "", clock.replace("Z", "+0000"))


def _assessment(case: Case) -> str:
    """Return sections D, E and G, and the role of each product (G.k.1)."""
    reactions = "".join(_reaction(reaction) for reaction in case.reactions)
    products = "".join(_product(product, _uuid(case, number)) for number, product in enumerate(case.products))
    organizer = _subject(
        f'<organizer classCode="CATEGORY" moodCode="EVN">{_code("4", _LIST + "20", "drugInformation")}{products}</organizer>'
    )
    roles = "".join(
        f'<component typeCode="COMP"><causalityAssessment {_OBSERVED}>'
        f"{_code('20', _LIST + '19', 'interventionCharacterization')}{_coded(_ROLES[product.role], _LIST + '13')}"
        f'<subject2 typeCode="SUBJ"><productUseReference classCode="SBADM" moodCode="EVN">'
        f'<id root="{_uuid(case, number)}"/></productUseReference></subject2></causalityAssessment></component>'
        for number, product in enumerate(case.products)
    )
    return (
        '<component typeCode="COMP"><adverseEventAssessment classCode="INVSTG" moodCode="EVN">'
        f'<subject1 typeCode="SBJ"><primaryRole classCode="INVSBJ">{_player(case)}{_study(case)}{_patient(case)}'
        f"{reactions}{organizer if case.products else ''}</primaryRole></subject1>{roles}"
        "</adverseEventAssessment></component>"
    )


def _player(case: Case) -> str:
    """Return D.1, D.5, D.2.1 and D.9.1; who is not identified has null flavours."""
    known = case.patient.identified_by
    name = "<name>N.N.</name>" if "initials" in known else '<name nullFlavor="UNK"/>'
    sex = _SEXES.get(case.patient.sex)
    gender = f'code="{sex}" codeSystem="{_SEX}"' if sex else 'nullFlavor="UNK"'
    died = f"<deceasedTime {_time(case.patient.died_on)}/>" if case.patient.died_on else ""
    return f'<player1 classCode="PSN" determinerCode="INSTANCE">{name}<administrativeGenderCode {gender}/>{died}</player1>'


def _study(case: Case) -> str:
    """Return C.5.3 and C.5.4 of a case from a study."""
    if not case.study_id:
        return ""
    return (
        f'<subjectOf1 typeCode="SBJ"><researchStudy classCode="CLNTRL" moodCode="EVN">'
        f"{_id(case.study_id, _NAMED + '5')}{_code(_STUDY_TYPES[case.study_type], _LIST + '8')}"
        "</researchStudy></subjectOf1>"
    )


def _patient(case: Case) -> str:
    """Return age at onset (D.2.2) and age group (D.2.3)."""
    parts = ""
    if case.patient.age_years is not None:
        age = f'<value xsi:type="PQ" value="{case.patient.age_years:g}" unit="a"/>'
        parts += _observation("3", "age", age)
    if case.patient.age_group:
        group = _coded(_AGE_GROUPS[case.patient.age_group], _LIST + "9")
        parts += _observation("4", "ageGroup", group)
    return parts


def _reaction(reaction: Reaction) -> str:
    """Return one E.i: words, code, seriousness (true or no information, never false), dates, outcome, country."""
    seed = hashlib.sha256(repr(reaction).encode()).hexdigest()
    code = f' code="{reaction.code}" codeSystemVersion="26.1"' if reaction.code else ""
    place = (
        '<location typeCode="LOC"><locatedEntity classCode="LOCE"><locatedPlace classCode="COUNTRY"'
        f' determinerCode="INSTANCE">{_code(reaction.country, _COUNTRY)}</locatedPlace></locatedEntity></location>'
        if reaction.country
        else ""
    )
    more = _related("30", "reactionForTranslation", f'<value xsi:type="ED">{_text(reaction.text)}</value>')
    if reaction.highlighted:
        more += _related("37", "termHighlightedByReporter", _coded(reaction.highlighted, _LIST + "10"))
    for criterion, (number, system, name) in _CRITERIA.items():
        value = 'value="true"' if criterion in reaction.criteria else 'nullFlavor="NI"'
        more += _related(number, name, f'<value xsi:type="BL" {value}/>', system)
    if reaction.outcome:
        more += _related("27", "outcome", _coded(_OUTCOMES[reaction.outcome], _LIST + "11"))
    return _subject(
        f'<observation {_OBSERVED}><id root="{_dashed(seed)}"/>{_code("29", _LIST + "19", "reaction")}'
        f"{_period(reaction.onset_on, reaction.ended_on)}"
        f'<value xsi:type="CE"{code} codeSystem="{_MEDDRA}"><originalText language="eng">{_text(reaction.text)}'
        f"</originalText></value>{place}{more}</observation>"
    )


def _product(product: Product, uuid: str) -> str:
    """Return one G.k."""
    holder = (
        '<asManufacturedProduct classCode="MANU"><subjectOf typeCode="SBJ"><approval classCode="CNTRCT" moodCode="EVN">'
        f'<holder typeCode="HLD"><role classCode="HLD"><playingOrganization classCode="ORG" determinerCode="INSTANCE">'
        f"<name>{_text(product.manufacturer)}</name></playingOrganization></role></holder></approval></subjectOf>"
        "</asManufacturedProduct>"
        if product.manufacturer
        else ""
    )
    substance = (
        '<ingredient classCode="ACTI"><ingredientSubstance classCode="MMAT" determinerCode="KIND">'
        f"<name>{_text(product.substance)}</name></ingredientSubstance></ingredient>"
        if product.substance
        else ""
    )
    blinded = (
        f'<outboundRelationship2 typeCode="PERT"><observation {_OBSERVED}>{_code("6", _LIST + "19", "blinded")}'
        '<value xsi:type="BL" value="true"/></observation></outboundRelationship2>'
        if product.blinded
        else ""
    )
    indication = (
        f'<inboundRelationship typeCode="RSON"><observation {_OBSERVED}>{_code("19", _LIST + "19", "indication")}'
        f'<value xsi:type="CE"><originalText>{_text(product.indication)}</originalText></value>'
        f'<performer typeCode="PRF"><assignedEntity classCode="ASSIGNED">{_code("3", _LIST + "21", "sourceReporter")}'
        "</assignedEntity></performer></observation></inboundRelationship>"
        if product.indication
        else ""
    )
    situations = "".join(
        f'<outboundRelationship2 typeCode="REFR"><observation {_OBSERVED}>'
        f"{_code('9', _LIST + '19', 'codedDrugInformation')}{_coded(_SITUATIONS[word], _LIST + '17')}"
        "</observation></outboundRelationship2>"
        for word in product.situations
    )
    return (
        '<component typeCode="COMP"><substanceAdministration classCode="SBADM" moodCode="EVN">'
        f'<id root="{uuid}"/><consumable typeCode="CSM"><instanceOfKind classCode="INST">'
        f'<kindOfProduct classCode="MMAT" determinerCode="KIND"><name>{_text(product.name)}</name>{holder}{substance}'
        f"</kindOfProduct></instanceOfKind></consumable>{blinded}{_dosage(product)}{situations}{indication}"
        "</substanceAdministration></component>"
    )


def _dosage(product: Product) -> str:
    """Return G.k.4.r: text, dates, route, lot."""
    text = f"<text>{_text(product.dose)}</text>" if product.dose else ""
    route = (
        f'<routeCode codeSystem="{_LIST}14"><originalText>{_text(product.route)}</originalText></routeCode>'
        if product.route
        else ""
    )
    lot = (
        '<consumable typeCode="CSM"><instanceOfKind classCode="INST"><productInstanceInstance classCode="MMAT"'
        f' determinerCode="INSTANCE"><lotNumberText>{_text(product.lot)}</lotNumberText></productInstanceInstance>'
        "</instanceOfKind></consumable>"
        if product.lot
        else ""
    )
    period = _period(product.started_on, product.stopped_on)
    if not (text or route or lot or period):
        return ""
    return (
        '<outboundRelationship2 typeCode="COMP"><substanceAdministration classCode="SBADM" moodCode="EVN">'
        f"{text}{period}{route}{lot}</substanceAdministration></outboundRelationship2>"
    )


def _about_report(case: Case) -> str:
    """Return C.1.6.1 (no further documents), C.1.7 and the FDA's C.1.7.1."""
    expedited = f'value="{case.expedited}"' if case.expedited else 'nullFlavor="NI"'
    parts = [
        (_code("1", _LIST + "19", "additionalDocumentsAvailable"), '<value xsi:type="BL" value="false"/>'),
        (_code("23", _LIST + "19", "localCriteriaForExpedited"), f'<value xsi:type="BL" {expedited}/>'),
    ]
    if case.expedited_kind:
        kind = _coded(case.expedited_kind, "2.16.840.1.113883.3.989.5.1.2.2.1.1.1")
        parts.append((_code("C54588", _NCI, "localCriteriaReportType"), kind))
    return "".join(
        f'<component typeCode="COMP"><observationEvent {_OBSERVED}>{code}{value}</observationEvent></component>'
        for code, value in parts
    )


def _reporter(reporter: Reporter, number: int) -> str:
    """Return one C.2.r; who is not identified has a name that was asked for and not given."""
    name = (
        "<name><given>N</given><family>N</family></name>"
        if reporter.identified
        else '<name><given nullFlavor="ASKU"/><family nullFlavor="ASKU"/></name>'
    )
    qualification = _QUALIFICATIONS.get(reporter.qualification)
    quality = f'code="{qualification}" codeSystem="{_LIST}6"' if qualification else 'nullFlavor="UNK"'
    country = (
        '<asLocatedEntity classCode="LOCE"><location classCode="COUNTRY" determinerCode="INSTANCE">'
        f"{_code(reporter.country, _COUNTRY)}</location></asLocatedEntity>"
        if reporter.country
        else ""
    )
    first = '<priorityNumber value="1"/>' if number == 1 else ""
    return (
        f'<outboundRelationship typeCode="SPRT">{first}<relatedInvestigation classCode="INVSTG" moodCode="EVN">'
        f'{_code("2", _LIST + "22", "sourceReport")}<subjectOf2 typeCode="SUBJ"><controlActEvent classCode="CACT"'
        ' moodCode="EVN"><author typeCode="AUT"><assignedEntity classCode="ASSIGNED"><assignedPerson classCode="PSN"'
        f' determinerCode="INSTANCE">{name}<asQualifiedEntity classCode="QUAL"><code {quality}/></asQualifiedEntity>'
        f"{country}</assignedPerson></assignedEntity></author></controlActEvent></subjectOf2></relatedInvestigation>"
        "</outboundRelationship>"
    )


def _linked(linked: Sequence[str]) -> str:
    """Return C.1.10.r: reports linked to this one."""
    return "".join(
        '<outboundRelationship typeCode="SPRT"><relatedInvestigation classCode="INVSTG" moodCode="EVN">'
        '<code nullFlavor="NA"/><subjectOf2 typeCode="SUBJ"><controlActEvent classCode="CACT" moodCode="EVN">'
        f"{_id(one, _NAMED + '2')}</controlActEvent></subjectOf2></relatedInvestigation></outboundRelationship>"
        for one in linked
    )


def _characteristics(case: Case) -> str:
    """Return C.1.3 and C.1.11.1."""
    parts = [
        (_code("1", _LIST + "23", "ichReportType"), _coded(_REPORT_TYPES[case.report_type], _LIST + "2"))
    ]
    if case.amendment in _AMENDMENTS:
        code = _code("3", _LIST + "23", "nullificationAmendmentCode")
        parts.append((code, _coded(_AMENDMENTS[case.amendment], _LIST + "5")))
    return "".join(
        f'<subjectOf2 typeCode="SUBJ"><investigationCharacteristic {_OBSERVED}>{code}{value}'
        "</investigationCharacteristic></subjectOf2>"
        for code, value in parts
    )


def _party(role: str, name: str, arc: str) -> str:
    kind = {"receiver": "RCV", "sender": "SND"}[role]
    device = f'<device classCode="DEV" determinerCode="INSTANCE">{_id(name, _NAMED + arc)}</device>'
    return f'<{role} typeCode="{kind}">{device}</{role}>'


def _subject(inner: str) -> str:
    return f'<subjectOf2 typeCode="SBJ">{inner}</subjectOf2>'


def _observation(code: str, name: str, value: str) -> str:
    return _subject(f"<observation {_OBSERVED}>{_code(code, _LIST + '19', name)}{value}</observation>")


def _related(code: str, name: str, value: str, system: str = _LIST + "19") -> str:
    inner = f"<observation {_OBSERVED}>{_code(code, system, name)}{value}</observation>"
    return f'<outboundRelationship2 typeCode="PERT">{inner}</outboundRelationship2>'


def _period(start: str, end: str) -> str:
    """Return when something began and ended; nothing when neither is known."""
    if not (start or end):
        return ""
    low = f"<low {_time(start)}/>" if start else ""
    if not end:
        return f'<effectiveTime xsi:type="IVL_TS">{low}</effectiveTime>'
    return (
        f'<effectiveTime xsi:type="SXPR_TS"><comp xsi:type="IVL_TS" operator="A">{low}<high {_time(end)}/></comp>'
        "</effectiveTime>"
    )


def _time(iso: str) -> str:
    return f'nullFlavor="{iso or "NI"}"' if not iso or iso in _NULL_FLAVOURS else f'value="{hl7_time(iso)}"'


def _id(extension: str, root: str) -> str:
    return f'<id extension="{html.escape(extension)}" root="{root}"/>'


def _code(code: str, system: str, name: str = "") -> str:
    shown = f' displayName="{name}"' if name else ""
    return f'<code code="{code}" codeSystem="{system}"{shown}/>'


def _coded(code: str, system: str) -> str:
    return f'<value xsi:type="CE" code="{code}" codeSystem="{system}"/>'


def _text(text: str) -> str:
    return html.escape(text, quote=False)


def _uuid(case: Case, number: int) -> str:
    return _dashed(hashlib.sha256(f"{case.report_id}|{number}".encode()).hexdigest())


def _dashed(digits: str) -> str:
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:32]}"
