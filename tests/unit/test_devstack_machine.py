"""What the embedded stack asks of the machine: ports, memory, disk, folders, its state file and its settings."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import pytest

import waiting
from vigimesh.app.config.located import located
from vigimesh.app.devstack import aot, kafka, preflight, registry
from vigimesh.app.devstack.parts import Parts
from vigimesh.app.devstack.plan import Plan
from vigimesh.app.devstack.preflight import Room, check_room, container_memory_left, open_the_way
from vigimesh.app.devstack.service import Command, Service
from vigimesh.app.devstack.slot import Slot, last_cause, stop_all
from vigimesh.app.devstack.sockets import SOCKET_PATH_MAX_BYTES, fixed_port, free_ports, socket_folder
from vigimesh.app.devstack.state import Owned, Stack, StackUrls, read_state, state_path, write_state
from vigimesh.app.mesh.run import found_on
from vigimesh.errors import Misconfigured, Transient

PLENTY = Room(memory_bytes=8_000_000_000, disk_bytes=80_000_000_000, disk_at="here")

#: What the command line of a stack's keeper holds.
KEEPER = "vigimesh.app.devstack.keeper"


def plan(folder: Path) -> Plan:
    return Plan(
        data_dir=str(folder),
        sockets_dir=str(folder / "run"),
        java="java",
        classpath=("a.jar", "b.jar"),
        registry_dir="registry",
        postgres_bin="bin",
        valkey_server="valkey-server",
        kafka_port=18001,
        controller_port=18002,
        registry_port=18003,
        management_port=18004,
        postgres_user=None,
        versions={"kafka": "4.4.0"},
        attached=True,
        lasting=False,
        java_options=dict.fromkeys(("kafka", "once"), ("-XX:AOTCache=kafka.aot",)),
    )


def state(folder: Path) -> Stack:
    return Stack(
        urls=plan(folder).urls(),
        data_dir=folder,
        processes={"keeper": Owned.of(os.getpid())},
        versions={"kafka": "4.4.0"},
        started_at_s=1.5,
        attached=True,
    )


@pytest.mark.enable_socket
def test_a_taken_port_is_refused_and_named() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(Misconfigured) as refused:
            fixed_port(port, "Kafka")
    assert refused.value.code == "VM-1204"
    assert str(port) in refused.value.what
    assert "Kafka" in refused.value.where
    assert fixed_port(port, "Kafka") == port


@pytest.mark.enable_socket
@pytest.mark.parametrize("port", [-1, 65_536])
def test_what_is_no_port_is_refused(port: int) -> None:
    with pytest.raises(Misconfigured, match="is not a port"):
        fixed_port(port, "Kafka")


@pytest.mark.enable_socket
def test_ports_of_the_last_start_are_used_again_unless_taken() -> None:
    last = free_ports(3)
    assert len(set(last)) == 3
    assert free_ports(3, preferred=last) == last
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", last[0]))
        taken.listen()
        assert last[0] not in free_ports(3, preferred=last)


@pytest.mark.parametrize(
    ("room", "code", "figure"),
    [
        (replace(PLENTY, memory_bytes=300_000_000), "VM-1206", "300 MB"),
        (replace(PLENTY, disk_bytes=900_000_000), "VM-1207", "900 MB"),
    ],
)
def test_too_little_room_is_said_with_both_figures(room: Room, code: str, figure: str) -> None:
    with pytest.raises(Misconfigured) as refused:
        check_room(room)
    assert refused.value.code == code
    assert figure in refused.value.what
    assert "needs" in refused.value.what
    check_room(PLENTY)


def test_the_first_start_needs_room_for_its_downloads() -> None:
    room = replace(PLENTY, disk_bytes=preflight.DISK_MIN_BYTES + 100)
    check_room(room, download_bytes=100)
    with pytest.raises(Misconfigured, match="VM-1207"):
        check_room(room, download_bytes=101)


def test_a_container_limit_counts_without_its_file_cache(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("1000\n", encoding="ascii")
    (tmp_path / "memory.current").write_text("700\n", encoding="ascii")
    (tmp_path / "memory.stat").write_text("anon 500\ninactive_file 150\nactive_file 50\n", encoding="ascii")
    assert container_memory_left(tmp_path) == 500
    (tmp_path / "memory.max").write_text("max\n", encoding="ascii")
    assert container_memory_left(tmp_path) is None
    assert container_memory_left(tmp_path / "absent") is None


def test_a_data_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"")
    with pytest.raises(Misconfigured) as refused:
        preflight.make_data_dir(file / "data")
    assert refused.value.code == "VM-1205"
    assert str(file / "data") in refused.value.where


def test_only_the_search_bit_is_added_and_only_where_it_is_missing(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    (closed / "open").mkdir(parents=True)
    closed.chmod(0o700)
    (closed / "open").chmod(0o755)
    changed = open_the_way(closed / "open" / "data")
    assert closed in changed
    assert closed / "open" not in changed
    assert closed.stat().st_mode & 0o777 == 0o711


def test_a_long_data_folder_gets_a_short_folder_for_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory(prefix="vm-") as short_name:
        base = Path(short_name)
        monkeypatch.setattr("tempfile.tempdir", short_name)
        near, deep = base / "d", base / ("x" * SOCKET_PATH_MAX_BYTES)
        near.mkdir()
        deep.mkdir()
        assert socket_folder(near) == near / "run"
        short = socket_folder(deep)
        assert short.parent == base
        assert short == socket_folder(deep)
        assert short != socket_folder(deep / "other")


def test_no_short_enough_folder_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / ("x" * SOCKET_PATH_MAX_BYTES)
    monkeypatch.setattr("tempfile.tempdir", str(deep))
    with pytest.raises(Misconfigured, match="TMPDIR"):
        socket_folder(deep)


def test_state_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_state(state(tmp_path))
    assert read_state(tmp_path) == state(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"urls": {}}', b"\xff", b" " * 300_000])
def test_a_state_file_that_is_none_counts_as_absent(tmp_path: Path, content: bytes) -> None:
    state_path(tmp_path).write_bytes(content)
    assert read_state(tmp_path) is None


@pytest.mark.enable_socket
def test_a_stack_that_runs_and_does_not_answer_is_not_taken_for_none(tmp_path: Path) -> None:
    code = "import sys; print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code, KEEPER], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as keeper:
        assert keeper.stdout is not None
        keeper.stdout.readline()
        write_state(replace(state(tmp_path), processes={"keeper": Owned.of(keeper.pid)}))
        with pytest.raises(Transient, match="VM-1612"):
            located({}, tmp_path)
        with pytest.raises(Transient, match="VM-1612"):
            found_on(tmp_path)
        keeper.communicate()
    with pytest.raises(Misconfigured, match="VM-1705"):
        located({}, tmp_path)
    with pytest.raises(Misconfigured, match="VM-1102"):
        found_on(tmp_path)


def test_a_process_number_used_again_is_not_taken_for_ours() -> None:
    own = Owned.of(os.getpid())
    assert own.alive()
    assert not replace(own, created_s=own.created_s - 60).alive()


def test_a_plan_crosses_a_pipe_unchanged(tmp_path: Path) -> None:
    line = plan(tmp_path).to_json()
    assert "\n" not in line
    assert Plan.from_json(line) == plan(tmp_path)


def test_urls_survive_a_folder_with_a_space(tmp_path: Path) -> None:
    urls: StackUrls = plan(tmp_path / "a b").urls()
    assert " " not in "".join((urls.postgres, urls.redis, urls.objects))


def test_kafka_listens_on_loopback_only_and_keeps_what_nobody_archived(tmp_path: Path) -> None:
    settings = kafka.properties(plan(tmp_path))
    assert settings["listeners"].count("127.0.0.1:") == 2
    assert settings["auto.create.topics.enable"] == "false"
    assert settings["log.retention.ms"] == "-1"
    assert settings["offsets.retention.minutes"] == "2147483647"
    assert settings["transaction.abort.timed.out.transaction.cleanup.interval.ms"] == "1000"
    assert settings["message.max.bytes"] == settings["replica.fetch.max.bytes"] == "4194304"


def test_a_cluster_id_is_no_option() -> None:
    ids = {kafka.new_cluster_id() for _ in range(300)}
    assert len(ids) == 300
    assert all(len(each) == 22 and not each.startswith("-") for each in ids)


def test_kafka_and_registry_start_with_their_caches_and_without(tmp_path: Path) -> None:
    made = plan(tmp_path)
    cached = kafka.service(made)
    commands = [one.argv for one in (cached.command, cached.prepare, cached.repair) if one is not None]
    assert all("-XX:AOTCache=kafka.aot" in words for words in commands)
    # The runtime leaves a cache alone that was made with something else opened.
    assert (
        len({tuple(word for word in words if word.startswith(("--enable", "--sun"))) for words in commands})
        == 1
    )
    for service in (kafka.service(replace(made, java_options={})), registry.service(made)):
        assert not [word for word in service.command.argv if "AOT" in word]


def parts(folder: Path) -> Parts:
    jars = [folder / name for name in ("a.jar", "quarkus-run.jar")]
    for jar in jars:
        jar.write_bytes(b"jar")
    return Parts(
        java=Path("java"), classpath=(jars[0],), registry_dir=folder, postgres_bin=Path("bin"),
        valkey_server=Path("valkey-server"), versions={},
    )  # fmt: skip


def test_a_cache_is_used_by_the_jars_it_was_made_of_only(tmp_path: Path) -> None:
    found = parts(tmp_path)
    assert aot.options(found, tmp_path) == {}
    made = {name: aot.cache_file(name, found, tmp_path) for name in aot.NAMES}
    for file in made.values():
        file.touch()
    told = {name: (f"-XX:AOTCache={file}",) for name, file in made.items()}
    assert aot.options(found, tmp_path) == {**told, "once": told["kafka"]}
    os.utime(tmp_path / "a.jar", (1, 1))
    assert aot.options(found, tmp_path) == {"registry": told["registry"]}


@pytest.mark.parametrize(("by_force", "said"), [(False, "stopped\n"), (True, "")])
def test_what_is_thrown_away_need_not_stop_in_its_own_way(tmp_path: Path, by_force: bool, said: str) -> None:
    log = tmp_path / "log"
    code = "trap 'echo stopped; exit 0' TERM; touch up; while :; do read -t 0.05 line <> fifo; done"
    os.mkfifo(tmp_path / "fifo")
    slot = Slot(
        Service(
            name="valkey", command=Command(argv=("bash", "-c", code), folder=tmp_path),
            answers=(tmp_path / "up").exists, log=log,
        )
    )  # fmt: skip
    waiting.until(slot.advance, what="the service")
    stop_all([slot], by_force=by_force)
    assert slot.gone_within(0)
    assert log.read_text(encoding="utf-8") == said


def test_the_cause_of_an_end_is_found_in_its_log(tmp_path: Path) -> None:
    log = tmp_path / "some.log"
    assert "no log" in last_cause(log)
    log.write_text("starting\nFATAL:  the disk is full\nbye\n", encoding="utf-8")
    assert last_cause(log) == "FATAL:  the disk is full"
    # What a client writes names one cause only; the worker's own word comes last and counts.
    log.write_text(
        "%0|1.2|FATAL|a| fenced by a newer instance\nvigimesh.a: VM-1303 too slow, or another\nbye\n",
        encoding="utf-8",
    )
    assert last_cause(log) == "vigimesh.a: VM-1303 too slow, or another"
    # A process that came later, and was killed before it said anything, did not end of what the one before said.
    assert last_cause(log, log.stat().st_size) == "nothing was written to its log"


def test_a_broker_was_killed_when_it_left_no_mark_of_a_clean_stop(tmp_path: Path) -> None:
    assert not kafka.was_killed(tmp_path)
    (tmp_path / "recovery-point-offset-checkpoint").touch()
    assert kafka.was_killed(tmp_path)
    (tmp_path / ".kafka_cleanshutdown").touch()
    assert not kafka.was_killed(tmp_path)


def test_a_fencing_is_done_when_something_was_written_after_it_was_said(tmp_path: Path) -> None:
    log, records = tmp_path / "kafka.log", tmp_path / "0.log"
    log.write_text("Fencing broker 1, said by an earlier run\n")
    records.write_bytes(b"...")
    fencing = kafka.Fencing(log, tmp_path / "metadata")
    (tmp_path / "metadata").mkdir()
    records = records.rename(tmp_path / "metadata" / "0.log")
    fencing.begin()
    assert not fencing.done()
    with log.open("a") as out:
        out.write("Activated periodic tasks: maybeFenceStaleBroker\nFencing broker 1 at epoch 7\n")
    assert not fencing.done()
    assert not fencing.done()
    records.write_bytes(b"....")
    assert fencing.done()
