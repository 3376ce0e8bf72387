"""The process that runs the tools of installed distributions: `python -m vigimesh.app.tools.host`, for `adapters/tools/process`.

A process of its own, because nothing else ends a tool that does not end: a regular expression without end holds the
interpreter, and no thread beside it runs. The kernel kills this process when one call takes too long.
"""

from __future__ import annotations

import signal
from collections.abc import Mapping
from typing import Any

import msgspec

from vigimesh.adapters.tools.process import READY
from vigimesh.app.exits import trace_crashes
from vigimesh.app.tools.foreign import load_tools, owners
from vigimesh.app.tools.frames import receive, send, streams
from vigimesh.domain.safety.foreign import ForeignTool, plain, run_foreign
from vigimesh.events.case import Case

#: Seconds that one call may take: a tool is promised to end within milliseconds.
RUN_S = 1.0


def main() -> None:
    """Run tools as asked until the input ends."""
    trace_crashes()
    source, target = streams()
    receive(source)  # nothing is configured
    tools, of = load_tools(), owners()
    send(target, READY)
    while (call := receive(source)) is not None:
        # No handler is installed: the kernel's own is to kill.
        signal.setitimer(signal.ITIMER_REAL, RUN_S)
        answer = _answer(call, tools)
        signal.setitimer(signal.ITIMER_REAL, 0)
        send(target, {"id": call["id"], "by": of.get(call["tool"], ""), **answer})


def _answer(call: Mapping[str, Any], tools: Mapping[str, ForeignTool]) -> dict[str, Any]:
    name, body = call["tool"], call["body"]
    if name not in tools:
        return {"failed": "it is not installed any more"}
    case = msgspec.convert(body["case"], Case)
    return {"findings": plain(run_foreign(name, tools[name], case, body["narrative"]))}


if __name__ == "__main__":
    main()
