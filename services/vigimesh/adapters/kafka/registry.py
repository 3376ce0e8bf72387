"""The schema registry through its Confluent-compatible REST interface: `events.codec.Schemas`, register and check."""

from __future__ import annotations

import json
import uuid
import weakref
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from confluent_kafka.schema_registry import Schema as RegistrySchema
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from vigimesh.adapters.kafka.registry_reader import REQUEST_S, away, meaning, no_guids, not_avro, parsed
from vigimesh.errors import Misconfigured, Refused
from vigimesh.events.avro import Schema, schema_of
from vigimesh.events.topics import TOPICS, Topic

#: What every subject must be set to: every version readable by every other, in both directions.
COMPATIBILITY = "FULL_TRANSITIVE"
#: Tries after the first of a request that failed in transport; the loop retries on its own beyond that.
RETRIES = 2
#: Milliseconds before the first and the longest wait before a later try.
RETRY_MS, RETRY_MAX_MS = 100, 1_000
#: Subjects that are registered at once: two requests each, of which the registry answers some side by side.
AT_ONCE = 4

T = TypeVar("T")
State = Literal["registered", "missing", "incompatible", "compatibility_off"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How our schema stands at one subject. `schema_id` is 0 when it is not registered."""

    subject: str
    state: State
    schema_id: int = 0
    detail: str = ""


class RegistrySchemas:
    """`events.codec.Schemas` on a registry. Ids and schemas never change once given, so each is asked for once."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        """Take the client's settings: `url`, and where needed `basic.auth.user.info`, `ssl.ca.location` and the like.

        Raises `Misconfigured` VM-1102 for a setting the client does not take; nothing is connected yet.
        """
        bounds = {
            "timeout": REQUEST_S,
            "max.retries": RETRIES,
            "retries.wait.ms": RETRY_MS,
            "retries.max.wait.ms": RETRY_MAX_MS,
        }
        try:
            self._client = SchemaRegistryClient({**bounds, **settings})
        except (TypeError, ValueError) as error:
            raise Misconfigured("VM-1102", what=f"the registry client does not take its settings: {error}",
                                where="registry settings", todo="correct the setting named") from error  # fmt: skip
        # Whoever drops this drops the client's connections with it, in order.
        self.close = weakref.finalize(self, self._client.close)
        self._where = str(settings["url"]).rpartition("@")[2]
        self._ids: dict[str, int] = {}
        self._schemas: dict[int | uuid.UUID, Schema] = {}

    def id_of(self, subject: str) -> int:
        """Return the id of our schema for a subject of the topics table.

        Raises `Misconfigured` VM-1009 when it is not registered there, `Transient` when the registry is away.
        """
        known = self._ids.get(subject)
        if known is not None:
            return known
        found = self._lookup(subject)
        if found is None:
            raise Misconfigured("VM-1009", what=f"the schema of this version is not registered for {subject}",
                                where=self._where, todo="run `vigimesh schemas register`")  # fmt: skip
        self._ids[subject] = found
        return found

    def schema(self, schema_id: int) -> Schema:
        """Return a schema by id; `Refused` VM-1002 when there is none, `Transient` when the registry is away."""
        if schema_id not in self._schemas:
            found = self._ask(lambda: self._client.get_schema(schema_id), f"schema id {schema_id}")
            self._schemas[schema_id] = self._parsed(found, f"schema id {schema_id}")
        return self._schemas[schema_id]

    def schema_by_guid(self, guid: uuid.UUID) -> Schema:
        """Return a schema by GUID (wire format v1).

        Raises `Refused` VM-1002 when there is none or the registry keeps no GUIDs (Apicurio 3.3 does not), `Transient`
        when it is away.
        """
        if guid not in self._schemas:
            try:
                found = self._ask(lambda: self._client.get_schema_by_guid(str(guid)), f"schema GUID {guid}")
            except Misconfigured as error:
                # No such address: the registry does not have the lookup.
                raise no_guids(guid, self._where) from error
            self._schemas[guid] = self._parsed(found, f"schema GUID {guid}")
        return self._schemas[guid]

    def register_all(self) -> tuple[Standing, ...]:
        """Set FULL_TRANSITIVE on every subject and register our schema there; doing it again changes nothing.

        Raises `Misconfigured` VM-1006 when a schema would break a version registered before, `Transient` when the
        registry is away.
        """
        with ThreadPoolExecutor(AT_ONCE) as pool:
            return tuple(pool.map(self._register, TOPICS))

    def check_all(self) -> tuple[Standing, ...]:
        """Return how our schema stands at every subject, changing nothing; `Transient` when the registry is away."""
        return tuple(self._standing(topic) for topic in TOPICS)

    def _register(self, topic: Topic) -> Standing:
        subject, schema = topic.subject, _registry_schema(topic)
        self._ask(lambda: self._client.set_compatibility(subject, COMPATIBILITY), subject)
        number = self._ask(lambda: self._client.register_schema(subject, schema), subject)
        self._ids[subject] = int(number)
        return Standing(subject=subject, state="registered", schema_id=int(number))

    def _standing(self, topic: Topic) -> Standing:
        subject, schema = topic.subject, _registry_schema(topic)
        found = self._lookup(subject)
        if found is None:
            if not self._versions(subject):
                return Standing(subject=subject, state="missing")
            fits = self._ask(lambda: self._client.test_compatibility_all_versions(subject, schema), subject)
            return Standing(subject=subject, state="missing" if fits else "incompatible",
                            detail="may follow the versions there" if fits else "breaks a version there")  # fmt: skip
        level = self._ask(lambda: self._client.get_compatibility(subject), subject)
        off = level != COMPATIBILITY
        return Standing(subject=subject, state="compatibility_off" if off else "registered", schema_id=found,
                        detail=f"set to {level}, not {COMPATIBILITY}" if off else "")  # fmt: skip

    def _lookup(self, subject: str) -> int | None:
        topic = next(topic for topic in TOPICS if topic.subject == subject)
        try:
            found = self._ask(lambda: self._client.lookup_schema(subject, _registry_schema(topic)), subject)
        except Refused:
            return None
        return None if found.schema_id is None else int(found.schema_id)

    def _versions(self, subject: str) -> list[int]:
        try:
            return list(self._ask(lambda: self._client.get_versions(subject), subject))
        except Refused:
            return []

    def _ask(self, call: Callable[[], T], about: str) -> T:
        try:
            return call()
        except SchemaRegistryError as error:
            raise meaning(error.http_status_code, error.error_code, str(error.error_message), about, self._where) from error  # fmt: skip
        except Exception as error:
            if not _in_transport(error):
                raise
            raise away(error, self._where) from error

    def _parsed(self, found: Any, about: str) -> Schema:
        if found.schema_type not in (None, "AVRO"):
            raise not_avro(found.schema_type, about, self._where)
        return parsed(found.schema_str, about, self._where)


def _registry_schema(topic: Topic) -> RegistrySchema:
    return RegistrySchema(json.dumps(schema_of(topic.event)), "AVRO")


def _in_transport(error: Exception) -> bool:
    """Tell an error of the HTTP library, which is the client's own choice and no dependency of ours, or of the system."""
    return isinstance(error, OSError) or any(
        kind.__module__.startswith("httpx") for kind in type(error).__mro__
    )
