"""Files in their plain form: unpacked, byte order marks gone, UTF-16 and UTF-32 turned into UTF-8; never whole in memory."""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path

from vigimesh.intake.values import CHUNK_BYTES, PART_BYTES, FilePart, Refusal

#: Byte order marks, the longest first (UTF-32's begins with UTF-16's).
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
#: The first bytes of `<?xml`, `<` and a letter, or `{` and a quote without a mark (XML 1.0, appendix F).
_SHAPES = (
    (b"\x00\x00\x00<", "utf-32-be"),
    (b"<\x00\x00\x00", "utf-32-le"),
    (b"\x00<\x00", "utf-16-be"),
    (b"<\x00", "utf-16-le"),
    (b"\x00{\x00", "utf-16-be"),
    (b"{\x00", "utf-16-le"),
    (b"\x4c\x6f\xa7\x94", "ebcdic"),
)
GZIP_MAGIC = b"\x1f\x8b"
#: What goes wrong while a file is read: the disk, a broken gzip, bytes that are not what their mark says.
READ_ERRORS = (OSError, EOFError, zlib.error, UnicodeDecodeError)


def encoding_of(head: bytes) -> tuple[str, int]:
    """Return the encoding that the first bytes show (empty: some ASCII-like one) and the length of the mark."""
    for mark, name in _MARKS:
        if head.startswith(mark):
            return name, len(mark)
    for shape, name in _SHAPES:
        if head.startswith(shape):
            return name, 0
    return "", 0


class _Transcoded(io.RawIOBase):
    """A stream in UTF-8 over one in another encoding; a wrong byte is a `UnicodeDecodeError` when reached."""

    def __init__(self, source: io.BufferedIOBase, encoding: str) -> None:
        self._source = source
        self._decoder = codecs.getincrementaldecoder(encoding)()
        self._ready = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: object) -> int:
        view = memoryview(buffer).cast("B")  # type: ignore[arg-type]  # a writable buffer, as the base class says
        while not self._ready:
            chunk = self._source.read(CHUNK_BYTES)
            self._ready = self._decoder.decode(chunk, final=not chunk).encode()
            if not chunk:
                break
        count = min(len(view), len(self._ready))
        view[:count], self._ready = self._ready[:count], self._ready[count:]
        return count

    def close(self) -> None:
        self._source.close()
        super().close()


def open_plain(path: Path) -> io.BufferedIOBase:
    """Open a file in its plain form; reading may raise any of `READ_ERRORS`."""
    packed = is_packed(path)
    raw: io.BufferedIOBase = gzip.GzipFile(path, "rb") if packed else path.open("rb")
    try:
        raw.seek(0)
        encoding, mark = encoding_of(raw.read(8))
        raw.seek(mark)
    except BaseException:
        raw.close()
        raise
    if encoding.startswith(("utf-16", "utf-32")):
        return io.BufferedReader(_Transcoded(raw, encoding), CHUNK_BYTES)
    return raw


def head_of(stream: io.BufferedIOBase, size: int) -> bytes:
    """Return the first bytes of a stream, at most `size`; what can be read before a damage, if anything can."""
    head = b""
    try:
        while len(head) < size and (chunk := stream.read1(size - len(head))):
            head += chunk
    except READ_ERRORS:
        if not head:
            raise
    return head


def is_packed(path: Path) -> bool:
    """Tell whether the file begins as gzip does; raises `OSError`."""
    with path.open("rb") as file:
        return file.read(len(GZIP_MAGIC)) == GZIP_MAGIC


def parts(refusal: Refusal) -> Iterator[bytes]:
    """Yield the bytes of what was refused, at most `PART_BYTES` at a time, for the object store.

    A file is read again for it: raises `OSError` when it has gone meanwhile. What a broken gzip or a wrong encoding
    hides ends the parts there; such a refusal names the file as it lies on the disk.
    """
    part = refusal.part
    if part is None:
        for start in range(0, len(refusal.source_bytes), PART_BYTES):
            yield refusal.source_bytes[start : start + PART_BYTES]
        return
    with open_plain(part.path) if part.plain else part.path.open("rb") as file:
        yield from _range(file, part)


def _range(file: io.BufferedIOBase, part: FilePart) -> Iterator[bytes]:
    try:
        skip = part.start
        while skip and (passed := file.read(min(skip, CHUNK_BYTES))):
            skip -= len(passed)
        left = None if part.end is None else part.end - part.start
        while left is None or left > 0:
            data = file.read(PART_BYTES if left is None else min(PART_BYTES, left))
            if not data:
                return
            left = None if left is None else left - len(data)
            yield data
    except (EOFError, zlib.error, UnicodeDecodeError, gzip.BadGzipFile):
        return


def skip_line(stream: io.BufferedIOBase) -> int:
    """Pass over the rest of a line and return its bytes."""
    passed = 0
    while part := stream.readline(1024 * 1024):
        passed += len(part)
        if part.endswith(b"\n"):
            break
    return passed
