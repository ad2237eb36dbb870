"""How fast Treadle answers, beside a plain service and beside its peers, on one machine in interleaved rounds.

    python -m benchmarks.serving

Each contender runs in an environment of its own, all its processes on one core, and wrk on another. Every answer is checked before it is
timed. In each round each contender is started, measured and ended; who comes first changes from round to round.
"""

import argparse
import json
import os
import shlex
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from importlib import metadata
from pathlib import Path
from types import FrameType

from benchmarks.serving import contenders, environments, load, machine, model, page, picture, processes, results
from benchmarks.serving.contenders import Contender
from benchmarks.serving.measure import ContenderFailedError, Cores, Terms, measure, yardstick
from benchmarks.serving.results import Row

QUICK = ("raw-asgi", "fastapi-echo", "treadle")
COMMAND = "benchmarks.serving"
PAGE = page.PAGE
PICTURE = page.ASSETS / "speed.svg"
OUT = environments.REPOSITORY / ".treadle" / "benchmarks" / "serving"


def rotated(names: Sequence[str], number: int) -> list[str]:
    """Return the names in another order for each round: turned by a third of them, so that nobody is always first or always last."""
    shift = number * max(1, len(names) // 3) % len(names) if names else 0
    return [*names[shift:], *names[:shift]]


def versions(contender: Contender) -> str:
    """Return the version of what a contender is, and of what it stands on."""
    if not contender.lock:
        return ", ".join(f"{name} {metadata.version(name)}" for name in ("treadle", "uvicorn", "onnxruntime"))
    pins = environments.pins(contender.lock)
    inside = {"yardstick": ("fastapi", "uvicorn"), "naive": ("fastapi", "uvicorn", "scikit-learn")}
    peer = (contender.lock, "onnxruntime" if contender.family == "graph" else "scikit-learn")
    return ", ".join(f"{name} {pins[name]}" for name in inside.get(contender.family, peer))


def compare(those: Mapping[str, Contender], terms: Terms, rounds: int) -> tuple[dict[str, Row], list[str]]:
    """Measure all in turn, ``rounds`` times. Return what was found, and each growing backlog."""
    rows = {name: Row(name, one.title, one.family, versions(one), failed=one.absent) for name, one in those.items()}
    taking_part = [name for name, row in rows.items() if not row.failed]
    growing = []
    for number in range(rounds):
        for name in rotated(taking_part, number):
            print(f"round {number + 1} of {rounds}  {those[name].title}", flush=True)
            try:
                found = measure(those[name], terms)
            except ContenderFailedError as error:
                rows[name].failed = f"round {number + 1}: {error}"
                print(f"    not measured: {error}", flush=True)
                continue
            rows[name].rounds[number] = found.figures
            print(f"    {told(found.figures)}", flush=True)
            for line in found.growing:
                growing.append(f"{those[name].title}, round {number + 1}, {line}: the spool grows, and the figures do not count")
                print(f"    FAILED: {line}", flush=True)
    return rows, growing


def told(figures: Mapping[str, float]) -> str:
    """Return what one round has shown, in a line."""
    rows = f", {figures['rows']:,.0f} rows/s" if "rows" in figures else ""
    single = f"one client p50 {1000 * figures['single_p50']:.3f} ms"
    return (
        f"{figures['many_rate']:,.0f}/s, p99 {1000 * figures['many_p99']:.2f} ms; {single}{rows}; "
        f"started in {figures['start']:.2f} s, {figures['memory']:,.0f} MiB"
    )


def report(rows: Mapping[str, Row], facts: Sequence[str], growing: Sequence[str]) -> str:
    """Return all that was found as Markdown: tables, targets, terms, versions, and what does not count."""
    lists = [f"- {row.title}: {row.version}" for row in rows.values() if row.rounds]
    parts = [
        results.table(rows),
        results.targets(rows),
        "\n".join(f"- **{line}**" for line in growing),
        "\n".join([*facts, *results.waiting(rows)]),
        "\n".join(lists),
    ]
    return "\n\n".join(part for part in parts if part)


def write(text: str, rows: Mapping[str, Row]) -> None:
    """Lay the report and the picture into the page that shows them."""
    picture.draw(rows, PICTURE)
    page.lay(COMMAND, f"{text}\n\n![The comparison](../assets/{PICTURE.name})", PAGE)


def given(argv: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.serving", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="ours and the two echoes, one short round")
    parser.add_argument("--only", metavar="NAME,...", help="these contenders alone; --list names all")
    parser.add_argument("--rounds", type=int, help="rounds (3; with --quick 1)")
    parser.add_argument("--seconds", type=int, help="whole seconds of a load (8; with --quick 2)")
    parser.add_argument("--out", type=Path, default=OUT, help="folder for report.md, results.json and speed.png")
    parser.add_argument("--write", action="store_true", help=f"also write {PAGE.relative_to(environments.REPOSITORY)} and its picture")
    parser.add_argument("--list", action="store_true", help="name the contenders, and measure nothing")
    parser.add_argument("--lock", action="store_true", help="resolve the pinned versions of the environments anew, and measure nothing")
    found = parser.parse_args(argv)
    found.rounds = found.rounds or (1 if found.quick else 3)
    found.seconds = found.seconds or (2 if found.quick else 8)
    if min(found.rounds, found.seconds) < 1:
        parser.error("--rounds and --seconds are at least 1")
    return found


def chosen(asked: argparse.Namespace) -> list[str]:
    """Return the names that were asked for, in the order of the table.

    Raises:
        SystemExit: one of them is no contender.
    """
    names = asked.only.split(",") if asked.only else QUICK if asked.quick else contenders.NAMES
    unknown = [name for name in names if name not in contenders.NAMES]
    if unknown:
        raise SystemExit(f"There is no contender called {', '.join(unknown)}. Choose from {', '.join(contenders.NAMES)}.")
    return [name for name in contenders.NAMES if name in names]


def again(asked: argparse.Namespace) -> str:
    """Return the command line that measures the same once more."""
    which = ["--only", asked.only] if asked.only else ["--quick"] if asked.quick else []
    return shlex.join(["python", "-m", "benchmarks.serving", *which, "--rounds", str(asked.rounds), "--seconds", str(asked.seconds)])


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit("Stopped.")


def main(argv: Sequence[str] | None = None) -> int:
    """Compare, and print the tables. The exit code is 1 where a backlog grew, or Treadle was not measured; then no page is written."""
    asked = given(argv)
    if asked.lock:
        print("\n".join(environments.compile_locks()))
        return 0
    if asked.list:
        print("\n".join(contenders.NAMES))
        return 0
    names = chosen(asked)
    load.wrk()
    cores = Cores.choose()
    signal.signal(signal.SIGTERM, _stop)
    processes.adopt_orphans()
    facts = machine.facts(f"contender on core {cores.server}, wrk on core {cores.load}")
    # A short path: sockets lie below it.
    with tempfile.TemporaryDirectory(prefix="serving-") as folder:
        made = model.make(Path(folder))
        # From here on this process only waits and looks; it does so beside the load, never beside a contender.
        os.sched_setaffinity(0, {cores.load})
        every = contenders.every(made)
        terms = Terms(made, cores, asked.seconds, Path(folder))
        with ExitStack() as standing:
            try:
                beside = standing.enter_context(yardstick(every[results.ECHO], terms))
            except ContenderFailedError as error:
                beside = None
                print(f"no yardstick stands beside the others: {error}", flush=True)
            rows, growing = compare({name: every[name] for name in names}, replace(terms, yardstick=beside), asked.rounds)
    text = report(rows, [*facts, f"- command: `{again(asked)}`"], growing)
    asked.out.mkdir(parents=True, exist_ok=True)
    (asked.out / "report.md").write_text(text + "\n", encoding="utf-8")
    (asked.out / "results.json").write_text(json.dumps({name: asdict(row) for name, row in rows.items()}, indent=1), encoding="utf-8")
    if any(row.rounds for row in rows.values()):
        picture.draw(rows, asked.out / "speed.png")
    print(f"\n{text}\n")
    if growing:
        print("FAILED: what was left undone is no speed.", file=sys.stderr)
        return 1
    if results.OURS in rows and not rows[results.OURS].rounds:
        print(f"FAILED: {rows[results.OURS].title} was not measured.", file=sys.stderr)
        return 1
    if asked.write:
        write(text, rows)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
