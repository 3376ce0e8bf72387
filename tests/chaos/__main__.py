"""`python -m chaos --minutes 10 --seed 1`: the long form; exits with 0 when every case is accounted for, once."""

from __future__ import annotations

import argparse
import secrets
import sys
import traceback

from chaos.faults import HAND_S, plan, short
from chaos.rig import rig, say
from chaos.run import Report, carry_out

#: Seconds that the short form goes on after its last fault.
AFTER_S = 5.0


def main() -> int:
    """Run, and print one JSON object as the last line whatever happens."""
    asked = argparse.ArgumentParser(prog="chaos", description="Hurt a mesh and account for every case.")
    asked.add_argument("--minutes", type=float, default=10.0, help="how long faults come")
    asked.add_argument(
        "--seed", type=int, default=None, help="the same seed makes the same faults; drawn if left out"
    )
    asked.add_argument("--rate", type=float, default=30.0, help="messages a second")
    asked.add_argument(
        "--short", action="store_true", help="each kind once or more, as soon as it can be done"
    )
    given = asked.parse_args()
    seed = secrets.randbelow(1_000_000) if given.seed is None else given.seed
    report = Report(seed=seed, minutes=given.minutes)
    say(f"seed {seed}: `make chaos MINUTES={given.minutes:g} SEED={seed}` makes the same faults")
    try:
        with rig() as made:
            targets = sorted(made.pids())
            faults = short(seed, targets) if given.short else plan(seed, given.minutes, targets)
            seconds = faults[-1].at_s + AFTER_S if given.short else given.minutes * HAND_S
            report.minutes = round(seconds / HAND_S, 2)
            carry_out(made, faults, report, per_s=given.rate, seconds=seconds)
    except BaseException as error:  # noqa: BLE001  the last line comes in any case
        traceback.print_exc()
        report.fields["error"] = f"{type(error).__name__}: {error}"
    print(report.line(), flush=True)
    return 0 if report.holds else 1


if __name__ == "__main__":
    sys.exit(main())
