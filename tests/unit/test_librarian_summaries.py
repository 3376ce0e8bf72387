"""The warm level: summaries made when they are due, served within age and version only, and never when they cannot be cited."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from clocks import Hand
from libraries import note
from vigimesh.adapters.memory.library import MemoryLibrary
from vigimesh.adapters.memory.objects import MemoryObjects
from vigimesh.adapters.memory.registry import MemorySchemas
from vigimesh.adapters.memory.search import MemorySearch
from vigimesh.adapters.memory.summaries import MemorySummaryIndex
from vigimesh.adapters.objects.warm import WarmSummaries
from vigimesh.background.librarian.summaries import MAX_STEP, Summarising
from vigimesh.domain.knowledge.products import DEFAULT, Products, gather, read_product
from vigimesh.domain.knowledge.warm import Cost, Kept, LastTwo
from vigimesh.errors import Misconfigured, Transient
from vigimesh.events.classes import UsageRecorded
from vigimesh.events.codec import Codec
from vigimesh.loop.broker import Write
from vigimesh.loop.outcome import Need
from vigimesh.retriever.lookup import Lookup

ASKED = "latest label changes of Zelora"
DAY = timedelta(days=1)
FREE = Cost(made=1, characters=0, micro=0, currency="EUR")
#: Of the default product.
WARM = DEFAULT.ages.warm
SCHEDULED = """
id = "labels"
owner = "A. Person"
description = "ours"
documents = ["product/*"]
service_level_hours = 48
semantic = false
[refresh]
policy = "scheduled"
opens_utc = "02:00"
closes_utc = "04:00"
[ages]
hot_hours = 2
warm_hours = 720
"""


class Killed(Exception):
    """The process ended here."""


class Warm:
    """A library, its librarian and a retriever that asks, all in memory."""

    def __init__(self, products: Products | None = None) -> None:
        self.clock = Hand()
        self.library = MemoryLibrary(clock=self.clock)
        self.search = MemorySearch(library=self.library)
        self.index, self.objects = MemorySummaryIndex(), MemoryObjects()
        self.products = products or Products(products=(), origin="none")
        self.written: list[Write] = []
        self.codec = Codec(MemorySchemas())
        self.forget()
        self.start()

    def start(self) -> None:
        """Start the librarian anew."""
        self.duty = Summarising(
            library=self.library, index=self.index, objects=self.objects, products=self.products, codec=self.codec,
            desk=self, clock=self.clock,
        )  # fmt: skip

    def forget(self) -> None:
        """Start the retriever anew: it remembers nothing."""
        self.summaries = WarmSummaries(self.index, self.objects, self.search.state)

    async def write(self, writes: Sequence[Write]) -> None:
        self.written += writes

    def used(self, one: Write) -> UsageRecorded:
        found: UsageRecorded = self.codec.decode(one.topic, one.value or b"")
        return found

    def bring(self, *versions: str, name: str = "product/zelora", title: str = "Zelora") -> None:
        for version in versions:
            self.library.ingest([note(version, f"Rash {version[-1]}, Pain", name, title)], by="a")

    def step(self, forward: timedelta = timedelta(0)) -> int:
        self.clock.at_s += forward.total_seconds()
        return asyncio.run(self.duty.step())

    def ask(self, question: str = ASKED) -> dict[str, Any]:
        self.search.changed()
        lookup = Lookup(
            search=self.search, clock=self.clock, summaries=self.summaries, products=self.products
        )
        return lookup.answers([Need(kind="search", key=question, limit=3)])[0]

    def level(self, question: str = ASKED) -> str:
        return str(self.ask(question)["level"])


@pytest.fixture
def warm() -> Warm:
    made = Warm()
    made.bring("1.0", "1.1")
    return made


def test_a_summary_is_made_of_the_second_version_and_served_before_a_search(warm: Warm) -> None:
    assert warm.level() == "search"
    assert (warm.step(), warm.step()) == (1, 0)
    found = warm.ask()
    assert (found["level"], found["match"], found["read_at"]) == (
        "warm",
        "exact",
        warm.clock.now().isoformat(),
    )
    assert [(row["version"], row["text"]) for row in found["passages"]] == [("1.1", "Common: Rash 1, Pain.")]
    assert all(row["question"] == ASKED for row in found["passages"])
    assert warm.level("Zelora label changes") == "warm"  # begins with its name: another scope
    assert warm.level("Zelora Rash") == "search"


def test_a_document_of_one_version_has_no_summary(warm: Warm) -> None:
    warm.bring("1.0", name="product/quill", title="Quill")
    assert warm.step() == 1
    assert [one.document_id for one in warm.index.rows()] == ["product/zelora"]
    assert warm.level("label changes of Quill") == "search"


def test_the_newest_two_versions_are_compared_by_number(warm: Warm) -> None:
    warm.bring("1.10", "1.9")
    warm.step()
    assert [(one.older, one.version) for one in warm.index.rows()] == [("1.9", "1.10")]


def test_a_superseded_summary_is_never_served_and_is_made_anew(warm: Warm) -> None:
    warm.step()
    warm.bring("1.2")
    found = warm.ask()
    assert (found["level"], found["missed"]) == ("search", "superseded")
    assert warm.step() == 1
    found = warm.ask()
    assert (found["level"], {row["version"] for row in found["passages"]}) == ("warm", {"1.2"})


def test_a_withdrawn_source_takes_its_summary_with_it(warm: Warm) -> None:
    warm.step()
    warm.library.withdraw("product/zelora", by="a", reason="wrong")
    assert warm.level() == "search"
    assert warm.step() == 0
    assert warm.index.rows() == []
    warm.bring(
        "2.0"
    )  # a higher version brings the document back; what was withdrawn is compared with nothing
    assert warm.step() == 0
    assert warm.level() == "search"


def test_an_age_is_absolute_and_a_summary_too_old_is_made_anew(warm: Warm) -> None:
    warm.step()
    warm.clock.at_s += WARM.total_seconds()
    assert warm.level() == "warm"
    assert warm.step() == 0
    warm.clock.at_s += 1
    found = warm.ask()
    assert (found["level"], found["missed"]) == ("search", "too_old")
    assert warm.step() == 1
    assert warm.level() == "warm"
    assert len(warm.objects.held) == 1  # the same two versions: the same bytes


def test_a_scheduled_product_is_refreshed_once_in_its_window() -> None:
    warm = Warm(gather([(read_product(SCHEDULED.encode(), "l.toml"), "l.toml")], "here"))
    warm.bring("1.0", "1.1")
    assert warm.step() == 1  # at midnight, since there is none
    hour = timedelta(hours=1)
    assert [warm.step(hour) for _ in range(6)] == [0, 1, 0, 0, 0, 0]
    assert [warm.step(hour) for _ in range(24)].count(1) == 1


def test_a_full_store_leaves_the_old_summary_to_its_age_and_version(warm: Warm) -> None:
    warm.step()
    warm.objects.capacity_bytes = 0
    warm.bring("1.2")
    with pytest.raises(Transient, match="VM-1603"):
        warm.step()
    assert [one.version for one in warm.index.rows()] == ["1.1"]
    found = warm.ask()
    assert (found["missed"], found["level"]) == ("superseded", "search")
    # Documents do not lie in the object store: what came meanwhile is there and found.
    assert {row["version"] for row in warm.ask("Zelora Rash")["passages"]} == {"1.2"}
    warm.objects.capacity_bytes = 10**6
    assert warm.step() == 1
    assert warm.level() == "warm"


def test_a_store_that_is_away_means_a_miss_but_for_what_was_read_before(
    warm: Warm, monkeypatch: pytest.MonkeyPatch
) -> None:
    warm.step()
    warm.ask()

    def away(_: object, digest: str) -> bytes:
        raise Transient("VM-1603", what="away", where=digest, todo="wait")

    monkeypatch.setattr(MemoryObjects, "get", away)
    assert warm.level() == "warm"
    warm.clock.at_s += WARM.total_seconds() + 1
    assert warm.level() == "search"  # remembered, and past its age
    warm.clock.at_s -= WARM.total_seconds() + 1
    warm.forget()
    assert warm.level() == "search"


@pytest.mark.parametrize("body", [None, b"{}", b"other"])
def test_an_object_that_is_gone_or_altered_is_not_served(warm: Warm, body: bytes | None) -> None:
    warm.step()
    (digest,) = warm.objects.held
    if body is None:
        del warm.objects.held[digest]
    else:
        warm.objects.held[digest] = body
    assert warm.level() == "search"


def test_a_row_that_names_another_documents_object_is_not_served(warm: Warm) -> None:
    warm.bring("1.0", "1.1", name="product/quill", title="Quill")
    warm.step()
    quill, zelora = warm.index.rows()
    warm.index.put(
        Kept(
            document_id=zelora.document_id, product=zelora.product, older=zelora.older, version=zelora.version,
            digest=quill.digest, size=quill.size, names=zelora.names, read_at=zelora.read_at,
        ),
        FREE,
    )  # fmt: skip
    assert warm.level() == "search"
    assert warm.level("label changes of Quill") == "warm"


def test_two_documents_of_one_name_are_not_guessed(warm: Warm) -> None:
    warm.bring("1.0", "1.1", name="product/zelora-2")
    assert warm.step() == 2
    assert warm.level() == "search"
    assert warm.level("label changes of product/zelora-2") == "warm"


def test_a_librarian_killed_between_object_and_row_makes_the_same_again(warm: Warm) -> None:
    class Dying(MemorySummaryIndex):
        def put(self, kept: Kept, cost: Cost) -> None:
            raise Killed

    whole, warm.index = warm.index, Dying()
    warm.start()
    with pytest.raises(Killed):
        warm.step()
    warm.index = whole
    warm.start()
    assert warm.step() == 1
    assert len(warm.objects.held) == 1


def test_a_step_is_bounded_and_what_it_used_is_told(warm: Warm) -> None:
    for at in range(MAX_STEP + 2):
        warm.bring("1.0", "1.1", name=f"product/p{at}", title=f"Prod{at}")
    assert [warm.step() for _ in range(3)] == [MAX_STEP, 3, 0]
    usage = [warm.codec.decode(one.topic, one.value or b"") for one in warm.written]
    assert {(one.workflow, one.stage, one.kind, one.unit) for one in usage} == {
        ("knowledge", "librarian", "storage", "bytes"),
        ("knowledge", "librarian", "tool_run", "runs"),
    }
    assert [one.quantity for one in usage if one.kind == "storage"] == [
        len(warm.objects.held[warm.index.held[(one.key or b"").decode()].digest])
        for one in warm.written
        if warm.codec.decode(one.topic, one.value or b"").kind == "storage"
    ]
    assert all(one.cost_micro == one.quantity * one.price_micro for one in usage)


def test_a_summary_costs_what_its_product_says_for_each_thousand_characters_begun() -> None:
    price = '[summary_price]\ncurrency = "USD"\nmicro_per_1000_characters = 40\n'
    warm = Warm(gather([(read_product((SCHEDULED + price).encode(), "l.toml"), "l.toml")], "here"))
    for version, times in (("1.0", 1), ("1.1", 400)):
        warm.library.ingest([note(version, ", ".join(f"Rash {number}" for number in range(times)))], by="a")
    read = sum(
        len(warm.library.source("product/zelora", version).document.text) for version in ("1.0", "1.1")
    )
    assert read % 1_000
    assert warm.step() == 1
    runs = [one for one in map(warm.used, warm.written) if one.kind == "tool_run"]
    assert [(one.cost_micro, one.currency) for one in runs] == [((read // 1_000 + 1) * 40, "USD")]
    assert warm.index.costs(warm.clock.now().date()) == {
        "labels": [Cost(made=1, characters=read, micro=runs[0].cost_micro, currency="USD")]
    }
    warm.step(DAY + timedelta(hours=3))  # refreshed in its window: paid for again
    assert warm.index.costs(warm.clock.now().date())["labels"][0].micro == runs[0].cost_micro


@pytest.mark.parametrize("wrong", ["0", "-1", "0.5", '"33"'])
def test_a_price_that_is_none_is_refused(wrong: str) -> None:
    price = f'[summary_price]\ncurrency = "EUR"\nmicro_per_1000_characters = {wrong}\n'
    with pytest.raises(Misconfigured, match=r"VM-2801 .*micro_per_1000_characters"):
        read_product((SCHEDULED + price).encode(), "l.toml")


def test_at_rest_only_the_number_of_the_state_is_asked_for(
    warm: Warm, monkeypatch: pytest.MonkeyPatch
) -> None:
    lists, rows = [], []
    last_two, kept = MemoryLibrary.last_two, MemorySummaryIndex.rows

    def counted(self: MemoryLibrary, known: int | None) -> LastTwo | None:
        found = last_two(self, known)
        lists.append(found is not None)
        return found

    def counted_rows(self: MemorySummaryIndex) -> Sequence[Kept]:
        rows.append(1)
        return kept(self)

    monkeypatch.setattr(MemoryLibrary, "last_two", counted)
    monkeypatch.setattr(MemorySummaryIndex, "rows", counted_rows)
    assert [warm.step(timedelta(seconds=10)) for _ in range(50)] == [1, *[0] * 49]
    assert (sum(lists), len(rows)) == (1, 1)
    warm.bring("1.2")
    assert [warm.step() for _ in range(3)] == [1, 0, 0]
    assert (sum(lists), len(rows)) == (2, 2)
    warm.library.withdraw("product/zelora", by="a", reason="wrong")
    assert [warm.step() for _ in range(3)] == [0, 0, 0]
    assert (sum(lists), warm.index.held) == (3, {})
    assert warm.step(WARM + DAY) == 0
