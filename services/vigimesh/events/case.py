"""One version of one case or document, as every event carries it forward: the body of the upstream contract.

Closed sets are strings, because an Avro enum cannot grow under FULL_TRANSITIVE; the allowed words stand in each doc.
A date field holds what the source gave: ISO 8601 of reduced precision (`2024`, `2024-03`, `2024-03-15`,
`2024-03-15T10:20:30-05:00`), or a null flavour (`UNK`, `ASKU`, `NASK`, `NI`, `MSK`, ICH E2B(R3) 3.3.6), or "" when absent.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated as A

#: Seriousness criteria, ICH E2B(R3) E.i.3.2 a-f, and h of the FDA's regional elements, in that order.
CRITERIA = (
    "death",
    "life_threatening",
    "hospitalisation",
    "disability",
    "congenital_anomaly",
    "other_medically_important",
    "required_intervention",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reporter:
    """Who told of the case; never a name or address."""

    qualification: A[
        str, "physician, pharmacist, other_health_professional, lawyer, consumer or not_stated (C.2.r.4)"
    ] = "not_stated"
    country: A[str, "ISO 3166-1 alpha-2 country of the reporter, or empty (C.2.r.3)"] = ""
    identified: A[
        bool, "whether the source names the reporter by at least a name, initials, address or organisation"
    ] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """Qualifiers that make the patient identifiable; never a name or date of birth."""

    identified_by: A[
        tuple[str, ...],
        "which qualifiers the source holds: initials, record_number, birth_date, age, age_group, sex",
    ] = ()
    age_years: A[float | None, "age at onset in years, or null"] = None
    age_group: A[str, "foetus, neonate, infant, child, adolescent, adult, elderly or empty (D.2.3)"] = ""
    sex: A[str, "male, female or empty (D.5)"] = ""
    pregnant: A[str, "yes, no or not_stated"] = "not_stated"
    died_on: A[str, "date of death as given (D.9.1)"] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """A medicinal product of the case (section G)."""

    name: A[str, "name as the source gives it (G.k.2.2)"] = ""
    role: A[str, "suspect, interacting, concomitant or not_administered (G.k.1)"] = "suspect"
    kind: A[str, "drug, vaccine, device, combination or not_stated"] = "not_stated"
    substance: A[str, "active substances as given, joined by '; ' (G.k.2.3.r)"] = ""
    manufacturer: A[str, "manufacturer or authorisation holder as given"] = ""
    lot: A[str, "lot number as given (G.k.4.r.7)"] = ""
    dose: A[str, "dose text or dose series as given (G.k.4.r)"] = ""
    route: A[str, "route as given (G.k.4.r.10)"] = ""
    started_on: A[str, "first administration (G.k.4.r.4)"] = ""
    stopped_on: A[str, "last administration (G.k.4.r.5)"] = ""
    indication: A[str, "indication as given (G.k.7)"] = ""
    blinded: A[bool, "whether the investigational product is blinded (G.k.2.5)"] = False
    situations: A[
        tuple[str, ...],
        "additional information codes of G.k.10.r as words: counterfeit, overdose, medication_error, misuse, abuse, occupational_exposure, off_label_use, taken_beyond_expiry, batch_in_spec, batch_out_of_spec, taken_by_father, other",
    ] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Reaction:
    """A reaction or event of the case (section E)."""

    text: A[str, "reaction as the reporter said it (E.i.1)"] = ""
    term: A[str, "coded term's name as the source gives it, or empty"] = ""
    code: A[str, "MedDRA LLT code as the source gives it, or empty (E.i.2.1b)"] = ""
    highlighted: A[
        str, "term highlighted by the reporter: 1 or 2 not serious, 3 or 4 serious, or empty (E.i.3.1)"
    ] = ""
    criteria: A[
        tuple[str, ...], "seriousness criteria set for this reaction: see Case.criteria (E.i.3.2)"
    ] = ()
    onset_on: A[str, "start (E.i.4)"] = ""
    ended_on: A[str, "end (E.i.5)"] = ""
    outcome: A[
        str, "recovered, recovering, not_recovered, recovered_with_sequelae, fatal, unknown or empty (E.i.7)"
    ] = ""
    country: A[str, "ISO 3166-1 alpha-2 country where it occurred, or empty (E.i.9)"] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A file that came with the case; its bytes are in the object store under their digest."""

    digest: A[str, "sha256 of the bytes, hexadecimal"]
    media_type: A[str, "media type, application/octet-stream when not known"] = "application/octet-stream"
    size_bytes: A[int, "size in bytes"] = 0
    title: A[str, "title or file name as given"] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One version of one case or document. Message, version and case are three things: `message_id`, the dates, `case_id`."""

    message_id: A[
        str,
        "32 hexadecimal digits naming this message: hash of tenant, sender, receiver, report id, creation date and digest",
    ]
    case_id: A[
        str,
        "tenant, a slash, and the worldwide unique id (C.1.8.1), else the sender's report id (C.1.1): the record key",
    ]
    tenant: A[str, "whose case it is: one word of lower-case letters, digits and dashes"] = "default"
    kind: A[str, "icsr or document"] = "icsr"
    document_kind: A[
        str,
        "for a document: protocol_amendment, literature, label, regulatory_question, vendor_mail, quality_complaint or other; for a case: icsr",
    ] = "icsr"
    source_format: A[str, "e2b_r3, vaers, jsonl or the name of another producer"] = ""
    source: A[str, "where it was read: file name, a number sign, and the place in the file"] = ""
    sender: A[str, "message sender (N.2.r.2)"] = ""
    receiver: A[str, "message receiver (N.2.r.3)"] = ""
    report_id: A[str, "sender's safety report unique id (C.1.1)"] = ""
    worldwide_id: A[str, "worldwide unique case identification (C.1.8.1)"] = ""
    linked_ids: A[tuple[str, ...], "other case identifiers and linked reports (C.1.9.1.r, C.1.10.r)"] = ()
    report_type: A[str, "spontaneous, study, other or not_stated (C.1.3)"] = "not_stated"
    created_on: A[
        str, "creation of this message (C.1.2; document: creation date): second half of the version"
    ] = ""
    first_received_on: A[str, "first received from the source (C.1.4): day 0 of an initial report"] = ""
    most_recent_on: A[
        str, "most recent information (C.1.5; document: effective date): first half of the version"
    ] = ""
    amendment: A[str, "none, amendment or nullification (C.1.11.1)"] = "none"
    expedited: A[str, "whether it meets the local criteria for expedition: true, false or empty (C.1.7)"] = ""
    expedited_kind: A[str, "FDA.C.1.7.1 as given: 1 15-day, 2 none, 4 5-day, 5 30-day, 6 7-day, or empty"] = (
        ""
    )
    title: A[str, "title of a document"] = ""
    study_id: A[str, "study registration or sponsor study number, or empty (C.5)"] = ""
    study_type: A[str, "clinical_trial, individual_use, other or empty (C.5.4)"] = ""
    country: A[
        str, "ISO 3166-1 alpha-2 country where the event occurred, else of the primary source, or empty"
    ] = ""
    urgent: A[bool, "hint of the upstream system that this cannot wait"] = False
    media_type: A[str, "media type of the source bytes"] = ""
    size_bytes: A[int, "size of the source bytes"] = 0
    digest: A[str, "sha256 of the source bytes of this one message, hexadecimal"] = ""
    source_ref: A[
        str,
        "where a door of vigimesh keeps the source bytes: digest of an object, a number sign, first byte, a dash, byte "
        "after the last; empty when another producer keeps them",
    ] = ""
    reporters: A[tuple[Reporter, ...], "primary source first"] = ()
    patient: A[Patient, "the patient's qualifiers"] = Patient()
    products: A[tuple[Product, ...], "all products, suspects first"] = ()
    reactions: A[tuple[Reaction, ...], "all reactions in the order of the source"] = ()
    criteria: A[
        tuple[str, ...],
        "seriousness criteria set anywhere in the case: death, life_threatening, hospitalisation, disability, congenital_anomaly, other_medically_important, required_intervention",
    ] = ()
    criteria_form: A[
        str,
        "how an absent criterion reads: open (true or no information, E2B), form (a tick-box form: blank means not ticked) or none (source has no criteria)",
    ] = "none"
    situations: A[
        tuple[str, ...],
        "special situations stated by the source: pregnancy, breastfeeding, and the words of Product.situations",
    ] = ()
    narrative: A[str, "case narrative or document text (H.1); empty when narrative_ref is set"] = ""
    narrative_ref: A[
        str, "sha256 of the narrative in UTF-8, hexadecimal, in the object store: set when it is over 64 KiB"
    ] = ""
    attachments: A[tuple[Attachment, ...], "attachments by digest (C.1.6.1.r)"] = ()
