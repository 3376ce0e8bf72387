"""Models under test: the stand-in over HTTP on loopback, and the same stand-in behind the memory twin, without a socket."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass, field

from vigimesh.adapters.memory.models import MemoryModels, Reply
from vigimesh.adapters.models.openai import OpenAIModels, request_body
from vigimesh.app.standin.chat import MODEL, StandIn
from vigimesh.app.standin.profile import Profile
from vigimesh.app.standin.server import DRIP_S, HANG_S, Server
from vigimesh.clock import SystemClock
from vigimesh.domain.cascade.question import AnswerSchema, Message, Question, prompt_digest
from vigimesh.ports import Models

KEY = "sk-a-secret-that-nobody-may-see"
SCHEMA = AnswerSchema(
    "triage", '{"type": "object", "properties": {"serious": {"enum": ["yes", "no"]}, "grade": {"type": "integer"}}}'
)  # fmt: skip
#: At once and always the same: what a test does not ask for does not happen.
STILL = Profile(latency_ms=0, spread=0)


def question(text: str = "The patient was in hospital.", *, deadline_s: float = 20) -> Question:
    """Return a question to the stand-in."""
    return Question(
        model=MODEL, messages=(Message("system", "Triage."), Message("user", text)), max_tokens=200,
        deadline_s=deadline_s, schema=SCHEMA,
    )  # fmt: skip


#: Seconds of a deadline that is meant to pass, long enough for a warm client to have asked on a busy machine.
SHORT_S = 1.0
_warm: list[bool] = []


async def warm_up() -> None:
    """Ask once in this process: a first call loads modules, which a short deadline must not pay for."""
    if not _warm:
        async with Server(StandIn(STILL)) as server:
            client = OpenAIModels(server.base_url, KEY, clock=SystemClock())
            await client.ask(question("warm"))
            await client.close()
        _warm.append(True)


@dataclass(frozen=True, kw_only=True)
class World:
    """A stand-in and ways to it. `models(headers)` sends `headers` with every request; `away()` reaches nothing."""

    standin: StandIn
    models: Callable[[Mapping[str, str]], Models]
    away: Callable[[], Models]
    #: Calls or connections that are open now.
    open: Callable[[], int]

    def calls(self, asked: Question) -> int:
        """Return how often the stand-in was asked this."""
        tally = self.standin.by_digest.get(prompt_digest(asked))
        return tally.calls if tally else 0


@asynccontextmanager
async def http_world(profile: Profile = STILL) -> AsyncIterator[World]:
    """Serve the stand-in on loopback."""
    await warm_up()
    standin = StandIn(profile)
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(Server(standin))
        async with Server(StandIn()) as gone:
            nowhere = gone.base_url

        def models(base_url: str, headers: Mapping[str, str]) -> Models:
            made = OpenAIModels(base_url, KEY, clock=SystemClock(), headers=headers)
            stack.push_async_callback(made.close)
            return made

        yield World(
            standin=standin,
            models=lambda headers: models(server.base_url, headers),
            away=lambda: models(nowhere, {}),
            open=lambda: server.open,
        )


@dataclass
class _Twins:
    """Every memory twin that a world made."""

    made: list[MemoryModels] = field(default_factory=list)

    def models(self, serve: Callable[[Question], Reply | None]) -> Models:
        self.made.append(MemoryModels(serve, SystemClock()))
        return self.made[-1]


@asynccontextmanager
async def memory_world(profile: Profile = STILL) -> AsyncIterator[World]:
    """Put the stand-in behind the memory twin."""
    standin, twins = StandIn(profile), _Twins()

    def serving(headers: Mapping[str, str]) -> Models:
        return twins.models(lambda asked: played(standin, asked, headers))

    yield World(
        standin=standin,
        models=serving,
        away=lambda: twins.models(lambda asked: None),
        open=lambda: sum(twin.open for twin in twins.made),
    )


def played(standin: StandIn, asked: Question, headers: Mapping[str, str]) -> Reply:
    """Return what the server would make of a question, as the memory twin plays it."""
    plan = standin.plan(json.dumps(request_body(asked, "max_tokens")).encode(), headers)
    after_s = {"hang": HANG_S, "drip": len(plan.body) * DRIP_S}.get(plan.manner, plan.after_s)
    return Reply(
        status=0 if plan.manner in {"close", "hang"} else plan.status,
        body=plan.body,
        headers=dict(plan.headers),
        after_s=after_s,
        whole=plan.manner in {"whole", "drip"},
    )


@contextmanager
def served(standin: StandIn) -> Iterator[str]:
    """Serve a stand-in from a thread of its own; give its base URL."""
    ready, stop, urls = threading.Event(), asyncio.Event(), list[str]()
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        async with Server(standin) as server:
            urls.append(server.base_url)
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), name="stand-in", daemon=True)
    thread.start()
    assert ready.wait(20)
    try:
        yield urls[0]
    finally:
        loops[0].call_soon_threadsafe(stop.set)
        thread.join(20)
