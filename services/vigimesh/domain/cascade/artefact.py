"""A small model as two files: numbers in an npz (no pickle), everything else in JSON; both checked before either is used.

`NAME.npz` holds what makes a margin: `weights` and `idf` as float16, `blocks` and `bias` as float64. A certificate names its digest. A model that learned from the same
texts as another has no `idf` of its own: its JSON names the sha256 of the npz that it borrows it from, so that both together take half the room.
`NAME.json` holds the table of probabilities, the certificates, the model card's facts, and the sha256 of the npz. The model's digest is the sha256
of the JSON's bytes, so that it covers both. There is no text of any data in them: buckets have numbers, not names.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vigimesh.domain.cascade import certify, drift, features
from vigimesh.domain.cascade.calibration import Curve
from vigimesh.domain.cascade.model import Model
from vigimesh.domain.cascade.vectors import Tables
from vigimesh.errors import Misconfigured
from vigimesh.events.ids import digest

#: What a reader of another layout must refuse: raised when features, blocks or files change.
LAYOUT = 1
#: Bytes of one file at most. All shipped ones together stay below 10 MB.
MAX_BYTES = 10_000_000
#: What bytes that are no such files may raise.
_UNREADABLE = (
    ValueError, KeyError, TypeError, AttributeError, IndexError, OSError, EOFError, zipfile.BadZipFile,
)  # fmt: skip
_KINDS = {"weights": "<f2", "idf": "<f2", "blocks": "<f8", "bias": "<f8"}
_SIZES = {"weights": features.BUCKETS, "idf": features.BUCKETS, "blocks": len(features.BITS), "bias": 1}


def write_tables(tables: Tables, *, borrows: bool = False) -> bytes:
    """Return the npz: the same bytes for the same numbers, uncompressed, so that they do not depend on a version of zlib.

    With `borrows` it is without `idf`.
    """
    values: dict[str, NDArray[Any]] = {
        "weights": tables.weights, "idf": tables.idf, "blocks": tables.blocks, "bias": np.array([tables.bias]),
    }  # fmt: skip
    if borrows:
        del values["idf"]
    kept = {name: value.astype(_KINDS[name]) for name, value in values.items()}
    out = io.BytesIO()
    np.savez(out, allow_pickle=False, **kept)
    return out.getvalue()


def read_tables(data: bytes, lender: bytes = b"") -> Tables:
    """Return the numbers that `write_tables` wrote; `lender` is the npz that `idf` is borrowed from, its own when empty.

    Raises `ValueError`, `KeyError` or `zipfile.BadZipFile` for other bytes.
    """
    with (
        np.load(io.BytesIO(data), allow_pickle=False) as held,
        np.load(io.BytesIO(lender or data), allow_pickle=False) as lent,
    ):
        found = {name: (lent if name == "idf" else held)[name] for name in _KINDS}
    for name, kind in _KINDS.items():
        if found[name].dtype != np.dtype(kind) or found[name].shape != (_SIZES[name],):
            raise ValueError(f"{name} is {found[name].dtype} {found[name].shape}")
    return Tables(
        weights=found["weights"].astype(np.float32), idf=found["idf"].astype(np.float32),
        blocks=found["blocks"], bias=float(found["bias"][0]),
    )  # fmt: skip


def write_header(name: str, tables: bytes, curve: Curve, more: Mapping[str, Any]) -> bytes:
    """Return the JSON of a model.

    `more` holds `certificates` (as `certify.written`), `reference` (as `drift.written`) and `borrows` where there are any, and `card`, the facts of its model card.
    """
    value = {
        "name": name, "layout": LAYOUT, "features": list(features.BITS), "npz_sha256": digest(tables),
        "curve": {"margins": curve.margins, "probabilities": curve.probabilities}, **more,
    }  # fmt: skip
    return (json.dumps(value, ensure_ascii=True, sort_keys=True, indent=1, allow_nan=False) + "\n").encode()


def read_model(header: bytes, tables: bytes, wanted: str = "", lender: bytes = b"") -> Model:
    """Return the model of these two files; `wanted` is the digest that it must have, any when empty, `lender` the npz that it borrows from, if it does.

    Raises `Misconfigured` VM-2201 when they are not what was written: altered, cut off, of another model or of another layout.
    """
    with whole(header, tables, wanted) as value:
        if value["layout"] != LAYOUT or value["features"] != list(features.BITS):
            raise refused(f"its layout is {value['layout']}, this version reads {LAYOUT}")
        if value.get("borrows", "") != (digest(lender) if lender else ""):
            raise refused("what it borrows from another model's npz is not what its JSON names")
        curve = Curve(*(tuple(map(float, value["curve"][key])) for key in ("margins", "probabilities")))
        certificates = tuple(map(certify.read, value["certificates"]))
        return Model(
            name=str(value["name"]), digest=digest(header), tables_digest=digest(tables),
            tables=read_tables(tables, lender), curve=curve, certificates=certificates,
            reference=drift.read(value["reference"]) if "reference" in value else None,
        )  # fmt: skip


@contextmanager
def whole(header: bytes, tables: bytes, wanted: str) -> Iterator[Any]:
    """Give the value of a model's JSON for the reading of both files; `wanted` is the digest that it must have, any when empty.

    Raises `Misconfigured` VM-2201 when one is not what was recorded, or when reading them fails inside.
    """
    if wanted and digest(header) != wanted:
        raise refused("its JSON is not the one that was recorded")
    if max(len(header), len(tables)) > MAX_BYTES:
        raise refused(f"a file is larger than {MAX_BYTES} bytes")
    try:
        value = json.loads(header)
        if value["npz_sha256"] != digest(tables):
            raise refused("its npz is not the one that its JSON names")
        yield value
    except _UNREADABLE as error:
        raise refused(f"it cannot be read: {type(error).__name__}") from error


def card_of(header: bytes) -> Mapping[str, Any]:
    """Return the facts of the model card that a model's JSON holds. Raises `Misconfigured` VM-2201 for other bytes."""
    try:
        card = json.loads(header)["card"]
    except (ValueError, KeyError, TypeError) as error:
        raise refused(f"it cannot be read: {type(error).__name__}") from error
    if not isinstance(card, dict):
        raise refused("it has no card")
    return card


def refused(why: str) -> Misconfigured:
    """Return the error VM-2201 of a model whose files are not what was written."""
    return Misconfigured(
        "VM-2201", what=f"the small model cannot be used: {why}", where="small model",
        todo="install vigimesh again, or make the model anew with `vigimesh train`; until then the small tier is absent",
    )  # fmt: skip
