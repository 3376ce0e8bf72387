"""The coordinator's records: bytes of a real broker (Kafka 4.4), the older form, and what is not known."""

from __future__ import annotations

import struct
from datetime import UTC, datetime, timedelta

import pytest

from vigimesh.adapters.kafka.cluster.transaction_log import STATES, Transaction, id_of, transaction_of
from vigimesh.adapters.kafka.cluster.transactions import Listing
from vigimesh.errors import Refused

#: Written by a broker for a producer that had just connected, and for one with two partitions in its transaction.
EMPTY = "0001000000000000000000000000ea600000000001a20dc188ebffffffffffffffff0100080000000000000000"
ONGOING = (
    "0001000000000000000000000000ea60010203743103000000020000000100000001a20dc18b63000001a20dc18b63"
    "0100080000000000000000"
)


def test_a_record_of_a_real_broker_is_read() -> None:
    found = transaction_of("x", bytes.fromhex(ONGOING))
    assert found == Transaction(
        id="x", state="ongoing", producer_id=0, epoch=0, timeout_ms=60_000,
        updated_at=datetime(2026, 11, 24, 13, 31, 57, 667_000, UTC),
        started_at=datetime(2026, 11, 24, 13, 31, 57, 667_000, UTC), partitions=(("t1", 2), ("t1", 1)),
    )  # fmt: skip
    assert found.is_open
    empty = transaction_of("x", bytes.fromhex(EMPTY))
    assert (empty.state, empty.started_at, empty.partitions, empty.is_open) == ("empty", None, (), False)


@pytest.mark.parametrize("number", range(len(STATES)))
def test_the_form_of_older_brokers_is_read(number: int) -> None:
    topic = b"a.topic"
    body = struct.pack(">hqhib", 0, 7, 3, 10_000, number)
    body += struct.pack(">ih", 1, len(topic)) + topic + struct.pack(">iii", 2, 0, 5)
    body += struct.pack(">qq", 1_000, 500)
    found = transaction_of("x", body)
    assert (found.state, found.producer_id, found.epoch, found.timeout_ms) == (STATES[number], 7, 3, 10_000)
    assert found.partitions == (("a.topic", 0), ("a.topic", 5))
    assert found.is_open == (number in {1, 2, 3, 7})


def test_a_missing_list_of_partitions_is_none() -> None:
    body = struct.pack(">hqhibiqq", 0, 7, 3, 10_000, 0, -1, 1_000, -1)
    assert transaction_of("x", body).partitions == ()


@pytest.mark.parametrize("whole", [EMPTY, ONGOING])
def test_a_record_that_is_cut_off_is_refused_and_never_guessed(whole: str) -> None:
    # The optional fields at the end are not read: a cut there loses nothing.
    needed = len(bytes.fromhex(whole)) - 11
    for size in range(needed):
        with pytest.raises(Refused, match="VM-1723"):
            transaction_of("x", bytes.fromhex(whole)[:size])


@pytest.mark.parametrize("value", [b"\x00\x02" + bytes(60), b"\x00\x01" + b"\xff" * 60])
def test_an_unknown_version_or_an_impossible_length_is_refused(value: bytes) -> None:
    with pytest.raises(Refused, match="VM-1723"):
        transaction_of("x", value)


@pytest.mark.parametrize(("updated_ms", "started_ms"), [(2**63 - 1, -1), (-(2**63), -1), (1_000, 2**62)])
def test_a_time_that_no_calendar_holds_is_damage(updated_ms: int, started_ms: int) -> None:
    body = struct.pack(">hqhibiqq", 0, 7, 3, 10_000, 0, -1, updated_ms, started_ms)
    with pytest.raises(Refused, match="VM-1723"):
        transaction_of("x", body)


def test_a_key_names_the_id() -> None:
    assert id_of(b"\x00\x00\x00\x03abc") == "abc"
    assert id_of(b"\x00\x01\x00\x03abc") is None
    assert id_of(b"") is None


def test_the_broker_has_its_clean_up_interval_beyond_the_time_out() -> None:
    one = transaction_of("x", bytes.fromhex(ONGOING))
    assert one.started_at is not None
    assert Listing(cleanup_ms=1_000).due_at(one) == one.started_at + timedelta(seconds=61)
    # Not told: the default counts, which is longer.
    assert Listing().due_at(one) == one.started_at + timedelta(seconds=70)
    assert Listing().due_at(transaction_of("x", bytes.fromhex(EMPTY))) is None
