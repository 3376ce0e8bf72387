"""Whether there is a large model is said by two settings together; a client is built only when it is asked for."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from vigimesh.app.large_model import has_large_model, large_model
from vigimesh.app.settings import LargeModelSettings, read_settings
from vigimesh.clock import SystemClock
from vigimesh.errors import Misconfigured

SERVICES = Path(__file__).resolve().parents[2] / "services"
URL = "http://127.0.0.1:9/v1"


def test_without_settings_there_is_none() -> None:
    assert has_large_model(LargeModelSettings()) is False
    assert has_large_model(LargeModelSettings(key="k")) is False


def test_address_and_name_make_one_with_or_without_a_key() -> None:
    assert has_large_model(LargeModelSettings(base_url=URL, name="m")) is True


@pytest.mark.parametrize("half", [LargeModelSettings(base_url=URL), LargeModelSettings(name="m")])
def test_half_of_one_is_misconfigured(half: LargeModelSettings) -> None:
    with pytest.raises(Misconfigured, match="VM-1102"):
        has_large_model(half)


def test_the_client_shows_neither_address_nor_key() -> None:
    settings = read_settings(
        {
            "VIGIMESH_LARGE_MODEL__BASE_URL": "https://user:pass-word@models.example/v1",
            "VIGIMESH_LARGE_MODEL__NAME": "m",
            "VIGIMESH_LARGE_MODEL__KEY": "sk-secret",
        }
    ).large_model
    shown = f"{large_model(settings, SystemClock())!r} {settings!r}"
    assert "sk-secret" not in shown
    assert "pass-word" not in shown


def test_asking_whether_there_is_one_does_not_import_the_client() -> None:
    code = "import sys, vigimesh.app.large_model; sys.exit('openai' in sys.modules)"
    assert (
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONPATH": str(SERVICES)}, check=False
        ).returncode
        == 0
    )
