"""A tagger as two files, like every small model (`artefact`): numbers in an npz (no pickle), everything else in JSON, both checked.

`NAME.npz` holds `weights` (int8), `steps` (int16), `unit` (float64) and `seen` (uint64, rising): marks of the sentences that weights or recipe
were chosen from, so that nobody judges the tagger by them. `NAME.json` holds the labels, the templates, the card's facts and the sha256 of the npz.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from vigimesh.domain.cascade.artefact import refused, whole
from vigimesh.domain.cascade.extraction import Tagger
from vigimesh.domain.cascade.extraction_chain import LABELS, Chain
from vigimesh.domain.cascade.extraction_features import BUCKETS, TEMPLATES
from vigimesh.events.ids import digest

#: What a reader of another layout must refuse: raised when tokens, features or files change.
LAYOUT = 1
_KINDS = {"weights": "|i1", "steps": "<i2", "unit": "<f8", "seen": "<u8"}


def mark_of(group: str) -> int:
    """Return the mark of a sentence from the name of its repeats (32 hexadecimal digits): the first 64 bits of it."""
    return int(group[:16], 16)


def write_chain(chain: Chain, groups: frozenset[str]) -> bytes:
    """Return the npz: the same bytes for the same numbers, uncompressed. `groups` are the sentences that it was made from."""
    out = io.BytesIO()
    seen = np.array(sorted(map(mark_of, groups)), dtype="<u8")
    np.savez(
        out, weights=chain.weights, steps=chain.steps.astype("<i2"), unit=np.array([chain.unit], dtype="<f8"),
        seen=seen, allow_pickle=False,
    )  # fmt: skip
    return out.getvalue()


def write_tagger_header(name: str, tables: bytes, card: Mapping[str, Any]) -> bytes:
    """Return the JSON of a tagger; `card` is the facts of its model card."""
    value = {"name": name, **_layout(), "npz_sha256": digest(tables), "card": card}
    return (json.dumps(value, ensure_ascii=True, sort_keys=True, indent=1, allow_nan=False) + "\n").encode()


def read_tagger(header: bytes, tables: bytes, wanted: str = "") -> Tagger:
    """Return the tagger of these two files; `wanted` is the digest that it must have, any when empty.

    Raises `Misconfigured` VM-2201 when they are not what was written: altered, cut off, of another model or of another layout.
    """
    with whole(header, tables, wanted) as value:
        if {key: value[key] for key in _layout()} != _layout():
            raise refused(
                f"its layout is {value['layout']} or its labels are others, this version reads {LAYOUT}"
            )
        with np.load(io.BytesIO(tables), allow_pickle=False) as held:
            found = {key: held[key] for key in _KINDS}
        if (
            any(found[key].dtype != np.dtype(kind) for key, kind in _KINDS.items())
            or len(found["weights"]) != BUCKETS
        ):
            raise ValueError("numbers of another kind")
        chain = Chain(found["weights"], found["steps"].astype(np.int16), float(found["unit"][0]))
        return Tagger(digest=digest(header), chain=chain, seen=frozenset(found["seen"].tolist()))


def _layout() -> dict[str, Any]:
    templates = [[list(part) for part in template] for template in TEMPLATES]
    return {"layout": LAYOUT, "labels": list(LABELS), "templates": templates}
