"""The printed schemas: `schemas/*.avsc` for today's classes, `schemas/published/NAME/vN.*` frozen for ever.

Each published version has three files: `vN.avsc` (the schema), `vN.json` (a sample event in plain JSON) and `vN.golden`
(the same event as Avro bytes, without the wire format's head, whose id is the registry's).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

import vigimesh
from vigimesh.app.contract.samples import sample
from vigimesh.errors import Misconfigured
from vigimesh.events.avro import Schema, schema_of, schema_text
from vigimesh.events.codec import Codec
from vigimesh.events.evolution import breaches
from vigimesh.events.topics import TOPICS

#: Versions looked for of one class: a version a week for twenty years.
VERSIONS_MAX = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """One frozen version of one schema."""

    name: str
    version: int
    schema: Schema
    #: Plain JSON of the sample event.
    sample_json: bytes
    #: Avro bytes of the same event.
    golden: bytes


def event_classes() -> tuple[type, ...]:
    """Return each event class of the topics table once, by name."""
    return tuple(sorted({topic.event for topic in TOPICS}, key=lambda cls: cls.__name__))


def folder() -> Path:
    """Return where the schemas lie: inside the installed package, else beside `services/` in a checkout.

    Raises `Misconfigured` VM-1010 when they are in neither place.
    """
    package = Path(vigimesh.__file__).resolve().parent
    for place in (package / "schemas", package.parents[1] / "schemas"):
        if place.is_dir():
            return place
    raise Misconfigured(
        "VM-1010", what="the printed schemas are missing", where=str(package), todo="install the package again, or run `vigimesh schemas print`"
    )  # fmt: skip


def published(cls: type, base: Path) -> Iterator[Published]:
    """Yield the published versions of a class, oldest first; raises `Misconfigured` VM-1010 when files are missing."""
    home = base / "published" / cls.__name__
    for version in range(1, VERSIONS_MAX + 1):
        schema = home / f"v{version}.avsc"
        if not schema.is_file():
            return
        try:
            yield Published(
                name=cls.__name__,
                version=version,
                schema=json.loads(schema.read_text(encoding="utf-8")),
                sample_json=(home / f"v{version}.json").read_bytes(),
                golden=(home / f"v{version}.golden").read_bytes(),
            )
        except (OSError, ValueError) as error:
            raise Misconfigured(
                "VM-1010", what=f"a published schema version cannot be read: {error}", where=str(home), todo="restore the folder from version control"
            ) from error  # fmt: skip


def findings(base: Path) -> tuple[str, ...]:
    """Return what is wrong with the printed schemas, one line each; empty when all is well.

    Looks at each class: is its print current, is it published, may it follow every version published before.
    """
    found: list[str] = []
    for cls in event_classes():
        name = cls.__name__
        path = base / f"{name}.avsc"
        if not path.is_file() or path.read_text(encoding="utf-8") != schema_text(cls):
            found.append(f"{path.name} is not the print of its class: run `vigimesh schemas print`")
        versions = tuple(published(cls, base))
        for version in versions:
            found.extend(
                f"{name} breaks published v{version.version}: {line}"
                for line in breaches(version.schema, schema_of(cls))
            )
        if not versions or versions[-1].schema != schema_of(cls):
            found.append(f"{name} is not published as it stands: run `vigimesh schemas publish`")
    known = {f"{cls.__name__}.avsc" for cls in event_classes()}
    found.extend(
        f"{path.name} belongs to no class: remove it"
        for path in sorted(base.glob("*.avsc"))
        if path.name not in known
    )
    return tuple(found)


def print_all(base: Path) -> tuple[str, ...]:
    """Write `schemas/NAME.avsc` of every class and return the names of those that changed."""
    base.mkdir(parents=True, exist_ok=True)
    return tuple(
        cls.__name__
        for cls in event_classes()
        if _write(base / f"{cls.__name__}.avsc", schema_text(cls).encode())
    )


def publish(base: Path) -> tuple[str, ...]:
    """Print all schemas and freeze a new version of each class that differs from its last one; return `NAME vN` of each.

    Raises `Misconfigured` VM-1006, before anything is frozen, when a class may not follow a version published before.
    """
    broken = [line for cls in event_classes() for line in _broken(cls, base)]
    if broken:
        raise Misconfigured(
            "VM-1006", what="; ".join(broken), where=str(base / "published"), todo="add fields with a default only; never remove, rename or retype one"
        )  # fmt: skip
    print_all(base)
    made: list[str] = []
    for cls in event_classes():
        versions = tuple(published(cls, base))
        if versions and versions[-1].schema == schema_of(cls):
            continue
        number = len(versions) + 1
        stem = base / "published" / cls.__name__ / f"v{number}"
        stem.parent.mkdir(parents=True, exist_ok=True)
        event = sample(cls)
        _write(stem.with_suffix(".avsc"), schema_text(cls).encode())
        _write(stem.with_suffix(".json"), msgspec.json.format(msgspec.json.encode(event), indent=1) + b"\n")
        _write(stem.with_suffix(".golden"), avro_bytes(event))
        made.append(f"{cls.__name__} v{number}")
    return tuple(made)


def avro_bytes(event: object) -> bytes:
    """Return the Avro bytes of an event, without the wire format's head."""
    topic = next(topic for topic in TOPICS if topic.event is type(event))
    return Codec(_NoRegistry()).encode(topic.name, event)[5:]


class _NoRegistry:
    """Gives every subject the id 0: the head is cut off again."""

    def id_of(self, subject: str) -> int:
        return 0

    def schema(self, schema_id: int) -> Schema:
        raise KeyError(schema_id)

    def schema_by_guid(self, guid: object) -> Schema:
        raise KeyError(guid)


def _broken(cls: type, base: Path) -> Iterator[str]:
    for version in published(cls, base):
        for line in breaches(version.schema, schema_of(cls)):
            yield f"v{version.version} of {cls.__name__}: {line}"


def _write(path: Path, content: bytes) -> bool:
    if path.is_file() and path.read_bytes() == content:
        return False
    path.write_bytes(content)
    return True
