"""What each level of the answer cache saves on a replay of VAERS: retrievals, tokens, and what a grounded answer costs.

The cases are real (VAERS of one year, in order of receipt, spread over each day), and so are the questions the planner asks of them: every
suspect product with every reaction, at most eight a case, put to the shipped reference notes. The look-up is the mesh's own, its base, stores and
summaries in memory, its clock set to the moment of each case. *Assumed*, and printed in `notes`: that persons ask besides (one question for so
many cases, in the words of `question_pairs`; one more, about what changed, for so many), that a document changes every so many days, how many
characters a token has, what a token of an embedding costs, and what an hour of a processor core costs. No price is a provider's.

*Saved retrievals* are the share of all questions that a level answered. *Saved tokens* are those of the questions that would have been embedded at an
endpoint; a question about changes saves besides what a reader of both versions would have read less what the summary holds. Passages handed to a model are the same
whichever level they come from: nothing is counted for them. *Cost per grounded answer* is measured processor time and embedded tokens, over the answers with a passage,
with the stores and without any. The search is that of the twin in memory, so that times are not those of PostgreSQL.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from importlib.resources import files
from pathlib import Path
from random import Random

from measuring import Goal, Report, finish, options, say
from question_pairs import HELD, TUNED
from vigimesh.adapters.memory.answers import MemoryAnswers
from vigimesh.adapters.memory.objects import MemoryObjects
from vigimesh.adapters.memory.search import MemorySearch
from vigimesh.adapters.memory.summaries import MemorySummaryIndex
from vigimesh.adapters.objects.warm import WarmSummaries
from vigimesh.app.train.examples import vaers_files
from vigimesh.domain.knowledge.freshness import Ages
from vigimesh.domain.knowledge.products import ASSUMED_PRICE
from vigimesh.domain.knowledge.sections import Sectioned
from vigimesh.domain.knowledge.shipped import shipped_documents
from vigimesh.domain.knowledge.summaries import body_of, names_of, summarise
from vigimesh.domain.knowledge.texts import read_markdown
from vigimesh.domain.knowledge.warm import Kept, cost_of
from vigimesh.events.case import Case
from vigimesh.intake.reading import read_path
from vigimesh.intake.values import Accepted
from vigimesh.loop.outcome import Need
from vigimesh.planner.plan import questions
from vigimesh.retriever.lookup import Lookup
from vigimesh.retriever.terms import OneForAll, Terms

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
#: The year replayed, and how many of its cases.
YEAR, CASES, QUICK_CASES = 1996, 3_000, 600
#: Cases for one question of a person, and for one about what changed.
PER_PERSON, PER_CHANGE = 10, 200
#: Days between two changes of a document; the documents change in turn.
CHANGE_DAYS = 7
#: Characters of one token; a token of an embedding in micro-units of EUR for a million; a core's hour in micro-units.
TOKEN_CHARACTERS, MILLION_TOKENS_MICRO, CORE_HOUR_MICRO = 4, 20_000, 40_000
TERMS = OneForAll(terms=Terms(ages=Ages(hot=timedelta(hours=24), warm=timedelta(hours=168)), semantic=True))
LEVELS = ("hot_exact", "hot_semantic", "warm_exact")

GOALS = {
    **{f"retrievals_saved_{level}": Goal() for level in LEVELS},
    **{f"tokens_saved_{level}": Goal() for level in LEVELS},
    "cost_per_grounded_answer_micro": Goal(points=("cached",)),
    "grounded": Goal(points=("cached",)),
}


@dataclass
class Day:
    """A clock that a replay sets; the monotonic one goes with it."""

    at: datetime = field(default_factory=lambda: datetime(YEAR, 1, 1, tzinfo=UTC))

    def now(self) -> datetime:
        """Return the moment of the replay."""
        return self.at

    def monotonic_s(self) -> float:
        """Return the seconds since 1970 of that moment."""
        return self.at.timestamp()


@dataclass(frozen=True, slots=True, kw_only=True)
class Put:
    """One question, when it is put, and by whom."""

    at: datetime
    question: str
    by: str


def cases_of(folder: Path, most: int) -> list[Case]:
    """Return cases with a day of receipt, in their order."""
    found: list[Case] = []
    for file in vaers_files(folder):
        if str(YEAR) in file.name:
            found += [item.case for item in read_path(file, tenant="default") if isinstance(item, Accepted)]
    dated = [case for case in found if len(case.first_received_on) == len("2000-01-01")]
    return sorted(dated, key=lambda case: (case.first_received_on, case.case_id))[:most]


def mix(cases: Sequence[Case], random: Random) -> Iterator[Put]:
    """Yield what is asked: by the planner of each case, by persons of some."""
    day, within = "", 0
    counts = Counter(case.first_received_on for case in cases)
    frames = (*TUNED["reaction"], *HELD["reaction"])
    for number, case in enumerate(cases):
        within = within + 1 if case.first_received_on == day else 0
        day = case.first_received_on
        began = datetime.combine(date.fromisoformat(day), datetime.min.time(), tzinfo=UTC)
        at = began + timedelta(days=1) * within / counts[day]
        asked = questions(case)
        yield from (Put(at=at, question=one, by="planner") for one in asked)
        product = case.products[0].name if case.products else ""
        if product and case.reactions and number % PER_PERSON == 0:
            reaction = (case.reactions[0].term or case.reactions[0].text).lower()
            yield Put(
                at=at, question=random.choice(frames).format(drug=product, reaction=reaction), by="person"
            )
        if number % PER_CHANGE == 0:
            yield Put(at=at, question="", by="changes")


class Shelf:
    """The shipped notes, one of which becomes another version every `CHANGE_DAYS`, with its summary."""

    def __init__(self, clock: Day) -> None:
        self.clock, self.search = clock, MemorySearch()
        folder = files("vigimesh.domain.knowledge") / "documents"
        self.texts = {
            file.name: file.read_text(encoding="utf-8")
            for file in folder.iterdir()
            if file.name.endswith(".md")
        }
        self.search.load(shipped_documents())
        self.index, self.objects = MemorySummaryIndex(), MemoryObjects()
        self.changes, self.last = 0, clock.now()
        self.newest: Sectioned | None = None
        self.read: dict[str, int] = {}

    def turn(self) -> bool:
        """Change a document when it is time; tell whether one changed."""
        if self.clock.now() - self.last < timedelta(days=CHANGE_DAYS):
            return False
        name = sorted(self.texts)[self.changes % len(self.texts)]
        self.changes, self.last = self.changes + 1, self.clock.now()
        text = self.texts[name].replace("version: 1.0\n", f"version: 1.{self.changes}\n", 1)
        text += f"\n## Revision {self.changes}\n\nHiccups were added to the list.\n"
        source = read_markdown(text.encode(), name)
        known = self.search.library.known().current
        older = self.search.library.source(source.document.id, known[source.document.id])
        self.search.load([source])
        self._summarise(older, source)
        self.newest = source
        return True

    def _summarise(self, older: Sectioned, newer: Sectioned) -> None:
        body = body_of(summarise(older, newer))
        self.read[newer.document.id] = (
            len(older.document.text) + len(newer.document.text) - len(body)
        ) // TOKEN_CHARACTERS
        self.index.put(
            Kept(
                document_id=newer.document.id, product="notes", older=older.document.version, version=newer.document.version,
                digest=self.objects.put(body), size=len(body), names=names_of(newer), read_at=self.clock.now(),
            ),
            cost_of(len(older.document.text) + len(newer.document.text), ASSUMED_PRICE),
        )  # fmt: skip


@dataclass
class Tally:
    """What one arm of the replay came to."""

    asked: int = 0
    grounded: int = 0
    levels: Counter[str] = field(default_factory=Counter)
    tokens: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    embedded: int = 0

    @property
    def cost_micro(self) -> float:
        """Processor time and embedded tokens, in micro-units."""
        return self.seconds / 3_600 * CORE_HOUR_MICRO + self.embedded / 1e6 * MILLION_TOKENS_MICRO


def replay(cases: Sequence[Case], seed: int, *, cached: bool) -> Tally:
    """Put all questions of a replay in their order."""
    clock, tally = Day(), Tally()
    shelf = Shelf(clock)
    warm = WarmSummaries(shelf.index, shelf.objects, shelf.search.state) if cached else None
    stores = (MemoryAnswers(),) if cached else ()
    lookup = Lookup(search=shelf.search, clock=clock, stores=stores, summaries=warm, products=TERMS)
    for one in mix(cases, Random(seed)):
        clock.at = one.at
        if shelf.turn():
            lookup.changed()
        question, saved = one.question, 0
        if one.by == "changes":
            if shelf.newest is None:
                continue
            question = f"What changed in {shelf.newest.document.title}?"
            saved = shelf.read[shelf.newest.document.id]
        began = time.process_time()
        (answer,) = lookup.answers([Need(kind="search", key=question, limit=3)])
        tally.seconds += time.process_time() - began
        tokens = -(-len(question) // TOKEN_CHARACTERS)
        level = "search" if answer["level"] == "search" else f"{answer['level']}_{answer['match']}"
        tally.asked += 1
        tally.grounded += bool(answer["passages"])
        tally.levels[level] += 1
        if level == "search":
            tally.embedded += tokens
        else:
            tally.tokens[level] += tokens + (saved if level == "warm_exact" else 0)
    return tally


def measure(report: Report, cases: Sequence[Case], rounds: int) -> None:
    """Put the figures of all rounds into a report; a round has its own questions of persons."""
    for number in range(rounds):
        with_it, without = replay(cases, number, cached=True), replay(cases, number, cached=False)
        for level in LEVELS:
            report.add("cached", f"retrievals_saved_{level}", with_it.levels[level] / with_it.asked)
            report.add("cached", f"tokens_saved_{level}", float(with_it.tokens[level]))
        for point, tally in (("cached", with_it), ("uncached", without)):
            report.add(point, "cost_per_grounded_answer_micro", tally.cost_micro / max(1, tally.grounded))
            report.add(point, "grounded", tally.grounded / tally.asked)
            report.add(point, "tokens_embedded", float(tally.embedded))
            report.add(point, "questions", float(tally.asked))
        say(f"round {number}: {dict(with_it.levels)} of {with_it.asked}")


def more(parser: argparse.ArgumentParser) -> None:
    """Add where the cases are."""
    parser.add_argument("--data", type=Path, default=DATA, help="folder that holds vaers/")


def main() -> int:
    """Measure and print."""
    asked = options(__doc__ or "", more)
    cases = cases_of(asked.data / "vaers", QUICK_CASES if asked.quick else CASES)
    report = Report("knowledge_saving", GOALS)
    report.notes = {
        "cases": len(cases), "year": YEAR, "one_question_of_a_person_in_cases": PER_PERSON, "one_about_changes_in_cases": PER_CHANGE,
        "a_document_changes_every_days": CHANGE_DAYS, "characters_of_a_token": TOKEN_CHARACTERS,
        "million_embedded_tokens_micro_eur": MILLION_TOKENS_MICRO, "core_hour_micro_eur": CORE_HOUR_MICRO,
        "hot_age_hours": 24, "warm_age_hours": 168,
        "note": "prices and the share of persons' questions are assumptions, no provider's; base and stores in memory",
    }  # fmt: skip
    if not cases:
        say(f"no VAERS cases of {YEAR} in {asked.data / 'vaers'}")
        return 1
    measure(report, cases, asked.rounds)
    return finish(report, asked, {})


if __name__ == "__main__":
    raise SystemExit(main())
