"""E2B(R3) batches (`MCCI_IN200100UV01`): every ICSR (`PORR_IN049016UV`) is one case; the reader is hardened.

The batch is cut into its ICSRs first (`e2b_split`), each is parsed alone, and what stands around them is parsed too, so
that nothing is lost between two tags. The parser knows no document type, no entity but XML's five, no network, and
keeps libxml2's own limits (10 MB a text, 256 levels).
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator

from lxml import etree

from vigimesh.intake.e2b_fields import NAMESPACE, case_of
from vigimesh.intake.e2b_prolog import (
    ACKNOWLEDGEMENT,
    BATCH,
    ICSR,
    PROLOG_BYTES,
    BadProlog,
    Prolog,
    lines_in,
    read_prolog,
)
from vigimesh.intake.e2b_split import Piece, Splitter
from vigimesh.intake.plain import READ_ERRORS, encoding_of, head_of, is_packed, open_plain
from vigimesh.intake.values import (
    CHUNK_BYTES,
    MESSAGE_BYTES,
    Accepted,
    FilePart,
    Item,
    Origin,
    Refusal,
    Skipped,
)

#: Line ends fed to the parser of the envelope in place of an ICSR, so that its line numbers hold.
_LINES_FED = 1_000_000
#: Root elements of messages that people send here by mistake.
_NOT_READ = {"ichicsr": "an E2B(R2) message", ICSR: "an ICSR without its batch"}
_PLACE = re.compile(r" *, line \d+, column \d+.*$")
#: Characters of a parser's message that are repeated.
_MESSAGE_CHARS = 200


def read_e2b(origin: Origin) -> Iterator[Item]:
    """Yield every ICSR of a batch as `Accepted` or `Refusal`, in order; memory is bounded by one ICSR.

    A broken ICSR is refused by its number and line and those after it are still read. A batch that ends too soon, or is
    not well-formed outside its ICSRs, is one refusal more, for what may have stood there.
    """
    try:
        with open_plain(origin.path) as stream:
            prolog = _prolog(origin, stream)
        if isinstance(prolog, Prolog):
            with open_plain(origin.path) as stream:
                yield from _read(origin, prolog, stream)
        else:
            yield prolog
    except READ_ERRORS as error:
        yield _unreadable(origin, "", error, None)


def _read(origin: Origin, prolog: Prolog, stream: io.BufferedIOBase) -> Iterator[Item]:
    envelope = _Envelope(prolog)
    splitter = Splitter(stream=stream, outside=envelope.feed)
    try:
        for piece in splitter.pieces():
            envelope.stand_for(piece)
            yield _message(origin, prolog, piece)
    except READ_ERRORS as error:
        yield _broken_off(origin, splitter, error)
        return
    yield from envelope.findings(origin, splitter.number)


def _prolog(origin: Origin, stream: io.BufferedIOBase) -> Prolog | Refusal | Skipped:
    head = head_of(stream, PROLOG_BYTES)
    prolog = read_prolog(head, _shown(origin), whole=len(head) < PROLOG_BYTES)
    if isinstance(prolog, BadProlog):
        return origin.refuse(prolog.code, f"line {prolog.line}", prolog.what, prolog.todo)
    if prolog.root == BATCH:
        return prolog
    if prolog.root == ACKNOWLEDGEMENT:
        return Skipped(source=origin.name, why="an E2B(R3) acknowledgement: it holds no case")
    if prolog.root in _NOT_READ:
        return origin.refuse(
            "VM-1403", f"line {lines_in(head[: prolog.skip]) + 1}", f"{_NOT_READ[prolog.root]} ({prolog.root}) is not read",
            f"send an E2B(R3) batch: its root is {BATCH}",
        )  # fmt: skip
    return Skipped(
        source=origin.name, why=f"an XML file whose root is {prolog.root}, not {BATCH}: it holds no ICSR"
    )


def _shown(origin: Origin) -> str:
    """Return the encoding that the file's own bytes show, under a gzip too."""
    if is_packed(origin.path):
        return ""
    with origin.path.open("rb") as file:
        return encoding_of(file.read(8))[0]


def _message(origin: Origin, prolog: Prolog, piece: Piece) -> Accepted | Refusal:
    place = f"ICSR {piece.number}, line {piece.line}"
    kept: bytes | FilePart = origin.part(piece.start, piece.end) if piece.data is None else piece.data
    if piece.fault:
        return origin.refuse("VM-1405", place, f"the ICSR is cut off: {piece.fault}",
                             "send this ICSR again, whole; the others of the batch were read", kept)  # fmt: skip
    if piece.data is None:
        return origin.refuse(
            "VM-1407", place, f"the ICSR has {piece.end - piece.start} bytes, at most {MESSAGE_BYTES} are read",
            "send large attachments apart and shorten the texts", kept,
        )  # fmt: skip
    try:
        icsr = _parse(prolog, piece.data)
    except etree.XMLSyntaxError as error:
        line = piece.line + max(error.lineno or 1, 1) - 1
        message = _message_of(error)
        limit = "limit" in message.lower() or "huge" in message.lower()
        code = "VM-1407" if limit else "VM-1405"
        what = f"the ICSR is over a limit of the XML parser (10 MB a text, 256 levels): {message}"
        what = what if limit else f"the ICSR is not well-formed XML: {message}"
        return origin.refuse(code, f"ICSR {piece.number}, line {line}", what,
                             "correct the XML and send this ICSR again; the others of the batch were read", kept)  # fmt: skip
    if icsr is None:
        return origin.refuse("VM-1405", place, f"the ICSR is not in the namespace {NAMESPACE}",
                             f'write xmlns="{NAMESPACE}" on the root element', kept)  # fmt: skip
    read = case_of(icsr, origin, piece.number)
    if read is None:
        return origin.refuse("VM-1408", place, "the ICSR has neither C.1.1 nor C.1.8.1: nothing names the case",
                             "give the sender's safety report unique identifier (C.1.1)", kept)  # fmt: skip
    return read


def _message_of(error: etree.XMLSyntaxError) -> str:
    """Return what the parser says, without its own line, which counts from the ICSR."""
    return _PLACE.sub("", str(error.msg).replace("\n", " "))[:_MESSAGE_CHARS].strip()


def _options(prolog: Prolog) -> dict[str, object]:
    return {
        "encoding": prolog.encoding,
        "resolve_entities": False,
        "no_network": True,
        "load_dtd": False,
        "dtd_validation": False,
        "huge_tree": False,
    }


def _parse(prolog: Prolog, data: bytes) -> etree._Element | None:
    """Parse one ICSR inside the batch's own root tag (its namespaces); None when it is in another namespace."""
    parser = etree.XMLParser(**_options(prolog))  # type: ignore[arg-type]  # one place for the options of both parsers
    tag = b" ".join(prolog.tag.split())
    parser.feed(tag)
    for start in range(0, len(data), CHUNK_BYTES):
        parser.feed(data[start : start + CHUNK_BYTES])
    parser.feed(b"</" + tag[1:].split()[0].rstrip(b">") + b">")
    root = parser.close()
    found = root.find(f"{{{NAMESPACE}}}{ICSR}")
    return found if found is not None and len(root) == 1 else None


class _Envelope:
    """Parses all of a batch that is no ICSR, each ICSR replaced by an empty element; builds no tree."""

    def __init__(self, prolog: Prolog) -> None:
        self._depth = 0
        self._strays: list[str] = []
        self._fault = ""
        self._line = 0
        self._parser = etree.XMLParser(target=self, **_options(prolog))  # type: ignore[arg-type]  # as above

    def start(self, tag: str, attributes: object) -> None:
        """Take a start tag (lxml's parser target)."""
        name = etree.QName(tag).localname
        if self._depth == 1 and name.startswith("PORR_") and name != ICSR and not self._strays:
            self._strays.append(name)
        self._depth += 1

    def end(self, tag: str) -> None:
        """Take an end tag (lxml's parser target)."""
        self._depth -= 1

    def close(self) -> None:
        """End the document (lxml's parser target)."""

    def feed(self, data: bytes) -> None:
        """Parse what stands outside; after the first fault nothing more."""
        if self._fault or not data:
            return
        try:
            self._parser.feed(data)
        except etree.XMLSyntaxError as error:
            self._fail(error)

    def stand_for(self, piece: Piece) -> None:
        """Put an empty element where an ICSR stands."""
        self.feed(f"<{ICSR}/>".encode() + b"\n" * min(piece.lines, _LINES_FED))

    def findings(self, origin: Origin, count: int) -> Iterator[Refusal]:
        """Yield what is wrong with the batch itself, its ICSRs apart."""
        if not self._fault:
            try:
                self._parser.close()
            except etree.XMLSyntaxError as error:
                self._fail(error)
        if self._fault:
            yield origin.refuse(
                "VM-1405", f"line {self._line}, outside the {count} ICSRs found",
                f"the batch is not well-formed or ends too soon: {self._fault}",
                "send the batch again, whole; the ICSRs found in it were handled one by one",
            )  # fmt: skip
        elif count == 0:
            yield origin.refuse("VM-1403", "", "the batch holds no ICSR", f"send at least one {ICSR}")
        for name in self._strays:
            yield origin.refuse(
                "VM-1403", "", f"the batch holds {name}, which is not read", f"send {ICSR} messages"
            )

    def _fail(self, error: etree.XMLSyntaxError) -> None:
        self._fault = _message_of(error)
        self._line = error.lineno or 1


def _broken_off(origin: Origin, splitter: Splitter, error: BaseException) -> Refusal:
    opened = splitter.opened
    if opened is None:
        return _unreadable(
            origin, f"after ICSR {splitter.number}, line {splitter.line}", error, splitter.offset
        )
    return _unreadable(origin, f"from ICSR {opened.number} on, line {opened.line}", error, opened.start)


def _unreadable(origin: Origin, place: str, error: BaseException, start: int | None) -> Refusal:
    if isinstance(error, UnicodeDecodeError):
        code, what = "VM-1404", f"the bytes are not {error.encoding}, as the file's beginning says"
        todo = "save the file in UTF-8 and send it again"
    elif isinstance(error, OSError) and error.errno is not None:
        code, what, todo = (
            "VM-1401",
            f"the file can't be read: {error.strerror}",
            "check that it is there and may be read",
        )
    else:
        code, what, todo = "VM-1402", "the gzip is cut off or damaged", "pack and send the file again"
    if start:
        what += "; the ICSRs before were read"
    return origin.refuse(code, place, what, todo)
