"""The stages that the bare loop runs: the sample stage, or the five of the mesh with their verbs, or with none.

*sample* is `sample.make`. *real* calls the stages' own pure verbs, their needs answered from memory. *none* hands on what
the verbs once made of a few dozen cases of the same source: records of the right number and size, no work at all.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path
from typing import Any

import msgspec

import sample
from records import MakeAll, Records, each
from vigimesh.adapters.memory.answers import MemoryAnswers
from vigimesh.adapters.memory.search import MemorySearch
from vigimesh.clock import SystemClock
from vigimesh.domain.cascade.readers import read
from vigimesh.domain.cascade.shipped import SERIOUS, shipped_or_absent
from vigimesh.domain.cascade.small import tell
from vigimesh.domain.knowledge.shipped import shipped_documents
from vigimesh.domain.policy.cards import Cards
from vigimesh.domain.policy.limits import Limits
from vigimesh.domain.policy.shipped import shipped_cards
from vigimesh.events.case import Case
from vigimesh.events.codec import Codec
from vigimesh.events.topics import STAGES, inputs_of, topic
from vigimesh.intake.accept import Admitted, accept
from vigimesh.intake.reading import read_path
from vigimesh.intake.values import Accepted
from vigimesh.loop.outcome import Answers, Done, Input, Need
from vigimesh.loop.stage import MAX_ROUNDS, Verb
from vigimesh.planner.plan import Planner
from vigimesh.retriever.lookup import Lookup
from vigimesh.retriever.retrieve import Retriever
from vigimesh.router.route import Router
from vigimesh.supervisor.supervise import Supervisor
from vigimesh.tool_executor.execute import Executor
from vigimesh.tool_executor.scoring import Scoring

#: Cases whose outcome is kept for chains without verbs: the sizes of the first cases of a source vary little.
TEMPLATES = 64
#: Passes over a case before a template is given up; the cards allow two.
MAX_PASSES = 4
#: What the mesh has without an endpoint: the shipped small model reads, as in the worker beside.
_LIMITS = Limits(tiers=("tools", "small", "person")).plain()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What a bare worker runs: its group, its topics, and what its transactions hold."""

    name: str
    group: str
    topics: tuple[str, ...]
    records: Records


def asked(description: str | None) -> argparse.Namespace:
    """Read the command line of a bare worker."""
    reader = argparse.ArgumentParser(description=description)
    reader.add_argument("--kafka", required=True, help="bootstrap servers")
    reader.add_argument("--ids", required=True, type=Path, help="file with the schema ids")
    reader.add_argument("--stage", required=True, choices=STAGES)
    reader.add_argument("--lane", help="one lane only (of the stages that have lanes)")
    reader.add_argument(
        "--verbs", choices=("sample", "real", "none"), default="sample", help="what the stage works out"
    )
    reader.add_argument(
        "--call-ms", type=float, default=0.0, help="each record needs a call of so long (sample only)"
    )
    reader.add_argument(
        "--slow-ms", type=float, default=0.0, help="a marked record needs a call of so long (sample only)"
    )
    reader.add_argument("--source", type=Path, help="cases that --verbs none takes its records from")
    return reader.parse_args()


def group_of(stage: str) -> str:
    """Return the group of a bare worker, apart from the mesh's own."""
    return f"bench.{stage}"


def stage(chosen: argparse.Namespace) -> Stage:
    """Return what the command line asks for."""
    name: str = chosen.stage
    make: MakeAll = each(sample.make)
    topics: tuple[str, ...]
    if chosen.verbs == "sample":
        group, topics = sample.GROUP, (sample.INPUT,)
    else:
        group, topics = group_of(name), inputs_of(name, chosen.lane)
        if chosen.verbs == "real":
            make = worked_out(verbs()[name], Answering())
        else:
            make = handed_on(name, templates(chosen.source))
    records = Records(name, Codec(sample.FixedSchemas(chosen.ids)), make)
    return Stage(name=name, group=group, topics=topics, records=records)


def cards() -> Cards:
    """Return the cards of the demo, which accept by machine."""
    return shipped_cards(signed_for_demo=True)


def verbs() -> dict[str, Verb]:
    """Return the five verbs as the mesh runs them."""
    there = cards()
    return {
        "router": Router(there), "planner": Planner(there), "retriever": Retriever(),
        "tool-executor": Executor(scoring=Scoring(cards=there)), "supervisor": Supervisor(there),
    }  # fmt: skip


def lookup() -> Lookup:
    """Return what answers searches: the shipped documents and the answers given before, all in memory."""
    search = MemorySearch()
    search.load(shipped_documents())
    return Lookup(search=search, clock=SystemClock(), stores=(MemoryAnswers(),))


class Answering:
    """Answers needs from memory: searches, limits, what the small models read, and the heads that the supervisor moved before."""

    def __init__(self) -> None:
        self.lookup, self.heads = lookup(), dict[str, Any]()

    def answers(self, needs: Sequence[Need]) -> list[Any]:
        """Return the answers as plain values; those of a kind are asked for together, as the loop does."""
        found: dict[int, Any] = {}
        for kind in dict.fromkeys(need.kind for need in needs):
            there = [at for at, need in enumerate(needs) if need.kind == kind]
            found |= zip(there, self._of_kind(kind, [needs[at] for at in there]), strict=True)
        return [found[at] for at in range(len(needs))]

    def _of_kind(self, kind: str, needs: Sequence[Need]) -> Sequence[Any]:
        match kind:
            case "limits":
                return [dict(_LIMITS) for _ in needs]
            case "search":
                return self.lookup.answers(needs)
            case "head":
                heads = (self.heads.get(need.key) for need in needs)
                return [None if head is None else msgspec.to_builtins(head) for head in heads]
            case "read":
                return read([(need.key, need.asked) for need in needs])
            case "score":
                return tell(shipped_or_absent(SERIOUS), [need.asked for need in needs])
            case _:
                raise KeyError(kind)

    def learn(self, done: Done) -> None:
        """Keep the heads that an outcome moves."""
        for emit in done.events:
            if emit.topic == topic("case.head"):
                self.heads[emit.key] = emit.event


def worked_out(verb: Verb, source: Answering) -> MakeAll:
    """Return what calls a verb: needs until there are none, of all cases together, then the decisions.

    A case must not come twice in a transaction: what its first version moved is not looked at before the second.
    """

    def make(cases: Sequence[Input]) -> list[tuple[Done, Answers]]:
        answers: list[dict[str, Any]] = [{} for _ in cases]
        for _ in range(MAX_ROUNDS):
            asked = [(at, need) for at, case in enumerate(cases) for need in verb.needs(case, answers[at])]
            if not asked:
                break
            for (at, need), answer in zip(asked, source.answers([need for _, need in asked]), strict=True):
                answers[at][need.name] = answer
        return [(decided(verb, case, had, source), had) for case, had in zip(cases, answers, strict=True)]

    return make


def decided(verb: Verb, case: Input, answers: Answers, source: Answering) -> Done:
    """Return what a verb decides, and keep what it moves."""
    done = verb.decide(case, answers)
    if not isinstance(done, Done):
        raise TypeError(f"the benchmark's cases are all done, not {type(done).__name__}: {done.why}")
    source.learn(done)
    return done


#: What each stage once made of a case: the outcome and the answers it took.
Template = dict[str, tuple[Done, Answers]]


def templates(source: Path) -> list[Template]:
    """Return what the verbs make of the first cases of a source; second passes are left out."""
    makes = {
        name: worked_out(verb, answering) for answering in (Answering(),) for name, verb in verbs().items()
    }
    return [
        _followed(makes, one.event, topic(f"case.received.{one.event.door}")) for one in _admitted(source)
    ]


def _admitted(source: Path) -> Iterator[Admitted]:
    for item in read_path(source, tenant="default", limit=TEMPLATES):
        found = accept(item) if isinstance(item, Accepted) else None
        if isinstance(found, Admitted):
            yield found


def _followed(makes: dict[str, MakeAll], received: Any, name: str) -> Template:
    made: Template = {}
    event, at, case = received, 0, received.case
    for number in range(MAX_PASSES * len(STAGES)):
        stage_name = STAGES[at]
        got = Input(topic=name, event=event, event_id=str(number), key=case.case_id, at=datetime.now(UTC))
        (made[stage_name],) = makes[stage_name]([got])
        first = made[stage_name][0].events[0]
        if first.topic.startswith("vigimesh.plan.") and stage_name == "supervisor":
            at = 0
        elif stage_name == "supervisor":
            return made
        at, event, name = at + 1, first.event, first.topic
    raise RuntimeError(f"a template was not concluded in {MAX_PASSES} passes")


def handed_on(name: str, made: Sequence[Template]) -> MakeAll:
    """Return what puts each case into the outcome of the next template."""
    turn = cycle(one[name] for one in made)

    def make(case: Input) -> tuple[Done, Answers]:
        done, answers = next(turn)
        version: Case = case.event.case
        emits = tuple(
            msgspec.structs.replace(
                emit, key=version.case_id, messageid=version.message_id, event=_named(emit.event, version)
            )
            if emit.key.startswith(f"{version.tenant}/")
            else msgspec.structs.replace(
                emit, messageid=version.message_id, event=_named(emit.event, version)
            )
            for emit in done.events
        )
        return msgspec.structs.replace(done, events=emits), answers

    return each(make)


def _named(event: Any, version: Case) -> Any:
    changes: dict[str, Any] = {
        "case": version, "case_id": version.case_id, "message_id": version.message_id,
        "newest_message_id": version.message_id,
    }  # fmt: skip
    there = event.__dataclass_fields__
    return dataclasses.replace(event, **{name: value for name, value in changes.items() if name in there})
