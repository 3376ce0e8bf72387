"""The commands about the live sample, on memory: labels in, gates moved upon them, everything recorded with who and why."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from clocks import Hand
from unit.test_execute_scoring import MILD, report
from vigimesh.adapters.kafka.desks.cascade import LABEL, SAMPLE
from vigimesh.adapters.kafka.gates import GATES_MAX, UNKNOWN, GateBook
from vigimesh.adapters.memory.cascade import MemoryCascade
from vigimesh.adapters.memory.registry import MemorySchemas
from vigimesh.app.operators.cascade_records import gate_words
from vigimesh.app.operators.cascade_room import Room, plain, unmet
from vigimesh.app.operators.label_file import waiting
from vigimesh.domain.cascade.certify import Facts, Seen, opens
from vigimesh.domain.cascade.endpoint import told, wanted
from vigimesh.domain.cascade.live import shut
from vigimesh.domain.cascade.sample import key_of, place_in
from vigimesh.domain.cascade.shipped import SERIOUS, shipped_model
from vigimesh.domain.cascade.small import Asked, Reading
from vigimesh.domain.policy.cards import Cascade
from vigimesh.domain.policy.shipped import shipped_cards
from vigimesh.errors import Refused
from vigimesh.events.classes import AuditRecorded
from vigimesh.events.codec import Codec
from vigimesh.events.sampling import CasePlace, CaseSampled, GateMoved
from vigimesh.events.topics import topic
from vigimesh.loop.broker import Write

AT = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
CODEC = Codec(MemorySchemas())
MODEL = shipped_model(SERIOUS)
CERTIFICATE = next(one for one in MODEL.certificates if str(one.recall) == "19/20")
#: A case of today: product class, source and language are the certificate's, its period is not.
FACTS = Facts(
    product_class="vaccine", source="vaers", language="en", received_on="2026-11-20", model=CERTIFICATE.model
)  # fmt: skip
TODAY = place_in(FACTS, CERTIFICATE)
#: Serious cases of the first look for 0.95.
FIRST = 59


def sampled(number: int, place: CasePlace = TODAY, *, below: bool = False) -> CaseSampled:
    return CaseSampled(
        case_id=f"t/{number}", message_id=f"m{number}", workflow="triage", place=place,
        margin=CERTIFICATE.threshold + (-1.0 if below else 1.0), threshold=CERTIFICATE.threshold, resolved=below,
        group=f"g{number}", drawn_at=AT - timedelta(hours=1_000 - number), price_micro=3_000_000 if below else 0,
    )  # fmt: skip


@pytest.fixture
def desk() -> MemoryCascade:
    return MemoryCascade(CODEC)


@pytest.fixture
def room(desk: MemoryCascade) -> Room:
    clock = Hand()
    clock.at_s = (AT - clock.now()).total_seconds()
    return Room(desk=desk, codec=CODEC, models=(MODEL,), clock=clock)


def draw(desk: MemoryCascade, samples: Iterable[CaseSampled]) -> None:
    desk.put(
        Write(topic=SAMPLE, key=one.case_id.encode(), value=CODEC.encode(SAMPLE, one)) for one in samples
    )


def labels(folder: Path, rows: Iterable[tuple[int, str]], **more: str) -> Path:
    file = folder / "labels.csv"
    with file.open("w", newline="", encoding="utf-8") as stream:
        out = csv.DictWriter(stream, ["case_id", "serious", *more])
        out.writeheader()
        for number, serious in rows:
            out.writerow({"case_id": f"t/{number}", "serious": serious, **more})
    return file


def audits(desk: MemoryCascade) -> list[AuditRecorded]:
    name = topic("audit")
    return [CODEC.decode(name, one.value or b"") for one in desk.writes if one.topic == name]


def test_labels_of_another_period_open_the_gate_and_a_miss_closes_it(
    room: Room, desk: MemoryCascade, tmp_path: Path
) -> None:
    assert not opens(CERTIFICATE, FACTS).open
    draw(desk, [*(sampled(at) for at in range(FIRST)), sampled(FIRST, below=True)])
    room.label(labels(tmp_path, [(at, "yes") for at in range(FIRST - 1)]), "ana")
    assert not (desk.held().gates[TODAY]).open
    fresh, (gate,) = room.label(labels(tmp_path, [(FIRST - 1, "yes")]), "ana")
    assert (fresh, gate.open, gate.serious, gate.missed) == (1, True, FIRST, 0)
    book = GateBook(read=True)
    book.take(gate)
    assert opens(CERTIFICATE, replace(FACTS, seen=book.standing(FACTS, CERTIFICATE).seen)).open
    _, (gate,) = room.label(labels(tmp_path, [(FIRST, "yes")]), "ben")
    book.take(gate)
    assert not gate.open
    assert not opens(CERTIFICATE, replace(FACTS, seen=book.seen_of(TODAY))).open
    (one,) = room.standings()
    assert plain(one)["missed_cases"] == [f"t/{FIRST}"]
    assert (plain(one)["spent_micro"], plain(one)["price_micro"]) == (3_000_000, 3_000_000)
    assert not plain(one)["open"]


def test_a_place_of_two_figures_is_held_to_the_one_that_is_wanted(
    room: Room, desk: MemoryCascade, tmp_path: Path
) -> None:
    strict = next(one for one in MODEL.certificates if str(one.recall) == "99/100")
    facts = replace(FACTS, wanted=Fraction(19, 20))
    place = place_in(facts, strict)
    draw(desk, [replace(sampled(at, place), threshold=strict.threshold) for at in range(FIRST)])
    room.label(labels(tmp_path, [(at, "yes") for at in range(FIRST - 1)]), "ana")
    assert not desk.held().gates[place].open
    _, (gate,) = room.label(labels(tmp_path, [(FIRST - 1, "yes")]), "ana")
    assert (gate.place, gate.open) == (place, True)
    book = GateBook(read=True)
    book.take(gate)
    assert opens(strict, replace(facts, seen=book.standing(facts, strict).seen)).open
    # A card that wants what the certificate promises is not helped by these labels.
    assert book.standing(FACTS, strict).seen == Seen()
    (one,) = room.standings()
    assert (plain(one)["recall_certified"], plain(one)["recall_wanted"]) == (0.99, 0.95)
    assert "at 95% of 0.95 (59 serious, 0 missed)" in one.words


def test_a_card_that_wants_what_no_certificate_promises_is_named() -> None:
    card = next(one for one in shipped_cards(signed_for_demo=False).cards if "small" in one.tiers)
    assert unmet(MODEL, [card]) == []
    more = replace(card, cascade=replace(card.cascade, threshold_recall=Fraction(999, 1000)))
    (line,) = unmet(MODEL, [more, replace(more, tiers=("large",))])
    assert line.startswith(
        f"card {card.name}: the model has no certificate of recall >= 0.999 at 95%; it has 0.99"
    )


def test_an_endpoint_in_the_tiers_place_opens_by_the_labels_of_its_own_sample_alone(
    desk: MemoryCascade, tmp_path: Path
) -> None:
    reading, rule = Reading(model="small-1", percent=40, below=5), Cascade(recall=Fraction(19, 20))
    certificate = wanted(reading, rule)
    place = place_in(replace(FACTS, model=certificate.model), certificate)
    draw(desk, [replace(sampled(at, place), threshold=certificate.threshold) for at in range(FIRST)])
    clock = Hand()
    clock.at_s = (AT - clock.now()).total_seconds()
    room = Room(
        desk=desk, codec=CODEC, models=(MODEL,), clock=clock, wanted={rule.recall: 1 - rule.confidence}
    )
    _, moves = room.label(labels(tmp_path, [(at, "yes") for at in range(FIRST - 1)]), "ana")
    assert not any(one.open for one in moves)
    _, (gate,) = room.label(labels(tmp_path, [(FIRST - 1, "yes")]), "ana")
    assert (gate.place, gate.open, gate.serious) == (place, True, FIRST)
    book = GateBook(read=True)
    book.take(gate)
    case = report(first_received_on=FACTS.received_on)
    asked = Asked(case=case, text=MILD, rule=rule)
    low = replace(reading, percent=0)
    assert told(asked, low, book.standing).open
    # Neither another version at the endpoint nor another threshold has its labels.
    assert not told(asked, replace(low, model="small-2"), book.standing).open
    assert not told(asked, replace(low, below=6), book.standing).open
    # Without an endpoint configured nobody holds its place to anything.
    assert Room(desk=desk, codec=CODEC, models=(MODEL,), clock=clock).terms(place) is None


def test_a_label_is_recorded_with_who_and_what_was_there_before(
    room: Room, desk: MemoryCascade, tmp_path: Path
) -> None:
    draw(desk, [sampled(0)])
    at = "2026-11-24T10:00:00+01:00"
    assert room.label(labels(tmp_path, [(0, "no")], by="cleo", at=at, comment="read twice"), "ana")[0] == 1
    count = len(desk.writes)
    assert room.label(labels(tmp_path, [(0, "no")], by="cleo", comment="read twice"), "ana")[0] == 0
    assert len(desk.writes) == count
    room.label(labels(tmp_path, [(0, "yes")], by="dora"), "ana")
    found = [one for one in audits(desk) if one.action == "labelled"]
    assert [(one.actor, one.earlier, one.new) for one in found] == [("ana", "", "no"), ("ana", "no", "yes")]
    held = desk.held().labels["t/0"]
    assert (held.serious, held.by, held.at) == (True, "dora", AT)


@pytest.mark.parametrize(
    ("row", "why"),
    [
        pytest.param({"case_id": "t/0", "serious": "maybe"}, "yes or no", id="neither"),
        pytest.param({"case_id": "t/0"}, "yes or no", id="nothing said"),
        pytest.param({"case_id": "t/9", "serious": "yes"}, "was not drawn", id="not drawn"),
        pytest.param({"serious": "yes"}, "names no case", id="no case"),
        pytest.param({"case_id": "t/0", "serious": "yes", "at": "yesterday"}, "no moment", id="no moment"),
        pytest.param(
            {"case_id": "t/0", "serious": "yes", "at": "2026-11-24T10:00:00"}, "no moment", id="no zone"
        ),
        pytest.param(
            {"case_id": "t/0", "serious": "yes", "at": "2027-01-01T00:00:00Z"}, "lies ahead", id="ahead"
        ),
        pytest.param({"case_id": "t/0", "serious": "yes", "who": "x"}, "no column 'who'", id="a column"),
        pytest.param({"case_id": "t/0", "serious": "yes", "comment": "x" * 501}, "more than 500", id="long"),
        pytest.param(["t/0", "yes"], "names no case", id="a list"),
    ],
)
def test_a_bad_row_is_named_by_its_line_and_nothing_is_taken(
    room: Room, desk: MemoryCascade, tmp_path: Path, row: Any, why: str
) -> None:
    draw(desk, [sampled(0), sampled(1)])
    file = tmp_path / "labels.jsonl"
    good = {"case_id": "t/1", "serious": True}
    file.write_text(f"{json.dumps(good)}\n\n{json.dumps(row)}\n", encoding="utf-8")
    count = len(desk.writes)
    with pytest.raises(Refused, match=r"VM-2701 1 rows.*line 3: ") as error:
        room.label(file, "ana")
    assert why in str(error.value)
    assert len(desk.writes) == count


@pytest.mark.parametrize(
    ("name", "content"),
    [("a.csv", b"case_id\nt/0\n"), ("a.csv", b"\xff\xfe"), ("a.jsonl", b"{"), ("none.csv", None)],
)
def test_a_file_that_is_none_is_refused(room: Room, tmp_path: Path, name: str, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(Refused, match="VM-2702"):
        room.label(tmp_path / name, "ana")


def test_a_look_records_the_day(room: Room, desk: MemoryCascade) -> None:
    draw(desk, [sampled(at, below=at == 1) for at in range(3)])
    moves, (one,) = room.look("ana")
    assert [gate.place for gate in moves] == [TODAY]
    assert room.look("ana")[0] == []
    _, first, second = audits(desk)
    assert first.action == second.action == "looked"
    assert second.why == one.words
    for said in (
        "recall >= 0.0000 at 95%",
        "0 of 3 audits labelled",
        "spent 3.00",
        "waits for the label of t/1",
    ):
        assert said in one.words


def test_the_records_of_earlier_days_are_told_and_so_is_each_move(
    room: Room, desk: MemoryCascade, tmp_path: Path
) -> None:
    draw(desk, [sampled(at) for at in range(FIRST)])
    _, (first,) = room.look("ana")
    assert isinstance(room.clock, Hand)
    room.clock.at_s += 86_400
    room.label(labels(tmp_path, [(at, "yes") for at in range(FIRST)]), "ben")
    _, (second,) = room.look("cleo")
    opened = (
        "closed until a look opens it, 0 so far -> open since look 1; 59 labelled serious cases, 0 missed"
    )
    found = [(one.action, one.by, one.words) for one in room.history(30)]
    assert [one for one in found if one[0] == "looked"] == [
        ("looked", "ana", first.words),
        ("looked", "cleo", second.words),
    ]
    assert [(one[1], one[2].startswith(opened)) for one in found if one[0] == "moved"][1:] == [("ben", True)]
    assert {one.place for one in room.history(30)} == {key_of(TODAY)}
    # A window of a day does not show the day before.
    room.clock.at_s += 1
    assert [one.by for one in room.history(1)] == ["ben", "cleo"]


def test_behind_a_closed_gate_nothing_is_spent_and_what_an_open_one_would_cost_is_said(
    room: Room, desk: MemoryCascade
) -> None:
    month = f"{AT:%Y-%m}"
    closed = [replace(sampled(at, below=True), resolved=False, drawn_at=AT) for at in range(3)]
    before = replace(sampled(9, below=True), drawn_at=AT - timedelta(days=40))
    draw(desk, [*closed, before])
    (one,) = room.standings()
    assert (plain(one)["spent_micro"], plain(one)["price_micro"]) == (3_000_000, 12_000_000)
    assert "spent 3.00 on what the tier settled of them, 12.00 behind an open gate; " in one.words
    assert room.line(desk.held()) == {"month": month, "spent_micro": 0, "line_micro": 0}
    draw(desk, [replace(sampled(4, below=True), drawn_at=AT)])
    assert room.line(desk.held())["spent_micro"] == 3_000_000


def test_a_place_is_closed_and_begun_anew_by_a_person(room: Room, desk: MemoryCascade) -> None:
    inside = place_in(replace(FACTS, received_on="1997-06-01"), CERTIFICATE)
    draw(desk, [sampled(0, inside)])
    assert plain(room.standings()[0])["open"]
    gate = room.shut(key_of(inside), "ana", "the form has changed")
    assert gate.closed == "closed by ana: the form has changed"
    assert not plain(room.standings()[0])["open"]
    room.look("ana")
    assert desk.held().gates[inside].closed
    room.anew(key_of(inside), "ben", "it has not")
    assert plain(room.standings()[0])["open"]
    moved = [one for one in audits(desk) if one.action == "moved"]
    assert [(one.actor, one.why) for one in moved] == [("ana", "the form has changed"), ("ben", "it has not")]
    with pytest.raises(Refused, match="VM-2703"):
        room.shut("nowhere", "ana", "why")


def test_what_another_model_was_labelled_for_is_shown_and_moves_nothing(
    room: Room, desk: MemoryCascade
) -> None:
    draw(desk, [sampled(0, replace(TODAY, model="0" * 64))])
    moves, (one,) = room.look("ana")
    assert moves == []
    assert "not in use" in one.words
    assert plain(one)["recall_low"] is None


def test_which_cases_wait_for_a_label(desk: MemoryCascade) -> None:
    draw(desk, [sampled(2), sampled(1)])
    assert waiting(desk.held().samples, ["t/2"]) == ["t/1"]
    assert waiting(desk.held().samples, []) == ["t/1", "t/2"]


def test_a_worker_relies_on_no_gate_before_it_has_read_them() -> None:
    book = GateBook()
    book.take(GateMoved(place=TODAY, open=True, serious=400, at=AT))
    assert (book.seen_of(TODAY), book.closed(TODAY)) == (Seen(), UNKNOWN)
    book.read = True
    assert (book.seen_of(TODAY), book.closed(TODAY)) == (Seen(serious=400), "")


def test_gates_beyond_the_bound_are_closed() -> None:
    book = GateBook(read=True)
    for number in range(GATES_MAX):
        book.take(GateMoved(place=replace(TODAY, source=f"s{number}"), at=AT))
    book.take(GateMoved(place=TODAY, open=True, serious=400, at=AT))
    assert "not known" in book.closed(TODAY)
    assert book.seen_of(TODAY) == Seen()
    assert book.closed(replace(TODAY, source="s7")) == ""


def test_labels_are_written_on_their_own_topic(room: Room, desk: MemoryCascade, tmp_path: Path) -> None:
    draw(desk, [sampled(0)])
    room.label(labels(tmp_path, [(0, "yes")]), "ana")
    (record,) = [one for one in desk.writes if one.topic == LABEL]
    assert record.key == b"t/0"


def test_a_gate_that_a_person_closed_says_so_once() -> None:
    gate = shut(GateMoved(place=TODAY, at=AT), "ana", "drugs changed", AT)
    assert gate_words(gate) == "closed by ana: drugs changed"
    assert gate_words(replace(gate, closed="drift: PSI 0.3")) == "closed: drift: PSI 0.3"
