"""Telemetry by OpenTelemetry: spans of finished work to a collector, metrics as Prometheus text.

Nothing global is set, so that several workers and tests in one process do not share numbers. A collector that is away
costs spans, never work: the buffer is bounded and a full one drops, which the SDK says in the log.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import isnan
from threading import Lock, Thread

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import CallbackOptions, Meter, NoOpMeterProvider, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import SpanContext, SpanKind, TraceFlags
from opentelemetry.trace.status import Status, StatusCode
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest

from vigimesh import names
from vigimesh.adapters.telemetry.histograms import Histograms
from vigimesh.loop.telemetry import Processed
from vigimesh.names import Metric

SCOPE = "vigimesh"
#: Spans that wait to be sent: 40 batches of 500; at 1 KB each 20 MB when a collector is away.
MAX_SPANS = 20_000
#: Spans of one request to the collector, and milliseconds between two: the SDK's own defaults, written down.
EXPORT_SPANS, EXPORT_EVERY_MS = 512, 5_000
#: Seconds for one request to the collector, and for all that is left at the end of a process.
EXPORT_S, CLOSE_S = 5.0, 5.0

_SAMPLED = TraceFlags(TraceFlags.SAMPLED)
_SCOPE = InstrumentationScope(SCOPE)
_OK = Status(StatusCode.UNSET)
_Labels = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class _Instruments:
    """One instrument per counter or gauge, made at its first use.

    They are kept here and looked at when somebody asks: an `add` of the SDK takes seven times as long, and a
    transaction makes some six of them. A gauge is the last value that was set.
    """

    meter: Meter
    kept: dict[str, dict[_Labels, float]] = field(default_factory=dict)

    def values(self, metric: Metric) -> dict[_Labels, float]:
        found = self.kept.get(metric.name)
        if found is None:
            values: dict[_Labels, float] = {}

            def now(_options: CallbackOptions) -> list[Observation]:
                # NaN is a gauge that was taken back: the SDK leaves it out too, with a line of the log for each at each look.
                return [
                    Observation(value, dict(labels))
                    for labels, value in list(values.items())
                    if not isnan(value)
                ]

            counts = metric.kind == "counter"
            create = self.meter.create_observable_counter if counts else self.meter.create_observable_gauge
            create(metric.name, callbacks=[now], unit=metric.unit, description=metric.meaning)
            self.kept[metric.name] = found = values
        return found


class OtelTelemetry:
    """`loop.telemetry.Telemetry` by OpenTelemetry's SDK."""

    def __init__(
        self, stage: str, *, instance: str = "", version: str = "", spans_to: SpanExporter | None = None
    ) -> None:
        """Tell of `stage`; without `spans_to` no span is made at all. See `adapters.otlp.spans_to` for a collector."""
        described = {"service.name": f"vigimesh-{stage}", "service.namespace": "vigimesh"}
        if instance:
            described["service.instance.id"] = instance
        if version:
            described["service.version"] = version
        self._resource = Resource(described)
        self._registry = CollectorRegistry(auto_describe=False)
        self._meters = MeterProvider(
            metric_readers=[PrometheusMetricReader(scope_info_enabled=False, registry=self._registry)],
            resource=self._resource,
            shutdown_on_exit=False,
        )
        self._histograms = Histograms()
        self._registry.register(self._histograms)
        self._instruments = _Instruments(self._meters.get_meter(SCOPE))
        self._lock = Lock()
        self._spans = _processor(spans_to) if spans_to is not None else None

    def processed(self, works: Iterable[Processed]) -> None:
        """Take the spans of one committed batch; one whose ids are not hexadecimal is left out."""
        spans = self._spans
        if spans is None:
            return
        for work in works:
            try:
                span = _span(work, self._resource)
            except ValueError:  # a producer's own trace context, which no W3C parser would take
                continue
            spans.on_end(span)

    def add(self, metric: Metric, amount: float, labels: Mapping[str, str]) -> None:
        """Add to a counter; a negative amount is left out, since a counter never falls."""
        if amount < 0:
            return
        place = tuple(sorted(labels.items()))
        with self._lock:  # every lane of a process has a thread of its own
            values = self._instruments.values(metric)
            values[place] = values.get(place, 0.0) + amount

    def observe(self, metric: Metric, value: float, labels: Mapping[str, str]) -> None:
        """Put a value into a histogram."""
        self._histograms.observe(metric, value, labels)

    def level(self, metric: Metric, value: float, labels: Mapping[str, str]) -> None:
        """Set a gauge; NaN takes it back, so that nobody reads what it said last."""
        with self._lock:
            self._instruments.values(metric)[tuple(sorted(labels.items()))] = value

    def exposition(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self._registry)

    def close(self) -> None:
        """Send what is buffered, within `CLOSE_S`; further spans are dropped."""
        if self._spans is not None:
            # In a thread: with a collector that is away, the SDK itself waits half a minute.
            last = Thread(target=self._spans.shutdown, name="last spans", daemon=True)
            last.start()
            last.join(CLOSE_S)
        self._meters.shutdown()


def _processor(exporter: SpanExporter) -> BatchSpanProcessor:
    return BatchSpanProcessor(
        exporter,
        max_queue_size=MAX_SPANS,
        schedule_delay_millis=EXPORT_EVERY_MS,
        max_export_batch_size=EXPORT_SPANS,
        meter_provider=NoOpMeterProvider(),
    )


def _span(work: Processed, resource: Resource) -> ReadableSpan:
    """Return the finished span of one record's passage: its ids are made from the event's, so the SDK's tracer can't."""
    trace = int(work.trace_id, 16)
    parent = None
    if work.parent_span_id:
        parent = SpanContext(trace, int(work.parent_span_id, 16), is_remote=True, trace_flags=_SAMPLED)
    attributes: dict[str, str | int] = {
        names.SYSTEM: "kafka",
        names.OPERATION_NAME: "process",
        names.OPERATION_TYPE: "process",
        names.DESTINATION: work.topic,
        names.PARTITION: str(work.partition),
        names.GROUP: work.group,
        names.OFFSET: work.offset,
        names.CONVERSATION: work.case_id,
        names.OUTCOME: work.outcome,
        names.LANE: work.lane,
    }
    status = _OK
    if work.code:
        attributes[names.ERROR_TYPE] = work.code
        status = Status(StatusCode.ERROR, work.code)
    return ReadableSpan(
        name=f"process {work.stage}",
        context=SpanContext(trace, int(work.span_id, 16), is_remote=False, trace_flags=_SAMPLED),
        parent=parent,
        resource=resource,
        attributes=attributes,
        kind=SpanKind.CONSUMER,
        status=status,
        start_time=work.started_ns,
        end_time=work.ended_ns,
        instrumentation_scope=_SCOPE,
    )
