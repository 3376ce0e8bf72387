"""`vigimesh doctor` on the embedded stack: all well when it is prepared, and what is broken there is named."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from confluent_kafka import Consumer
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # exported, undeclared
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)
from typer.testing import CliRunner

from stack_fixture import new_stack
from vigimesh.adapters.kafka.client import common
from vigimesh.adapters.objects.store import ObjectStore
from vigimesh.app.commands.doctor import app, examine
from vigimesh.app.config.settings import KafkaSettings, Settings
from vigimesh.app.devstack import Stack
from vigimesh.app.mesh.prepare import prepare
from waiting import WAIT_S, until

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def own_stack() -> Iterator[Stack]:
    """Start a stack of this module's own: it is looked over before and after it is prepared, and broken."""
    with new_stack() as running:
        yield running


@pytest.fixture(scope="module")
def before(own_stack: Stack) -> dict[str, Any]:
    """Look over the stack while nothing is there, then prepare it."""
    found = run(own_stack, status=1)
    prepare(Settings.for_stack(own_stack.urls))
    return found


def run(stack: Stack, *, status: int) -> dict[str, Any]:
    result = CliRunner().invoke(app, ["--data", str(stack.data_dir), "--json"], catch_exceptions=False)
    assert result.exit_code == status, result.output
    body: dict[str, Any] = json.loads(result.stdout)
    return body


def wrong(body: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one["found"] for one in body["checks"] if one["state"] != "ok"}


def test_an_empty_cluster_is_told_to_be_prepared(before: dict[str, Any]) -> None:
    assert set(wrong(before)) == {"topics and groups", "schema registry", "postgresql"}
    assert all(one["todo"] for one in before["checks"] if one["state"] != "ok")


def test_a_prepared_stack_is_all_ok(own_stack: Stack, before: dict[str, Any]) -> None:
    body = run(own_stack, status=0)
    assert (body["ok"], wrong(body)) == (True, {})
    assert {one["name"] for one in body["checks"]} >= {
        "kafka", "transaction.abort.timed.out.transaction.cleanup.interval.ms", "group.consumer.*", "group.version",
        "transaction.version", "offset.metadata.max.bytes", "offsets.retention.minutes", "message.max.bytes",
        "min.insync.replicas", "partitions of case-keyed topics", "topics and groups", "instance names", "clock",
        "schema registry", "postgresql", "valkey or redis", "object store",
    }  # fmt: skip


def alter(admin: AdminClient, settings: dict[str, str]) -> None:
    """Change a topic by hand; return when its broker has it, which follows the controller."""
    name = "vigimesh.deadletter"
    entries = [
        ConfigEntry(key, value, incremental_operation=AlterConfigOpType.SET)
        for key, value in settings.items()
    ]
    resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=entries)
    admin.incremental_alter_configs([resource])[resource].result(WAIT_S)
    asked = ConfigResource(ResourceType.TOPIC, name)

    def told() -> bool:
        found = admin.describe_configs([asked])[asked].result(WAIT_S)
        return {key: found[key].value for key in settings} == settings

    until(told, what="the topic as it was changed")


def test_what_is_changed_by_hand_is_named(own_stack: Stack, before: dict[str, Any]) -> None:
    admin = AdminClient(common(own_stack.urls.kafka, {}))
    alter(admin, {"min.insync.replicas": "2", "max.message.bytes": "1000000"})
    try:
        found = wrong(run(own_stack, status=1))
        assert set(found) == {"min.insync.replicas", "message.max.bytes", "topics and groups"}
        assert all("vigimesh.deadletter" in text for text in found.values())
    finally:
        alter(admin, {"min.insync.replicas": "1", "max.message.bytes": str(4 << 20)})


def test_two_members_under_one_name_are_found(own_stack: Stack, before: dict[str, Any]) -> None:
    settings = {**common(own_stack.urls.kafka, {}), "group.id": "vigimesh.retriever.warm", "client.id": "retriever-0",
                "group.protocol": "consumer", "auto.offset.reset": "error"}  # fmt: skip
    twins = [Consumer(settings), Consumer(settings)]
    for twin in twins:
        twin.subscribe(["vigimesh.retrieve.warm"])

    def shared() -> bool:
        for twin in twins:
            twin.poll(0.1)
        return all(twin.assignment() for twin in twins)

    try:
        until(shared, what="both members with partitions")
        assert "retriever-0 by 2 members" in wrong(run(own_stack, status=1))["instance names"]
    finally:
        for twin in twins:
            twin.close()


def test_what_is_away_is_a_finding_and_the_rest_is_still_looked_at(
    own_stack: Stack, before: dict[str, Any]
) -> None:
    settings = replace(Settings.for_stack(own_stack.urls), kafka=KafkaSettings(bootstrap="127.0.0.1:9"))
    found = {one.name: one for one in examine(settings)}
    assert (found["kafka"].state, found["postgresql"].state) == ("fail", "ok")
    assert "VM-1301" in found["kafka"].found


def test_a_store_that_takes_no_writes_is_found(tmp_path: Path) -> None:
    store = ObjectStore(f"file://{tmp_path}/objects")
    store.probe()
    store.probe()
    name = store.put(uuid4().bytes)
    assert store.get(name)
    # A file where the probe's folder must be: no user, root included, can write there.
    shutil.rmtree(tmp_path / "objects" / "doctor")
    (tmp_path / "objects" / "doctor").write_bytes(b"")
    with pytest.raises(Exception, match="VM-160"):
        store.probe()
