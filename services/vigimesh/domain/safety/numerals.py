"""Numbers as English texts write them, read into exact decimals: digits, grouped digits, fractions, powers and words."""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction

#: Significant digits of a number that is believed: more than any quantity in medicine has.
MAX_DIGITS = 40
#: Power of ten of a number that is believed.
MAX_POWER = 60

_SMALL = {
    word: value
    for value, word in enumerate(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
        "eighteen nineteen".split()
    )
}
_TENS = {
    word: 10 * value
    for value, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), start=2)
}
_LARGE = {"hundred": 100, "thousand": 1_000, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_VULGAR = {
    "½": Fraction(1, 2), "¼": Fraction(1, 4), "¾": Fraction(3, 4), "⅓": Fraction(1, 3), "⅔": Fraction(2, 3),
    "⅛": Fraction(1, 8), "⅜": Fraction(3, 8), "⅝": Fraction(5, 8), "⅞": Fraction(7, 8),
}  # fmt: skip

_VULGAR_SET = f"[{''.join(_VULGAR)}]"
_ANY = "|".join(sorted((*_SMALL, *_TENS, *_LARGE, "dozen"), key=len, reverse=True))
#: A comma groups thousands, or stands for the point where it cannot ("0,5", "1,25").
_PLAIN = r"(?:[1-9][0-9]{0,2}(?:,[0-9]{3})++(?![0-9])(?:\.[0-9]++)?|[0-9]++(?:[.,][0-9]++)?|\.[0-9]++)"
_FRACTION = r"[0-9]{1,2}/(?:2|3|4|5|6|8|10|12|16|32|100)(?![0-9])"
_WORDS = rf"(?:{_ANY})(?:[ -](?:and[ -])?(?:{_ANY})\b){{0,16}}"
_TEN = r"10(?:\^?[+-]?[0-9]{1,4}|\([+-]?[0-9]{1,3}\))"
#: A number in the middle of a text; never glued to letters or digits before it. Compile with `re.IGNORECASE`.
NUMBER = (
    r"(?<![A-Za-z0-9_.])(?<![0-9],)(?<![A-Za-z0-9]-)(?<![0-9]/)"
    rf"(?:[0-9]{{1,6}}[ -]{_FRACTION}|(?<![0-9] ){_FRACTION}|[0-9]{{0,6}} ?{_VULGAR_SET}"
    rf"|{_PLAIN} ?[x\u00d7*] ?{_TEN}|{_PLAIN}e[+-]?[0-9]{{1,4}}\b|10\^[+-]?[0-9]{{1,4}}"
    rf"|{_PLAIN}(?:[ -](?:thousand|million|billion|trillion)\b)?|\b{_WORDS}\b)(?!\.?[0-9])"
)

#: What every number holds, in lower case.
ANCHOR = re.compile(rf"[0-9{''.join(_VULGAR)}]|{_ANY}")

_POWER = re.compile(r"(.*?) ?(?:[x\u00d7*] ?10[\^(]?|e|(?<=10)\^)([+-]?[0-9]{1,4})\)?", re.IGNORECASE)
_SCALED = re.compile(r"(.*)[ -](thousand|million|billion|trillion)", re.IGNORECASE)
_MIXED = re.compile(r"(?:([0-9]{1,6})[ -])?([0-9]{1,2})/([0-9]{1,3})")
_GROUPED = re.compile(r"[1-9][0-9]{0,2}(?:,[0-9]{3})+(?:\.[0-9]+)?")


def number(text: str) -> Decimal | None:
    """Return the value of a number that `NUMBER` matched; None when it is none ("five six") or beyond belief.

    A fraction whose digits never end (1/3) is None too: no rounded value is passed off as exact.
    """
    low = text.strip().lower()
    if low[:1].isalpha():
        value = _words(low)
        return None if value is None else Decimal(value)
    power = _POWER.fullmatch(low)
    if power:
        return _powered(power[1], int(power[2]), bare=low.startswith("10^"))
    scaled = _SCALED.fullmatch(low)
    if scaled:
        base = _digits(scaled[1])
        return None if base is None else base * _LARGE[scaled[2]]
    mixed = _MIXED.fullmatch(low)
    if mixed:
        return _mixed(int(mixed[1] or 0), int(mixed[2]), int(mixed[3]))
    if low[-1:] in _VULGAR:
        part = _VULGAR[low[-1]]
        return _mixed(int(low[:-1].strip() or 0), part.numerator, part.denominator)
    return _digits(low)


def _digits(text: str) -> Decimal | None:
    if len(text) > 2 * MAX_DIGITS:
        return None
    plain = text.replace(",", "") if _GROUPED.fullmatch(text) else text.replace(",", ".")
    if plain.count(".") > 1:
        return None
    value = Decimal(plain)
    return value if len(value.as_tuple().digits) <= MAX_DIGITS else None


def _powered(text: str, power: int, *, bare: bool) -> Decimal | None:
    base = Decimal(1) if bare else _digits(text)
    return None if base is None or abs(power) > MAX_POWER else base.scaleb(power)


def _mixed(whole: int, over: int, under: int) -> Decimal | None:
    if not under or over >= under:
        return None
    places = next((n for n in range(7) if 10**n % (under // _common(over, under)) == 0), None)
    if places is None:
        return None
    return whole + Decimal(over * 10**places // under).scaleb(-places)


def _common(one: int, other: int) -> int:
    while other:
        one, other = other, one % other
    return one


def _words(text: str) -> int | None:
    """Return the value of number words; "twenty and four" is 24, "two thousand and eighteen" 2018."""
    total, group, last = 0, 0, 0
    for word in text.replace("-", " ").split():
        if word == "and":
            continue
        if word in _SMALL:
            # A unit follows tens or a hundred, never another unit ("five six", "ten two").
            if last and (last < 20 or (last < 100 and not 0 < _SMALL[word] < 10)):
                return None
            group, last = group + _SMALL[word], _SMALL[word] or 1
        elif word in _TENS:
            if last and last < 100:
                return None
            group, last = group + _TENS[word], _TENS[word]
        elif word == "dozen":
            group, last = (group or 1) * 12, 12
        elif word == "hundred":
            group, last = (group or 1) * 100, 100
        else:
            total, group, last = total + (group or 1) * _LARGE[word], 0, 1_000
    return total + group
