"""What the readers of dates, durations, ages, doses, dimensions and laboratory values say of a narrative, as findings.

They add findings and change no grade. The day a narrative was told on and the source's order of figures are the case's
(`told_when`); where it does not tell them "yesterday" stays open and `03/04/97` has both readings.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from vigimesh.domain.safety import spans
from vigimesh.domain.safety.ages import Age, ages
from vigimesh.domain.safety.date_values import TextDate, Told
from vigimesh.domain.safety.doses import Dose, doses
from vigimesh.domain.safety.durations import Duration, durations
from vigimesh.domain.safety.lab_values import LabValue, lab_values
from vigimesh.domain.safety.quantities import Quantity, dimensions
from vigimesh.domain.safety.spans import Span
from vigimesh.domain.safety.text_dates import text_dates
from vigimesh.events.classes import Finding

#: Places and values in one finding, as in `tools`: what a reviewer reads at a glance.
MAX_QUOTES = 12

#: Step name -> its reader, of a text and of what the case tells of its dates.
READERS: dict[str, Callable[[str, Told], Sequence[Span]]] = {
    "text_dates": text_dates,
    "durations": lambda text, _told: durations(text),
    "ages": lambda text, _told: ages(text),
    "doses": lambda text, _told: doses(text),
    "dimensions": lambda text, _told: dimensions(text),
    "lab_values": lambda text, _told: lab_values(text),
}
#: What is known of the dates of a text that no case tells of.
UNTOLD = Told()


def narrative_finding(step: str, text: str, told: Told = UNTOLD) -> Finding:
    """Return what the reader of `step` says of `text`; `told` is what the case tells of its dates.

    The result is `nothing`, `read` when each place has one value, else `unclear`. The detail counts the outcomes and
    gives the values, those that need a look first.
    """
    found = READERS[step](text, told)
    rest = spans.unread(text, found)
    outcomes = Counter(one.outcome for one in found)
    if rest is not None:
        outcomes["not_read"] = 1
    if not outcomes:
        return Finding(step=step, result="nothing", detail="nothing of the kind in the text")
    shown = sorted(found, key=lambda one: (one.outcome == "read", one.start))[:MAX_QUOTES]
    counted = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
    values = "; ".join(_value(one) for one in shown)
    beyond = f"; not read from character {rest.start} on" if rest is not None else ""
    return Finding(
        step=step,
        result="read" if set(outcomes) == {"read"} else "unclear",
        detail=f"{counted}: {values}{beyond}" if values else f"{counted}{beyond}",
        quotes=tuple(one.place for one in shown),
    )


def _value(one: Span) -> str:
    """Return the value of one place in a few characters."""
    quote = one.text[: spans.MAX_QUOTE]
    match one:
        case TextDate():
            value = " or ".join(one.readings)
        case Duration():
            value = one.bound + one.iso + _upto(one.upto)
        case Age():
            value = " ".join(f"{value.normalize():f} {unit}" for value, unit in one.parts) + _upto(one.upto)
            value = f"{value} ({one.group})" if one.group and value else one.group or value
        case LabValue():
            value = f"{one.test} {one.sign}{_number(one.value)} {one.unit} {one.position}".rstrip()
        case Dose():
            often = f", {one.times} per {_number(one.every)} {one.every_unit}" if one.every_unit else ""
            value = _quantity(one) + often
        case Quantity():
            value = _quantity(one)
        case _:
            value = ""
    return f"'{quote}' {one.outcome}" if not value else f"'{quote}' {value}"


def _quantity(one: Quantity) -> str:
    return f"{_number(one.value)}{_upto(one.upto)} {one.unit or ' or '.join(one.choices)}".strip()


def _upto(value: object) -> str:
    return "" if value is None else f"-{_number(value)}"


def _number(value: object) -> str:
    return "" if value is None else f"{value}"
