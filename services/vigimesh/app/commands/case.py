"""`vigimesh case`: which cases there are, what became of one, and how long each step took.

Reads the topics; joins no group and moves nothing. Narratives are personal data: shown only with `--narrative`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vigimesh.app.options import AsJson, Data, one_of, print_json
from vigimesh.errors import Misconfigured

if TYPE_CHECKING:
    from vigimesh.app.cases.history import Listed, Source

#: Orders of the list; words of a decision (`CaseDecided.decision`).
ORDERS = ("newest", "grave")
DECISIONS = ("auto_accepted", "superseded", "nullified", "upheld")

app = typer.Typer(name="case", help="What became of a case: list, show, trace.", no_args_is_help=True)

_Kafka = Annotated[
    str, typer.Option("--kafka", metavar="HOST:PORT", help="Bootstrap servers, in place of a stack.")
]
_Registry = Annotated[
    str, typer.Option("--registry", metavar="URL", help="Schema registry that goes with --kafka.")
]
_Id = Annotated[
    str,
    typer.Argument(metavar="ID", help="Case id, report id, or the first 6 or more digits of a message id."),
]
_Lane = Annotated[str, typer.Option("--lane", help="Only this lane: hot, warm or cold.")]
_Workflow = Annotated[str, typer.Option("--workflow", help="Only this workflow card.")]
_Outcome = Annotated[
    str,
    typer.Option(
        "--outcome",
        help="Only what is there: decided, in_review, parked, dead_lettered, in_flight; or a decision's word.",
    ),
]
_Order = Annotated[
    str,
    typer.Option(
        "--order",
        help="newest, or grave: by lane, grade, the estimate of a grade of 4 or 5, the earliest due. It says nothing of who may wait.",
    ),
]
_Limit = Annotated[int, typer.Option("--limit", min=0, metavar="N", help="At most N, the first; 0 for all.")]


@app.command("list")
def list_command(  # noqa: PLR0913  typer wants one parameter for each option
    data: Data = None,
    kafka: _Kafka = "",
    registry: _Registry = "",
    lane: _Lane = "",
    workflow: _Workflow = "",
    outcome: _Outcome = "",
    order: _Order = "newest",
    limit: _Limit = 50,
    as_json: AsJson = False,
) -> None:
    """List accepted messages, newest or gravest first.

    Shows where each is, its lane, grade and reason; after the grade, where a small model made one, its estimate that it is 4 or 5.
    """
    from vigimesh.app.cases.history import gravest_first, list_cases
    from vigimesh.domain.record.checker import PLACES
    from vigimesh.events.topics import LANES

    if lane:
        one_of(lane, LANES, "--lane")
    if outcome:
        one_of(outcome, (*PLACES, *DECISIONS), "--outcome")
    one_of(order, ORDERS, "--order")
    every = list_cases(_source(data, kafka, registry))
    found = [line for line in every if _wanted(line, lane, workflow, outcome)]
    if order == "grave":
        found = gravest_first(found)
    shown = found[:limit] if limit else found
    if as_json:
        print_json(
            {"cases": [line.plain() for line in shown], "matching": len(found), "accepted": len(every)}
        )
        return
    from vigimesh.app.cases.view import console_here, show_list

    show_list(console_here(), shown, len(found) - len(shown))
    if not found:
        known = ", ".join(sorted({line.workflow for line in every if line.workflow}))
        typer.echo(
            f"no message matches, of {len(every)} accepted; workflows seen: {known or 'none'}", err=True
        )


@app.command()
def show(
    given: _Id, data: Data = None, kafka: _Kafka = "", registry: _Registry = "", as_json: AsJson = False,
    narrative: Annotated[bool, typer.Option("--narrative", help="Show narratives and quotes: personal data.")] = False,
) -> None:  # fmt: skip
    """Show a case's history event by event.

    With time, stage, lane, tier, cost, evidence, decision and reason.
    """
    from vigimesh.app.cases.history import history

    case_id, steps = history(_source(data, kafka, registry), given, narrative=narrative)
    if as_json:
        print_json({"case_id": case_id, "events": [step.plain() for step in steps]})
        return
    from vigimesh.app.cases.view import console_here, show_history

    show_history(console_here(), case_id, steps)


@app.command()
def trace(
    given: _Id, data: Data = None, kafka: _Kafka = "", registry: _Registry = "", as_json: AsJson = False
) -> None:
    """Show the way of each message of a case.

    With trace id, spans, and the time between appends.
    """
    from vigimesh.app.cases.history import traces

    case_id, found = traces(_source(data, kafka, registry), given)
    if as_json:
        print_json({"case_id": case_id, "traces": [one.plain() for one in found]})
        return
    from vigimesh.app.cases.view import console_here, show_traces

    show_traces(console_here(), case_id, found)


def _wanted(line: Listed, lane: str, workflow: str, outcome: str) -> bool:
    """Return whether a line passes the filters; an empty filter lets everything pass."""
    return (
        lane in ("", line.lane)
        and workflow in ("", line.workflow)
        and outcome in ("", line.place, line.decision or line.place)
    )


def _source(data: Path | None, kafka: str, registry: str) -> Source:
    """Return where to read: the addresses given, else the settings' or the running stack's.

    Raises `Misconfigured` VM-1705 when nothing names a broker and a registry.
    """
    from vigimesh.adapters.kafka.registry_reader import RegistryReader
    from vigimesh.app.cases.history import Source
    from vigimesh.app.config.located import settings_for
    from vigimesh.events.codec import Codec

    options: dict[str, Any] = {}
    credentials: dict[str, str] = {}
    if not (kafka and registry):
        settings = settings_for(data)
        kafka, registry = kafka or settings.kafka.bootstrap, registry or settings.registry.url
        options = dict(settings.kafka.options)
        credentials = {"user": settings.registry.user, "password": settings.registry.password}
    if not (kafka and registry):
        raise Misconfigured(
            "VM-1705", what="nothing says where the cases are", where="--data, --kafka, --registry",
            todo="start a stack with `vigimesh dev` or `vigimesh stack up`, or name a cluster and its registry",
        )  # fmt: skip
    return Source(
        broker={**options, "bootstrap.servers": kafka},
        codec=Codec(RegistryReader(registry, **credentials)),
    )
