"""What a retriever is told of documents that change: on a broker, in the thread that follows the topic."""

from __future__ import annotations

import threading

import pytest

from vigimesh.adapters.kafka.knowledge_changes import ChangeReader
from vigimesh.events.knowledge import DocumentVersioned
from vigimesh.events.topics import BY_NAME, topic
from vigimesh.loop.broker import Write
from waiting import WAIT_S
from worlds import KafkaWorld, World, world_of

CHANGED = topic("knowledge.changed")

world = pytest.fixture(params=[pytest.param("kafka", marks=pytest.mark.real)])(world_of)


def test_the_topic_has_one_partition_since_its_reader_follows_one() -> None:
    assert BY_NAME[CHANGED].partitions == "one"


def test_a_change_is_told_of_once_from_now_on(world: World) -> None:
    assert isinstance(world, KafkaWorld)
    told = threading.Semaphore(0)
    event = DocumentVersioned(document_id="product/zelora", version="1.1", digest="0" * 64)
    change = Write(topic=CHANGED, key=b"product/zelora", value=world.codec.encode(CHANGED, event), headers=[])
    world.append(change)
    reader = ChangeReader(world.base, world.codec, told.release).start()
    try:
        assert reader.caught_up(30.0)
        # Once at the beginning, since anything may have changed before; what stood on the topic is not told of again.
        assert told.acquire(timeout=WAIT_S)
        assert not told.acquire(blocking=False)
        world.append(change)
        assert told.acquire(timeout=WAIT_S)
    finally:
        reader.close()
