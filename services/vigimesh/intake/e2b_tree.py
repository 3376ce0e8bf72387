"""Looking into an ICSR: paths in the HL7 namespace, values with their null flavours, dates, texts."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from functools import cache

from lxml import etree

NAMESPACE = "urn:hl7-org:v3"
#: Object identifiers begin so in ICH's code lists and namespaces.
ICH = "2.16.840.1.113883.3.989.2.1"
OBSERVATIONS = f"{ICH}.1.19"
#: ICH E2B(R3) 3.3.6, and NA, which some elements allow.
NULL_FLAVOURS = frozenset({"NI", "MSK", "UNK", "NA", "ASKU", "NASK", "NINF", "PINF", "OTH"})

_TIME = re.compile(
    r"(\d{4})(?:(\d{2})(?:(\d{2})(?:(\d{2})(?:(\d{2})(?:(\d{2})(\.\d{1,6})?)?)?)?)?)?([+-]\d{2})?(\d{2})?$"
)
#: UCUM units of an age in years (D.2.2b).
_YEARS = {
    "a": 1.0,
    "10.a": 10.0,
    "{decade}": 10.0,
    "mo": 1 / 12,
    "wk": 7 / 365.25,
    "d": 1 / 365.25,
    "h": 1 / 8766.0,
}


@cache
def path(text: str) -> str:
    """Return `a/b` as lxml wants it: every step in the HL7 namespace; `@x='y'` conditions as they are."""
    return "/".join(f"{{{NAMESPACE}}}{step}" if step not in {".", ""} else step for step in text.split("/"))


def first(element: etree._Element | None, text: str) -> etree._Element | None:
    """Return the first element at a path, or None."""
    if element is None:
        return None
    tag = path(text)
    return element.find(tag) if "/" in text else next(element.iterchildren(tag), None)


def each(element: etree._Element | None, text: str) -> Iterator[etree._Element]:
    """Yield the elements at a path."""
    if element is None:
        return iter(())
    tag = path(text)
    return element.iterfind(tag) if "/" in text else element.iterchildren(tag)


def attribute(element: etree._Element | None, name: str) -> str:
    """Return an attribute, else the null flavour, else ""."""
    return "" if element is None else (element.get(name) or element.get("nullFlavor") or "").strip()


def stated(value: str) -> str:
    """Return the value, or "" when it is only a null flavour."""
    return "" if value in NULL_FLAVOURS else value


def masked_or_stated(element: etree._Element | None, name: str = "") -> bool:
    """Tell whether the source holds the value: it gives it (`name` attribute, else text) or masks it (MSK)."""
    if element is None:
        return False
    return element.get("nullFlavor") == "MSK" or bool(element.get(name) if name else content(element))


def content(element: etree._Element | None) -> str:
    """Return all text inside an element, comments apart, without outer white space."""
    if element is None:
        return ""
    if len(element) == 0:
        return (element.text or "").strip()
    return str(element.xpath("string()")).strip()


def moment(value: str) -> str:
    """Return an HL7 time (`20240315102030-0500`, any precision) in ISO 8601; anything else as it was given."""
    found = _TIME.match(value)
    if found is None:
        return value
    year, month, day, hour, minute, second, fraction, zone, zone_minute = found.groups()
    date = "-".join(part for part in (year, month, day) if part)
    if hour is None:
        return date if zone is None and zone_minute is None else value
    clock = ":".join(part for part in (hour, minute, second) if part) + (fraction or "")
    offset = f"{zone}:{zone_minute or '00'}" if zone else ""
    return f"{date}T{clock}{offset}"


def when(element: etree._Element | None) -> str:
    """Return an element's `value` as a moment, or its null flavour, or ""."""
    return moment(attribute(element, "value"))


def period(element: etree._Element | None) -> tuple[str, str]:
    """Return start and end in an effective time: of an interval, or of the intervals of a combination (SXPR_TS)."""
    if element is None:
        return "", ""
    low = next(element.iter(path("low")), None)
    high = next(element.iter(path("high")), None)
    flavour = attribute(element, "nullFlavor")
    return when(low) or flavour, when(high) or flavour


def years(value: str, unit: str) -> float | None:
    """Return an age in years, two decimals above one year, four below; None for no number or an unknown unit."""
    try:
        number = float(value) * _YEARS[unit]
    except (KeyError, ValueError):
        return None
    return round(number, 2 if number >= 1 else 4) if 0 <= number < 1000 else None


def code_of(element: etree._Element | None, code_path: str = "code") -> tuple[str, str]:
    """Return (code, code system) of an observation or its like."""
    found = first(element, code_path)
    return ("", "") if found is None else (found.get("code") or "", found.get("codeSystem") or "")


def joined(values: Iterable[str]) -> str:
    """Return values that say something, once each, joined by "; "."""
    return "; ".join(dict.fromkeys(value for value in values if value))


def extension(element: etree._Element | None, root: str, text: str = "id") -> str:
    """Return the extension of the id with this root, else its null flavour, else ""."""
    for found in each(element, text):
        if found.get("root") == root:
            return attribute(found, "extension")
    return ""
