"""Which version of the reading of seriousness is at work: what was certified with one may not be relied on with another."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources

#: The modules that decide what a text tells. A change of one, be it of a comment, is another version: a digest cannot tell which
#: changes matter.
_MODULES = ("context", "seriousness_terms", "text_seriousness")


@cache
def reading_version() -> str:
    """Return the SHA-256 of the modules that read seriousness in a text, 64 hexadecimal digits."""
    folder = resources.files(__package__)
    found = hashlib.sha256()
    for name in _MODULES:
        found.update((folder / f"{name}.py").read_bytes())
    return found.hexdigest()
