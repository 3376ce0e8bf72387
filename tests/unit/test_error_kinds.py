"""An error is the same one after it has crossed from one process to another."""

from __future__ import annotations

import pickle

import pytest

from vigimesh.errors import Broken, Fenced, Misconfigured, Refused, Transient, VigimeshError
from vigimesh.loop.broker import InDoubt, TooLarge


@pytest.mark.parametrize(
    "kind", [VigimeshError, Transient, Refused, Misconfigured, Fenced, Broken, InDoubt, TooLarge]
)
def test_an_error_crosses_processes_whole(kind: type[VigimeshError]) -> None:
    error = kind("VM-1103", what="unknown step", where="steps of the plan", todo="name another")
    found = pickle.loads(pickle.dumps(error))
    assert type(found) is kind
    assert (found.code, found.what, found.where, found.todo) == (
        error.code,
        error.what,
        error.where,
        error.todo,
    )
    assert str(found) == str(error)
