"""The model of seriousness in force: the shipped one, or that of a folder which `vigimesh train` wrote."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from vigimesh.app.config.model_settings import SmallModelSettings
from vigimesh.domain.cascade.model import Absent, Model
from vigimesh.domain.cascade.shipped import SERIOUS, model_of, shipped_header, shipped_model
from vigimesh.errors import Misconfigured

_SETTING = "VIGIMESH_SMALL_MODEL__FOLDER"


def model_in_force(settings: SmallModelSettings) -> Model:
    """Return the model, read once. Raises `Misconfigured` VM-2201 when it was altered, VM-2202 when it is not there."""
    return _own(settings.folder) if settings.folder else shipped_model(SERIOUS)


def header_in_force(settings: SmallModelSettings) -> bytes:
    """Return the JSON of the model. Raises `Misconfigured` VM-2202."""
    return _file(settings.folder, f"{SERIOUS}.json") if settings.folder else shipped_header(SERIOUS)


def model_or_absent(settings: SmallModelSettings) -> Model | Absent:
    """Return the model, or why there is none: then a case goes on to the next tier, and the record says so.

    The shipped one is no stand-in for one that was named: a gate that is open for the one says nothing of the other.
    """
    try:
        return model_in_force(settings)
    except Misconfigured as error:
        return Absent(why=f"{error.code} {error.what}")


@cache
def _own(folder: str) -> Model:
    return model_of(SERIOUS, lambda file: _file(folder, file))


def _file(folder: str, file: str) -> bytes:
    try:
        return (Path(folder) / file).read_bytes()
    except OSError as failure:
        raise Misconfigured(
            "VM-2202", what=f"the small model of {_SETTING} is not there: {failure.strerror}", where=str(Path(folder) / file),
            todo="name a folder that `vigimesh train --out` wrote; until then the small tier is absent",
        ) from None  # fmt: skip
