"""Pages that are pictures, read by RapidOCR on this machine: the extra `vigimesh[ocr]`.

Its models lie inside its wheel and are pinned here by digest: what was exchanged is not asked, and nothing is ever fetched.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vigimesh.errors import Misconfigured, Refused
from vigimesh.events.ids import digest
from vigimesh.ports.scans import PageReader, ScannedLine, ScannedPage

if TYPE_CHECKING:
    import numpy as np

#: What the extra installs.
PACKAGES = ("rapidocr", "onnxruntime", "pypdfium2")
#: The part that loads it -> file in the wheel of rapidocr 3.10.0 and its SHA-256. PP-OCRv6 small finds and reads lines, the third turns them.
MODELS = {
    "Det": ("PP-OCRv6_det_small.onnx", "090f04abcd9d9a7498bc4ebf677e4cb9bdce1fe4197ddb7e529f1ef44e1ff94f"),
    "Rec": ("PP-OCRv6_rec_small.onnx", "6f327246b50388f3c176ae304bd95767ea6dc0c9ae92153ef8cbe210b3c14884"),
    "Cls": ("ch_ppocr_mobile_v2.0_cls_mobile.onnx", "e47acedf663230f8863ff1ab0e64dd2d82b838fceb5957146dab185a89d6215c"),
}  # fmt: skip
#: Dots per inch at which a page is drawn, of 72 points each: at 150 print of 10 points is read without an error (decision 0056).
DPI = 150
#: Dots of the longer side; a page may say that it is a thousand metres wide.
MAX_SIDE = 4_000
#: Brightness (0 to 255) below which a dot is ink.
_INK = 200


def installed() -> bool:
    """Return whether the extra is there."""
    return all(find_spec(one) is not None for one in PACKAGES)


def page_reader() -> PageReader | None:
    """Return who reads scanned pages; `None` without the extra: a scan is refused then, by its pages."""
    return RapidOcr() if installed() else None


def models_folder() -> Path:
    """Return where the wheel has its models."""
    spec = find_spec("rapidocr")
    return Path(spec.origin).parent / "models" if spec and spec.origin else Path("rapidocr/models")


class RapidOcr:
    """`ports.PageReader`. Loads its models at the first page; several threads may share one, which take turns."""

    def __init__(self, models: Path | None = None) -> None:
        """Read models from a folder; by default from the wheel's."""
        self._models = models or models_folder()
        self._engine: Any = None
        self._turn = threading.Lock()

    @property
    def name(self) -> str:
        """Name and the digest of its models together."""
        return f"RapidOCR {digest(''.join(sha for _, sha in MODELS.values()).encode())[:12]}"

    def read(self, data: bytes, numbers: Sequence[int]) -> Sequence[ScannedPage]:
        """Return these pages of a PDF; see the port."""
        with self._turn:
            if self._engine is None:
                self._engine = self._loaded()
            return self._read(data, numbers)

    def _loaded(self) -> Any:
        params: dict[str, Any] = {
            # Nothing is left out for being unsure: whoever asked decides by `sure`.
            "Global.text_score": 0.0, "Global.log_level": "error", "Global.max_side_len": MAX_SIDE,
            # One thread, so that the same page gives the same line on every machine, and the mesh keeps its cores.
            "EngineConfig.onnxruntime.intra_op_num_threads": 1, "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        }  # fmt: skip
        for part, (name, sha) in MODELS.items():
            file = self._models / name
            if not file.is_file() or digest(file.read_bytes()) != sha:
                raise Misconfigured(
                    "VM-1561", what=f"the model {name} is {'not the pinned one' if file.is_file() else 'missing'}",
                    where="extra vigimesh[ocr]", todo="install vigimesh[ocr] again; scans are not read meanwhile",
                )  # fmt: skip
            params[f"{part}.model_path"] = str(file)
        from rapidocr import RapidOCR  # noqa: PLC0415  a second, and only for a scan

        return RapidOCR(params=params)

    def _read(self, data: bytes, numbers: Sequence[int]) -> list[ScannedPage]:
        import pypdfium2  # noqa: PLC0415  an extra

        document, read, number = None, list[ScannedPage](), 0
        try:
            document = pypdfium2.PdfDocument(data)
            for number in numbers:
                page = document[number - 1]
                scale = min(DPI / 72, MAX_SIDE / max(page.get_size()))
                read.append(self._page(number, page.render(scale=scale).to_numpy(), scale))
                page.close()
        except pypdfium2.PdfiumError as error:
            raise Refused("VM-1562", what=f"page {number} cannot be drawn ({error})", where="the PDF",
                          todo="print it to PDF anew, or enter its text as Markdown") from None  # fmt: skip
        finally:
            if document is not None:
                document.close()
        return read

    def _page(self, number: int, picture: np.ndarray[Any, Any], scale: float) -> ScannedPage:
        if int(picture.min()) >= _INK:
            return ScannedPage(number=number, lines=(), blank=True)
        found = self._engine(picture)
        lines = [] if found.boxes is None else zip(found.boxes, found.txts, found.scores, strict=True)
        height = picture.shape[0]
        return ScannedPage(
            number=number, lines=tuple(_line(box / scale, words, sure, height / scale) for box, words, sure in lines)
        )  # fmt: skip


def _line(box: np.ndarray[Any, Any], words: str, sure: float, height: float) -> ScannedLine:
    """Return a line from its corners: upper left, upper right, lower right, lower left, in points from the upper left."""
    (left, top), (right, _), _, (_, bottom) = (map(float, corner) for corner in box)
    return ScannedLine(
        words=words, x=left, y=height - (top + bottom) / 2, width=right - left, height=bottom - top, sure=float(sure)
    )  # fmt: skip
