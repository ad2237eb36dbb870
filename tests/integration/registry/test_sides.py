"""What is known of real versions, and who decided about them."""

import time

import pytest

from tests.integration.registry.conftest import GOOD, Shelf
from treadle.errors import NotDeployed, RoleEmpty, VersionNotFound
from treadle.projects import Project
from treadle.registry import promotion
from treadle.registry.sides import difference
from treadle.settings import Workspace
from treadle.state.store import Store

pytestmark = pytest.mark.integration


def test_two_versions_are_compared_with_who_decided_about_them(workspace: Workspace, project: Project, store: Store, shelf: Shelf) -> None:
    shelf.snapshot()
    better = {**GOOD, "metrics": {"accuracy": 0.97, "f1_macro": 0.97}, "intervals": {"accuracy": [0.95, 0.99]}}
    first, second = shelf.register(), shelf.register(card=better, cut=7.0)
    verdict = promotion.gate_version(workspace, store, project, first, at=time.time())
    promotion.promote(workspace, store, project, first, verdict, at=time.time(), actor="ada")

    found = difference(workspace, store, "iris@champion", f"iris@{second}")

    assert (found.model, found.first, found.second, found.same_holdout) == ("iris", first, second, True)
    facts = {fact.name: fact for fact in found.data}
    assert (facts["training cut"].first, facts["training cut"].second, facts["rows"].same) == (None, 7.0, True)
    assert facts["snapshot"].first == facts["snapshot"].second is not None
    assert {metric.name: metric.better for metric in found.metrics} == {"accuracy": "second", "f1_macro": "second"}
    judged, deployed = found.decided[str(first)]
    assert "the gate lets it pass." in judged
    assert "it becomes champion in generation 1, by ada." in deployed
    assert found.decided[str(second)] == ()


def test_a_role_that_nobody_has_and_a_version_that_never_was(workspace: Workspace, project: Project, store: Store, shelf: Shelf) -> None:
    shelf.snapshot()
    version = shelf.register()
    with pytest.raises(NotDeployed):
        difference(workspace, store, "iris@champion", f"iris@{version}")
    verdict = promotion.gate_version(workspace, store, project, version, at=time.time())
    promotion.promote(workspace, store, project, version, verdict, at=time.time(), actor="ada")
    with pytest.raises(RoleEmpty, match="No version of iris is canary now"):
        difference(workspace, store, f"iris@{version}", "iris@canary")
    with pytest.raises(VersionNotFound, match="9"):
        difference(workspace, store, f"iris@{version}", "iris@9")
