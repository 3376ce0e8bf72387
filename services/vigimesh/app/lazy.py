"""A command group that imports a command's module only when that command is used, so that `--help` is quick."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

#: Command -> (`module:attribute` of its typer app, its line in the list of commands).
LAZY: dict[str, tuple[str, str]] = {
    "stack": ("vigimesh.app.commands.stack:app", "The embedded stack alone: up, status, down, prime."),
    "topics": (
        "vigimesh.app.commands.contract:topics_app",
        "Topics and consumer groups on the cluster: apply, check.",
    ),
    "schemas": ("vigimesh.app.commands.contract:schemas_app", "Schemas of the events: register, check."),
    "cards": ("vigimesh.app.commands.cards:app", "Workflow cards: check, show."),
    "budget": ("vigimesh.app.commands.budget:app", "What each workflow may still spend: show, raise."),
    "case": ("vigimesh.app.commands.case:app", "What became of a case: list, show, trace."),
    "deadletter": (
        "vigimesh.app.commands.deadletter:app",
        "What could not be worked on: list, show, redrive, close.",
    ),
    "calls": ("vigimesh.app.commands.calls:app", "Paid model calls: list, answers, resolve, recover."),
    "throttle": ("vigimesh.app.commands.throttle:app", "Orders for lanes and workflows: show, set, clear."),
    "lane": ("vigimesh.app.commands.brakes:lane_app", "A whole lane: pause, drain, unpause."),
    "tier": ("vigimesh.app.commands.brakes:tier_app", "A tier in every lane: disable, enable."),
    "policy": ("vigimesh.app.commands.brakes:policy_app", "Acceptance by machine: hold, release."),
    "knowledge": (
        "vigimesh.app.commands.knowledge:app",
        "Labels and guidance: in, searched, recalled, counted.",
    ),
    "cascade": (
        "vigimesh.app.commands.cascade:app",
        "The small tier and its live sample: status, label, look.",
    ),
    "transactions": (
        "vigimesh.app.commands.transactions:app",
        "Transactions on the cluster: list, abort.",
    ),
    "doctor": (
        "vigimesh.app.commands.doctor:app",
        "Look a cluster over: what is wrong, what to change.",
    ),
    "config": (
        "vigimesh.app.commands.config:app",
        "Settings: show each with its value and where it came from.",
    ),
}


def load(target: str) -> Any:
    """Return the attribute that `module:attribute` names."""
    module, _, name = target.partition(":")
    return getattr(import_module(module), name)


class LazyGroup(TyperGroup):
    """Lists the commands of `LAZY` from that table and imports one when it is called."""

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        """Return the command that is called, its module imported."""
        name, command, rest = super().resolve_command(ctx, args)
        if name in LAZY:
            app: typer.Typer = load(LAZY[name][0])
            app.rich_markup_mode = None
            app.pretty_exceptions_enable = False
            # Typer's: it would write the shell's start files, and only the whole command line can be completed.
            app._add_completion = False
            command = typer.main.get_command(app)
        return name, command, rest


def mount(app: typer.Typer) -> None:
    """Give the app a line for every command of `LAZY`; what stands behind it comes from `LazyGroup`."""
    for name, (_, help_line) in LAZY.items():
        app.command(name, help=help_line)(_stand_in(name))


def _stand_in(name: str) -> Callable[[], None]:
    def stand_in() -> None:
        raise AssertionError(f"{name} was called without its group")

    return stand_in
