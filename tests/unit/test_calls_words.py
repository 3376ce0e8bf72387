"""`vigimesh calls resolve`: what a person is told whose answer closes a budget."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from vigimesh.app.commands import calls as calls_cli
from vigimesh.domain.budget.calls import Resolved


@pytest.mark.parametrize(("cost_micro", "warned"), [(6_572, False), (6_573, False), (6_574, True)])
def test_a_cost_above_the_worst_case_is_said_to_close_the_budget(
    monkeypatch: pytest.MonkeyPatch, cost_micro: int, warned: bool
) -> None:
    told = Resolved(call_id="c1", workflow="triage", state="made", before_micro=6_573, after_micro=cost_micro)
    monkeypatch.setattr(calls_cli, "_with_journal", lambda _data, _ask: told)
    done = CliRunner().invoke(
        calls_cli.app, ["resolve", "c1", "--as", "made", "--cost", "1", "--reason", "invoice 17"]
    )
    assert done.exit_code == 0
    assert ("closes this day and month of triage" in done.stderr) == warned
    assert ("`vigimesh budget raise triage`" in done.stderr) == warned
