"""The embedded stack: Kafka, schema registry, PostgreSQL, Valkey and an object folder, on loopback only.

`up` starts one on a data folder (or finds the one that runs there), `status` looks, `down` stops. A keeper process owns the
servers, so that nothing outlives whoever started it.
"""

from vigimesh.app.devstack.lease import Lease
from vigimesh.app.devstack.stack import Wishes, down, runs, status, up
from vigimesh.app.devstack.state import Stack, StackUrls, all_pids, default_data_dir

__all__ = [
    "Lease",
    "Stack",
    "StackUrls",
    "Wishes",
    "all_pids",
    "default_data_dir",
    "down",
    "runs",
    "status",
    "up",
]
