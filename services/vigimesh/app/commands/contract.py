"""Commands about the contract: `vigimesh topics ...` and `vigimesh schemas ...`.

Exit statuses are in `exits`: 0 all is well, 1 something differs and is named, others are errors with their code.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vigimesh.app.exits import exit_status_of, tell
from vigimesh.app.options import print_json
from vigimesh.errors import Misconfigured, VigimeshError

if TYPE_CHECKING:
    from vigimesh.adapters.kafka.cluster.topics import Report, Shape
    from vigimesh.adapters.kafka.registry import RegistrySchemas, Standing
    from vigimesh.app.config.settings import Settings
    from vigimesh.clock import Deadline

#: Seconds in which a cluster must have answered everything: a first start takes 2.
ANSWER_S = 60.0

topics_app = typer.Typer(help="Topics and consumer groups on the cluster.", no_args_is_help=True)
schemas_app = typer.Typer(
    help="Schemas of the events: print, publish, register, check.", no_args_is_help=True
)

Kafka = Annotated[
    str, typer.Option("--bootstrap", envvar="VIGIMESH_KAFKA_BOOTSTRAP", help="Bootstrap servers, host:port.")
]
Registry = Annotated[
    str,
    typer.Option(
        "--registry",
        envvar="VIGIMESH_REGISTRY_URL",
        help="Base URL of the registry's Confluent-compatible interface.",
    ),
]
Partitions = Annotated[
    int,
    typer.Option(
        "--partitions",
        envvar="VIGIMESH_PARTITIONS",
        min=1,
        max=1_000,
        help="Partitions of every topic keyed by case: equal for all.",
    ),
]
Replication = Annotated[
    int,
    typer.Option(
        "--replication", envvar="VIGIMESH_REPLICATION", min=1, max=9, help="Replicas of every topic."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="One JSON object instead of text.")]
Data = Annotated[
    Path | None,
    typer.Option("--data", metavar="DIR", help="Use the stack that runs on this folder, whatever is set."),
]
To = Annotated[Path | None, typer.Option("--write", help="File to write instead of the terminal.")]
In = Annotated[Path | None, typer.Option("--schemas", help="Folder of the printed schemas.")]


@topics_app.command("apply")
def topics_apply(
    bootstrap: Kafka = "",
    partitions: Partitions = 4,
    replication: Replication = 1,
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Create what is missing; name what differs.

    New groups get their start; nothing that exists is changed.
    """
    from vigimesh.adapters.kafka.cluster.topics import apply

    with _told(as_json):
        report = apply(_kafka(bootstrap, data), _shape(partitions, replication), _deadline())
    _say_topics(report, as_json)


@topics_app.command("check")
def topics_check(
    bootstrap: Kafka = "",
    partitions: Partitions = 4,
    replication: Replication = 1,
    as_json: Json = False,
    data: Data = None,
) -> None:
    """Name what differs from the topics table; change nothing."""
    from vigimesh.adapters.kafka.cluster.topics import check

    with _told(as_json):
        report = check(_kafka(bootstrap, data), _shape(partitions, replication), _deadline())
    _say_topics(report, as_json)


@topics_app.command("table")
def topics_table(write: To = None) -> None:
    """Print the table of topics in Markdown.

    With --write, put it between the markers of a file.
    """
    from vigimesh.app.contract.topics_table import topics_table_markdown, with_table

    if write is None:
        typer.echo(topics_table_markdown(), nl=False)
        return
    with _told():
        _write(write, with_table(_read(write), str(write)))


@topics_app.command("asyncapi")
def topics_asyncapi(write: To = None, partitions: Partitions = 4, replication: Replication = 1) -> None:
    """Print the AsyncAPI 3 document of every channel."""
    from vigimesh.app.contract.asyncapi import document_text

    text = document_text(_shape(partitions, replication))
    if write is None:
        typer.echo(text, nl=False)
        return
    with _told():
        _write(write, text)


@schemas_app.command("register")
def schemas_register(registry: Registry = "", as_json: Json = False, data: Data = None) -> None:
    """Register this version's schemas.

    Every subject is set to FULL_TRANSITIVE; doing it again changes nothing.
    """
    with _told(as_json):
        standings = _registry(registry, data).register_all()
    _say_schemas(standings, as_json)


@schemas_app.command("check")
def schemas_check(
    registry: Registry = "", schemas: In = None, as_json: Json = False, data: Data = None
) -> None:
    """Check schemas, and the registry if one is given.

    The printed ones must be those of the classes, the published ones readable, the registry's those of this version.
    """
    from vigimesh.app.contract.schema_files import findings, folder

    with _told(as_json):
        found = findings(schemas or folder())
        standings = _registry(registry, data).check_all() if registry or data else ()
    wrong = [*found, *(_one(one) for one in standings if one.state != "registered")]
    if as_json:
        print_json(
            {
                "ok": not wrong,
                "findings": list(found),
                "subjects": [dataclasses.asdict(s) for s in standings],
            }
        )
    else:
        for line in wrong:
            typer.echo(line)
        if not wrong:
            where = f" and all {len(standings)} subjects of the registry" if standings else ""
            typer.echo(f"printed and published schemas{where} are as this version needs them")
    if wrong:
        raise typer.Exit(1)


@schemas_app.command("print")
def schemas_print(schemas: In = None) -> None:
    """Write schemas/NAME.avsc (for developers).

    In a checkout: of every event class.
    """
    from vigimesh.app.contract.schema_files import folder, print_all

    with _told():
        changed = print_all(schemas or folder())
    typer.echo(f"printed: {', '.join(changed) or 'nothing changed'}")


@schemas_app.command("publish")
def schemas_publish(schemas: In = None) -> None:
    """Freeze new versions (for developers).

    In a checkout: of every class that differs from its last published version.
    """
    from vigimesh.app.contract.schema_files import folder, publish

    with _told():
        made = publish(schemas or folder())
    typer.echo(f"published: {', '.join(made) or 'nothing changed'}")


@contextmanager
def _told(as_json: bool = False) -> Iterator[None]:
    """Turn an error on purpose into one line on standard error, one JSON object where wanted, and its exit status."""
    try:
        yield
    except VigimeshError as error:
        tell(error, as_json=as_json)
        raise typer.Exit(exit_status_of(error)) from error


def _say_topics(report: Report, as_json: bool) -> None:
    if as_json:
        print_json({"ok": not report.drift, **dataclasses.asdict(report)})
    else:
        for name in report.created:
            typer.echo(f"created {name}")
        for group in report.initialised:
            typer.echo(f"gave group {group} its start")
        for line in report.drift:
            typer.echo(f"VM-1007 {line}")
        if not (report.created or report.initialised or report.drift):
            typer.echo("all topics and groups are as the table says")
    if report.drift:
        raise typer.Exit(1)


def _say_schemas(standings: tuple[Standing, ...], as_json: bool) -> None:
    if as_json:
        print_json({"ok": True, "subjects": [dataclasses.asdict(one) for one in standings]})
    else:
        for one in standings:
            typer.echo(_one(one))


def _one(standing: Standing) -> str:
    number = f" as id {standing.schema_id}" if standing.schema_id else ""
    detail = f": {standing.detail}" if standing.detail else ""
    return f"{standing.subject} {standing.state}{number}{detail}"


def _settings(data: Path | None) -> Settings:
    from vigimesh.app.config.located import settings_for

    return settings_for(data)


def _kafka(bootstrap: str, data: Path | None) -> dict[str, Any]:
    from vigimesh.adapters.kafka.client import common

    kafka = _settings(data).kafka
    servers = _given(
        (not data and bootstrap) or kafka.bootstrap, "Kafka", "--bootstrap", "VIGIMESH_KAFKA_BOOTSTRAP"
    )
    return common(servers, dict(kafka.options))


def _registry(url: str, data: Path | None) -> RegistrySchemas:
    from vigimesh.adapters.kafka.registry import RegistrySchemas
    from vigimesh.app.config.clients import registry_options

    options = registry_options(_settings(data))
    base = _given(
        (not data and url) or options["url"], "the schema registry", "--registry", "VIGIMESH_REGISTRY_URL"
    )
    return RegistrySchemas({**options, "url": base})


def _given(value: str, what: str, option: str, variable: str) -> str:
    if not value:
        raise Misconfigured("VM-1102", what=f"no address of {what}", where=option,
                            todo=f"give {option}, set {variable}, or name the folder of a running stack with --data")  # fmt: skip
    return value


def _shape(partitions: int, replication: int) -> Shape:
    from vigimesh.adapters.kafka.cluster.topics import Shape

    return Shape(partitions=partitions, replication=replication)


def _deadline() -> Deadline:
    from vigimesh.clock import Deadline, SystemClock

    return Deadline.after(SystemClock(), ANSWER_S)


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise Misconfigured("VM-1102", what=f"the file cannot be read: {error.strerror}", where=str(path),
                            todo="give --write an existing file with the markers") from error  # fmt: skip


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Misconfigured("VM-1102", what=f"the file cannot be written: {error.strerror}", where=str(path),
                            todo="give --write a file in a folder that can be written") from error  # fmt: skip
