"""Which settings a command works with: those of the environment, and the addresses of a running stack."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from vigimesh.app.config.settings import Located, Settings, names_cluster, read_settings
from vigimesh.errors import Misconfigured, Transient


def settings_for(data: Path | None, *paths: str) -> Settings:
    """Return the settings of a command, in which `paths` (`kafka.bootstrap`) have a value.

    Raises what `located` raises, and `Misconfigured` VM-1102 when one of `paths` has none.
    """
    settings = located(os.environ, data).settings
    settings.require(*paths)
    return settings


def located(environ: Mapping[str, str], data: Path | None) -> Located:
    """Read the settings; take the addresses of a running stack where they name none, or where `data` names its folder.

    Raises what `read_settings` raises, `Misconfigured` (VM-1705) when no stack runs on the folder named, and `Transient` (VM-1612)
    when one does and does not answer.
    """
    settings = read_settings(environ)
    if data is None and names_cluster(settings):
        return Located(settings=settings, from_stack=False)
    from vigimesh.app.devstack import default_data_dir, runs, status

    stack = status(data or default_data_dir())
    if stack is not None:
        return Located(settings=Settings.for_stack(stack.urls, settings), from_stack=True)
    if data is not None:
        if runs(data) is not None:
            raise in_trouble(data)
        raise Misconfigured(
            "VM-1705",
            what="no stack runs on this folder",
            where=str(data),
            todo="start it: vigimesh stack up --data with this folder, or leave --data out",
        )
    return Located(settings=settings, from_stack=False)


def in_trouble(folder: Path) -> Transient:
    """Return the error for a stack that runs and did not answer in time: on a busy machine it is there all the same."""
    return Transient(
        "VM-1612", what="the stack on this folder runs, and does not answer in time", where=str(folder),
        todo="try again; where it lasts look at the machine's load and into the folder's logs",
    )  # fmt: skip
