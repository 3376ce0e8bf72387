"""The closed sets of words that a case may hold (`events/case`), and the codes of the formats that become them."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from vigimesh.events.case import CRITERIA

#: ICH E2B(R3) code -> word of the contract; 0-6 and so on as the element list gives them.
QUALIFICATION = {
    "1": "physician", "2": "pharmacist", "3": "other_health_professional", "4": "lawyer", "5": "consumer",
}  # fmt: skip
REPORT_TYPE = {"1": "spontaneous", "2": "study", "3": "other"}
AMENDMENT = {"1": "nullification", "2": "amendment"}
STUDY_TYPE = {"1": "clinical_trial", "2": "individual_use", "3": "other"}
AGE_GROUP = {
    "0": "foetus", "1": "neonate", "2": "infant", "3": "child", "4": "adolescent", "5": "adult", "6": "elderly",
}  # fmt: skip
SEX = {"1": "male", "2": "female"}
OUTCOME = {
    "0": "unknown", "1": "recovered", "2": "recovering", "3": "not_recovered", "4": "recovered_with_sequelae", "5": "fatal",
}  # fmt: skip
ROLE = {"1": "suspect", "2": "concomitant", "3": "interacting", "4": "not_administered"}
#: G.k.10.r.
SITUATION = {
    "1": "counterfeit", "2": "overdose", "3": "taken_by_father", "4": "taken_beyond_expiry", "5": "batch_in_spec",
    "6": "batch_out_of_spec", "7": "medication_error", "8": "misuse", "9": "abuse", "10": "occupational_exposure",
    "11": "off_label_use",
}  # fmt: skip

#: Field of a case (`Patient.sex`) -> words it may hold; "" where it may be empty.
WORDS: dict[str, tuple[str, ...]] = {
    "Case.kind": ("icsr", "document"),
    "Case.document_kind": (
        "icsr", "protocol_amendment", "literature", "label", "regulatory_question", "vendor_mail", "quality_complaint",
        "other",
    ),
    "Case.report_type": (*REPORT_TYPE.values(), "not_stated"),
    "Case.amendment": ("none", *AMENDMENT.values()),
    "Case.expedited": ("", "true", "false"),
    "Case.study_type": ("", *STUDY_TYPE.values()),
    "Case.criteria": CRITERIA,
    "Case.criteria_form": ("open", "form", "none"),
    "Case.situations": ("pregnancy", "breastfeeding", *SITUATION.values(), "other"),
    "Reporter.qualification": (*QUALIFICATION.values(), "not_stated"),
    "Patient.identified_by": ("initials", "record_number", "birth_date", "age", "age_group", "sex"),
    "Patient.age_group": ("", *AGE_GROUP.values()),
    "Patient.sex": ("", *SEX.values()),
    "Patient.pregnant": ("yes", "no", "not_stated"),
    "Product.role": tuple(ROLE.values()),
    "Product.kind": ("drug", "vaccine", "device", "combination", "not_stated"),
    "Product.situations": (*SITUATION.values(), "other"),
    "Reaction.highlighted": ("", "1", "2", "3", "4"),
    "Reaction.criteria": CRITERIA,
    "Reaction.outcome": ("", *OUTCOME.values()),
}  # fmt: skip


def in_order(criteria: Iterable[str]) -> tuple[str, ...]:
    """Return seriousness criteria once each, in the order of the contract."""
    found = set(criteria)
    return tuple(word for word in CRITERIA if word in found)


def nearest(word: str, known: Iterable[str]) -> str:
    """Return `; the nearest known one is 'x'`, or nothing when none is near."""
    near = difflib.get_close_matches(word, [k for k in known if k], n=1, cutoff=0.6)
    return f"; the nearest known one is {near[0]!r}" if near else ""
