"""The JSON Lines part of the demo: documents of several kinds, and cases as a call centre would send them."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

from vigimesh.app.demo.builder import (
    RECEIVER,
    Calendar,
    adult,
    case,
    child,
    criteria_of,
    product,
    reaction,
)
from vigimesh.events.case import Case, Reaction, Reporter

#: kind, title, text: one document each.
DOCUMENTS: tuple[tuple[str, str, str], ...] = (
    ("protocol_amendment", "SOL-301 protocol amendment 2: visit window widened",
     ("The window of visit 6 is widened from three to seven days. No change of dose, of criteria or of endpoints. "
     "Sites work by it from their approval on; the consent form is unchanged.")),
    ("protocol_amendment", "SOL-301 protocol amendment 3: urgent safety measure on liver values",
     ("Liver values are now measured every two weeks in all arms, and treatment is stopped above five times the "
     "upper limit. Put in place at once as an urgent safety measure; the authority is told in parallel.")),
    ("literature", "Torvexilate and renal function: a review without single patients",
     ("The authors review published trials of torvexilate in raised blood pressure. No single patient is described "
     "and no new risk is claimed.")),
    ("literature", "Acute liver failure under zelphorimine: a case report",
     ("A 48-year-old woman took zelphorimine for ten days. She was admitted with acute liver failure and was listed for "
     "a transplant. Other causes were excluded. The authors suggest a link.")),
    ("literature", "Inhaled aerolunide in dogs: deposition study",
     "Deposition in the airways of six dogs was measured by imaging. The article holds no human data."),
    ("label", "Torvexil: section on undesirable effects, new version",
     "Syncope was added to the uncommon reactions. The section on pregnancy is unchanged."),
    ("regulatory_question", "Question of an authority on Solmirex batch SX-4471",
     ("The authority asks for all reports on batch SX-4471 since January, with an assessment of each, within ten "
     "working days.")),
    ("regulatory_question", "Request for the periodic report's data lock point",
     "The authority asks to confirm the data lock point of the next periodic report for Brantavine."),
    ("vendor_mail", "Call centre: hours during the holidays",
     "From Monday to Friday the lines are open from eight to six. The emergency number is staffed at all times."),
    ("vendor_mail", "Call centre: forwarded message of a caller",
     ("A caller told us that her father collapsed and died two days after the marsh fever vaccine. She could be "
     "called back in the evening. We forward it within the hour.")),
    ("quality_complaint", "Aerolune inhaler: dose counter stuck",
     "The counter stays at 120 though the inhaler works. Bought last week, lot AE-1180. Nobody was harmed."),
    ("quality_complaint", "Solmirex pen: particles in the solution, rash after use",
     ("White particles were seen in the pen, lot SX-4480. It was used all the same; the patient has had an itching "
     "rash since.")),
    ("other", "Minutes of the monthly safety meeting",
     "Attendance, open actions and dates. No decision on a product was taken."),
)  # fmt: skip


def documents(calendar: Calendar) -> tuple[Case, ...]:
    """Return the documents, newest last."""
    return tuple(
        case(
            kind="document", document_kind=kind, sender="ARCHIVE", receiver=RECEIVER,
            report_id=f"DOC-{calendar.today.year}-{number:03d}", created_on=calendar.day(len(DOCUMENTS) - number + 1),
            most_recent_on=calendar.day(len(DOCUMENTS) - number + 1), first_received_on=calendar.day(len(DOCUMENTS) - number + 1),
            title=title, country="DE", narrative=text, study_id="SOL-301" if title.startswith("SOL-301") else "",
            urgent="urgent safety measure" in title,
        )
        for number, (kind, title, text) in enumerate(DOCUMENTS, 1)
    )  # fmt: skip


def calls(calendar: Calendar) -> tuple[Case, ...]:
    """Return the cases that a call centre took: no form with criteria, so that the text decides."""
    return (
        _call(calendar, 1, adult(47, "female"), "Torvexil", (reaction("Headache", highlighted="2"),),
              "Headache on two evenings, no other complaint."),
        _call(calendar, 2, adult(62, "male"), "Aerolune", (reaction("Tremor"),),
              "Shaking hands after each dose. He did not go to a doctor."),
        _call(calendar, 3, adult(35, "female"), "Zelphorin", (reaction("Rash", highlighted="2"),),
              "Red spots on the belly on day three, gone after the course."),
        _call(calendar, 4, adult(58, "male"), "Solmirex", (reaction("Chest pain"),),
              "Crushing chest pain an hour after the injection; he is in intensive care now.", urgent=True),
        _call(calendar, 5, child(6, "male"), "Aerolune", (reaction("Oral candidiasis", highlighted="2"),),
              "White coating in the mouth; the child did not rinse after inhaling."),
        _call(calendar, 6, adult(44, "male"), "Brantavine", (reaction("Nausea", highlighted="2"),),
              "Sick in the first days. His sister died of a stroke last year and he worries about that."),
        _call(calendar, 7, adult(51, "female"), "Ocellivax",
              (reaction("Injection site swelling", highlighted="2"), reaction("Chills", highlighted="2")),
              "Swollen arm and chills for one night."),
        # Nothing in them says serious or not, so that a model is asked: the small one, then the large one.
        _call(calendar, 8, adult(51, "female"), "Ocellivax", (reaction("Injection site pain"),),
              "Sore arm and a little redness at the place of the injection, gone the next day."),
        _call(calendar, 9, adult(34, "male"), "Ocellivax", (reaction("Pyrexia"), reaction("Injection site pain")),
              "Fever of 38.2 on the evening of the injection, and a sore arm. Better again the next morning."),
        _call(calendar, 10, adult(62, "female"), "Torvexil", (reaction("Fatigue"),),
              "Tired in the afternoons since the second week of the tablets. She goes on taking them."),
        _call(calendar, 11, adult(44, "male"), "Zelphorin", (reaction("Jaundice"), reaction("Hepatitis")),
              "Yellow eyes and dark urine since Monday; the liver values were high."),
    )  # fmt: skip


def _call(
    calendar: Calendar, number: int, patient: Any, name: str, reactions: tuple[Reaction, ...], text: str = "",
    **more: Any,
) -> Case:  # fmt: skip
    report = f"DE-CALLCENTRE-{calendar.today.year}-{number:03d}"
    return case(
        sender="CALLCENTRE", receiver=RECEIVER, report_id=report, worldwide_id=report, report_type="spontaneous",
        created_on=calendar.moment(1, 10, number), first_received_on=calendar.day(1), most_recent_on=calendar.day(1),
        country="DE", reporters=(Reporter(qualification="consumer", country="DE", identified=True),), patient=patient,
        products=(product(name),), reactions=reactions, criteria=criteria_of(reactions), narrative=text, **more,
    )  # fmt: skip


def line(one: Case) -> str:
    """Return the case as one line of JSON: fields with their defaults left out, and those that reading makes."""
    return json.dumps(_plain(one, without=("message_id", "case_id")), ensure_ascii=False)


def _plain(value: Any, without: tuple[str, ...] = ()) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: _plain(getattr(value, field.name))
            for field in dataclasses.fields(value)
            if field.name not in without and getattr(value, field.name) != field.default
        }
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return value


#: Not JSON: a line that was cut off on its way.
CUT_LINE = '{"sender": "CALLCENTRE", "report_id": "DE-CALLCENTRE-CUT", "narrative": "The line broke off wh'
