"""One suite on the object store in memory and on a real folder: content-addressed, create-only, checked."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vigimesh.adapters.memory.objects import MemoryObjects
from vigimesh.adapters.objects.store import ObjectStore, key_of
from vigimesh.errors import Broken, Misconfigured, Refused, Transient
from vigimesh.events.ids import digest
from vigimesh.ports import Objects


@dataclass(frozen=True)
class Store:
    """A store under test, and how to damage what it holds."""

    objects: Objects
    overwrite: Callable[[str, bytes], None]
    count: Callable[[], int]


@pytest.fixture(params=["memory", "folder"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "memory":
        held = MemoryObjects()
        yield Store(held, held.held.__setitem__, lambda: len(held.held))
        return
    folder = tmp_path / "new" / "with blank"
    yield Store(
        ObjectStore(folder.as_uri()),
        lambda name, data: _write(folder / key_of(name), data),
        lambda: sum(file.is_file() for file in folder.rglob("*")),
    )


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


@given(data=st.binary(max_size=4096))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
def test_bytes_come_back_under_their_digest(store: Store, data: bytes) -> None:
    name = store.objects.put(data)
    assert name == digest(data)
    assert store.objects.get(name) == data


def test_the_same_bytes_are_stored_once(store: Store) -> None:
    assert store.objects.put(b"x") == store.objects.put(b"x")
    assert store.count() == 1


def test_many_writers_of_the_same_bytes_agree(store: Store) -> None:
    data = [bytes([n % 3]) * 100_000 for n in range(60)]
    with ThreadPoolExecutor(8) as pool:
        written = list(pool.map(store.objects.put, data))
    assert [store.objects.get(name) for name in written] == data
    assert store.count() == 3


def test_what_is_there_is_never_overwritten(store: Store) -> None:
    name = store.objects.put(b"x")
    store.overwrite(name, b"damaged")
    store.objects.put(b"x")
    with pytest.raises(Broken, match="VM-1602"):
        store.objects.get(name)


def test_a_missing_object_is_refused(store: Store) -> None:
    with pytest.raises(Refused, match="VM-1601"):
        store.objects.get(digest(b"never stored"))


@pytest.mark.parametrize("name", ["", "abc", "../" * 10, "A" * 64, "a" * 63 + "/", "a" * 64 + "\n"])
def test_what_is_no_digest_leads_nowhere(store: Store, name: str) -> None:
    with pytest.raises(Refused, match="VM-1601"):
        store.objects.get(name)


def test_large_objects_are_whole(store: Store) -> None:
    data = os.urandom(20_000_000)
    assert store.objects.get(store.objects.put(data)) == data


def test_keys_spread_over_two_levels() -> None:
    assert key_of("abcd" + "0" * 60) == "sha256/ab/abcd" + "0" * 60


def test_a_full_store_is_transient() -> None:
    small = MemoryObjects(capacity_bytes=10)
    small.put(b"12345678")
    small.put(b"12345678")
    with pytest.raises(Transient, match="VM-1603"):
        small.put(b"abc")


def test_a_folder_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    objects = ObjectStore(tmp_path.as_uri())
    (tmp_path / "sha256").write_text("a file where a folder should be")
    with pytest.raises((Transient, Misconfigured), match=r"VM-160[34]") as caught:
        objects.put(b"x")
    assert caught.value.todo


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_rights_says_so(tmp_path: Path) -> None:
    tmp_path.chmod(stat.S_IRUSR | stat.S_IXUSR)
    with pytest.raises((Transient, Misconfigured), match=r"VM-160[34]"):
        ObjectStore((tmp_path / "x").as_uri()).put(b"x")


@pytest.mark.parametrize("url", ["nowhere", "", "ftp://host/x", "s3://"])
def test_what_is_no_store_is_named(url: str) -> None:
    with pytest.raises(Misconfigured, match="VM-1604") as caught:
        ObjectStore(url)
    assert "file:///" in caught.value.todo


def test_a_secret_in_an_address_is_not_shown() -> None:
    with pytest.raises(Misconfigured) as caught:
        ObjectStore("ftp://user:secret@host/x?key=secret")
    assert "secret" not in str(caught.value)


def test_an_object_has_a_largest_size(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vigimesh.adapters.objects.store.MAX_BYTES", 10)
    assert store.objects.put(b"0123456789")
    with pytest.raises(Refused, match="VM-1605"):
        store.objects.put(b"0123456789a")
