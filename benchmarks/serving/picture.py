"""The comparison as a picture: how many answers a second, and how long one takes, a bar for each contender."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import matplotlib as mpl

mpl.use("agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes

from benchmarks.serving.results import Row, Spread, milliseconds, whole

COLOURS = {"treadle": "#0b7285", "yardstick": "#868e96", "naive": "#c92a2a", "guide": "#e8b77c", "graph": "#d9730d"}
MEANING = {
    "treadle": "Treadle",
    "yardstick": "no model behind it",
    "naive": "the naive service",
    "guide": "peer, as its guide shows",
    "graph": "peer, the same ONNX model inside",
}


@dataclass(frozen=True)
class Panel:
    """One figure of all contenders."""

    figure: str
    title: str
    form: Callable[[float], str]
    log: bool


PANELS = (
    Panel("many_rate", "One row, 16 clients: answers per second (log)", whole, log=True),
    Panel("many_p99", "One row, 16 clients: p99 in ms (log)", milliseconds, log=True),
    Panel("rows", "Batches of 1,000: rows per second", whole, log=False),
    Panel("memory", "Memory of all processes: MiB", whole, log=False),
)


def draw(rows: Mapping[str, Row], path: Path) -> None:
    """Draw the medians, with the range of the rounds, and write the picture; its format is the ending of ``path``."""
    shown = [row for row in rows.values() if row.spread("many_rate") is not None]
    shown.sort(key=lambda row: _median(row.spread("many_rate")))
    height = 1.6 + 0.62 * len(shown)
    figure, axes = plt.subplots(2, 2, figsize=(15, height), sharey=True, layout="constrained")
    for ax, panel in zip(axes.flat, PANELS, strict=True):
        _bars(ax, shown, panel)
        ax.set_title(panel.title, loc="left", fontsize=11, fontweight="bold")
    families = [name for name in MEANING if any(row.family == name for row in shown)]
    handles = [mpl.patches.Patch(color=COLOURS[name], label=MEANING[name]) for name in families]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)
    figure.suptitle("Serving a random forest of 100 trees (iris), all processes on one core", fontsize=12)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Texts stay texts, and the same figures give the same file.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "speed"}):
        figure.savefig(path, dpi=110, metadata={"Date": None} if path.suffix == ".svg" else None)
    plt.close(figure)


def _bars(ax: Axes, shown: list[Row], panel: Panel) -> None:
    known = []
    for place, row in enumerate(shown):
        found = row.spread(panel.figure)
        if found is None:
            continue
        known.append(found.median)
        around = [[found.median - found.least], [found.greatest - found.median]]
        ax.barh(place, found.median, color=COLOURS[row.family], xerr=around, error_kw={"ecolor": "#343a40", "capsize": 2, "lw": 1})
        ax.annotate(panel.form(found.median), (found.greatest, place), (5, 0), textcoords="offset points", va="center", fontsize=9)
    ax.set_yticks(range(len(shown)), [row.title for row in shown], fontsize=9)
    ax.set_ylim(-0.6, len(shown) - 0.4)
    if panel.log and known:
        ax.set_xscale("log")
        # Bars begin below the least, and leave room for the figure behind the greatest.
        ax.set_xlim(min(known) / 2, max(known) * 3)
    elif known:
        ax.set_xlim(0, max(known) * 1.2)
    # Each bar has its figure: the axis says only how far apart they are.
    ax.tick_params(axis="x", which="both", length=0, labelbottom=False)
    ax.grid(axis="x", which="major", color="#dee2e6", lw=0.6)
    ax.set_axisbelow(True)
    ax.spines[["top", "right", "left"]].set_visible(False)
    ax.tick_params(axis="y", length=0)


def _median(found: Spread | None) -> float:
    return found.median if found is not None else 0.0
