"""The librarian's loop: its duties side by side, each at its own pace; trouble of one holds up no other."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from vigimesh import names
from vigimesh.errors import Misconfigured, Refused, Transient
from vigimesh.loop.health import Health
from vigimesh.loop.telemetry import Telemetry

_log = logging.getLogger(__name__)

NAME = "librarian"
#: Seconds before a duty that failed is tried again, doubled at each failure in a row, up to the most.
BACKOFF_S, MAX_BACKOFF_S = 1.0, 60.0
#: Seconds between two looks at the stop signal.
LOOK_AGAIN_S = 0.2


class Duty(Protocol):
    """Something that the librarian does again and again."""

    #: What it is called in metrics and health: one word.
    name: str
    #: Seconds from the end of one step to the beginning of the next.
    every_s: float

    async def step(self) -> int:
        """Do what is to be done now and return how many things were; may be cut off anywhere, and do it again then.

        Raises `Transient`, or `Refused` and `Misconfigured` for what a person must mend: it is tried again later. Anything else
        ends the process.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Librarian:
    """What a librarian is made of. `pause` waits for so many seconds."""

    duties: Sequence[Duty]
    telemetry: Telemetry
    health: Health
    pause: Callable[[float], Awaitable[None]] = asyncio.sleep
    #: What keeps a duty from its work, by its name.
    troubles: dict[str, str] = field(default_factory=dict)


async def run(librarian: Librarian, stop: threading.Event) -> None:
    """Go on until `stop` is set. Raises what ended a duty: `Fenced`, `Broken` or a defect."""
    going = [asyncio.ensure_future(_keep(librarian, duty)) for duty in librarian.duties]
    try:
        while not stop.is_set():
            for one in going:
                if one.done():
                    await one
            librarian.health.beat()
            await librarian.pause(LOOK_AGAIN_S)
    finally:
        librarian.health.ready = False
        for one in going:
            one.cancel()
        await asyncio.gather(*going, return_exceptions=True)


async def _keep(librarian: Librarian, duty: Duty) -> None:
    """Do a duty again and again."""
    labels, wait_s = {"duty": duty.name}, BACKOFF_S
    while True:
        try:
            done = await duty.step()
        except (Transient, Refused, Misconfigured) as error:
            _log.warning("duty %s waits %g s: %s", duty.name, wait_s, error)
            librarian.troubles[duty.name] = str(error)
            librarian.telemetry.add(names.DUTY_FAILED, 1, {**labels, "code": error.code})
            _tell(librarian)
            await librarian.pause(wait_s)
            wait_s = min(2 * wait_s, MAX_BACKOFF_S)
            continue
        librarian.troubles.pop(duty.name, None)
        librarian.telemetry.add(names.DUTY_DONE, done, labels)
        _tell(librarian)
        wait_s = BACKOFF_S
        await librarian.pause(duty.every_s)


def _tell(librarian: Librarian) -> None:
    librarian.health.ready = not librarian.troubles
    librarian.health.trouble = "; ".join(f"{name}: {why}" for name, why in librarian.troubles.items())
