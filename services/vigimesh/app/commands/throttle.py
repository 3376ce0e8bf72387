"""`vigimesh throttle`: the orders in force, and those of an operator: given for a time, and lifted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from vigimesh.app.options import AsJson, Data, print_json

if TYPE_CHECKING:
    from vigimesh.app.operators.ordering import Standing
    from vigimesh.loop.orders import Order

app = typer.Typer(
    name="throttle", help="Orders for lanes and workflows: show, set, clear.", no_args_is_help=True
)

By = Annotated[str, typer.Option("--by", metavar="NAME", help="Who does it. [default: your login]")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why, for the audit. No case text.")]
Until = Annotated[
    str,
    typer.Option("--until", metavar="TIME", help="When it ends: ISO 8601 with zone, or 90m, 8h from now."),
]
Lane = Annotated[str, typer.Option("--lane", metavar="LANE", help="hot, warm or cold.")]
Workflow = Annotated[
    str, typer.Option("--workflow", metavar="WORKFLOW", help="Name of a workflow card, or all.")
]


@app.command()
def show(data: Data = None, as_json: AsJson = False) -> None:
    """Show the orders in force.

    By lane and workflow: what each says, who gave it, until when and why. The controller's and an operator's hold side by
    side, the stricter of the two counts.
    """
    from vigimesh.app.operators.order_giving import join, plain
    from vigimesh.app.operators.ordering import place_text, words
    from vigimesh.events.topics import LANES

    orders = sorted(join(data).in_force(), key=lambda one: (LANES.index(one.lane), one.workflow, one.by))
    if as_json:
        print_json({"orders": [plain(one) for one in orders], "count": len(orders)})
        return
    for one in orders:
        # Lines rather than a table: a narrow screen would cut names and reasons off.
        typer.echo(
            f"{place_text((one.lane, one.workflow))}  {words(one)}  by {one.by or 'controller'}: {one.reason}"
        )
    if not orders:
        typer.echo("nothing is ordered", err=True)


@app.command("set")
def set_command(  # noqa: PLR0913  typer wants one parameter for each option
    lane: Lane, workflow: Workflow, reason: Reason, until: Until,
    share: Annotated[
        int | None, typer.Option("--share", metavar="PERCENT", help="Share of the lane's time, for all workflows; 0, for one: it waits, parked.")
    ] = None,
    tier: Annotated[str | None, typer.Option("--tier", metavar="TIER", help="Highest tier that may be asked.")] = None,
    calls: Annotated[int | None, typer.Option("--calls", metavar="N", help="Paid calls a minute.")] = None,
    by: By = "", data: Data = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Order something for a lane of a workflow.

    What is not named stays as an operator ordered it there; then the order ends with the later of the two.
    """
    from vigimesh.app.operators.order_giving import given_now, join, tell
    from vigimesh.app.operators.ordering import Change, lane_of, setting, tier_of, workflow_of

    order = given_now(by, reason, until)
    room = join(data)
    place = (lane_of(lane), workflow_of(workflow, room.workflows))
    change = Change(
        share_percent=share, calls_per_minute=calls, tier_ceiling=None if tier is None else tier_of(tier)
    )
    made, _ = room.give(lambda standing: setting(standing, place, change, order), order)
    tell(made, order, nothing="", as_json=as_json)


@app.command()
def clear(
    lane: Lane, workflow: Workflow, reason: Reason, by: By = "", data: Data = None, as_json: AsJson = False
) -> None:  # fmt: skip
    """Lift all that operators ordered for a lane of a workflow.

    What the controller orders is left as it is.
    """
    from vigimesh.app.operators.order_giving import given_now, join, tell
    from vigimesh.app.operators.ordering import clearing, lane_of, place_text, workflow_of

    order = given_now(by, reason)
    room, known = join(data), lane_of(lane)
    meant = "" if workflow == "all" else workflow

    def rule(standing: Standing) -> list[Order]:
        # Also an order for a workflow whose card is gone can be lifted.
        there = [name for where, name in standing if where == known and name]
        return clearing(standing, (known, workflow_of(meant, {*room.workflows, *there})), order)

    made, _ = room.give(rule, order)
    nothing = f"no operator's order stands for {place_text((known, meant))}: nothing to lift"
    tell(made, order, nothing=nothing, as_json=as_json)
