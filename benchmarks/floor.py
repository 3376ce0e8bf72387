"""What a paid call cannot go below: bare scripts over the same sockets as the payer, one thing at a time, as far apart as its calls."""

from __future__ import annotations

import time
from collections.abc import Callable
from random import Random

import psycopg
import redis

from ground import Ground
from measuring import Report, percentile

#: Times that each is done, and seconds between two at most: 200 calls/s.
TIMES, APART_S = 300, 0.01
#: Bytes of a row: about an answer's.
ROW = b"x" * 600


def floor(base: Ground, report: Report, chance: Random) -> None:
    """Take down the milliseconds of one durable commit of one row, of a statement without one, and of one trip of a script."""
    with (
        psycopg.connect(base.urls.postgres, autocommit=True) as opened,
        redis.Redis.from_url(base.urls.redis) as server,
    ):
        opened.execute("CREATE TABLE IF NOT EXISTS bench_floor (row bytea)")
        server_of = opened.pgconn
        server_of.prepare(b"commit", b"INSERT INTO bench_floor VALUES ($1)")
        server_of.prepare(b"question", b"SELECT 1")
        script = server.script_load("return {ARGV[1]}")
        _timed(report, "commit", lambda: server_of.exec_prepared(b"commit", [ROW]), chance)
        _timed(report, "question", lambda: server_of.exec_prepared(b"question", []), chance)
        _timed(report, "script", lambda: server.evalsha(script, 0, "x"), chance)
        opened.execute("DROP TABLE bench_floor")


def _timed(report: Report, key: str, once: Callable[[], object], chance: Random) -> None:
    took_ms = []
    for _ in range(TIMES):
        time.sleep(chance.random() * APART_S)
        begin_s = time.perf_counter()
        once()
        took_ms.append((time.perf_counter() - begin_s) * 1_000)
    for percent in (50, 99):
        report.add("floor", f"{key}_p{percent}_ms", percentile(took_ms, percent))
