"""The cases that both arms get: VAERS reports of a folder, told by content, the form's verdict taken out of them.

Measured are reports that the shipped model has not seen, as in `small_model.py`: of the last year that it was made from the third that was held out, and
later years whole. A narrative stands once, with its first serious report where it has one. Hidden are the ticks, whatever says that somebody died, and that the form has a
box for each criterion: seriousness must come from the text. Gold is what was taken out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from cascade_figures import Offered
from vigimesh.app.train.examples import GOLD, Example, by_year, one_per_group, vaers_files
from vigimesh.domain.cascade.sample import group_of
from vigimesh.events.case import Case
from vigimesh.intake.reading import read_path
from vigimesh.intake.values import Accepted, Refusal

#: Whose cases they are.
TENANT = "default"
#: Hour of its day of receipt (UTC) at which a case arrives: legal clocks run as they would have.
_NOON = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Report(Example):
    """A report with its case as both arms get it; `facts` are left to the mesh."""

    case: Case


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What a folder holds: reports, and how many messages its door refused."""

    reports: tuple[Report, ...] = ()
    refused: int = 0


def read(folder: Path) -> Given:
    """Return the reports of a folder with a whole day of receipt; none when there is no such folder or table."""
    if not folder.is_dir():
        return Given()
    items = [item for file in vaers_files(folder) for item in read_path(file, tenant=TENANT)]
    cases = [item.case for item in items if isinstance(item, Accepted)]
    return Given(
        reports=tuple(map(_report, filter(_dated, cases))), refused=sum(isinstance(item, Refusal) for item in items)
    )  # fmt: skip


def unseen(given: Sequence[Report], made_from: Sequence[Report], last: int) -> list[Report]:
    """Return the reports to measure on, by day of receipt: `last` is the last year that the model was made from.

    `made_from` are the reports that it was made from; without them only later years are taken.
    """
    parts = by_year(made_from, last)
    seen = {one.group for part in ("train", "tune", "certify") for one in parts[part]}
    of_last = by_year([*made_from, *given], last)["held_out"] if made_from else []
    later = [one for one in given if one.year > last]
    mine = {one.group for one in given}
    return _ordered(
        one for one in one_per_group([*of_last, *later]) if one.group in mine and one.group not in seen
    )


def offered(report: Report) -> Offered:
    """Return a report as the figures count it."""
    return Offered(
        case_id=report.case.case_id, day=report.day, serious=report.label, death="death" in report.criteria
    )  # fmt: skip


def arrived(report: Report) -> datetime:
    """Return when a report arrives: on the day that it names, so that legal clocks run as they would have."""
    return datetime.fromisoformat(report.day[:10]).replace(hour=_NOON, tzinfo=UTC)


def hidden(case: Case) -> Case:
    """Return a case without what its form says of seriousness."""
    silent = tuple(replace(one, outcome="", criteria=(), highlighted="") for one in case.reactions)
    return replace(
        case, criteria=(), criteria_form="none", urgent=False, reactions=silent,
        patient=replace(case.patient, died_on=""),
    )  # fmt: skip


def _report(case: Case) -> Report:
    dead = "death" in case.criteria or bool(case.patient.died_on)
    criteria = tuple(dict.fromkeys((*case.criteria, *(("death",) if dead else ()))))
    return Report(
        text=case.narrative, facts=(), label=bool(GOLD & set(case.criteria)), group=group_of(case.narrative),
        day=case.first_received_on, age_years=case.patient.age_years, criteria=criteria, case=hidden(case),
    )  # fmt: skip


def _dated(case: Case) -> bool:
    day = case.first_received_on
    return len(day) >= 10 and day[:4].isdecimal() and day[4] == day[7] == "-"


def _ordered(reports: Iterable[Example]) -> list[Report]:
    found = [one for one in reports if isinstance(one, Report)]
    return sorted(found, key=lambda one: (one.day, one.case.case_id))
