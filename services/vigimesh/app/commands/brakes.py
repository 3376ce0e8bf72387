"""`vigimesh lane`, `tier` and `policy`: the brakes of a whole lane, of a tier, and of acceptance by machine."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vigimesh.app.commands.throttle import By, Reason, Until
from vigimesh.app.exits import NOT_HELD
from vigimesh.app.options import AsJson, Data

if TYPE_CHECKING:
    from vigimesh.app.operators.order_giving import Room
    from vigimesh.app.operators.ordering import Given
    from vigimesh.clock import Deadline
    from vigimesh.domain.control.lag import LagRow
    from vigimesh.loop.orders import Order

lane_app = typer.Typer(name="lane", help="A whole lane: pause, drain, unpause.", no_args_is_help=True)
tier_app = typer.Typer(name="tier", help="A tier in every lane: disable, enable.", no_args_is_help=True)
policy_app = typer.Typer(name="policy", help="Acceptance by machine: hold, release.", no_args_is_help=True)

#: Seconds between two looks at what is left of a lane; a look asks the broker some thirty questions.
_LOOK_S = 1.0
#: Seconds of a look for what `flow` holds: a lane's own numbers need little of it.
_FLOW_S = 2.0
#: Looks in a row that must find a lane empty: a record that is handed on during a look may be missed in both places.
_LOOKS = 2

_Lane = Annotated[str, typer.Argument(metavar="LANE", help="warm or cold; hot never waits.")]
_Hold = Annotated[
    str,
    typer.Option(
        "--until", metavar="TIME", help="When it ends: ISO 8601 with zone, or 90m from now. [default: 8h]"
    ),
]
_Tier = Annotated[str, typer.Argument(metavar="TIER", help="small or large.")]
_Workflow = Annotated[
    str, typer.Option("--workflow", metavar="WORKFLOW", help="Only this workflow. [default: all]")
]
_Why = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the audit. No case text.")]


@lane_app.command()
def pause(
    lane: _Lane, reason: Reason, until: _Hold = "", by: By = "", data: Data = None, as_json: AsJson = False
) -> None:  # fmt: skip
    """Let the records of a lane wait, parked.

    One order for each workflow that has a card. What waits comes back when the order ends, or is lifted.
    """
    from vigimesh.app.operators.order_giving import tell

    made, order, _ = _paused(lane, reason, until, by, data)
    tell(made, order, nothing="", as_json=as_json)


@lane_app.command()
def drain(  # noqa: PLR0913  typer wants one parameter for each option
    lane: _Lane, reason: Reason, until: _Hold = "",
    within: Annotated[float, typer.Option("--within", min=0, metavar="SECONDS", help="How long to wait.")] = 300.0,
    by: By = "", data: Data = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Pause a lane and wait until its stages are empty.

    Nothing of the lane is in hand then, nor waits on its topics: all is parked or done. Exit status 1 when that did not come
    in time; the pause stands all the same.
    """
    from vigimesh.app.operators.order_giving import tell
    from vigimesh.clock import Deadline, SystemClock

    made, order, room = _paused(lane, reason, until, by, data)
    typer.echo(f"{lane} is paused; waiting {within:g} s at most until it is empty", err=True)
    reader = room.lag()
    try:
        left = emptied(
            lambda: reader.look(_FLOW_S), lane, Deadline.after(SystemClock(), within), threading.Event().wait
        )
    finally:
        reader.close()
    tell(made, order, nothing="", as_json=as_json, drained=not left, left=[row.plain() for row in left])
    for row in left:
        typer.echo(f"not empty: {row.stage} {row.lane}, {_amount(row)}", err=True)
    if left:
        raise typer.Exit(NOT_HELD)
    typer.echo(f"{lane} is empty: all is parked or done", err=True)


@lane_app.command()
def unpause(
    lane: _Lane, reason: Reason, by: By = "", data: Data = None, as_json: AsJson = False
) -> None:  # fmt: skip
    """Let the records of a paused lane be worked on.

    Those that are parked are called back within seconds.
    """
    from vigimesh.app.operators.order_giving import given_now, join, tell
    from vigimesh.app.operators.ordering import lane_of, unpausing

    order, known = given_now(by, reason), lane_of(lane)
    made, _ = join(data).give(lambda standing: unpausing(standing, known, order), order)
    tell(made, order, nothing=f"{known} is not paused", as_json=as_json)


@tier_app.command()
def disable(
    tier: _Tier, reason: Reason, until: Until, by: By = "", data: Data = None, as_json: AsJson = False
) -> None:  # fmt: skip
    """Let no lane ask a tier, nor one that is dearer.

    Work goes on with the tiers that are left, also in hot.
    """
    from vigimesh.app.operators.order_giving import given_now, join, tell
    from vigimesh.app.operators.ordering import DISABLABLE, disabling, tier_of

    order, known = given_now(by, reason, until), tier_of(tier, DISABLABLE)
    made, _ = join(data).give(lambda standing: disabling(standing, known, order), order)
    tell(made, order, nothing="", as_json=as_json)


@tier_app.command()
def enable(
    tier: _Tier, reason: _Why = "enabled again", by: By = "", data: Data = None, as_json: AsJson = False
) -> None:  # fmt: skip
    """Let a disabled tier be asked again.

    One that is dearer stays closed until it is enabled, too.
    """
    from vigimesh.app.operators.order_giving import given_now, join, tell
    from vigimesh.app.operators.ordering import DISABLABLE, enabling, tier_of

    order, known = given_now(by, reason), tier_of(tier, DISABLABLE)
    made, _ = join(data).give(lambda standing: enabling(standing, known, order), order)
    tell(made, order, nothing=f"{known} is not disabled", as_json=as_json)


@policy_app.command()
def hold(
    reason: Reason, until: _Hold = "", workflow: _Workflow = "", by: By = "", data: Data = None,
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """Let nothing be accepted by machine.

    In all lanes, of all workflows or of one: what a machine would have accepted goes to a person.
    """
    from vigimesh.app.operators.order_giving import given_now, join, tell
    from vigimesh.app.operators.ordering import DEFAULT_S, holding, workflow_of

    order, room = given_now(by, reason, until, DEFAULT_S), join(data)
    known = workflow_of(workflow, room.workflows)
    made, _ = room.give(lambda standing: holding(standing, known, order), order)
    tell(made, order, nothing="", as_json=as_json)


@policy_app.command()
def release(
    reason: _Why = "released", workflow: _Workflow = "", by: By = "", data: Data = None, as_json: AsJson = False
) -> None:  # fmt: skip
    """Let the cards decide again what a machine may accept.

    Ends a hold that was given the same way: of all workflows, or of the one that is named.
    """
    from vigimesh.app.operators.order_giving import given_now, join, tell
    from vigimesh.app.operators.ordering import place_text, releasing

    order, named = given_now(by, reason), "" if workflow == "all" else workflow
    made, before = join(data).give(lambda standing: releasing(standing, named, order), order)
    freed = {(one.lane, one.workflow) for one in made}
    held = sorted(place for place, one in before.items() if one.holds_acceptance and place not in freed)
    tell(
        made, order, nothing="no such hold stands", as_json=as_json, still_held=[place_text(p) for p in held]
    )
    for place in held:
        typer.echo(
            f"still held: {place_text(place)}; vigimesh policy release --workflow {place[1] or 'all'}",
            err=True,
        )


def emptied(
    look: Callable[[], Sequence[LagRow]], lane: str, deadline: Deadline, wait: Callable[[float], object]
) -> list[LagRow]:  # fmt: skip
    """Look at the lag until a lane is empty in every stage; return the rows in which it is not, or not known to be.

    It takes `_LOOKS` looks that find it empty; `wait` waits some seconds between two.
    """
    empty = 0
    while True:
        left = [row for row in look() if row.lane == lane and not row.workflow and row.state != "done"]
        empty = 0 if left else empty + 1
        if empty >= _LOOKS or (left and deadline.passed()):
            return left
        wait(_LOOK_S)


def _paused(
    lane: str, reason: str, until: str, by: str, data: Path | None
) -> tuple[list[Order], Given, Room]:  # fmt: skip
    from vigimesh.app.operators.order_giving import given_now, join
    from vigimesh.app.operators.ordering import DEFAULT_S, hot_never_waits, lane_of, pausing

    order, known = given_now(by, reason, until, DEFAULT_S), lane_of(lane)
    if known == "hot":
        raise hot_never_waits("vigimesh lane")  # before anything is asked for
    room = join(data)
    made, _ = room.give(lambda standing: pausing(standing, known, room.workflows, order), order)
    return made, order, room


def _amount(row: LagRow) -> str:
    told = row.plain()
    return f"{told['records']} records" if told["records"] is not None else f"unknown: {told['cause']}"
