"""Amounts are whole micro-units of a currency, and whatever must be rounded is rounded up."""

from __future__ import annotations

import re

from vigimesh.errors import Refused

#: Micro-units in one unit of a currency.
MICRO = 1_000_000
#: Largest amount of one cap, call or row: a thousand million units, as in a workflow card. Sums of eight such still fit
#: the 53 bits in which a Lua script of the store counts exactly.
MAX_MICRO = 10**15

_AMOUNT = re.compile(r"(\d{1,9})(?:\.(\d{1,6}))?")


def divide_up(amount: int, by: int) -> int:
    """Return `amount / by` as a whole number, rounded up, so that no fraction is ever given away."""
    return -(-amount // by)


def is_amount(value: object) -> bool:
    """Return whether `value` is a whole number of micro-units from 0 to `MAX_MICRO`; true, a text or a fraction is none."""
    return type(value) is int and 0 <= value <= MAX_MICRO


def parse_amount(text: str) -> int:
    """Return the micro-units of an amount a person wrote, like `12` or `12.50`, exactly.

    Raises `Refused` VM-1903 for anything else: a sign, a comma, an exponent, more than six decimals.
    """
    found = _AMOUNT.fullmatch(text.strip())
    amount = int(found[1]) * MICRO + int((found[2] or "").ljust(6, "0")) if found and text.isascii() else -1
    if not is_amount(amount):
        raise Refused(
            "VM-1903", what=f"{text[:40]!r} is no amount", where="amount",
            todo="write units with at most six decimals and a point, like 12.50",
        )  # fmt: skip
    return amount


def exact_text(micro: int) -> str:
    """Return an amount, not negative, with all its decimals: made of whole numbers, since a fraction of two rounds."""
    units, rest = divmod(micro, MICRO)
    return f"{units}.{rest:06d}"


def amount_text(micro: int, currency: str) -> str:
    """Return an amount for people: at least two decimals, no more than needed, and the currency."""
    sign, units, rest = "-" * (micro < 0), *divmod(abs(micro), MICRO)
    decimals = f"{rest:06d}".rstrip("0").ljust(2, "0")
    return f"{sign}{units:,}.{decimals} {currency}".strip()
