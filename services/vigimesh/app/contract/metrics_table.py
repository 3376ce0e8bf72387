"""`docs/metrics.md`, made from `names.METRICS`: every metric a worker shows, what it means, who alarms on it."""

from __future__ import annotations

from vigimesh.names import METRICS, Metric

_PREAMBLE = """\
# Metrics

What each worker shows at `/metrics` in Prometheus' text format (`vigimesh dev` prints the addresses). The OpenTelemetry
name stands first, the name that Prometheus shows below it; a histogram has `_bucket`, `_sum` and `_count` behind it. Labels
hold a stage, a lane (`all` for router and supervisor), a topic, an outcome or a code: never anything of a case. A metric
appears with its first value.

Written by `vigimesh config metrics --write docs/metrics.md`.

"""

#: What the exporter puts behind a name for its unit; a unit in braces only says what is counted.
_SUFFIXES = {"s": "_seconds"}


def metrics_document() -> str:
    """Return the text of `docs/metrics.md`."""
    lines = ["| metric | kind | unit | labels | meaning | who alarms, on what |", "|---|---|---|---|---|---|"]
    lines.extend(_line(metric) for metric in METRICS)
    return _PREAMBLE + "\n".join(lines) + "\n"


def prometheus_name(metric: Metric) -> str:
    """Return the name under which Prometheus shows a metric."""
    suffix = _SUFFIXES.get(metric.unit, "")
    name = metric.name.replace(".", "_").removesuffix(suffix) + suffix
    return f"{name}_total" if metric.kind == "counter" else name


def _line(metric: Metric) -> str:
    names = f"`{metric.name}`<br>`{prometheus_name(metric)}`"
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    cells = (names, metric.kind, metric.unit.strip("{}"), labels, metric.meaning, metric.alarm or "-")
    return "| " + " | ".join(cells) + " |"
