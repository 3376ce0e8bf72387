"""Special situations and the kinds of case that a machine does not accept alone.

EMA GVP module VI, VI.B.6 (pregnancy, breast-feeding, overdose, abuse, misuse, medication error, occupational exposure,
off-label use, lack of therapeutic efficacy, falsified products), ICH E2B(R3) G.k.10.r, G.k.2.5 and D.2.3.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from vigimesh.domain.safety.context import Polarity, polarity
from vigimesh.domain.safety.text_seriousness import QUOTE_CHARACTERS, lowered
from vigimesh.events.case import Case

#: Below this many years a patient is a child (ICH E11).
ADULT_YEARS = 18.0
CHILD_GROUPS = frozenset({"foetus", "neonate", "infant", "child", "adolescent"})
#: What G.k.10.r says that is no special situation: the batch was tested and was in order.
_ORDINARY = frozenset({"batch_in_spec"})
#: Words judged in one text; the next one is unclear, so that a person reads on.
MAX_JUDGED = 2_000
_MARGIN = 30

_WORDS: tuple[tuple[str, str], ...] = (
    ("pregnancy", r"pregnan(?:t|cy)|gravid|gestation(?:al)?|in utero|trimester|weeks gestation"),
    ("breastfeeding", r"breast-?\s?feeding|breast-?\s?fed|lactat(?:ing|ion)|nursing (?:mother|infant)"),
    ("overdose", r"over-?dos(?:e|ed|age)|double dose|twice the (?:dose|amount)|extra dose|too (?:much|many) (?:of )?(?:vaccine|drug|medication|tablets|dose)"),
    ("medication_error", r"medication error|(?:wrong|incorrect|inappropriate) (?:dose|drug|vaccine|vax|medication|route|patient|product|strength|diluent)|(?:given|administered) (?:in|by) (?:error|mistake)|inadvertent(?:ly)? (?:given|administered|recv|received)|dispensing error|mixed up|by mistake"),
    ("taken_beyond_expiry", r"(?:expired|outdated|out-?dated) (?:vaccine|vax|dose|product|drug|lot|vial|medication|mmr|dtp|opv)|past (?:its |the )?expir(?:y|ation)|(?:vaccine|vax|lot|vial) (?:had |was |has )?expired"),
    ("misuse", r"misus(?:e|ed|ing)"),
    ("abuse", r"(?:drug|substance|medication|opioid|alcohol) abuse|abus(?:ed|ing) (?:the )?(?:drug|medication|product|tablets)"),
    ("occupational_exposure", r"needle-?\s?stick|occupational exposure|splash(?:ed)? (?:in|into|on)|stuck (?:him|her|my)self"),
    ("off_label_use", r"off-?\s?label|unapproved (?:use|indication|age)"),
    ("lack_of_efficacy", r"lack of (?:effect|efficacy|therapeutic)|(?:drug|vaccine|vaccination|treatment) (?:failure|ineffective)|(?:was|were|is) (?:ineffective|not effective)|did not work|no (?:therapeutic )?effect"),
    ("counterfeit", r"counterfeit|falsified (?:product|medicine)|fake (?:drug|product|medicine|tablets)"),
    ("quality_complaint", r"(?:product )?quality complaint|particles? in|discolou?red (?:vaccine|solution|tablet|vial|liquid)|cracked (?:vial|syringe)|cold chain|broken (?:tablet|vial|seal)|contaminated (?:vaccine|vial|lot|product)"),
)  # fmt: skip
_ANY = re.compile(
    r"(?<![a-z])(?:" + "|".join(f"(?P<{name}>{words})" for name, words in _WORDS) + r")(?![a-z])"
)
#: Where the words themselves hold the negation.
_NEGATIVE_BY_NATURE = frozenset({"lack_of_efficacy"})
_TEST_NEGATIVE = re.compile(r"^ ?(?:tests?|status)?[ :,=-]{0,3}(?:was |is )?(?:negative|neg|no)\b")


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """A special situation: its name, how it is meant, and where it stands (`field=value` or `start-end:text`)."""

    name: str
    polarity: Polarity
    place: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Situations:
    """What was found: `names` hold (fields and clear text), `unclear` are told of but not clearly, `flags` by kind."""

    names: tuple[str, ...]
    unclear: tuple[str, ...]
    flags: tuple[str, ...]
    found: tuple[Situation, ...]


def special_situations(case: Case, text: str) -> Situations:
    """Return the special situations of `case`, from its fields and from `text` by rule."""
    found = [*_from_fields(case), *_from_text(text)]
    names = tuple(dict.fromkeys(s.name for s in found if s.polarity == "stated"))
    unclear = tuple(dict.fromkeys(s.name for s in found if s.polarity == "ambiguous" and s.name not in names))
    return Situations(names=names, unclear=unclear, flags=_flags(case, names, unclear), found=tuple(found))


def _from_fields(case: Case) -> list[Situation]:
    told = [(name, f"situations={name}") for name in case.situations]
    for place, product in enumerate(case.products):
        told += [(name, f"products[{place}].situations={name}") for name in product.situations]
    if case.patient.pregnant == "yes":
        told.append(("pregnancy", "patient.pregnant=yes"))
    if case.patient.age_group == "foetus":
        told.append(("pregnancy", "patient.age_group=foetus"))
    return [Situation(name=name, polarity="stated", place=at) for name, at in told if name not in _ORDINARY]


def _from_text(text: str) -> list[Situation]:
    low = lowered(text)
    found: dict[tuple[str, Polarity], Situation] = {}
    for place, match in enumerate(_ANY.finditer(low)):
        name = match.lastgroup or ""
        if (name, "stated") in found:
            continue
        over = place >= MAX_JUDGED
        meant = "ambiguous" if over else _meant(low, match, name)
        quote = text[max(0, match.start() - _MARGIN) : match.end() + _MARGIN][:QUOTE_CHARACTERS]
        where = f"{match.start()}-{match.end()}:{quote}"
        found.setdefault((name, meant), Situation(name=name, polarity=meant, place=where))
        if over:
            break
    return list(found.values())


def _meant(low: str, match: re.Match[str], name: str) -> Polarity:
    if name in _NEGATIVE_BY_NATURE:
        return "stated"
    if name == "pregnancy" and _TEST_NEGATIVE.match(low[match.end() : match.end() + _MARGIN]):
        return "negated"
    return polarity(low, match.start(), match.end(), verb=False)


def _flags(case: Case, names: tuple[str, ...], unclear: tuple[str, ...]) -> tuple[str, ...]:
    patient = case.patient
    kinds = {
        "paediatric": patient.age_group in CHILD_GROUPS
        or (patient.age_years is not None and patient.age_years < ADULT_YEARS),
        "pregnancy": "pregnancy" in names,
        "breastfeeding": "breastfeeding" in names,
        "blinded": any(product.blinded for product in case.products),
        "study": case.kind == "icsr"
        and bool(case.study_id or case.study_type or case.report_type == "study"),
        "ambiguous_situation": bool(unclear),
    }
    return tuple(name for name, holds in kinds.items() if holds)
