"""A throwaway workspace with iris in it, or with other projects of the repository, for the benchmarks."""

import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml

import treadle
from treadle.bundle.place import INTERFACE_FILE, BundlePlace
from treadle.data.sources import fetch
from treadle.projects import find
from treadle.settings import MARKER, Workspace
from treadle.spec import canonical_json
from treadle.state import deployments
from treadle.state.deployments import Slot
from treadle.state.store import open_store
from treadle.training.lineage import Origin
from treadle.training.train import Trained, train

MODEL = "iris"
SEED = 1
PROJECTS = Path(__file__).parents[1] / "projects"

Setting = str | int | float | bool


def names() -> tuple[str, ...]:
    """Return the names of all projects of the repository."""
    return tuple(sorted(path.parent.name for path in PROJECTS.glob("*/model.yaml")))


def make(
    folder: Path, settings: Mapping[str, Setting], policy: Mapping[str, object] | None = None, *, projects: Sequence[str] = (MODEL,)
) -> Workspace:
    """Make a workspace in ``folder`` that holds the projects; ``policy`` is laid over the own one of each."""
    given: dict[str, Setting] = {"offline": True, "port": 0, "controller_port": 0, **settings}
    (folder / "projects").mkdir(parents=True)
    for name in projects:
        project = folder / "projects" / name
        shutil.copytree(PROJECTS / name, project, ignore=shutil.ignore_patterns("__pycache__"))
        if policy is not None:
            (project / "policy.benchmark.yaml").write_text(yaml.safe_dump(dict(policy)), encoding="utf-8")
            given["overlay"] = "benchmark"
    lines = [f"{name} = {str(value).lower() if isinstance(value, bool) else repr(value)}" for name, value in given.items()]
    (folder / MARKER).write_text("\n".join(lines) + "\n", encoding="utf-8")
    return Workspace.find(folder)


def like(workspace: Workspace, folder: Path, settings: Mapping[str, Setting]) -> Workspace:
    """Make another workspace in ``folder``, with the same deployment and other settings; nothing may run in the first one yet."""
    other = make(folder, settings)
    shutil.copytree(workspace.home, other.home)
    return other


def deploy_registered(workspace: Workspace) -> None:
    """Train a version, register it, and give it all traffic, as a person does."""
    treadle.train(MODEL, seed=SEED, workspace=workspace)
    _, deployment = treadle.promote(MODEL, workspace=workspace)
    if deployment is None:
        raise SystemExit("The gate refuses the version: nothing can be measured with it. `treadle why iris` in the workspace says why.")


def seal(workspace: Workspace, model: str = MODEL, *, seed: int = SEED) -> Trained:
    """Train a version and keep it among the bundles, without MLflow: what serves needs none, and this takes a quarter of the time."""
    project = find(workspace, model)
    rows = fetch(project, workspace, seed=seed)
    return train(project, rows.frame, Origin(rows.digest, rows.source, rows.simulated), seed=seed, workspace=workspace)


def deploy(workspace: Workspace, digests: Mapping[str, str], *, version: int = 1) -> None:
    """Give one bundle of each model (digest by model) all traffic, under the number of a version."""
    store = open_store(workspace.store_url)
    with store.write() as conn:
        for model, digest in digests.items():
            present = deployments.current(conn, model)
            expected = present.generation if present is not None else 0
            slots = [Slot("champion", version, digest, 1.0)]
            deployments.insert(conn, model, expected=expected, slots=slots, reason="a benchmark", at=time.time())
    store.close()


def deploy_sealed(workspace: Workspace) -> None:
    """Train a version and give it all traffic, without MLflow."""
    deploy(workspace, {MODEL: seal(workspace).bundle.digest})


def pseudonymize(workspace: Workspace) -> None:
    """Deploy the champion of a workspace as a version whose interface asks for pseudonyms: the same graph, sealed anew."""
    place, store = BundlePlace.of(workspace), open_store(workspace.store_url)
    with store.write() as conn:
        present = deployments.current(conn, MODEL)
        if present is None or present.champion is None:
            raise SystemExit("Nothing is deployed.")
        bundle = place.get(present.champion.digest)
        interface = bundle.interface.model_copy(update={"pseudonymize": True})
        made = place.put(
            {**bundle.files, INTERFACE_FILE: canonical_json(interface.model_dump(mode="json"))}, MODEL, bundle.manifest.lineage
        )
        champion = Slot("champion", present.champion.version + 1, made.digest, 1.0)
        deployments.insert(conn, MODEL, expected=present.generation, slots=[champion], reason="a benchmark", at=time.time())
    store.close()
