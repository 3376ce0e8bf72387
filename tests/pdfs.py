"""Small PDFs, written by hand, for tests: lines of Helvetica at places, and a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Picture:
    """A picture in grey: `dots` are its rows from the top, 0 is black."""

    width: int = 1
    height: int = 1
    dots: bytes = b"\0"

    def object(self) -> bytes:
        head = b"<</Type/XObject/Subtype/Image/Width %d/Height %d/ColorSpace/DeviceGray/BitsPerComponent 8/Length %d>>"
        return head % (self.width, self.height, len(self.dots)) + b"stream\n" + self.dots + b"\nendstream"


DOT = Picture()


@dataclass(frozen=True)
class Leaf:
    """A page: lines with x and y from the lower left in points, and the picture that fills it."""

    lines: Sequence[tuple[float, float, str]] = ()
    picture: Picture | None = None


def column(text: str, x: float = 50, top: float = 780, leading: float = 12) -> list[tuple[float, float, str]]:
    """Set the lines of `text` below each other; a blank one is a gap of half a line more."""
    placed, y = [], top
    for line in text.splitlines():
        y -= leading if line else leading / 2
        if line:
            placed.append((x, y, line))
    return placed


def pdf(*leaves: Leaf, encrypted: bool = False) -> bytes:
    """Return a PDF of A4 pages."""
    objects: list[bytes] = [b"<</Type/Catalog/Pages 2 0 R>>", b"",
                            b"<</Type/Font/Subtype/Type1/BaseFont/Helvetica/Encoding/WinAnsiEncoding>>"]  # fmt: skip
    kids = []
    for leaf in leaves:
        drawn = b"".join(
            b"BT /F1 10 Tf 1 0 0 1 %g %g Tm (%s) Tj ET\n" % (x, y, _escaped(words))
            for x, y, words in leaf.lines
        )
        drawn += b"q 595 0 0 842 0 0 cm /Im0 Do Q\n" if leaf.picture else b""
        shown = b""
        if leaf.picture:
            objects.append(leaf.picture.object())
            shown = b"/XObject<</Im0 %d 0 R>>" % len(objects)
        objects.append(b"<</Length %d>>stream\n%s\nendstream" % (len(drawn), drawn))
        objects.append(
            b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents %d 0 R/Resources<</Font<</F1 3 0 R>>%s>>>>"
            % (len(objects), shown)
        )
        kids.append(b"%d 0 R" % len(objects))
    objects[1] = b"<</Type/Pages/Count %d/Kids[%s]>>" % (len(kids), b" ".join(kids))
    more = b"/Encrypt<</Filter/Standard/V 1/R 2/O(%s)/U(%s)/P -4>>/ID[(a)(a)]" % (b"o" * 32, b"u" * 32)
    return _file(objects, more if encrypted else b"")


def _file(objects: Sequence[bytes], more: bytes) -> bytes:
    out, places = b"%PDF-1.4\n", []
    for number, one in enumerate(objects, start=1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, one)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    end = b"xref\n0 %d\n0000000000 65535 f \n%strailer<</Size %d/Root 1 0 R%s>>\nstartxref\n%d\n%%%%EOF\n"
    return out + end % (len(objects) + 1, table, len(objects) + 1, more, len(out))


def _escaped(words: str) -> bytes:
    return words.encode("cp1252").replace(b"\\", b"\\\\").replace(b"(", b"\\(").replace(b")", b"\\)")
