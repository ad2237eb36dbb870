"""How a version did on its holdout, beside the trivial baseline and the champion: for ``evaluate``."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from treadle.bundle.place import BundlePlace
from treadle.projects import Project
from treadle.registry.tracking import Tracking
from treadle.settings import Workspace
from treadle.spec import CardPolicy
from treadle.state import deployments
from treadle.state.store import Store


@dataclass(frozen=True)
class Evaluation:
    """The measured part of a version's card, and the metrics of the champion on its own holdout if it is another version."""

    model: str
    version: int
    digest: str
    card: Mapping[str, Any]
    champion: int | None
    champion_metrics: Mapping[str, float]
    owner: str
    written: CardPolicy


def evaluate(workspace: Workspace, store: Store, project: Project, version: int | None) -> Evaluation:
    """Read what was measured of a version (the newest, if none is named) when it was sealed.

    Raises:
        VersionNotFound: MLflow knows no such version.
        BundleNotFound, BundleCorrupt: its bundle is gone or damaged.
    """
    found = Tracking(workspace).require(project.name, version)
    places = BundlePlace.of(workspace)
    with store.read() as conn:
        present = deployments.current(conn, project.name)
    champion = present.champion if present is not None else None
    other = champion if champion is not None and champion.digest != found.digest else None
    return Evaluation(
        model=project.name,
        version=found.version,
        digest=found.digest,
        card=places.get(found.digest).card,
        champion=other.version if other is not None else None,
        champion_metrics=places.get(other.digest).card["metrics"] if other is not None else {},
        owner=project.contract.policy.owner,
        written=project.contract.policy.card,
    )


def table(report: Evaluation) -> list[Table]:
    """Return the metrics and the importances as tables."""
    card = report.card
    data = card["data"]
    origin = f"{data['source']}{', simulated' if data['simulated'] else ''}"
    drawn = Table(title=f"{report.model} version {report.version}, {data['holdout_rows']} held-out rows ({origin})", title_justify="left")
    champion = f"champion v{report.champion}, own holdout" if report.champion is not None else ""
    for column in ("metric", "value", "95 % interval", "trivial baseline", *([champion] if champion else [])):
        drawn.add_column(column, justify="left" if column == "metric" else "right")
    for name, value in card["metrics"].items():
        interval = card["intervals"].get(name)
        cells = [name, f"{value:.4f}", f"{interval[0]:.4f} to {interval[1]:.4f}" if interval else "", _number(card["baseline"].get(name))]
        drawn.add_row(*cells, *([_number(report.champion_metrics.get(name))] if champion else []))
    return [drawn, _importances(card["importances"]), _written(report)]


def _importances(importances: Mapping[str, float]) -> Table:
    drawn = Table(title="what it rests on", title_justify="left")
    drawn.add_column("feature")
    drawn.add_column("importance", justify="right")
    for name, weight in sorted(importances.items(), key=lambda item: -item[1])[:10]:
        drawn.add_row(name, f"{weight:.4f}")
    return drawn


def _written(report: Evaluation) -> Table:
    """Return the part of the card that a person writes; what is empty is said to be."""
    drawn = Table(title="what a person says of it", show_header=False, title_justify="left")
    for name, text in {"owner": report.owner, **report.written.model_dump()}.items():
        drawn.add_row(name, text.strip() or "(empty)")
    return drawn


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
