"""All settings: one frozen tree, read once at start from `VIGIMESH_*`; each part of the program is handed its own branch."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any, Literal

from vigimesh.app.config.model_settings import (
    EmbeddingSettings,
    LargeModelSettings,
    SmallModelSettings,
    ToolsSettings,
)
from vigimesh.app.config.setting import (
    DSN,
    FLAG,
    HOSTS,
    NAME,
    OPTIONS,
    SECRET,
    SETTING,
    TEXT,
    Setting,
    declare,
    number,
    one_of,
    url_with,
)
from vigimesh.errors import Misconfigured

if TYPE_CHECKING:
    from vigimesh.app.devstack.state import StackUrls

#: What every variable of ours begins with.
PREFIX = "VIGIMESH_"

#: Values of `VIGIMESH_CARDS` that name cards which ship with the program; anything else is a folder.
SHIPPED_CARDS, DEMO_CARDS = "shipped", "shipped-demo"

#: Where a value came from, as `vigimesh config show` says it.
DEFAULT, STACK = "default", "stack"


@dataclass(frozen=True, slots=True, kw_only=True)
class KafkaSettings:
    """The Kafka cluster."""

    bootstrap: str = declare("VIGIMESH_KAFKA_BOOTSTRAP", "", HOSTS, "Bootstrap servers of the Kafka cluster.")
    options: tuple[tuple[str, str], ...] = declare(
        "VIGIMESH_KAFKA_OPTIONS",
        (),
        OPTIONS,
        "librdkafka settings for every client, for example `security.protocol=SASL_SSL;sasl.mechanism=PLAIN`.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrySettings:
    """The schema registry."""

    url: str = declare(
        "VIGIMESH_REGISTRY_URL",
        "",
        url_with("http", "https"),
        "Base URL of a Confluent-compatible schema registry; Apicurio's ends in `/apis/ccompat/v7`.",
    )
    user: str = declare("VIGIMESH_REGISTRY_USER", "", TEXT, "User at the registry; none when empty.")
    password: str = declare("VIGIMESH_REGISTRY_PASSWORD", "", SECRET, "Password of that user.")


@dataclass(frozen=True, slots=True, kw_only=True)
class PostgresSettings:
    """PostgreSQL with pgvector."""

    dsn: str = declare(
        "VIGIMESH_POSTGRES_DSN", "", DSN, "Connection to PostgreSQL with pgvector, in libpq's form."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisSettings:
    """Valkey or Redis."""

    url: str = declare("VIGIMESH_REDIS_URL", "", url_with("redis", "rediss", "unix"), "Valkey or Redis.")


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheSettings:
    """The store of answers."""

    url: str = declare(
        "VIGIMESH_CACHE__URL",
        "",
        url_with("redis", "rediss", "unix"),
        "Valkey or Redis that keeps answers of the knowledge base; that of VIGIMESH_REDIS_URL when empty. One of its own keeps "
        "the answers' memory apart from the budget's.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectsSettings:
    """The object store."""

    url: str = declare(
        "VIGIMESH_OBJECTS_URL",
        "",
        url_with("file", "s3", "gs", "az", "abfs"),
        "Object store; its credentials come from the cloud's own variables (`AWS_*`, `GOOGLE_*`, `AZURE_*`).",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetrySettings:
    """Where traces go."""

    otlp_endpoint: str = declare(
        "VIGIMESH_OTLP_ENDPOINT",
        "",
        url_with("http", "https"),
        "Base URL of an OpenTelemetry collector that takes OTLP over HTTP; empty sends no traces.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """One worker process."""

    instance: str = declare(
        "VIGIMESH_INSTANCE",
        "",
        NAME,
        "Name of this process among those of its stage, required by `vigimesh worker`: part of the transactional id, so "
        "that a restart fences its predecessor; two processes with one name fence each other. Use the ordinal of a "
        "StatefulSet's pod.",
    )
    health_host: str = declare(
        "VIGIMESH_HEALTH_HOST",
        "127.0.0.1",
        TEXT,
        "Address that serves `/livez`, `/readyz` and `/metrics`; `0.0.0.0` in a container.",
    )
    health_port: int = declare("VIGIMESH_HEALTH_PORT", 0, number(0, 65_535), "Its port; 0 takes a free one.")
    port_file: str = declare("VIGIMESH_PORT_FILE", "", TEXT, "File the worker writes its health port to.")
    hold: bool = declare(
        "VIGIMESH_AUTO_ACCEPT_HOLD",
        False,
        FLAG,
        "Hold every automatic acceptance: what a card would accept by machine goes to a person.",
    )
    protocol: Literal["consumer", "classic"] = declare(
        "VIGIMESH_GROUP_PROTOCOL",
        "consumer",
        one_of("consumer", "classic"),
        "Protocol of the consumer groups, also of controller and resumer: `consumer` is KIP-848, of Kafka 4; `classic` is for older "
        "brokers. The processes of one group use one: the broker converts a group whose members have all left.",
    )
    static_member: bool = declare(
        "VIGIMESH_STATIC_MEMBERSHIP",
        False,
        FLAG,
        "Of stages: join the group as a static member named after VIGIMESH_INSTANCE: a process that comes back within its session gets "
        "its partitions without moving anybody else's; until then, or the end of the session, nobody else works on them.",
    )
    drain_s: int = declare(
        "VIGIMESH_DRAIN_S",
        20,
        number(1, 600),
        "Seconds a worker has after SIGTERM to finish the batch in hand before it is killed.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshSettings:
    """What all workers of a mesh have in common."""

    cards: str = declare(
        "VIGIMESH_CARDS",
        SHIPPED_CARDS,
        TEXT,
        "Workflow cards: `shipped` (unsigned), `shipped-demo` (signed for the demo and benchmarks only), or a folder of "
        "your own.",
    )
    partitions: int = declare(
        "VIGIMESH_PARTITIONS",
        4,
        number(1, 1_000),
        "Partitions of every case-keyed topic. Choose once: a change moves keys.",
    )
    replication: int = declare(
        "VIGIMESH_REPLICATION", 1, number(1, 10), "Replicas of every topic; 3 on a real cluster."
    )
    tenant: str = declare("VIGIMESH_TENANT", "default", NAME, "Tenant whose cases `run` and `demo` write.")


@dataclass(frozen=True, slots=True, kw_only=True)
class KnowledgeSettings:
    """The knowledge base."""

    products: str = declare(
        "VIGIMESH_KNOWLEDGE__PRODUCTS",
        "",
        TEXT,
        "Folder of your own knowledge products (`*.toml`), added to the shipped ones or put in place of namesakes.",
    )
    watch: str = declare(
        "VIGIMESH_KNOWLEDGE__WATCH",
        "",
        TEXT,
        "Folder that the librarian watches: documents that are put there are taken up once they stand still.",
    )
    keep_used_days: int = declare(
        "VIGIMESH_KNOWLEDGE__KEEP_USED_DAYS",
        3_653,
        number(3_653, 36_525),
        "Days after which the librarian forgets which passages of a superseded or withdrawn version fed which case, once that change "
        "was announced and its recalls were settled; ten years at least, and not less than you keep cases.",
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The whole tree."""

    kafka: KafkaSettings = KafkaSettings()
    registry: RegistrySettings = RegistrySettings()
    postgres: PostgresSettings = PostgresSettings()
    redis: RedisSettings = RedisSettings()
    cache: CacheSettings = CacheSettings()
    objects: ObjectsSettings = ObjectsSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    large_model: LargeModelSettings = LargeModelSettings()  # noqa: RUF009  frozen
    small_model: SmallModelSettings = SmallModelSettings()  # noqa: RUF009  frozen
    tools: ToolsSettings = ToolsSettings()  # noqa: RUF009  frozen
    embeddings: EmbeddingSettings = EmbeddingSettings()  # noqa: RUF009  frozen
    worker: WorkerSettings = WorkerSettings()
    mesh: MeshSettings = MeshSettings()
    knowledge: KnowledgeSettings = KnowledgeSettings()

    @classmethod
    def for_stack(cls, urls: StackUrls, base: Settings | None = None) -> Settings:
        """Return `base` (the defaults when none) pointed at a stack: all five addresses, and no one else's security."""
        return replace(
            base or cls(),
            kafka=KafkaSettings(bootstrap=urls.kafka),
            registry=RegistrySettings(url=urls.registry),
            postgres=PostgresSettings(dsn=urls.postgres),
            redis=RedisSettings(url=urls.redis),
            objects=ObjectsSettings(url=urls.objects),
        )

    def require(self, *paths: str) -> None:
        """Raise `Misconfigured` (VM-1102) when one of the settings (`kafka.bootstrap`) has no value."""
        missing = [row.setting for row in rows(self) if row.path in paths and not row.text]
        if missing:
            raise Misconfigured(
                "VM-1102",
                what=f"{', '.join(setting.variable for setting in missing)} must be set",
                where="environment",
                todo="; ".join(f"set {setting.variable} to {setting.kind.expected}" for setting in missing)
                + ", or start the embedded stack: `vigimesh stack up`",
            )


#: The settings that say where the parts of a cluster are. The embedded stack gives all of them or none, because half of
#: one cluster with half of another loses records.
ADDRESSES = ("kafka.bootstrap", "registry.url", "postgres.dsn", "redis.url", "objects.url")

#: Branches that `for_stack` replaces.
_CLUSTER = tuple(path.split(".")[0] for path in ADDRESSES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One setting at its place in a tree: `path` is `kafka.bootstrap`, `text` its value as a variable would hold it."""

    path: str
    setting: Setting
    value: Any
    text: str

    @property
    def shown(self) -> str:
        """The value with its secrets masked."""
        return self.setting.kind.mask(self.text)


def rows(settings: Settings) -> Iterator[Row]:
    """Yield every setting of a tree, in the order of the tree."""
    for branch in fields(settings):
        part = getattr(settings, branch.name)
        for leaf in fields(part):
            setting: Setting = leaf.metadata[SETTING]
            value = getattr(part, leaf.name)
            text = setting.kind.write(value)
            yield Row(path=f"{branch.name}.{leaf.name}", setting=setting, value=value, text=text)


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Read the tree from environment variables; an empty one counts as not set.

    Raises `Misconfigured`: VM-1101 for a `VIGIMESH_*` that no setting has, with the nearest one that is known; VM-1102
    for a value that its setting does not take, with what it takes.
    """
    known = {row.setting.variable: row for row in rows(Settings())}
    for name in sorted(environ):
        if name.startswith(PREFIX) and name not in known:
            raise _unknown(name, tuple(known))
    changes: dict[str, dict[str, Any]] = {}
    for variable, row in known.items():
        text = environ.get(variable, "").strip()
        if text:
            branch, leaf = row.path.split(".")
            changes.setdefault(branch, {})[leaf] = _read(row.setting, text)
    base = Settings()
    return replace(
        base, **{branch: replace(getattr(base, branch), **leaves) for branch, leaves in changes.items()}
    )


def _unknown(name: str, known: tuple[str, ...]) -> Misconfigured:
    """Return the error for a variable that no setting has."""
    nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
    return Misconfigured(
        "VM-1101",
        what=f"there is no setting {name}; the nearest is {nearest}",
        where="environment",
        todo=f"rename it to {nearest} or unset it; `vigimesh config show` lists all",
    )


def _read(setting: Setting, text: str) -> Any:
    """Read one value; its text stays out of the message when it may be a secret."""
    try:
        # A line break comes with a pasted secret and would break HTTP headers.
        if not text.isprintable():
            raise ValueError(text)
        return setting.kind.read(text)
    except ValueError:
        said = repr(text[:80]) if setting.kind.mask is str else "the value given"
        raise Misconfigured(
            "VM-1102",
            what=f"{setting.variable} does not take {said}",
            where="environment",
            todo=f"give {setting.kind.expected}",
        ) from None


def to_environ(settings: Settings) -> dict[str, str]:
    """Return the variables that make `read_settings` build this very tree: what a child process is given.

    Values equal to their default are left out.
    """
    defaults = {row.path: row.text for row in rows(Settings())}
    return {row.setting.variable: row.text for row in rows(settings) if row.text != defaults[row.path]}


def without_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without any variable of ours: what a child's own settings are added to."""
    return {name: value for name, value in environ.items() if not name.startswith(PREFIX)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Located:
    """Settings, and whether their addresses are those of a running stack."""

    settings: Settings
    from_stack: bool

    def origin(self, row: Row) -> str:
        """Return where a value came from: `default`, `stack` or `environment VARIABLE`."""
        if self.from_stack and row.path in ADDRESSES:
            return STACK
        default = next(one.text for one in rows(Settings()) if one.path == row.path)
        return DEFAULT if row.text == default else f"environment {row.setting.variable}"


def names_cluster(settings: Settings) -> bool:
    """Return whether anything says where a cluster is, so that the embedded stack must not be mixed in."""
    return any(row.text for row in rows(settings) if row.path.split(".")[0] in _CLUSTER)
