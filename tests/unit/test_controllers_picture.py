"""The picture of the four controllers: whole, said in words, and no two of its words upon each other."""

from __future__ import annotations

from itertools import pairwise
from xml.etree import ElementTree as ET

from controllers import CONTROLLERS
from controllers_picture import COLOURS, drawn

#: Four that end in pairs at the same height, as they do in the result.
SPENT = {"none": [9_000_000] * 6, "spend_cap": [5_000_000, 5_000_000, 0, 0, 0, 0], "queue_gate": [9_000_000] * 6, "ours": [4_990_000, 5_000_000, 0, 0, 0, 0]}  # fmt: skip
REAL = {
    name: {"spend_micro": 800_000, "hot_p99_s": 6.4, "opinions": dict.fromkeys(("hot", "warm", "cold"), 1_400),
           "wanted": dict.fromkeys(("hot", "warm", "cold"), 1_400)}
    for name in SPENT
}  # fmt: skip
#: A letter of the picture's size is at most so wide, points; its lines are this far apart.
LETTER, LINE = 8.0, 14.0


def words(picture: str) -> tuple[float, float, list[tuple[float, float, str, str]]]:
    """Return width and height of a picture, and its texts: where they stand and how they are anchored."""
    root = ET.fromstring(picture)
    _, _, wide, tall = map(float, root.attrib["viewBox"].split())
    found = [
        (
            float(one.attrib["x"]),
            float(one.attrib["y"]),
            one.attrib.get("text-anchor", "start"),
            one.text or "",
        )
        for one in root.iter("{http://www.w3.org/2000/svg}text")
    ]
    return wide, tall, found


def test_everything_stands_inside_and_what_is_seen_is_said() -> None:
    wide, tall, found = words(drawn(SPENT, REAL, 890_000))
    for x, y, anchor, text in found:
        long = LETTER * len(text)
        left = x - {"start": 0.0, "middle": long / 2, "end": long}[anchor]
        assert (left >= 0, left + long <= wide, 0 < y < tall) == (True, True, True), text
    said = " ".join(text for *_, text in found)
    for needed in ("simulated", "day of the month", "0 EUR", "10 EUR", "54 EUR", "hot p99", *COLOURS):
        assert needed in said


def test_each_has_a_line_and_where_the_mesh_ran_a_bar() -> None:
    assert set(SPENT) == set(CONTROLLERS)
    alone, both = drawn(SPENT, {}, 0), drawn(SPENT, REAL, 890_000)
    assert [one.count("<polyline") for one in (alone, both)] == [len(SPENT), len(SPENT)]
    assert both.count("<rect") - alone.count("<rect") == len(REAL)


def test_lines_that_end_together_have_their_names_one_below_the_other() -> None:
    _, _, found = words(drawn(SPENT, {}, 0))
    heights = sorted(y for _, y, _, text in found if text.partition(":")[0] in COLOURS)
    assert len(heights) == len(SPENT)
    assert all(below - above >= LINE for above, below in pairwise(heights))
