"""Run the fuzzers by hand: ``scripts/fuzz`` says how."""

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from tests.fuzz import over_http
from tests.fuzz.server import Server


def main(argv: Sequence[str]) -> int:
    """Ask for as long as the arguments say; return how many kinds of failure there were."""
    parser = argparse.ArgumentParser(prog="scripts/fuzz", description="Ask the running service all that its OpenAPI allows, and more.")
    parser.add_argument("--seconds", type=float, default=3600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--record", type=Path, help="file that tells, after each round, what was seen")
    arguments = parser.parse_args(argv)
    commit = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    # The services that were started are stopped, whoever ends this.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by a signal"))
    began, started = time.monotonic(), datetime.now(UTC)
    failures: dict[str, str] = {}
    told: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        roots = [Path(folder, "open"), Path(folder, "keys")]
        for root in roots:
            root.mkdir()
        with Server(roots[0]) as without, Server(roots[1], keys=True) as behind:
            for number, found in over_http.rounds([without, behind], seed=arguments.seed, seconds=arguments.seconds):
                kept = over_http.keep(found)
                failures = found.failures
                told = [
                    f"commit {commit}, seed {arguments.seed}, started {started:%Y-%m-%d %H:%M:%S} UTC",
                    f"{time.monotonic() - began:.0f} s, {number} rounds, {found.cases} cases, {sum(found.checks.values())} checks",
                    f"statuses {dict(sorted(found.statuses.items()))}",
                    f"checks {dict(sorted(found.checks.items()))}",
                    f"corpus {kept} requests",
                    f"worker logs {len(without.faults())} and {len(behind.faults())} bytes",
                    f"{len(failures)} kinds of failure",
                    *(f"\n{name}\n{text}" for name, text in failures.items()),
                ]
                if arguments.record:
                    arguments.record.write_text("\n".join(told) + "\n")
            told += ["finished", without.faults(), behind.faults()]
    if arguments.record:
        arguments.record.write_text("\n".join(told) + "\n")
    sys.stdout.write("\n".join(told) + "\n")
    return len(failures)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
