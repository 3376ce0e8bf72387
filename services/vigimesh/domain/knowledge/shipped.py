"""The documents that come with the package."""

from __future__ import annotations

from importlib.resources import files

from vigimesh.domain.knowledge.chunks import Document, parse


def shipped_documents() -> tuple[Document, ...]:
    """Return every document of `documents/`, ordered by id; they are written by the project, for demonstrations."""
    folder = files("vigimesh.domain.knowledge") / "documents"
    found = [
        parse(file.read_text(encoding="utf-8"), file.name)
        for file in folder.iterdir()
        if file.name.endswith(".md")
    ]
    return tuple(sorted(found, key=lambda document: document.id))
