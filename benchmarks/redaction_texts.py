"""Texts like narratives, all invented, with the places of what is personal and of what is clinical: drawn from templates.

Four groups that share nothing but the clinical vocabulary. *tuned*: the rules of `domain.privacy` were mended against these
sentences, names and forms. *second* and *third*: other sentences, names (none of
them in the lists of the rules) and forms of numbers, each written before the rules had seen them, and mended against afterwards;
decision 0035 has what was found at first sight. *held*: again others, and no rule was changed for what is missed there, save
one that was a hole (decision 0035 has it, and the figures before it): this group says what to expect of texts that nobody tried.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from string import Formatter

from vigimesh.domain.privacy.identifiers import nhs_check

#: Products that the knowledge base would know.
PRODUCTS = ("Torvexil", "Lenoquil", "Aerolune", "Ocellivax", "Kelvaxin", "Brantavine")
#: Products that nothing tells of but the sentence.
OTHERS = ("Zelvoran", "Quintapress", "Marovent", "Dexilora", "Panvirex", "Solubrine")
KNOWN_DRUGS = (
    "amoxicillin",
    "Tylenol",
    "metformin",
    "atorvastatin",
    "Benadryl",
    "lisinopril",
    "prednisone",
    "Lantus",
)
REACTIONS = (
    "rash", "urticaria", "angioedema", "nausea", "vomiting", "headache", "syncope", "seizure", "thrombocytopenia", "neutropenia",
    "Stevens-Johnson syndrome", "Guillain-Barre syndrome", "anaphylaxis", "Bell's palsy", "pneumonia", "jaundice", "injection site pain",
    "QTc prolongation", "myocardial infarction", "dizziness", "diarrhoea", "Raynaud phenomenon", "hepatitis B", "torsades de pointes",
)  # fmt: skip
LABS = (
    "ALT 145 U/L", "WBC 12,400", "platelets 150000/uL", "QTc 480 ms", "INR 2.5", "HbA1c 7.2 %", "creatinine 1.9 mg/dL", "BP 120/80",
    "temperature 39.2 C", "TSH 4.1 mIU/L", "CRP 84 mg/L", "haemoglobin 8.1 g/dL", "sodium 128 mmol/L", "heart rate 118", "SpO2 91 %",
)  # fmt: skip

MONTHS = "January February March April May June July August September October November December".split()

TUNED_GIVEN = (
    "Jane",
    "John",
    "Paul",
    "Maria",
    "Emeka",
    "Aoife",
    "Tomasz",
    "Priyanka",
    "Robert",
    "Linda",
    "Xiomara",
    "Grace",
    "Will",
)
TUNED_FAMILY = (
    "Smith",
    "Okafor",
    "Kowalska",
    "Turner",
    "Lindqvist",
    "O'Connor",
    "Venkataraman",
    "Huber",
    "Garcia",
    "Berg",
    "Quist",
)
SECOND_GIVEN = (
    "Thandiwe", "Bronwen", "Casimir", "Ottilie", "Radoslav", "Yukiko", "Leocadia", "Fearghal", "Mehwish", "Anneliese", "Zdenka",
    "Babajide", "Solvej", "Kwabena", "Perpetua", "Ignatius", "Marisela", "Dashiell", "Ruairi", "Henrike",
)  # fmt: skip
SECOND_FAMILY = (
    "Mbeki", "Ap Rhys", "Wojtowicz", "Featherstonehaugh", "Takahashi", "Van Houten", "Ferreira", "MacGillivray", "Qureshi", "Stolz",
    "Hlavackova", "Adeyemi", "Rasmussen", "Boateng", "Cholmondeley", "Szabo", "Castellanos", "Pettigrew", "Delacroix-Moreau",
)  # fmt: skip

TUNED = (
    "Dr. {full} reported that a {age} patient developed {reaction} after {product} {dose}.",
    "The patient, {full}, took {product} {dose} and had {reaction} on {date}.",
    "Her husband {first} said that the {reaction} began {date}.",
    "Mrs. {last} was seen at {house} Hospital with {lab}.",
    "Nurse {first} gave {known} for the {reaction}.",
    "Reporter: {full}, tel {phone}.",
    "DOB {dob}, MRN {mrn}.",
    "She lives at {address}.",
    "Contact: {email} or {phone}.",
    "The patient was born on {dob} and had {lab}.",
    "SSN {ssn}; insurance no. {policy}.",
    "NHS number {nhs} is on the chart, {lab}.",
    "A {old} man had {reaction} with {product}.",
    "Lot {lot} of {product} was given on {date}.",
    "The photo is at {url}.",
    "Device serial {serial} was replaced; {lab}.",
    "On {date} the patient started {product} {dose} for hypertension.",
    "Laboratory tests showed {lab} and {lab2}.",
    "Treatment with {known} was stopped and the {reaction} resolved.",
    "The report was sent from {ip}.",
    "{full} called again about the {reaction}.",
    "She took {other} {dose} as well.",
    "Concomitant medication was {known}; {reaction} was not reported.",
    "{last} stated that {product} was taken on {date}.",
)
SECOND = (
    "We were informed by {full} that {product} {dose} had been followed by {reaction}.",
    "This is a report on {full}, who suffered {reaction} on {date}.",
    "{title} {last} asked whether {product} could cause {reaction}.",
    "The wife of {full} is worried about his {reaction}.",
    "After {first} had swallowed {product} {dose}, {reaction} set in.",
    "In the opinion of {title} {last} the {reaction} is due to {product}.",
    "A letter from {full} tells of {reaction} and of {lab}.",
    "{first} {last} ({age}) received {product} {dose} from lot {lot}.",
    "Please phone the family under {phone}.",
    "You can write to {email}; the {reaction} goes on.",
    "For billing use member number {policy}; social security {ssn}.",
    "Date of birth: {dob}; {lab}; {lab2}.",
    "{old}, female, {reaction} since {date}.",
    "Home address is {address}.",
    "Hospital record {mrn} shows {lab} on {date}.",
    "She was carried to {house} Infirmary because of {reaction}.",
    "A blog entry ({url}) describes the {reaction}.",
    "Chart of NHS patient {nhs}: {lab}.",
    "The infusion pump (serial number {serial}) stopped on {date}.",
    "An entry was made from the address {ip} on {date}.",
    "Both {first} and {first2} had {reaction} after {known}.",
    "{known} {dose} and {other} {dose} were continued; {lab}.",
    "Dechallenge on {date} was positive, {lab}, {reaction} abated.",
    "Expiry of batch {lot}: {date}.",
    "{age} on {product} since {date}: {reaction}, {lab}.",
    "History: {reaction}, treated with {known}.",
    "Consulting physician {last} prescribed {known} against {reaction}.",
    "{last}'s daughter found {product} tablets, {reaction} followed.",
)

THIRD_GIVEN = (
    "Nomvula", "Gwendal", "Bartosz", "Eirlys", "Chidiebere", "Saoirse", "Vytautas", "Parvati", "Luitgard", "Amaterasu", "Jocasta",
    "Mirembe", "Torbjorn", "Ximena", "Oisin", "Haruka", "Balthazar", "Wilhelmina", "Zuleikha", "Cosmo",
)  # fmt: skip
THIRD_FAMILY = (
    "Dlamini", "Kerjean", "Nowakowski", "Llewelyn", "Nwachukwu", "O'Shaughnessy", "Petrauskas", "Iyer", "von Arnsberg", "Yoshimura",
    "Hargreave", "Nakato", "Halvorsen", "Ibarra-Solis", "McGonigle", "Sato", "da Fonseca", "Winterbourne", "Baptiste", "El-Amin",
)  # fmt: skip
THIRD = (
    "On the phone {full} complained of {reaction} that began on {date}.",
    "{full} is a {age} who was put on {product} {dose}.",
    "According to {first}, the {reaction} came on within an hour of {product}.",
    "Her sister {first} confirms the {reaction}.",
    "The {reaction} of {title} {last} was treated with {known}.",
    "Our representative met {title} {last} on {date}; {lab}.",
    "Informant: {full} ({phone}).",
    "Letters should go to {full}, {address}.",
    "He was moved from {house} Clinic to another ward with {lab}.",
    "You may ring {phone} after six.",
    "e-mail {email}, cc nobody.",
    "Identity: born {dob}, record number {mrn}.",
    "Insurance ID {policy}; SSN: {ssn}.",
    "The NHS no. is {nhs}; {lab}.",
    "Pictures of the {reaction} were uploaded to {url}.",
    "Implant S/N {serial}: {lab}.",
    "Form submitted by host {ip} on {date}.",
    "The patient is {old} and has {reaction}.",
    "{last} and {last2} were both vaccinated with {product} lot {lot}.",
    "Thanks to {first} {last} for the {lab}.",
    "{product} {dose} was resumed on {date} without {reaction}.",
    "{known} and {other} {dose} are taken daily; {reaction} is ongoing.",
    "Labs on {date}: {lab}, {lab2}.",
    "Batch {lot} is under quarantine since {date}.",
    "Assessment: {reaction} probably related to {product}; {lab}.",
    "{first}, the patient's carer, gave {product} {dose} twice.",
    "We asked {full} for more information on the {reaction}.",
    "{title} {last} of {house} Surgery suspects {product}.",
)

HELD_GIVEN = ("Ifeanyi", "Roswitha", "Branwen", "Stanislava", "Takumi", "Ludovica", "Aziza", "Eoghan", "Miroslaw", "Pilar", "Tenzin", "Hildegard")  # fmt: skip
HELD_FAMILY = ("Mokoena", "Brunnhuber", "Prothero", "Vondrakova", "Nishimura", "Bellandi", "Karimova", "Gallchobhair", "Zielinski", "Echeverria", "Dorjee", "Ashdown-Vane")  # fmt: skip
HELD = (
    "Initial information was received from {full} about a {age} who used {product} {dose}.",
    "When {full} was examined on {date}, {reaction} was still present.",
    "The daughter of {full} reports {reaction}.",
    "{title} {last} wrote that {lab} had been measured.",
    "My brother {first} got {product} lot {lot} and then {reaction}.",
    "It was {first} who noticed the {reaction} on {date}.",
    "As told by {last}, {product} was never missed.",
    "Ring {phone} for the notes; {lab}.",
    "Replies to {email} please.",
    "Admission to {house} Hospital followed on {date} with {lab}.",
    "Delivery to {address} was asked for.",
    "The date of birth is {dob}; MRN is {mrn}.",
    "Social security number {ssn}, policy number {policy}.",
    "With NHS number {nhs} the record says {lab}.",
    "The clip is on {url} and shows the {reaction}.",
    "A stent with serial no. {serial} was placed; {lab}.",
    "Logged from {ip}.",
    "She is {old}; {reaction} since {date}.",
    "{known} was given with {other} {dose}, and {reaction} improved.",
    "Investigations: {lab}, {lab2}; conclusion {reaction}.",
    "{product} {dose} from batch {lot} was well tolerated apart from {reaction}.",
    "Yours faithfully, {full}",
)

#: Templates, given names and family names of each group.
GROUPS = {
    "tuned": (TUNED, TUNED_GIVEN, TUNED_FAMILY),
    "second": (SECOND, SECOND_GIVEN, SECOND_FAMILY),
    "third": (THIRD, THIRD_GIVEN, THIRD_FAMILY),
    "held": (HELD, HELD_GIVEN, HELD_FAMILY),
}
#: Forms of identifiers by group; each 9 is a digit, {} a number that fits.
FORMS = {
    "phone": (
        ("(999) 555-9999", "999-555-9999", "+49 170 9999999"),
        ("+44 (0)20 7946 9999", "1-999-555-9999", "0999/999999", "+1 999 555 9999", "999.555.9999"),
        ("+33 9 99 99 99 99", "(099) 9999 9999", "999 555 9999", "+91-99999-99999", "099 999 99 99"),
        ("+353 99 999 9999", "999/555-9999", "09 99 99 99 99"),
    ),
    "mrn": (
        ("00999999", "A-99/9999", "9999999"),
        ("HX-999.99", "K99999/9", "99-99-99-9"),
        ("ZB999999", "9999 9999", "99.999.999"),
        ("R-9999999", "9999-9999"),
    ),
    "ssn": (("999-99-9999",), ("999 99 9999", "999999999"), ("999-99-9999", "999 999 999"), ("999-99-9999",)),
    "policy": (("WZ99-9999-9", "99999999"), ("XGA 999 9999", "9999-99-AB"), ("U9999 99999", "GRP-9999-B9"), ("HJ 999999", "999.99.999-9")),
    "serial": (("PM9999999",), ("QT-99-9999", "9999AX"), ("VX.9999.9", "99A-9999"), ("SN9999999", "A9-B9-9999")),
    "ip": (
        ("192.168.99.99", "10.9.9.9"),
        ("2001:db8:99::9999:9", "172.19.9.199"),
        ("fe80::99ab:9999:9:9999", "203.0.113.99"),
        ("198.51.100.99", "2001:db8::99:9999"),
    ),
    "url": (
        ("https://photos.example.org/u/jane?id=999",),
        ("http://blog.example.net/~ottilie/999", "www.example.com/p/999"),
        ("https://cloud.example.io/s/9x9y#k=99", "files.example.com/nakato/999.jpg"),
        ("https://video.example.net/w/9k9?u=echeverria", "www.example.org/~dorjee"),
    ),
    "dose": (("20 mg", "40 mg", "0.5 mL"), ("9 mg", "2 x 99 mg", "1.9 g"), ("999 mcg", "9 tablets", "9.9 mg/kg"), ("99 mg", "9.9 mL", "9 x 99 mcg")),
    "lot": (("AB9999", "9999999"), ("9AX9999", "X999999999"), ("99-9999A", "U9999AA"), ("L99999A", "EW9999")),
    "age": (
        ("45-year-old", "6 month old", "88-year-old"),
        ("45 years", "18-year-old"),
        ("67 year old", "38-year-old", "7-week-old"),
        ("54-year-old", "7 years old", "61 y/o"),
    ),
    "old": (("{}-year-old",), ("{} years old", "{} yo"), ("{} years of age", "{}", "{} yrs old"), ("{}-years-old", "{} years old")),
    "house": (
        ("Mount Kirigaya", "St. Mary's", "Elmwood"),
        ("Thornhollow", "Merrowdale", "Saint Brannoc"),
        ("Brackenridge", "Our Lady of Lourdes", "Sankt Elmo"),
        ("Kilbrannan", "Saint Ursanne", "Holy Rood"),
    ),
    "address": (
        ("{} Elm Street, Springfield, IL 62704", "{} Oak Ave, Apt 4, Dover, DE 19901", "{}B Baker Road, London NW1 6XE", "Hauptstraße {}, 10115 Berlin"),
        ("{} Windermere Crescent, Kendal LA9 4RN", "{} N. Saguaro Trail, Unit 7, Tucson, AZ 85704-1122", "Lindenallee {}, 04109 Leipzig", "{} Quarry Hill, Galashiels, TD1 1AB", "P.O. Box {}, Yellville, AR 72687"),
        ("{} Old Mill Lane, Cork", "{} W 14th Street #5B, New York, NY 10011", "Am Alten Hafen {}, 28195 Bremen", "{} Pinecrest Boulevard, Tulsa OK 74103", "The Old Rectory, Nether Wallop, SO20 8EX", "Calle de Alcalá {}, 28009 Madrid"),
        ("{} Larkspur Way, Boise, ID 83702", "Flat 2, {} Gorse Lane, Exeter EX4 4QJ", "Birkenweg {}, 3013 Bern", "{} rue des Tilleuls, 69003 Lyon"),
    ),
    "date": (
        ("{d} {month} {y}", "{y}-{m:02}-{d:02}", "{m}/{d}/{y}"),
        ("{mon} {d}, {y}", "{d:02}.{m:02}.{y}", "{d:02}-{MON}-{y}"),
        ("{d}{th} of {month}, {y}", "{d:02}/{m:02}/{y}", "{month} {d} {y}"),
        ("{d} {mon} {y}", "{y}/{m:02}/{d:02}", "{month} {d}, {y}"),
    ),
    "email": (
        ("{}@example.org", "{}+ae@mail.example.com"),
        ("{}_77@post.example.net", "{}@sub.example.co.uk"),
        ("{}@x-99.example.com", "{}%home@example.org"),
        ("{}.home@example.com", "{}@clinic-99.example.org"),
    ),
}  # fmt: skip
CLINICAL = ("dose", "lot", "age", "date")
KIND_OF = {
    "phone": "PHONE", "mrn": "NUMBER", "ssn": "NUMBER", "policy": "NUMBER", "serial": "NUMBER", "ip": "NUMBER", "url": "LINK",
    "old": "AGE-90+", "house": "PLACE", "address": "PLACE",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Piece:
    """A part of a text: `kind` is what it identifies, `clinical` whether it must survive."""

    text: str
    kind: str = ""
    clinical: bool = False


@dataclass(frozen=True, slots=True)
class Sample:
    """A text with its gold places: `gold` are (start, end, kind), `clinical` (start, end)."""

    text: str
    gold: tuple[tuple[int, int, str], ...]
    clinical: tuple[tuple[int, int], ...]


def samples(group: str, count: int, seed: int) -> list[Sample]:
    """Return `count` texts of a group of `GROUPS`, the same for the same seed: three to six sentences each."""
    chance = Random(f"{seed}|{group}")
    return [_sample(_Writer(group, chance)) for _ in range(count)]


def _sample(writer: _Writer) -> Sample:
    text, gold, clinical = "", list[tuple[int, int, str]](), list[tuple[int, int]]()
    for template in writer.chance.sample(GROUPS[writer.group][0], writer.chance.randint(3, 6)):
        text += " " if text else ""
        for before, name, _, _ in Formatter().parse(template):
            text += before
            if name is None:
                continue
            piece = writer.piece(name.rstrip("2"))
            place = (len(text), len(text) + len(piece.text))
            if piece.kind:
                gold.append((*place, piece.kind))
            if piece.clinical:
                clinical.append(place)
            text += piece.text
    return Sample(text, tuple(gold), tuple(clinical))


@dataclass(frozen=True, slots=True)
class _Writer:
    """Draws the pieces of one group."""

    group: str
    chance: Random

    def piece(self, name: str) -> Piece:
        """Return a piece for a field of a template."""
        if name in KIND_OF or name in CLINICAL:
            made = self._date(self.form(name)) if name == "date" else self._filled(name)
            return Piece(made, KIND_OF.get(name, ""), name in CLINICAL)
        match name:
            case "first" | "last" | "full":
                return Piece(self._name(name), "PERSON")
            case "title":
                return Piece(self.chance.choice(("Mr", "Ms.", "Professor", "Mrs", "Dr", "Sister", "Miss")))
            case "dob":
                return Piece(self._date(self.form("date"), 1930, 1999), "BIRTH")
            case "nhs":
                return Piece(self._nhs(), "NUMBER")
            case "email":
                local = "".join(
                    one
                    for one in self._name("full").lower().replace(" ", ".")
                    if one.isascii() and one not in "'"
                )
                return Piece(self.form("email").format(local.replace("..", ".")), "EMAIL")
            case _:
                words = {
                    "product": PRODUCTS,
                    "other": OTHERS,
                    "known": KNOWN_DRUGS,
                    "reaction": REACTIONS,
                    "lab": LABS,
                }[name]
                return Piece(self.chance.choice(words), "", True)

    def form(self, name: str) -> str:
        """Return a form of the group."""
        return self.chance.choice(FORMS[name][tuple(GROUPS).index(self.group)])

    def _filled(self, name: str) -> str:
        form = self.form(name)
        if name in ("address", "old"):
            return form.format(
                self.chance.randint(90, 106) if name == "old" else self.chance.randint(11, 899)
            )
        return "".join(str(self.chance.randint(1, 9)) if one == "9" else one for one in form)

    def _name(self, name: str) -> str:
        _, given, family = GROUPS[self.group]
        first, last = self.chance.choice(given), self.chance.choice(family)
        middle = self.chance.choice(("", "", f"{self.chance.choice('ABDEFGHJKLMNPRSTW')}. "))
        return {"first": first, "last": last, "full": f"{first} {middle}{last}"}[name]

    def _date(self, form: str, first: int = 2019, last: int = 2024) -> str:
        day, month, year = (
            self.chance.randint(4, 20),
            self.chance.randint(1, 12),
            self.chance.randint(first, last),
        )
        name = MONTHS[month - 1]
        return form.format(d=day, m=month, y=year, month=name, mon=name[:3], MON=name[:3].upper(), th="th")

    def _nhs(self) -> str:
        form = "{}{}{} {}{}{} {}{}{}{}" if self.group == "tuned" else "{}" * 10
        while True:
            made = form.format(*(self.chance.randint(0, 9) for _ in range(10)))
            if nhs_check(made):
                return made
