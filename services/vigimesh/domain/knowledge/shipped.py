"""The documents that come with the package."""

from __future__ import annotations

from importlib.resources import files

from vigimesh.domain.knowledge.sections import Sectioned
from vigimesh.domain.knowledge.texts import read_markdown


def shipped_documents() -> tuple[Sectioned, ...]:
    """Return every document of `documents/`, ordered by id; they are written by the project, for demonstrations."""
    folder = files("vigimesh.domain.knowledge") / "documents"
    found = [
        read_markdown(file.read_bytes(), file.name) for file in folder.iterdir() if file.name.endswith(".md")
    ]
    return tuple(sorted(found, key=lambda source: source.document.id))
