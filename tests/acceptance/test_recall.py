"""Advice recall through the whole mesh: a label comes, cases rest on it, it changes; what rested on it is looked at again, once.

The librarian of the mesh works beside the commands, so that both may order: whoever does, each conclusion is recalled once.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import psutil
import psycopg
import pytest

from meshes import Answer, Mesh, vigimesh
from unit.policy_making import ADULT
from vigimesh.adapters.kafka.history import scan
from vigimesh.app.cases.history import audit_facts
from vigimesh.app.demo.line_cases import line
from vigimesh.app.exits import REFUSED, TRANSIENT
from vigimesh.app.mesh.reckoning import RECKONED
from vigimesh.domain.record.checker import check
from vigimesh.events.case import Case, Product, Reaction
from vigimesh.events.classes import AuditRecorded, CaseDecided, ReviewRequested
from waiting import until

pytestmark = pytest.mark.real

#: In letters, so that a run on a stack that has seen another is about a label and cases of its own.
MARK = "".join(chr(ord("A") + int(digit, 16)) for digit in uuid4().hex[:6])
PRODUCT = f"Recallin{MARK.lower()}"
LABEL = f"product/{PRODUCT.lower()}"
#: Seconds for telemetry to be booked, recalls to be ordered and the mesh to conclude them, on a machine that does other things too.
DONE_S = 240.0

_LABEL = """---
id: {id}
version: {version}
title: {product}
kind: reference
names: {product}
---
# {product}

## Listed reactions

Common: {listed}.
"""
#: Report -> reaction, and the decision or rule after the label has changed; version 1.0 lists hiccups and nausea, 2.0 nausea.
PLANTED = {
    f"US-{MARK}-1": ("Hiccups", "advice_recalled"),
    f"US-{MARK}-2": ("Nausea", "upheld"),
    f"US-{MARK}-3": ("Hiccups", "advice_recalled"),
    f"US-{MARK}-4": ("Tremor", "upheld"),  # listed in neither
}
#: Another product's.
OTHER = f"US-{MARK}-5"


def case(report: str, reaction: str, product: str = PRODUCT) -> Case:
    return dataclasses.replace(
        ADULT, message_id="", case_id="", source_format="", sender="CALLCENTRE", receiver="VIGIMESH", report_id=report,
        worldwide_id=report, products=(Product(name=product, kind="drug", role="suspect"),),
        reactions=(Reaction(text=reaction.lower(), term=reaction, highlighted="1"),),
    )  # fmt: skip


@dataclass(frozen=True)
class Sent:
    """The mesh with the planted cases in it, decided by version 1.0 of the label."""

    mesh: Mesh
    folder: Path

    def bring(self, version: str, listed: str) -> Answer:
        """Ingest a version of the label."""
        file = self.folder / f"recallin-{version}.md"
        file.write_text(
            _LABEL.format(id=LABEL, product=PRODUCT, version=version, listed=listed), encoding="utf-8"
        )
        return vigimesh("knowledge", "ingest", file, "--data", self.mesh.data, "--json")

    def recall(self, *more: str) -> Answer:
        """Ask for the list; another who orders just now is waited for."""

        def asked() -> Answer | None:
            answer = vigimesh("knowledge", "recall", LABEL, "--data", self.mesh.data, "--json", *more)
            return None if answer.status == TRANSIENT else answer

        answer = until(asked, within_s=DONE_S, what="the list of recalls")
        assert answer is not None
        return answer

    def states(self) -> dict[str, str]:
        """Return by report what the list says of each planted case."""
        return {line_["case_id"].rpartition("/")[2]: line_["state"] for line_ in self.recall().json["cases"]}

    def ends(self, country: str = "US") -> dict[str, list[tuple[str, str]]]:
        """Return by report of a country every conclusion, oldest first: its cause, and its decision or rule."""
        codec, found = self.mesh.codec, dict[str, list[tuple[str, str]]]()
        every = self.mesh.rows("case.decided", "case.review")
        rows = [row for row in every if f"{country}-{MARK}-" in row.key]
        for row in sorted(rows, key=lambda one: one.at):
            event: CaseDecided | ReviewRequested = codec.decode(row.topic, row.value or b"")
            word = event.decision if isinstance(event, CaseDecided) else event.rule
            found.setdefault(row.key.rpartition("/")[2], []).append((event.cause, word))
        return found

    def orders(self) -> Counter[tuple[str, str]]:
        """Count the orders by report and cause."""
        rows = self.mesh.rows("plan.hot", "plan.warm", "plan.cold")
        return Counter(
            (row.key.rpartition("/")[2], row.headers.cause)
            for row in rows
            if row.headers.cause.startswith(LABEL) and row.headers.source.endswith("/librarian")
        )

    def booked(self, version: str, document: str = LABEL) -> set[str]:
        """Return the reports whose telemetry says that they were given this version."""
        with psycopg.connect(self.mesh.urls.postgres) as own:
            asked = "SELECT DISTINCT case_id FROM knowledge.used WHERE document_id = %s AND version = %s"
            return {name.rpartition("/")[2] for (name,) in own.execute(asked, (document, version))}

    def kill_the_librarian(self) -> None:
        """End the librarian's process without a word, if it lives just now."""
        for child in psutil.Process(self.mesh.pid).children(recursive=True):
            try:
                if "vigimesh librarian" in " ".join(child.cmdline()):
                    child.kill()
            except psutil.Error:  # it has just ended
                continue


@pytest.fixture(scope="module")
def sent(mesh: Mesh, tmp_path_factory: pytest.TempPathFactory) -> Sent:
    found = Sent(mesh, tmp_path_factory.mktemp("recall"))
    assert found.bring("1.0", "Hiccups, Nausea").status == 0
    cases = [case(report, reaction) for report, (reaction, _) in PLANTED.items()]
    cases.append(case(OTHER, "Oedema peripheral", "Torvexil"))
    file = found.folder / "cases.jsonl"
    file.write_text("".join(line(one) + "\n" for one in cases), encoding="utf-8")
    ran = mesh.run(file)
    assert (ran.status, ran.json["accepted"]) == (0, len(cases)), ran.err + ran.out
    return found


def test_what_rested_on_a_label_is_found_re_decided_and_reopened_once(sent: Sent) -> None:
    first = sent.ends()
    assert {report: [cause for cause, _ in ends] for report, ends in first.items()} == {
        key: [""] for key in [*PLANTED, OTHER]
    }
    assert {word for ends in first.values() for _, word in ends} == {"auto_accepted"}
    nothing = sent.recall()
    assert nothing.status == REFUSED
    assert "VM-2903" in nothing.err
    until(
        lambda: sent.booked("1.0") == set(PLANTED),
        within_s=DONE_S,
        what="the telemetry of every planted case",
    )

    assert sent.bring("2.0", "Nausea").status == 0
    assert set(sent.states()) == set(PLANTED)
    assert sent.recall("--order", "--by", "Ada").status == 0
    cause = f"{LABEL}@2.0"
    until(
        lambda: all(len(ends) == 2 for report, ends in sent.ends().items() if report in PLANTED),
        within_s=DONE_S, what="every recall to be concluded",
    )  # fmt: skip
    ends = sent.ends()
    assert {report: ends[report][1] for report in PLANTED} == {
        report: (cause, end) for report, (_, end) in PLANTED.items()
    }
    assert ends[OTHER] == [("", "auto_accepted")]
    wanted = {report: "reopened" if end == "advice_recalled" else end for report, (_, end) in PLANTED.items()}
    assert sent.states() == wanted
    reopened = [one for one in sent.mesh.events("case.review") if one.cause == cause]
    assert all(one.rule == "advice_recalled" and "was yes" in one.reason for one in reopened)
    recalled = [one for one in sent.mesh.events("audit") if one.action == "recalled" and MARK in one.case_id]
    assert sorted(
        one.case_id.rpartition("/")[2] for one in recalled if isinstance(one, AuditRecorded)
    ) == sorted(PLANTED)

    again = sent.recall("--order").json
    assert again["ordered_now"] == []
    assert sent.orders() == Counter({(report, cause): 1 for report in PLANTED})
    _adds_up(sent)


def test_a_librarian_that_is_killed_loses_and_doubles_nothing(sent: Sent) -> None:
    until(
        lambda: sent.booked("2.0") >= set(PLANTED),
        within_s=DONE_S,
        what="the telemetry of the recalled cases",
    )
    cause = f"{LABEL}@3.0"
    assert sent.bring("3.0", "Hiccups").status == 0
    sent.kill_the_librarian()
    until(lambda: sent.orders()[next(iter(PLANTED)), cause], within_s=DONE_S, what="the first order")
    sent.kill_the_librarian()
    until(
        lambda: all(len(ends) == 3 for report, ends in sent.ends().items() if report in PLANTED),
        within_s=DONE_S, what="every recall to be concluded",
    )  # fmt: skip
    assert {key: count for key, count in sent.orders().items() if key[1] == cause} == {
        (report, cause): 1 for report in PLANTED
    }
    assert {ends[-1][0] for report, ends in sent.ends().items() if report in PLANTED} == {cause}
    _adds_up(sent)


def test_the_history_and_the_list_know_recalls(sent: Sent) -> None:
    shown = sent.mesh.case("show", f"US-{MARK}-1")
    assert any("recalled to" in step["title"] for step in shown["events"])
    listed = {
        one["case_id"].rpartition("/")[2]: one for one in sent.mesh.case("list", "--limit", "0")["cases"]
    }
    assert listed[f"US-{MARK}-1"]["place"] == "in_review"
    assert listed[OTHER]["decision"] == "auto_accepted"


#: A product that will be withdrawn; report -> the lane of its recall, and what its case was decided as before.
TAKEN_BACK = f"Takenback{MARK.lower()}"
OF_TAKEN_BACK = {
    f"DE-{MARK}-6": ("cold", "auto_accepted"),
    f"DE-{MARK}-7": ("warm", "auto_accepted"),  # non-serious from the EU, five days of its 90 are left
    f"DE-{MARK}-8": ("hot", "serious"),
}


def _of_taken_back() -> list[Case]:
    cold, warm, hot = (case(report, "Hiccups", TAKEN_BACK) for report in OF_TAKEN_BACK)
    day0 = f"{datetime.now(UTC) - timedelta(days=85):%Y-%m-%d}"
    dates = {"first_received_on": day0, "most_recent_on": day0, "created_on": day0}
    return [
        cold,
        dataclasses.replace(warm, country="DE", **dates),  # type: ignore[arg-type]  # fields of Case, given by name
        dataclasses.replace(hot, criteria=("hospitalisation",)),
    ]


def test_what_rested_on_a_document_that_was_withdrawn_is_recalled_on_its_lane(sent: Sent) -> None:
    mesh, document = sent.mesh, f"product/{TAKEN_BACK}".lower()
    label = sent.folder / "takenback-1.0.md"
    label.write_text(
        _LABEL.format(id=document, product=TAKEN_BACK, version="1.0", listed="Hiccups, Nausea"),
        encoding="utf-8",
    )
    assert vigimesh("knowledge", "ingest", label, "--data", mesh.data, "--json").status == 0
    file = sent.folder / "taken_back.jsonl"
    file.write_text("".join(line(one) + "\n" for one in _of_taken_back()), encoding="utf-8")
    ran = mesh.run(file)
    assert (ran.status, ran.json["accepted"]) == (0, 3), ran.err + ran.out
    until(
        lambda: sent.booked("1.0", document) == set(OF_TAKEN_BACK),
        within_s=DONE_S, what="the telemetry of every case of the product",
    )  # fmt: skip
    before = sent.ends("DE")
    assert {report: word for report, [(_, word)] in before.items()} == {
        report: word for report, (_, word) in OF_TAKEN_BACK.items()
    }

    gone = vigimesh(
        "knowledge",
        "withdraw",
        document,
        "--by",
        "Ada",
        "--reason",
        "of another product",
        "--data",
        mesh.data,
    )
    assert gone.status == 0, gone.err
    cause = f"{document}@1.0 withdrawn"
    until(
        lambda: all(len(ends) == 2 for ends in sent.ends("DE").values()),
        within_s=DONE_S, what="every recall to be concluded",
    )  # fmt: skip
    # Nothing is listed any more without the label: a person looks at each.
    assert {ends[1] for ends in sent.ends("DE").values()} == {(cause, "advice_recalled")}
    ordered = [row for row in mesh.rows("plan.hot", "plan.warm", "plan.cold") if row.headers.cause == cause]
    first = {
        row.key.rpartition("/")[2]: row.headers.lane
        for row in ordered
        if row.headers.source.endswith("/librarian")
    }
    assert first == {report: lane for report, (lane, _) in OF_TAKEN_BACK.items()}
    _adds_up(sent, "DE", 3)


def _adds_up(sent: Sent, country: str = "US", count: int = 5) -> None:
    """Assert that a recalled version is no second case, and that nothing of it is lost, torn or doubled."""
    every = list(scan(sent.mesh.urls.kafka, RECKONED))
    messages = {row.headers.messageid for row in every if f"{country}-{MARK}-" in row.key} - {""}
    rows = [row for row in every if row.headers.messageid in messages]
    found = check(rows, audits=tuple(audit_facts(rows, sent.mesh.codec)))
    assert (found.accepted, found.in_flight, found.lost, found.duplicated, found.torn) == (count, 0, 0, 0, 0)
    assert found.out_of_order == 0
    assert found.balanced
