"""What a committed batch tells telemetry: one span a record, counters by outcome."""

from __future__ import annotations

from collections import Counter

from vigimesh import names
from vigimesh.loop.telemetry import Processed
from vigimesh.loop.worker import Bundle, Work, Worker


def report(worker: Worker, bundle: Bundle) -> None:
    """Tell telemetry of a committed batch."""
    if not bundle.works:
        return
    took_s = worker.clock.monotonic_s() - bundle.started_s
    ended_ns = int(worker.clock.now().timestamp() * 1e9)
    times_ns = (ended_ns - int(took_s * 1e9), ended_ns)
    labels = {"stage": worker.stage.name, "lane": worker.lane}
    telemetry = worker.telemetry
    telemetry.processed(_span(worker, work, times_ns) for work in bundle.works)
    telemetry.observe(names.PROCESS_DURATION, took_s, labels)
    for ended, count in bundle.ended.items():
        telemetry.add(names.OUTCOMES, count, {**labels, "outcome": ended.action})
        if ended.code:
            telemetry.add(names.DEAD_LETTERS, count, {**labels, "code": ended.code})
    for topic, count in Counter([work.record.part.topic for work in bundle.works]).items():
        telemetry.add(names.CONSUMED, count, {**labels, "topic": topic})
    for topic, count in Counter([write.topic for write in bundle.writes]).items():
        telemetry.add(names.SENT, count, {**labels, "topic": topic})


def _span(worker: Worker, work: Work, times_ns: tuple[int, int]) -> Processed:
    parts = work.envelope.traceparent.split("-")
    return Processed(
        stage=worker.stage.name,
        lane=worker.lane,
        group=worker.group,
        topic=work.record.part.topic,
        partition=work.record.part.partition,
        offset=work.record.offset,
        case_id=work.envelope.subject,
        trace_id=work.trace_id,
        span_id=work.span_id,
        parent_span_id=parts[2] if len(parts) == 4 else "",
        started_ns=times_ns[0],
        ended_ns=times_ns[1],
        outcome=work.ended.action,
        code=work.ended.code,
    )
