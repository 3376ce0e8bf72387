"""From bytes to a document with sections, whatever of the known forms they have."""

from __future__ import annotations

from typing import NoReturn

from vigimesh.background.librarian.pdf import read_pdf
from vigimesh.background.librarian.spl import read_label
from vigimesh.domain.knowledge.sections import Sectioned
from vigimesh.domain.knowledge.texts import Identity, read_markdown, read_text
from vigimesh.errors import Refused
from vigimesh.ports import PageReader

#: Bytes at the beginning in which a form shows itself; a PDF may have 1,024 before its mark (PDF Reference 1.7, appendix H).
_HEAD_BYTES = 1_024
_OTHER = {
    b"PK\x03\x04": "a Word file or another packed one",
    b"\xd0\xcf\x11\xe0": "an old Word file",
    b"{\\rtf": "RTF",
    b"\x1f\x8b": "gzip",
}
_MARKDOWN = (".md", ".markdown")


def read_document(
    data: bytes, where: str, identity: Identity | None = None, scans: PageReader | None = None
) -> Sectioned:
    """Return the document that `data` holds: an SPL label, a PDF, Markdown (`where` ends in .md) or plain text.

    `identity` says what a text does not say of itself; Markdown with front matter of its own (`chunks.parse`) and labels need none.
    `scans` reads pages of a PDF that are pictures. Raises `Refused`: VM-1511 for other forms that are not read, else as the readers do.
    """
    head = data[:_HEAD_BYTES]
    if b"%PDF-" in head:
        return read_pdf(data, where, identity or _nameless("a PDF", where), scans)
    for start, kind in _OTHER.items():
        if data.startswith(start):
            raise Refused(
                "VM-1511",
                what=f"{kind} is not read",
                where=where,
                todo="save it as Markdown or plain text in UTF-8",
            )
    if _is_xml(head):
        return read_label(data, where)
    if where.lower().endswith(_MARKDOWN):
        return read_markdown(data, where, identity)
    return read_text(data, where, identity or _nameless("plain text", where))


def _nameless(form: str, where: str) -> NoReturn:
    raise Refused("VM-1503", what=f"{form} does not say which document and version it is", where=where,
                  todo=f"give id, version and title, or write them into a file {where}.toml beside it")  # fmt: skip


def _is_xml(head: bytes) -> bool:
    """Tell XML in any encoding: `<?xml`, `<document` or `<!` begins it."""
    plain = head.replace(b"\0", b"").lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n").lower()
    return plain.startswith((b"<?xml", b"<document", b"<!doctype", b"<!--"))
