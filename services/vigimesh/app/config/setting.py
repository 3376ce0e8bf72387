"""What one setting is: its variable, its meaning, and the kind that reads, writes and masks its value."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlsplit

#: What stands for a value that is not shown.
MASK = "***"

#: Key of a dataclass field's metadata under which its `Setting` is kept.
SETTING = "setting"

_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
#: The password inside a URL (to the last `@`, since a careless one holds `/` or `@` itself), or in `key=value` pairs.
_URL_PASSWORD = re.compile(r"(?<=://)([^:@/]*):.*(?=@)")
_PAIR_PASSWORD = re.compile(r"(?i)\b((?:ssl)?password)\s*=\s*('(?:[^'\\]|\\.)*'|\S+)")
_SECRET_QUERY = re.compile(r"(?i)([?&][^=&]*(?:password|secret|token|key)[^=&]*)=[^&]*")
_SECRET_OPTION = re.compile(
    r"(?i)password|secret|\.key|token|credential|sasl\.jaas|oauthbearer\.config|user\.info|\.pem$"
)

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """How a value is read from text and written back. `read` raises `ValueError` for what it does not take."""

    expected: str
    read: Callable[[str], Any]
    write: Callable[[Any], str] = str
    #: What may be shown of a written value.
    mask: Callable[[str], str] = str


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One row of the table of settings."""

    variable: str
    kind: Kind
    meaning: str


def declare(variable: str, default: T, kind: Kind, meaning: str) -> T:
    """Return a dataclass field for a setting; it reads as its default to the type checker."""
    row = Setting(variable=variable, kind=kind, meaning=meaning)
    made: Any = field(default=default, metadata={SETTING: row}, repr=kind.mask is str)
    result: T = made
    return result


def mask_url(text: str) -> str:
    """Hide what a connection URL or string gives away: user's password, secret parameters."""
    if "://" not in text:
        return _PAIR_PASSWORD.sub(lambda m: f"{m[1]}={MASK}", text)
    text = _URL_PASSWORD.sub(lambda m: f"{m[1]}:{MASK}", text)
    return _SECRET_QUERY.sub(lambda m: f"{m[1]}={MASK}", text)


def read_options(text: str) -> tuple[tuple[str, str], ...]:
    """Read `name=value;name=value`; a `;` inside a value is written `;;`."""
    pairs: list[tuple[str, str]] = []
    # NUL cannot stand in an environment variable: it takes the place of an escaped separator meanwhile.
    for part in text.replace(";;", "\0").split(";"):
        if not part.strip():
            continue
        name, equals, value = part.partition("=")
        name = name.strip()
        if not equals or not name or name in dict(pairs):
            raise ValueError(part)
        pairs.append((name, value.strip().replace("\0", ";")))
    return tuple(pairs)


def write_options(pairs: tuple[tuple[str, str], ...]) -> str:
    """Write options as `read_options` reads them."""
    return ";".join(f"{name}={value.replace(';', ';;')}" for name, value in pairs)


def mask_options(text: str) -> str:
    """Hide the values of options whose name speaks of a secret."""
    return write_options(
        tuple((name, MASK if _SECRET_OPTION.search(name) else value) for name, value in read_options(text))
    )


def _read_hosts(text: str) -> str:
    hosts = [part.strip() for part in text.split(",")]
    for host in hosts:
        found = _HOST.fullmatch(host)
        if found is None or not 0 < int(found[1]) < 65_536:
            raise ValueError(host)
    return ",".join(hosts)


def _read_flag(text: str) -> bool:
    try:
        return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}[text.lower()]
    except KeyError:
        raise ValueError(text) from None


def _read_name(text: str) -> str:
    if _NAME.fullmatch(text) is None:
        raise ValueError(text)
    return text


def url_with(*schemes: str) -> Kind:
    """Return the kind of a URL with one of the schemes."""

    def read(text: str) -> str:
        parts = urlsplit(text)
        if parts.scheme not in schemes or not (parts.netloc or parts.path.strip("/")):
            raise ValueError(text)
        return text

    return Kind(
        expected="a URL that begins with " + " or ".join(f"{s}://" for s in schemes), read=read, mask=mask_url
    )


def number(least: int, most: int) -> Kind:
    """Return the kind of a whole number within bounds."""

    def read(text: str) -> int:
        value = int(text)
        if not least <= value <= most:
            raise ValueError(text)
        return value

    return Kind(expected=f"a whole number from {least} to {most}", read=read)


def one_of(*words: str) -> Kind:
    """Return the kind of a word of a closed set."""

    def read(text: str) -> str:
        if text not in words:
            raise ValueError(text)
        return text

    return Kind(expected=" or ".join(words), read=read)


def _read_dsn(text: str) -> str:
    if not text.startswith(("postgresql://", "postgres://")) and "=" not in text:
        raise ValueError(text)
    return text


#: The kinds without parameters.
HOSTS = Kind(expected="host:port, several separated by commas", read=_read_hosts)
OPTIONS = Kind(
    expected="name=value;name=value (`;;` for a `;` inside a value)",
    read=read_options,
    write=write_options,
    mask=mask_options,
)
FLAG = Kind(
    expected="true or false (also 1, 0, yes, no)", read=_read_flag, write=lambda value: str(value).lower()
)
NAME = Kind(
    expected="1 to 100 letters, digits, dots, hyphens or underscores, a letter or digit first",
    read=_read_name,
)
TEXT = Kind(expected="text", read=str)
SECRET = Kind(expected="text", read=str, mask=lambda text: MASK if text else "")
DSN = Kind(
    expected="postgresql://USER:PASSWORD@HOST/DATABASE, or name=value pairs", read=_read_dsn, mask=mask_url
)
