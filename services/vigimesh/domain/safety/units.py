"""Units by the Unified Code for Units of Measure: read exactly, compared by dimension, converted without rounding.

UCUM 2.1, clauses 2-24 (the grammar: prefix and symbol, `.`, `/`, exponents, parentheses, integer factors, `{annotations}`
that count as 1), the case-sensitive form, which is the one that ICH E2B(R3) 3.3.5 asks for. `units.toml` beside this file
holds the symbols. Everything is a fraction and a power of pi: nothing is rounded, so equal is equal.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any, Literal

#: Characters of one code: the longest of the published examples has 26.
MAX_CHARACTERS = 80
#: Parentheses inside one another; the published examples have one.
MAX_DEPTH = 8
#: Distinct codes remembered: about five times those in use.
_MEMORY = 4_096

_ANNOTATION = re.compile(r"\{[^{}]*\}")
_TEN = re.compile(r"(10[*^])([+-]?[0-9]{1,2})?")
_INTEGER = re.compile(r"[0-9]{1,12}")
_SYMBOL = re.compile(r"((?:\[[^\[\]]+\]|[!-&',:-Z\\^-z|~])+)([+-]?[0-9]{1,2})?")

#: How values of a unit relate to its base unit: proportional, shifted as well (temperatures), or by another function.
Scale = Literal["ratio", "interval", "function"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """What a code means: a value in it times `factor` x pi^`pi_power` is one in base units (m, s, g, rad, K, C, cd).

    `dimension` holds each base or arbitrary unit with its exponent, sorted. A value on an interval scale is shifted by
    `shift` first; one under a function (pH, bel) has a dimension but no exact conversion.
    """

    factor: Fraction = Fraction(1)
    pi_power: int = 0
    dimension: tuple[tuple[str, int], ...] = ()
    scale: Scale = "ratio"
    shift: Fraction = Fraction(0)

    @property
    def base(self) -> str:
        """The base units as a code, such as `g.m-3`; `1` for a pure number."""
        return ".".join(name if power == 1 else f"{name}{power}" for name, power in self.dimension) or "1"

    def times(self, other: Unit, sign: int) -> Unit:
        """Return the product with `other`, or the quotient when `sign` is -1."""
        powers = dict(self.dimension)
        for name, power in other.dimension:
            powers[name] = powers.get(name, 0) + sign * power
        return Unit(
            factor=self.factor * other.factor**sign,
            pi_power=self.pi_power + sign * other.pi_power,
            dimension=tuple(sorted((name, power) for name, power in powers.items() if power)),
        )

    def power(self, exponent: int) -> Unit:
        """Return the unit raised to `exponent`."""
        return Unit(
            factor=self.factor**exponent,
            pi_power=self.pi_power * exponent,
            dimension=tuple((name, power * exponent) for name, power in self.dimension if exponent),
        )


class _NotAUnit(Exception):
    """A code that the grammar or the table does not know; never leaves this file."""


@lru_cache(maxsize=_MEMORY)
def unit(code: str) -> Unit | None:
    """Return what `code` means, or None when it is no UCUM code (case counts: `Mg` is a million `g`)."""
    if not code or len(code) > MAX_CHARACTERS or not code.isascii():
        return None
    try:
        return _Reader(code).whole()
    except _NotAUnit:
        return None


def convert(value: Decimal | int | Fraction, source: str, target: str) -> Fraction | None:
    """Return `value` of unit `source` in unit `target`, exactly; None when there is no exact conversion.

    None means: a code is unknown, the dimensions differ, one is a function (pH) and the other another unit, or pi
    would remain.
    """
    one, other = unit(source), unit(target)
    if one is None or other is None or one.dimension != other.dimension:
        return None
    if one.scale == "function" or other.scale == "function":
        return Fraction(value) if source == target else None
    if one.pi_power != other.pi_power:
        return None
    return (Fraction(value) + one.shift) * one.factor / other.factor - other.shift


class _Reader:
    """Reads one code from left to right; each character once."""

    def __init__(self, code: str) -> None:
        self.code, self.at = code, 0

    def whole(self) -> Unit:
        """Return the whole code, which may begin with `/`."""
        inverse = self._taken("/")
        found = self._component(0)
        found = self._term_rest(Unit().times(_linear(found), -1) if inverse else found, 0)
        if self.at < len(self.code):
            raise _NotAUnit
        return found

    def _term_rest(self, found: Unit, depth: int) -> Unit:
        while self.code.startswith((".", "/"), self.at):
            sign = 1 if self.code[self.at] == "." else -1
            self.at += 1
            following = self._component(depth)
            found = _linear(found).times(_linear(following), sign)
        return found

    def _component(self, depth: int) -> Unit:
        if self._taken("("):
            if depth >= MAX_DEPTH:
                raise _NotAUnit
            found = self._term_rest(self._component(depth + 1), depth + 1)
            if not self._taken(")"):
                raise _NotAUnit
            self._match(_ANNOTATION)
            return found
        if self._match(_ANNOTATION):
            return Unit()
        found = self._simple()
        self._match(_ANNOTATION)
        return found

    def _simple(self) -> Unit:
        ten = self._match(_TEN)
        if ten:
            return Unit(factor=Fraction(10) ** int(ten[2] or 1))
        number = self._match(_INTEGER)
        if number:
            if not int(number[0]):
                raise _NotAUnit
            return Unit(factor=Fraction(int(number[0])))
        symbol = self._match(_SYMBOL)
        if symbol is None:
            raise _NotAUnit
        found = _symbol(symbol[1])
        return found if symbol[2] is None else _linear(found).power(int(symbol[2]))

    def _taken(self, character: str) -> bool:
        there = self.code.startswith(character, self.at)
        self.at += there
        return there

    def _match(self, pattern: re.Pattern[str]) -> re.Match[str] | None:
        found = pattern.match(self.code, self.at)
        if found:
            self.at = found.end()
        return found


def _linear(found: Unit) -> Unit:
    """Refuse a unit that may not stand in a product (UCUM clause 22)."""
    if found.scale == "function":
        raise _NotAUnit
    # A difference of temperatures is proportional: the shift falls away ("Cel/h" is a rate).
    return found if found.scale == "ratio" else replace(found, scale="ratio", shift=Fraction(0))


@cache  # only what is known is kept, and that is prefixes times symbols
def _symbol(text: str) -> Unit:
    table = _table()
    found = _atom(text, table)
    if found is not None:
        return found
    for length in (2, 1):
        prefix = table["prefixes"].get(text[:length])
        if prefix is None or not _takes_prefix(text[length:], table):
            continue
        found = _atom(text[length:], table)
        if found is not None:
            scaled = replace(found, factor=found.factor * Fraction(prefix))
            # (value x prefix + shift) x factor = (value + shift / prefix) x factor x prefix
            return replace(scaled, shift=found.shift / Fraction(prefix))
    raise _NotAUnit


def _takes_prefix(text: str, table: Mapping[str, Any]) -> bool:
    return (
        text in table["metric"]
        or text in table["base"]
        or text in ("Cel", "Np", "[iU]")
        or (text[:1] == "B" and text in table["functions"])
    )


def _atom(text: str, table: Mapping[str, Any]) -> Unit | None:
    if text == "[pi]":
        return Unit(pi_power=1)
    if text in table["base"] or text in table["arbitrary"]:
        return Unit(dimension=((text, 1),))
    if text in table["functions"]:
        inside = unit(table["functions"][text])
        return None if inside is None else replace(inside, scale="function")
    if text in table["temperatures"]:
        row = table["temperatures"][text]
        return Unit(
            factor=Fraction(row["factor"]),
            shift=Fraction(row["shift"]),
            dimension=(("K", 1),),
            scale="interval",
        )
    definition = table["metric"].get(text) or table["plain"].get(text)
    if definition is None:
        return None
    factor, _, rest = definition.partition(" ")
    meant = unit(rest)
    return None if meant is None else replace(meant, factor=meant.factor * Fraction(factor))


@cache
def _table() -> Mapping[str, Any]:
    """Return the shipped table, read once."""
    table = tomllib.loads(files(__package__).joinpath("units.toml").read_text(encoding="utf-8"))
    return {**table, "base": frozenset(table["base"]), "arbitrary": frozenset(table["arbitrary"])}
