"""Writes `jars.lock` anew, for developers: `python -m vigimesh.app.devstack.relock [FILE]`.

This is the only place that resolves dependencies; a start fetches exactly what the lock names. The digests are those of
the files downloaded now, so read the difference before committing it.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from vigimesh.app.devstack.fetch import DOWNLOAD_THREADS
from vigimesh.app.devstack.pins import Pin, sha256_of

if TYPE_CHECKING:
    from jgo.maven import Artifact

#: What the stack is made of; everything else follows from these. slf4j-simple: without a log backend Kafka is silent.
ROOTS = ("org.apache.kafka:kafka_2.13:4.4.0", "org.slf4j:slf4j-simple:1.7.36")

#: group, artifact, version, classifier, packaging of the schema registry's distribution.
REGISTRY = ("io.apicurio", "apicurio-registry-app", "3.3.3", "all", "tar.gz")

HEADER = """\
# Every file the embedded stack downloads: SHA-256, bytes, Maven coordinate. Checked before each use.
# Written by `python -m vigimesh.app.devstack.relock`; do not edit by hand.
"""


def resolve() -> list[Artifact]:
    """Return every file that the roots need, found once from their descriptions in the Maven repository."""
    import jgo
    from jgo.maven import MavenContext

    group, artifact, version, classifier, packaging = REGISTRY
    found = [each for root in ROOTS for each in jgo.resolve(root)]
    found.append(
        MavenContext()
        .project(group, artifact)
        .at_version(version)
        .artifact(classifier=classifier, packaging=packaging)
    )
    return list({each.key: each for each in found}.values())


def pin(artifact: Artifact) -> Pin:
    """Return the pin of the file as it is downloaded now."""
    path = Path(artifact.resolve())
    return Pin(
        sha256=sha256_of(path),
        size_bytes=path.stat().st_size,
        group=artifact.groupId,
        artifact=artifact.artifactId,
        version=artifact.version,
        classifier=artifact.classifier,
        packaging=artifact.packaging,
    )


def main(arguments: list[str]) -> int:
    """Write the lock and say how many files it pins."""
    target = Path(arguments[0]) if arguments else Path(__file__).with_name("jars.lock")
    with ThreadPoolExecutor(max_workers=DOWNLOAD_THREADS) as pool:
        pins = sorted(pool.map(pin, resolve()), key=lambda each: each.coordinate)
    target.write_text(HEADER + "".join(each.line() + "\n" for each in pins), encoding="utf-8")
    print(f"{len(pins)} files, {sum(each.size_bytes for each in pins) / 1e6:.0f} MB pinned in {target.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
