"""`vigimesh calls`: the paid calls that the journal holds, and the truth about those in doubt."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from vigimesh.app.options import AsJson, Data, one_of, print_json
from vigimesh.background.books.keep import SWEEP_S
from vigimesh.domain.budget.calls import IN_DOUBT, STATES
from vigimesh.domain.budget.lapse import GRACE_S
from vigimesh.domain.budget.money import amount_text, parse_amount

if TYPE_CHECKING:
    from vigimesh.adapters.postgres.journal import PgJournal
    from vigimesh.domain.budget.calls import Line, Resolved

T = TypeVar("T")

app = typer.Typer(
    name="calls", help="Paid model calls: list, answers, resolve, recover.", no_args_is_help=True
)

#: What a person may say of a call in doubt.
TRUTHS = ("made", "not-made")


@app.command("list")
def list_command(
    state: Annotated[
        str | None,
        typer.Option("--state", metavar="STATE", help=f"Only those in a state: {', '.join(STATES)}."),
    ] = None,
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """List paid calls, the oldest first.

    At most 1,000, each with what it counts for, in the currency of the workflow's card; with --json in millionths of it. A call
    in doubt counts for its worst case.
    """
    if state is not None:
        one_of(state, STATES, "--state")
    lines = _with_journal(data, lambda journal: journal.calls(state))
    counted = sum(line.counted_micro for line in lines)
    doubtful = [line for line in lines if line.state == IN_DOUBT]
    if as_json:
        body = {
            "calls": [_plain(line) for line in lines], "counted_micro": counted, "in_doubt": len(doubtful),
            "in_doubt_micro": sum(line.counted_micro for line in doubtful),
        }  # fmt: skip
        print_json(body)
        return
    for line in lines:
        typer.echo(_text(line))
    typer.echo(
        f"{len(lines)} calls that count for {_money(counted)}; in doubt {len(doubtful)}, "
        f"for {_money(sum(line.counted_micro for line in doubtful))}",
        err=True,
    )


@app.command("answers")
def answers_command(data: Data = None) -> None:
    """Write recorded answers as JSON lines.

    The oldest first, each with its case, step, model and the moment of the call: what `vigimesh train --from-answers` reads. An answer too
    large for the journal's row is left out and counted.
    """
    written, large = _with_journal(data, _write_answers)
    typer.echo(f"{written} answers; left out as too large: {large}", err=True)


@app.command()
def resolve(  # noqa: PLR0913  typer wants one parameter for each option
    call_id: Annotated[str, typer.Argument(metavar="CALL_ID", help="The whole id, as `list` shows it.")],
    truth: Annotated[
        str, typer.Option("--as", metavar="TRUTH", help="made: the provider bills it; not-made: it does not.")
    ],
    reason: Annotated[
        str,
        typer.Option("--reason", metavar="TEXT", help="How you know, for example the line of the invoice."),
    ],
    cost: Annotated[
        str | None,
        typer.Option("--cost", metavar="AMOUNT", help="What it cost when it was made, e.g. 0.0123."),
    ] = None,
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="Who says it. [default: your login]")] = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Say what became of a call in doubt.

    One that was made counts for its cost from then on; it is not made again in its pass. One that was not made counts for
    nothing and may be made. The same again, by the same, changes nothing. The budget follows when a worker that pays sweeps
    next. `list` shows who said it and why.
    """
    one_of(truth, TRUTHS, "--as")
    if (truth == "made") == (cost is None):
        raise typer.BadParameter(
            "--cost goes with --as made: give what the call cost; one that was not made costs nothing"
        )
    cost_micro = None if cost is None else parse_amount(cost)
    why = _said_by(by, reason)
    told = _with_journal(data, lambda journal: journal.resolve(call_id, cost_micro, why))
    if as_json:
        print_json(asdict(told))
    else:
        typer.echo(
            f"{told.call_id}  {told.workflow}  {told.state.replace('_', ' ')}: counted {_money(told.before_micro)}, "
            f"counts {_money(told.after_micro)}"
        )
        # Not settled here: which reservation is the call's own, and whether it is over, the sweep knows.
        typer.echo(
            f"the budget still holds {_money(told.before_micro)} for it, until a tool-executor sweeps: every {SWEEP_S:g} s, "
            f"{GRACE_S:g} s after the end of the call's lease at the earliest; see `vigimesh budget show`",
            err=True,
        )
        if told.after_micro > told.before_micro:
            typer.echo(overrun(told), err=True)


@app.command()
def recover(
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why the journal is an old copy.")],
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="Who says it. [default: your login]")] = "",
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Take over paid calls that an old copy of the journal lacks.

    From the topic `usage`: each counts for what it cost, in its day and month. Its answer is lost; it is not made again in its pass. Nothing
    tells of calls that were under way or in doubt when the newer journal was lost: look them up on the invoice. Then start the workers that pay again.
    """
    from vigimesh.adapters.kafka.usage_tail import paid_calls
    from vigimesh.app.config.clients import codec_of, quiet_kafka_of
    from vigimesh.app.config.located import settings_for

    settings = settings_for(data, "postgres.dsn", "kafka.bootstrap", "registry.url")
    used = paid_calls(quiet_kafka_of(settings), codec_of(settings))
    why = _said_by(by, reason)
    taken = _with_journal(data, lambda journal: journal.recover(used, why))
    cost = sum(one.cost_micro for one in taken)
    if as_json:
        print_json({"recovered": [one.call_id for one in taken], "cost_micro": cost, "in_usage": len(used)})
        return
    typer.echo(
        f"{len(taken)} of {len(used)} paid calls were not in the journal; they count for {_money(cost)}"
    )
    if taken:
        typer.echo("now start the workers that pay again: until then they refuse this journal", err=True)


def _said_by(by: str, reason: str) -> str:
    """Return a reason with its giver in front, so that a long one cuts no name off; an empty one stays empty, and is refused."""
    from vigimesh.app.operators.order_giving import login

    return f"{by.strip() or login()}: {reason}" if reason.strip() else ""


def overrun(told: Resolved) -> str:
    """Say what a call that cost more than its worst case does to its workflow: nothing paid is asked there until a person looks."""
    return (
        f"that is more than its worst case, an overrun: once the budget follows it closes this day and month of {told.workflow} to "
        f"paid calls; look up why (the prices first), then `vigimesh budget raise {told.workflow}` opens them"
    )


async def _write_answers(journal: PgJournal) -> tuple[int, int]:
    """Write every answer as a line; return how many, and how many are too large."""
    from vigimesh.domain.cascade.question import read_answer

    after = written = large = 0
    while page := await journal.answers(after):
        for told in page:
            if told.answer is None:
                large += 1
                continue
            answer = read_answer(told.answer)
            line = {
                "call_id": told.call_id, "case_id": told.case_id, "version": told.version, "step": told.step,
                "prompt_digest": told.prompt_digest, "at": told.at.isoformat(), "model": answer.model, "answer": answer.text,
            }  # fmt: skip
            print_json(line)
            written += 1
        after = page[-1].number
    return written, large


def _with_journal(data: Path | None, ask: Callable[[PgJournal], Awaitable[T]]) -> T:
    from vigimesh.adapters.postgres.journal import PgJournal
    from vigimesh.app.config.located import settings_for

    settings = settings_for(data, "postgres.dsn")

    async def answer() -> T:
        journal = PgJournal(settings.postgres.dsn, application_name="vigimesh calls")
        try:
            return await ask(journal)
        finally:
            await journal.close()

    return asyncio.run(answer())


def _plain(line: Line) -> dict[str, Any]:
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in asdict(line).items()
    }


def _text(line: Line) -> str:
    why = f"  {line.why}" if line.why else ""
    return (
        f"{line.call_id}  {line.at:%Y-%m-%d %H:%M:%S}  {line.workflow}  {line.case_id}  {line.step}  {line.model}  "
        f"{line.state.replace('_', ' ')}  counts {_money(line.counted_micro)}{why}"
    )


def _money(micro: int) -> str:
    """Write an amount; the journal does not know its currency, the workflow's card does."""
    return amount_text(micro, "")
