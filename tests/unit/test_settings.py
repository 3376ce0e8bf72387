"""The tree of settings: read once, refuses what it does not know, gives itself to a child, hides its secrets."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from vigimesh.app.commands.config import app, settings_document
from vigimesh.app.config.setting import MASK, mask_options, mask_url, read_options, write_options
from vigimesh.app.config.settings import (
    ADDRESSES,
    Located,
    Settings,
    names_cluster,
    read_settings,
    rows,
    to_environ,
    without_settings,
)
from vigimesh.app.devstack.state import StackUrls
from vigimesh.errors import Misconfigured

ROOT = Path(__file__).resolve().parents[2]

REGISTRY = "http://127.0.0.1:8081/apis/ccompat/v7"
URLS = StackUrls(
    kafka="127.0.0.1:9092",
    registry=REGISTRY,
    postgres="postgresql://postgres@/vigimesh?host=%2Fsockets",
    redis="unix:///sockets/valkey.sock",
    objects="file:///data/objects",
)

#: A value of every variable, unlike its default.
EVERY = {
    "VIGIMESH_KAFKA_BOOTSTRAP": "a.example:9092,[::1]:9093",
    "VIGIMESH_KAFKA_OPTIONS": "security.protocol=SASL_SSL;sasl.password=a;;b=c",
    "VIGIMESH_REGISTRY_URL": "https://registry.example",
    "VIGIMESH_REGISTRY_USER": "reader",
    "VIGIMESH_REGISTRY_PASSWORD": "hidden-1",
    "VIGIMESH_POSTGRES_DSN": "postgresql://me:hidden-2@db.example/vigimesh",
    "VIGIMESH_REDIS_URL": "rediss://me:hidden-3@cache.example:6380/1",
    "VIGIMESH_CACHE__URL": "rediss://me:hidden-5@answers.example:6380/2",
    "VIGIMESH_OBJECTS_URL": "s3://bucket/prefix",
    "VIGIMESH_OTLP_ENDPOINT": "http://collector.example:4318",
    "VIGIMESH_LARGE_MODEL__BASE_URL": "https://models.example/v1",
    "VIGIMESH_LARGE_MODEL__NAME": "large-1",
    "VIGIMESH_LARGE_MODEL__FALLBACKS": "large-2,large-3",
    "VIGIMESH_LARGE_MODEL__KEY": "hidden-4",
    "VIGIMESH_LARGE_MODEL__DEADLINE_S": "30",
    "VIGIMESH_LARGE_MODEL__CALLS_PER_MINUTE": "600",
    "VIGIMESH_LARGE_MODEL__LIMIT_FIELD": "max_completion_tokens",
    "VIGIMESH_LARGE_MODEL__PRICES": "prices.toml",
    "VIGIMESH_SMALL_MODEL__BASE_URL": "https://small.example/v1",
    "VIGIMESH_SMALL_MODEL__FOLDER": "small-models",
    "VIGIMESH_SMALL_MODEL__NAME": "small-1",
    "VIGIMESH_SMALL_MODEL__KEY": "hidden-6",
    "VIGIMESH_SMALL_MODEL__DEADLINE_S": "7",
    "VIGIMESH_SMALL_MODEL__SETTLES_BELOW": "3",
    "VIGIMESH_SMALL_MODEL__LIMIT_FIELD": "max_completion_tokens",
    "VIGIMESH_TOOLS__SERVERS": "servers.toml",
    "VIGIMESH_TOOLS__DEADLINE_S": "20",
    "VIGIMESH_EMBEDDINGS__MODEL": "endpoint",
    "VIGIMESH_EMBEDDINGS__BASE_URL": "https://models.example/v1",
    "VIGIMESH_EMBEDDINGS__NAME": "embed-1",
    "VIGIMESH_EMBEDDINGS__KEY": "hidden-5",
    "VIGIMESH_EMBEDDINGS__DIMENSIONS": "768",
    "VIGIMESH_EMBEDDINGS__DEADLINE_S": "9",
    "VIGIMESH_INSTANCE": "router.7",
    "VIGIMESH_HEALTH_HOST": "0.0.0.0",
    "VIGIMESH_HEALTH_PORT": "8080",
    "VIGIMESH_PORT_FILE": "run/router.port",
    "VIGIMESH_AUTO_ACCEPT_HOLD": "true",
    "VIGIMESH_GROUP_PROTOCOL": "classic",
    "VIGIMESH_STATIC_MEMBERSHIP": "true",
    "VIGIMESH_DRAIN_S": "45",
    "VIGIMESH_CARDS": "cards.d",
    "VIGIMESH_PARTITIONS": "12",
    "VIGIMESH_REPLICATION": "3",
    "VIGIMESH_TENANT": "acme",
    "VIGIMESH_KNOWLEDGE__PRODUCTS": "my-products",
    "VIGIMESH_KNOWLEDGE__WATCH": "inbox",
    "VIGIMESH_KNOWLEDGE__KEEP_USED_DAYS": "9131",
}


def test_nothing_set_gives_the_defaults() -> None:
    assert read_settings({}) == Settings()
    assert read_settings({"PATH": "/bin", "VIGIMESH_TENANT": "  "}) == Settings()


def test_every_setting_is_read_and_given_to_a_child_as_it_was() -> None:
    settings = read_settings(EVERY)
    assert {row.setting.variable for row in rows(settings)} == set(EVERY)
    defaults = {row.path: row.value for row in rows(Settings())}
    assert [row.path for row in rows(settings) if row.value == defaults[row.path]] == []
    assert to_environ(settings) == EVERY
    assert read_settings(to_environ(settings)) == settings
    assert settings.kafka.options == (("security.protocol", "SASL_SSL"), ("sasl.password", "a;b=c"))
    assert settings.worker.hold is True


def test_each_variable_stands_for_one_setting() -> None:
    variables = [row.setting.variable for row in rows(Settings())]
    assert len(variables) == len(set(variables))
    assert all(re.fullmatch(r"VIGIMESH_[A-Z_]+", name) for name in variables)


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("VIGIMESH_KAFKA_BOOTSTRP", "VIGIMESH_KAFKA_BOOTSTRAP"),
        ("VIGIMESH_POSTGRES_URL", "VIGIMESH_POSTGRES_DSN"),
        ("VIGIMESH_KAFKA", "VIGIMESH_KAFKA_OPTIONS"),
        ("VIGIMESH_X", "VIGIMESH_"),
    ],
)
def test_an_unknown_setting_is_refused_with_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(Misconfigured) as refused:
        read_settings({name: "x"})
    assert refused.value.code == "VM-1101"
    assert name in refused.value.what
    assert nearest in refused.value.what


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("VIGIMESH_KAFKA_BOOTSTRAP", "kafka", "host:port"),
        ("VIGIMESH_KAFKA_BOOTSTRAP", "kafka:70000", "host:port"),
        ("VIGIMESH_KAFKA_BOOTSTRAP", "kafka:9092,", "host:port"),
        ("VIGIMESH_KAFKA_OPTIONS", "security.protocol", "name=value"),
        ("VIGIMESH_KAFKA_OPTIONS", "acks=all;acks=0", "name=value"),
        ("VIGIMESH_REGISTRY_URL", "registry:8081", "http://"),
        ("VIGIMESH_REGISTRY_URL", "http://", "http://"),
        ("VIGIMESH_POSTGRES_DSN", "db.example", "postgresql://"),
        ("VIGIMESH_OBJECTS_URL", "ftp://x/y", "s3://"),
        ("VIGIMESH_HEALTH_PORT", "65536", "from 0 to 65535"),
        ("VIGIMESH_PARTITIONS", "four", "from 1 to 1000"),
        ("VIGIMESH_AUTO_ACCEPT_HOLD", "on", "true or false"),
        ("VIGIMESH_INSTANCE", "a/b", "letters"),
        ("VIGIMESH_TENANT", "a\nb", "letters"),
    ],
)
def test_a_wrong_value_is_refused_with_what_is_expected(name: str, value: str, expected: str) -> None:
    with pytest.raises(Misconfigured) as refused:
        read_settings({name: value})
    assert refused.value.code == "VM-1102"
    assert name in refused.value.what
    assert expected in refused.value.todo


def test_a_refused_secret_is_not_repeated() -> None:
    for name in (
        "VIGIMESH_REGISTRY_PASSWORD",
        "VIGIMESH_POSTGRES_DSN",
        "VIGIMESH_REDIS_URL",
        "VIGIMESH_CACHE__URL",
    ):
        with pytest.raises(Misconfigured) as refused:
            read_settings({name: "hidden\nvalue"})
        assert "hidden" not in str(refused.value)


@given(
    st.lists(
        st.tuples(
            st.from_regex(r"[a-z][a-z.]{0,20}", fullmatch=True),
            st.text(st.characters(codec="ascii", exclude_categories=["Cc"])).map(str.strip),
        ),
        unique_by=lambda pair: pair[0],
        max_size=5,
    )
)
def test_options_are_written_as_they_are_read(pairs: list[tuple[str, str]]) -> None:
    # A value cannot begin or end with the separator's own sign beside another one: `a=;;;b=` has two readings.
    kept = tuple((name, value) for name, value in pairs if ";" not in (value[:1], value[-1:]))
    assert read_options(write_options(kept)) == kept


def test_a_stack_replaces_every_address_and_no_other_setting() -> None:
    base = read_settings(EVERY)
    settings = Settings.for_stack(URLS, base)
    assert tuple(row.text for row in rows(settings) if row.path in ADDRESSES) == (
        URLS.kafka,
        URLS.registry,
        URLS.postgres,
        URLS.redis,
        URLS.objects,
    )
    assert settings.kafka.options == ()
    assert settings.registry.password == ""
    assert (settings.worker, settings.mesh, settings.telemetry) == (base.worker, base.mesh, base.telemetry)
    assert read_settings(to_environ(settings)) == settings


def test_half_a_cluster_counts_as_one() -> None:
    assert not names_cluster(read_settings({"VIGIMESH_TENANT": "acme"}))
    assert names_cluster(read_settings({"VIGIMESH_REDIS_URL": "redis://cache.example"}))
    assert names_cluster(read_settings({"VIGIMESH_KAFKA_OPTIONS": "a=b"}))


def test_what_is_required_is_named() -> None:
    settings = replace(Settings(), kafka=read_settings(EVERY).kafka)
    settings.require("kafka.bootstrap")
    with pytest.raises(Misconfigured, match="VIGIMESH_REGISTRY_URL, VIGIMESH_INSTANCE must be set"):
        settings.require("kafka.bootstrap", "registry.url", "worker.instance")


def test_the_source_of_each_value_is_known() -> None:
    outside = Located(settings=read_settings({"VIGIMESH_TENANT": "acme"}), from_stack=False)
    inside = Located(settings=Settings.for_stack(URLS), from_stack=True)
    origins = {row.path: outside.origin(row) for row in rows(outside.settings)}
    assert origins["mesh.tenant"] == "environment VIGIMESH_TENANT"
    assert origins["kafka.bootstrap"] == "default"
    assert {inside.origin(row) for row in rows(inside.settings) if row.path in ADDRESSES} == {"stack"}


def test_secrets_show_nowhere() -> None:
    settings = read_settings(EVERY)
    shown = repr(settings) + " ".join(row.shown for row in rows(settings))
    assert "hidden" not in shown
    assert "a;b=c" not in shown
    assert "a;;b=c" not in shown
    # What is no secret is still there to be compared.
    assert "registry.example" in shown
    assert "security.protocol=SASL_SSL" in shown


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("postgresql://me:pw@h/db", f"postgresql://me:{MASK}@h/db"),
        ("postgresql://me:p:w@h/db", f"postgresql://me:{MASK}@h/db"),
        ("postgresql://me:p/w@x@h/db", f"postgresql://me:{MASK}@h/db"),
        ("postgresql://me@h/db", "postgresql://me@h/db"),
        ("redis://:pw@h", f"redis://:{MASK}@h"),
        ("postgresql://h/db?user=me&password=pw&sslmode=require", f"postgresql://h/db?user=me&password={MASK}&sslmode=require"),
        ("host=h user=me password='a b' dbname=x", f"host=h user=me password={MASK} dbname=x"),
        ("unix:///sockets/valkey.sock", "unix:///sockets/valkey.sock"),
    ],
)  # fmt: skip
def test_a_connection_is_shown_without_its_password(text: str, masked: str) -> None:
    assert mask_url(text) == masked


@pytest.mark.parametrize(
    "name",
    [
        "sasl.password",
        "ssl.key.password",
        "ssl.key.pem",
        "sasl.oauthbearer.client.secret",
        "ssl.keystore.password",
    ],
)
def test_a_secret_option_is_hidden(name: str) -> None:
    assert mask_options(f"a=b;{name}=pw") == f"a=b;{name}={MASK}"


def test_a_child_inherits_no_setting_by_accident() -> None:
    assert without_settings({"PATH": "/bin", **EVERY}) == {"PATH": "/bin"}


def test_show_prints_one_json_object_with_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in EVERY.items():
        monkeypatch.setenv(name, value)
    done = CliRunner().invoke(app, ["show", "--json"])
    assert done.exit_code == 0, done.output
    body = json.loads(done.stdout)
    assert body["mesh.tenant"] == {
        "value": "acme",
        "source": "environment VIGIMESH_TENANT",
        "variable": "VIGIMESH_TENANT",
    }
    assert "hidden" not in done.stdout


def test_the_guide_lists_every_setting() -> None:
    assert (ROOT / "docs" / "settings.md").read_text(encoding="utf-8") == settings_document(), (
        "run: vigimesh config table --write docs/settings.md"
    )
