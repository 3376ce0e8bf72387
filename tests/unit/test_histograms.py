"""Histograms as they are counted and as Prometheus reads them."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from vigimesh import names
from vigimesh.adapters.telemetry.histograms import BUCKETS_S, Histograms

NAME = "vigimesh_commit_duration_seconds"
LABELS = {"stage": "router", "lane": "all"}


def shown(histograms: Histograms) -> dict[tuple[str, str, str], float]:
    """Return the samples by name, upper bound and lane."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(histograms)
    return {
        (sample.name, sample.labels.get("le", ""), sample.labels["lane"]): sample.value
        for family in text_string_to_metric_families(generate_latest(registry).decode())
        for sample in family.samples
    }


@pytest.mark.parametrize(
    ("value", "first"),
    [(0.0, 0.001), (0.001, 0.001), (0.0011, 0.0025), (30.0, 30.0), (30.1, None)],
)
def test_a_value_is_in_the_first_bucket_whose_bound_it_does_not_exceed_and_in_all_above(
    value: float, first: float | None
) -> None:
    histograms = Histograms()
    histograms.observe(names.COMMIT_DURATION, value, LABELS)
    found = shown(histograms)
    for bound in BUCKETS_S:
        assert found[f"{NAME}_bucket", str(bound), "all"] == (first is not None and bound >= first)
    assert found[f"{NAME}_bucket", "+Inf", "all"] == found[f"{NAME}_count", "", "all"] == 1
    assert found[f"{NAME}_sum", "", "all"] == value


def test_values_add_up_by_label_and_the_order_in_which_labels_are_given_is_of_no_account() -> None:
    histograms = Histograms()
    histograms.observe(names.COMMIT_DURATION, 0.2, LABELS)
    histograms.observe(names.COMMIT_DURATION, 0.3, dict(reversed(LABELS.items())))
    histograms.observe(names.COMMIT_DURATION, 4.0, {**LABELS, "lane": "hot"})
    found = shown(histograms)
    assert found[f"{NAME}_sum", "", "all"] == 0.5
    assert found[f"{NAME}_bucket", "0.25", "all"] == 1
    assert found[f"{NAME}_count", "", "all"] == 2
    assert found[f"{NAME}_count", "", "hot"] == 1


def test_a_metric_with_bounds_of_its_own_has_those() -> None:
    metric = next(one for one in names.METRICS if one.kind == "histogram" and one.bounds)
    histograms = Histograms()
    histograms.observe(metric, metric.bounds[0], dict.fromkeys(metric.labels, "x"))
    (family,) = histograms.collect()
    assert [sample.labels["le"] for sample in family.samples if "le" in sample.labels] == [
        *map(str, metric.bounds), "+Inf",
    ]  # fmt: skip


def test_nothing_is_shown_before_the_first_value_and_a_label_that_is_missing_raises_nothing() -> None:
    histograms = Histograms()
    assert list(histograms.collect()) == []
    histograms.observe(names.COMMIT_DURATION, 0.2, {"lane": "hot"})
    assert shown(histograms)[f"{NAME}_count", "", "hot"] == 1
