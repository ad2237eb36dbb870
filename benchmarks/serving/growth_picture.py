"""Latency and memory against rows, features and models, as one picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl

mpl.use("agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from benchmarks.serving.goals import MEGABYTE
from benchmarks.serving.results import milliseconds, whole

TITLES = {"rows": "rows of a batch", "features": "features of a linear model", "models": "models of a service, asked in turn"}
TIME, MEMORY, P99 = "#0b7285", "#d9730d", "#868e96"


class Point(NamedTuple):
    """What was measured at one size: p50 and p99 in seconds, the worker's memory in bytes."""

    size: int
    p50: float
    p99: float
    memory: float


def draw(found: Mapping[str, Sequence[Point]], path: Path) -> None:
    """Draw a column per kind, latency above memory, and write the picture; its format is the ending of ``path``."""
    figure, axes = plt.subplots(2, len(found), figsize=(13, 6.2), sharex="col", sharey="row", squeeze=False, layout="constrained")
    for column, (kind, points) in enumerate(found.items()):
        sizes = [point.size for point in points]
        times, memory = axes[0][column], axes[1][column]
        times.plot(sizes, [1000 * point.p99 for point in points], color=P99, lw=1.2, ls="--", marker="o", ms=3, label="p99")
        times.plot(sizes, [1000 * point.p50 for point in points], color=TIME, lw=2, marker="o", ms=5, label="p50")
        times.set_yscale("log")
        times.yaxis.set_major_formatter("{x:g}")
        _figures(times, sizes, [milliseconds(point.p50) for point in points], [1000 * point.p50 for point in points], TIME)
        memory.plot(sizes, [point.memory / MEGABYTE for point in points], color=MEMORY, lw=2, marker="o", ms=5)
        memory.set_ylim(bottom=0)
        _figures(memory, sizes, [whole(point.memory / MEGABYTE) for point in points], [point.memory / MEGABYTE for point in points], MEMORY)
        memory.set_xlabel(TITLES[kind], fontsize=10)
        for ax in (times, memory):
            ax.set_xscale("log")
            ax.set_xticks(sizes, [f"{size:,}" for size in sizes], fontsize=9)
            ax.tick_params(which="minor", length=0, labelbottom=False)
            ax.margins(x=0.12, y=0.2)
            ax.grid(axis="y", color="#dee2e6", lw=0.6)
            ax.set_axisbelow(True)
            ax.spines[["top", "right"]].set_visible(False)
    axes[0][0].set_ylabel("one client: ms (log)", fontsize=10)
    axes[1][0].set_ylabel("memory of the worker: MB", fontsize=10)
    axes[0][0].legend(frameon=False, fontsize=9, loc="upper left")
    for ax in axes[1]:
        ax.set_ylim(0, 1.25 * max(point.memory for points in found.values() for point in points) / MEGABYTE)
    figure.suptitle("One client, one worker on one core: what a request takes, and what the worker holds", fontsize=12)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Texts stay texts, and the same figures give the same file.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "growth"}):
        figure.savefig(path, dpi=110, metadata={"Date": None} if path.suffix == ".svg" else None)
    plt.close(figure)


def _figures(ax: Axes, sizes: Sequence[int], texts: Sequence[str], heights: Sequence[float], colour: str) -> None:
    for size, text, height in zip(sizes, texts, heights, strict=True):
        ax.annotate(text, (size, height), (7, -13), textcoords="offset points", ha="center", fontsize=8, color=colour)
