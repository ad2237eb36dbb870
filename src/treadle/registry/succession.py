"""Whether a contract, as it is now, may follow the champion: whatever callers send today must be taken tomorrow."""

from contextlib import suppress
from itertools import product

from treadle.bundle.place import Bundle, BundlePlace
from treadle.data.likeness import likeness
from treadle.data.sources import fetch
from treadle.errors import BundleCorrupt, BundleInvalid, BundleNotFound, ContractBroken, TreadleError
from treadle.projects import Project
from treadle.registry import origin
from treadle.settings import Workspace
from treadle.spec import Interface
from treadle.spec.evolution import Likeness, broken, repair
from treadle.state import deployments
from treadle.state.store import Store


def breach(model: str, champion: int, old: Interface, new: Interface, alike: Likeness | None = None) -> ContractBroken | None:
    """Return what forbids that ``new`` follows ``old``, the interface of the champion's version; None if nothing does."""
    found = broken(old, new, alike)
    return ContractBroken(model, champion, [change.sentence for change in found], repair(old, new, alike)) if found else None


def require_follows(workspace: Workspace, store: Store, project: Project, *, seed: int = 42) -> None:
    """Make sure that a version of the contract, as it is now, could follow the champion, if there is one.

    A champion whose bundle cannot be read forbids nothing here: a new version may be what is needed.

    Args:
        workspace: where the bundles and snapshots lie.
        store: knows the champion.
        project: whose contract it is.
        seed: of made-up rows, where columns must be told by their values.

    Raises:
        ContractBroken: it could not; the error names each change, and the edit that mends it.
    """
    with store.read() as conn:
        present = deployments.current(conn, project.name)
    champion = present.champion if present else None
    if champion is None:
        return
    try:
        bundle = BundlePlace.of(workspace).get(champion.digest)
    except (BundleNotFound, BundleCorrupt, BundleInvalid):
        return
    name, old, new = project.name, bundle.interface, project.contract.interface
    if broken(old, new):
        found = breach(name, champion.version, old, new, _likeness(workspace, project, bundle, seed))
        if found is not None:
            raise found


def _likeness(workspace: Workspace, project: Project, old: Bundle, seed: int) -> Likeness:
    """Return how alike the values of columns that are gone and that are new are, where rows of both can be had."""
    before, after = old.interface.feature_names, project.contract.interface.feature_names
    pairs = list(product(set(before) - set(after), set(after) - set(before)))
    with suppress(TreadleError):
        return likeness(origin.rows(workspace, old), fetch(project, workspace, seed=seed).frame, pairs) if pairs else {}
    return {}
