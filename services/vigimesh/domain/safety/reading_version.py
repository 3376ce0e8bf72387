"""Which version of the reading of seriousness is at work: what was certified with one may not be relied on with another."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib import resources

#: The modules that decide what a text tells. A change of one, be it of a comment, is another version: a digest cannot tell which
#: changes matter.
_MODULES = (
    "safety/context.py", "safety/seriousness_terms.py", "safety/text_seriousness.py", "safety/grade.py", "safety/legible.py",
    "language.py", "plain_form.py", "cascade/padding.py",
)  # fmt: skip


@cache
def reading_version() -> str:
    """Return the SHA-256 of the modules that read a text and its seriousness, 64 hexadecimal digits."""
    folder = resources.files("vigimesh.domain")
    found = hashlib.sha256()
    for name in _MODULES:
        found.update((folder / name).read_bytes())
    return found.hexdigest()
