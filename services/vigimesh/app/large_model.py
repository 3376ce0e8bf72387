"""The large model of the settings, if there is one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vigimesh.app.settings import LargeModelSettings
from vigimesh.clock import Clock
from vigimesh.errors import Misconfigured

if TYPE_CHECKING:
    from vigimesh.adapters.openai_models import OpenAIModels


def has_large_model(settings: LargeModelSettings) -> bool:
    """Return whether an endpoint is configured. Raises `Misconfigured` VM-1102 when only half of it is."""
    there = (settings.base_url, settings.name)
    if any(there) and not all(there):
        raise Misconfigured(
            "VM-1102", what="the large model has an address or a name, and not the other", where="environment",
            todo="set both VIGIMESH_LARGE_MODEL__BASE_URL and VIGIMESH_LARGE_MODEL__NAME, or neither",
        )  # fmt: skip
    return all(there)


def large_model(settings: LargeModelSettings, clock: Clock) -> OpenAIModels:
    """Return the client of the endpoint; nothing is sent yet. Only where `has_large_model`."""
    from vigimesh.adapters.openai_models import (
        OpenAIModels,
    )  # over a second, and only needed with an endpoint

    return OpenAIModels(settings.base_url, settings.key, clock=clock, limit_field=settings.limit_field)
