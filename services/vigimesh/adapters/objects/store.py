"""The object store: content-addressed, create-only, checked on reading; a folder, S3 or any store that obstore speaks to."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from urllib.parse import unquote, urlsplit
from uuid import uuid4

import obstore
from obstore import exceptions as store_errors
from obstore.store import LocalStore, from_url
from obstore.store import ObjectStore as Store

from vigimesh.errors import Broken, Misconfigured, Refused, Transient
from vigimesh.events.ids import digest

#: Largest object: 1 GiB, the largest file that intake takes whole.
MAX_BYTES = 1_073_741_824
#: Seconds for one request to a store over the network, and how often it is tried: then the loop tries again.
REQUEST_S, RETRIES = 30, 2

#: Key of the object that `vigimesh doctor` writes anew each time.
PROBE = "doctor/probe"

_DIGEST = re.compile(r"[0-9a-f]{64}")
_REFUSALS = (
    store_errors.PermissionDeniedError,
    store_errors.UnauthenticatedError,
    store_errors.InvalidPathError,
    store_errors.UnknownConfigurationKeyError,
)


def key_of(name: str) -> str:
    """Return the key of an object: `sha256/ab/abcd...`.

    One level, 256 folders: a second one made a new folder for almost every object, 0.6 ms of CPU each on a local disk.
    """
    return f"sha256/{name[:2]}/{name}"


class ObjectStore:
    """`ports.Objects` over obstore."""

    def __init__(self, url: str) -> None:
        """Open the store at `url`: `file:///folder` (made when it is missing), `s3://bucket/prefix`, `gs://`, `az://`.

        Raises `Misconfigured` VM-1604 when the address is not one of a store.
        """
        self._url = _shown(url)
        try:
            self._store = _open(url)
        except (store_errors.BaseError, ValueError, OSError) as error:
            raise Misconfigured(
                "VM-1604", what=f"not the address of an object store: {_first_line(error).replace(url, self._url)}", where=self._url,
                todo="write it such as file:///var/lib/vigimesh/objects or s3://bucket/prefix",
            ) from error  # fmt: skip

    def put(self, data: bytes) -> str:
        """Store `data` once and return its digest; storing the same bytes again is no error.

        Raises `Transient` VM-1603 when the store is away or full, `Misconfigured` VM-1604 when it refuses,
        `Refused` VM-1605 for more than `MAX_BYTES`.
        """
        check_size(data, self._url)
        name = digest(data)
        with self._named_errors():
            try:
                obstore.put(self._store, key_of(name), data, mode="create")
            except (store_errors.AlreadyExistsError, store_errors.PreconditionError):
                pass
        return name

    def get(self, digest: str) -> bytes:
        """Return the bytes under `digest`.

        Raises `Refused` VM-1601 when there are none, `Broken` VM-1602 when they do not fit, and as `put` does.
        """
        check_name(digest, self._url)
        with self._named_errors():
            try:
                data = obstore.get(self._store, key_of(digest)).bytes().to_bytes()
            except (store_errors.NotFoundError, FileNotFoundError) as error:
                raise missing(digest, self._url) from error
        check_bytes(digest, data, self._url)
        return data

    def probe(self) -> None:
        """Write the object `PROBE` anew and read it back: shows that the store takes writes. Raises as `put` and `get` do."""
        data = uuid4().bytes
        with self._named_errors():
            obstore.put(self._store, PROBE, data)
            found = obstore.get(self._store, PROBE).bytes().to_bytes()
        if found != data:
            raise Broken("VM-1602", what="the store returned other bytes than were just written", where=self._url,
                         todo="look whether another store answers under this address")  # fmt: skip

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        try:
            yield
        except _REFUSALS as error:
            raise Misconfigured(
                "VM-1604", what=f"the object store refuses: {_first_line(error)}", where=self._url,
                todo="correct its credentials or rights",
            ) from error  # fmt: skip
        except (store_errors.BaseError, OSError) as error:
            raise Transient(
                "VM-1603", what=f"the object store is away or full: {_first_line(error)}", where=self._url,
                todo="check the address, the network and the free space",
            ) from error  # fmt: skip


def check_size(data: bytes, where: str) -> None:
    """Raise `Refused` VM-1605 for more than `MAX_BYTES`."""
    if len(data) > MAX_BYTES:
        raise Refused(
            "VM-1605", what=f"object of {len(data)} bytes, at most {MAX_BYTES}", where=where,
            todo="split the file into several messages",
        )  # fmt: skip


def check_name(name: str, where: str) -> None:
    """Raise `Refused` VM-1601 for a name that is no digest, so that no key leads out of the store."""
    if not _DIGEST.fullmatch(name):
        raise Refused(
            "VM-1601", what="the name of the object is not 64 hexadecimal digits", where=where,
            todo="give the sha256 that the event holds",
        )  # fmt: skip


def check_bytes(name: str, data: bytes, where: str) -> None:
    """Raise `Broken` VM-1602 unless `data` is what `name` says."""
    if digest(data) != name:
        raise Broken(
            "VM-1602", what=f"object {name} holds other bytes ({len(data)})", where=where,
            todo="restore it from a copy; do not trust what cites it until then",
        )  # fmt: skip


def missing(name: str, where: str) -> Refused:
    """Return the error for an object that is not there."""
    return Refused(
        "VM-1601", what=f"there is no object {name}", where=where,
        todo="check that all workers use the same object store",
    )  # fmt: skip


def _open(url: str) -> Store:
    parts = urlsplit(url)
    if parts.scheme == "file":
        return LocalStore(Path(unquote(parts.path)), mkdir=True)
    if not parts.scheme:
        raise ValueError("it has no scheme")
    return from_url(
        url,
        client_options={"timeout": timedelta(seconds=REQUEST_S)},
        retry_config={"max_retries": RETRIES, "retry_timeout": timedelta(seconds=REQUEST_S)},
    )


def _shown(url: str) -> str:
    """Return `url` without user and password."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()


def _first_line(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
