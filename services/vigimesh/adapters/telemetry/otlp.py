"""Spans to a collector by OTLP over HTTP; apart from `otel`, so that a worker without a collector starts without it."""

from __future__ import annotations

from urllib.parse import urlsplit

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace.export import SpanExporter

from vigimesh.adapters.telemetry.otel import EXPORT_S
from vigimesh.errors import Misconfigured

#: Where a collector takes spans, below its address (OTLP 1.x).
TRACES_PATH = "/v1/traces"


def spans_to(endpoint: str) -> SpanExporter:
    """Return the exporter to a collector at `endpoint`, as in OTEL_EXPORTER_OTLP_ENDPOINT: `http://host:4318`.

    Raises `Misconfigured` VM-1102 for what is no HTTP address. A collector that is away raises nothing, ever.
    """
    parts = urlsplit(endpoint)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise Misconfigured(
            "VM-1102",
            what="the address of the collector is not an HTTP address",
            where="OTEL_EXPORTER_OTLP_ENDPOINT",
            todo="write it such as http://collector:4318, or leave it empty to send no spans",
        )
    path = parts.path.rstrip("/")
    full = parts._replace(path=path if path.endswith(TRACES_PATH) else path + TRACES_PATH)
    return OTLPSpanExporter(endpoint=full.geturl(), timeout=EXPORT_S)
