"""Telemetry: spans as the conventions want them, metrics as Prometheus reads them, nothing global."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import nan

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode
from prometheus_client.parser import text_string_to_metric_families

from vigimesh import names
from vigimesh.adapters.memory.telemetry import MemoryTelemetry, NoTelemetry
from vigimesh.adapters.telemetry.otel import OtelTelemetry
from vigimesh.adapters.telemetry.otlp import spans_to
from vigimesh.errors import Misconfigured
from vigimesh.loop.telemetry import Processed, Telemetry

WORK = Processed(
    stage="router", lane="", group="vigimesh.router", topic="vigimesh.case.received.urgent", partition=3, offset=42,
    case_id="default/c", trace_id="ab" * 16, span_id="cd" * 8, parent_span_id="ef" * 8, started_ns=1_000, ended_ns=2_000,
    outcome="done",
)  # fmt: skip
LABELS = {"stage": "router", "lane": ""}


def sent(*works: Processed) -> tuple[ReadableSpan, ...]:
    exporter = InMemorySpanExporter()
    telemetry = OtelTelemetry("router", instance="0", version="1.2", spans_to=exporter)
    telemetry.processed(works)
    telemetry.close()
    return exporter.get_finished_spans()


def test_a_span_has_the_ids_it_was_given_and_the_conventions_names() -> None:
    (span,) = sent(WORK)
    assert span.name == "process router"
    assert span.kind is SpanKind.CONSUMER
    assert span.context is not None
    assert format(span.context.trace_id, "032x") == WORK.trace_id
    assert format(span.context.span_id, "016x") == WORK.span_id
    assert span.parent is not None
    assert format(span.parent.span_id, "016x") == WORK.parent_span_id
    assert (span.start_time, span.end_time) == (1_000, 2_000)
    assert dict(span.attributes or {}) == {
        "messaging.system": "kafka",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.destination.name": WORK.topic,
        "messaging.destination.partition.id": "3",
        "messaging.consumer.group.name": "vigimesh.router",
        "messaging.kafka.offset": 42,
        "messaging.message.conversation_id": "default/c",
        "vigimesh.outcome": "done",
        "vigimesh.lane": "",
    }
    assert span.resource.attributes["service.name"] == "vigimesh-router"
    assert span.resource.attributes["service.instance.id"] == "0"
    assert span.status.status_code is StatusCode.UNSET


def test_a_record_given_up_is_an_error_span() -> None:
    (span,) = sent(replace(WORK, outcome="rejected", code="VM-1003", parent_span_id=""))
    assert span.status.status_code is StatusCode.ERROR
    assert span.attributes is not None
    assert span.attributes["error.type"] == "VM-1003"
    assert span.parent is None


def test_ids_that_no_parser_takes_cost_the_span_alone() -> None:
    spans = sent(replace(WORK, trace_id="not hexadecimal"), WORK)
    assert len(spans) == 1


@pytest.mark.parametrize(
    "telemetry", [MemoryTelemetry(), NoTelemetry(), OtelTelemetry("planner")], ids=lambda t: type(t).__name__
)
def test_all_of_them_take_everything(telemetry: Telemetry) -> None:
    telemetry.processed([WORK])
    telemetry.add(names.CONSUMED, 3, {**LABELS, "topic": "t"})
    telemetry.observe(names.COMMIT_DURATION, 0.004, LABELS)
    telemetry.level(names.OWNED_PARTITIONS, 4, LABELS)
    assert isinstance(telemetry.exposition(), bytes)
    telemetry.close()


def test_every_metric_of_the_table_is_in_the_exposition_under_its_prometheus_name() -> None:
    telemetry = OtelTelemetry("router")
    for metric in names.METRICS:
        labels = dict.fromkeys(metric.labels, "x")
        match metric.kind:
            case "counter":
                telemetry.add(metric, 2, labels)
                telemetry.add(metric, 3, labels)
                telemetry.add(metric, -1, labels)
            case "histogram":
                telemetry.observe(metric, 0.004, labels)
            case "gauge":
                telemetry.level(metric, 1, labels)
                telemetry.level(metric, 7, labels)
    samples = {
        (sample.name, sample.labels.get("le", "")): sample
        for family in text_string_to_metric_families(telemetry.exposition().decode())
        for sample in family.samples
    }
    telemetry.close()
    assert samples["target_info", ""].labels["service_name"] == "vigimesh-router"
    for metric in names.METRICS:
        plain = metric.name.replace(".", "_")
        first = str(metric.bounds[0] if metric.bounds else 0.005)
        name, bucket, value = {
            "counter": (f"{plain}_total", "", 5),
            "histogram": (f"{plain}_seconds_bucket", first, 1),
            "gauge": (plain, "", 7),
        }[metric.kind]
        assert samples[name, bucket].value == value
        assert set(metric.labels) <= set(samples[name, bucket].labels)


def test_a_gauge_that_was_taken_back_is_absent_and_no_line_of_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    told = OtelTelemetry("planner")
    place = {"stage": "planner", "lane": "hot", "workflow": "all"}
    for value, lines in ((3.0, 1), (nan, 0), (4.0, 1)):
        told.level(names.LAG_SECONDS, value, place)
        assert told.exposition().decode().count("vigimesh_lag_seconds{") == lines
    assert not caplog.records


def test_two_in_one_process_share_nothing() -> None:
    first, second = OtelTelemetry("router"), OtelTelemetry("planner")
    first.add(names.CONSUMED, 1, {**LABELS, "topic": "t"})
    assert b"consumed" in first.exposition()
    assert b"consumed" not in second.exposition()
    first.close()
    second.close()


def test_numbers_kept_in_memory_can_be_summed() -> None:
    telemetry = MemoryTelemetry()
    telemetry.add(names.CONSUMED, 3, {**LABELS, "topic": "a"})
    telemetry.add(names.CONSUMED, 4, {**LABELS, "topic": "b"})
    assert telemetry.total(names.CONSUMED) == 7
    assert telemetry.total(names.CONSUMED, topic="b") == 4


class Dark(SpanExporter):
    """A collector that is away."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.FAILURE

    def shutdown(self) -> None: ...


def test_a_collector_that_is_away_raises_nothing() -> None:
    telemetry = OtelTelemetry("router", spans_to=Dark())
    telemetry.processed([WORK] * 2_000)
    telemetry.close()


@pytest.mark.parametrize(
    ("given", "full"),
    [
        ("http://collector:4318", "http://collector:4318/v1/traces"),
        ("http://collector:4318/", "http://collector:4318/v1/traces"),
        ("https://c/otlp/v1/traces", "https://c/otlp/v1/traces"),
    ],
)
def test_the_address_of_a_collector_is_completed(given: str, full: str) -> None:
    exporter = spans_to(given)
    assert getattr(exporter, "_endpoint") == full  # noqa: B009  no public name for it
    exporter.shutdown()


@pytest.mark.parametrize("given", ["collector:4318", "", "grpc://x", "http://"])
def test_what_is_no_address_is_refused(given: str) -> None:
    with pytest.raises(Misconfigured, match="VM-1102"):
        spans_to(given)


def test_without_a_collector_no_work_is_looked_at() -> None:
    works = iter([WORK] * 3)
    silent = OtelTelemetry("router")
    silent.processed(works)
    assert len(list(works)) == 3, "every record would pay for spans that nobody gets"
    silent.close()


class Counting(SpanExporter):
    """Counts how often it is called, and with how many spans."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        self.calls.append(len(spans))
        return SpanExportResult.SUCCESS

    def shutdown(self) -> None: ...


def test_spans_are_handed_over_many_at_once() -> None:
    exporter = Counting()
    telling = OtelTelemetry("router", spans_to=exporter)
    for _ in range(2):
        telling.processed([WORK] * 500)
    telling.close()
    assert sum(exporter.calls) == 1_000
    assert len(exporter.calls) <= 10, "a call for a few spans each would cost more than the work itself"
