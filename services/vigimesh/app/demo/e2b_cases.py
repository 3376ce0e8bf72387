"""The E2B(R3) part of the demo: one batch of invented cases, each there for one reason, named before it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from vigimesh.app.demo.builder import (
    HEALTH,
    RECEIVER,
    SENDER,
    Calendar,
    adult,
    case,
    child,
    criteria_of,
    product,
    reaction,
)
from vigimesh.events.case import Case, Patient, Product, Reaction, Reporter


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One report in short: who, what, how long ago."""

    number: int
    country: str
    patient: Patient
    products: tuple[Product, ...]
    reactions: tuple[Reaction, ...]
    narrative: str
    ago: int = 3
    reporters: tuple[Reporter, ...] = (HEALTH,)


def batch_cases(calendar: Calendar) -> tuple[Case, ...]:
    """Return the cases of the batch in the order of its messages."""
    told = (*_serious(calendar), *_not_serious(calendar), *_unclear(calendar), *_special(calendar))
    singles = tuple(_written(one, calendar) for one in told)
    return (*singles, *_versions(calendar), *_study(calendar), *_unusable(calendar))


def _written(told: Told, calendar: Calendar) -> Case:
    report = f"{told.country}-{SENDER}-{calendar.today.year}-{told.number:04d}"
    reporters = tuple(replace(one, country=told.country) for one in told.reporters)
    return case(
        source_format="e2b_r3", sender=SENDER, receiver=RECEIVER, report_id=report, worldwide_id=report,
        report_type="spontaneous", created_on=calendar.moment(told.ago - 1, 8, told.number % 60),
        first_received_on=calendar.day(told.ago), most_recent_on=calendar.day(told.ago),
        expedited="true" if criteria_of(told.reactions) else "false", country=told.country, reporters=reporters,
        patient=told.patient, products=told.products,
        reactions=tuple(replace(one, country=told.country) for one in told.reactions),
        criteria=criteria_of(told.reactions), criteria_form="open", narrative=told.narrative,
    )  # fmt: skip


def _serious(calendar: Calendar) -> tuple[Told, ...]:
    """Serious by a flag, one for each criterion; then one by its text alone."""
    return (
        Told(number=1, country="DE", patient=adult(58, "male"), ago=4,
             products=(product("Torvexil", started_on=calendar.day(20), indication="Hypertension"),),
             reactions=(reaction("Syncope", "hospitalisation", onset_on=calendar.day(9), outcome="recovered"),),
             narrative="A man fainted while standing at a bus stop, eleven days after starting the tablets. He was taken "
             "to hospital and watched for two days. Blood pressure was low on arrival and normal at discharge."),
        Told(number=2, country="FR", patient=adult(71, "female", died_on=calendar.day(6)), ago=5,
             products=(product("Solmirex", lot="SX-4471", started_on=calendar.day(120)),),
             reactions=(reaction("Sepsis", "death", "hospitalisation", onset_on=calendar.day(10), outcome="fatal"),),
             narrative="Fever and confusion came up after the ninth injection. The patient was admitted with sepsis and "
             "died four days later. An autopsy was not done. The physician considers a link possible."),
        Told(number=3, country="US", patient=adult(34, "female"), ago=2,
             products=(product("Zelphorin", started_on=calendar.day(3), stopped_on=calendar.day(3)),),
             reactions=(reaction("Anaphylactic shock", "life_threatening", "required_intervention",
                                 onset_on=calendar.day(3), outcome="recovered"),),
             narrative="Ten minutes after the first capsule the patient had swelling of the tongue, wheezing and collapse. "
             "Adrenaline was given by the ambulance crew. She recovered within hours."),
        Told(number=4, country="SE", patient=adult(46, "female"), ago=6,
             products=(product("Solmirex", started_on=calendar.day(200)),),
             reactions=(reaction("Optic neuritis", "disability", onset_on=calendar.day(30), outcome="not_recovered"),),
             narrative="Loss of vision in the left eye over three days. Vision has not come back, and she can no longer "
             "do her work as a driver."),
        Told(number=5, country="IT", patient=child(0.1, "male"), ago=7,
             products=(product("Brantavine", role="suspect"),),
             reactions=(reaction("Cleft palate", "congenital_anomaly", outcome="not_recovered"),),
             narrative="The mother took the tablets until the tenth week, not knowing of the pregnancy. The child was "
             "born at term with a cleft palate."),
        Told(number=6, country="ES", patient=adult(29, "male"), ago=3,
             products=(product("Zelphorin", started_on=calendar.day(12), stopped_on=calendar.day(5)),),
             reactions=(reaction("Stevens-Johnson syndrome", "other_medically_important", onset_on=calendar.day(5),
                                 outcome="recovering"),),
             narrative="Blisters on lips and trunk on the seventh day of treatment. The capsules were stopped and "
             "the dermatologist confirmed the diagnosis."),
        Told(number=7, country="DE", patient=adult(63, "female"), ago=2,
             products=(product("Torvexil", started_on=calendar.day(40)),),
             reactions=(reaction("Dizziness", onset_on=calendar.day(8), outcome="recovered"),),
             narrative="She felt dizzy in the morning, fell on the stairs and broke her wrist. She was admitted to "
             "hospital for an operation and stayed for five days."),
    )  # fmt: skip


def _not_serious(calendar: Calendar) -> tuple[Told, ...]:
    """Non-serious: listed in adults (a machine may accept these), negated text, unlisted, a child."""
    mild = {"highlighted": "2", "outcome": "recovered"}
    return (
        Told(number=10, country="DE", patient=adult(52, "male"),
             products=(product("Torvexil", started_on=calendar.day(30)),),
             reactions=(reaction("Headache", onset_on=calendar.day(28), ended_on=calendar.day(26), **mild),
                        reaction("Dizziness", onset_on=calendar.day(28), ended_on=calendar.day(27), **mild)),
             narrative="Mild headache and dizziness in the first week of treatment, gone without any measure. "
             "Treatment goes on."),
        Told(number=11, country="NL", patient=adult(41, "female"),
             products=(product("Zelphorin", started_on=calendar.day(14), stopped_on=calendar.day(7)),),
             reactions=(reaction("Diarrhoea", onset_on=calendar.day(12), **mild),),
             narrative="Loose stools twice a day during the course, better when it was over."),
        Told(number=12, country="AT", patient=adult(37, "female"),
             products=(product("Solmirex", started_on=calendar.day(60)),),
             reactions=(reaction("Injection site erythema", onset_on=calendar.day(4), **mild),
                        reaction("Injection site pruritus", onset_on=calendar.day(4), **mild)),
             narrative="A red and itching patch of three centimetres where the pen was used, for two days."),
        Told(number=13, country="DK", patient=adult(49, "male"),
             products=(product("Lenoquil", started_on=calendar.day(21)),),
             reactions=(reaction("Dry skin", onset_on=calendar.day(15), **mild),),
             narrative="Skin of both hands felt dry from the second week on. A moisturiser helped."),
        Told(number=14, country="FI", patient=adult(56, "female"),
             products=(product("Aerolune", started_on=calendar.day(50)),),
             reactions=(reaction("Cough", onset_on=calendar.day(45), highlighted="1", outcome="recovering"),
                        reaction("Dysphonia", onset_on=calendar.day(40), highlighted="2", outcome="recovering")),
             narrative="Cough after inhaling and a hoarse voice. She was not hospitalised, there was no "
             "life-threatening event, and she denies shortness of breath."),
        Told(number=15, country="BE", patient=adult(33, "female"),
             products=(product("Lenoquil", started_on=calendar.day(30)),),
             reactions=(reaction("Alopecia", onset_on=calendar.day(10), highlighted="2", outcome="not_recovered"),),
             narrative="Some hair came out at the temples in the fourth week. She finds it a nuisance."),
        Told(number=16, country="NO", patient=child(0.4, "female"),
             products=(product("Junivax Trio", lot="JT-0917", started_on=calendar.day(5)),),
             reactions=(reaction("Pyrexia", onset_on=calendar.day(5), ended_on=calendar.day(4), **mild),
                        reaction("Crying", onset_on=calendar.day(5), ended_on=calendar.day(5), **mild)),
             narrative="38.4 degrees in the evening after the second dose, and more crying than usual. Well the "
             "next day."),
        Told(number=17, country="DE", patient=adult(27, "male"),
             products=(product("Ocellivax", lot="OC-2203", started_on=calendar.day(6)),),
             reactions=(reaction("Injection site pain", onset_on=calendar.day(6), **mild),
                        reaction("Myalgia", onset_on=calendar.day(5), **mild)),
             narrative="Sore arm and aching muscles for a day and a half after the vaccination."),
    )  # fmt: skip


def _unclear(calendar: Calendar) -> tuple[Told, ...]:
    """Text that leaves it open, dates that are partial, and the two ways of being non-valid."""
    nameless = Reporter(qualification="not_stated", identified=False)
    return (
        Told(number=20, country="PL", patient=adult(60, "male"),
             products=(product("Torvexil"),), reactions=(reaction("Palpitations", outcome="unknown"),),
             narrative="His wife says that he may have been in hospital for it, perhaps only in the emergency room; "
             "she is not sure. More has been asked."),
        Told(number=21, country="CZ", patient=adult(44, "female"),
             products=(product("Brantavine", started_on=calendar.day(150)[:7]),),
             reactions=(reaction("Weight increased", onset_on=str(calendar.today.year - 1), highlighted="2",
                                 outcome="not_recovered"),),
             narrative="She put on four kilograms at some time last year; the month is not known."),
        Told(number=22, country="DE", patient=Patient(),
             products=(product("Zelphorin"),), reactions=(reaction("Rash", highlighted="2", outcome="unknown"),),
             narrative="A pharmacist mentions that customers speak of a rash with these capsules. No patient can be "
             "told apart."),
        Told(number=23, country="GB", patient=adult(39, "female"), reporters=(nameless,),
             products=(product("Aerolune"),), reactions=(reaction("Throat irritation", outcome="unknown"),),
             narrative="A message without a sender was left on the answering machine: throat irritation after "
             "inhaling."),
    )  # fmt: skip


def _special(calendar: Calendar) -> tuple[Told, ...]:
    """Pregnancy, overdose, medication error: special situations, serious or not."""
    return (
        Told(number=30, country="CH", patient=adult(31, "female"),
             products=(product("Torvexil", started_on=calendar.day(90)),),
             reactions=(reaction("Exposure during pregnancy", highlighted="2", outcome="unknown"),),
             narrative="The patient is pregnant in week eleven and took the tablets until yesterday. No complaint. "
             "The outcome of the pregnancy will be followed."),
        Told(number=31, country="DE", patient=adult(24, "male"),
             products=(product("Brantavine", dose="six tablets of 50 mg at once", situations=("overdose",)),),
             reactions=(reaction("Somnolence", onset_on=calendar.day(3), highlighted="2", outcome="recovered"),),
             narrative="He took six tablets at once by mistake and slept for fourteen hours. He woke up well."),
        Told(number=32, country="IE", patient=adult(77, "female"),
             products=(product("Solmirex", lot="SX-4480", situations=("medication_error",)),),
             reactions=(reaction("Injection site pain", highlighted="2", outcome="recovered"),),
             narrative="The pen was used every week in place of every second week, because the leaflet was misread."),
    )  # fmt: skip


def _versions(calendar: Calendar) -> tuple[Case, ...]:
    """Follow-up, an older version that comes late, nullification (a version after it too), conflict, a repeat."""
    told = Told(
        number=40, country="DE", patient=adult(66, "male"), ago=8, products=(product("Torvexil"),),
        reactions=(reaction("Oedema peripheral", highlighted="2", outcome="not_recovered"),),
        narrative="Swollen ankles in the third week.",
    )  # fmt: skip
    first = _written(told, calendar)
    followed = _later(
        first, calendar, 2, "Swollen ankles in the third week. Follow-up: gone after the dose was halved.",
        reactions=(replace(first.reactions[0], outcome="recovered"),),
    )  # fmt: skip
    late = _written(replace(told, number=41, narrative="Flushing of the face.", country="SE"), calendar)
    newer = _later(late, calendar, 3, "Flushing of the face. Follow-up: it happens after alcohol only.")
    wrong = _written(replace(told, number=42, narrative="Rash on both arms.", country="NO"), calendar)
    withdrawn = _later(wrong, calendar, 1, "Entered for the wrong product; see the sender's letter.",
                       amendment="nullification", most_recent_on=wrong.most_recent_on)  # fmt: skip
    too_late = replace(
        wrong, created_on=calendar.moment(12, 8), most_recent_on=calendar.day(12),
        first_received_on=calendar.day(12), narrative="Rash on one arm.",
    )  # fmt: skip
    stated = _written(
        replace(told, number=43, narrative="Fatigue since the tablets.", country="FI"), calendar
    )
    contested = replace(stated, narrative="Fatigue since the tablets, and blood in the urine.")
    sent = _written(
        replace(told, number=44, narrative="Nausea after the evening meal.", country="DK"), calendar
    )
    return (first, followed, newer, late, wrong, withdrawn, too_late, stated, contested, sent, sent)


def _later(before: Case, calendar: Calendar, ago: int, narrative: str, **more: object) -> Case:
    """Return a later version of a case."""
    changed = {"most_recent_on": calendar.day(ago), "narrative": narrative, **more}
    return replace(before, created_on=calendar.moment(ago - 1, 11, 30), **changed)  # type: ignore[arg-type]  # tested


def _study(calendar: Calendar) -> tuple[Case, ...]:
    """A blinded study case, serious, and one of a study that is not blinded."""
    told = Told(
        number=50, country="US", patient=adult(54, "female"), ago=2,
        products=(product("Solmirex", dose="study medication", blinded=True),),
        reactions=(reaction("Pneumonia", "hospitalisation", onset_on=calendar.day(4), outcome="recovering"),),
        narrative="A participant was admitted with pneumonia in week twelve of the study. The treatment has not been "
        "unblinded.",
    )  # fmt: skip
    blinded = replace(
        _written(told, calendar), report_type="study", study_id="SOL-301", study_type="clinical_trial",
        expedited_kind="1",
    )  # fmt: skip
    open_label = Told(
        number=51, country="DE", patient=adult(45, "male"), ago=3, products=(product("Torvexil"),),
        reactions=(reaction("Cough", highlighted="2", outcome="recovered"),),
        narrative="Dry cough for one week in an observational study of blood pressure.",
    )  # fmt: skip
    return (
        blinded,
        replace(
            _written(open_label, calendar), report_type="study", study_id="TOR-OBS-7", study_type="other"
        ),
    )


def _unusable(calendar: Calendar) -> tuple[Case, ...]:
    """A message that names no report at all: it can never be answered, so that it is refused."""
    told = Told(
        number=60, country="DE", patient=adult(50, "male"), products=(product("Torvexil"),),
        reactions=(reaction("Nausea", highlighted="2"),), narrative="Nausea in the morning.",
    )  # fmt: skip
    return (replace(_written(told, calendar), report_id="", worldwide_id=""),)
