"""The pinned downloads of the embedded stack: the lock, the check before use, the download that must not be trusted."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from vigimesh.app.devstack.archive import unpacked
from vigimesh.app.devstack.fetch import DOWNLOAD_ATTEMPTS, missing_bytes, obtain
from vigimesh.app.devstack.pins import Pin, load_lock, parse_lock
from vigimesh.app.devstack.progress import Silent
from vigimesh.errors import Broken, Misconfigured, Transient

DIGEST = "ab" * 32
GOOD = b"the pinned bytes"


def pin_of(content: bytes = GOOD, artifact: str = "tool") -> Pin:
    return Pin(
        sha256=hashlib.sha256(content).hexdigest(),
        size_bytes=len(content),
        group="org.example",
        artifact=artifact,
        version="1.0",
    )


def giving(
    content: bytes, calls: list[str] | None = None
) -> Callable[[Pin, Path, Callable[[int], None]], Path]:
    def download(pin: Pin, folder: Path, count: Callable[[int], None]) -> Path:
        if calls is not None:
            calls.append(pin.artifact)
        target = folder / "fresh"
        target.write_bytes(content)
        count(len(content))
        return target

    return download


def test_the_shipped_lock_pins_kafka_its_log_backend_and_the_registry() -> None:
    pins = load_lock()
    by_name = {pin.artifact: pin for pin in pins}
    assert by_name["kafka_2.13"].version == "4.4.0"
    assert by_name["slf4j-simple"].version == "1.7.36"
    registry = by_name["apicurio-registry-app"]
    assert registry.sha256 == "8bc6751c76d963734224b01d5e7f84ccb3cb61c87d3bd77c36c35f10a5cbed63"
    assert (registry.classifier, registry.packaging) == ("all", "tar.gz")
    assert len({pin.filename for pin in pins}) == len(pins) == 46


def test_a_lock_survives_being_written_and_read() -> None:
    pins = load_lock()
    assert parse_lock("".join(f"{pin.line()}\n" for pin in pins)) == pins


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"{DIGEST} 10", "expected `sha256 bytes coordinate`"),
        (f"{DIGEST[:-1]} 10 g:a:1", "is not a SHA-256"),
        (f"{DIGEST.upper()} 10 g:a:1", "is not a SHA-256"),
        (f"{DIGEST} ten g:a:1", "bad size or coordinate"),
        (f"{DIGEST} 10 g:a", "bad size or coordinate"),
        (f"{DIGEST} 10 g::1", "bad size or coordinate"),
        (f"{DIGEST} 10 g:a:../../1", "is not a file name"),
        (f"{DIGEST} 10 g:a:1\n{DIGEST} 10 g:a:1", "pinned twice"),
        ("# nothing\n\n", "is empty"),
    ],
)
def test_a_wrong_lock_is_refused_with_its_line(text: str, says: str) -> None:
    with pytest.raises(Misconfigured) as refused:
        parse_lock(text)
    assert refused.value.code == "VM-1201"
    assert says in refused.value.what
    assert "jars.lock" in refused.value.where
    assert "relock" in refused.value.todo


def test_a_missing_file_is_downloaded_once_and_kept(tmp_path: Path) -> None:
    pin, calls = pin_of(), list[str]()
    assert missing_bytes([pin], tmp_path) == len(GOOD)
    first = obtain([pin], tmp_path, progress=Silent(), download=giving(GOOD, calls))
    again = obtain([pin], tmp_path, progress=Silent(), download=giving(b"other", calls))
    assert first == again
    assert first[pin].read_bytes() == GOOD
    assert calls == ["tool"]
    assert missing_bytes([pin], tmp_path) == 0


def test_a_download_that_differs_is_refused_and_leaves_nothing_in_the_store(tmp_path: Path) -> None:
    pin = pin_of()
    evil = b"not the pinned b"
    with pytest.raises(Broken) as refused:
        obtain([pin], tmp_path, progress=Silent(), download=giving(evil))
    assert refused.value.code == "VM-1202"
    assert pin.sha256 in refused.value.what
    assert hashlib.sha256(evil).hexdigest() in refused.value.what
    assert refused.value.todo
    assert [path.name for path in tmp_path.iterdir()] == []


def test_what_has_come_is_kept_when_another_file_fails(tmp_path: Path) -> None:
    first, second = pin_of(), pin_of(b"another", artifact="other")

    def only_the_first(pin: Pin, folder: Path, count: Callable[[int], None]) -> Path:
        if pin == second:
            raise ConnectionError("no route to host")
        return giving(GOOD)(pin, folder, count)

    with pytest.raises(Transient, match="example:other"):
        obtain([first, second], tmp_path, progress=Silent(), download=only_the_first)
    assert missing_bytes([first, second], tmp_path) == second.size_bytes


def test_a_cut_download_is_tried_again(tmp_path: Path) -> None:
    pin, calls = pin_of(), list[str]()

    def cut_once(pin: Pin, folder: Path, count: Callable[[int], None]) -> Path:
        content = GOOD if calls else GOOD[:4]
        return giving(content, calls)(pin, folder, count)

    assert obtain([pin], tmp_path, progress=Silent(), download=cut_once)[pin].read_bytes() == GOOD
    assert len(calls) == 2


def test_no_network_says_what_is_missing_and_what_to_do(tmp_path: Path) -> None:
    calls = list[str]()

    def unreachable(pin: Pin, folder: Path, count: Callable[[int], None]) -> Path:
        calls.append(pin.artifact)
        raise ConnectionError("no route to host")

    with pytest.raises(Transient) as failed:
        obtain([pin_of()], tmp_path, progress=Silent(), download=unreachable)
    assert failed.value.code == "VM-1203"
    assert "org.example:tool:1.0" in failed.value.what
    assert "no route to host" in failed.value.what
    assert "network" in failed.value.todo
    assert len(calls) == DOWNLOAD_ATTEMPTS


def test_a_file_changed_after_it_was_verified_is_refused(tmp_path: Path) -> None:
    pin = pin_of()
    path = obtain([pin], tmp_path, progress=Silent(), download=giving(GOOD))[pin]
    before = path.stat()
    path.write_bytes(b"THE PINNED BYTES")
    # Same size, and the old modification time put back: the change time still tells.
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(Broken) as refused:
        obtain([pin], tmp_path, progress=Silent(), download=giving(GOOD))
    assert refused.value.code == "VM-1202"
    assert str(path) in refused.value.where


def test_an_unpacked_archive_that_was_changed_is_unpacked_anew(tmp_path: Path) -> None:
    import tarfile

    source = tmp_path / "source.txt"
    source.write_text("original", encoding="utf-8")
    archive = tmp_path / "some.tar.gz"
    with tarfile.open(archive, "w:gz") as target:
        target.add(source, arcname="lib/file.txt")
    folder = unpacked(archive, DIGEST, tmp_path)
    assert unpacked(archive, DIGEST, tmp_path) == folder
    (folder / "lib" / "file.txt").write_text("tampered!", encoding="utf-8")
    (folder / "lib" / "added.txt").write_text("smuggled", encoding="utf-8")
    unpacked(archive, DIGEST, tmp_path)
    assert (folder / "lib" / "file.txt").read_text(encoding="utf-8") == "original"
    assert not (folder / "lib" / "added.txt").exists()


def test_an_archive_that_cannot_be_unpacked_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "some.tar.gz"
    archive.write_bytes(b"no archive")
    with pytest.raises(Broken) as refused:
        unpacked(archive, DIGEST, tmp_path)
    assert refused.value.code == "VM-1202"
    assert [path.name for path in tmp_path.iterdir()] == ["some.tar.gz"]
