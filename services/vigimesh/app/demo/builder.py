"""Short ways to say an invented case; days are counted back from the day on which the demo is written."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, timezone

from vigimesh.events.case import Case, Patient, Product, Reaction, Reporter

SENDER, RECEIVER = "NORDFJELLPHARM", "VIGIMESH"

#: Product -> substance, kind, maker, dose as usually given: the invented products of the shipped knowledge base.
PRODUCTS = {
    "Torvexil": ("torvexilate", "drug", "Nordfjell Pharma", "20 mg once a day"),
    "Brantavine": ("brantavinum", "drug", "Nordfjell Pharma", "50 mg in the evening"),
    "Zelphorin": ("zelphorimine", "drug", "Halden Remedies", "250 mg three times a day"),
    "Solmirex": ("solmirekimab", "drug", "Halden Remedies", "40 mg every second week"),
    "Aerolune": ("aerolunide", "drug", "Ostra Inhalation", "200 micrograms twice a day"),
    "Lenoquil": ("lenoquilone", "drug", "Ostra Inhalation", "1 % cream twice a day"),
    "Junivax Trio": ("junivaxine", "vaccine", "Vestmark Vaccines", "first dose"),
    "Ocellivax": ("marsh fever vaccine", "vaccine", "Vestmark Vaccines", "single dose"),
}

HEALTH = Reporter(qualification="physician", country="DE", identified=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """The day of the demo; every other day is counted back from it."""

    today: date
    zone: timezone = field(default=timezone(timedelta(hours=1)))

    def day(self, ago: int) -> str:
        """Return the day `ago` days back as YYYY-MM-DD."""
        return (self.today - timedelta(days=ago)).isoformat()

    def moment(self, ago: int, hour: int = 9, minute: int = 0) -> str:
        """Return a moment of that day with its zone, as ISO 8601."""
        day = self.today - timedelta(days=ago)
        return datetime.combine(day, time(hour, minute), self.zone).isoformat()


def product(name: str, **more: object) -> Product:
    """Return an invented product as the suspect, with what the knowledge base says of it."""
    substance, kind, maker, dose = PRODUCTS[name]
    # The caller names fields of `Product`, which checks them.
    given = {"name": name, "substance": substance, "kind": kind, "manufacturer": maker, "dose": dose, **more}
    return Product(**given)  # type: ignore[arg-type]  # names and types are checked by the tests that read back


def reaction(text: str, *criteria: str, **more: str) -> Reaction:
    """Return a reaction as reported, with the seriousness criteria that were ticked."""
    return Reaction(text=text, criteria=tuple(criteria), **more)


def adult(age: float, sex: str, **more: str) -> Patient:
    """Return a patient known by initials, age and sex."""
    group = "elderly" if age >= 65 else "adult"
    return Patient(
        identified_by=("initials", "age", "age_group", "sex"), age_years=age, age_group=group, sex=sex, **more
    )


def child(age: float, sex: str) -> Patient:
    """Return a young patient known by initials, age and sex."""
    group = "infant" if age < 2 else "child"
    return Patient(
        identified_by=("initials", "age", "age_group", "sex"), age_years=age, age_group=group, sex=sex
    )


def criteria_of(reactions: tuple[Reaction, ...]) -> tuple[str, ...]:
    """Return the criteria of all reactions, each once, in their order."""
    return tuple(dict.fromkeys(word for one in reactions for word in one.criteria))


#: What only reading can fill: ids and digests are made from the bytes.
UNREAD = {"message_id": "", "case_id": ""}


def case(**fields: object) -> Case:
    """Return a case whose ids are still to be made by reading it."""
    return Case(**{**UNREAD, **fields})  # type: ignore[arg-type]  # as above
