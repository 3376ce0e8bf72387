"""What the starting process decides and the keeper carries out: paths, ports and users, as one value."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from vigimesh.app.devstack.sockets import LOOPBACK
from vigimesh.app.devstack.state import StackUrls

#: Kafka's listener, its controller, the registry, the registry's management interface.
PORTS_NEEDED = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything a keeper needs; plain values only, so that it crosses a pipe as JSON."""

    data_dir: str
    sockets_dir: str
    java: str
    classpath: tuple[str, ...]
    registry_dir: str
    postgres_bin: str
    valkey_server: str
    kafka_port: int
    controller_port: int
    registry_port: int
    management_port: int
    #: System user PostgreSQL runs as; `None` when the stack is not started by root.
    postgres_user: str | None
    versions: dict[str, str]
    attached: bool
    #: Whether Kafka is compiled twice, which pays back only in a broker that lives for many minutes.
    lasting: bool
    #: Whether nobody will look at its data again: then it is killed at its end.
    thrown_away: bool = False
    #: What the Java runtime is told besides, by the name of the part: where its ahead-of-time cache is.
    java_options: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def data(self) -> Path:
        """Return the data folder."""
        return Path(self.data_dir)

    @property
    def logs(self) -> Path:
        """Return the folder of the servers' own logs."""
        return self.data / "logs"

    @property
    def sockets(self) -> Path:
        """Return the folder of the Unix sockets."""
        return Path(self.sockets_dir)

    @property
    def temporary(self) -> Path:
        """Return the folder for the Java processes' temporary files."""
        return self.data / "tmp"

    def urls(self) -> StackUrls:
        """Return where the parts will answer."""
        from urllib.parse import quote

        return StackUrls(
            kafka=f"{LOOPBACK}:{self.kafka_port}",
            registry=f"http://{LOOPBACK}:{self.registry_port}/apis/ccompat/v7",
            postgres=f"postgresql://vigimesh@/vigimesh?host={quote(str(self.sockets / 'pg'), safe='')}",
            redis=f"unix://{quote(str(self.sockets / 'valkey.sock'))}",
            objects=(self.data / "objects").as_uri(),
        )

    def to_json(self) -> str:
        """Return the plan as one line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """Read what `to_json` wrote; raises `ValueError` or `TypeError` for anything else."""
        body = json.loads(text)
        options = {name: tuple(given) for name, given in body["java_options"].items()}
        return cls(**{**body, "classpath": tuple(body["classpath"]), "java_options": options})
