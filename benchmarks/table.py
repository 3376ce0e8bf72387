"""The table of results: read from `benchmarks/results/`, written into the README between its marks.

Without `--write` it only says whether the table is the one that the results make.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
#: Where the table stands; both lines stay.
BEGIN, END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"
#: Files that hold it.
HOLDERS = (ROOT / "benchmarks" / "README.md", ROOT / "README.md")
#: What each key compares, in the order of the table.
MEANINGS = {
    "throughput": {
        "vs_bare": "one stage, exactly once, batch 500, real events: records/s against the bare loop",
        "bare_vs_raw": "the bare loop against raw bytes: what events, audit, usage, flow and headers cost",
        "vs_quix": "the same stage against Quix Streams, exactly-once",
        "vs_faust": "the same stage against Faust, exactly-once",
        "duplicates_after_kill": "records twice after kill -9 in the middle and a restart",
    },
    "latency": {
        "p50_vs_bare": "five stages, no model call: median against a tuned bare chain, worst of 40 and 200 events/s",
        "p99_vs_bare": "the same, 99th percentile",
        "p50_ms": "the same, median in ms",
    },
    "parallel": {
        "speedup_vs_ideal": "calls of 20 ms, 100 at once, 1,000 keys: records/s against the ideal of 5,000",
        "one_slow_percent_vs_in_order": "1 % of the calls 100 times longer: against one at a time per partition",
    },
    "isolation": {
        "hot_p99_vs_idle": "hot p99 with 1,000,000 cold records at the door and in the lane, against none",
        "cold_rate_vs_alone": "what cold gets done meanwhile, against cold alone",
    },
    "mesh": {
        "vs_bare_chain": "20,000 VAERS cases: cases/s against a bare chain that works nothing out",
        "cases_per_second": "the same, cases/s",
    },
    "budget": {
        "reserve_p50_ms": "`Budget.reserve` inside a paid call, 200 calls/s, a model of 250 ms, worst of 1, 50, 500 workflows",
        "added_p50_ms": "a paid call less the bare call of the same question, both from the scheduled arrival: median in ms",
        "added_p99_ms": "the same, 99th percentile of the pairs",
        "overspend_micro": "caps that run out: recorded + open beyond a cap, by the store's own order and by the journal",
        "false_refusals": "refused though recorded + open + worst case was within every cap, by the store's own order",
    },
    "controllers": {
        "overspend_micro": "a simulated month with money for its first days, our controller: admitted beyond the cap",
        "late_cases": "the same: concluded after the legal clock",
        "false_refusals": "the same: refused while there was room",
        "hot_p99_s": "the same: hot p99, s (nobody, a spend cap and a gate on depth stand in the result)",
        "mesh_overspend_micro": "the real mesh, a burst that wants twice the month, our controller: booked beyond the month",
        "mesh_serious_or_untriaged_waited_for_money": "the same: cases that may be serious, or were not triaged, and waited for money",
        "mesh_false_refusals": "the same: refused though there was room, by the budget's own store",
        "mesh_hot_p99_s": "the same: hot p99 to the conclusion, s (the other three stand in the result under `mesh`)",
    },
    "tools": {
        "dates": "published specifications of dates in English passed: place and every reading",
        "durations": "the same, durations: place, parts, seconds",
        "ages": "the same, ages: place, number, unit",
        "dimensions": "the same, lengths, weights, volumes and others: place and exact value",
        "units": "UCUM symbols and example codes read, equal to their definition, converted there and back",
        "calls_per_second": "readers of a text, one after another on one core: calls/s",
        "temperatures": "the same specifications, temperatures",
    },
    "redaction": {
        "recall": "personal data in invented texts, of templates that no rule was made for: taken out whole",
        "clinical_kept": "products, doses, reactions, values, lots and dates left whole, worst of those and of texts written by hand",
        "precision": "what was taken out and was personal",
        "texts_per_second": "texts of some 300 characters a second, one core",
    },
    "small_model": {
        "auc": "is a VAERS report serious, form's ticks hidden, reports not seen in training: area under the ROC curve",
        "ap": "the same, average precision",
        "ece": "the same, expected calibration error in ten bins",
        "auto_resolved_at_recall_95": "share of all below the threshold that gave a recall of 0.95 on other reports",
        "sensitivity_at_threshold": "recall at that threshold",
        "texts_per_second": "texts/s of one core, with the terms that explain each score",
        "auc_gain_low": "lower end of the paired 95 % interval against TF-IDF + logistic regression on the narrative",
        "ap_gain_low": "the same for average precision",
    },
    "cascade": {
        "tokens_vs_all_large": "point A: tokens to the large model (a stand-in, right in 97 %) / those of asking it about every case; form's ticks hidden",
        "tokens_vs_all_large_paired": "point B, chosen for the paired difference of recall: the same",
        "first_triage_vs_all_large": "A: median time to first triage / all-large's, simulated with a model of 1 s, worst of 30 % and 70 % load",
        "recall_machine": "A: serious cases that tools, small or large model stated to be serious; the small one from its `serious_at` on",
        "recall_machine_low": "the same, one-sided exact 95 % bound",
        "recall_machine_small_unknown": "A, the stricter reading: what the small model alone calls serious counts as unknown, not as found",
        "recall_machine_small_unknown_low": "the same, one-sided exact 95 % bound",
        "recall_all_large": "all-large: the same",
        "recall_difference_low": "B: recall less all-large's on the same cases, lower end of the paired 95 % bootstrap interval",
        "person_share_over_all_large": "share of cases that a person looks at, less all-large's, worse of A and B",
        "certified_recall": "A: serious cases that the small tier did not resolve, against what its certificate promises",
        "serious_misses": "A: serious cases that no machine stated (each listed in the result)",
        "resolved_by_tools": "A: cases after which neither another tier nor a person came: tools",
        "resolved_by_small": "the same: small model",
        "resolved_by_large": "the same: large model",
        "resolved_by_person": "A: cases that a person looks at",
        "cost_per_1000_calls": "the small tier, dollars for 1,000 texts at 0.05 a core hour",
    },
    "review_order": {
        "rank_arrival": "share of the queue before a case graded 4 or 5, or of death or danger to life (worse of the two), by arrival; reports that go to a person at point A",
        "rank_grade": "the same, by the mesh's grade",
        "rank_serious": "the same, by grade, then the probability of the model of seriousness",
        "rank_grave": "the same, by grade, then the probability of the model of grade (`case list --order grave`)",
        "gain": "4 or 5: what the last is less than the one before, as a share of it",
        "gain_low": "lower end of the paired 95 % interval of that difference, worse of the two",
    },
    "extraction": {
        "f1": "fields in sentences of PHEE that chose nothing, exact place: F1 of the worst of drug, reaction, dose, age, time",
        "f1_micro": "the same, all fields together",
        "f1_touching": "the worst field, where one common character is enough",
        "peer_gain_low": "lower end of the paired 95 % interval of F1 (all fields) against token-wise logistic regression",
        "floor_gain_low": "the same against a dictionary with the tools' rules",
        "texts_per_second": "sentences/s of one core, with probability and reasons of each field",
    },
    "transfer": {
        "left_out_recall": "seriousness recipe without one vaccine type, threshold from the others: recall on that type, worst of those left out (named in the result)",
        "left_out_recall_low": "the same, lower end of the exact 95 % bound",
        "left_out_saving": "the same, share of all reports below the threshold",
        "adults_recall": "shipped model and its carried threshold, unseen reports of adults: recall",
        "adults_saving": "the same, share below the threshold",
        "phee_recall": "the same on single sentences of PHEE in which people marked something grave (misses only)",
        "psytar_recall": "the same on patients' sentences whose words name something grave (a rule, no label)",
    },
    "retrieval": {
        "recall_at_5": "101 labels, marked reactions: share of the right passages among the first five, words and vectors fused",
        "mrr": "the same: mean of 1 / rank of the first right passage",
        "full_text_recall_at_5": "the same recall by words alone",
        "vector_recall_at_5": "the same recall by vectors alone",
        "gain_over_full_text": "recall fused less recall by words alone",
        "gain_over_vectors": "recall fused less recall by vectors alone",
        "hit_p50_ms": "a look-up that a store serves, worst of this process's memory and of Valkey (found by another process), one question",
        "hit_p99_ms": "the same, 99th percentile, from this process's memory (the others stand in the result)",
        "true_hits": "share of paraphrases, in frames no rule was made for, that are served from the answer to the first of the pair",
        "false_hits": "second questions of minimal pairs that were served: dose, unit, drug, negation, with or without, population, version, ...",
        "adversarial_pairs": "minimal pairs asked through the cache, all rounds together",
    },
    "knowledge_saving": {
        "retrievals_saved_hot_exact": "VAERS replay, planner's and persons' questions: share answered from the hot level by their own words",
        "retrievals_saved_hot_semantic": "the same, by what they say",
        "retrievals_saved_warm_exact": "the same, from summaries of what changed",
        "cost_per_grounded_answer_micro": "processor time and embedded tokens at assumed prices, micro-units of EUR",
    },
    "listedness": {
        "recall": "101 annotated US labels: (label, term) pairs that are found listed",
        "held_out_recall": "the same, of the half of the labels that no word was chosen by",
        "false_listed": "terms of other labels found listed though nobody annotated them, worst of all, both halves",
        "shown_recall": "the same pairs, with places that have a slip of the pen: shown to a reader, not counted as listed",
        "exact_recall": "the same pairs, by the term's own words as they stand",
    },
}  # fmt: skip


def rows(results: Path = RESULTS) -> Iterator[str]:
    """Yield the lines of the table; a benchmark without a result has none."""
    yield "| benchmark | compares | goal | found | spread |"
    yield "|---|---|---|---|---|"
    for name, meanings in MEANINGS.items():
        file = results / f"{name}.json"
        if not file.exists():
            continue
        found = json.loads(file.read_text(encoding="utf-8"))
        for key, meaning in meanings.items():
            if found.get(key) is not None:
                note = "" if found["met"].get(key, True) else " (**not met**)"
                yield (
                    f"| `{name}.{key}` | {meaning} | {found['goals'][key]} | {found[key]:g}{note} | {_spread(found, key)} |"
                )


def _spread(found: dict[str, Any], key: str) -> str:
    """Return the smallest and largest round of the point that decides."""
    for point in found["points"].values():
        if key in point and point[key]["median"] == found[key]:
            return f"{point[key]['min']:g} to {point[key]['max']:g}"
    return ""


def facts(results: Path = RESULTS) -> str:
    """Return in one line where and when the results were measured."""
    lines = set()
    for file in sorted(results.glob("*.json")):
        found = json.loads(file.read_text(encoding="utf-8"))
        machine, versions = found["machine"], found["versions"]
        # Those that need no broker say nothing of one.
        broker = (
            f", Kafka {versions['kafka']}, librdkafka {versions['librdkafka']}" if "kafka" in versions else ""
        )
        lines.add(
            f"{found['rounds']} rounds, {found['date']}, {machine['cores']} cores {machine['processor']}, "
            f"Python {machine['python']}{broker}"
        )
    return "; ".join(sorted(lines))


def warnings(results: Path = RESULTS) -> Iterator[str]:
    """Yield what a reader must know of single results, where whoever measured them said so."""
    for name in MEANINGS:
        file = results / f"{name}.json"
        note = json.loads(file.read_text(encoding="utf-8"))["notes"].get("note") if file.exists() else ""
        if note:
            yield f"`{name}`: {note}."


def written(text: str, table: str) -> str:
    """Return a file's text with the table between its marks."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        return text
    return f"{before}{BEGIN}\n{table}\n{END}{after}"


def table() -> str:
    """Return the whole of what stands between the marks."""
    made = list(rows())
    if len(made) == 2:
        return "No results yet: `make bench-all`."
    return "\n".join([*made, "", " ".join([f"Median of {facts()}.", *warnings()])])


def main() -> int:
    """Write the table, or say whether it is up to date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help="write it into the files that hold it")
    chosen = parser.parse_args()
    made, stale = table(), []
    for file in HOLDERS:
        text = file.read_text(encoding="utf-8")
        fresh = written(text, made)
        if fresh != text:
            stale.append(str(file.relative_to(ROOT)))
            if chosen.write:
                file.write_text(fresh, encoding="utf-8")
    if stale and not chosen.write:
        print(f"{', '.join(stale)}: run `python benchmarks/table.py --write`", file=sys.stderr)
    return 1 if stale and not chosen.write else 0


if __name__ == "__main__":
    raise SystemExit(main())
