"""Batches of the stand-in: files in, a batch that takes its time, an output file and an error file; no socket and no thread.

What a batch has done by now is worked out when somebody looks, from a clock that a test may move forward. Each request is
billed once, when its time has come, however often anybody looks.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from vigimesh.app.standin.chat import MARK, MODEL, StandIn
from vigimesh.clock import Clock

#: The one path whose requests a batch takes.
ENDPOINT = "/v1/chat/completions"
#: Requests of one batch (OpenAI's bound), files and batches that are kept, batches on one page of a list.
MAX_ITEMS, MAX_FILES, MAX_BATCHES, MAX_PAGE = 50_000, 10_000, 10_000, 100
#: Hours that a completion window may have. OpenAI takes `24h` alone; shorter ones let a test see one end.
MAX_WINDOW_H = 168
#: Pairs of a batch's metadata (OpenAI's bound).
MAX_METADATA = 16


@dataclass(slots=True)
class File:
    """A file: what it is for, its bytes, when it came."""

    id: str
    purpose: str
    data: bytes
    name: str = "file.jsonl"
    created_s: float = 0.0

    def shown(self) -> dict[str, Any]:
        """Return the file as the API shows it."""
        return {
            "id": self.id, "object": "file", "bytes": len(self.data), "created_at": int(self.created_s),
            "filename": self.name, "purpose": self.purpose, "status": "processed", "stand_in": True,
        }  # fmt: skip


class _Line(msgspec.Struct):
    custom_id: str
    method: str
    url: str
    body: msgspec.Raw


_LINE = msgspec.json.Decoder(_Line)


@dataclass(slots=True)
class Batch:
    """One batch. Times are seconds of the desk's clock; `done` holds the result of a request by its place in the input."""

    id: str
    file_id: str
    metadata: dict[str, str]
    created_s: float
    window_h: int
    lines: list[_Line] = field(default_factory=list)
    problems: list[dict[str, Any]] = field(default_factory=list)
    start_s: float = 0.0
    order: list[int] = field(default_factory=list)
    done: dict[int, dict[str, Any]] = field(default_factory=dict)
    cancelled_s: float | None = None
    output_id: str | None = None
    error_id: str | None = None
    #: How it ended; nothing while it goes on.
    ended: str = ""
    ended_s: float = 0.0

    @property
    def expires_s(self) -> float:
        """When what is not done is given up."""
        return self.created_s + 3600.0 * self.window_h

    def due_s(self, nth: int, item_s: float) -> float:
        """Return when the `nth` request in the order of work is done."""
        return self.start_s + (nth + 1) * item_s


class Refusal(Exception):
    """The desk does not take this; `status` and `code` say it as an endpoint does."""

    def __init__(self, status: int, code: str) -> None:
        """Keep both."""
        super().__init__(code)
        self.status = status
        self.code = code


@dataclass(slots=True)
class Desk:
    """Files and batches of one stand-in."""

    standin: StandIn
    clock: Clock
    files: dict[str, File] = field(default_factory=dict)
    batches: dict[str, Batch] = field(default_factory=dict)
    #: Seconds by which its clock was moved forward.
    ahead_s: float = 0.0
    _numbers: int = 0

    def now_s(self) -> float:
        """Return the desk's time, in seconds since 1970."""
        return self.clock.now().timestamp() + self.ahead_s

    def forward(self, seconds: float) -> float:
        """Move the desk's clock forward and return how far it is ahead. Raises `Refusal` for what is no step forward."""
        if not 0 <= seconds <= 3600.0 * MAX_WINDOW_H * 10:
            raise Refusal(400, "invalid_request_error")
        self.ahead_s += seconds
        return self.ahead_s

    def put(self, data: bytes, purpose: str, name: str) -> File:
        """Keep a file. Raises `Refusal` when there are too many."""
        if len(self.files) >= MAX_FILES:
            raise Refusal(503, "stand_in_is_full")
        file = File(self._named("file-standin"), purpose, data, name, self.now_s())
        self.files[file.id] = file
        return file

    def file(self, name: str) -> File:
        """Return a file. Raises `Refusal` 404."""
        if name not in self.files:
            raise Refusal(404, "not_found")
        return self.files[name]

    def create(self, asked: Mapping[str, Any]) -> Batch:
        """Begin a batch. Raises `Refusal` for a request that no endpoint takes; a wrong *file* makes a batch that failed."""
        metadata = asked.get("metadata") or {}
        window = str(asked.get("completion_window", ""))
        hours = int(window[:-1]) if window[:-1].isdigit() and window.endswith("h") else 0
        fits = isinstance(metadata, dict) and len(metadata) <= MAX_METADATA
        if asked.get("endpoint") != ENDPOINT or not fits or not 1 <= hours <= MAX_WINDOW_H:
            raise Refusal(400, "invalid_request_error")
        source = self.file(str(asked.get("input_file_id")))
        if source.purpose != "batch":
            raise Refusal(400, "invalid_request_error")
        if len(self.batches) >= MAX_BATCHES:
            raise Refusal(503, "stand_in_is_full")
        batch = Batch(self._named("batch_standin"), source.id, metadata, self.now_s(), hours)
        batch.lines, batch.problems = _read(source.data)
        profile = self.standin.profile
        batch.start_s = batch.created_s + profile.batch.started_s(profile.seed, batch.id)
        batch.order = profile.batch.order(profile.seed, batch.id, len(batch.lines))
        if batch.problems:
            batch.ended, batch.ended_s = "failed", batch.created_s
        self.batches[batch.id] = batch
        return batch

    def batch(self, name: str) -> Batch:
        """Return a batch, as it is by now. Raises `Refusal` 404."""
        if name not in self.batches:
            raise Refusal(404, "not_found")
        self._advance(self.batches[name])
        return self.batches[name]

    def cancel(self, name: str) -> Batch:
        """Cancel a batch: what was done until now is kept. Raises `Refusal` 409 for one that has ended."""
        batch = self.batch(name)
        if batch.ended:
            raise Refusal(409, "batch_has_ended")
        batch.cancelled_s = self.now_s()
        self._advance(batch)
        return batch

    def page(self, after: str, limit: int) -> dict[str, Any]:
        """Return a page of batches, the newest first, from behind `after` on."""
        names = list(reversed(self.batches))
        begin = names.index(after) + 1 if after in self.batches else 0
        shown = names[begin : begin + min(max(limit, 1), MAX_PAGE)]
        return {
            "object": "list", "data": [self.shown(self.batch(name)) for name in shown], "stand_in": True,
            "first_id": shown[0] if shown else None, "last_id": shown[-1] if shown else None,
            "has_more": begin + len(shown) < len(names),
        }  # fmt: skip

    def shown(self, batch: Batch) -> dict[str, Any]:
        """Return a batch as the API shows it."""
        failed = sum(
            one["response"] is None or one["response"]["status_code"] != 200 for one in batch.done.values()
        )
        ended = {f"{batch.ended}_at": int(batch.ended_s)} if batch.ended else {}
        begun = not batch.ended and self.now_s() >= batch.start_s
        return {
            "id": batch.id, "object": "batch", "endpoint": ENDPOINT, "input_file_id": batch.file_id,
            "errors": {"object": "list", "data": batch.problems} if batch.problems else None,
            "completion_window": f"{batch.window_h}h", "created_at": int(batch.created_s),
            "expires_at": int(batch.expires_s), "output_file_id": batch.output_id, "error_file_id": batch.error_id,
            "status": batch.ended or ("in_progress" if begun else "validating"), **ended,
            "request_counts": {
                "total": len(batch.lines), "completed": len(batch.done) - failed, "failed": failed,
            },
            "metadata": batch.metadata, "model": MODEL, "stand_in": True,
        }  # fmt: skip

    def _advance(self, batch: Batch) -> None:
        """Work on what is due by now, and end the batch when nothing is left or its time is over."""
        if batch.ended:
            return
        now, item_s = self.now_s(), self.standin.profile.batch.item_s
        last = min(batch.expires_s, now if batch.cancelled_s is None else batch.cancelled_s)
        for nth, at in enumerate(batch.order):
            if batch.due_s(nth, item_s) > min(last, now):
                break
            if at not in batch.done:
                batch.done[at] = self._worked(batch, at)
        if len(batch.done) == len(batch.lines):
            ended_s = batch.due_s(len(batch.lines) - 1, item_s)
            self._end(batch, "completed", ended_s)
        elif batch.cancelled_s is not None:
            self._end(batch, "cancelled", batch.cancelled_s)
        elif now >= batch.expires_s:
            self._end(batch, "expired", batch.expires_s)

    def _worked(self, batch: Batch, at: int) -> dict[str, Any]:
        line = batch.lines[at]
        plan = self.standin.plan(bytes(line.body), {}, in_batch=True)
        said = {"status_code": plan.status, "request_id": f"{batch.id}-{at}", "body": json.loads(plan.body)}
        return _result(batch, at, said, None)

    def _end(self, batch: Batch, status: str, at_s: float) -> None:
        """Write both files; what was not done says why."""
        given_up = {"expired": "batch_expired", "cancelled": "batch_cancelled"}.get(status, "")
        for at in range(len(batch.lines)):
            if at not in batch.done:
                error = {"code": given_up, "message": "The stand-in did not come to this request."}
                batch.done[at] = _result(batch, at, None, error)
        good = [
            one for one in batch.done.values() if one["response"] and one["response"]["status_code"] == 200
        ]
        bad = [one for one in batch.done.values() if one not in good]
        batch.output_id = self._written(good)
        batch.error_id = self._written(bad)
        batch.ended, batch.ended_s = status, at_s

    def _written(self, results: list[dict[str, Any]]) -> str | None:
        if not results:
            return None
        data = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in results).encode()
        return self.put(data, "batch_output", "results.jsonl").id

    def _named(self, kind: str) -> str:
        self._numbers += 1
        return f"{kind}-{self._numbers:06d}"


def _result(
    batch: Batch, at: int, response: dict[str, Any] | None, error: dict[str, str] | None
) -> dict[str, Any]:
    return {
        "id": f"{batch.id}-{at}", "custom_id": batch.lines[at].custom_id, "response": response, "error": error,
        "stand_in": MARK[1],
    }  # fmt: skip


def _read(data: bytes) -> tuple[list[_Line], list[dict[str, Any]]]:
    """Return the requests of an input file, or what is wrong with it (then no request is worked on)."""
    lines: list[_Line] = []
    problems = []
    seen: set[str] = set()
    for number, line in _numbered(data):
        found = _request(line)
        if found is None or found.custom_id in seen:
            problems.append(
                {"code": "invalid_line", "message": "no request, or a custom_id twice", "line": number}
            )
            continue
        seen.add(found.custom_id)
        lines.append(found)
    if not 1 <= len(lines) <= MAX_ITEMS and not problems:
        problems.append({"code": "invalid_size", "message": f"1 to {MAX_ITEMS} requests", "line": None})
    return ([], problems) if problems else (lines, [])


def _request(line: bytes) -> _Line | None:
    try:
        found = _LINE.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return found if (found.method, found.url) == ("POST", ENDPOINT) else None


def _numbered(data: bytes) -> Iterator[tuple[int, bytes]]:
    for number, line in enumerate(data.split(b"\n"), start=1):
        if line.strip():
            yield number, line
