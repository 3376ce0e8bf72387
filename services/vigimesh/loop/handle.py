"""handle: records in, outcomes out. Order per key is kept by waves; needs of a whole wave are fetched together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from vigimesh.errors import Fenced, Misconfigured, Refused, Transient, VigimeshError
from vigimesh.events.envelope import Envelope, from_headers
from vigimesh.loop.broker import Record
from vigimesh.loop.outcome import Answers, Done, Input, Need, Outcome, Reject
from vigimesh.loop.stage import MAX_ROUNDS
from vigimesh.loop.worker import Work, Worker


async def handle(worker: Worker, records: Sequence[Record]) -> tuple[Work, ...]:
    """Return what became of each record, in the order given.

    Raises `Transient` when a source of answers is away: then nothing of the batch counts.
    """
    works: dict[int, Work] = {}
    decoded = [(at, record, *_decode(worker, record)) for at, record in enumerate(records)]
    for wave in _waves(decoded):
        ready: dict[int, Input] = {}
        for at, record, envelope, found in wave:
            if isinstance(found, Input):
                ready[at] = found
            else:
                works[at] = Work(record=record, envelope=envelope, input=None, answers={}, outcome=found)
        answers, refused = await _answer(worker, ready, records)
        for at, record, envelope, found in wave:
            if isinstance(found, Input):
                outcome = _put(worker, record, refused.get(at) or _decide(worker, found, answers[at]))
                works[at] = Work(
                    record=record, envelope=envelope, input=found, answers=answers[at], outcome=outcome
                )
    return tuple(works[at] for at in range(len(records)))


_Decoded = tuple[int, Record, Envelope, Input | Reject]


def _decode(worker: Worker, record: Record) -> tuple[Envelope, Input | Reject]:
    place = f"{record.part.topic}-{record.part.partition}-{record.offset}"
    envelope = from_headers(record.headers, place)
    try:
        event = worker.codec.decode(record.part.topic, record.value)
        key = record.key.decode("utf-8", "replace")
    except Refused as error:
        return envelope, reject(error)
    return envelope, Input(topic=record.part.topic, event=event, event_id=envelope.id, key=key, at=record.at)


def _waves(decoded: Sequence[_Decoded]) -> Iterator[list[_Decoded]]:
    """Yield the records so that no wave holds a key twice and each key's records come in order."""
    waves: list[list[_Decoded]] = []
    next_wave: dict[bytes, int] = {}
    for item in decoded:
        number = next_wave.get(item[1].key, 0)
        next_wave[item[1].key] = number + 1
        if number == len(waves):
            waves.append([])
        waves[number].append(item)
    yield from waves


async def _answer(
    worker: Worker, ready: dict[int, Input], records: Sequence[Record]
) -> tuple[dict[int, dict[str, Any]], dict[int, Reject]]:
    """Fetch what the verbs need, a whole wave's needs of a kind at once, until none needs more."""
    answers: dict[int, dict[str, Any]] = {at: {} for at in ready}
    refused: dict[int, Reject] = {}
    open_ = set(ready)
    for _ in range(MAX_ROUNDS):
        wanted: dict[str, list[tuple[int, Need]]] = {}
        for at in sorted(open_):
            needs = _needs(worker, ready[at], answers[at])
            if isinstance(needs, Reject):
                refused[at] = needs
            elif not needs:
                open_.discard(at)
            else:
                for need in needs:
                    wanted.setdefault(need.kind, []).append((at, need))
        open_ -= refused.keys()
        if not wanted:
            break
        for kind, pairs in wanted.items():
            await _fetch(worker, kind, pairs, (answers, refused, records))
        open_ -= refused.keys()
    for at in open_:
        refused[at] = Reject(code="VM-1308", why=f"more than {MAX_ROUNDS} rounds of needs")
    return answers, refused


def _needs(worker: Worker, case: Input, answers: Answers) -> tuple[Need, ...] | Reject:
    try:
        return tuple(need for need in worker.stage.verb.needs(case, answers) if need.name not in answers)
    except Exception as error:  # noqa: BLE001  whatever a verb's defect raises, the record must not be lost
        return reject(error)


_Sink = tuple[dict[int, dict[str, Any]], dict[int, Reject], Sequence[Record]]


async def _fetch(worker: Worker, kind: str, pairs: list[tuple[int, Need]], sink: _Sink) -> None:
    answers, refused, records = sink
    if kind == "head" and worker.table is not None:
        for at, need in pairs:
            partition = records[at].part.partition
            answers[at][need.name] = worker.table.get(partition, need.key.encode())
        return
    fetcher = worker.stage.fetchers.get(kind)
    if fetcher is None:
        for at, _ in pairs:
            refused[at] = Reject(code="VM-1309", why=f"no fetcher for needs of kind {kind!r}")
        return
    try:
        found = await fetcher([need for _, need in pairs])
    except (Transient, Misconfigured, Fenced):
        raise  # no fault of the record: given up now, every record would be
    except VigimeshError as error:
        if len(pairs) == 1:
            refused[pairs[0][0]] = reject(error)
            return
        for pair in pairs:  # one of them can't be met: ask one by one, so that only that one is given up
            await _fetch(worker, kind, [pair], sink)
        return
    for (at, need), answer in zip(pairs, found, strict=True):
        answers[at][need.name] = answer


def _decide(worker: Worker, case: Input, answers: Answers) -> Outcome:
    try:
        return worker.stage.verb.decide(case, answers)
    except Exception as error:  # noqa: BLE001  whatever a verb's defect raises, the record must not be lost
        return reject(error)


def reject(error: Exception) -> Reject:
    """Turn an error into the outcome: the only place that does. Its text never quotes the case."""
    if isinstance(error, VigimeshError):
        return Reject(code=error.code, why=str(error))
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    place = f"{frame.tb_frame.f_code.co_qualname}:{frame.tb_lineno}" if frame else "?"
    return Reject(code="VM-1307", why=f"VM-1307 handler failed: {type(error).__name__} in {place}")


def _put(worker: Worker, record: Record, outcome: Outcome) -> Outcome:
    """Let the table know what the outcome adds to it; return the outcome, or why what it adds is no event."""
    if worker.table is None or not isinstance(outcome, Done):
        return outcome
    try:
        for emit in outcome.events:
            if emit.topic == worker.table.topic:
                worker.table.put(record.part.partition, emit.key.encode(), emit.event)
    except (Transient, Misconfigured):
        raise
    except Exception as error:  # noqa: BLE001  whatever a verb's defect raises, the record must not be lost
        return reject(error)
    return outcome
