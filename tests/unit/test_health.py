"""What a container platform is told of the loops of a process."""

from __future__ import annotations

import http.client
from collections.abc import Iterator

import pytest

import clocks
from vigimesh.loop.health import STANDBY, STUCK_S, Health, HealthServer
from waiting import WAIT_S


def test_a_loop_begins_alive_and_not_ready() -> None:
    health = Health(clocks.Hand())
    assert (health.alive, health.ready, health.trouble) == (True, False, "")


def test_a_loop_that_does_not_come_round_is_stuck_until_it_does() -> None:
    clock = clocks.Hand()
    health = Health(clock)
    clock.at_s += STUCK_S - 0.001
    assert health.alive
    clock.at_s += 0.001
    states = [health.alive]
    health.beat()
    states.append(health.alive)
    clock.at_s += STUCK_S
    assert [*states, health.alive] == [False, True, False]


@pytest.fixture
def served() -> Iterator[tuple[clocks.Hand, list[Health], int]]:
    clock = clocks.Hand()
    healths = [Health(clock), Health(clock)]
    server = HealthServer("127.0.0.1", 0, healths, lambda: b"vigimesh_x_total 1\n")
    server.start()
    yield clock, healths, server.port
    server.stop()


def ask(port: int, path: str) -> tuple[int, str, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=WAIT_S)
    connection.request("GET", path)
    answer = connection.getresponse()
    found = answer.status, answer.read().decode(), answer.headers["Content-Type"]
    connection.close()
    return found


@pytest.mark.enable_socket
def test_a_process_is_ready_when_each_of_its_loops_is(
    served: tuple[clocks.Hand, list[Health], int],
) -> None:
    _, healths, port = served
    assert ask(port, "/readyz")[:2] == (503, "not ready\n")
    healths[0].ready = True
    healths[1].trouble = "VM-1301 broker away"
    assert ask(port, "/readyz")[:2] == (503, "not ready: VM-1301 broker away\n")
    healths[1].ready, healths[1].trouble = True, ""
    assert ask(port, "/readyz")[:2] == (200, "ready\n")


@pytest.mark.enable_socket
def test_a_process_with_one_stuck_loop_is_neither_alive_nor_ready(
    served: tuple[clocks.Hand, list[Health], int],
) -> None:
    clock, healths, port = served
    for health in healths:
        health.ready = True
    assert ask(port, "/livez")[:2] == (200, "alive\n")
    clock.at_s += STUCK_S
    healths[0].beat()
    assert ask(port, "/livez")[:2] == (503, "stuck\n")
    assert ask(port, "/readyz")[0] == 503
    healths[1].beat()
    assert ask(port, "/livez")[0] == ask(port, "/readyz")[0] == 200


@pytest.mark.enable_socket
def test_metrics_are_served_and_other_paths_name_what_there_is(
    served: tuple[clocks.Hand, list[Health], int],
) -> None:
    port = served[2]
    status, body, content_type = ask(port, "/metrics")
    assert (status, body) == (200, "vigimesh_x_total 1\n")
    assert content_type.startswith("text/plain; version=0.0.4")
    status, body, _ = ask(port, "/nothing")
    assert status == 404
    assert "/metrics" in body


@pytest.mark.enable_socket
def test_a_process_whose_loops_have_no_partition_is_ready_and_says_that_it_stands_by(
    served: tuple[clocks.Hand, list[Health], int],
) -> None:
    _, healths, port = served
    for health in healths:
        health.ready = health.standby = True
    assert ask(port, "/readyz")[:2] == (200, f"ready; {STANDBY}\n")
    healths[1].standby = False
    assert ask(port, "/readyz")[:2] == (200, "ready\n")
    healths[1].standby, healths[1].ready = True, False
    assert ask(port, "/readyz")[:2] == (503, "not ready\n")


@pytest.mark.enable_socket
def test_what_a_loop_does_without_is_told_and_keeps_it_from_nothing(
    served: tuple[clocks.Hand, list[Health], int],
) -> None:
    _, healths, port = served
    for health in healths:
        health.ready, health.without = True, "paid calls are refused: VM-1910"
    assert ask(port, "/readyz")[:2] == (200, "ready; paid calls are refused: VM-1910\n")
    assert ask(port, "/livez")[:2] == (200, "alive\n")
    healths[1].without = "the model is left alone"
    assert ask(port, "/readyz")[1] == "ready; paid calls are refused: VM-1910; the model is left alone\n"
    healths[0].ready = False
    assert ask(port, "/readyz")[:2] == (503, "not ready\n")
