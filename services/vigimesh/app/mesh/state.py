"""What a mesh on one data folder is: made ready once, run by one process, found by the next."""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vigimesh.app.config.model_settings import SmallModelSettings
from vigimesh.app.config.settings import Settings
from vigimesh.clock import Clock, Deadline, SystemClock
from vigimesh.errors import Misconfigured, Transient

if TYPE_CHECKING:
    from vigimesh.domain.policy.cards import Cards

#: Seconds for topics, schemas, tables and documents to be in place: a first start takes about 5.
PREPARE_S = 60.0

#: A state file holds some 500 bytes.
STATE_MAX_BYTES = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class MeshState:
    """The mesh that runs on a folder: who keeps it, where its workers' health endpoints answer, where its cards came from."""

    pid: int
    urls: Mapping[str, str]
    cards: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What `prepare` found: where the cards in force came from, and what differs from the topics table (VM-1007)."""

    cards: str
    drift: tuple[str, ...]

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return a line with its code for each thing that differs."""
        return tuple(f"VM-1007 {line}" for line in self.drift)


def prepare(settings: Settings, clock: Clock | None = None) -> Prepared:
    """Create topics and groups, register schemas, migrate the database, load the documents, say which cards are in force.

    Doing it again changes nothing but `config`, which tells each start. Raises `Misconfigured` (VM-1006, VM-1007, VM-1011) or `Transient` (VM-1301).
    """
    from vigimesh.adapters.kafka.cluster.topics import Shape, apply
    from vigimesh.adapters.kafka.registry import RegistrySchemas
    from vigimesh.adapters.postgres.library import load_into
    from vigimesh.adapters.postgres.schema import migrate
    from vigimesh.app.config.clients import quiet_kafka_of
    from vigimesh.app.in_force.cards import cards_of
    from vigimesh.app.in_force.small_model import check_models
    from vigimesh.domain.knowledge.shipped import shipped_documents

    # First, so that a wrong card or price leaves the cluster as it was.
    cards = cards_of(settings)
    check_models(settings, clock or SystemClock(), cards.cards)
    shape = Shape(partitions=settings.mesh.partitions, replication=settings.mesh.replication)
    deadline = Deadline.after(clock or SystemClock(), PREPARE_S)

    def tables() -> None:
        migrate(settings.postgres.dsn)
        load_into(settings.postgres.dsn, shipped_documents())

    # Three servers, each of which keeps one waiting.
    with ThreadPoolExecutor(3) as pool:
        report = pool.submit(apply, quiet_kafka_of(settings), shape, deadline)
        others = (pool.submit(RegistrySchemas(registry_options(settings)).register_all), pool.submit(tables))
    for done in (report, *others):
        done.result()
    _activate(settings, cards, clock or SystemClock())
    return Prepared(cards=cards.origin, drift=tuple(str(line) for line in report.result().drift))


def _activate(settings: Settings, cards: Cards, clock: Clock) -> None:
    """Write the bodies of cards and small models to the object store and their digests to `config`: what came into force, and when."""
    from vigimesh.adapters.kafka.producer import KafkaProducer
    from vigimesh.adapters.objects.store import ObjectStore
    from vigimesh.app.config.clients import codec_of, quiet_kafka_of
    from vigimesh.intake.worker import Door

    instance = f"config.{os.getpid()}"
    producer = KafkaProducer(quiet_kafka_of(settings), f"vigimesh.{instance}")
    door = Door(
        producer=producer, codec=codec_of(settings),
        objects=ObjectStore(settings.objects.url), clock=clock, instance=instance,
    )  # fmt: skip

    async def activate() -> None:
        await door.activate(
            [
                *(("card", card.name, card.body) for card in cards.cards),
                *models_in_force(settings.small_model),
            ]
        )
        await producer.close()

    asyncio.run(activate())


def models_in_force(settings: SmallModelSettings) -> Iterator[tuple[str, str, bytes]]:
    """Yield kind, name and header of each small model that can be used; its header names the digest of its weights."""
    from vigimesh.app.in_force.own_model import header_in_force, model_or_absent
    from vigimesh.domain.cascade.model import Model
    from vigimesh.domain.cascade.shipped import (
        EXTRACTION,
        NAMES,
        SERIOUS,
        shipped_header,
        shipped_or_absent,
        shipped_tagger,
    )

    if isinstance(model_or_absent(settings), Model):
        yield "model", SERIOUS, header_in_force(settings)
    for name in NAMES:
        if name != SERIOUS and isinstance(shipped_or_absent(name), Model):
            yield "model", name, shipped_header(name)
    with suppress(Misconfigured):
        shipped_tagger()
        yield "model", EXTRACTION, shipped_header(EXTRACTION)


def registry_options(settings: Settings) -> dict[str, str]:
    """Return the settings of the registry client."""
    options = {"url": settings.registry.url}
    if settings.registry.user:
        options["basic.auth.user.info"] = f"{settings.registry.user}:{settings.registry.password}"
    return options


@contextmanager
def hold_mesh(data_dir: Path) -> Iterator[None]:
    """Hold the folder's mesh for this process, so that no second one runs with the same instance names.

    Raises `Transient` (VM-1708) when another process holds it. The kernel frees the hold, however the process ends.
    """
    folder = data_dir / "mesh"
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / "mesh.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise _held(data_dir) from None
        # Of a holder that was killed.
        _state_file(data_dir).unlink(missing_ok=True)
        try:
            yield
        finally:
            _state_file(data_dir).unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def _held(data_dir: Path) -> Transient:
    """Return the error for a folder whose mesh another process runs."""
    known = read_mesh(data_dir)
    return Transient(
        "VM-1708",
        what="a mesh runs on this folder already" + (f", kept by process {known.pid}" if known else ""),
        where=str(data_dir),
        todo="use the one that runs, stop it with Ctrl-C, or give --data another folder",
    )


def write_mesh(data_dir: Path, urls: Mapping[str, str], cards: str = "") -> None:
    """Write who keeps the mesh, where it answers and its cards, whole or not at all; the mesh must be held."""
    target = _state_file(data_dir)
    draft = target.with_suffix(".new")
    state = MeshState(pid=os.getpid(), urls=dict(urls), cards=cards)
    draft.write_text(json.dumps(asdict(state)) + "\n", encoding="utf-8")
    draft.replace(target)


def read_mesh(data_dir: Path) -> MeshState | None:
    """Return what the process that holds the mesh wrote, or `None` when nobody holds it or it is not up yet."""
    if not _is_held(data_dir):
        return None
    path = _state_file(data_dir)
    with suppress(OSError, ValueError, KeyError, TypeError):
        if path.stat().st_size <= STATE_MAX_BYTES:
            body = json.loads(path.read_text(encoding="utf-8"))
            return MeshState(pid=int(body["pid"]), urls=dict(body["urls"]), cards=str(body["cards"]))
    return None


def _is_held(data_dir: Path) -> bool:
    try:
        descriptor = os.open(data_dir / "mesh" / "mesh.lock", os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def _state_file(data_dir: Path) -> Path:
    return data_dir / "mesh" / "mesh.json"
