"""`vigimesh config`: what is set, to what, and by whom."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from vigimesh.app.config.located import located
from vigimesh.app.config.settings import Settings, rows
from vigimesh.app.options import AsJson, Data, print_json
from vigimesh.errors import Misconfigured

app = typer.Typer(name="config", help="Settings: what is set, to what, and by whom.", no_args_is_help=True)

#: Introduction of `docs/settings.md`.
_PREAMBLE = """\
# Settings

Read once at start from environment variables; an empty one counts as not set, and a `VIGIMESH_*` that is not in this
table stops the program with the nearest known name. `vigimesh config show` gives each value and where it came from, with
secrets masked.

Where none of Kafka, registry, PostgreSQL, Redis and objects is set, `vigimesh worker` uses the embedded stack that runs on
the default data folder, if one does; with `--data DIR` it uses the one on that folder, whatever is set. `vigimesh dev`,
`run` and `demo` always work on an embedded stack; to work on clusters of your own, set the addresses, run
`vigimesh prepare`, and start `vigimesh worker STAGE` for each stage.

Written by `vigimesh config table --write docs/settings.md`.

"""


@app.callback()
def root() -> None:
    """Keep the commands below by name, however many there are."""


@app.command()
def show(
    data: Data = None,
    as_json: AsJson = False,
) -> None:
    """Show every setting and where it came from.

    Secrets are masked; a value comes from the default, the environment or the stack. Of models, prices and cards that do not fit
    each other it says why no mesh would start with them.
    """
    found = located(os.environ, data)
    shown = [(row, found.origin(row)) for row in rows(found.settings)]
    if as_json:
        body: dict[str, dict[str, str]] = {
            row.path: {"value": row.shown, "source": origin, "variable": row.setting.variable}
            for row, origin in shown
        }
        body["large_model.prices"] |= {"assumed": _assumed(found.settings), "wrong": _wrong(found.settings)}
        print_json(body)
        return
    wide = max(len(row.setting.variable) for row, _ in shown)
    for row, origin in shown:
        typer.echo(f"{row.setting.variable:{wide}}  {row.shown or '-'}  ({origin})")
    if assumed := _assumed(found.settings):
        typer.echo(f"price: {assumed}")
    if wrong := _wrong(found.settings):
        typer.echo(f"wrong: {wrong}")


def _assumed(settings: Settings) -> str:
    """Return which models are taken to cost the assumed ceiling; what is wrong with the settings of one is not said here."""
    from vigimesh.app.in_force.small_model import assumed_in
    from vigimesh.clock import SystemClock

    try:
        return assumed_in(settings, SystemClock().now())
    except Misconfigured:
        return ""


def _wrong(settings: Settings) -> str:
    """Return why a mesh with these models, prices and cards would not start; empty where nothing is paid for."""
    from vigimesh.app.in_force.cards import cards_of
    from vigimesh.app.in_force.small_model import check_currencies
    from vigimesh.clock import SystemClock

    if not (settings.large_model.base_url or settings.small_model.base_url):
        return ""
    try:
        check_currencies(settings, cards_of(settings).cards, SystemClock().now())
    except Misconfigured as failure:
        return str(failure)
    return ""


@app.command()
def table(
    write: Annotated[
        Path | None, typer.Option("--write", help="File to write instead of the terminal.")
    ] = None,
) -> None:
    """Print the guide to all settings in Markdown."""
    if write is None:
        typer.echo(settings_document(), nl=False)
    else:
        write.write_text(settings_document(), encoding="utf-8")


@app.command()
def metrics(
    write: Annotated[
        Path | None, typer.Option("--write", help="File to write instead of the terminal.")
    ] = None,
) -> None:
    """Print the guide to all metrics in Markdown."""
    from vigimesh.app.contract.metrics_table import metrics_document

    if write is None:
        typer.echo(metrics_document(), nl=False)
    else:
        write.write_text(metrics_document(), encoding="utf-8")


def settings_document() -> str:
    """Return `docs/settings.md`: every setting with its default, what it takes and what it means."""
    lines = ["| variable | default | takes | meaning |", "|---|---|---|---|"]
    for row in rows(Settings()):
        default = f"`{row.text}`" if row.text else ""
        lines.append(
            f"| `{row.setting.variable}` | {default} | {row.setting.kind.expected} | {row.setting.meaning} |"
        )
    return _PREAMBLE + "\n".join(lines) + "\n"
