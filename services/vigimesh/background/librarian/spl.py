"""Product labels as Structured Product Labeling (HL7 v3 SPL): one document with sections by LOINC code.

The parser knows no document type, no entity but XML's five, no network, and keeps libxml2's own limits (10 MB a text, 256
levels). What is no text (product data elements, pictures) is not in the document; names come from the product data.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from lxml import etree

from vigimesh.background.librarian.narrative import Narrative, one_line
from vigimesh.domain.knowledge.chunks import MAX_NAMES, Document, checked
from vigimesh.domain.knowledge.sections import HEADING_CHARACTERS, Outline, Sectioned, citable
from vigimesh.domain.knowledge.texts import decoded
from vigimesh.errors import Refused
from vigimesh.events.ids import digest

NAMESPACE = "urn:hl7-org:v3"
LOINC = "2.16.840.1.113883.6.1"
#: Heading of what the label says of a section in its highlights (21 CFR 201.57(a)).
HIGHLIGHTS = "Highlights"
#: Classes of ingredients that act (SPL: as base, moiety or reference of the strength).
_ACTIVE = frozenset({"ACTIB", "ACTIM", "ACTIR"})
#: Characters of the parser's message that are repeated.
_MESSAGE_CHARACTERS = 200

_NAMED = re.compile(rb"""^\s*<\?xml[^>]{0,200}?encoding\s*=\s*["']([A-Za-z][\w.:-]{0,40})["']""")
_DECLARATION = re.compile(r"\s*<\?xml\b[^>]*>")
_DOCTYPE = re.compile(r"(?:\s++|<\?.*?\?>|<!--.*?-->)*+<!DOCTYPE", re.IGNORECASE | re.DOTALL)


def read_label(data: bytes, where: str) -> Sectioned:
    """Return the label that the bytes of one SPL document hold; `where` is the file name.

    Its id is `label/` and the setId, its version the versionNumber. Raises `Refused`: VM-1510 wrong encoding, VM-1512 no section with
    text, VM-1513 not an SPL document that may be read, VM-1503 too long or a wrong number.
    """
    root = _root(data, where)
    label_id, version = _value(root, "setId", "root"), _value(root, "versionNumber", "value")
    if not label_id or not version:
        raise _unread(
            where,
            f"it has no {'setId' if not label_id else 'versionNumber'}",
            "get the label from its source again",
        )
    narrative, outline = Narrative(where), Outline()
    for level, section in _sections(root):
        _read_section(section, level, narrative, outline)
    text = narrative.text()
    names = _names(root)
    document = Document(
        id=f"label/{label_id.lower()}", version=version, title=_title(root, names, label_id), kind="reference",
        names=names[:MAX_NAMES], aliases=(), text=text, digest=digest(data),
    )  # fmt: skip
    source = Sectioned(
        document=checked(document, where), sections=outline.end(len(text)),
        effective=_date(_value(root, "effectiveTime", "value")), remarks=tuple(_remarks(narrative, len(names))),
    )  # fmt: skip
    other = root.find(f"{_tag('component')}/{_tag('nonXMLBody')}") is not None
    todo = "its body is a file of its own (nonXMLBody): " if other else ""
    return citable(source, where, f"{todo}get the label from its source again, or enter its text as Markdown")


def _root(data: bytes, where: str) -> etree._Element:
    named = _NAMED.match(data)
    text = decoded(data, where, named[1].decode() if named else "")
    if _DOCTYPE.match(text):
        raise _unread(
            where, "a document type (DOCTYPE) is not allowed: it can declare entities", "remove the DOCTYPE"
        )
    declared = _DECLARATION.match(text)
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=True, remove_pis=True,
        encoding="utf-8",
    )  # fmt: skip
    try:
        root = etree.fromstring(text[declared.end() if declared else 0 :].encode(), parser)
    except etree.XMLSyntaxError as error:
        message = (error.msg or "").partition(", line ")[0][:_MESSAGE_CHARACTERS]
        raise _unread(f"{where}, line {error.lineno}", f"the XML is not read: {message}",
                      "get the label from its source again") from None  # fmt: skip
    if root.tag != _tag("document"):
        raise _unread(where, f"its root is {etree.QName(root).localname[:60]!r}, not an SPL document",
                      f"send a label whose root is `document` in {NAMESPACE}")  # fmt: skip
    return root


def _sections(root: etree._Element) -> Iterator[tuple[int, etree._Element]]:
    """Yield (level, section) in the order of the label; without recursion, whatever the depth."""
    body = root.find(f"{_tag('component')}/{_tag('structuredBody')}")
    waiting = [(1, body)] if body is not None else []
    while waiting:
        level, found = waiting.pop()
        if found is not body:
            yield level - 1, found
        inner = [
            one
            for part in found.iterchildren(_tag("component"))
            for one in part.iterchildren(_tag("section"))
        ]
        waiting += [(level + 1, one) for one in reversed(inner)]


def _read_section(section: etree._Element, level: int, narrative: Narrative, outline: Outline) -> None:
    code = section.find(_tag("code"))
    loinc = code.get("code", "") if code is not None and code.get("codeSystem") == LOINC else ""
    named = code.get("displayName", "")[:HEADING_CHARACTERS] if code is not None else ""
    title = one_line(section.find(_tag("title")))
    opens = narrative.size
    if 0 < len(title) <= HEADING_CHARACTERS:
        narrative.heading(title)
        outline.begin(level, title, loinc, opens, narrative.size)
    else:
        outline.begin(level, named, loinc, opens, opens)
        if title:
            narrative.heading(title)
    for text in section.iterchildren(_tag("text")):
        narrative.add(text)
    highlights = section.findall(f"{_tag('excerpt')}/{_tag('highlight')}/{_tag('text')}")
    if highlights:
        outline.begin(level + 1, HIGHLIGHTS, "", narrative.size, narrative.size)
    for text in highlights:
        narrative.add(text)


def _names(root: etree._Element) -> tuple[str, ...]:
    """Return brands, generic names and, of products with one active ingredient, the substance and its moiety.

    Parts of a kit give none: a question about the alcohol of a swab is not one about the drug beside it.
    """
    found: dict[str, str] = {}
    for product in root.iter(_tag("manufacturedProduct"), _tag("manufacturedMedicine")):
        brand = product.find(_tag("name"))
        if brand is None:
            continue
        generic = product.iterfind(f"{_tag('asEntityWithGeneric')}/{_tag('genericMedicine')}/{_tag('name')}")
        said = [brand.text or "", *map(one_line, generic)]
        active = [one for one in product.iterchildren(_tag("ingredient")) if one.get("classCode") in _ACTIVE]
        if len(active) == 1:
            said += [one_line(one) for one in active[0].iter(_tag("name"))]
        for name in (" ".join(one.split()) for one in said):
            if 0 < len(name) <= HEADING_CHARACTERS:
                found.setdefault(name.casefold(), name)
    return tuple(found.values())


def _title(root: etree._Element, names: tuple[str, ...], label_id: str) -> str:
    title = one_line(root.find(_tag("title")))
    return title if 0 < len(title) <= HEADING_CHARACTERS else names[0] if names else f"Label {label_id}"


def _remarks(narrative: Narrative, names: int) -> Iterator[str]:
    if narrative.pictures:
        count = "1 picture is" if narrative.pictures == 1 else f"{narrative.pictures} pictures are"
        yield f"{count} not read: what stands only in them cannot be cited"
    if narrative.struck:
        yield f"{narrative.struck} passages that the label marks as deleted are left out"
    if names > MAX_NAMES:
        yield f"{names - MAX_NAMES} of {names} names are left out: a question is found by the first {MAX_NAMES}"


def _date(value: str) -> str:
    """Return an HL7 time (`20171107`, any precision) as a date, or "" where it has no day."""
    return f"{value[:4]}-{value[4:6]}-{value[6:8]}" if len(value) >= 8 and value[:8].isdigit() else ""


def _value(root: etree._Element, name: str, attribute: str) -> str:
    found = root.find(_tag(name))
    return "" if found is None else (found.get(attribute) or "").strip()


def _tag(name: str) -> str:
    return f"{{{NAMESPACE}}}{name}"


def _unread(where: str, what: str, todo: str) -> Refused:
    return Refused("VM-1513", what=what, where=where, todo=todo)
