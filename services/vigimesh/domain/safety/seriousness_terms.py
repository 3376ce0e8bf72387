"""The words that tell of a seriousness criterion, as data: one row per way of saying it.

The criteria are those of ICH E2B(R3) E.i.3.2 a-f. *Other medically important* is a small list of word stems of our
own, in the spirit of an Important Medical Event list; it is neither complete nor MedDRA, which is licensed and not
shipped: a user's own IME or DME list is loaded later and is looked up by code. Abbreviations are those of US reports.

In a pattern a blank stands for one to three white-space characters. Nothing repeats without a bound, so that reading
is linear in the text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

#: What a blank in a pattern stands for: also a line break, but no gap without end.
BLANK = r"\s{1,3}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One way of telling of a criterion.

    `verb`: a whole statement ("died"), not a noun of a list. `inert`: true whatever stands around it ("autopsy").
    `unsure`: the words alone do not settle it; it is ambiguous unless the context takes it back.
    `product`: may be the name of a vaccine; it tells nothing when a word for vaccine follows.
    """

    criterion: str
    pattern: re.Pattern[str]
    verb: bool = False
    inert: bool = False
    unsure: bool = False
    product: bool = False


def _rows(criterion: str, text: str, **kind: bool) -> tuple[Term, ...]:
    lines = [line.strip() for line in text.strip().splitlines()]
    return tuple(Term(criterion=criterion, pattern=_compiled(line), **kind) for line in lines)


def _compiled(line: str) -> re.Pattern[str]:
    loose = line.replace("[ -]", r"[\s-]{1,3}").replace(" ?", r"\s{0,3}").replace(" ", BLANK)
    return re.compile(loose + r"(?![a-z])")


#: What follows "expired" when it is a product and not a person that did.
_OLD_STOCK = (
    r"(?! (?:vaccines?|vax|vacc|vials?|lots?|product|dose|doses|medications?|drugs?|dates?|stock|batch|serum|mmr|dtp|dtap"
    r"|opv|ipv|hib|hep|flu|td|tetanus|air|volume|wheez|material|tablets?|capsules?|pens?|syringes?|pack))"
)
_ER = r"(?! (?:er|e\.r|ed|emergency|a&e|clinic|outpatient|lab|nurse|pharmacy|employee|worker|personnel|staff|visitor|setting|policy|chart|records?))"

TERMS: tuple[Term, ...] = (
    # Of words that overlap the first row wins: a failed resuscitation is a death, "near death" is none.
    *_rows("death", r"""
        (?:unable to|could not|couldn't) (?:be )?(?:resus[a-z]{0,10}|revive[d]?)
        resus[a-z]{0,10} (?:efforts? |attempts? |attempted )?(?:was |were )?(?:unsuccessful|failed|without success|w/o success)
        (?:unsuccessful|failed) (?:resus[a-z]{0,10}|cpr)
        (?:cpr|attempts to revive|efforts to resus[a-z]{0,10})(?: attempts?)?(?: pt)? (?:was |were )?(?:unsuccessful|failed|without success|w/o success)""", verb=True),
    *_rows("life_threatening", r"""
        near[ -]death
        anaphylactic (?:shock|collapse)
        anaphylactoid shock
        cardiac arrests?
        cardio(?:[ -])?(?:pulm(?:onary)?|resp(?:iratory)?) arrests?
        cardiac and respiratory arrests?
        resp(?:iratory)? (?:arrests?|failure)
        heart stopped
        no (?:heart ?beat|pulse)
        w/o (?:heart ?beat|pulse)
        asystol(?:e|ic)
        pulseless
        lifeless
        respirator
        (?:required|requiring|needed|on) ventilation
        status epilepticus
        cardiogenic shock
        (?:septic|hypotensive|toxic) shock
        acute respiratory distress syndrome
        ards
        hypovol(?:a)?emic shock
        circulatory collapse
        life support
        (?:mechanical )?ventilator
        mechanical(?:ly)? ventilat(?:ion|ed)
        (?:p|n)?icu(?! (?:nurse|staff|employee|worker|physician|rn))
        intensive care(?: unit)?(?! (?:nurse|staff|employee|worker|physician))
        full (?:cardiac |resp(?:iratory)? )?arrest
        c-?r arrest
        (?:went|gone|going) into (?:full )?arrest
        code blue
        ventricular (?:fibrillation|tachycardia)
        v-?fib
        torsades? de pointes
        coma
        comatose
        resuscitation
        cpr"""),
    *_rows("life_threatening", r"""
        (?:considered|deemed|judged|rated) (?:to be |as )?(?:life[ -]threat|lifethreat)[a-z]{1,9}
        life[ -]threat[a-z]{1,9}
        lifethreat[a-z]{1,9}
        threatened (?:his|her|the patient's) life
        critical condition
        critically ill
        intubated
        resuscitated
        almost died
        nearly died
        close to (?:death|dying)"""
    , verb=True),
    *_rows("life_threatening", r"""
        stopped breathing
        not breathing
        quit breathing
        intubation
        turned blue and limp
        arrested (?:at|@|on|in|en)""", verb=True, unsure=True),
    *_rows("death", r"""
        (?:died|die|dies|dying)(?! (?:down|off|away|out))
        passed away
        deceased
        succumbed
        found dead
        pronounced (?:dead|(?:at|@) [0-9]{1,2}[a-z]{0,6})
        dead (?:on arrival|in (?:bed|crib|cot|his|her|the)|at (?:home|scene)|@|on (?:the |a )?floor)
        (?:pt|patient|baby|infant|child|toddler) (?:apparently |already )?dead
        (?:pt|patient|baby|infant|child|he|she) (?:later |then )?expires?
        (?:is|was|were) dead
        brain[ -]dead
        (?:did not|didn't) (?:eventually )?survive
        expired""" + _OLD_STOCK, verb=True),
    *_rows("death", r"""
        deaths?
        fatal(?:ity|ities|ly)?
        non-?fatal
        sids
        still-?birth
        still-?born
        f(?:o)?etal (?:death|demise|loss)
        intra-?uterine (?:death|demise|f(?:o)?etal death|f(?:o)?etal demise)
        iufd
        demise""", ),
    *_rows("death", r"""
        (?:found|find) (?:the |her |his |their )?(?:pt|patient|baby|infant|child|son|daughter|him|her|boy|girl) (?:[a-z]{1,8} )?dead
        autops(?:y|ied)
        post-?mortem
        coroner'?s?
        medical examiner
        doa""", inert=True),
    *_rows("hospitalisation", r"""
        (?:re-?)?hosp[a-z]{1,8}[sz]ed
        hosp(?:'d|d|ed)
        (?:re-?)?admitt?ed(?! (?:that|having|taking|to (?:the |an? )?(?:(?:hosp|hospital) )?(?:er|e\.r|ed|emergency|feeling|having|taking|using|being|drinking|study|school)(?![a-z])))(?: to(?: the| a| our)? hosp(?:ital)?)?
        hosp\.?(?:x ?[0-9]{1,2}[a-z]{0,6}|on [0-9])
        hosp\.? (?:x ?[0-9]{1,2}[a-z]{0,6}|for|with|w/|[0-9]{1,2}[a-z]{0,6}|due|over ?night|stay|adm|from|on [0-9]|since)
        (?:is|was|been|still|remains|remained|stayed|kept|currently|placed|put|days|spent) in(?: the)? hosp(?:ital)?"""
        + _ER + r"""
        adm (?:over ?n(?:ight|oc|ite)|o/n|x ?[0-9]{1,2}[a-z]{0,6}|d/t|dx|as (?:an? )?in-?p(?:atien)?t)
        adm for (?:(?:over ?n(?:ight|oc) )?obs(?:erv[a-z]{0,6})?|further|eval[a-z]{0,6}|hydration|dehydration|treatment|tx|iv|r/o|[0-9]{1,2}[a-z]{0,6})
        stay(?:ed)? (?:over ?n(?:ight|oc) )?in(?: the)? hosp(?:ital)?"""
        + _ER + r"""
        in(?: the)? hosp(?:ital)? (?:for [0-9]{1,2}|for [a-z]{1,8}|x ?[0-9]{1,2}[a-z]{0,6}|[0-9]{1,2}[a-z]{0,6}|over ?night|several days|two|three)
        (?:discharged|d/c|d/c'd|dc'd) from(?: the)? hosp(?:ital)?"""
        + _ER + r"""
        adm(?:it)?\.? (?:to|into)(?! (?:the |an? )?(?:er|ed|emergency)(?![a-z]))
        (?:pt|patient|child|infant|baby|was|were|been|is) hosp(?!ital)\.?"""
        + _ER, verb=True),
    *_rows("hospitalisation", r"""
        (?:re-?)?hosp[a-z]{1,8}[sz]ations?
        hospital (?:admission|stay|confinement)s?
        hosp\.? (?:admission|stay)
        in-?patient
        (?:prolonged|extended) (?:hosp(?:ital)? )?stay
        stay (?:in (?:the )?hospital )?(?:was |had to be )?(?:prolonged|extended)
        (?:required|requiring|prolonged|further) (?:prolonged )?hosp
        in-?pt
        (?:re-?)?admission(?! to (?:study|school|the study|trial))"""),
    *_rows("hospitalisation", r"""
        (?:taken|rushed|transported|transferred|sent|brought|went|go|gone|airlifted|life[ -]flighted|flown|referred|transport|returned) (?:by ambulance )?(?:back )?to(?: the| a| local| our| another){0,2} hosp(?:ital)?"""
        + _ER + r"""
        (?:pt|patient|child|infant|baby) to(?: the)? hosp(?:ital)?"""
        + _ER + r"""
        to(?: another)? hosp(?:ital)?"""
        + _ER + r"""
        hosp\.?(?= ?[;,&])
        (?:pt|patient|child|infant|baby|was) adm
        adm (?:for|w/[a-z]{0,20}|[0-9]{1,2}[a-z]{0,6})
        kept (?:for observation|over ?n(?:ight|oc))
        observed over ?n(?:ight|oc)
        over ?n(?:ight|oc) (?:stay|observation)
        in(?: the)? hosp(?:ital)?"""
        + _ER, verb=True, unsure=True),
    *_rows("disability", r"""
        permanent(?:ly)? (?:[a-z]{1,14} )?(?:damage|damaged|disab[a-z]{1,8}|impair[a-z]{0,6}|injur[a-z]{1,4}|paraly[a-z]{1,5}|deaf[a-z]{0,4}|blind[a-z]{0,4}|loss|scarring)
        paraly(?:sis|[sz]ed|tic)(?! ileus)
        hemipleg(?:ia|ic)
        parapleg(?:ia|ic)
        (?:quadri|tetra)pleg(?:ia|ic)
        disabled
        disabilit(?:y|ies)
        disabling
        incapacitat(?:ed|ing)
        brain (?:damage[d]?|injury)
        blindness
        (?:went|became|is|was|now) (?:legally )?(?:blind|deaf)
        deafness
        vegetative state
        wheel-?chair(?:[ -]bound)?
        handicap[a-z]{0,4}"""),
    *_rows("disability", r"""
        unable to (?:walk|work)
        can(?:not|'t| not) (?:walk|work)
        loss of (?:vision|sight|hearing)
        vision loss
        hearing loss
        sequelae
        (?:mental |mentally |psychomotor )?retard(?:ation|ed)?
        develop(?:ment|mental)(?:al)? (?:delay|regression)""", unsure=True),
    *_rows("congenital_anomaly", r"""
        congenital(?:ly)?(?: (?:anomal(?:y|ies)|malformations?|defects?|abnormalit(?:y|ies)))?
        birth defects?
        malformations?
        malformed
        anencephal(?:y|ic)
        spina bifida
        cleft (?:palate|lip)
        microcephal(?:y|ic)
        teratogen[a-z]{0,8}"""),
    *_rows("other_medically_important", r"""
        anaphyl[a-z]{0,9}(?! (?:kit|tray|cart|precautions?)(?![a-z]))
        angio-?(?:o)?edema
        febrile (?:seizures?|convulsions?|fits?)
        seizures?
        convuls[a-z]{0,6}
        sz'?s?
        epilep(?:sy|tic)
        infantile spasms?
        grand mal
        tonic[ -]clonic
        encephalopath(?:y|ies|ic)
        encephalomyelitis
        guillain[ -]?barr?e?(?: syndrome)?
        guillain
        gbs
        (?:transverse )?myelitis
        optic neuritis
        stevens[ -]johnson(?: syndrome)?
        sjs
        toxic epidermal necrolysis
        drug reaction with eosinophilia
        thrombo-?cytop(?:a)?eni[ac]
        itp
        agranulocytosis
        neutrop(?:a)?enia
        pancytop(?:a)?enia
        aplastic an(?:a)?emia
        h(?:a)?emolytic (?:an(?:a)?emia|ur(?:a)?emic syndrome)
        sepsis
        septic(?:a)?emia
        bacter(?:a)?emia
        suicid[a-z]{1,6}
        self-?harm
        myocarditis
        pericarditis
        myocardial infarction
        heart (?:attack|failure|block)
        cardiac failure
        stroke
        cerebrovascular accident
        cva
        pulmonary embol[a-z]{1,4}
        (?:deep vein |venous |arterial )thrombosis
        thrombosis
        (?:intra-?cranial|intra-?cerebral|cerebral|pulmonary|alveolar|retroperitoneal|subdural|subarachnoid|gastrointestinal|gi|retinal) (?:h(?:a)?emorrhage|bleed[a-z]{0,4})
        (?:liver|hepatic|renal|kidney|multi-?organ) failure
        hepatic necrosis
        pancreatitis
        disseminated intravascular coagulation
        rhabdomyolysis
        intussusception
        kawasaki'?s?
        vasculitis
        leuk(?:a)?emia
        lymphoma
        malignan(?:t|cy|cies)
        carcinoma
        multiple sclerosis
        bronchospasm
        laryngospasm
        laryngeal (?:o)?edema
        airway obstruction
        apn(?:o)?ea
        apn(?:o)?eic
        hypotonic[ -]hypo-?responsive
        hhe
        miscarriages?
        miscarried
        spontaneous abortion
        paralytic polio[a-z]{0,8}
        vapp
        osteomyelitis
        necroti[sz]ing fasciitis
        bell'?s palsy
        facial pals(?:y|ies)"""),
    *_rows("other_medically_important", r"""
        (?:japanese |measles |viral )?encephalitis
        mening(?:o-?encephal)?itis
        pneumonia""", product=True),
    *_rows("other_medically_important", r"""
        unconscious(?:ness)?
        loss of consciousness
        lost consciousness
        loc
        unresponsive(?:ness)?
        respiratory distress
        h(?:a)?emorrhag(?:e|es|ic)
        required (?:surgery|transfusion|epinephrine)
        shock(?! wave)
        cyano(?:sis|tic)""", unsure=True),
)  # fmt: skip

#: What follows the name of an infection when it names a vaccine.
VACCINE_FOLLOWS = re.compile(
    r"^\s{0,3}(?:virus |[abc] )?(?:vaccin\w{0,6}|vax\w{0,6}|vacc|shots?|immuni[sz]\w{0,6}|boosters?)\b"
)
#: What stands before "expired" when it is a product that did.
STOCK_BEFORE = re.compile(
    r"\b(?:vaccines?|vax|vacc|vials?|lots?|product|doses?|medications?|drug|batch|stock|serum|date|tablets?|capsules?|syringes?)"
    r"(?: (?:had|has|was|were|that|which|is|already|been|given|#?[0-9a-z-]{2,12})){0,4} $"
)


def _openings(pattern: str) -> tuple[str, ...]:
    """Write a pattern that begins with a group, which holds no other group, as several that begin with a letter."""
    if not pattern.startswith("("):
        return (pattern,)
    close = pattern.index(")")
    rest = pattern[close + 1 :]
    bare = _openings(rest[1:].removeprefix(BLANK)) if rest.startswith("?") else ()
    rest = rest.removeprefix("?")
    opened: list[str] = []
    for part in pattern[3:close].split("|"):
        opened += _openings(part + rest) if part else []
    return (*opened, *bare)


def _by_letter() -> Mapping[str, tuple[Term, ...]]:
    """Index the terms by the letters that a match can begin with, their order kept."""
    table: dict[str, dict[Term, None]] = {}
    for term in TERMS:
        for opening in _openings(term.pattern.pattern):
            table.setdefault(opening[0], {})[term] = None
    return MappingProxyType({letter: tuple(terms) for letter, terms in table.items()})


def _one_pass() -> re.Pattern[str]:
    """Build the pattern that finds every place where some term begins, sorted by letter so that it fails fast."""
    table: dict[str, list[str]] = {}
    for term in TERMS:
        for opening in _openings(term.pattern.pattern):
            table.setdefault(opening[0], []).append(opening[1:])
    letters = (letter + "(?:" + "|".join(rest) + ")" for letter, rest in sorted(table.items()))
    return re.compile(r"(?<![a-z])(?:" + "|".join(letters) + ")")


TERMS_BY_LETTER = _by_letter()
#: Which term it is that begins at a match is looked up in `TERMS_BY_LETTER`.
ANY_TERM = _one_pass()
