"""Where the time of a worker goes while it answers one row after the other.

    python -m benchmarks.serving.profile

py-spy looks 400 times a second at the stack of the worker, Python and C, and each look counts for the step whose code is deepest in it.
It comes into an environment of its own, and must be allowed to look into another process: that takes root, or CAP_SYS_PTRACE.
"""

import argparse
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from benchmarks import house
from benchmarks.serving import environments, load, machine, page, processes, results, small
from benchmarks.serving.measure import Cores
from benchmarks.serving.scale import MICROSECOND, questions
from benchmarks.serving.service import KINDS, request_files, served

COMMAND = "benchmarks.serving.profile"
CLIENTS = 16
LOOKS = 400
"""Looks a second."""
WARM_SECONDS = 2
WAITING = "concurrent/futures/thread.py"
"""Where a thread waits for work."""
POLLS = "epoll_"
"""How the call begins in which the event loop waits for the next request."""
OTHER = "what is in none of these"
SENT = "the answer on its way out: uvloop and the kernel"
STEPS = {
    "treadle/engine/session.py": "the graph: ONNX Runtime, and the numbers in and out of its memory",
    "treadle/serving/spool.py": "the log: frame, checksum, one write",
    "treadle/serving/records.py": "the answer: its words",
    "treadle/engine/answer.py": "the answer: its words",
    "treadle/serving/protocol.py": "HTTP: the protocol and its parser",
    "httptools_impl.py": "HTTP: the protocol and its parser",
    "uvicorn/": "HTTP: the protocol and its parser",
    "treadle/serving/guard.py": "the door: keys, roles, limits",
    "treadle/serving/access.py": "the door: keys, roles, limits",
    "treadle/serving/hot.py": "the route, and what its headers ask",
    "treadle/serving/request.py": "the row: read as JSON, checked, encoded",
    "treadle/engine/encode.py": "the row: read as JSON, checked, encoded",
    "treadle/engine/columns.py": "the row: read as JSON, checked, encoded",
    "treadle/serving/quick.py": "the short way itself, which holds these together",
    "treadle/serving/routing.py": "the short way itself, which holds these together",
    "treadle/serving/breaker.py": "the short way itself, which holds these together",
    "treadle/serving/metrics.py": "the metrics",
    "treadle/serving/mapped.py": "the metrics",
    "treadle/serving/ids.py": "the id",
    "asyncio/": "the request on its way in: the kernel and uvloop",
}
"""A step by a part of the name of the file that its code is in."""
SOCKET = ("write", "send", "uv_try_write", "uv__try_write", "__libc_write", "__send")
"""What is deepest, below the protocol, while an answer goes out."""


def step(stack: Sequence[str]) -> str | None:
    """Return the step that a stack, outermost first, was in; None for a thread that waits."""
    if stack[-1].startswith(POLLS):
        return None
    for depth in range(len(stack) - 1, -1, -1):
        if ".py:" in stack[depth]:
            if WAITING in stack[depth]:
                return None
            below = {frame.split(" (")[0] for frame in stack[depth + 1 :]}
            if "protocol.py" in stack[depth] and below & set(SOCKET):
                return SENT
            return next((name for part, name in STEPS.items() if part in stack[depth]), OTHER)
    return STEPS["asyncio/"]


def shares(lines: Iterable[str]) -> dict[str, float]:
    """Return the share of each step in the looks that py-spy has written: one stack a line, outermost first, and how often it was seen."""
    seen: Counter[str] = Counter()
    for line in lines:
        stack, _, count = line.rpartition(" ")
        found = step(stack.split(";"))
        if found is not None:
            seen[found] += int(count)
    return {name: count / seen.total() for name, count in seen.most_common()}


def table(found: Mapping[str, float], worker: float, shipper: float) -> str:
    """Return the steps as Markdown, with the CPU seconds that a row costs worker and shipper."""
    whole = worker + shipper
    costs = {**{name: share * worker for name, share in found.items()}, "the shipper: from the spool into the store": shipper}
    ordered = sorted(costs.items(), key=lambda cost: (cost[0] == OTHER, -cost[1]))
    lines = [(name, results.times(cost / MICROSECOND), f"{cost / whole:.0%}") for name, cost in ordered]
    lines.append(("all of it", results.times(whole / MICROSECOND), "100%"))
    return "\n".join(results.grid(("step", "µs of CPU per row", "share"), lines))


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(prog=f"python -m {COMMAND}", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=15, help="whole seconds of the load (15)")
    parser.add_argument("--write", action="store_true", help=f"also write {page.PAGE.name}")
    given = parser.parse_args(argv)
    load.wrk()
    spy = environments.make("profile").with_name("py-spy")
    processes.adopt_orphans()
    cores = Cores.choose()
    server, client = {cores.server}, {cores.load}
    with tempfile.TemporaryDirectory(prefix="profile-") as place:
        folder = Path(place)
        workspace = house.make(folder / "workspace", {})
        made = house.seal(workspace)
        house.deploy(workspace, {house.MODEL: small.store(made.bundle, workspace)})
        asked = questions(workspace, made)
        with served(workspace, folder / "service", server) as service:
            service.ready()
            service.ask(asked, len(asked))
            url, files = f"{service.address}{asked[0].path}", request_files(asked, service.address, folder)
            load.run(url, files, clients=CLIENTS, seconds=WARM_SECONDS, cores=client)
            # The costs are those of a load that nobody looks at; looking makes it slower, and not all of it by the same.
            before = {kind: sum(service.seconds(kind).values()) for kind in KINDS}
            done = load.run(url, files, clients=CLIENTS, seconds=given.seconds, cores=client)
            worker, shipper = ((sum(service.seconds(kind).values()) - before[kind]) / done.answers for kind in KINDS)
            (one,) = service.kinds()["worker"]
            looks = folder / "looks.txt"
            command = [str(spy), "record", "--rate", str(LOOKS), "--duration", str(given.seconds), "--format", "raw", "--native"]
            with subprocess.Popen([*command, "--output", str(looks), "--pid", str(one.pid)], stdout=subprocess.DEVNULL) as looking:
                load.run(url, files, clients=CLIENTS, seconds=given.seconds + WARM_SECONDS, cores=client)
                if looking.wait():
                    raise SystemExit("py-spy could not look at the worker: it must be allowed to, as root is.")
        found = shares(looks.read_text(encoding="utf-8").splitlines())
    facts = machine.facts(f"worker and shipper on core {cores.server}, wrk on {cores.load}")
    notes = [f"- {CLIENTS} clients, one row each, {given.seconds} s; {LOOKS} looks a second", *facts]
    text = "\n\n".join((table(found, worker, shipper), "\n".join(notes)))
    page.tell(COMMAND, text, write=given.write)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
