"""`vigimesh prepare` on a cluster that the settings name: everything workers need, again without harm, drift named."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from meshes import COMMAND, COMMAND_S
from vigimesh.app.devstack import StackUrls
from vigimesh.events.topics import TOPICS

pytestmark = pytest.mark.real


def vigimesh(urls: StackUrls, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run the command line with the stack named as an outside cluster is: by settings only."""
    addresses = {
        "VIGIMESH_KAFKA_BOOTSTRAP": urls.kafka,
        "VIGIMESH_REGISTRY_URL": urls.registry,
        "VIGIMESH_POSTGRES_DSN": urls.postgres,
        "VIGIMESH_OBJECTS_URL": urls.objects,
    }
    return subprocess.run(
        [*COMMAND, *arguments], env={**os.environ, **addresses, **more}, capture_output=True, text=True,
        check=False, timeout=COMMAND_S,
    )  # fmt: skip


def test_a_cluster_is_made_ready_and_made_ready_again(stack_urls: StackUrls) -> None:
    for _ in range(2):
        done = vigimesh(stack_urls, "prepare", "--json")
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)
        assert found["ready"] is True
        assert found["drift"] == []
        assert "unsigned" in found["cards"]
    for check in (("topics", "check"), ("schemas", "check")):
        done = vigimesh(stack_urls, *check)
        assert done.returncode == 0, done.stdout + done.stderr


def test_what_differs_is_named_and_left_as_it_is(stack_urls: StackUrls) -> None:
    vigimesh(stack_urls, "prepare")
    done = vigimesh(stack_urls, "prepare", VIGIMESH_PARTITIONS="5")
    assert done.returncode == 1, done.stderr
    named = [line for line in done.stdout.splitlines() if line.startswith("VM-1007 ")]
    assert len(named) == sum(topic.partitions == "case" for topic in TOPICS)
    assert vigimesh(stack_urls, "topics", "check").returncode == 0


def test_a_wrong_card_leaves_the_cluster_alone(stack_urls: StackUrls) -> None:
    done = vigimesh(stack_urls, "prepare", VIGIMESH_CARDS="/nowhere")
    assert done.returncode == 2
    assert "VM-1103" in done.stderr
