"""The cost/recall curve: what it says is counted apart here, and its pictures are pictures."""

from __future__ import annotations

import json
import struct
import xml.etree.ElementTree as ET
import zlib
from fractions import Fraction
from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from vigimesh.app.cli import app
from vigimesh.app.train.tune import DELTA, Labelled, curve, exported
from vigimesh.app.train.tune_picture import HIGH, WIDE, drawn, painted
from vigimesh.domain.cascade.certify import Domain, certify
from vigimesh.errors import Misconfigured

DOMAIN = Domain(product_class="", source="", language="", first_day="", last_day="")


def cases(seed: int = 3, many: int = 3_000) -> list[Labelled]:
    rng = np.random.default_rng(seed)
    serious = rng.random(many) < 0.12
    margins = rng.normal(size=many) + 2.5 * serious
    return [
        Labelled(margin=float(margin), serious=bool(label), group=f"g{at}")
        for at, (margin, label) in enumerate(zip(margins, serious, strict=True))
    ]


@given(
    st.lists(
        st.builds(
            Labelled, margin=st.sampled_from([-1.0, 0.0, 0.5, 2.0, inf]), serious=st.booleans(),
            group=st.sampled_from(["a", "b", "c", "d", "e", "f"]),
        ),
        min_size=1,
    )
)  # fmt: skip
def test_each_point_is_what_is_counted_apart(found: list[Labelled]) -> None:
    groups = {one.group: [other for other in found if other.group == one.group] for one in found}
    serious = {name: [one for one in held if one.serious] for name, held in groups.items()}
    lowest = {name: min(one.margin for one in serious[name] or held) for name, held in groups.items()}
    if not any(serious.values()):
        with pytest.raises(Misconfigured, match="VM-2706"):
            curve(found, 0)
        return
    made = curve(found, 1_000)
    assert (made["cases"], made["serious"]) == (len(groups), sum(map(bool, serious.values())))
    for one in made["points"]:
        missed = sum(bool(serious[name]) and margin < one["threshold"] for name, margin in lowest.items())
        assert one["misses"] == missed
        assert one["recall"] == 1 - missed / made["serious"]
        assert one["handed_on"] == pytest.approx(
            sum(margin >= one["threshold"] for margin in lowest.values()) / len(groups)
        )
        assert one["recall_low"] <= one["recall"]
        assert one["cost_per_1000_micro"] == round(one["handed_on"] * 1_000_000)


def test_the_marked_bounds_are_those_that_certify_gives() -> None:
    found = cases()
    made = curve(found, 0)
    serious = [(one.group, one.margin) for one in found if one.serious]
    for recall, one in made["bounds"].items():
        certificate = certify(serious, Fraction(recall), DELTA, DOMAIN, "m")
        assert certificate is not None
        assert (one["threshold"], one["misses"]) == (certificate.threshold, certificate.k)
        assert one["recall_low"] >= float(Fraction(recall))


def test_too_few_serious_cases_mark_no_bound() -> None:
    made = curve(cases(many=100), 0)
    assert made["bounds"]["0.99"] is None
    assert ET.fromstring(drawn(made)).tag.endswith("svg")


def pixels(data: bytes) -> np.ndarray:
    """Return the picture of a PNG, read by its own rules."""
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    place, held = 8, dict[bytes, bytes]()
    while place < len(data):
        size = struct.unpack(">I", data[place : place + 4])[0]
        name, body = data[place + 4 : place + 8], data[place + 8 : place + 8 + size]
        (sum_,) = struct.unpack(">I", data[place + 8 + size : place + 12 + size])
        assert sum_ == zlib.crc32(name + body)
        held[name], place = body, place + 12 + size
    wide, high = struct.unpack(">II", held[b"IHDR"][:8])
    rows = np.frombuffer(zlib.decompress(held[b"IDAT"]), dtype=np.uint8).reshape(high, 1 + 3 * wide)
    return rows[:, 1:].reshape(high, wide, 3)


def test_both_pictures_show_the_curve_and_are_the_same_each_time() -> None:
    made = curve(cases(), 2_000)
    paper = pixels(painted(made))
    assert paper.shape == (HIGH, WIDE, 3)
    colours = {tuple(one) for one in np.unique(paper.reshape(-1, 3), axis=0).tolist()}
    assert {(255, 255, 255), (0x1E, 0x6F, 0x43), (0x8A, 0x8A, 0x8A), (0x22, 0x22, 0x22)} <= colours
    svg = ET.fromstring(drawn(made))
    lines = [one for one in svg if one.tag.endswith("polyline")]
    assert sum(one.get("stroke") == "#1e6f43" for one in lines) == 1 + 3
    assert (painted(made), drawn(made)) == (painted(made), drawn(made))


@pytest.mark.parametrize(("share", "anchor"), [(0.2, "start"), (0.99, "end")])
def test_what_a_bound_hands_on_is_written_where_there_is_room(share: float, anchor: str) -> None:
    made = curve(cases(), 0)
    made["bounds"] = {"0.98": {"handed_on": share, "recall_low": 0.98}}
    (text,) = (one for one in ET.fromstring(drawn(made)) if (one.text or "").startswith("0.98: "))
    assert text.get("text-anchor") == anchor


def test_an_export_of_labels_is_drawn(tmp_path: Path) -> None:
    file = tmp_path / "labels.jsonl"
    rows: list[dict[str, Any]] = [
        {"margin": one.margin, "serious": one.serious, "group": one.group, "stated": ""} for one in cases(many=400)
    ]  # fmt: skip
    rows += [{"margin": -9.0, "serious": True, "group": "t", "stated": "text"}]
    rows += [{"margin": -9.0, "serious": True, "group": "f", "stated": "field"}]
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    assert sum(one.margin == inf for one in exported(file)) == 1
    out = tmp_path / "out"
    result = CliRunner().invoke(app, ["tune", "--labels", str(file), "--out", str(out), "--json"])
    assert result.exit_code == 0, result.output
    made = json.loads(result.stdout)
    assert made["cases"] == 401
    assert made == json.loads((out / "curve.json").read_text())
    assert sorted(one.name for one in out.iterdir()) == ["curve.json", "curve.png", "curve.svg"]


def test_margins_of_two_models_are_not_compared(tmp_path: Path) -> None:
    """The shipped model and an endpoint in its place: places as `cascade export` names them."""
    rows = [
        {"place": f"vaccine/vaers/en/{model}/0.98/outside", "margin": float(at), "serious": at % 2 == 0, "group": f"{model}{at}", "stated": ""}
        for model in ("0a1b2c3d4e5f", "f5e4d3c2b1a0")
        for at in range(4)
    ]  # fmt: skip
    file = tmp_path / "labels.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    with pytest.raises(Misconfigured, match=r"VM-2706.*0a1b2c3d4e5f, f5e4d3c2b1a0"):
        exported(file)
    file.write_text("\n".join(map(json.dumps, rows[4:])), encoding="utf-8")
    result = CliRunner().invoke(app, ["tune", "--labels", str(file), "--out", str(tmp_path / "o"), "--json"])
    assert json.loads(result.stdout)["model"] == "f5e4d3c2b1a0"


def test_one_source_is_named() -> None:
    for given_ in ([], ["--data", ".", "--labels", "x"]):
        assert CliRunner().invoke(app, ["tune", *given_]).exit_code == 2


@pytest.mark.parametrize("content", ["{", "[]", '{"margin": 1.0}'])
def test_an_export_that_is_none_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "labels.jsonl"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(Misconfigured, match="VM-2706"):
        exported(file)
