"""Words by which a question is read for the guards of a semantic match: closed tables, ours.

What stands in no table is *unknown*: a drug that nobody told us of looks like that. Unknown words never count as the same
as others and are never left out. A word belongs in `EMPTY`, `ASKING` or `LINKS` only if no two questions that need
different answers can differ by it alone, under the rule of `facets` that drops it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from vigimesh.domain.safety.medical_words import SAME

#: Say nothing wherever they stand.
EMPTY = frozenset("a an the is are was were be been do does did has have had what which there please".split())
#: Ask whether a product has something to do with a reaction. Dropped only from a question about one product.
ASKING = frozenset(
    "can could may might any report reported reports list listed lists label labelled labeled labelling labeling "
    "mention mentioned associated use used using take taken taking give given giving receive received receiving".split()
)
#: Of these, the words that say nothing in any question: whether something may be, and that a product is given.
MODAL = frozenset("can could may might any given taken used".split())
#: As `ASKING`, but not behind a reaction: "hepatitis patients" tells who takes it.
PEOPLE = frozenset("patient patients people person persons subject subjects".split())
#: As `ASKING`, of several words, the longest first.
ASKING_PHRASES = tuple(
    (*said.split(), *phrase.split())
    for phrase in (
        "adverse drug reactions|adverse drug reaction|adverse reactions|adverse reaction|adverse events|adverse event"
        "|adverse effects|adverse effect|side effects|side effect|undesirable effects|undesirable effect"
    ).split("|")
    for said in ("", "known", "listed", "reported")
)
#: Join a product with what is told of it.
LINKS = frozenset("of in on at for to with and".split())
#: Of these, those that say something by themselves unless a product, its dose or a population stands behind: "rash with A"
#: is an effect, "A in hepatitis" and "A for headache" are uses.
LEADING = LINKS - {"of", "and"}
#: A reaction behind the product, as its effect; and before it.
FORWARD = tuple(tuple(phrase.split()) for phrase in ("cause", "causes", "causing", "induce", "induces"))
BACKWARD = tuple(
    tuple(phrase.split())
    for phrase in (
        "caused by",
        "induced by",
        "due to",
        "following",
        "after",
        "from",
        "while on",
        "while taking",
        "attributed to",
    )
)
#: Take something back. `without` is apart: it denies what is given besides.
NEGATIONS = frozenset(
    "no not never non nor neither none cannot deny denies denied denying absent absence lack lacks lacking except "
    "excluding excluded unless".split()
)
WITHOUT = frozenset(("without",))

#: Ways of giving a product; each line is one route (E2B(R3) G.k.4.r.10 codes them).
_ROUTES = """
oral: oral, orally, by mouth, po, peroral, per os
intravenous: intravenous, intravenously, iv, into a vein, into the vein
intramuscular: intramuscular, intramuscularly, im, into a muscle, into the muscle
subcutaneous: subcutaneous, subcutaneously, sc, subcut, subq, sq, under the skin
intradermal: intradermal, intradermally, into the skin
topical: topical, topically, on the skin
transdermal: transdermal, transdermally, through the skin
inhaled: inhaled, inhalation, by inhalation, inhalational
nasal: nasal, nasally, intranasal, intranasally, into the nose
rectal: rectal, rectally, per rectum
vaginal: vaginal, vaginally
sublingual: sublingual, sublingually, under the tongue
buccal: buccal, buccally
ophthalmic: ophthalmic, intraocular, into the eye
otic: otic, into the ear
intrathecal: intrathecal, intrathecally
epidural: epidural, epidurally
intravitreal: intravitreal, intravitreally
intraarticular: intraarticular, into the joint
"""
#: Whom it is about; each line is one group (E2B(R3) D.2.3 for ages, D.5 and B.3 for the rest).
_POPULATIONS = """
pregnant: pregnant, pregnancy, pregnancies, pregnant women, pregnant woman, pregnant patients, during pregnancy, gravid
breastfeeding: breastfeeding, breast feeding, breastfeed, breastfed, lactation, lactating, nursing mothers, nursing mother, breastfeeding women, breastfeeding mothers, breast feeding women, breast feeding mothers, lactating women, nursing women, during lactation
foetus: fetus, foetus, fetuses, foetuses, fetal, foetal, unborn, unborn child
neonate: neonate, neonates, neonatal, newborn, newborns
infant: infant, infants, baby, babies
child: child, children, paediatric, pediatric, paediatric patients, pediatric patients, kid, kids
adolescent: adolescent, adolescents, teenager, teenagers, teenage
adult: adult, adults
elderly: elderly, geriatric, older adults, older people, older patients, the elderly, elderly patients, geriatric patients
female: female, females, woman, women
male: male, males, man, men
"""
#: What a question about one product may ask for besides a reaction; each line is one.
_ASPECTS = """
dose: dose, doses, dosage, dosages, dosing, posology
contraindication: contraindicated, contraindication, contraindications
indication: indicated, indication, indications
overdose: overdose, overdoses, overdosage
interaction: interaction, interactions
storage: storage, stored
safety: safe, safety
mechanism: mechanism
frequency: frequency, incidence
"""
#: Reactions that `medical_words` has no other name for.
_REACTIONS = frozenset(
    "rash rashes nausea vomiting headache headaches dizziness fatigue fever cough seizure seizures pain pains diarrhoea "
    "diarrhea constipation pruritus itching urticaria hives insomnia flushing palpitations syncope anaphylaxis jaundice "
    "hepatitis pneumonia sepsis asthenia somnolence tremor chills crying irritability swelling oedema edema redness "
    "vertigo anxiety depression confusion bleeding bruising anaemia anemia neutropenia thrombocytopenia stroke death "
    "angioedema bronchospasm dyspnoea dyspnea wheezing convulsion convulsions paralysis arthralgia myalgia sweating "
    "alopecia stomatitis pancreatitis nephritis colitis myocarditis pericarditis vasculitis neuropathy".split()
)
#: Words of `medical_words` that by themselves tell how much, how things hang together, or name a substance: their place counts,
#: and none is taken for another ("high", "increased"), save in a phrase that has one meaning ("high blood pressure").
BOUND = frozenset(
    "effect effects drug drugs lack loss lost low lower lowered high higher fast slow rapid increase increased increases decrease "
    "decreased decreases diminished reduced reduction raised rise elevated elevation gain gained poor impair impaired "
    "impairment change changed alteration altered abnormal abnormality abnormally irregular irregularity shorten shortened "
    "accelerated lengthened prolong prolonged prolongation delay delayed complete completed attempt attempted reaction "
    "reactive event problem disease disorder disturbance general state common frequent frequency related up discontinuation "
    "withdrawal suppression tolerance intolerance test ratio rate count factor level suicidal suicidality phosphate phosphorus glucose "
    "sugar hormone third double excessive transient progressive reversible".split()
)


def _table(text: str) -> Mapping[tuple[str, ...], str]:
    found: dict[tuple[str, ...], str] = {}
    for line in text.strip().splitlines():
        one, _, names = line.partition(":")
        for name in names.split(","):
            found[tuple(name.split())] = one
    return MappingProxyType(found)


ROUTES = _table(_ROUTES)
POPULATIONS = _table(_POPULATIONS)
ASPECTS = _table(_ASPECTS)
#: Words of a reaction. Only of these are endings folded and other names looked up: of an unknown word, an ending may be all
#: that parts two drugs.
MEDICAL = (
    (frozenset(re.findall(r"[a-z]+", SAME)) | _REACTIONS)
    - EMPTY
    - ASKING
    - LINKS
    - NEGATIONS
    - WITHOUT
    - PEOPLE
)
#: The most words of a name in these tables.
PHRASE_WORDS = max(len(phrase) for phrase in (*ROUTES, *POPULATIONS, *ASPECTS, *ASKING_PHRASES, *BACKWARD))
