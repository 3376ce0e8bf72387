"""The small models that come with the package, and what is said when one is not there."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable

from vigimesh.domain.cascade.artefact import read_model
from vigimesh.domain.cascade.extraction import Tagger
from vigimesh.domain.cascade.extraction_files import read_tagger
from vigimesh.domain.cascade.model import Absent, Model
from vigimesh.errors import Misconfigured
from vigimesh.events.ids import digest

#: Is the case serious, is it graded 4 or 5 (both from narrative and facts); does a sentence tell of an adverse event.
SERIOUS, GRAVE, ADVERSE_EVENT = "serious", "grave", "adverse_event"
NAMES = (SERIOUS, GRAVE, ADVERSE_EVENT)
#: Who has no frequencies of words of its own, and whose it takes: both learned from the same reports.
LENDERS = {GRAVE: SERIOUS}
#: Which words of a sentence are drugs, reactions, doses, ages, times.
EXTRACTION = "extraction"
EVERY = (*NAMES, EXTRACTION)
#: The file of the folder that names every other one with its sha256, as `sha256sum` writes it.
SUMS = "SHA256SUMS"


def shipped_header(name: str) -> bytes:
    """Return the JSON of a shipped model, with the facts of its card (`artefact.card_of`). Raises `Misconfigured` VM-2202."""
    return _file(name, f"{name}.json")


@cache
def shipped_model(name: str) -> Model:
    """Return a shipped model. Raises `Misconfigured` VM-2201 when it was altered, VM-2202 when it is not there."""
    return model_of(name, lambda file: _file(name, file))


def model_of(name: str, read: Callable[[str], bytes]) -> Model:
    """Return a model from what `read` gives for `NAME.json`, `NAME.npz`, its lender's npz and `SHA256SUMS`, checked against each other.

    Raises `Misconfigured` VM-2201 when one was altered, and what `read` raises.
    """
    wanted = listed(read(SUMS)).get(f"{name}.json", "not listed")
    lender = read(f"{LENDERS[name]}.npz") if name in LENDERS else b""
    return read_model(read(f"{name}.json"), read(f"{name}.npz"), wanted, lender)


@cache
def shipped_tagger() -> Tagger:
    """Return the shipped tagger of fields. Raises `Misconfigured` VM-2201 when it was altered, VM-2202 when it is not there."""
    return tagger_of(lambda file: _file(EXTRACTION, file))


def tagger_of(read: Callable[[str], bytes]) -> Tagger:
    """Return a tagger as `model_of` returns a model. Raises `Misconfigured` VM-2201 when a file was altered, and what `read` raises."""
    wanted = listed(read(SUMS)).get(f"{EXTRACTION}.json", "not listed")
    return read_tagger(read(f"{EXTRACTION}.json"), read(f"{EXTRACTION}.npz"), wanted=wanted)


def shipped_or_absent(name: str) -> Model | Absent:
    """Return a shipped model, or why there is none: then a case goes on to the next tier, and the record says so."""
    try:
        return shipped_model(name)
    except Misconfigured as error:
        return Absent(why=f"{error.code} {error.what}")


def _file(name: str, file: str) -> bytes:
    try:
        return (_folder() / file).read_bytes()
    except OSError:
        raise Misconfigured(
            "VM-2202", what=f"the small model {name} is not installed", where=file,
            todo="install vigimesh again; until then the small tier is absent",
        ) from None  # fmt: skip


def _folder() -> Traversable:
    return resources.files("vigimesh.domain.cascade") / "models"


def listed(sums: bytes) -> dict[str, str]:
    """Return file name -> digest of a SHA256SUMS file; lines that are none are left out."""
    pairs = (line.split("  ", 1) for line in sums.decode("utf-8", errors="replace").splitlines())
    return {pair[1]: pair[0] for pair in pairs if len(pair) == 2}


def sums_of(files: dict[str, bytes]) -> bytes:
    """Return a SHA256SUMS file of these files, in the order of their names."""
    return "".join(f"{digest(data)}  {name}\n" for name, data in sorted(files.items())).encode()
