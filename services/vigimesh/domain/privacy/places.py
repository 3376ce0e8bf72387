"""Places in a plain text: postal addresses, post codes, boxes, towns where somebody lives, and houses that treat few.

A country or a state is no address (45 CFR 164.514(b)(2)(i)(B): subdivisions smaller than a state are).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from vigimesh.domain.privacy.identifiers import Span
from vigimesh.domain.privacy.words import CALENDAR, COMMON, COUNTRIES, MEDICAL

_CAP = r"(?:St\.|Mt\.|Ft\.|[A-ZÀ-ÖØ-Þ][\w'-]{0,30})"
_SUFFIX = (
    r"(?:street|str|st|road|rd|avenue|ave|av|lane|ln|drive|dr|boulevard|blvd|court|ct|close|crescent|cres|way|place|pl|terrace|terr"
    r"|square|sq|highway|hwy|parkway|pkwy|circle|cir|trail|trl|row|gardens|gdns|grove|mews|hill|walk|loop|alley|pike|turnpike|route|green|wharf|rise|view|bend|run|crossing|quay)"
)
_UNIT = r"(?:,? {0,2}(?:apt|apartment|unit|suite|ste|flat|floor|fl|room|rm|lot|bldg|building|no|#)\.? ?#?[\w-]{1,8})?"
_STATE = r"(?:A[KLRZ]|C[AOT]|D[CE]|FL|GA|HI|I[ADLN]|K[SY]|LA|M[ADEINOST]|N[CDEHJMVY]|O[HKR]|P[AR]|RI|S[CD]|T[NX]|UT|V[AIT]|W[AIVY])"
_UK = r"(?:GIR ?0AA|[A-Z]{1,2}\d[A-Z\d]? ?\d[ABD-HJLNP-UW-Z]{2})"
#: What follows a street: town, state, code, each behind a comma or a new line.
_TAIL = rf"(?:(?:, {{0,2}}|,?\n ?| )(?:{_UK}\b|{_STATE}(?:,? \d{{5}}(?:-\d{{4}})?)?\b|\d{{5}}(?:-\d{{4}})?\b(?: {_CAP})?)|(?:, {{0,2}}|,?\n ?){_CAP}(?: {_CAP}){{0,2}}(?=[,.;\n)]| {_STATE}\b| {_UK}\b| \d{{5}})){{0,4}}"
_STREET = re.compile(
    rf"\b\d{{1,6}}[A-Za-z]?(?:[-/]\d{{1,4}})?,? (?:[NSEW]\.? |North |South |East |West )?(?:{_CAP} |\d{{1,3}}(?:st|nd|rd|th) ){{1,4}}(?i:{_SUFFIX})\b\.?{_UNIT}{_TAIL}"
)
_STREET_AT_HOME = re.compile(
    rf"\b(?:live[sd]?|resid(?:es|ed|ing)|living|address|addr|home|house|mail(?:ed|ing)?|sent|send|residence)\b[^\n\d]{{0,24}}(?P<value>\d{{1,6}}[a-z]? (?:[\w'.-]{{1,24}} ){{1,4}}{_SUFFIX}\b\.?{_UNIT}{_TAIL})",
    re.IGNORECASE,
)
#: Behind "address:" everything goes up to the end of the sentence.
_ADDRESS = re.compile(
    r"\b(?:(?:home|postal|mailing|street|patient|reporter|residential|e-?mail|ip)'?s? )?addr(?:ess)?(?: is| was)?(?::| -| is| was) {0,3}(?P<value>(?!(?:unknown|not|n/a|withheld)\b)(?:[^\n;.]|\.(?! [A-Z0-9]|\n|$)){2,120})",
    re.IGNORECASE,
)
_STRASSE = re.compile(
    r"\b(?:[A-ZÄÖÜ][\wäöüß-]{1,30}(?:straße|strasse|str\.|weg|platz|allee|gasse|ring|damm|ufer|gracht|laan|straat|plein|gatan|vej)|(?:Am|Im|Zum|Zur|An der|In der|Auf dem|Auf der|In den) (?!January|March|April|May|August)[A-ZÄÖÜ][\wäöüß-]{2,30}(?: [A-ZÄÖÜ][\wäöüß-]{2,30}){0,2}"
    r"|(?:[A-ZÄÖÜ][\wäöüß-]{1,30} )(?:Straße|Strasse|Str\.|Weg|Platz|Allee|Gasse)) \d{1,4} ?[a-z]?\b(?:, {0,2}(?:[A-Z]{1,2}-)?\d{4,5}(?: [A-ZÄÖÜ][\wäöüß-]{1,30}){1,3})?"
)
_ROMANCE = re.compile(
    rf"\b(?:\d{{1,4}}(?: ?bis)?,? (?:rue|avenue|av\.|boulevard|place|impasse|chemin|quai)(?: (?:de|du|des|la|le|les|l'|d')){{0,3}} ?{_CAP}(?: {_CAP}){{0,2}}"
    rf"|(?:Calle|Avenida|Av\.|Plaza|Paseo|Via|Viale|Piazza|Corso|Rua|Praça|ul\.)(?: (?:de|del|della|di|da|do|dos|la|las|los)){{0,2}} {_CAP}(?: {_CAP}){{0,2}},? (?:n\.?º? ?)?\d{{1,4}})(?:, {{0,2}}(?:\d{{4,5}}|\d\d-\d{{3}}) {_CAP}(?: {_CAP}){{0,2}})?"
)
_CODES = re.compile(
    rf"\b(?:{_UK}|{_STATE},? {{0,2}}\d{{5}}(?:-\d{{4}})?|\d{{5}}-\d{{4}}|[A-CEGHJ-NPRSTVXY]\d[A-Z] ?\d[A-Z]\d|(?:A|B|CH|D|F|L)-\d{{4,5}}(?: {_CAP})?)\b"
)
_ANNOUNCED_CODE = re.compile(
    r"\b(?:zip|zip ?code|post ?code|postal code|plz|cap|eircode)\b[ :=#]{0,3}(?:is |was |code )?(?P<value>[A-Z0-9][A-Z0-9 -]{2,9}\b)",
    re.IGNORECASE,
)
_GERMAN_CODE = re.compile(r"(?<![\w.,])\d{5} (?P<town>[A-ZÄÖÜ][a-zäöüß-]{2,30})\b")
_DUTCH_CODE = re.compile(
    r"\b[1-9]\d{3} ?(?!IU|MG|ML|MM|KG|MC|AM|PM|CC|GY|UL|NM|HZ|IM|IV|SC|PO|ME)[A-Z]{2}\b(?: [A-Z][a-z-]{2,30})"
)
_BOX = re.compile(
    r"\b(?:p\.? ?o\.? ?box|post ?box|post office box|postfach|apartado) ?#?:? ?\d{1,7}[a-z]?" + _TAIL,
    re.IGNORECASE,
)
_LIVES = re.compile(
    rf"\b(?:liv(?:es?|ed|ing) (?:alone )?(?:in|at|near|outside)|resid(?:es?|ed|ing) (?:in|at|near)|residents? (?:of|in)|native of|moved to|moved from|grew up in|hometown (?:is|of)|(?:city|town|village|county) of|born in|comes from|is from|was from|travell?ed from|home in)"
    rf" (?:the )?(?P<value>{_CAP}(?: (?:on|upon|de|la|of|under|am|an der) {_CAP}| {_CAP}){{0,3}}(?:, {_CAP}(?: {_CAP})?)?)"
)
_HOUSE = re.compile(
    rf"(?P<value>(?:{_CAP} (?:(?:of|and|&|the|de) ){{0,2}}){{1,4}})(?:Hospital|Clinic|Medical (?:Center|Centre|Group|Practice)|Health (?:Center|Centre|System|Clinic|Department)|Infirmary|Surgery|Pharmacy|Hospice|Nursing Home|Care Home"
    r"|Elementary|Middle School|High School|Primary School|School|College|University|Academy|Church|Sanatorium|Klinikum|Krankenhaus|Rehabilitation)\b"
)
_ORDINARY = CALENDAR | COMMON | COUNTRIES | MEDICAL


def place_spans(text: str) -> Iterator[Span]:
    """Yield where somebody lives or was treated. Spans may overlap."""
    for pattern in (_STREET, _STRASSE, _ROMANCE, _CODES, _DUTCH_CODE, _BOX):
        for found in pattern.finditer(text):
            yield Span(found.start(), found.end(), "PLACE")
    for pattern in (_STREET_AT_HOME, _ADDRESS, _ANNOUNCED_CODE):
        for found in pattern.finditer(text):
            if pattern is not _ANNOUNCED_CODE or any(map(str.isdigit, found["value"])):
                yield Span(*found.span("value"), "PLACE")
    for found in _LIVES.finditer(text):
        start = found.start("value")
        if found["value"].casefold().rstrip(".") not in COUNTRIES:
            yield Span(start, start + len(found["value"].rstrip(".")), "PLACE")
    for found in _GERMAN_CODE.finditer(text):
        if found["town"].casefold() not in _ORDINARY:
            yield Span(found.start(), found.end(), "PLACE")
    yield from _houses(text)


def _houses(text: str) -> Iterator[Span]:
    """Yield the proper name of a house: what of it is no ordinary word, and what stands between."""
    for found in _HOUSE.finditer(text):
        names = [
            one for one in re.finditer(r"[\w'.-]{1,31}", found["value"]) if one.group()[0].isupper()
            and one.group().casefold().rstrip(".") not in _ORDINARY
        ]  # fmt: skip
        if names:
            start = found.start("value")
            yield Span(start + names[0].start(), start + names[-1].end(), "PLACE")
        elif re.search(r"\b(?:St|Saint|Memorial|General|Children)", found["value"]):
            yield Span(found.start("value"), found.start("value") + len(found["value"].rstrip()), "PLACE")
