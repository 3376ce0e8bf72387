"""`vigimesh stack up|status|down|prime`: the embedded stack alone, without the mesh."""

from __future__ import annotations

from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vigimesh.app.options import print_json

if TYPE_CHECKING:
    from vigimesh.app.devstack.state import Stack

app = typer.Typer(
    name="stack",
    help="Kafka, schema registry, PostgreSQL, Valkey and an object folder for development, on loopback only.",
    no_args_is_help=True,
)

Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        help="Folder of the stack's data. [default: vigimesh in your XDG data folder]",
        metavar="DIR",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]

#: Exit status of `status` when nothing answers: the command line's own for a broker that is away.
NOT_RUNNING = 4


@app.command("up")
def up_command(
    data: Data = None,
    as_json: AsJson = False,
    kafka_port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Port for Kafka; 0 chooses a free one.")
    ] = 0,
    registry_port: Annotated[
        int, typer.Option(min=0, max=65_535, help="Port for the schema registry; 0 chooses a free one.")
    ] = 0,
) -> None:
    """Start the stack, or find the one that runs.

    It goes on running until `vigimesh stack down`.
    """
    from vigimesh.app.devstack import Wishes, up
    from vigimesh.app.devstack.progress import Terminal

    wishes = Wishes(kafka_port=kafka_port, registry_port=registry_port)
    lease = up(_folder(data), attached=False, progress=Terminal(), wishes=wishes)
    _show(lease.stack, as_json)


@app.command("status")
def status_command(data: Data = None, as_json: AsJson = False) -> None:
    """Show the stack that runs and answers.

    Exit status 4 when there is none.
    """
    from vigimesh.app.devstack import status

    stack = status(_folder(data))
    if stack is None:
        _tell(
            f"no stack answers in {_folder(data)}; start one: vigimesh stack up", {"running": False}, as_json
        )
        raise typer.Exit(NOT_RUNNING)
    _show(stack, as_json)


@app.command("down")
def down_command(data: Data = None, as_json: AsJson = False) -> None:
    """Stop the stack; its data is kept.

    Returns when every process is gone.
    """
    from vigimesh.app.devstack import down

    stopped = down(_folder(data))
    text = "the stack is stopped; its data is kept" if stopped else f"no stack runs in {_folder(data)}"
    _tell(text, {"stopped": stopped}, as_json)


@app.command("prime")
def prime_command(as_json: AsJson = False) -> None:
    """Let stacks of this machine start quicker, and be quick sooner.

    Makes the ahead-of-time caches of Kafka and the registry beside the downloads, once; a minute. Nothing needs them.
    """
    from vigimesh.app.devstack.prime import prime
    from vigimesh.app.devstack.progress import Terminal
    from vigimesh.app.devstack.state import default_store

    made = prime(default_store(), Terminal())
    _tell("made: " + ", ".join(map(str, made)) if made else "all is there", {"made": bool(made)}, as_json)


def _folder(data: Path | None) -> Path:
    """Return the data folder asked for, or the default one."""
    from vigimesh.app.devstack import default_data_dir

    return data if data is not None else default_data_dir()


def _show(stack: Stack, as_json: bool) -> None:
    """Write what a stack is: URLs, processes, versions."""
    from vigimesh.app.devstack import all_pids

    since = datetime.fromtimestamp(stack.started_at_s, UTC).isoformat(timespec="seconds")
    if as_json:
        body = {
            "running": True,
            "found": stack.found,
            "attached": stack.attached,
            "data_dir": str(stack.data_dir),
            "started_at": since,
            "urls": asdict(stack.urls),
            "pids": dict(stack.pids),
            "all_pids": sorted(all_pids(stack)),
            "versions": dict(stack.versions),
        }
        print_json(body)
        return
    ending = (
        "it ends with the process that started it"
        if stack.attached
        else f"stop it: vigimesh stack down --data {stack.data_dir}"
    )
    typer.echo(f"stack in {stack.data_dir}, up since {since}; {ending}")
    for name, url in asdict(stack.urls).items():
        typer.echo(f"  {name:9} {url}")
    typer.echo("  processes " + ", ".join(f"{name} {pid}" for name, pid in sorted(stack.pids.items())))


def _tell(text: str, body: dict[str, bool], as_json: bool) -> None:
    """Write one fact, for a person or a program."""
    if as_json:
        print_json(body)
    else:
        typer.echo(text)
