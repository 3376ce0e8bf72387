"""Pairs of questions, drawn from a seed: minimal pairs that must never share an answer, and paraphrases that should.

All names are invented. A question is made from an intent's frame and its slots; each slot has several ways of saying one thing
("500 mg", "0.5 g"). A minimal pair changes what one slot means, in half of the pairs with another frame of the same
intent besides. The frames of `HELD` were written before the guards had seen any of them, and no rule was changed for them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random

from vigimesh.domain.knowledge.questions import Scope

#: Names of known products: brand and substance of one document are one product.
PRODUCTS: Mapping[str, tuple[str, ...]] = {
    "product/torvexil": ("Torvexil", "torvexilate"),
    "product/torvexin": ("Torvexin", "torvexinate"),
    "product/zelphorin": ("Zelphorin", "zelphorimine"),
    "product/zelphoral": ("Zelphoral",),
    "product/aerolune": ("Aerolune", "aerolunide"),
    "product/aerolune-duo": ("Aerolune Duo",),
    "product/marsh": ("Ocellivax", "marsh fever vaccine"),
}
NAMES = Scope.of((document, names, ()) for document, names in PRODUCTS.items())
VERSIONS = ("1", "1.0", "1.1", "1.10", "2", "2.0", "12")

REACTIONS = (
    ("rash", "rashes"), ("urticaria", "hives"), ("headache", "cephalalgia"), ("dizziness",), ("nausea",), ("oedema", "edema"),
    ("hypertension", "high blood pressure"), ("hypotension", "low blood pressure"), ("tachycardia", "rapid heart rate"),
    ("bradycardia", "slow heart rate"), ("hyperglycemia",), ("hypoglycemia",), ("seizure", "seizures"), ("muscle pain", "myalgia"),
    ("joint pain", "arthralgia"), ("vomiting",), ("hepatotoxicity",), ("nephrotoxicity",), ("neutropenia",), ("jaundice",),
)  # fmt: skip
#: Each line is one dose; all are different.
DOSES = (
    ("5 mg", "5mg", "five mg"), ("50 mg", "50mg", "0.05 g"), ("500 mg", "0.5 g", "500 milligrams"), ("5 g", "5 grams"),
    ("0.5 mg", "500 mcg", "500 micrograms"), ("400 mg", "400mg", "0.4 g"), ("800 mg", "800mg", "0.8 g"), ("5 mcg", "5 micrograms"),
    ("1 g", "1,000 mg", "1000 mg"), ("10 mg", "10mg"), ("100 mg", "0.1 g"), ("15 mg", "fifteen mg"), ("50 mg/kg",), ("5 mg/kg",),
    ("5 mL", "5 ml", "5 millilitres"), ("5-10 mg", "5 to 10 mg"), ("5-15 mg", "5 to 15 mg"), ("2 tablets", "two tablets"),
    ("1 tablet", "one tablet"), ("2 capsules", "two capsules"), ("5 IU", "5 international units"), ("5 units", "five units"), ("5 %", "5%"),
)  # fmt: skip
#: One figure, other units.
UNITS = (
    "mg",
    "g",
    "mcg",
    "ng",
    "mL",
    "IU",
    "units",
    "mg/kg",
    "mg/mL",
    "tablets",
    "capsules",
    "puffs",
    "mmol",
    "%",
    "drops",
    "mEq",
)
SCHEDULES = (
    ("once daily", "daily", "once a day"), ("twice daily", "BID", "b.i.d.", "2 times a day"),
    ("three times a day", "TID", "three times daily"), ("four times a day", "QID"),
    ("every 6 hours", "q6h"), ("every 8 hours", "q8h"), ("every 12 hours", "q12h"), ("weekly", "once weekly"), ("every other day",), ("monthly",),
)  # fmt: skip
ROUTES = (
    ("orally", "by mouth", "PO"), ("intravenously", "IV", "i.v."), ("intramuscularly", "IM"), ("subcutaneously", "under the skin", "SC"),
    ("rectally", "per rectum"), ("topically", "on the skin"), ("intranasally", "into the nose"), ("sublingually", "under the tongue"),
    ("intradermally",), ("by inhalation",), ("intrathecally",), ("transdermally",),
)  # fmt: skip
POPULATIONS = (
    ("pregnant women", "pregnancy"), ("breast-feeding women", "lactation", "nursing mothers"), ("children", "paediatric patients"),
    ("adults",), ("elderly patients", "the elderly"), ("infants",), ("neonates", "newborns"), ("adolescents", "teenagers"), ("men", "males"),
    ("women", "females"), ("non-pregnant women",), ("a 7-year-old", "a 7 year old"), ("a 70-year-old", "a 70 year old"), ("a 17-year-old",),
    ("patients over 65",), ("patients under 65",), ("patients with renal impairment",), ("patients without renal impairment",),
    ("patients with hepatic impairment",), ("children older than 2 years",), ("children younger than 2 years",),
)  # fmt: skip
THINGS = (
    "food",
    "alcohol",
    "milk",
    "grapefruit juice",
    "a diuretic",
    "dose adjustment",
    "monitoring",
    "anaesthesia",
    "renal impairment",
)
DENIALS = (
    ("Is {reaction} listed for {drug}?", "Is {reaction} not listed for {drug}?"),
    ("Should {drug} be stopped when {reaction} occurs?", "Should {drug} not be stopped when {reaction} occurs?"),
    ("{drug} in patients with a history of {reaction}", "{drug} in patients with no history of {reaction}"),
    ("{drug} can be crushed", "{drug} cannot be crushed"), ("Can {drug} be crushed?", "Can't {drug} be crushed?"),
    ("{reaction} with {drug} when fever is present", "{reaction} with {drug} when fever is absent"),
    ("Does {drug} cause {reaction}?", "Does {drug} never cause {reaction}?"), ("Is {drug} safe?", "Is {drug} unsafe?"),
    ("Is {drug} safe?", "Isn't {drug} safe?"), ("serious {reaction} with {drug}", "non-serious {reaction} with {drug}"),
    ("{drug} is indicated for {reaction}", "{drug} is contraindicated for {reaction}"),
    ("{reaction} but no fever with {drug}", "fever but no {reaction} with {drug}"), ("{drug} {reaction}", "no {reaction} {drug}"),
    ("{drug} is effective against {reaction}", "{drug} is ineffective against {reaction}"),
    ("{drug} causes {reaction}", "{drug} does not cause {reaction}"), ("{reaction} on {drug}", "{reaction} off {drug}"),
    ("patients who denied {reaction} on {drug}", "patients who reported {reaction} on {drug}"),
    ("{reaction} unless {drug} is stopped", "{reaction} if {drug} is stopped"), ("Neither {drug} nor {reaction}", "Either {drug} or {reaction}"),
)  # fmt: skip
NUMBERED = (
    "{drug} for {n} days", "{reaction} after {n} doses of {drug}", "dose {n} of {drug}", "grade {n} {reaction} with {drug}",
    "{reaction} {n} hours after {drug}", "day {n} of {drug} treatment", "{n} cases of {reaction} with {drug}", "{drug} trial {n} {reaction}",
)  # fmt: skip
NUMBERS = (("1", "one"), ("2", "two"), ("3", "three"), ("5", "five"), ("10", "ten"), ("12", "twelve"), ("15", "fifteen"), ("21",), ("50",), ("1.5",), ("100",), ("105",))  # fmt: skip
ORDERED = (
    ("effect of {drug} on {other}", "effect of {other} on {drug}"), ("{drug} increases levels of {other}", "{other} increases levels of {drug}"),
    ("switching from {drug} to {other}", "switching from {other} to {drug}"), ("{reaction} before {drug}", "{drug} before {reaction}"),
    ("{reaction} caused by fever on {drug}", "fever caused by {reaction} on {drug}"), ("{drug} displaces {other}", "{drug} is displaced by {other}"),
    ("{drug} for {reaction}", "{reaction} with {drug}"), ("Is {drug} used for {reaction}?", "Is {reaction} caused by {drug}?"),
    ("can {reaction} patients take {drug}?", "can {drug} cause {reaction}?"), ("{drug} increases {reaction}", "{drug} decreases {reaction}"),
    ("starting {drug} after {reaction}", "starting {drug} before {reaction}"), ("{reaction} and fever on {drug}", "{reaction} or fever on {drug}"),
    ("{drug} after {reaction}", "{reaction} after {drug}"), ("{drug} dose above 10 mg", "{drug} dose below 10 mg"),
    ("Can {drug} be started?", "Must {drug} be started?"), ("increase {drug} from 5 mg to 10 mg", "increase {drug} from 10 mg to 5 mg"),
    ("highest {drug} dose", "lowest {drug} dose"), ("{drug} less than 5 mg", "{drug} more than 5 mg"), ("{drug} in {reaction}", "{reaction} on {drug}"),
    ("{drug} in the morning", "{drug} in the evening"), ("acute {reaction} with {drug}", "chronic {reaction} with {drug}"),
)  # fmt: skip

#: Frames of each intent that the guards were made with, and those written for them unseen.
TUNED: Mapping[str, tuple[str, ...]] = {
    "reaction": (
        "{drug} {reaction}", "Does {drug} cause {reaction}?", "Is {reaction} caused by {drug}?", "{reaction} with {drug}",
        "Is {reaction} a known side effect of {drug}?", "{reaction} after {drug}", "Can {drug} cause {reaction}?",
    ),
    "dosed": (
        "{drug} {dose} {schedule} {reaction}", "{reaction} with {drug} {dose} {schedule}", "Does {drug} {dose} {schedule} cause {reaction}?",
    ),
    "given": (
        "Can {drug} {dose} be given {route} to {population}?", "{drug} {dose} {route} in {population}", "{drug} {dose} given {route} to {population}",
    ),
    "safe": ("Is {drug} safe in {population}?", "Safety of {drug} in {population}", "Is {drug} safe for {population}?"),
    "taken": ("{drug} with {thing}", "Is {drug} taken with {thing}?", "Can {drug} be given with {thing}?"),
}  # fmt: skip
HELD: Mapping[str, tuple[str, ...]] = {
    "reaction": (
        "Can {drug} lead to {reaction}?", "Has {reaction} been reported with {drug}?", "{reaction} in patients taking {drug}",
        "Is {reaction} listed as an adverse reaction of {drug}?", "Reports of {reaction} associated with {drug}",
        "Could {drug} be the reason for {reaction}?", "Is {reaction} an adverse drug reaction to {drug}?", "What is known of {reaction} under {drug}?",
    ),
    "dosed": (
        "{reaction} in a patient on {drug} {dose} {schedule}", "Was {reaction} reported with {drug} at {dose} {schedule}?",
        "Can patients taking {drug} {dose} {schedule} get {reaction}?", "{reaction} following {dose} of {drug} {schedule}",
    ),
    "given": (
        "Is {drug} {dose} {route} permitted in {population}?", "May {population} receive {drug} {dose} {route}?",
        "Use of {drug} {dose} {route} in {population}", "Giving {dose} of {drug} {route} to {population}",
    ),
    "safe": (
        "Is it safe to give {drug} to {population}?", "How safe is {drug} for {population}?", "Is the use of {drug} in {population} safe?",
        "{drug}: safety in {population}", "Is {drug} considered safe in {population}?",
    ),
    "taken": ("May {drug} be taken with {thing}?", "{drug} together with {thing}", "Taking {drug} with {thing}", "Is it fine to take {drug} with {thing}?"),
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two questions and the label version each is asked of; `kind` is what parts them, or the group of paraphrases."""

    kind: str
    one: str
    other: str
    version_one: str = "1"
    version_other: str = "1"


def adversarial(count: int, random: Random) -> list[Pair]:
    """Return `count` different minimal pairs, of every kind in turn."""
    return _distinct(count, lambda at: KINDS[tuple(KINDS)[at % len(KINDS)]](random))


def paraphrases(count: int, random: Random, frames: Mapping[str, tuple[str, ...]]) -> list[Pair]:
    """Return `count` different pairs that ask the same: another frame, another way to say a slot, or both."""
    kind = "tuned" if frames is TUNED else "held"

    def make(_at: int) -> Pair:
        intent = random.choice(tuple(frames))
        slots = _slots(random)
        one, other = random.choice(TUNED[intent]), random.choice(frames[intent])
        return Pair(kind=kind, one=_said(one, slots, random), other=_said(other, slots, random))

    return _distinct(count, make)


def _distinct(count: int, make: Callable[[int], Pair]) -> list[Pair]:
    """Return `count` pairs of two questions that are not written alike; a thousand tries each are more than enough."""
    found: dict[Pair, None] = {}
    for at in range(1_000 * count):
        pair = make(at)
        same = pair.one.casefold() == pair.other.casefold() and pair.version_one == pair.version_other
        if not same:
            found[pair] = None
        if len(found) == count:
            return list(found)
    raise ValueError(f"only {len(found)} different pairs can be drawn, of {count}")


Slots = dict[str, tuple[str, ...]]


def _slots(random: Random) -> Slots:
    return {
        "drug": random.choice(tuple(PRODUCTS.values())), "reaction": random.choice(REACTIONS), "dose": random.choice(DOSES),
        "schedule": random.choice(SCHEDULES), "route": random.choice(ROUTES), "population": random.choice(POPULATIONS),
        "thing": (random.choice(THINGS),), "n": random.choice(NUMBERS),
    }  # fmt: skip


def _said(frame: str, slots: Slots, random: Random) -> str:
    """Fill a frame, each slot said in one of its ways."""
    return frame.format(**{name: random.choice(ways) for name, ways in slots.items()})


def _frames(intents: tuple[str, ...], random: Random) -> tuple[str, str]:
    """Return two frames of one intent, of both groups; the same twice in half of the cases."""
    intent = random.choice(intents)
    all_of_it = (*TUNED[intent], *HELD[intent])
    one = random.choice(all_of_it)
    return one, one if random.random() < 0.5 else random.choice(all_of_it)


def _changed(
    slot: str, others: tuple[tuple[str, ...], ...], intents: tuple[str, ...], random: Random
) -> Pair:
    slots = _slots(random)
    other = {**slots, slot: random.choice([way for way in others if way != slots[slot]])}
    one_frame, other_frame = _frames(intents, random)
    return Pair(kind=slot, one=_said(one_frame, slots, random), other=_said(other_frame, other, random))


def _unit(random: Random) -> Pair:
    one, other = random.sample(UNITS, 2)
    number = random.choice(("1", "2.5", "5", "10", "40", "250"))
    slots = _slots(random)
    one_frame, other_frame = _frames(("dosed", "given"), random)
    return Pair(
        kind="unit",
        one=_said(one_frame, {**slots, "dose": (f"{number} {one}",)}, random),
        other=_said(other_frame, {**slots, "dose": (f"{number} {other}",)}, random),
    )


def _unknown_name(random: Random) -> str:
    return "".join(
        random.choice("bdfklmnprstvxz") + random.choice("aeiou") for _ in range(3)
    ) + random.choice(("n", "l", "x", "ne"))


def _drug(random: Random) -> Pair:
    """Another known product, or a name that nobody told of against one that looks like it."""
    if random.random() < 0.5:
        return _changed("drug", tuple(PRODUCTS.values()), ("reaction", "dosed", "safe", "taken"), random)
    name = _unknown_name(random)
    place = random.randrange(1, len(name))
    letter = random.choice([one for one in "aeioubdkt" if one != name[place]])
    other = random.choice((
        name[:place] + letter + name[place + 1 :], name[:place] + letter + name[place:], name + "s", name + "e", name + "ia", name + "ic",
        name + "al", name + "ation", name + " XR", name + " HCT", f"{name}/{_unknown_name(random)}", f"{name} + {_unknown_name(random)}",
        random.choice(random.choice(tuple(PRODUCTS.values()))),
    ))  # fmt: skip
    slots = _slots(random)
    one_frame, other_frame = _frames(("reaction", "dosed", "safe", "taken"), random)
    return Pair(
        kind="drug",
        one=_said(one_frame, {**slots, "drug": (name,)}, random),
        other=_said(other_frame, {**slots, "drug": (other,)}, random),
    )


def _written(kind: str, pairs: tuple[tuple[str, str], ...], random: Random) -> Pair:
    """A pair that is written out, filled alike on both sides."""
    slots = _slots(random)
    others = [names for names in PRODUCTS.values() if names != slots["drug"]]
    slots |= {"other": random.choice(others)}
    one, other = random.choice(pairs)
    if random.random() < 0.5:
        one, other = other, one
    if slots["reaction"][0] == "fever":
        slots["reaction"] = ("rash",)
    return Pair(kind=kind, one=_said(one, slots, random), other=_said(other, slots, random))


def _with_without(random: Random) -> Pair:
    slots = _slots(random)
    one = _said(random.choice((*TUNED["taken"], *HELD["taken"])), slots, random)
    return Pair(kind="with_without", one=one, other=one.replace("with ", "without ", 1))


def _number(random: Random) -> Pair:
    slots = _slots(random)
    frame = random.choice(NUMBERED)
    other = {**slots, "n": random.choice([ways for ways in NUMBERS if ways != slots["n"]])}
    return Pair(kind="number", one=_said(frame, slots, random), other=_said(frame, other, random))


def _version(random: Random) -> Pair:
    """Another version asked of, or named in the question."""
    one, other = random.sample(VERSIONS, 2)
    question = _said(random.choice(TUNED["reaction"]), _slots(random), random).rstrip("?")
    if random.random() < 0.5:
        return Pair(kind="version", one=question, other=f"{question}?", version_one=one, version_other=other)
    return Pair(
        kind="version", one=f"{question} label version {one}", other=f"{question} label version {other}"
    )


#: What each kind of minimal pair is made by.
KINDS: Mapping[str, Callable[[Random], Pair]] = {
    "dose": lambda random: _changed("dose", DOSES, ("dosed", "given"), random),
    "unit": _unit,
    "schedule": lambda random: _changed("schedule", SCHEDULES, ("dosed",), random),
    "drug": _drug,
    "negation": lambda random: _written("negation", DENIALS, random),
    "with_without": _with_without,
    "population": lambda random: _changed("population", POPULATIONS, ("given", "safe"), random),
    "route": lambda random: _changed("route", ROUTES, ("given",), random),
    "number": _number,
    "version": _version,
    "reaction": lambda random: _changed("reaction", REACTIONS, ("reaction", "dosed"), random),
    "order": lambda random: _written("order", ORDERED, random),
}
