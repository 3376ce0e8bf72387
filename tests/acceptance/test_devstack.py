"""The embedded stack, really started: it answers, is closed to the outside, is found again, and leaves no orphan."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

import psutil
import pytest

from vigimesh.app.devstack import Stack, Wishes, all_pids, down, status, up
from vigimesh.app.devstack.fetch import obtain
from vigimesh.app.devstack.parts import find_parts
from vigimesh.app.devstack.pins import load_lock
from vigimesh.app.devstack.progress import Silent
from vigimesh.app.devstack.state import Owned, default_store, read_state
from vigimesh.errors import Broken, Misconfigured
from waiting import WAIT_S, until

pytestmark = pytest.mark.real

#: Seconds for a stack to start on a machine busy with other tests, and for its processes to be gone.
START_S = 90.0
GONE_S = 20.0

#: Holds an attached stack and waits; its death, however it comes, must end the stack.
HOLDER = """
import sys, signal
from pathlib import Path
from vigimesh.app.devstack import up
# A shell that starts the tests in the background has Ctrl-C ignored, and children inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)
with up(Path(sys.argv[1]), attached=True):
    print("up", flush=True)
    signal.pause()
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Name an own data folder, with a path short enough for sockets; whatever runs there is stopped at the end."""
    path = Path(tempfile.mkdtemp(prefix="vigimesh-test-"))
    try:
        yield path
    finally:
        down(path)
        shutil.rmtree(path, ignore_errors=True)


def identities(stack: Stack) -> list[Owned]:
    """Return the stack's processes as they are now; one of PostgreSQL's own may end while they are listed."""
    found: list[Owned] = []
    for pid in all_pids(stack):
        with suppress(psutil.NoSuchProcess):
            found.append(Owned.of(pid))
    return found


def all_gone(processes: list[Owned]) -> bool:
    return not any(process.alive() for process in processes)


def register(stack: Stack, subject: str, schema: str) -> int:
    from confluent_kafka.schema_registry import Schema, SchemaRegistryClient

    with SchemaRegistryClient({"url": stack.urls.registry}) as client:
        return int(client.register_schema(subject, Schema(schema, "AVRO")))


def start_holder(folder: Path) -> subprocess.Popen[bytes]:
    import vigimesh

    path = str(Path(vigimesh.__file__).parent.parent)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"up\n"
    return holder


def test_every_part_answers(stack: Stack) -> None:
    import psycopg
    import redis
    from confluent_kafka.admin import AdminClient

    admin = AdminClient({"bootstrap.servers": stack.urls.kafka})
    assert len(admin.list_topics(timeout=WAIT_S).brokers) == 1
    assert register(stack, "devstack.answers-value", '{"type": "string"}') > 0
    with psycopg.connect(stack.urls.postgres) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
        assert connection.execute("SELECT '[1,2]'::vector <-> '[1,4]'::vector").fetchone() == (2.0,)
    client = redis.Redis.from_url(stack.urls.redis)
    assert client.ping()
    assert client.config_get("appendonly") == {"appendonly": "yes"}
    client.close()
    assert Path(unquote(urlsplit(stack.urls.objects).path)).is_dir()


def test_nothing_listens_beyond_loopback(stack: Stack) -> None:
    listening = [
        (owned.pid, connection.laddr.ip)
        for owned in stack.processes.values()
        for connection in psutil.Process(owned.pid).net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    # Kafka's two listeners and the registry's two; Java writes an IPv4 address in IPv6 form.
    assert len(listening) == 4
    assert {address.removeprefix("::ffff:") for _, address in listening} == {"127.0.0.1"}


def mode_of(path: Path) -> int:
    """Return what kind of file it is and who may use it, 0 when it is gone: the servers make and remove some all the time."""
    try:
        return path.lstat().st_mode
    except FileNotFoundError:
        return 0


def readable(top: Path) -> Iterator[str]:
    """Yield the files below a folder that others may read."""
    for folder, inner, files in os.walk(top):
        # Nobody passes through a folder that is closed to him.
        inner[:] = [name for name in inner if mode_of(Path(folder, name)) & 0o001]
        for path in (Path(folder, name) for name in files):
            mode = mode_of(path)
            if stat.S_ISREG(mode) and mode & 0o004:
                yield str(path.relative_to(top))


def test_others_cannot_read_the_data(stack: Stack) -> None:
    guarded = ("postgres/data", "kafka/logs", "registry", "valkey", "objects", "run/pg")
    assert [path for path in readable(stack.data_dir) if path.startswith(guarded)] == []


def test_a_second_start_finds_the_first_and_does_not_end_it(stack: Stack) -> None:
    with up(stack.data_dir, attached=True) as second:
        assert second.found
        assert second.pids == stack.pids
        assert second.urls == stack.urls
    still = status(stack.data_dir)
    assert still is not None
    assert still.pids == stack.pids


def renewed(stack: Stack, name: str) -> Stack:
    """Kill a part; return the stack once it is there again."""
    old = stack.processes[name]
    os.kill(old.pid, signal.SIGKILL)

    def again() -> tuple[Stack, ...]:
        found = status(stack.data_dir)
        return (found,) if found is not None and found.pids[name] not in (0, old.pid) else ()

    (found,) = until(again, within_s=START_S, what=f"a stack with a new {name}")
    return found


def test_a_killed_service_is_started_again(stack: Stack) -> None:
    found = renewed(stack, "valkey")
    assert found.urls == stack.urls
    assert found.pids["kafka"] == stack.pids["kafka"]


def test_a_killed_broker_is_fenced_before_its_successor_starts(stack: Stack) -> None:
    """Else transactions end in some of their partitions only: docs/decisions/0027."""
    log = stack.data_dir / "logs" / "kafka.log"
    before = log.stat().st_size
    found = renewed(stack, "kafka")
    assert found.urls == stack.urls
    said = log.read_text(encoding="utf-8")[before:]
    alone, _, successor = said.partition("Fencing broker 1 at epoch")
    assert "Performing controller activation" in alone
    assert "Performing controller activation" in successor
    assert "Fencing broker" not in successor


def test_a_restart_keeps_schemas_rows_keys_and_topics_and_a_kill_leaves_no_orphan(folder: Path) -> None:
    import psycopg
    import redis
    from confluent_kafka.admin import AdminClient
    from confluent_kafka.cimpl import NewTopic

    holder = start_holder(folder)
    first = status(folder)
    assert first is not None
    processes = identities(first)
    admin = AdminClient({"bootstrap.servers": first.urls.kafka, "log_level": 2})
    admin.create_topics([NewTopic("kept", 3)])["kept"].result(30)
    ids = [register(first, f"s{n}-value", f'{{"type": "fixed", "name": "F", "size": {n}}}') for n in (1, 2)]
    with psycopg.connect(first.urls.postgres) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
    client = redis.Redis.from_url(first.urls.redis)
    client.set("kept", "7")
    client.close()
    # The append-only file is synced every second: wait until the write is on disk, as a killed server would need.
    until(
        lambda: any(b"kept" in part.read_bytes() for part in (folder / "valkey").rglob("*.aof")),
        what="the key in Valkey's append-only file",
    )

    holder.kill()
    holder.communicate(timeout=10)
    until(lambda: all_gone(processes), within_s=GONE_S, what="the end of every process of a killed parent")
    assert read_state(folder) is None

    with up(folder, attached=True) as second:
        processes = identities(second)
        assert not second.found
        assert second.urls == first.urls
        topics = AdminClient({"bootstrap.servers": second.urls.kafka}).list_topics(timeout=WAIT_S).topics
        assert len(topics["kept"].partitions) == 3
        again = [
            register(second, f"s{n}-value", f'{{"type": "fixed", "name": "F", "size": {n}}}') for n in (1, 2)
        ]
        assert again == ids
        with psycopg.connect(second.urls.postgres) as connection:
            assert connection.execute("SELECT n FROM kept").fetchone() == (7,)
        client = redis.Redis.from_url(second.urls.redis)
        assert client.get("kept") == b"7"
        client.close()
    assert all_gone(processes)


def test_a_killed_keeper_leaves_no_orphan_and_its_folder_starts_again(folder: Path) -> None:
    """Also with other ports than those of the last start, which Kafka's quorum remembers."""
    detached = up(folder, attached=False).stack
    processes = identities(detached)
    os.kill(detached.pids["keeper"], signal.SIGKILL)
    until(lambda: all_gone(processes), within_s=GONE_S, what="the end of every service of a killed keeper")
    assert status(folder) is None
    (folder / "ports").unlink()
    with up(folder, attached=True) as again:
        assert again.urls.kafka != detached.urls.kafka
        assert not again.found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signalled_parent_leaves_no_orphan_even_while_starting(
    folder: Path, number: signal.Signals
) -> None:
    import vigimesh

    path = str(Path(vigimesh.__file__).parent.parent)
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": path},
    )
    family = until(
        lambda: found if len(found := psutil.Process(holder.pid).children(recursive=True)) > 2 else [],
        within_s=START_S,
        what="a keeper with services",
    )
    processes = [Owned(pid=child.pid, created_s=child.create_time()) for child in family]
    holder.send_signal(number)
    holder.wait(GONE_S)
    until(lambda: all_gone(processes), within_s=GONE_S, what="the end of every process of a signalled parent")
    with up(folder, attached=True) as again:
        assert not again.found


def test_a_detached_stack_runs_until_it_is_stopped(folder: Path) -> None:
    from typer.testing import CliRunner

    from vigimesh.app.commands.stack import NOT_RUNNING, app

    run = CliRunner()
    assert run.invoke(app, ["status", "--data", str(folder)]).exit_code == NOT_RUNNING
    started = run.invoke(app, ["up", "--data", str(folder), "--json"])
    assert started.exit_code == 0, started.output
    running = status(folder)
    assert running is not None
    assert not running.attached
    processes = identities(running)
    shown = run.invoke(app, ["status", "--data", str(folder)])
    assert running.urls.kafka in shown.output
    assert run.invoke(app, ["down", "--data", str(folder)]).exit_code == 0
    assert all_gone(processes)
    assert read_state(folder) is None
    again = run.invoke(app, ["down", "--data", str(folder), "--json"])
    assert (again.exit_code, again.output) == (0, '{"stopped": false}\n')


def test_a_port_taken_by_another_program_is_refused_before_anything_starts(
    stack: Stack, folder: Path
) -> None:
    taken = int(stack.urls.kafka.rpartition(":")[2])
    with pytest.raises(Misconfigured) as refused:
        up(folder, attached=True, wishes=Wishes(kafka_port=taken))
    assert refused.value.code == "VM-1204"
    assert str(taken) in refused.value.what
    assert not (folder / "logs").exists()


def test_a_tampered_jar_is_refused(stack: Stack, tmp_path: Path) -> None:
    """In a store of its own: the session's stack uses the user's."""
    del stack  # its start has filled the user's store
    pins = load_lock()
    for pin, path in obtain(pins, default_store(), progress=Silent()).items():
        shutil.copyfile(path, tmp_path / pin.filename)
    victim = tmp_path / next(pin for pin in pins if pin.artifact == "kafka-clients").filename
    with victim.open("r+b") as jar:
        jar.seek(1000)
        jar.write(b"tampered")
    with pytest.raises(Broken) as refused:
        find_parts(tmp_path, progress=Silent())
    assert refused.value.code == "VM-1202"
    assert str(victim) in refused.value.where
    victim.unlink()
    shutil.copyfile(default_store() / victim.name, victim)
    assert victim in find_parts(tmp_path, progress=Silent()).classpath
