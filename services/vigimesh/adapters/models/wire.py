"""One request to a model's endpoint and its whole reply, sent by aiohttp, in the shape that the `openai` client asks for.

The client hands its requests to an `httpx2.AsyncClient`. Of that one only the two methods that it calls are here, and they do what a
question needs: no redirects, no cookies, no retries, none but our headers. httpx2's own pool looks at each of its connections for
each request, and its layers build a request's address and headers several times over: half of a call's processor time (decision 0062).
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from select import POLLIN, poll
from typing import Any
from urllib.parse import unquote
from urllib.request import getproxies, proxy_bypass
from weakref import WeakSet

import aiohttp
import httpx2
from aiohttp.connector import Connection
from aiohttp.http import HttpProcessingError
from yarl import URL

from vigimesh.errors import Misconfigured

#: Characters of a line or a header field of a reply's head. The library's own bound of 8,190 is what some gateways' policies come near.
MAX_FIELD_CHARACTERS = 65_536

#: What ends a reply that began, or that never came. The second is what garbage in the place of HTTP may end with.
_BROKEN = (aiohttp.ClientError, HttpProcessingError, OSError)


async def _at_once() -> None:
    """Let a call go."""


@dataclass(slots=True)
class Progress:
    """How far one call came."""

    #: Waited for before a connection is had.
    may_go: Callable[[], Awaitable[None]] = _at_once
    #: A connection was had for it: from then on a byte of it may be out.
    written: bool = False
    status: int | None = None
    #: Of the reply, with names in lower case.
    headers: Mapping[str, str] = field(default_factory=dict)


#: The call that the current task makes, set anew by each: the client hands nothing through to what sends.
PROGRESS: ContextVar[Progress] = ContextVar("model_call")


class TooLong(Exception):
    """A reply went on past its bound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Seconds to connect, TLS included; connections at once; seconds for which an idle one is kept; bytes of a reply."""

    connect_s: float
    connections: int
    idle_s: float
    reply_bytes: int


class _Connections(aiohttp.TCPConnector):
    """Connections of which none is lent that its server has closed, and whose caller knows that it has one."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        #: Those that were lent before. A new one is never turned down, or a server that closes each at once would be run down.
        self._lent: WeakSet[object] = WeakSet()

    async def connect(self, *asked: Any, **more: Any) -> Connection:
        """Lend a connection; from then on a byte may be out."""
        await PROGRESS.get().may_go()
        # Not for ever: each time round one of a bounded number is dropped.
        while True:
            lent = await super().connect(*asked, **more)
            if lent.protocol not in self._lent:
                self._lent.add(lent.protocol)
                break
            # The event loop may not have come round to what the server did to a connection that lay idle.
            if not _has_something_to_say(lent):
                break
            lent.close()
        PROGRESS.get().written = True
        return lent


def _has_something_to_say(idle: Connection) -> bool:
    """Whether something came on a connection on which nothing is to come: its end, as a rule."""
    socket = idle.transport.get_extra_info("socket") if idle.transport else None
    if socket is None or socket.fileno() < 0:
        return True
    looked = poll()
    looked.register(socket, POLLIN)
    return bool(looked.poll(0))


class Wire(httpx2.AsyncClient):
    """What the `openai` client sends by. Belongs to one event loop, to one endpoint, and to callers that set `PROGRESS`."""

    def __init__(self, base_url: str, headers: Mapping[str, str], bounds: Bounds) -> None:
        """Nothing is sent yet. Raises `Misconfigured` VM-1102 for a proxy of the environment that is no HTTP proxy."""
        # A transport that can do nothing: no request of another kind leaves by this client.
        super().__init__(transport=httpx2.AsyncBaseTransport(), timeout=None)
        at = httpx2.URL(base_url)
        self._bounds = bounds
        self._proxy, ours = _proxy(at)
        self._ours = {
            "accept": "application/json", "connection": "keep-alive", "content-type": "application/json", **ours, **headers,
        }  # fmt: skip
        self._tls = httpx2.create_ssl_context() if at.scheme == "https" else True
        self._open: aiohttp.ClientSession | None = None
        #: The last address that was asked for, as the one library and the other take it: in practice there is one.
        self._text, self._url, self._at = "", at, URL()

    def build_request(self, method: str, url: httpx2.URL | str, **rest: Any) -> httpx2.Request:
        """Return a request with the client's method, address and body; headers are ours alone and set as it is sent.

        The client would add some from variables of the environment that are no settings of ours (`OPENAI_CUSTOM_HEADERS` could even
        put another key in), and say on what machine it runs.
        """
        if self._text != url:
            self._text, self._url = str(url), httpx2.URL(url)
            self._at = URL(self._text, encoded=True)
        return httpx2.Request(method, self._url, content=rest["content"])

    async def send(self, request: httpx2.Request, **rest: Any) -> httpx2.Response:
        """Send once and return the whole reply; its headers are in the call's progress.

        Raises `httpx2.ConnectError` when no byte went out, `httpx2.ReadError` when what came is no whole reply, `TooLong`.
        """
        progress = PROGRESS.get()
        try:
            # The headers here and not in the session, which would show its own to a proxy too, the key among them.
            reply = await self._session().request(
                request.method, self._at, data=request.content, headers=self._ours, allow_redirects=False, **self._proxy
            )  # fmt: skip
            try:
                # Kept before the body, which may never end.
                progress.status = reply.status
                progress.headers = {name.lower(): value for name, value in reply.headers.items()}
                body = await self._whole(reply)
            finally:
                # Of a reply that was read to its end the connection has been given back already.
                reply.close()
        except _BROKEN as error:
            kind = httpx2.ReadError if progress.written else httpx2.ConnectError
            raise kind(type(error).__name__, request=request) from error
        return httpx2.Response(reply.status, content=body, request=request)

    async def aclose(self) -> None:
        """Close all connections."""
        if self._open is not None:
            await self._open.close()
        await super().aclose()

    async def _whole(self, reply: aiohttp.ClientResponse) -> bytes:
        parts, seen = [], 0
        async for part in reply.content.iter_any():
            seen += len(part)
            if seen > self._bounds.reply_bytes:
                raise TooLong
            parts.append(part)
        return b"".join(parts)

    def _session(self) -> aiohttp.ClientSession:
        """Return the connections, made at the first request since they belong to its event loop."""
        if self._open is None:
            self._open = aiohttp.ClientSession(
                connector=_Connections(
                    limit=self._bounds.connections, keepalive_timeout=self._bounds.idle_s, ssl=self._tls
                ),
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=self._bounds.connect_s),
                cookie_jar=aiohttp.DummyCookieJar(),
                # A packed reply, which nobody asked for, could unpack to any size.
                auto_decompress=False,
                max_line_size=MAX_FIELD_CHARACTERS, max_field_size=MAX_FIELD_CHARACTERS,
            )  # fmt: skip
        return self._open


def _proxy(at: httpx2.URL) -> tuple[dict[str, Any], dict[str, str]]:
    """Return what a request by the environment's proxy needs (`HTTPS_PROXY`, `NO_PROXY`, ...), and the headers of ours for it."""
    named = getproxies()
    text = named.get(at.scheme) or named.get("all")
    if not text or proxy_bypass(at.netloc.decode("ascii")):
        return {}, {}
    proxy = httpx2.URL(text if "://" in text else f"http://{text}")
    if proxy.scheme not in {"http", "https"}:
        raise Misconfigured(
            "VM-1102", what=f"the environment's proxy for the large model is one of {proxy.scheme!r}, and only HTTP proxies are taken",
            where="HTTPS_PROXY, HTTP_PROXY or ALL_PROXY", todo="name an HTTP proxy, or put the endpoint's host into NO_PROXY",
        )  # fmt: skip
    way: dict[str, Any] = {"proxy": str(proxy.copy_with(username=None, password=None))}
    if not proxy.userinfo:
        return way, {}
    login = b64encode(unquote(proxy.userinfo.decode("ascii")).encode()).decode("ascii")
    says = {"proxy-authorization": f"Basic {login}"}
    # Through a tunnel only the proxy may see it, without one it is read from the request itself.
    return (way | {"proxy_headers": says}, {}) if at.scheme == "https" else (way, says)
