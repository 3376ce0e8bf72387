"""Labels from recorded answers: they join the part train alone, never overrule a person, and the card says where they are from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from unit.train_samples import write_vaers
from vigimesh.app.train.answers import limits_of, read_answers, taught
from vigimesh.app.train.command import train_command
from vigimesh.app.train.examples import by_year, read_vaers
from vigimesh.domain.cascade.artefact import card_of
from vigimesh.domain.cascade.endpoint import ASKED
from vigimesh.domain.cascade.opinion import PROMPT
from vigimesh.domain.cascade.prompts import shipped_prompt
from vigimesh.errors import Misconfigured
from vigimesh.events.ids import digest

TEXTS = {
    "N1": "new words: intubated at once", "N2": "new words: slight itch", "N3": "new words: nobody knows",
    "N4": "new words: ticked", "N5": "pt intubated aab xxxxxx",
}  # fmt: skip


def answer(case: str, serious: str, *evidence: str, **more: Any) -> str:
    """Return a line as `vigimesh calls answers` writes it of an answer in the form that the prompt asks for."""
    grade = 3 if serious != "no" else 1
    told = {"case_id": f"mesh/{case}", "model": "some-model", "at": "2026-11-29T10:00:00+00:00", **more}
    said = {"serious": serious, "grade": grade, "evidence": list(evidence)}
    assert set(said) == set(json.loads(shipped_prompt(PROMPT).schema.body)["required"])
    return json.dumps({"answer": json.dumps(said), **told})


def write_answers(file: Path, *lines: str) -> Path:
    file.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return file


def write_reports(folder: Path) -> Path:
    """Write labelled reports of two years, and reports that nobody labelled but for N4."""
    write_vaers(folder, {1996: 30, 1997: 600})
    rows = [
        {"report_id": name, "narrative": text, "first_received_on": "2026-01-02", **({"criteria": ["death"]} if name == "N4" else {})}
        for name, text in TEXTS.items()
    ]  # fmt: skip
    (folder / "new.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return folder


def test_an_answer_joins_the_part_train_where_no_person_has_spoken(tmp_path: Path) -> None:
    folder = write_reports(tmp_path / "d")
    parts = by_year(read_vaers(folder), 1997)
    held = parts["held_out"][0]
    known = next(number for number, one in enumerate(read_vaers(folder)) if one.group == held.group)
    file = write_answers(
        tmp_path / "a.jsonl", answer("N1", "yes"), answer("N2", "no"), answer("N3", "unknown"), answer("N4", "no"),
        answer("GONE", "yes"), answer(f"1997{known - 30:04}", "yes"), "not json", json.dumps({"case_id": "mesh/N2", "answer": "{}"}),
    )  # fmt: skip
    more, told = taught(parts, read_answers(file), folder)
    added = more["train"][len(parts["train"]) :]
    assert [(one.text, one.label) for one in added] == [(TEXTS["N1"], True), (TEXTS["N2"], False)]
    assert all(more[part] == parts[part] for part in ("tune", "certify", "held_out"))
    assert (told.taken, told.positive, told.models) == (2, 1, {"some-model": 6})
    assert told.left_out == {"labelled by its source": 2, "no report": 1, "unknown": 1, "unread": 2}
    assert (told.file_sha256, told.first_day) == (digest(file.read_bytes()), "2026-11-29")


def test_an_answer_that_quotes_its_narrative_is_read_and_one_that_quotes_another_is_not(
    tmp_path: Path,
) -> None:
    folder = write_reports(tmp_path / "d")
    parts = by_year(read_vaers(folder), 1997)
    file = write_answers(
        tmp_path / "a.jsonl", answer("N1", "yes", "intubated at once"), answer("N2", "no", "[PERSON-1] slight  itch"),
        answer("N3", "yes", "died in hospital"),
    )  # fmt: skip
    more, told = taught(parts, read_answers(file), folder)
    assert [(one.text, one.label) for one in more["train"][len(parts["train"]) :]] == [
        (TEXTS["N1"], True), (TEXTS["N2"], False),
    ]  # fmt: skip
    assert told.left_out == {"quotes another text": 1, "unread": 0}


@pytest.mark.parametrize("evidence", ['"one text"', "[1]", "null", "[[]]", '["a", "b", "c"]', '["   "]'])
def test_quotes_that_are_none_leave_an_answer_unread(tmp_path: Path, evidence: str) -> None:
    said = f'{{"serious": "yes", "grade": 3, "evidence": {evidence}}}'
    bad = json.dumps({"case_id": "mesh/N2", "model": "m", "at": "", "answer": said})
    found = read_answers(write_answers(tmp_path / "a.jsonl", answer("N1", "no"), bad))
    assert (found.serious, found.unread) == ({"N1": "no"}, 1)


def test_what_an_endpoint_in_the_small_tiers_place_said_is_no_label(tmp_path: Path) -> None:
    small = json.dumps({"case_id": "mesh/N2", "step": ASKED, "answer": '{"serious_percent": 2}'})
    found = read_answers(write_answers(tmp_path / "a.jsonl", answer("N1", "no"), small))
    assert (found.serious, found.unread) == ({"N1": "no"}, 1)


def test_a_text_that_judges_the_model_never_teaches_it(tmp_path: Path) -> None:
    folder = write_reports(tmp_path / "d")
    parts = by_year(read_vaers(folder), 1997)
    row = {"report_id": "N6", "narrative": f" {parts['held_out'][0].text.upper()} "}
    with (folder / "new.jsonl").open("a", encoding="utf-8") as stream:
        stream.write(json.dumps(row) + "\n")
    file = write_answers(tmp_path / "a.jsonl", answer("N6", "yes"), answer("N2", "no"))
    more, told = taught(parts, read_answers(file), folder)
    assert [one.text for one in more["train"][len(parts["train"]) :]] == [TEXTS["N2"]]
    assert told.left_out == {"text known": 1, "unread": 0}


@pytest.mark.parametrize(
    ("given", "found"),
    [(("no", "yes"), "yes"), (("yes", "no"), "yes"), (("unknown", "no"), "unknown"), (("no", "no"), "no")],
)
def test_of_several_answers_the_graver_counts(tmp_path: Path, given: tuple[str, ...], found: str) -> None:
    file = write_answers(tmp_path / "a.jsonl", *(answer("N1", one) for one in given))
    assert read_answers(file).serious == {"N1": found}


def test_an_answer_that_contradicts_itself_is_no_label(tmp_path: Path) -> None:
    wrong = json.dumps({"case_id": "m/N1", "answer": json.dumps({"serious": "no", "grade": 5})})
    assert read_answers(write_answers(tmp_path / "a.jsonl", wrong)).serious == {"N1": "unknown"}


def test_the_card_names_who_answered_and_a_stand_in_is_called_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = write_reports(tmp_path / "d"), tmp_path / "out"
    file = write_answers(tmp_path / "a.jsonl", answer("N1", "yes", model="standin-1"), answer("N2", "no"))
    assert (
        train_command(data=folder, out=out, models=("serious",), last_year=1997, as_json=True, answers=file)
        == 0
    )
    capsys.readouterr()
    card = card_of((out / "serious.json").read_bytes())
    assert card["answers"]["models"] == {"some-model": 1, "standin-1": 1}
    assert card["parts"]["train"]["examples"] == 32
    told = (out / "serious.md").read_text(encoding="utf-8")
    assert (
        "2 examples of the part train are labelled by answers of a large model (some-model 1, standin-1 1)"
        in told
    )
    assert "stand-in" in told
    assert "Not measured for these weights" in told
    _, only = taught(
        by_year(read_vaers(folder), 1997), read_answers(write_answers(file, answer("N1", "yes"))), folder
    )
    assert not any("stand-in" in limit for limit in limits_of(only))


def test_nothing_to_learn_from_is_said(tmp_path: Path) -> None:
    folder = write_reports(tmp_path / "d")
    with pytest.raises(Misconfigured, match="VM-2203"):
        read_answers(tmp_path / "none")
    with pytest.raises(Misconfigured, match="VM-2203"):
        read_answers(write_answers(tmp_path / "a.jsonl", "not json"))
    file = write_answers(tmp_path / "a.jsonl", answer("GONE", "yes"))
    with pytest.raises(Misconfigured, match="VM-2203"):
        taught(by_year(read_vaers(folder), 1997), read_answers(file), folder)
