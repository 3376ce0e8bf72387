"""Random timelines of a look-up with its stores, judged by what is so and not by what the look-up believes.

The judge sees every search that reaches the base and every change of a document. Whatever is then served from a store must have been found by
one of those searches, for a question that means the same, in a version that is current, within the shortest age that holds. A summary must
have been made of the two versions that stand, when it says; and right after the librarian has looked there is one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from random import Random
from typing import Any

from clocks import Hand
from libraries import note
from vigimesh.adapters.memory.answers import MemoryAnswers
from vigimesh.adapters.memory.objects import MemoryObjects
from vigimesh.adapters.memory.registry import MemorySchemas
from vigimesh.adapters.memory.search import MemorySearch
from vigimesh.adapters.memory.summaries import MemorySummaryIndex
from vigimesh.adapters.objects.warm import WarmSummaries
from vigimesh.adapters.postgres.search import STATE_S
from vigimesh.background.librarian.summaries import Summarising
from vigimesh.domain.knowledge.answering import Answer, State
from vigimesh.domain.knowledge.freshness import Ages
from vigimesh.domain.knowledge.fusion import Found
from vigimesh.domain.knowledge.products import Product as WholeProduct
from vigimesh.domain.knowledge.products import Products, Refresh
from vigimesh.domain.knowledge.sections import Sectioned
from vigimesh.errors import Transient, VigimeshError
from vigimesh.events.codec import Codec
from vigimesh.loop.broker import Write
from vigimesh.loop.outcome import Need
from vigimesh.ports.knowledge import Answers, Keep, Place, Product
from vigimesh.retriever.lookup import Lookup
from vigimesh.retriever.terms import Terms

#: Title to id of the documents; `Zelora Duo` begins like `Zelora`.
TITLES = {"Zelora": "product/zelora", "Zelora Duo": "product/zelora-duo", "Torvexa": "product/torvexa"}
VERSIONS = ("1.8", "1.9", "1.10", "2.0")
#: Product ages of each document, and what the cards allow: none, less, and more, which counts for nothing.
AGES: Mapping[str, Ages] = {
    "product/zelora": Ages(hot=timedelta(seconds=60), warm=timedelta(seconds=120)),
    "product/zelora-duo": Ages(hot=timedelta(seconds=30), warm=timedelta(seconds=100)),
    "product/torvexa": Ages(hot=timedelta(seconds=90), warm=timedelta(seconds=150)),
}
CARDS = (
    None,
    Ages(hot=timedelta(seconds=10), warm=timedelta(seconds=10)),
    Ages(hot=timedelta(days=9), warm=timedelta(days=9)),
)
#: What is asked of each product; the words of one row mean the same, those of two rows never.
MEANINGS = (
    # "Rash with A" is "A rash" (0046).
    ("{0} hives", "{0} urticaria", "{0}  HIVES", "hives with {0}", "urticaria with {0}"),
    ("{0} without hives", "{0} without urticaria"),
    ("{0} 5 mg hives", "{0} 5mg urticaria", "{0} 0.005 g hives"),
    ("{0} 50 mg hives",),
    ("{0} hives in children", "{0} urticaria in children"),
    ("{0} hives in pregnant women",),
)
ASKED = tuple(
    (text.format(title), (title, row))
    for title in TITLES
    for row, texts in enumerate(MEANINGS)
    for text in texts
)
#: What is asked of what changed in a product; a row each, as above.
CHANGED = ("latest label changes of {0}", "what changed in {0}?", "{0} label changes")
WHAT = (
    "publish", "told", "withdraw", "wait", "wait", "wait", "ask", "ask", "ask", "ask", "ask", "back", "misplaced", "emptied",
    "refresh", "refresh", "full", "asked_what_changed", "asked_what_changed", "asked_what_changed",
)  # fmt: skip
WAITS = (0.5, 0.9, 1.0, 3, 9, 10, 11, 29, 31, 59, 61, 89, 91)

Step = tuple[str, int, int]


@dataclass
class Watched:
    """The base as `PgSearch` shows it: its state is as old as `STATE_S` unless told. Each search is written down."""

    inner: MemorySearch
    clock: Hand
    searches: list[tuple[str, datetime]] = field(default_factory=list)
    _state: State | None = None
    _at_s: float = float("-inf")

    def find(self, questions: Sequence[str], limit: int) -> Sequence[Found]:
        self.searches += [(question, self.clock.now()) for question in questions]
        return self.inner.find(questions, limit)

    def state(self) -> State:
        if self._state is None or self.clock.monotonic_s() - self._at_s >= STATE_S:
            self._state, self._at_s = self.inner.state(), self.clock.monotonic_s()
        return self._state

    def changed(self) -> None:
        self._state = None


class Wall(Hand):
    """A clock whose time of day a test may put back."""

    def __init__(self) -> None:
        super().__init__()
        self.behind_s = 0.0

    def now(self) -> datetime:
        return super().now() - timedelta(seconds=self.behind_s)


class Misplacing:
    """A store that now and then hands out what belongs to another key."""

    def __init__(self, inner: Answers) -> None:
        self.inner, self.seen, self.wrong = inner, dict[Place, Answer](), False
        self.lease, self.citing = inner.lease, inner.citing

    def read(self, places: Sequence[Place]) -> Sequence[Answer | None]:
        found = self.inner.read(places)
        other = next(iter(self.seen.values()), None)
        return [other or one for one in found] if self.wrong else found

    def like(self, places: Sequence[Place]) -> Sequence[Answer | None]:
        return self.inner.like(places)

    def write(self, kept: Sequence[Keep]) -> None:
        for one in kept:
            self.seen[one.answer.entry.scope, one.answer.entry.question_key] = one.answer
        self.inner.write(kept)


@dataclass(frozen=True)
class EachHasAges:
    """Products of `AGES`, all with a semantic match."""

    semantic = True

    def of(self, document_id: str) -> Product:
        return Terms(id=document_id, ages=AGES.get(document_id, AGES["product/zelora"]), semantic=True)


class Inline(ThreadPoolExecutor):
    """Does at once what others hand to a thread: one timeline has one thread, and thousands of them run."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        """Call `fn` now."""
        done: Future[Any] = Future()
        try:
            done.set_result(fn(*args, **kwargs))
        except VigimeshError as error:
            done.set_exception(error)
        return done


class OpenIndex(MemorySummaryIndex):
    """An index whose methods a plant may put others in place of."""


class Unheard:
    """A desk whose records nobody reads."""

    async def write(self, writes: Sequence[Write]) -> None:
        """Take them."""


def whole_products() -> Products:
    """Return the products of `AGES` as the librarian knows them."""
    refresh = Refresh(policy="on_change", opens=time(2), closes=time(4))
    found = tuple(
        WholeProduct(
            id=name.replace("/", "_"), owner="a", description="d", documents=(name,), service_level=timedelta(days=9),
            refresh=refresh, ages=ages, semantic=True,
        )
        for name, ages in AGES.items()
    )  # fmt: skip
    return Products(products=found, origin="test")


@dataclass
class Timeline:
    """A look-up over time and its judge. `plant` may spoil the look-up or the librarian before anything happens."""

    store: Answers | None = None
    plant: Callable[[Lookup], object] = lambda lookup: None
    spoil: Callable[[Timeline], object] = lambda timeline: None
    clock: Wall = field(default_factory=Wall)
    faults: list[str] = field(default_factory=list)
    #: Summaries that were not there right after the librarian had looked: nothing wrong was served, but it did not do its work.
    missing: list[str] = field(default_factory=list)
    hot: int = 0
    warm: int = 0
    semantic: int = 0
    #: Moments at which the librarian looked.
    looked: set[datetime] = field(default_factory=set)
    missed: list[str] = field(default_factory=list)
    changed_s: dict[str, float] = field(default_factory=dict)
    told: set[str] = field(default_factory=set)
    before: dict[str, set[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.base = MemorySearch()
        self.search = Watched(self.base, self.clock)
        self.misplacing = Misplacing(self.store if self.store is not None else MemoryAnswers())
        self.place = dict.fromkeys(TITLES, 0)
        #: Versions that were not withdrawn.
        self.living = dict.fromkeys(TITLES, 1)
        self.base.load([_note(VERSIONS[0], name, title) for title, name in TITLES.items()])
        self.index, self.objects = OpenIndex(), MemoryObjects()
        self.librarian = Summarising(
            library=self.base.library, index=self.index, objects=self.objects, products=whole_products(),
            codec=Codec(MemorySchemas()), desk=Unheard(), clock=self.clock,
        )  # fmt: skip
        self.lookup = Lookup(
            search=self.search, clock=self.clock, stores=(self.misplacing,), products=EachHasAges(),
            summaries=WarmSummaries(self.index, self.objects, self.search.state),
            pause=lambda s: setattr(self.clock, "at_s", self.clock.at_s + s),
        )  # fmt: skip
        self.plant(self.lookup)
        self.spoil(self)

    def run(self, steps: Sequence[Step]) -> Timeline:
        with asyncio.Runner() as self.runner:
            self.runner.get_loop().set_default_executor(Inline())
            for step in steps:
                self._step(*step)
        return self

    def _step(self, what: str, one: int, amount: int) -> None:
        title = tuple(TITLES)[one % len(TITLES)]
        if what in ("publish", "told"):
            self._publish(title, told=what == "told")
        elif what == "withdraw" and amount == 0:
            if self._current(title):
                self._changes(TITLES[title], self._current(title))
                self.base.library.withdraw(TITLES[title], by="t", reason="r")
                self.living[title] = 0
                self.lookup.changed()
                self.told.add(TITLES[title])
        elif what == "wait":
            self.clock.at_s += WAITS[amount % len(WAITS)]
        elif what == "back":
            self.clock.behind_s += amount % 3
        elif what == "emptied":
            self.misplacing.seen.clear()
        elif what == "full":
            self.objects.capacity_bytes = 0 if amount % 2 else 10**9
        elif what == "refresh":
            self._refresh()
        elif what == "asked_what_changed":
            self._ask_what_changed(
                title, CHANGED[amount % len(CHANGED)].format(title), CARDS[one % len(CARDS)]
            )
        elif what in ("ask", "misplaced"):
            self.misplacing.wrong = what == "misplaced"
            self._ask(ASKED[one % len(ASKED)], CARDS[amount % len(CARDS)])
            self.misplacing.wrong = False

    def _publish(self, title: str, *, told: bool) -> None:
        name = TITLES[title]
        if self.place[title] + 1 >= len(VERSIONS):
            return
        self.place[title] += 1
        self.living[title] += 1
        self._changes(name, self._current(title))
        self.base.load([_note(VERSIONS[self.place[title]], name, title)])
        self.told.discard(name)
        if told:
            self.lookup.changed()
            # Whoever is told looks at everything anew.
            self.told.update(TITLES.values())

    def _changes(self, name: str, version: str) -> None:
        self.changed_s[name] = self.clock.at_s
        self.before.setdefault(name, set()).add(version)

    def _current(self, title: str) -> str:
        return self.base.library.known().current.get(TITLES[title], "")

    def _ask(self, asked: tuple[str, tuple[str, int]], card: Ages | None) -> None:
        question, meaning = asked
        if not self.base.library.known().current:
            return
        (answer,) = self.lookup.answers([Need(kind="search", key=question, limit=3, asked=card)])
        if answer["level"] == "search":
            self.missed.append(answer["missed"])
            return
        self.hot += 1
        self.semantic += answer["match"] == "semantic"
        for fault in self._wrong(question, meaning, answer, card):
            self.faults.append(f"{fault}: {question!r} at {self.clock.at_s}: {answer}")

    def _refresh(self) -> None:
        """Let the librarian look, then see that each document that has two versions has its summary."""
        self.looked.add(self.clock.now())
        try:
            self.runner.run(self.librarian.step())
        except Transient:
            return  # no room: what is old is judged when it is asked for
        for title in TITLES:
            answer = self._ask_what_changed(title, f"{title} label changes", None)
            settled = (
                TITLES[title] in self.told
                or self.clock.at_s - self.changed_s.get(TITLES[title], -9.0) >= STATE_S
            )
            row = self.index.held.get(TITLES[title])
            # After the clock was put back what was made before is from the future for a while.
            ahead = row is not None and row.read_at > self.clock.now()
            if self.living[title] > 1 and settled and not ahead and answer and answer["level"] == "search":
                self.missing.append(f"no summary of {title} at {self.clock.at_s}: {answer['missed']}")

    def _ask_what_changed(self, title: str, question: str, card: Ages | None) -> Mapping[str, Any] | None:
        if not self.base.library.known().current:
            return None
        (answer,) = self.lookup.answers([Need(kind="search", key=question, limit=3, asked=card)])
        if answer["level"] == "warm":
            self.warm += 1
            for fault in self._wrong_summary(title, answer, card):
                self.faults.append(f"{fault}: {question!r} at {self.clock.at_s}: {answer}")
        return dict(answer)

    def _wrong_summary(self, title: str, answer: Mapping[str, Any], card: Ages | None) -> list[str]:
        """Say what is wrong with a summary that was served, from the truth alone."""
        read_at, wrong = datetime.fromisoformat(answer["read_at"]), []
        if read_at not in self.looked:
            wrong.append("nobody read the sources then")
        old = self.clock.now() - read_at
        allowed = [AGES[TITLES[title]].warm] + ([card.warm] if card else [])
        if old < timedelta(0) or old > min(allowed):
            wrong.append(f"{old} old")
        for row in answer["passages"]:
            if row["document_id"] != TITLES[title]:
                wrong.append("of another product")
            if not self._may_be_current(row["document_id"], row["version"]):
                wrong.append("of another version")
        return wrong

    def _wrong(
        self, question: str, meaning: tuple[str, int], answer: Mapping[str, Any], card: Ages | None
    ) -> list[str]:
        """Say what is wrong with an answer from a store, from the truth alone."""
        read_at, wrong = datetime.fromisoformat(answer["read_at"]), []
        meant: Mapping[str, tuple[str, int] | None] = dict(ASKED)
        if not any(at == read_at and meant.get(text) == meaning for text, at in self.search.searches):
            wrong.append("nobody searched for this then")
        old = self.clock.now() - read_at
        documents = {row["document_id"] for row in answer["passages"]}
        allowed = [AGES[one].hot for one in documents] + ([card.hot] if card else [])
        if old < timedelta(0) or (allowed and old > min(allowed)):
            wrong.append(f"{old} old")
        for row in answer["passages"]:
            if row["question"] != question:
                wrong.append("under another's question")
            # What is kept of a product, or asked of it, is of no other.
            if (question.startswith(meaning[0]) or answer["product"]) and row["document_id"] != TITLES[
                meaning[0]
            ]:
                wrong.append("of another product")
            if not self._may_be_current(row["document_id"], row["version"]):
                wrong.append("of another version")
        return wrong

    def _may_be_current(self, name: str, version: str) -> bool:
        if self.base.library.known().current.get(name) == version:
            return True
        # Within a second of a change that nobody told of, the version before may still count as current.
        lately = self.clock.at_s - self.changed_s.get(name, float("-inf")) < STATE_S
        return name not in self.told and lately and version in self.before.get(name, set())


def _note(version: str, name: str, title: str) -> Sectioned:
    """Return a version of a note; each lists a reaction of its own, so that there is a change to tell."""
    return note(version, f"hives, urticaria, rash {version.replace('.', ' ')}", name, title)


def drawn(seed: int, steps: int = 150) -> list[Step]:
    """Return the steps of a timeline."""
    random = Random(seed)
    favourite = [random.randrange(len(ASKED)) for _ in range(4)]

    def step() -> Step:
        what = random.choice(WHAT)
        one = random.choice(favourite) + random.choice((0, 0, 1)) if what == "ask" else random.randrange(60)
        return what, one, random.randrange(39)

    return [step() for _ in range(steps)]
