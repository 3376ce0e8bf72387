"""Threads that decode their first records at the same moment: the lanes of a stage do so when a backlog waits."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from vigimesh.events import codec

#: Without the codec's care this ends with a segmentation fault in each of six tries.
FIRST_RECORDS = """
import sys, threading
from vigimesh.adapters.memory.registry import MemorySchemas
from vigimesh.app.contract.samples import sample
from vigimesh.events.codec import Codec
from vigimesh.events.topics import TOPICS

codec = Codec(MemorySchemas())
records = [(topic.name, codec.encode(topic.name, sample(topic.event))) for topic in TOPICS]
together = threading.Barrier(6)

def decode():
    together.wait()
    for name, data in records:
        codec.decode(name, data)

# Threads change places as often as they can.
sys.setswitchinterval(1e-6)
threads = [threading.Thread(target=decode) for _ in range(6)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("all")
"""


def test_first_records_on_several_threads() -> None:
    services = str(Path(codec.__file__).parents[2])
    done = subprocess.run(
        [sys.executable, "-c", FIRST_RECORDS],
        env={**os.environ, "PYTHONPATH": services},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (0, "all\n"), done.stderr
