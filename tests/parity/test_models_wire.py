"""What the stand-in cannot do: an endpoint that redirects, never ends, stops in its head, or lets idle connections go."""

from __future__ import annotations

import asyncio
import gzip
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from standins import KEY, SHORT_S, STILL, question, warm_up
from vigimesh.adapters.models import openai as openai_models
from vigimesh.adapters.models.openai import OpenAIModels
from vigimesh.app.standin.chat import StandIn
from vigimesh.app.standin.server import Server
from vigimesh.clock import SystemClock
from vigimesh.domain.cascade.question import Answer, InDoubt, NotMade
from vigimesh.errors import Misconfigured
from waiting import until_async

OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
Outcome = Answer | NotMade | InDoubt


@dataclass
class Raw:
    """A server that reads one request a connection and writes what it was given, then closes or waits."""

    says: bytes
    closes: bool = True
    base_url: str = ""
    requests: list[bytes] = field(default_factory=list)
    left: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
        self.requests.append(head + await reader.readexactly(length))
        writer.write(self.says)
        await writer.drain()
        if not self.closes:
            await reader.read()
            self.left += 1
        writer.close()


@asynccontextmanager
async def raw(says: bytes, *, closes: bool = True, tls: ssl.SSLContext | None = None) -> AsyncIterator[Raw]:
    await warm_up()
    endpoint = Raw(says, closes)
    server = await asyncio.start_server(endpoint.serve, "127.0.0.1", 0, ssl=tls)
    async with server:
        endpoint.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        yield endpoint


def models(base_url: str) -> OpenAIModels:
    return OpenAIModels(base_url, KEY, clock=SystemClock())


def asked(says: bytes, *, closes: bool = True, deadline_s: float = 20) -> tuple[Outcome, Raw]:
    """Ask an endpoint that says this; hold that it was asked once."""

    async def run() -> tuple[Outcome, Raw]:
        async with raw(says, closes=closes) as endpoint:
            client = models(endpoint.base_url)
            found = await client.ask(question(deadline_s=deadline_s))
            if not closes:
                await until_async(lambda: endpoint.left == 1, within_s=10, what="hung up")
            await client.close()
            assert len(endpoint.requests) == 1
            return found, endpoint

    return asyncio.run(run())


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(status: int) -> None:
    found, _ = asked(b"HTTP/1.1 %d X\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n" % status)
    assert isinstance(found, NotMade)
    assert "base URL" in found.mend


@pytest.mark.parametrize(
    "says",
    [
        b"",
        b"not HTTP at all\r\n\r\n",
        b"HTTP/1.1 200",
        OK + b"content-length: 5000\r\n\r\n{",
        OK + b"transfer-encoding: chunked\r\n\r\nzz\r\n",
        OK + b"content-length: 6\r\n\r\n<html>",
        OK + b"content-encoding: gzip\r\ncontent-length: 4\r\n\r\nnope",
        b"HTTP/1.1 500 X\r\ncontent-length: 50\r\n\r\ncut",
        OK + b"x: " + b"y" * 100_000 + b"\r\ncontent-length: 2\r\n\r\n{}",
        b"HTTP/1.1 101 X\r\nupgrade: other\r\nconnection: upgrade\r\n\r\n",
    ],
)
def test_what_is_no_whole_reply_is_in_doubt(says: bytes) -> None:
    assert isinstance(asked(says)[0], InDoubt)


def test_a_packed_reply_that_nobody_asked_for_is_not_unpacked() -> None:
    """It could unpack to any size; that the endpoint is busy is known all the same."""
    packed = gzip.compress(b" " * 50_000_000)
    head = b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(packed)
    assert isinstance(asked(OK + head + packed)[0], InDoubt)
    found, _ = asked(b"HTTP/1.1 429 X\r\nretry-after: 5\r\n" + head + packed)
    assert found == NotMade(why="the endpoint answered 429", retry_after_s=5.0)


@pytest.mark.parametrize("closes", [True, False])
def test_busy_is_known_from_the_head_alone(closes: bool) -> None:
    head = b"HTTP/1.1 429 X\r\nretry-after: 5\r\ncontent-length: 50\r\n\r\n{"
    found, _ = asked(head, closes=closes, deadline_s=20 if closes else SHORT_S)
    assert found == NotMade(why="the endpoint answered 429", retry_after_s=5.0)


def test_a_head_that_never_ends_is_cut_at_the_deadline() -> None:
    assert isinstance(asked(b"HTTP/1.1 200 OK\r\nx: ", closes=False, deadline_s=SHORT_S)[0], InDoubt)


def test_a_reply_has_a_largest_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_models, "MAX_REPLY_BYTES", 1_000)
    found, _ = asked(OK + b"content-length: 5000\r\n\r\n" + b" " * 5_000, closes=False)
    assert found == InDoubt(why="the answer is longer than 1000 bytes")


def test_only_our_settings_reach_the_endpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ORG_ID", "PROJECT_ID", "API_KEY", "ADMIN_KEY", "BASE_URL", "CUSTOM_HEADERS"):
        monkeypatch.setenv(f"OPENAI_{name}", "authorization: from-outside")
    _, endpoint = asked(OK + b"content-length: 2\r\n\r\n{}")
    head, _, body = endpoint.requests[0].partition(b"\r\n\r\n")
    names = {line.partition(b":")[0].lower() for line in head.split(b"\r\n")[1:]}
    assert names == set(
        b"host connection accept content-type content-length authorization accept-encoding user-agent".split()
    )
    assert b"from-outside" not in endpoint.requests[0]
    assert b"authorization: bearer " + KEY.encode() in head.lower()
    assert b"accept-encoding: identity" in head.lower()
    assert b'"json_schema"' in body
    assert b'"max_tokens":200' in body.replace(b" ", b"")


def test_what_an_endpoint_wants_kept_is_not_sent_back() -> None:
    """No cookies: nothing but our settings goes with a question."""

    async def run() -> None:
        async with raw(OK + b"set-cookie: a=b\r\ncontent-length: 2\r\n\r\n{}") as endpoint:
            client = models(endpoint.base_url)
            for _ in range(2):
                assert isinstance(await client.ask(question()), InDoubt)
            await client.close()
            assert len(endpoint.requests) == 2
            assert not any(b"a=b" in one for one in endpoint.requests)

    asyncio.run(run())


def by_proxy(monkeypatch: pytest.MonkeyPatch, scheme: str, says: bytes) -> tuple[Outcome, bytes]:
    """Ask an endpoint that can be reached by the environment's proxy alone; return what came and what the proxy read."""
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)

    async def run() -> tuple[Outcome, bytes]:
        async with raw(says) as proxy:
            at = proxy.base_url.removeprefix("http://").removesuffix("/v1")
            monkeypatch.setenv(f"{scheme}_proxy", f"http://we:p%40ss@{at}")
            client = models(f"{scheme}://models.invalid/v1")
            found = await client.ask(question())
            await client.close()
            (request,) = proxy.requests
            return found, request

    return asyncio.run(run())


#: `we:p@ss`, as HTTP wants it.
LOGIN = b"proxy-authorization: basic d2u6cebzcw=="


def test_the_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    found, request = by_proxy(monkeypatch, "http", b"HTTP/1.1 429 X\r\ncontent-length: 0\r\n\r\n")
    assert found == NotMade(why="the endpoint answered 429")
    assert request.startswith(b"POST http://models.invalid/v1/chat/completions HTTP/1.1\r\n")
    assert LOGIN in request.lower()


def test_a_tunnel_that_a_proxy_refuses_made_no_call(monkeypatch: pytest.MonkeyPatch) -> None:
    """The proxy reads its own login and the endpoint's host, and neither key nor question."""
    found, request = by_proxy(monkeypatch, "https", b"HTTP/1.1 403 X\r\ncontent-length: 0\r\n\r\n")
    assert found == NotMade(why="the connection failed: ConnectError")
    assert request.startswith(b"CONNECT models.invalid:443 HTTP/1.1\r\n")
    assert LOGIN in request.lower()
    assert KEY.encode() not in request
    assert b"hospital" not in request


def test_an_endpoint_that_needs_no_proxy_is_asked_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    assert isinstance(asked(OK + b"content-length: 2\r\n\r\n{}")[0], InDoubt)


def test_a_proxy_of_another_kind_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "socks5://we:secret@127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "")
    with pytest.raises(Misconfigured, match="VM-1102") as told:
        models("http://127.0.0.1:2/v1")
    assert "secret" not in str(told.value)


def certified(name: str, folder: Path) -> tuple[Path, ssl.SSLContext]:
    """Return a certificate that its own key has signed for a name, and what a server that has it is."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file, both = folder / "certificate.pem", folder / "both.pem"
    file.write_bytes(made.public_bytes(Encoding.PEM))
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    both.write_bytes(secret + file.read_bytes())
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(both)
    return file, server


@pytest.mark.parametrize(("name", "trusted"), [("localhost", True), ("localhost", False), ("other", True)])
def test_over_tls_only_who_is_trusted_by_that_name_is_asked(
    name: str, trusted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To anybody else no byte of a question goes, nor the key: the call was not made."""
    file, server = certified(name, tmp_path)
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(file))

    async def run() -> None:
        async with raw(b"HTTP/1.1 429 X\r\ncontent-length: 0\r\n\r\n", tls=server) as endpoint:
            client = models(endpoint.base_url.replace("http://127.0.0.1", "https://localhost"))
            found = await client.ask(question())
            await client.close()
            asked_it = trusted and name == "localhost"
            why = "the endpoint answered 429" if asked_it else "the connection failed: ConnectError"
            assert found == NotMade(why=why)
            assert len(endpoint.requests) == asked_it

    asyncio.run(run())


def test_an_idle_connection_that_was_closed_is_not_used_again() -> None:
    async def run() -> None:
        standin = StandIn(STILL)
        async with Server(standin) as first:
            client = models(first.base_url)
            assert isinstance(await client.ask(question()), Answer)
        # The same address, another life: what lay idle has been closed meanwhile.
        async with Server(standin, first.port) as second:
            assert isinstance(await client.ask(question()), Answer)
            assert second.open == 1
            await client.close()

    asyncio.run(run())


def test_a_connection_that_nobody_takes_up_is_not_made_within_the_deadline() -> None:
    """More connections than the client may open: the last call waits for one, in vain."""

    async def run(most: int, answered: Callable[[OpenAIModels], Awaitable[Outcome]]) -> Outcome:
        async with raw(b"", closes=False) as endpoint:
            client = models(endpoint.base_url)
            first = [asyncio.create_task(client.ask(question(deadline_s=30))) for _ in range(most)]
            await until_async(
                lambda: len(endpoint.requests) == most, within_s=20, what="all connections taken"
            )
            found = await answered(client)
            assert len(endpoint.requests) == most
            for task in first:
                task.cancel()
            await asyncio.wait(first)
            await until_async(lambda: endpoint.left == most, within_s=20, what="all hung up")
            await client.close()
            return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(openai_models, "CONNECTIONS", 3)
        found = asyncio.run(run(3, lambda client: client.ask(question(deadline_s=SHORT_S))))
    assert found == NotMade(why="no answer within 1 s")
