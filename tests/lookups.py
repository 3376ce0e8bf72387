"""Random timelines of a look-up with its stores, judged by what is so and not by what the look-up believes.

The judge sees every search that reaches the base and every change of a document. Whatever is then served from a store must have been found by
one of those searches, for a question that means the same, in a version that is current, within the shortest age that holds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import Random
from typing import Any

from clocks import Hand
from libraries import note
from vigimesh.adapters.memory_answers import MemoryAnswers
from vigimesh.adapters.memory_search import MemorySearch
from vigimesh.adapters.postgres import STATE_S
from vigimesh.domain.knowledge.answering import Answer, State
from vigimesh.domain.knowledge.freshness import Ages
from vigimesh.domain.knowledge.fusion import Found
from vigimesh.loop.outcome import Need
from vigimesh.ports.knowledge import Answers, Keep, Place, Product
from vigimesh.retriever.lookup import Lookup
from vigimesh.retriever.terms import Terms

#: Title to id of the documents; `Zelora Duo` begins like `Zelora`.
TITLES = {"Zelora": "product/zelora", "Zelora Duo": "product/zelora-duo", "Torvexa": "product/torvexa"}
VERSIONS = ("1.8", "1.9", "1.10", "2.0")
#: Product ages of each document, and what the cards allow: none, less, and more, which counts for nothing.
AGES: Mapping[str, Ages] = {
    "product/zelora": Ages(hot=timedelta(seconds=60), warm=timedelta(seconds=300)),
    "product/zelora-duo": Ages(hot=timedelta(seconds=30), warm=timedelta(seconds=300)),
    "product/torvexa": Ages(hot=timedelta(seconds=90), warm=timedelta(seconds=300)),
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
WHAT = (
    "publish",
    "told",
    "withdraw",
    "wait",
    "wait",
    "wait",
    "ask",
    "ask",
    "ask",
    "ask",
    "ask",
    "back",
    "misplaced",
    "emptied",
)
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


@dataclass
class Timeline:
    """A look-up over time and its judge. `plant` may spoil the look-up before anything happens."""

    store: Answers | None = None
    plant: Callable[[Lookup], object] = lambda lookup: None
    clock: Wall = field(default_factory=Wall)
    faults: list[str] = field(default_factory=list)
    hot: int = 0
    semantic: int = 0
    missed: list[str] = field(default_factory=list)
    changed_s: dict[str, float] = field(default_factory=dict)
    told: set[str] = field(default_factory=set)
    before: dict[str, set[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.base = MemorySearch()
        self.search = Watched(self.base, self.clock)
        self.misplacing = Misplacing(self.store if self.store is not None else MemoryAnswers())
        self.place = dict.fromkeys(TITLES, 0)
        self.base.load([note(VERSIONS[0], "hives, urticaria", name, title) for title, name in TITLES.items()])
        self.lookup = Lookup(
            search=self.search, clock=self.clock, stores=(self.misplacing,), products=EachHasAges(),
            pause=lambda s: setattr(self.clock, "at_s", self.clock.at_s + s),
        )  # fmt: skip
        self.plant(self.lookup)

    def run(self, steps: Sequence[Step]) -> Timeline:
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
                self.lookup.changed()
                self.told.add(TITLES[title])
        elif what == "wait":
            self.clock.at_s += WAITS[amount % len(WAITS)]
        elif what == "back":
            self.clock.behind_s += amount % 3
        elif what == "emptied":
            self.misplacing.seen.clear()
        elif what in ("ask", "misplaced"):
            self.misplacing.wrong = what == "misplaced"
            self._ask(ASKED[one % len(ASKED)], CARDS[amount % len(CARDS)])
            self.misplacing.wrong = False

    def _publish(self, title: str, *, told: bool) -> None:
        name = TITLES[title]
        if self.place[title] + 1 >= len(VERSIONS):
            return
        self.place[title] += 1
        self._changes(name, self._current(title))
        self.base.load([note(VERSIONS[self.place[title]], "hives, urticaria", name, title)])
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

    def _wrong(
        self, question: str, meaning: tuple[str, int], answer: Mapping[str, Any], card: Ages | None
    ) -> list[str]:
        """Say what is wrong with an answer from a store, from the truth alone."""
        read_at, wrong = datetime.fromisoformat(answer["read_at"]), []
        meant = dict(ASKED)
        if not any(at == read_at and meant[text] == meaning for text, at in self.search.searches):
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


def drawn(seed: int, steps: int = 150) -> list[Step]:
    """Return the steps of a timeline."""
    random = Random(seed)
    favourite = [random.randrange(len(ASKED)) for _ in range(4)]

    def step() -> Step:
        what = random.choice(WHAT)
        one = random.choice(favourite) + random.choice((0, 0, 1)) if what == "ask" else random.randrange(60)
        return what, one, random.randrange(39)

    return [step() for _ in range(steps)]
