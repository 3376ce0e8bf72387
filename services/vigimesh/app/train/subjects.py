"""What the shipped models are about, how each is made, and what each is no evidence for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from vigimesh.app.train.examples import Example, Part
from vigimesh.app.train.fit import Recipe
from vigimesh.app.train.make import Subject
from vigimesh.domain.cascade.certify import Domain
from vigimesh.domain.cascade.shipped import ADVERSE_EVENT, GRAVE, SERIOUS
from vigimesh.domain.safety.grade import GRADE_OF

_SERIOUS_LIMITS = (
    "US vaccine reports only, about half of them of children; certified on them it is no evidence for drugs, devices or other languages.",
    (
        "The gold is a tick on a form and often not in the text, so that recall cannot reach 1. Most serious reports are hospitalisations alone; "
        "congenital anomaly and medically important are on no form of these years."
    ),
    (
        "It sees the narrative and the facts of domain/cascade/facts.py; none of DIED, DATEDIED, L_THREAT, ER_VISIT, HOSPITAL, HOSPDAYS, X_STAY, DISABLE, "
        "RECOVD. Structured flags come first: a score can add to what they say and never takes it away."
    ),
    "Identical narratives count once, and one seen in training is in no later part.",
    (
        "Outside product class, source, language and period of a certificate the gate starts closed, until labelled serious cases of that "
        "place bear the bound out (299 without a miss for 0.99 at 95 %)."
    ),
    "Each certificate has its own confidence; they do not hold together at that confidence.",
)
_GRAVE_LIMITS = (
    (
        "An estimate, shown to reviewers and used to order what waits for them (`vigimesh case list --order grave`): it raises no grade, lowers none, and accepts nothing. It is "
        "given for English reports of vaccines alone whose source has no form with a box for each criterion."
    ),
    (
        "US vaccine reports only, about half of them of children: no evidence for drugs, devices or other languages. The gold is a tick on a form (death, danger to life, "
        "disability), often not in the text; congenital anomaly is on no form of these years."
    ),
    "Its figures are of the part that certifies `serious`: the part that is held out there is kept for other figures, and nothing is certified here. Decision 0075 has what it does to the order of a queue.",
    "It sees what `serious` sees, so that the watch on drift of `serious` is its watch, too; its own scores are not watched, since no gate hangs on them.",
)
_ADVERSE_LIMITS = (
    (
        "Sentences, not cases: of a patient forum about four psychiatric drugs (PsyTAR) and of case reports in the literature (PHEE). PHEE has few "
        "sentences without an adverse event, so what it says of specificity there is weak."
    ),
    "An adverse event here is what those annotators called one (PsyTAR: ADR; PHEE: Adverse_event); withdrawal symptoms alone are none.",
    "The sources have no dates: nothing is certified, and the gate stays closed.",
)


def serious(parts: Mapping[Part, Sequence[Example]]) -> Subject:
    """Return the subject of seriousness, certified for the days of the part `certify`."""
    days = sorted(one.day[:10] for one in parts["certify"])
    domain = Domain(
        product_class="vaccine",
        source="vaers",
        language="en",
        first_day=days[0] if days else "",
        last_day=days[-1] if days else "",
    )
    return Subject(
        name=SERIOUS, question="is the case serious (death, life-threatening, hospitalisation, disability)?", sources=("VAERS",),
        language="en", product_class="vaccine", domain=domain, limits=_SERIOUS_LIMITS,
        recipe=Recipe(inverse_penalty=0.25, blocks=(1.0, 1.0, 1.0, 0.75), documents=3),
    )  # fmt: skip


def grave(
    parts: Mapping[Part, Sequence[Example]],
) -> tuple[Subject, dict[Part, Sequence[Example]]]:
    """Return the subject of grade 4 or 5 with its examples, of the parts of `serious`: what certifies that one says what this one is worth."""
    graded: dict[Part, Sequence[Example]] = {
        part: [replace(one, label=any(GRADE_OF.get(name, 0) >= _GRAVE for name in one.criteria)) for one in parts[of]]
        for part, of in _GRAVE_PARTS.items()
    }  # fmt: skip
    subject = replace(
        serious(parts), name=GRAVE, question="is the case graded 4 or 5 (death, danger to life, disability)?", domain=None, limits=_GRAVE_LIMITS
    )  # fmt: skip
    return subject, graded


#: The lowest grade that is grave, and the parts of `serious` that the parts of its examples are.
_GRAVE = 4
_GRAVE_PARTS: Mapping[Part, Part] = {"train": "train", "tune": "tune", "held_out": "certify"}


def adverse_event() -> Subject:
    """Return the subject of adverse events in single sentences."""
    return Subject(
        name=ADVERSE_EVENT, question="does the sentence tell of an adverse event?", sources=("PsyTAR", "PHEE"), language="en",
        product_class="drug", domain=None, limits=_ADVERSE_LIMITS,
        recipe=Recipe(inverse_penalty=3.0, blocks=(1.0, 1.0, 1.0, 1.0), documents=2),
    )  # fmt: skip
