"""Which redaction rules are in force: a digest of their source, so that a record can say by which of them a text was made."""

from __future__ import annotations

from functools import cache
from importlib import resources

from vigimesh.events.ids import digest


@cache
def rules_digest() -> str:
    """Return the digest (64 hexadecimal digits) of all rules and word lists of this package and of `domain.language`, the same for the same source.

    A comment counts as well: that is safe, since another digest never makes two different rules look the same.
    """
    files = resources.files(__package__)
    language = resources.files("vigimesh.domain") / "language.py"
    own = (one for one in files.iterdir() if one.name.endswith(".py"))
    found = sorted((one.name, one.read_bytes()) for one in (*own, language))
    if not any(name == "redaction.py" for name, _ in found):
        raise FileNotFoundError(
            "domain/privacy/redaction.py"
        )  # installed without its source: nothing can be proved
    return digest(b"\0".join(part for name, data in found for part in (name.encode(), digest(data).encode())))
