"""Liveness, readiness and metrics over HTTP, so that a container platform and Prometheus can ask. Standard library only."""

from __future__ import annotations

import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from vigimesh.clock import Clock

#: Seconds without a finished turn of the loop after which the process counts as stuck. A turn ends within the
#: transaction time-out plus the broker's clean-up interval (10 s + 10 s by default), with room for one retry.
STUCK_S = 60.0
#: What `/readyz` says beside *ready* while none of the process's loops has a partition.
STANDBY = "stands by: it has no partition"


class Health:
    """What the loop says of itself. One value per loop; written by its thread, read by the server's.

    `trouble` keeps it from its work; `without` is what it does without while it works on. `standby` says that it is in its
    group and no partition is its own: ready all the same, for it takes over at once, and a rollout must not wait for more.
    """

    def __init__(self, clock: Clock) -> None:
        """Begin alive and not ready."""
        self._clock = clock
        self._beat_s = clock.monotonic_s()
        self.ready = False
        self.trouble = ""
        self.without = ""
        self.standby = False

    def beat(self) -> None:
        """The loop has come round."""
        self._beat_s = self._clock.monotonic_s()

    @property
    def alive(self) -> bool:
        """Whether the loop came round lately."""
        return self._clock.monotonic_s() - self._beat_s < STUCK_S


class HealthServer:
    """Serves `/livez`, `/readyz` and `/metrics` for the loops of one process."""

    def __init__(self, host: str, port: int, healths: list[Health], metrics: Callable[[], bytes]) -> None:
        """Bind `host:port` (0 = any free port); raises `OSError` when it is taken."""
        self._server = ThreadingHTTPServer((host, port), _handler(healths, metrics))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, name="health", daemon=True)

    @property
    def port(self) -> int:
        """The port that is served."""
        return int(self._server.server_address[1])

    def start(self) -> None:
        """Serve in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()


def _handler(healths: list[Health], metrics: Callable[[], bytes]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/metrics":
                self._answer(200, metrics(), "text/plain; version=0.0.4; charset=utf-8")
            elif self.path == "/livez":
                self._state(all(h.alive for h in healths), "alive", "stuck")
            elif self.path == "/readyz":
                told = dict.fromkeys(h.without for h in healths)
                if all(h.standby for h in healths):
                    told[STANDBY] = None
                beside = "".join(f"; {what}" for what in told if what)
                self._state(all(h.ready and h.alive for h in healths), f"ready{beside}", "not ready")
            else:
                self._answer(404, b"known: /livez /readyz /metrics\n", "text/plain")

        def _state(self, good: bool, yes: str, no: str) -> None:
            trouble = "; ".join(h.trouble for h in healths if h.trouble)
            text = yes if good else f"{no}{': ' + trouble if trouble else ''}"
            self._answer(200 if good else 503, f"{text}\n".encode(), "text/plain")

        def _answer(self, status: int, body: bytes, content_type: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: a probe every second is no news."""

    return Handler
