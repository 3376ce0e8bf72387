"""The command line: quick, one JSON object where asked for, one clear line and a documented status when it fails."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from vigimesh.app import cli, exits, lazy
from vigimesh.app.exits import EXITS, exit_status_of, exits_table
from vigimesh.app.mesh.arrivals import Reports
from vigimesh.app.mesh.prepare import Prepared
from vigimesh.errors import Broken, Fenced, Misconfigured, Refused, Transient, VigimeshError, explanations

ROOT = Path(__file__).resolve().parents[2]
SERVICES = str(Path(exits.__file__).parents[2])

#: Modules that no listing of commands may import: each takes longer than everything else together.
HEAVY = (
    "confluent_kafka",
    "fastavro",
    "lxml",
    "psycopg",
    "opentelemetry",
    "rich",
    "httpx2",
    "obstore",
    "cel",
)


def vigimesh(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own, without settings from outside."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("VIGIMESH_")}
    return subprocess.run(
        [sys.executable, "-m", "vigimesh", *arguments],
        env={**inherited, "PYTHONPATH": SERVICES, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_the_listing_names_every_command() -> None:
    done = vigimesh("--help")
    assert done.returncode == 0
    for name in (
        "demo",
        "run",
        "dev",
        "worker",
        "controller",
        "resumer",
        "librarian",
        "batcher",
        "batches",
        "prepare",
        "lag",
        "standin",
        "explain",
        *lazy.LAZY,
    ):
        assert f"\n  {name} " in done.stdout
    # A line that is cut off tells nothing.
    assert "..." not in done.stdout.partition("Commands:")[2]


def test_the_listing_imports_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from vigimesh.app.cli import app\n"
        "try:\n    app(args=['--help'], prog_name='vigimesh')\n"
        "except SystemExit:\n    pass\n"
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": SERVICES},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr.strip() == "[]"


@pytest.mark.parametrize("name", lazy.LAZY)
def test_every_command_of_the_listing_is_there(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["vigimesh", name, "--help"])
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert f"Usage: vigimesh {name}" in said
    # Lines that are cut off tell nothing, and only the whole command line could be completed by a shell.
    assert "..." not in said.partition("Commands:")[2]
    assert "completion" not in said


def test_the_version_is_shown() -> None:
    done = vigimesh("--version")
    assert done.returncode == 0
    assert done.stdout.startswith("vigimesh ")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["rnu"], "Did you mean 'run'"),
        (["worker", "ruter"], "Did you mean 'router'"),
        (["worker", "planner", "--lane", "hott"], "Did you mean 'hot'"),
        (["worker", "router", "--lane", "hot"], "router has no lanes"),
        (["run"], "--from"),
        (["run", "--from", "x", "--limit", "0"], "--limit"),
        (["case", "list", "--lane", "hott"], "Did you mean 'hot'"),
        (["case", "list", "--outcome", "in_revew"], "Did you mean 'in_review'"),
        (["stack", "up", "--kafka-port", "70000"], "--kafka-port"),
    ],
)
def test_wrong_arguments_are_status_2_and_say_what_is_right(arguments: list[str], says: str) -> None:
    done = vigimesh(*arguments)
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stdout == ""


def test_a_wrong_setting_is_one_line_with_what_to_do() -> None:
    done = vigimesh("config", "show", VIGIMESH_KAFKA_BOTSTRAP="x:1")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("vigimesh: VM-1101 there is no setting VIGIMESH_KAFKA_BOTSTRAP")
    assert "VIGIMESH_KAFKA_BOOTSTRAP" in line
    assert "; do: " in line


def test_an_error_is_json_too_where_json_is_asked_for() -> None:
    done = vigimesh("config", "show", "--json", VIGIMESH_HEALTH_PORT="x")
    assert done.returncode == 2
    error = json.loads(done.stdout)["error"]
    assert error["code"] == "VM-1102"
    assert error["kind"] == "misconfigured"
    assert "VIGIMESH_HEALTH_PORT" in error["what"]


def test_an_object_is_json_whatever_encoding_standard_output_has() -> None:
    name = {"VIGIMESH_LARGE_MODEL__NAME": "模型-é"}
    done = vigimesh("config", "show", "--json", PYTHONIOENCODING="latin-1", **name)
    assert json.loads(done.stdout)["large_model.name"]["value"] == "模型-é"


@pytest.mark.parametrize(
    "arguments",
    [
        ("topics", "check"),
        ("schemas", "register"),
        ("prepare",),
        ("cards", "show", "x", "--cards", "/nowhere"),
    ],
)
def test_every_command_fails_in_the_same_way(arguments: tuple[str, ...], tmp_path: Path) -> None:
    done = vigimesh(*arguments, "--json", XDG_DATA_HOME=str(tmp_path))
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("vigimesh: VM-1")
    assert json.loads(done.stdout)["error"]["code"] in line


@pytest.mark.parametrize("named_by", ["--cards", "VIGIMESH_CARDS"])
def test_a_wrong_card_is_told_before_anything_is_started(tmp_path: Path, named_by: str) -> None:
    (tmp_path / "mine.toml").write_text("extends = 'triage'\nlatency_tolerence_s = 5\n")
    (tmp_path / "cases.jsonl").touch()
    option = ("--cards", str(tmp_path)) if named_by == "--cards" else ()
    variable = {} if named_by == "--cards" else {named_by: str(tmp_path)}
    done = vigimesh("run", "--from", str(tmp_path / "cases.jsonl"), *option, **variable)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("vigimesh: VM-1103")
    assert "latency_tolerance_s" in line


def test_what_was_prepared_is_said_and_a_difference_is_status_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    addresses = {
        "KAFKA_BOOTSTRAP": "h:1",
        "REGISTRY_URL": "http://h:1",
        "POSTGRES_DSN": "postgresql://h/x",
        "OBJECTS_URL": "file:///x",
    }
    for name, value in addresses.items():
        monkeypatch.setenv(f"VIGIMESH_{name}", value)
    drift: tuple[str, ...] = ()
    monkeypatch.setattr(cli, "load", lambda _: lambda _: Prepared(cards="mine", drift=drift))

    def prepare(*options: str) -> int:
        monkeypatch.setattr(sys, "argv", ["vigimesh", "prepare", *options])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        assert isinstance(ended.value.code, int)
        return ended.value.code

    assert prepare() == 0
    assert "cards in force: mine" in capsys.readouterr().out
    drift = ("vigimesh.audit: partitions is 4, wanted 12",)
    assert prepare() == exits.NOT_HELD
    said = capsys.readouterr().out
    assert "VM-1007 vigimesh.audit: partitions is 4, wanted 12\n" in said
    assert "topics, groups" not in said, "they are not in place"
    assert prepare("--json") == exits.NOT_HELD
    assert json.loads(capsys.readouterr().out) == {"ready": False, "cards": "mine", "drift": list(drift)}


def test_a_worker_without_addresses_says_which(tmp_path: Path) -> None:
    done = vigimesh("worker", "router", XDG_DATA_HOME=str(tmp_path))
    assert done.returncode == 2
    assert "VIGIMESH_KAFKA_BOOTSTRAP" in done.stderr
    assert "VIGIMESH_INSTANCE" in done.stderr


def test_a_folder_without_a_stack_is_named(tmp_path: Path) -> None:
    done = vigimesh("config", "show", "--data", str(tmp_path))
    assert done.returncode == 2
    assert "VM-1705" in done.stderr
    assert str(tmp_path) in done.stderr


@pytest.mark.parametrize("given", ["VM-1203", "vm-1203", "1203"])
def test_a_code_is_explained(given: str) -> None:
    done = vigimesh("explain", given)
    assert done.returncode == 0
    title, text = explanations()["VM-1203"]
    assert done.stdout == f"VM-1203: {title}\n\n{text}\n"


def test_an_unknown_code_gives_the_nearest() -> None:
    done = vigimesh("explain", "VM-12003")
    assert done.returncode == exits.REFUSED
    assert "VM-1203" in done.stderr or "VM-1200" in done.stderr


def test_a_word_that_is_no_code_gives_none() -> None:
    assert "nearest" not in vigimesh("explain", "foo").stderr


def test_all_codes_are_listed() -> None:
    done = vigimesh("explain")
    assert [line.split()[0] for line in done.stdout.splitlines()] == sorted(explanations())


@pytest.mark.parametrize(
    ("kind", "status"), [(Misconfigured, 2), (Refused, 3), (Transient, 4), (Broken, 5), (Fenced, 5)]
)
def test_each_kind_of_error_has_its_status(kind: type[VigimeshError], status: int) -> None:
    assert exit_status_of(kind("VM-1301", what="x")) == status
    assert status in {one.status for one in EXITS}


def end_of(monkeypatch: pytest.MonkeyPatch, outcome: BaseException, *arguments: str) -> int:
    """Run `main` with a command that ends in an exception; return the exit status."""

    def end(**_: object) -> None:
        raise outcome

    monkeypatch.setattr(sys, "argv", ["vigimesh", *arguments])
    monkeypatch.setattr(cli, "load", lambda _: end)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


def test_an_interrupt_is_130(monkeypatch: pytest.MonkeyPatch) -> None:
    assert end_of(monkeypatch, KeyboardInterrupt(), "demo") == exits.INTERRUPTED


def test_a_broker_that_is_away_is_4_and_has_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    away = Transient("VM-1301", what="the broker\ndoes not answer", where="h:1", todo="look")
    assert end_of(monkeypatch, away, "demo") == exits.TRANSIENT
    output = capsys.readouterr()
    assert output.err == "vigimesh: VM-1301 the broker does not answer (h:1); do: look\n"
    assert output.out == ""


def test_a_defect_is_5_with_its_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert end_of(monkeypatch, ZeroDivisionError("x"), "demo") == exits.BROKEN
    assert "Traceback" in capsys.readouterr().err


def test_the_engine_is_given_what_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, object] = {}

    def engine(reports: Reports, **options: object) -> int:
        given.update(options, reports=reports)
        return 1

    monkeypatch.setattr(
        sys,
        "argv",
        [
            "vigimesh",
            "run",
            "--from",
            "cases",
            "--limit",
            "5",
            "--by-day",
            "--cards",
            "c",
            "--json",
            "--data",
            "d",
        ],
    )
    monkeypatch.setattr(cli, "load", lambda _: engine)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == exits.NOT_HELD
    assert given == {
        "reports": Reports(source=Path("cases"), limit=5, by_day=True),
        "cards": Path("c"),
        "as_json": True,
        "stack": None,
        "data": Path("d"),
    }


def test_the_guide_holds_the_table_of_statuses() -> None:
    guide = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    assert exits_table() in guide
    for name in (
        "demo",
        "run",
        "dev",
        "worker",
        "controller",
        "resumer",
        "librarian",
        "prepare",
        "lag",
        "standin",
        "explain",
        *lazy.LAZY,
    ):
        assert f"`vigimesh {name} " in guide
