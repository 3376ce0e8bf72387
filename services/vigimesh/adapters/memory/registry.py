"""The memory twin of the schema registry: the same answers, and it keeps FULL_TRANSITIVE too."""

from __future__ import annotations

import json
import uuid

from vigimesh.adapters.kafka.registry import Standing
from vigimesh.errors import Misconfigured, Refused
from vigimesh.events.avro import Schema, schema_of
from vigimesh.events.evolution import breaches
from vigimesh.events.topics import TOPICS

_WHERE = "registry in memory"
_SPACE = uuid.UUID("5b7d1a52-6a0f-4d0e-8d4f-0d3c6a9f2b11")


class MemorySchemas:
    """`events.codec.Schemas` without a server; bounded by the schemas that are registered in it."""

    def __init__(self, *, registered: bool = True) -> None:
        """Begin with every schema of the topics table registered, or with none."""
        self._texts: list[str] = []
        self._versions: dict[str, list[int]] = {}
        if registered:
            self.register_all()

    def register(self, subject: str, schema: Schema) -> int:
        """Register any schema under a subject and return its id; the same schema has the same id everywhere.

        Raises `Misconfigured` VM-1006 when it may not follow a version registered before.
        """
        versions = self._versions.get(subject, [])
        broken = [line for number in versions for line in breaches(self.schema(number), schema)]
        if broken:
            raise Misconfigured("VM-1006", what=f"{subject} would break a version registered before: {broken[0]}",
                                where=_WHERE, todo="add fields with a default only")  # fmt: skip
        number = self._number(schema)
        if number is None:
            self._texts.append(_text(schema))
            number = len(self._texts)
        if number not in versions:
            self._versions[subject] = [*versions, number]
        return number

    def id_of(self, subject: str) -> int:
        """Return the id of our schema for a subject; `Misconfigured` VM-1009 when it is not registered there."""
        topic = next(topic for topic in TOPICS if topic.subject == subject)
        number = self._number(schema_of(topic.event))
        if number is None or number not in self._versions.get(subject, []):
            raise Misconfigured("VM-1009", what=f"the schema of this version is not registered for {subject}",
                                where=_WHERE, todo="call register_all()")  # fmt: skip
        return number

    def schema(self, schema_id: int) -> Schema:
        """Return a schema by id; `Refused` VM-1002 when there is none."""
        if not 1 <= schema_id <= len(self._texts):
            raise Refused("VM-1002", what=f"the registry does not know schema id {schema_id}", where=_WHERE,
                          todo="let writer and reader use the same registry")  # fmt: skip
        found: Schema = json.loads(self._texts[schema_id - 1])
        return found

    def schema_by_guid(self, guid: uuid.UUID) -> Schema:
        """Return a schema by GUID; `Refused` VM-1002 when there is none."""
        for number, text in enumerate(self._texts, start=1):
            if uuid.uuid5(_SPACE, text) == guid:
                return self.schema(number)
        raise Refused("VM-1002", what=f"the registry does not know schema GUID {guid}", where=_WHERE,
                      todo="let writer and reader use the same registry")  # fmt: skip

    def guid_of(self, schema_id: int) -> uuid.UUID:
        """Return the GUID of a registered schema, as wire format v1 carries it."""
        return uuid.uuid5(_SPACE, _text(self.schema(schema_id)))

    def register_all(self) -> tuple[Standing, ...]:
        """Register our schema under every subject."""
        return tuple(
            Standing(
                subject=topic.subject,
                state="registered",
                schema_id=self.register(topic.subject, schema_of(topic.event)),
            )
            for topic in TOPICS
        )

    def check_all(self) -> tuple[Standing, ...]:
        """Return how our schema stands at every subject."""
        return tuple(self._standing(topic.subject, schema_of(topic.event)) for topic in TOPICS)

    def _standing(self, subject: str, schema: Schema) -> Standing:
        versions = self._versions.get(subject, [])
        number = self._number(schema)
        if number is not None and number in versions:
            return Standing(subject=subject, state="registered", schema_id=number)
        if not versions:
            return Standing(subject=subject, state="missing")
        breaks = any(breaches(self.schema(number), schema) for number in versions)
        return Standing(subject=subject, state="incompatible" if breaks else "missing",
                        detail="breaks a version there" if breaks else "may follow the versions there")  # fmt: skip

    def _number(self, schema: Schema) -> int | None:
        text = _text(schema)
        return self._texts.index(text) + 1 if text in self._texts else None


def _text(schema: Schema) -> str:
    return json.dumps(schema, sort_keys=True, ensure_ascii=False)
