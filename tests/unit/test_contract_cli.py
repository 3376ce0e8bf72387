"""The commands about topics and schemas: what they print, and with which exit code they end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from vigimesh.app.commands.contract import schemas_app, topics_app
from vigimesh.app.contract.asyncapi import document_text
from vigimesh.app.contract.schema_files import event_classes
from vigimesh.app.contract.topics_table import BEGIN, END, topics_table_markdown

#: Neither a cluster nor a registry is named by the environment of the test.
BARE = {"VIGIMESH_KAFKA_BOOTSTRAP": "", "VIGIMESH_REGISTRY_URL": ""}


def topics(*arguments: str) -> Result:
    return CliRunner().invoke(topics_app, [*arguments], env=BARE)


def schemas(*arguments: str) -> Result:
    return CliRunner().invoke(schemas_app, [*arguments], env=BARE)


@pytest.mark.parametrize("verb", ["apply", "check"])
def test_topics_without_an_address_say_what_to_give(verb: str) -> None:
    done = topics(verb)
    assert done.exit_code == 2
    assert "VM-1102" in done.stderr
    assert "VIGIMESH_KAFKA_BOOTSTRAP" in done.stderr


def test_registering_without_an_address_says_what_to_give() -> None:
    done = schemas("register")
    assert done.exit_code == 2
    assert "VIGIMESH_REGISTRY_URL" in done.stderr


def test_an_address_that_is_none_is_named() -> None:
    done = schemas("register", "--registry", "nowhere")
    assert done.exit_code == 2
    assert "VM-1102" in done.stderr


def test_the_table_is_printed_or_written_between_its_markers(tmp_path: Path) -> None:
    assert topics("table").stdout == topics_table_markdown()
    file = tmp_path / "README.md"
    file.write_text(f"# x\n{BEGIN}\n{END}\n", encoding="utf-8")
    assert topics("table", "--write", str(file)).exit_code == 0
    assert topics_table_markdown() in file.read_text(encoding="utf-8")


@pytest.mark.parametrize("text", [None, "no markers"])
def test_a_table_that_has_no_place_is_an_error_that_names_the_file(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "README.md"
    if text is not None:
        file.write_text(text, encoding="utf-8")
    done = topics("table", "--write", str(file))
    assert done.exit_code == 2
    assert str(file) in done.stderr


def test_the_asyncapi_document_is_printed_or_written(tmp_path: Path) -> None:
    assert topics("asyncapi").stdout == document_text()
    assert topics("asyncapi", "--write", str(tmp_path / "a.json")).exit_code == 0
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == document_text()
    done = topics("asyncapi", "--write", str(tmp_path / "none" / "a.json"))
    assert done.exit_code == 2
    assert "cannot be written" in done.stderr


def test_schemas_are_published_once_and_then_in_order(tmp_path: Path) -> None:
    made = schemas("publish", "--schemas", str(tmp_path))
    assert made.exit_code == 0
    assert f"{event_classes()[0].__name__} v1" in made.stdout
    assert "nothing changed" in schemas("publish", "--schemas", str(tmp_path)).stdout
    assert "nothing changed" in schemas("print", "--schemas", str(tmp_path)).stdout
    checked = schemas("check", "--schemas", str(tmp_path), "--json")
    assert checked.exit_code == 0
    assert json.loads(checked.stdout) == {"ok": True, "findings": [], "subjects": []}


def test_a_breach_is_named_and_not_published(tmp_path: Path) -> None:
    schemas("publish", "--schemas", str(tmp_path))
    frozen = tmp_path / "published" / "FlowCounted" / "v1.avsc"
    schema = json.loads(frozen.read_text(encoding="utf-8"))
    schema["fields"].append({"name": "gone", "type": "string", "doc": "a field that the class lacks"})
    frozen.write_text(json.dumps(schema), encoding="utf-8")
    checked = schemas("check", "--schemas", str(tmp_path))
    assert checked.exit_code == 1
    assert "FlowCounted breaks published v1: FlowCounted.gone: removed" in checked.stdout
    refused = schemas("publish", "--schemas", str(tmp_path))
    assert refused.exit_code == 2
    assert "VM-1006" in refused.stderr
    assert not (tmp_path / "published" / "FlowCounted" / "v2.avsc").exists()
