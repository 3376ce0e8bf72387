"""What the benchmark of the small model judges by, and what it says when there is nothing to judge by."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

import small_model
from unit.train_samples import write_vaers
from vigimesh.app.train.examples import share_of

#: The year of the shipped model's certificates: tests of the choice need no model.
LAST = 1997


def test_unseen_is_later_or_the_third_held_out(tmp_path: Path) -> None:
    given = write_vaers(tmp_path / "given", {1996: 30, 1997: 90})
    later = write_vaers(tmp_path / "later", {1999: 12})
    unseen, train = small_model.read(given, given, LAST)
    assert len(train) == 30
    assert {share_of(one.group) for one in unseen} == {"held_out"}
    assert {one.year for one in unseen} == {1997}
    assert 15 <= len(unseen) <= 45
    unseen, train = small_model.read(later, given, LAST)
    assert ([one.year for one in unseen], len(train)) == ([1999] * 12, 30)


def test_a_narrative_that_the_model_saw_is_not_unseen(tmp_path: Path) -> None:
    given = write_vaers(tmp_path / "given", {1996: 30})
    # 2006 has the words of 1996: six letters x.
    later = write_vaers(tmp_path / "later", {2006: 40})
    unseen, _ = small_model.read(later, given, LAST)
    assert len(unseen) == 10
    without, train = small_model.read(later, tmp_path / "gone", LAST)
    assert (len(without), train) == (40, [])


def test_without_a_folder_every_figure_is_null(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = str(tmp_path / "gone")
    monkeypatch.setattr(sys, "argv", ["small_model", "--json", "--data", gone, "--train", gone])
    assert small_model.main() == 0
    told = json.loads(capsys.readouterr().out)
    assert {key: told[key] for key in small_model.GOALS} == dict.fromkeys(small_model.GOALS)
    assert told["notes"]["unseen"]["reports"] == 0


def test_a_quick_run_measures_what_needs_no_training(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    later = write_vaers(tmp_path / "later", {1999: 60})
    monkeypatch.setattr(
        sys, "argv", ["small_model", "--json", "--quick", "--data", str(later), "--train", str(later)]
    )
    small_model.main()
    told = json.loads(capsys.readouterr().out)
    assert told["auc"] > 0.9  # its serious reports say so in plain words
    assert told["auc_gain_low"] is None
    assert told["texts_per_second"] > 0
    assert 0 <= told["sensitivity_at_threshold"] <= 1
