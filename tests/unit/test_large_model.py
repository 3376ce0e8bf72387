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


def test_the_key_is_not_shown() -> None:
    settings = read_settings(
        {
            "VIGIMESH_LARGE_MODEL__BASE_URL": URL,
            "VIGIMESH_LARGE_MODEL__NAME": "m",
            "VIGIMESH_LARGE_MODEL__KEY": "sk-secret",
        }
    ).large_model
    shown = f"{large_model(settings, SystemClock())!r} {settings!r}"
    assert "sk-secret" not in shown


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("https://user:sk-secret@models.example/v1", ""),
        ("http://models.example:999999/v1", ""),
        ("ftp://models.example/v1", ""),
        ("http://", ""),
        (URL, "sk-secret-schlüssel"),
        (URL, "sk-secret\n"),
    ],
)
def test_what_no_request_could_carry_is_refused_without_showing_it(url: str, key: str) -> None:
    with pytest.raises(Misconfigured, match="VM-1102") as refused:
        large_model(LargeModelSettings(base_url=url, name="m", key=key), SystemClock())
    assert "sk-secret" not in str(refused.value)


def test_asking_whether_there_is_one_does_not_import_the_client() -> None:
    code = "import sys, vigimesh.app.large_model; sys.exit('openai' in sys.modules)"
    assert (
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONPATH": str(SERVICES)}, check=False
        ).returncode
        == 0
    )
