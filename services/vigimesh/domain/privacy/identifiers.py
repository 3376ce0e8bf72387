"""Places in a plain text that identify somebody by a number, an address, a date of birth, an age or a link. Patterns only.

Every pattern has bounded repetitions, so that the time grows with the length of the text and with nothing else. Where a word
announces an identifier ("DOB", "MRN") what follows goes also when it has no known form. Sources: the eighteen identifiers of
45 CFR 164.514(b)(2)(i), ages over 89 in (C); the check digit of NHS numbers as the NHS data dictionary gives it (modulus 11).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

#: Kinds of what is taken out, as they stand in placeholders.
KINDS = ("PERSON", "PLACE", "BIRTH", "AGE-90+", "PHONE", "EMAIL", "LINK", "NUMBER", "CODE", "QUOTED")


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """Characters `start` to `end` of a text that are of a kind. `sure`: nothing that is known to be harmless saves it."""

    start: int
    end: int
    kind: str
    sure: bool = True


_MONTH = r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?"
#: A date in any usual form, also a year alone.
DATE = (
    rf"(?:\d{{1,4}}[-/.]\d{{1,2}}[-/.]\d{{1,4}}|\d{{1,2}}(?:st|nd|rd|th)?[ -]?(?:of )?{_MONTH}[ ,-]{{0,2}}(?:\d{{4}}|'?\d\d)?"
    rf"|{_MONTH} ?\d{{1,2}}(?:st|nd|rd|th)?(?:,? ?\d{{4}}|,? ?'\d\d)?|{_MONTH},? ?\d{{4}}|\d{{1,2}} ?/ ?\d{{2,4}}|\d{{8}}|(?:18|19|20)\d\d|\d{{6}})"
)
_FOLD = re.IGNORECASE
#: Atomic, so that what says "is" is never read as the value.
_IS = r"(?>[ \t]{0,3}(?:[:=#(-]|is|was|of|on|are)?[ \t]{0,3}(?:[:=#(]|on)?[ \t]{0,3})"
_BIRTH = re.compile(
    rf"\b(?:d\.? ?o\.? ?b\b\.?|date of birth|birth[ -]?dates?|birthdays?|geb\.|geburtsdatum|geboren am|née? le|fecha de nacimiento){_IS}"
    rf"(?P<value>{DATE}|(?!(?:unknown|not|n/a|unk|none|missing|withheld)\b)[^\s,;)][^\n,;)]{{0,29}})",
    _FOLD,
)
_BORN = re.compile(
    rf"\b(?:born|b\.(?= ?\d))(?: (?:on|in|at|the|around|about|circa|c\.|[A-Z][a-z]{{2,15}},?)){{0,4}} ?(?P<value>{DATE})(?! ?(?:weeks?|wks?|days?|months?|grams?|g|kg|lbs?|/7|/40)\b)",
    _FOLD,
)
_DATE_BEFORE_BIRTH = re.compile(
    rf"\b(?P<value>{DATE})[ ,]{{0,2}}\(?(?:d\.?o\.?b\b|date of birth|birth ?date|birthday)", _FOLD
)
_OLD = (
    r"(?:9\d|1[0-4]\d)",
    r"(?:ninety|(?:a|one) hundred|hundred)(?:[ -](?:and[ -])?(?:one|two|three|four|five|six|seven|eight|nine|ten))?",
)
_AGE = re.compile(
    rf"(?P<value>\b{_OLD[0]}(?:\.\d)?[ -]?(?:years?|yrs?|y\.?/?o\b|yo\b)(?:[ -]{{1,2}}(?:olds?|of age)\b|[ -]of[ -]age\b)?"
    rf"|\b{_OLD[1]}[ -]years?(?:[ -]olds?)?\b|\b(?:nonagenarian|centenarian)\b"
    r"|\b(?:(?:early|mid|late)[ -])?(?:nineties|90'?s|hundreds)(?= ?(?:\.|,|;|$|and|with|who|was|when)))"
    rf"|\b(?:aged?|age at onset)(?:[ :=]{{1,3}}(?:of |is |was )?)(?P<bare>{_OLD[0]}|{_OLD[1]}\b)(?!\d|[./]\d| ?(?:mg|%|kg|days?|weeks?|months?|hours?)\b)"
    rf"|\b(?:patient|he|she|who|man|woman|lady|gentleman) (?:is|was|,)(?: now| about| almost| over| already)? ?(?P<plain>{_OLD[0]})(?= and\b| with\b| when\b|[,.;]|$)"
    rf"|\bturn(?:ed|ing|s) (?P<turned>{_OLD[0]})\b|(?P<short>\b{_OLD[0]}[ -]?(?:[mMfF]|year)\b)",
    _FOLD,
)
_EMAIL = re.compile(
    r"[\w.+%-]{1,64}(?:@|[ ]?[(\[{]at[)\]}][ ]?| at (?=[\w-]{1,40} dot ))[\w-]{1,63}(?:(?:\.|[ ]?[(\[{]dot[)\]}][ ]?| dot )[\w-]{1,63}){1,5}",
    _FOLD,
)
_HANDLE = re.compile(r"(?<![\w@])@[A-Za-z_]\w{1,39}")
_LINK = re.compile(
    r"\b(?:https?|ftp|file|hxxps?|tel|sms|mailto|data):[^\s<>\"]{1,2000}|\bwww\.[^\s<>\"]{1,2000}"
    r"|\b(?:[a-z0-9-]{1,40}\.){1,4}(?:com|org|net|info|co\.uk|gov|edu|de|fr|io|me)(?:/[^\s<>\"]{0,500})?(?!\w)",
    _FOLD,
)
_IP = re.compile(
    r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?!\w|\.\d)|(?<![\w:])(?:[0-9a-f]{0,4}:){3,7}[0-9a-f]{1,4}(?![\w:])"
    r"|(?<![\w:])(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}(?!\w)|(?<![\w:])[0-9a-f]{1,4}::(?:[0-9a-f]{1,4}:?){1,6}(?!\w)",
    _FOLD,
)
#: Long runs without a blank may hold anything in another coding.
_CODE = re.compile(r"(?<![\w/+=])[A-Za-z0-9+/=_]{32,20000}(?![\w/+=])")

_ANNOUNCED = re.compile(
    r"\b(?:m\.?r\.?n\b\.?|(?:medical |health |hospital |clinic |patient |chart |file |case |subject |report |vaers |member |policy |insurance |insured |account "
    r"|acct |claim |group |beneficiary |licen[cs]e |licence |passport |certificate |registration |device |serial |pin |national insurance |social security |health card "
    r"|health plan |employee |student |npi |dea |screening |randomi[sz]ation |order |visit |encounter |accession |specimen |badge |vehicle |plate )(?:(?:record|chart|file|case|id|serial|card|plan|account|tag|plate) )?"
    r"(?:identifier|number|numbers|no\b\.?|num\b|nr\b\.?|id\b|i\.d\.|code|#)|record (?:number|no\b\.?|#|id)|reference (?:number|no\b\.?|#|code)|ref\b\.?:|ref\b\.? (?:no\b\.?|number|#)"
    r"|(?:hospital|medical|clinic|patient|health) records?|ssn\b|s\.s\.n\.|social security|national insurance|account(?= \d)|nhs(?: number| no\b\.?| #)?|chi number|nino\b|ni number|medicare|medicaid|npi|dea|driver'?s? licen[cs]e|licen[cs]e plate|licen[cs]e|passport|iban|credit card|card ending"
    r"|serial|s/n|sn\b(?=[ ]?[:#])|imei|udi|vin\b(?=[ ]?[:#])|id\b(?=[ ]?[:#=]| \d)|i\.d\.|case #|patient #|subject #|chart #|account #|acct\b\.?)"
    r"(?P<between>[ \t]{0,2}(?:number|no\b\.?|id\b|\(mrn\)|card|plate|#)?[ \t]{0,2}(?:[:=#]|is|was|ending in|ends in|-)?[ \t]{0,3}#?)"
    r"(?P<value>[A-Z0-9][\w/-]{0,30}(?:\.[\w/-]{1,12}){0,3}(?:[ ]\d{1,6}[A-Z]?\b){0,5})",
    _FOLD,
)
_NUMBERED = re.compile(
    r"\b(?:patient|subject|participant|case|volunteer|report|screening|randomi[sz]ation)s? (?:no\.? |nr\.? )?(?P<value>(?=[\w-]{0,8}\d[\w-]{0,4}\d)[A-Z0-9][\w-]{3,30})",
    _FOLD,
)
_SSN = re.compile(r"(?<![\w-])\d{3}[- ]\d{2}[- ]\d{4}(?![\w-])")
_NHS = re.compile(r"(?<![\w-])\d{3}[- ]?\d{3}[- ]?\d{4}(?![\w-])")
_NINO = re.compile(r"\b[A-Z]{2} ?\d{2} ?\d{2} ?\d{2} ?[A-D]\b")
_CARD = re.compile(
    r"(?<![\w-])(?:\d{4}[- ]){3}\d{3,4}(?![\w-])|\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,4})?\b"
)
#: Groups of digits that are no date, and letters with digits and a mark between: numbers of files and of persons.
_GROUPS = re.compile(r"(?<![\w.-])(?:\d{1,5}(?:[-/]\d{1,5}){3,6}|[A-Z]{1,4}-?\d{3,9}[./-]\d{1,9})(?![\w-])")
_DIGITS = re.compile(r"(?<![\w+.,/-])(?:[A-Z]{1,3}-?)?\d{7,40}(?![\d%])")
#: Behind a long number: it counts something, and stays.
_COUNTED = re.compile(
    r"\s{0,2}(?:[-/]|x ?10|cells|copies|cfu|iu\b|units?\b|cop\b|platelets|ml\b|per\b|microlit|particles|pfu|vg\b|\.\d)",
    _FOLD,
)
#: Before a long number: it names goods, and stays.
_GOODS = re.compile(r"(?:\blot|\bbatch|\bndc|\bexp|\bexpiry|\blots|\bbatches|\bcount)(?:[ ]?(?:number|numbers|no|nr|of|was|is|code|#)\.?){0,2}[ :#.]{0,3}$", _FOLD)  # fmt: skip
_PHONE = re.compile(
    r"(?<![\w.])(?:\+|00)?\(?\d(?:[\d()\-/]|[ .](?=[\d(])){4,22}\d(?!\w|\.\d)(?:[ ]?(?:x|ext\.?|extension)[ ]?\d{1,6})?",
    _FOLD,
)
_PHONE_FORM = re.compile(
    r"(?:\+?1[ .-]?)?\(?\d{3}\)?[ .\-/]{0,2}\d{3}[ .-]\d{4}|\d{3}[.-]\d{4}|(?:\+|00)\d[\d ().\-/]{6,22}|0\d{2,5}[ \-/]\d[\d -]{4,12}"
    r"|\(0\d{2,5}\) ?\d[\d -]{4,12}|0\d{1,2}(?:[ .-]\d{2,3}){3,5}"
)
_DATED = re.compile(rf"{DATE}(?![\d./-])", _FOLD)
_PHONE_CUE = re.compile(
    r"(?:tel|phone|telephone|ph|fax|mobile|cell|pager|beeper|whatsapp|sms|call(?:ed|ing|s)?|dial(?:led|ed)?|reach(?:ed|able)?|contact|landline|hotline|extension|ext|callback|text(?:ed)?)"
    r"\b[^\n\d]{0,30}$",
    _FOLD,
)
_LOCAL_PHONE = re.compile(
    r"\b(?:tel|phone|telephone|fax|mobile|cell|pager|ext|extension)\b\.?(?: (?:number|no\.?|is|was|at))?[ :.#]{1,3}(?P<value>\+?[\d(][\d ().\-/]{1,24}\d)",
    _FOLD,
)
_DIGIT_WORD = r"(?:zero|oh|one|two|three|four|five|six|seven|eight|nine|double|triple)"
_SPOKEN = re.compile(rf"\b{_DIGIT_WORD}(?:[ ,-]{{1,2}}{_DIGIT_WORD}){{4,20}}\b", _FOLD)


def identifier_spans(text: str) -> Iterator[Span]:
    """Yield what identifies somebody in `text` by its form, or by the word before it. Spans may overlap."""
    for pattern, kind in (
        (_EMAIL, "EMAIL"), (_HANDLE, "EMAIL"), (_LINK, "LINK"), (_IP, "NUMBER"), (_CODE, "CODE"), (_SSN, "NUMBER"),
        (_NINO, "NUMBER"), (_CARD, "NUMBER"), (_SPOKEN, "PHONE"),
    ):  # fmt: skip
        for found in pattern.finditer(text):
            yield Span(found.start(), found.start() + len(found.group().rstrip(".,;:!?)")), kind)
    for pattern, kind in (
        (_BIRTH, "BIRTH"), (_BORN, "BIRTH"), (_DATE_BEFORE_BIRTH, "BIRTH"), (_AGE, "AGE-90+"), (_LOCAL_PHONE, "PHONE"),
    ):  # fmt: skip
        for found in pattern.finditer(text):
            name = next(name for name, value in found.groupdict().items() if value is not None)
            start, value = found.start(name), found[name].rstrip(" .,-")
            if value:
                yield Span(start, start + len(value), kind)
    for rule in _JUDGED:
        yield from rule(text)


def _announced(text: str) -> Iterator[Span]:
    """Yield the value behind a word that announces one: whatever has a digit, and behind "MRN" and the like anything."""
    for found in (*_announcements(text), *_NUMBERED.finditer(text)):
        value = found["value"].rstrip(".-/")
        if any(map(str.isdigit, value)):
            yield Span(found.start("value"), found.start("value") + len(value), "NUMBER")


def _announcements(text: str) -> Iterator[re.Match[str]]:
    """Yield what `_ANNOUNCED` finds, also where what follows one word announces itself: "her record number is MRN 881"."""
    at = 0
    while found := _ANNOUNCED.search(text, at):
        yield found
        at = found.end() if any(map(str.isdigit, found["value"])) else found.start("value")


def _checked(text: str) -> Iterator[Span]:
    for found in _NHS.finditer(text):
        if nhs_check(found.group()) and not _GOODS.search(text, max(0, found.start() - 40), found.start()):
            yield Span(found.start(), found.end(), "NUMBER")


def nhs_check(text: str) -> bool:
    """Return whether ten digits end in the check digit of an NHS number: weights 10 to 2, modulus 11, 10 never given."""
    digits = [int(one) for one in text if one.isdigit()]
    if len(digits) != 10 or len(set(digits)) == 1:
        return False
    check = 11 - sum(digit * weight for digit, weight in zip(digits, range(10, 1, -1), strict=False)) % 11
    return check != 10 and check % 11 == digits[9]


def _long_numbers(text: str) -> Iterator[Span]:
    for found in (*_DIGITS.finditer(text), *_GROUPS.finditer(text)):
        before = text[max(0, found.start() - 40) : found.start()]
        if _COUNTED.match(text, found.end()) or _GOODS.search(before):
            continue
        if re.fullmatch(r"(?:19|20)\d{2}(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])", found.group()):
            continue  # a date, 20240315
        if sum(map(str.isdigit, found.group())) >= 5:
            yield Span(found.start(), found.end(), "NUMBER")


def _phones(text: str) -> Iterator[Span]:
    for found in _PHONE.finditer(text):
        value = found.group()
        if value.startswith("(") and ")" not in value:
            value = value[1:]
        digits = sum(map(str.isdigit, value))
        before = text[max(0, found.start() - 45) : found.start()]
        if not 6 <= digits <= 18 or _GOODS.search(before):
            continue
        cued = _PHONE_CUE.search(before) is not None
        dated = _DATED.match(value) is not None and not value.startswith(("+", "00", "("))
        if dated and not (cued and digits >= 10 and _PHONE_FORM.match(value)):
            continue
        if (_PHONE_FORM.match(value) or (cued and digits >= 7)) and not _COUNTED.match(text, found.end()):
            yield Span(found.start(), found.end(), "PHONE")


_JUDGED: tuple[Callable[[str], Iterator[Span]], ...] = (_announced, _checked, _long_numbers, _phones)
