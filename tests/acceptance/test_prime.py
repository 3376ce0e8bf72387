"""Ahead-of-time caches, really made: once, of what a broker does all day; and a start takes them or leaves them aside."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient

from vigimesh.app.devstack import Stack, aot, kafka
from vigimesh.app.devstack.exercise import WAY, exercise
from vigimesh.app.devstack.parts import find_parts
from vigimesh.app.devstack.prime import prime
from vigimesh.app.devstack.progress import Silent
from vigimesh.app.devstack.state import default_store
from vigimesh.clock import Deadline, SystemClock

pytestmark = pytest.mark.real

RECORDS = 20


def within(seconds: float) -> Deadline:
    return Deadline.after(SystemClock(), seconds)


@pytest.fixture
def broker(stack: Stack) -> Iterator[str]:
    """Name the session's broker, and leave no topic of the exercise on it."""
    yield stack.urls.kafka
    admin = AdminClient({"bootstrap.servers": stack.urls.kafka})
    for gone in admin.delete_topics(list(WAY)).values():
        gone.result(30)


def test_each_record_is_carried_to_the_end_and_committed_there(broker: str) -> None:
    assert exercise(broker, RECORDS, within(120)) == RECORDS
    reader = Consumer(
        {"bootstrap.servers": broker, "group.id": "prime.test", "auto.offset.reset": "earliest"}
    )
    reader.subscribe([WAY[-1]])
    arrived = {message.key() for message in reader.consume(RECORDS, 60)}
    reader.close()
    assert arrived == {str(number).encode() for number in range(RECORDS)}


def test_it_ends_with_its_time(broker: str) -> None:
    assert exercise(broker, 10**9, within(5)) < 10**6


@pytest.fixture
def store(stack: Stack, tmp_path: Path) -> Path:
    """Return a store of its own with the user's downloads, which the session's stack has seen to, and no cache."""
    del stack
    for found in default_store().iterdir():
        if found.suffix == ".jar" or found.name.startswith("unpacked-"):
            (tmp_path / found.name).symlink_to(found)
        elif found.suffix != ".aot" and found.is_file():
            shutil.copyfile(found, tmp_path / found.name)
    return tmp_path


def kafka_says(store: Path, *told: str) -> subprocess.CompletedProcess[bytes]:
    """Run a tool of Kafka's with what the runtime is told of the cache, and `told` besides."""
    parts = find_parts(store, progress=Silent())
    classpath = ":".join(map(str, parts.classpath))
    options = aot.options(parts, store)["once"]
    tool = ("-cp", classpath, "kafka.tools.StorageTool", "random-uuid")
    return subprocess.run(
        [parts.java, *kafka.JAVA, *options, *told, *tool], check=False, capture_output=True, timeout=60
    )


def test_caches_are_made_once_and_kafka_takes_its_own(store: Path) -> None:
    parts = find_parts(store, progress=Silent())
    # The registry's would take as long again.
    aot.cache_file("registry", parts, store).touch()
    former = store / "kafka-0123456789abcdef.aot"
    former.touch()
    mine = aot.cache_file("kafka", parts, store)
    assert prime(store, Silent(), records=RECORDS) == (mine,)
    assert not former.exists()
    assert mine.stat().st_size > 10_000_000
    # With `on` a runtime that cannot take it ends.
    assert kafka_says(store, "-XX:AOTMode=on").returncode == 0
    made = mine.stat()
    assert prime(store, Silent(), records=RECORDS) == ()
    assert mine.stat() == made


def test_a_broken_cache_is_left_aside(store: Path) -> None:
    aot.cache_file("kafka", find_parts(store, progress=Silent()), store).write_bytes(b"no cache" * 10_000)
    assert kafka_says(store, "-XX:AOTMode=on").returncode != 0
    said = kafka_says(store)
    assert said.returncode == 0
    assert len(said.stdout.splitlines()[-1]) == 22
