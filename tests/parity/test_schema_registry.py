"""One suite on the registry in memory and the real one: the codec cannot tell them apart."""

from __future__ import annotations

import uuid

import pytest

from vigimesh.adapters.kafka.registry import RegistrySchemas
from vigimesh.adapters.memory.registry import MemorySchemas
from vigimesh.app.contract.samples import sample
from vigimesh.errors import Misconfigured, Refused, Transient
from vigimesh.events.avro import schema_of
from vigimesh.events.codec import Codec
from vigimesh.events.evolution import breaches
from vigimesh.events.topics import TOPICS

Registry = MemorySchemas | RegistrySchemas


@pytest.fixture(params=["memory", pytest.param("real", marks=pytest.mark.real)])
def registry(request: pytest.FixtureRequest) -> Registry:
    if request.param == "memory":
        return MemorySchemas(registered=False)
    return RegistrySchemas({"url": request.getfixturevalue("stack").urls.registry})


def test_registering_again_changes_nothing(registry: Registry) -> None:
    first = registry.register_all()
    assert [one.subject for one in first] == [topic.subject for topic in TOPICS]
    assert {one.state for one in first} == {"registered"}
    assert registry.register_all() == first
    assert registry.check_all() == first
    assert [registry.id_of(topic.subject) for topic in TOPICS] == [one.schema_id for one in first]


def test_the_same_class_has_the_same_id_under_every_subject(registry: Registry) -> None:
    numbers: dict[type, set[int]] = {}
    for topic, one in zip(TOPICS, registry.register_all(), strict=True):
        numbers.setdefault(topic.event, set()).add(one.schema_id)
    assert all(len(found) == 1 for found in numbers.values())
    assert len(set.union(*numbers.values())) == len(numbers)


def test_a_schema_comes_back_as_the_one_registered(registry: Registry) -> None:
    registry.register_all()
    for topic in TOPICS:
        found = registry.schema(registry.id_of(topic.subject))
        assert breaches(found, schema_of(topic.event)) == ()
        assert breaches(schema_of(topic.event), found) == ()
        assert [field["doc"] for field in found["fields"]] == [
            field["doc"] for field in schema_of(topic.event)["fields"]
        ]


def test_events_go_through_it(registry: Registry) -> None:
    registry.register_all()
    for topic in TOPICS:
        event = sample(topic.event)
        data = Codec(registry).encode(topic.name, event)
        # A codec that has written nothing yet must ask for the writer's schema.
        assert Codec(registry).decode(topic.name, data) == event


def test_what_it_does_not_know_is_refused(registry: Registry) -> None:
    registry.register_all()
    with pytest.raises(Refused, match="VM-1002"):
        registry.schema(2_000_000_000)
    with pytest.raises(Refused, match="VM-1002"):
        registry.schema_by_guid(uuid.UUID(int=7))
    with pytest.raises(Refused, match="VM-1002"):
        Codec(registry).decode(TOPICS[0].name, b"\x00\x77\x35\x94\x00rest")
    with pytest.raises(Refused, match="VM-1002"):
        Codec(registry).decode(TOPICS[0].name, b"\x01" + bytes(16) + b"rest")


def test_nothing_registered_says_what_to_do() -> None:
    registry = MemorySchemas(registered=False)
    assert {one.state for one in registry.check_all()} == {"missing"}
    with pytest.raises(Misconfigured, match="VM-1009"):
        registry.id_of(TOPICS[0].subject)


def test_a_schema_that_may_not_follow_is_not_registered() -> None:
    registry = MemorySchemas(registered=False)
    registry.register(
        TOPICS[0].subject, {"type": "record", "name": "CaseReceived", "namespace": "vigimesh", "fields": []}
    )
    assert registry.check_all()[0].state == "incompatible"
    with pytest.raises(Misconfigured, match=r"VM-1006.*CaseReceived\.case: added without a default"):
        registry.register_all()


def test_a_registry_that_is_away_is_transient() -> None:
    with pytest.raises(Transient, match="VM-1301"):
        RegistrySchemas({"url": "http://127.0.0.1:9", "max.retries": 0}).schema(1)


@pytest.mark.parametrize(
    "settings", [{"url": "nowhere"}, {"url": "http://127.0.0.1:9", "no.such.setting": 1}]
)
def test_settings_the_client_does_not_take_are_named(settings: dict[str, object]) -> None:
    with pytest.raises(Misconfigured, match="VM-1102"):
        RegistrySchemas(settings)
