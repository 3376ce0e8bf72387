"""Units as English texts write them ("pounds", "mcg", "mg/kg/day", "meters per second"), read into UCUM codes.

`unit_words.toml` beside this file holds the names. A symbol is looked up in its own case first, then as a word in any
case. `Mg` is left ambiguous: the UCUM code is a megagram, the writer meant a milligram.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files

from vigimesh.domain.safety.units import unit

#: Distinct spellings remembered.
_MEMORY = 4_096
#: Denominators in one unit: "mg/kg/day" has two.
MAX_DENOMINATORS = 3

#: Spellings that may mean more than one unit, and each unit they may mean.
AMBIGUOUS = {"Mg": ("mg", "Mg"), "MgS": ("mg", "Mg")}
#: Letters of other scripts that stand in Latin unit symbols: micro sign, Greek mu, Greek capital omega.
_BORROWED = frozenset("µμΩ")

_EXPONENT = r"(?:[²³]|\^?[23](?![0-9.])|\([23]\))"
_TOKEN = re.compile(rf"(?:[^\W\d_]{{1,32}}{_EXPONENT}?|%)")
#: The longest names have three words ("square centimeters" has two, "mm Hg" is one symbol).
_PHRASE = re.compile(r"[^\W\d_]{1,24}(?: [^\W\d_]{1,24}){1,2}")
_OVER = re.compile(r" ?(?:/| per ) ?(?=[^\W_])")
_SPACE = re.compile(r"-|[ \t]?\n[ \t]{0,3}|[ \t]{0,3}")
#: "30 mg kg-1 day-1".
_INVERSE = re.compile(r"[ .]?([^\W\d_]{1,8})(?:-1|\(-1\)|\u207b\u00b9)(?![0-9])")
_FACTOR = re.compile(r"([1-9][0-9]{0,2}) ?")
_POWERED = re.compile(rf"(?:(cubic|cu\.?|square|sq\.?)[ -])?([^\W\d_]{{1,32}})({_EXPONENT})?")
_POWERS = {"cubic": "3", "cu": "3", "square": "2", "sq": "2", "²": "2", "³": "3"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """A unit in a text: its UCUM code, empty when not known, and where it ends. `choices` when it may be several."""

    code: str
    end: int
    choices: tuple[str, ...] = ()
    #: Written in letters of several scripts, or of one that is not Latin.
    foreign: bool = False


def unit_at(text: str, at: int) -> Named | None:
    """Return the unit that stands at `at` behind a number, or None when no word stands there.

    A blank or a dash may come first, and brackets around it ("20 [kg]"). An unknown word comes back with an empty code.
    """
    gap = _SPACE.match(text, at)
    begin = gap.end() if gap else at
    closing = {"[": "]", "<": ">"}.get(text[begin : begin + 1])
    found = _compound(text, begin + (closing is not None))
    if found is None or closing is None:
        return found
    if not text.startswith(closing, found.end):
        return None
    return Named(code=found.code, end=found.end + 1, choices=found.choices, foreign=found.foreign)


def code_of(name: str) -> str:
    """Return the UCUM code of one name or symbol without denominator, or an empty text."""
    return _simple(name)


def _compound(text: str, at: int) -> Named | None:
    found = _single(text, at)
    if found is None or not found.code:
        return found
    code, end = found.code, found.end
    for _ in range(MAX_DENOMINATORS):
        inverse = _INVERSE.match(text, end)
        if inverse and _simple(inverse[1]):
            code, end = f"{code}/{_grouped(_simple(inverse[1]))}", inverse.end()
            continue
        over = _OVER.match(text, end)
        if over is None:
            break
        factor = _FACTOR.match(text, over.end())
        under = _single(text, factor.end() if factor else over.end())
        if under is None or not under.code:
            # "5 mg/xyz" is no unit; "500,000 barrels a bottle" is one in front of a word.
            if under is not None and "/" in over[0]:
                return Named(code="", end=under.end, foreign=under.foreign)
            break
        if under.choices:
            return Named(code="", end=under.end, choices=())
        code += f"/({factor[1]}.{under.code})" if factor and factor[1] != "1" else f"/{_grouped(under.code)}"
        end = under.end
    choices = tuple(code.replace(found.code, choice, 1) for choice in found.choices)
    return Named(code=code, end=end, choices=choices)


def _grouped(code: str) -> str:
    return f"({code})" if "/" in code else code


def _single(text: str, at: int) -> Named | None:
    phrase = _PHRASE.match(text, at)
    if phrase:
        words = phrase[0].split(" ")
        for length in range(len(words), 1, -1):
            name = " ".join(words[:length])
            code = _simple(name)
            if code:
                return Named(code=code, end=at + len(name))
    token = _TOKEN.match(text, at)
    if token is None or (
        token.end() < len(text) and (text[token.end()].isalnum() or text[token.end()] == "_")
    ):
        return None
    name = token[0]
    if name in AMBIGUOUS:
        choices = AMBIGUOUS[name]
        return Named(code=choices[0], end=token.end(), choices=choices)
    latin = all(letter.isascii() or letter in _BORROWED or letter in "²³" for letter in name)
    return Named(code=_simple(name) if latin else "", end=token.end(), foreign=not latin)


@lru_cache(maxsize=_MEMORY)
def _simple(name: str) -> str:
    symbols, words = _names()
    if name in symbols:
        return symbols[name]
    low = name.lower()
    if low in words:
        return words[low]
    powered = _POWERED.fullmatch(low)
    if powered is None or not (powered[1] or powered[3]):
        return ""
    power = _POWERS.get((powered[1] or powered[3]).strip(".^()"), (powered[3] or "").strip("^()"))
    base = symbols.get(name[: len(powered[2])]) or words.get(powered[2], "")
    code = f"{base}{power}"
    return code if base and not base[-1].isdigit() and unit(code) else ""


@cache
def _names() -> tuple[dict[str, str], dict[str, str]]:
    """Return symbols by their case and words in lower case, read once."""
    table = tomllib.loads(files(__package__).joinpath("unit_words.toml").read_text(encoding="utf-8"))
    words = {**table["words"], **table["counts"]}
    for noun, code in table["metric"].items():
        words[noun] = code
        words |= {f"{prefix}{noun}": f"{short}{code}" for prefix, short in table["prefixes"].items()}
    plural = {f"{word}s": code for word, code in words.items() if not word.endswith("s")}
    return table["symbols"], {**plural, **words}
