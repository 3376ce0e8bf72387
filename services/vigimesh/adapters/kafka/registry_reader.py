"""The registry as all need it who only read and write events: looks schemas up, and nothing else, over plain HTTP.

The registry's own client brings 15 MB and a third of a worker's start (OAuth, key handling, an HTTP library) for these
three questions; what registers and checks goes on using it (`adapters.registry`).
"""

from __future__ import annotations

import base64
import http.client
import json
import urllib.error
import urllib.parse
import urllib.request
import uuid
from typing import Any

from vigimesh.errors import Misconfigured, Refused, Transient, VigimeshError
from vigimesh.events.avro import Schema, schema_of
from vigimesh.events.topics import TOPICS

#: Seconds for one request: the registry answers in milliseconds.
REQUEST_S = 10.0
#: Bytes of one answer: our largest schema has some 20 KB.
ANSWER_MAX_BYTES = 4_000_000

#: Error codes of "no such subject, version, schema" and "subject without a setting of its own"; any other 404 means that
#: the address is not a registry's.
_UNKNOWN = frozenset({40401, 40402, 40403, 40408})
_TYPE = "application/vnd.schemaregistry.v1+json"


class RegistryReader:
    """`events.codec.Schemas` on a registry. Ids and schemas never change once given, so each is asked for once."""

    def __init__(self, url: str, *, user: str = "", password: str = "") -> None:
        """Take the base URL and, where needed, who asks; nothing is connected yet.

        Raises `Misconfigured` VM-1102 for an address that is none: a command line may give anything.
        """
        self._url = url.rstrip("/")
        self._where = self._url.rpartition("@")[2]
        if not url.startswith(("http://", "https://")):
            raise Misconfigured("VM-1102", what=f"the schema registry has no address in {self._where[:80]!r}",
                                where="registry settings", todo="write it like http://HOST:PORT/PATH")  # fmt: skip
        self._headers = {"Accept": _TYPE, "Content-Type": _TYPE}
        if user:
            pair = base64.b64encode(f"{user}:{password}".encode()).decode()
            self._headers["Authorization"] = f"Basic {pair}"
        self._ids: dict[str, int] = {}
        self._schemas: dict[str, Schema] = {}

    def id_of(self, subject: str) -> int:
        """Return the id of our schema for a subject of the topics table.

        Raises `Misconfigured` VM-1009 when it is not registered there, `Transient` when the registry is away.
        """
        if subject not in self._ids:
            event = next(topic.event for topic in TOPICS if topic.subject == subject)
            path = f"/subjects/{urllib.parse.quote(subject, safe='')}?normalize=false&deleted=false"
            body = {"schema": json.dumps(schema_of(event)), "schemaType": "AVRO"}
            try:
                found = self._ask(path, subject, "id", body)
            except Refused as error:
                raise Misconfigured("VM-1009", what=f"the schema of this version is not registered for {subject}",
                                    where=self._where, todo="run `vigimesh schemas register`") from error  # fmt: skip
            self._ids[subject] = int(found)
        return self._ids[subject]

    def schema(self, schema_id: int) -> Schema:
        """Return a schema by id; `Refused` VM-1002 when there is none, `Transient` when the registry is away."""
        return self._schema(f"/schemas/ids/{schema_id}", f"schema id {schema_id}")

    def schema_by_guid(self, guid: uuid.UUID) -> Schema:
        """Return a schema by GUID (wire format v1).

        Raises `Refused` VM-1002 when there is none or the registry keeps no GUIDs (Apicurio 3.3 does not), `Transient`
        when it is away.
        """
        try:
            return self._schema(f"/schemas/guids/{guid}", f"schema GUID {guid}")
        except Misconfigured as error:
            raise no_guids(guid, self._where) from error

    def _schema(self, path: str, about: str) -> Schema:
        if path not in self._schemas:
            text = self._ask(path, about, "schema")
            self._schemas[path] = parsed(text, about, self._where)
        return self._schemas[path]

    def _ask(self, path: str, about: str, wanted: str, body: dict[str, str] | None = None) -> Any:
        """Return one field of the registry's answer."""
        data = None if body is None else json.dumps(body).encode()
        # http or https: see `__init__`.
        request = urllib.request.Request(  # noqa: S310
            self._url + path, data=data, headers=self._headers
        )
        try:
            with urllib.request.urlopen(request, timeout=REQUEST_S) as answer:  # noqa: S310
                found = json.loads(answer.read(ANSWER_MAX_BYTES))
        except urllib.error.HTTPError as error:
            said = _said(error)
            raise meaning(error.code, said.get("error_code"), str(said.get("message", "")), about, self._where) from error  # fmt: skip
        except (OSError, http.client.HTTPException) as error:
            raise away(error, self._where) from error
        except ValueError as error:
            raise meaning(200, None, "no JSON", about, self._where) from error
        if not isinstance(found, dict) or wanted not in found:
            raise meaning(200, None, f"an answer without {wanted}", about, self._where)
        if found.get("schemaType") not in (None, "AVRO"):
            raise not_avro(found["schemaType"], about, self._where)
        return found[wanted]


def _said(error: urllib.error.HTTPError) -> dict[str, Any]:
    try:
        found = json.loads(error.read(ANSWER_MAX_BYTES))
    except (OSError, ValueError, http.client.HTTPException):
        return {}
    return found if isinstance(found, dict) else {}


def away(error: Exception, where: str) -> Transient:
    """Return the error of a registry that cannot be reached."""
    return Transient("VM-1301", what=f"the schema registry cannot be reached: {type(error).__name__}",
                     where=where, todo="check its address and that it is up: `vigimesh stack status`")  # fmt: skip


def no_guids(guid: uuid.UUID, where: str) -> Refused:
    """Return the error for a GUID that a registry has no address for."""
    return Refused("VM-1002", what=f"the registry looks no schema up by GUID ({guid})", where=where,
                   todo="let the producer write wire format v0 (4-byte schema id)")  # fmt: skip


def meaning(status: int, code: int | None, answer: str, about: str, where: str) -> VigimeshError:
    """Say what an answer of the registry means for us: HTTP status, the registry's error code and its text."""
    answer = answer[:500]
    if status == 404 and code in _UNKNOWN:
        return Refused("VM-1002", what=f"the registry does not know {about}", where=where,
                       todo="let writer and reader use the same registry")  # fmt: skip
    if status == 409 or (status == 422 and "compatib" in answer.lower()):
        return Misconfigured("VM-1006", what=f"{about} would break a version registered before: {answer}",
                             where=where, todo="run `vigimesh schemas check` and undo the change it names")  # fmt: skip
    if status in (408, 429) or status >= 500:
        return Transient("VM-1301", what=f"the schema registry answered {status} for {about}",
                         where=where, todo="wait; if it lasts, look into the registry's log")  # fmt: skip
    return Misconfigured("VM-1008", what=f"the registry refused {about} with {status}: {answer}",
                         where=where, todo="correct the registry's address, credentials or rights")  # fmt: skip


def not_avro(kind: str, about: str, where: str) -> Refused:
    """Return the error of a schema in another language."""
    return Refused(
        "VM-1002", what=f"{about} is {kind}, not Avro", where=where, todo="let the producer write Avro"
    )


def parsed(text: Any, about: str, where: str) -> Schema:
    """Return a schema as the registry gave it; raises `Refused` VM-1002 for one that is no Avro record."""
    try:
        found = json.loads(text)
    except (TypeError, ValueError) as error:
        raise Refused("VM-1002", what=f"{about} is not JSON", where=where,
                      todo="look at the schema in the registry") from error  # fmt: skip
    if not isinstance(found, dict):
        raise Refused(
            "VM-1002", what=f"{about} is no record", where=where, todo="let the producer write records"
        )
    return found
