"""A model of seriousness from a folder of one's own: it takes the shipped one's place whole, or none does."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from vigimesh.app.commands import cascade as cascade_cli
from vigimesh.app.config.model_settings import SmallModelSettings
from vigimesh.app.config.settings import Settings
from vigimesh.app.in_force.own_model import header_in_force, model_in_force, model_or_absent
from vigimesh.app.in_force.small_model import check_models
from vigimesh.app.mesh.prepare import models_in_force
from vigimesh.clock import SystemClock
from vigimesh.domain.cascade import shipped
from vigimesh.domain.cascade.model import Absent, Model
from vigimesh.domain.cascade.shipped import EVERY, SERIOUS, SUMS, shipped_header, shipped_model, sums_of
from vigimesh.errors import Misconfigured

MODELS = Path(shipped.__file__).parent / "models"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Write a folder as `vigimesh train` does: the shipped model under another digest, since its card says something else."""
    folder = tmp_path / "small-models"
    shutil.copytree(MODELS, folder)
    header = json.loads((folder / f"{SERIOUS}.json").read_bytes())
    header["card"]["limits"] = ["made for a test"]
    (folder / f"{SERIOUS}.json").write_text(json.dumps(header), encoding="utf-8")
    files = {file.name: file.read_bytes() for file in folder.iterdir() if file.name != SUMS}
    (folder / SUMS).write_bytes(sums_of(files))
    return folder


def of(folder: Path) -> SmallModelSettings:
    return SmallModelSettings(folder=str(folder))


def test_without_a_folder_the_shipped_model_is_in_force() -> None:
    assert model_in_force(SmallModelSettings()) is shipped_model(SERIOUS)
    assert header_in_force(SmallModelSettings()) == shipped_header(SERIOUS)
    assert [name for _, name, _ in models_in_force(SmallModelSettings())] == list(EVERY)


def test_a_folder_s_model_takes_its_place_and_is_told(own: Path) -> None:
    found = model_in_force(of(own))
    assert found.digest not in ("", shipped_model(SERIOUS).digest)
    assert model_or_absent(of(own)) is found
    told = {name: body for _, name, body in models_in_force(of(own))}
    assert told[SERIOUS] == header_in_force(of(own)) == (own / f"{SERIOUS}.json").read_bytes()
    assert set(told) == set(EVERY)
    check_models(Settings(small_model=of(own)), SystemClock())


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda folder: (folder / f"{SERIOUS}.npz").unlink(), "VM-2202"),
        (lambda folder: (folder / f"{SERIOUS}.npz").write_bytes(b""), "VM-2201"),
        (lambda folder: (folder / SUMS).write_bytes(b""), "VM-2201"),
        (shutil.rmtree, "VM-2202"),
    ],
    ids=["missing", "cut off", "not listed", "no folder"],
)
def test_a_folder_that_holds_none_lets_nothing_start_and_the_shipped_one_is_not_taken_for_it(
    own: Path, spoil: object, code: str
) -> None:
    assert callable(spoil)
    spoil(own)
    found = model_or_absent(of(own))
    assert isinstance(found, Absent)
    assert code in found.why
    assert SERIOUS not in {name for _, name, _ in models_in_force(of(own))}
    with pytest.raises(Misconfigured, match=code):
        check_models(Settings(small_model=of(own)), SystemClock())


def test_the_commands_of_the_gates_say_that_it_is_absent(
    own: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (own / f"{SERIOUS}.npz").write_bytes(b"")
    monkeypatch.setenv("VIGIMESH_SMALL_MODEL__FOLDER", str(own))
    monkeypatch.setenv("VIGIMESH_KAFKA_BOOTSTRAP", "127.0.0.1:9")
    monkeypatch.setenv("VIGIMESH_REGISTRY_URL", "http://127.0.0.1:9")
    assert cascade_cli._room(None).models == ()
    assert "the small tier is absent: VM-2201" in capsys.readouterr().err


def test_one_that_comes_back_is_read(own: Path) -> None:
    file = own / f"{SERIOUS}.npz"
    whole = file.read_bytes()
    file.unlink()
    assert isinstance(model_or_absent(of(own)), Absent)
    file.write_bytes(whole)
    assert isinstance(model_or_absent(of(own)), Model)
