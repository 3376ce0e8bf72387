"""Asks each server a real question; what answers is ready."""

from __future__ import annotations

import json
import socket
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import unquote, urlsplit

from vigimesh.app.devstack.state import StackUrls

#: Seconds one question may take: a server that is up answers in milliseconds, and the keeper waits meanwhile.
PROBE_S = 2.0

#: Bytes read of an answer; the longest expected one is a list of some 30 subjects.
ANSWER_MAX_BYTES = 1_000_000


def kafka_answers(bootstrap: str) -> bool:
    """Return whether the broker lists its topics."""
    host, _, port = bootstrap.rpartition(":")
    try:
        # A refused connection is known at once; the client below would only log it and wait.
        socket.create_connection((host, int(port)), timeout=PROBE_S).close()
    except OSError:
        return False
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

    client = AdminClient({"bootstrap.servers": bootstrap, "log_level": 2, "socket.timeout.ms": 2000})
    try:
        return bool(client.list_topics(timeout=PROBE_S).brokers)
    except KafkaException:
        return False


def registry_answers(base_url: str) -> bool:
    """Return whether the registry lists its subjects."""
    # No proxy: the address is loopback, whatever the environment says.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{base_url}/subjects", timeout=PROBE_S) as answer:
            return isinstance(json.loads(answer.read(ANSWER_MAX_BYTES)), list)
    except (OSError, ValueError, urllib.error.URLError):
        return False


def valkey_answers(url: str) -> bool:
    """Return whether Valkey answers PING (while it loads its file it answers something else)."""
    path = unquote(urlsplit(url).path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(PROBE_S)
        try:
            connection.connect(path)
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
        except OSError:
            return False


def postgres_answers(uri: str) -> bool:
    """Return whether the database `vigimesh` answers a query."""
    import psycopg

    try:
        with psycopg.connect(uri, connect_timeout=int(PROBE_S)) as connection:
            return connection.execute("SELECT 1").fetchone() == (1,)
    except psycopg.OperationalError:
        return False


def all_answer(urls: StackUrls) -> bool:
    """Return whether every part of a stack answers, the object folder included."""
    return (
        Path(unquote(urlsplit(urls.objects).path)).is_dir()
        and valkey_answers(urls.redis)
        and registry_answers(urls.registry)
        and kafka_answers(urls.kafka)
        and postgres_answers(urls.postgres)
    )
