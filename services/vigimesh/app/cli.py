"""The command `vigimesh`. Exit statuses are in `exits`; everything heavy is imported by the command that needs it."""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from vigimesh.app.commands.models import standin, train, tune
from vigimesh.app.exits import BROKEN, INTERRUPTED, NOT_HELD, exit_status_of, tell, trace_crashes
from vigimesh.app.lazy import LazyGroup, load, mount
from vigimesh.app.options import AsJson, Data, one_of, print_json
from vigimesh.errors import Refused, VigimeshError, explanations

if TYPE_CHECKING:
    from vigimesh.app.mesh.prepare import Prepared

app = typer.Typer(
    name="vigimesh",
    cls=LazyGroup,
    help="A Kafka mesh of agents for drug-safety, regulatory and clinical-operations work.",
    epilog="First: vigimesh demo. Then: vigimesh dev, and vigimesh run --from FILE.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def main() -> NoReturn:
    """Run the command line and end the process with the status that `exits` documents."""
    trace_crashes()
    arguments = sys.argv[1:]
    try:
        app(args=arguments, prog_name="vigimesh")
    except VigimeshError as error:
        tell(error, as_json="--json" in arguments)
        sys.exit(exit_status_of(error))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except Exception:  # noqa: BLE001  a defect: its traceback is what a maintainer needs
        import traceback

        traceback.print_exc()
        print("vigimesh: this is a defect; please report it with the lines above", file=sys.stderr)
        sys.exit(BROKEN)
    sys.exit(0)


def _show_version(wanted: bool) -> None:
    if wanted:
        try:
            found = version("vigimesh")
        except PackageNotFoundError:
            found = "unknown (not installed)"
        typer.echo(f"vigimesh {found}")
        raise typer.Exit


@app.callback()
def root(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Options of every command."""


@app.command()
def demo(as_json: AsJson = False) -> None:
    """Run the mesh on synthetic cases, on a stack of its own."""
    raise typer.Exit(load("vigimesh.app.mesh.run:demo_command")(as_json=as_json))


@app.command()
def run(  # noqa: PLR0913  typer wants one parameter for each option
    source: Annotated[
        Path,
        typer.Option(
            "--from", metavar="FILE|DIR", help="E2B(R3) XML, VAERS CSV or JSON Lines, or a folder of them."
        ),
    ],
    limit: Annotated[int | None, typer.Option("--limit", min=1, metavar="N", help="At most N cases.")] = None,
    by_day: Annotated[
        bool,
        typer.Option(
            "--by-day",
            help="Send the reports of one day of receipt after the other, each day's when all before have an outcome.",
        ),
    ] = False,
    cards: Annotated[
        Path | None,
        typer.Option(
            "--cards",
            metavar="DIR",
            help="Folder of workflow cards. [default: VIGIMESH_CARDS, else those signed for the demo]",
        ),
    ] = None,
    as_json: AsJson = False,
    stack: Annotated[
        Path | None,
        typer.Option(
            "--stack", metavar="DIR", help="Use the stack on this data folder. [default: one of its own]"
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="DIR", help="Keep the run's data here. [default: thrown away]"),
    ] = None,
) -> None:
    """Send case reports through the mesh, account for all."""
    from vigimesh.app.mesh.arrivals import Reports

    command, reports = (
        load("vigimesh.app.mesh.run:run_command"),
        Reports(source=source, limit=limit, by_day=by_day),
    )
    raise typer.Exit(command(reports, cards=cards, as_json=as_json, stack=stack, data=data))


@app.command()
def dev(data: Data = None) -> None:
    """Start stack and mesh, and run until Ctrl-C."""
    from vigimesh.app.mesh.dev import dev_command

    raise typer.Exit(dev_command(data))


@app.command()
def worker(
    stage: Annotated[
        str,
        typer.Argument(metavar="STAGE", help="router, planner, retriever, tool-executor or supervisor."),
    ],
    lane: Annotated[
        str | None,
        typer.Option(
            "--lane", metavar="LANE", help="hot, warm or cold, of a stage with lanes. [default: all of them]"
        ),
    ] = None,
    data: Data = None,
) -> None:
    """Run one stage in the foreground until SIGTERM."""
    from vigimesh.app.config.located import settings_for
    from vigimesh.events.topics import LANE_STAGES, LANES, STAGES

    one_of(stage, STAGES, "STAGE")
    if lane is not None:
        one_of(lane, LANES, "--lane")
        if stage not in LANE_STAGES:
            raise typer.BadParameter(
                f"{stage} has no lanes: it is one group over all of them; leave --lane out"
            )
    settings = settings_for(
        data, "kafka.bootstrap", "registry.url", "postgres.dsn", "objects.url", "worker.instance"
    )
    raise typer.Exit(load("vigimesh.app.workers.worker:serve")(stage, lane, settings))


@app.command()
def controller(data: Data = None) -> None:
    """Let cold and warm lanes yield while hot is late.

    Runs in the foreground until SIGTERM. Of several, one leads and the others stand by.
    """
    from vigimesh.app.config.located import settings_for

    settings = settings_for(data, "kafka.bootstrap", "registry.url")
    load("vigimesh.app.workers.controller:serve_controller")(settings)


@app.command()
def resumer(data: Data = None) -> None:
    """Send parked events back when they are due.

    Each as it was, to the topic it left. Runs in the foreground until SIGTERM. Several share the work.
    """
    from vigimesh.app.config.located import settings_for

    settings = settings_for(data, "kafka.bootstrap", "registry.url", "objects.url", "worker.instance")
    load("vigimesh.app.workers.resumer:serve_resumer")(settings)


@app.command()
def batcher(data: Data = None) -> None:
    """Buy gathered cold work in batches, which cost less.

    Runs in the foreground until SIGTERM; only where a large model is configured.
    """
    from vigimesh.app.config.located import settings_for

    settings = settings_for(
        data, "kafka.bootstrap", "registry.url", "objects.url", "postgres.dsn", "redis.url"
    )
    load("vigimesh.app.workers.batcher:serve_batcher")(settings)


@app.command()
def librarian(data: Data = None) -> None:
    """Announce documents that change, and watch a folder of them.

    Runs in the foreground until SIGTERM. Several share the work. The folder is VIGIMESH_KNOWLEDGE__WATCH.
    """
    from vigimesh.app.config.located import settings_for

    settings = settings_for(
        data, "kafka.bootstrap", "registry.url", "postgres.dsn", "objects.url", "worker.instance"
    )
    load("vigimesh.app.workers.librarian:serve_librarian")(settings)


@app.command()
def batches(data: Data = None, as_json: AsJson = False) -> None:
    """Show what was sent in batches.

    Each with its calls, what they cost, and the seconds that it took for each of them; then those by size of batch: a small
    batch waits as long as a large one.
    """
    from vigimesh.app.config.located import settings_for

    settings = settings_for(data, "postgres.dsn")
    load("vigimesh.app.commands.batches:show_batches")(settings, as_json=as_json)


@app.command()
def prepare(data: Data = None, as_json: AsJson = False) -> None:
    """Make the cluster of the settings ready for workers.

    Creates topics and consumer groups, registers schemas, migrates the database, loads the documents, and records which
    workflow cards are in force. Doing it again changes nothing but that record. VIGIMESH_PARTITIONS and
    VIGIMESH_REPLICATION shape new topics; what is there and differs is named, with exit status 1, and left as it is.
    """
    from vigimesh.app.config.located import settings_for

    settings = settings_for(data, "kafka.bootstrap", "registry.url", "postgres.dsn", "objects.url")
    done: Prepared = load("vigimesh.app.mesh.prepare:prepare")(settings)
    if as_json:
        print_json({"ready": not done.drift, "cards": done.cards, "drift": done.drift})
    else:
        for line in done.warnings:
            typer.echo(line)
        which = (
            "whatever else is needed is"
            if done.drift
            else "topics, groups, schemas, tables and documents are"
        )
        typer.echo(f"{which} in place; cards in force: {done.cards}")
    raise typer.Exit(NOT_HELD if done.drift else 0)


for command in (standin, train, tune):
    app.command()(command)


@app.command()
def lag(
    data: Data = None,
    as_json: AsJson = False,
    watch: Annotated[bool, typer.Option("--watch", help="Draw the table again until Ctrl-C.")] = False,
) -> None:
    """Show what waits: by stage, lane and workflow.

    In records and in seconds since the oldest was written. What is not known is said to be unknown, never 0; then the
    exit status is 1.
    """
    raise typer.Exit(load("vigimesh.app.commands.lag:lag_command")(data, as_json=as_json, watch=watch))


@app.command()
def explain(
    code: Annotated[
        str,
        typer.Argument(
            metavar="CODE", help="The code of a message, for example VM-1203. [default: list all]"
        ),
    ] = "",
) -> None:
    """Explain an error code, and what to do about it."""
    if not code:
        for known, (title, _) in sorted(explanations().items()):
            typer.echo(f"{known}  {title}")
        return
    wanted = code.upper().removeprefix("VM-").removeprefix("VM")
    found = explanations().get(f"VM-{wanted}")
    if found is None:
        raise Refused(
            "VM-1706",
            what=f"there is no error code {code}{_nearest_code(wanted)}",
            where="vigimesh explain",
            todo="`vigimesh explain` without a code lists all",
        )
    title, text = found
    typer.echo(f"VM-{wanted}: {title}\n\n{text}")


def _nearest_code(digits: str) -> str:
    """Name the code that differs by a slip of the finger, where there is one: a far one would only mislead."""
    import difflib

    near = difflib.get_close_matches(f"VM-{digits}", explanations(), n=1, cutoff=0.85)
    return f"; the nearest is {near[0]}" if near else ""


mount(app)
