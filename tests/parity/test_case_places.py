"""The index of where the cases' records lie, on Kafka and PostgreSQL: however far it was followed, a recall reads what the topics hold."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from libraries import fresh_database
from vigimesh.adapters.kafka.case_places import KafkaCasePlaces
from vigimesh.adapters.kafka.history import NEAR, bounds, scan
from vigimesh.adapters.postgres.recalls import PgRecalls
from vigimesh.adapters.postgres.schema import migrate
from vigimesh.domain.record.rows import Row
from vigimesh.loop.broker import Write
from vigimesh.ports.recalls import Part
from waiting import WAIT_S, until
from worlds import KafkaWorld, world_of

world = pytest.fixture(params=[pytest.param("kafka", marks=pytest.mark.real)])(world_of)

#: Records of the history, of as many cases; those that are asked for lie far apart and close together.
COUNT = 3 * NEAR + 50
CASES = {f"c/{number}" for number in (0, 1, NEAR + 60, COUNT - 1)}


class Held:
    """Topics of a test with their index."""

    def __init__(self, world: KafkaWorld, uri: str) -> None:
        self.world, self.index = world, PgRecalls(uri)
        name = uuid.uuid4().hex
        self.topics = (f"places-{name}-one", f"places-{name}-two")
        self.admin = AdminClient(world.base)
        self.make()
        self.places = KafkaCasePlaces(world.base, self.index, self.topics)

    def make(self) -> None:
        for made in self.admin.create_topics([NewTopic(one, 2, 1) for one in self.topics]).values():
            made.result()

    def write(self, numbers: range) -> None:
        for number in numbers:
            for name in self.topics:
                self.world.append(Write(name, f"c/{number}".encode(), f"{name} {number}".encode()))

    def truth(self, cases: set[str] = CASES) -> list[Row]:
        """Return what one pass over the whole topics finds."""
        return ordered(row for row in scan(self.world.base, self.topics) if row.key in cases)

    def read(self, cases: set[str] = CASES) -> list[Row]:
        return ordered(self.places.read(cases))

    def indexed(self, cases: set[str] = CASES) -> dict[Part, list[int]]:
        return {part: list(found) for part, found in self.index.places(cases).items()}


def ordered(rows: Iterator[Row]) -> list[Row]:
    return sorted(rows, key=lambda row: (row.topic, row.partition, row.offset))


@pytest.fixture
def held(world: KafkaWorld, request: pytest.FixtureRequest) -> Iterator[Held]:
    with fresh_database(request.getfixturevalue("stack").urls.postgres, "case_places") as uri:
        migrate(uri)
        made = Held(world, uri)
        yield made
        made.admin.delete_topics(list(made.topics))
        made.index.close()


def test_what_the_index_has_and_what_it_has_not_yet_are_what_the_topics_hold(held: Held) -> None:
    held.write(range(COUNT))
    assert len(held.truth()) == 2 * len(CASES)
    assert held.read() == held.truth()  # nothing was followed yet
    taken = held.places.follow(most=NEAR + 100)
    assert taken == NEAR + 100
    assert held.read() == held.truth()  # a part of it was
    while held.places.follow():
        pass
    spans = bounds(held.world.base, held.topics)
    assert held.index.followed() == {part: end for part, (_, end) in spans.items()}
    assert held.read() == held.truth()
    assert {
        (part, at) for part, found in held.indexed().items() for at in found
    } == {((row.topic, row.partition), row.offset) for row in held.truth()}  # fmt: skip
    held.write(range(2))  # the same cases again, after it was followed
    assert len(held.truth()) == 2 * len(CASES) + 4
    assert held.read() == held.truth()
    assert held.read(set()) == []
    assert held.read({"c/none"}) == []


def test_a_second_librarian_that_follows_at_once_leaves_no_gap(held: Held) -> None:
    held.write(range(40))
    before = held.index.followed()
    assert before == {}
    held.places.follow()
    held.write(range(40, 60))
    held.places.follow()
    far = held.index.followed()
    # One that began with the first and ends only now: it goes neither back nor twice.
    part = next(iter(far))
    held.index.follow([(part, 0, "c/late")], {part: 1}, {part: 0})
    assert held.index.followed() == far
    every = {f"c/{number}" for number in range(60)}
    assert held.read(every) == held.truth(every)


def test_what_the_topic_lets_go_of_leaves_the_index(held: Held) -> None:
    held.write(range(40))
    held.places.follow()
    every = {f"c/{number}" for number in range(40)}
    (part, (_, end)), *_ = bounds(held.world.base, held.topics).items()
    held.index.follow([], {}, {part: end - 1})
    assert held.indexed(every)[part] == [end - 1]


def test_topics_that_were_made_anew_are_read_from_their_start(held: Held) -> None:
    held.write(range(60))
    held.places.follow()
    for gone in held.admin.delete_topics(list(held.topics)).values():
        gone.result()
    until(
        lambda: held.topics[0] not in held.admin.list_topics(timeout=WAIT_S).topics,
        what="the topics to go",
    )
    held.make()
    held.write(range(10))
    every = {f"c/{number}" for number in range(60)}
    assert len(held.truth(every)) == 20
    assert held.read(every) == held.truth(every)
    held.places.follow()
    assert sum(map(len, held.indexed(every).values())) == 20
    assert held.read(every) == held.truth(every)
