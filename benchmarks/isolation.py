"""Hot cases while a million cold ones wait at the door and a million in the lane: latency, and what cold still gets done.

The mesh's own processes, one per stage and lane, cold at lower priority. Three states a round: *idle* (nothing cold there),
*loaded* (cold works at the share that an order to yield on the `throttle` topic states), *alone* (the order is lifted, no
hot cases). The cold records are filled in once, from one encoded record each with other ids.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import chain
import sample
from drive import Driver, received
from engines import Running, start
from ground import Ground, Ready, ground, versions
from measuring import Goal, Report, finish, options, percentile, say
from vigimesh.adapters.postgres.library import load_into
from vigimesh.adapters.postgres.schema import migrate
from vigimesh.app.config.settings import DEMO_CARDS, MeshSettings, Settings
from vigimesh.app.mesh.fleet import worker_programs
from vigimesh.app.workers.worker import NICENESS
from vigimesh.domain.control.yields import SHARES
from vigimesh.domain.knowledge.shipped import shipped_documents
from vigimesh.events.case import Case
from vigimesh.events.classes import CaseReceived, ThrottleOrdered
from vigimesh.events.codec import Codec
from vigimesh.events.envelope import Envelope, to_headers
from vigimesh.events.topics import STAGES, group_of, lane_topic, topic
from vigimesh.loop.outcome import Done, Input

GOALS = {
    "hot_p99_vs_idle": Goal(bound="<=", value=1.3),
    "cold_rate_vs_alone": Goal(bound=">=", value=0.25),
}
#: Cold records at the door, and as many in the lane.
COLD, QUICK_COLD = 1_000_000, 20_000
#: The controller's orders while hot is late, lane and percent of its time; that for warm holds for the normal door too.
HELD = dict(SHARES)
LIFTED = dict.fromkeys(HELD, 100)
#: Hot cases a second, and how long each state is left alone and measured, in seconds: 7 rounds give 2,240 samples.
PACE, DROPPED_S, MEASURED_S = 40.0, 10.0, 8.0
QUICK_DROPPED_S, QUICK_MEASURED_S = 2.0, 3.0
#: Stands where each cold record has its number; as long as the number.
MARK = "@" * 10
#: Minutes that an order says it holds; a worker believes one at most.
HOLD_MIN = 2


def main() -> int:
    """Measure and print."""
    chosen = options(__doc__ or "")
    report = Report("isolation", GOALS)
    count = QUICK_COLD if chosen.quick else COLD
    times = (QUICK_DROPPED_S, QUICK_MEASURED_S) if chosen.quick else (DROPPED_S, MEASURED_S)
    with ground() as base:
        migrate(base.urls.postgres)
        load_into(base.urls.postgres, shipped_documents())
        codec = Codec(sample.FixedSchemas(base.ids_file))
        say(f"isolation: filling 2 x {count} cold records")
        for name, record in cold_templates(codec).items():
            base.fill(name, copies(record, count))
        for number in range(chosen.rounds):
            a_round(base, report, times)
            say(f"isolation: round {number + 1} of {chosen.rounds} done")
        report.notes |= {
            "cold_records": {"door": count, "lane": count}, "hot_per_s": PACE, "share_percent": HELD,
            "cold_nice": NICENESS["cold"], "dropped_s": times[0], "hot_samples": int(PACE * times[1]) * chosen.rounds,
        }  # fmt: skip
        return finish(report, chosen, versions(base))


def a_round(base: Ground, report: Report, times: tuple[float, float]) -> None:
    """Measure the three states once."""
    dropped_s, measured_s = times
    normal, urgent = (topic(f"case.received.{door}") for door in ("normal", "urgent"))
    # Nothing waits at the normal door: the router begins behind what lies there.
    base.place(group_of("router", None), {**base.ends(normal), **base.ends(urgent)})
    with mesh(base, lanes=("hot",)) as driver:
        driver.send(int(PACE * dropped_s), PACE)
        idle = driver.send(int(PACE * measured_s), PACE)
    base.place(group_of("router", None), {**dict.fromkeys(base.ends(normal), 0), **base.ends(urgent)})
    order(base, HELD)
    with mesh(base, lanes=("hot", "cold")) as driver:
        driver.send(int(PACE * dropped_s), PACE)
        order(base, HELD)  # one holds for a minute at most
        began = work_done(base)
        loaded = driver.send(int(PACE * measured_s), PACE)
        held = rate(began, work_done(base))
        order(base, LIFTED)
        time.sleep(dropped_s / 2)
        began = work_done(base)
        time.sleep(measured_s)
        alone = rate(began, work_done(base))
    for percent in (50, 99):
        report.add("hot", f"idle_p{percent}_ms", percentile(idle, percent))
        report.add("hot", f"loaded_p{percent}_ms", percentile(loaded, percent))
    report.add("hot", "hot_p99_vs_idle", percentile(loaded, 99) / percentile(idle, 99))
    report.add("cold", "alone_per_s", alone)
    report.add("cold", "held_per_s", held)
    report.add("cold", "cold_rate_vs_alone", held / max(alone, 1e-9))


def work_done(base: Ground) -> tuple[float, int]:
    """Return the time in seconds, and how many records the three stages of the cold lane have handed on.

    Conclusions alone would come in steps of a whole transaction. Markers count too: some 1 % in both states.
    """
    handed_on = sum(
        sum(base.ends(lane_topic(step, "cold")).values()) for step in ("retrieve", "execute", "supervise")
    )
    return time.monotonic(), handed_on


def rate(began: tuple[float, int], ended: tuple[float, int]) -> float:
    """Return records a second between two looks."""
    return (ended[1] - began[1]) / (ended[0] - began[0])


@contextmanager
def mesh(base: Ground, lanes: tuple[str, ...]) -> Iterator[Driver]:
    """Run the processes of some lanes and those that all lanes share; yields once a hot case has passed."""
    settings = Settings.for_stack(base.urls, replace(Settings(), mesh=MeshSettings(cards=DEMO_CARDS)))
    (base.folder / "mesh").mkdir(exist_ok=True)
    programs = {
        name: one
        for name, one in worker_programs(settings, base.folder, STAGES).items()
        if "." not in name or name.rpartition(".")[2] in lanes
    }
    started: list[Running] = []
    driver = Driver(base)
    try:
        started += [start(one.argv, one.log, one.environment) for one in programs.values()]
        driver.warm_up(int(PACE), PACE)
        yield driver
        for one in started:
            one.check()
    finally:
        driver.close()
        for one in started:
            one.ask_to_stop()
        for one in started:
            one.wait()


def order(base: Ground, shares: Mapping[str, int]) -> None:
    """Write what a controller would: lanes yield to a share of their time; 100 lifts it."""
    codec, name, now = Codec(sample.FixedSchemas(base.ids_file)), topic("throttle"), datetime.now(UTC)
    ready: list[Ready] = []
    for lane, share in shares.items():
        event = ThrottleOrdered(
            workflow="", lane=lane, term=1, expires_at=now + timedelta(minutes=HOLD_MIN), tier_ceiling="person",
            calls_per_minute=2**31 - 1, yields=share < 100, share_percent=share, reason="benchmark",
        )  # fmt: skip
        envelope = Envelope(
            id=f"bench-{lane}-{now.isoformat()}", source="/vigimesh/bench", type="vigimesh.ThrottleOrdered", time=now,
            subject=lane, lane=lane,
        )  # fmt: skip
        ready.append((f"{lane}|".encode(), codec.encode(name, event), to_headers(envelope)))
    base.fill(name, ready)


def cold_templates(codec: Codec) -> dict[str, Ready]:
    """Return a cold record for the door and one for the lane, with `MARK` wherever each has its number."""
    case = Case(
        message_id=MARK.rjust(32, "c"), case_id=f"default/COLD-{MARK}", kind="document", document_kind="literature",
        source_format="jsonl", sender="ARCHIVE", receiver="MESH", report_id=f"COLD-{MARK}", created_on="2026-03-01",
        first_received_on="2026-03-01", most_recent_on="2026-03-01", title="A review without single patients",
        country="DE", digest=MARK.rjust(64, "d"),
        narrative="The authors review published trials of torvexilate. No single patient is described. " * 4,
    )  # fmt: skip
    door = topic("case.received.normal")
    key, value, headers = next(received(codec, "normal", iter((case,))))
    now = datetime.now(UTC)
    given = Input(
        topic=door, event=CaseReceived(case=case), event_id=case.message_id, key=case.case_id, at=now
    )
    routed = chain.verbs()["router"].decide(given, {})
    if not isinstance(routed, Done) or routed.events[0].lane != "cold":
        raise RuntimeError("the cold sample is not cold: the cards have changed")
    emit = routed.events[0]
    envelope = Envelope(
        id=MARK.rjust(32, "e"), source="/vigimesh/router", type="vigimesh.CaseRouted", time=now, subject=case.case_id,
        dataschema=f"/schemas/ids/{codec.schema_id(emit.topic)}", traceparent=dict(headers)["traceparent"].decode(),
        messageid=case.message_id, workflow=emit.workflow, lane="cold",
    )  # fmt: skip
    lane = (key, codec.encode(emit.topic, emit.event), to_headers(envelope))
    # Other ids in the lane than at the door: they are other cases.
    return {door: (key, value, headers), emit.topic: _renamed(lane, b"COLD-", b"LANE-")}


def _renamed(record: Ready, old: bytes, new: bytes) -> Ready:
    key, value, headers = record
    swap = {b"c" * 22: b"a" * 22, old: new}

    def renamed(data: bytes) -> bytes:
        for before, after in swap.items():
            data = data.replace(before, after)
        return data

    return renamed(key), renamed(value), [(name, renamed(data)) for name, data in headers]


def copies(record: Ready, count: int) -> Iterator[Ready]:
    """Yield a record with numbers in the place of its mark."""
    key, value, headers = record
    mark = MARK.encode()
    marked = [at for at, (_, data) in enumerate(headers) if mark in data]
    for number in range(count):
        digits = b"%010d" % number
        own = list(headers)
        for at in marked:
            own[at] = (own[at][0], own[at][1].replace(mark, digits))
        yield key.replace(mark, digits), value.replace(mark, digits), own


if __name__ == "__main__":
    raise SystemExit(main())
