"""Schema registry of the embedded stack: Apicurio with its Confluent-compatible interface, storage in an H2 file."""

from __future__ import annotations

from vigimesh.app.devstack.plan import Plan
from vigimesh.app.devstack.probes import registry_answers
from vigimesh.app.devstack.service import Command, Service
from vigimesh.app.devstack.sockets import LOOPBACK

#: Heap: ready in 2.6 s with 283 MB resident; half of it works too, at 250 MB (measured).
HEAP_MB = 256


def service(plan: Plan) -> Service:
    """Return how to run the registry."""
    home = plan.data / "registry"
    options = {
        "java.io.tmpdir": plan.temporary,
        "quarkus.http.host": LOOPBACK,
        "quarkus.http.port": plan.registry_port,
        "quarkus.management.host": LOOPBACK,
        "quarkus.management.port": plan.management_port,
        "quarkus.log.level": "WARN",
        # The default storage is memory: ids would be lost with the process.
        "apicurio.storage.kind": "sql",
        "apicurio.storage.sql.kind": "h2",
        "apicurio.datasource.url": f"jdbc:h2:file:{home / 'registry'}",
        "apicurio.datasource.username": "sa",
        "apicurio.datasource.password": "sa",
    }
    return Service(
        name="registry",
        command=Command(
            argv=(
                plan.java,
                *plan.java_options.get("registry", ()),
                f"-Xmx{HEAP_MB}m",
                "-XX:+UseSerialGC",
                "-XX:-UsePerfData",
                "-XX:+ExitOnOutOfMemoryError",
                # The quick compiler alone: 40 % less processor time until ready, 30 MB less memory (measured).
                "-XX:TieredStopAtLevel=1",
                *(f"-D{name}={value}" for name, value in options.items()),
                "-jar",
                f"{plan.registry_dir}/quarkus-run.jar",
            ),
            folder=plan.data,
        ),
        tidy=lambda: home.mkdir(exist_ok=True),
        answers=lambda: registry_answers(plan.urls().registry),
        log=plan.logs / "registry.log",
    )
