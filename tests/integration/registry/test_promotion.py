from dataclasses import dataclass, replace

import numpy as np
import pytest
import yaml

from tests.integration.registry.conftest import GOOD, SPECIES, Shelf, files, graph, lineage
from treadle.errors import (
    BundleCorrupt,
    BundleInvalid,
    BundleNotFound,
    NoCanary,
    NotPermitted,
    RowsOverlap,
    VersionNotFound,
)
from treadle.projects import Project
from treadle.registry import promotion
from treadle.registry.evidence import Jury
from treadle.settings import Workspace
from treadle.spec import Feature, NumberFeature
from treadle.state import deployments, events, verdicts
from treadle.state.deployments import Deployment, Slot
from treadle.state.store import Store
from treadle.state.verdicts import Verdict

pytestmark = pytest.mark.integration

WORSE = graph(SPECIES * np.array([1, 1, 0], dtype=np.float32))
"""It never sees a virginica."""


@dataclass(frozen=True)
class Decision:
    outcome: str
    clause: str | None = None
    reasons: tuple[str, ...] = ("So it was seen.",)


class Desk:
    """The functions under test, with what every call names."""

    def __init__(self, workspace: Workspace, store: Store, project: Project) -> None:
        self.workspace, self.store, self.project = workspace, store, project

    def gate(self, version: int, **given: object) -> Verdict:
        return promotion.gate_version(self.workspace, self.store, self.project, version, at=1.0, **given)  # type: ignore[arg-type]

    def promote(self, version: int, verdict: Verdict | None = None) -> Deployment:
        return promotion.promote(self.workspace, self.store, self.project, version, verdict or self.gate(version), at=2.0)

    def canary(self, version: int, verdict: Verdict | None = None) -> Deployment:
        return promotion.start_canary(self.workspace, self.store, self.project, version, verdict or self.gate(version), at=3.0)

    def present(self) -> Deployment | None:
        with self.store.read() as conn:
            return deployments.current(conn, "iris")

    def kinds(self) -> list[str]:
        with self.store.read() as conn:
            return [event.kind for event in events.after(conn, 0)]

    def with_gate(self, **changes: object) -> None:
        gate = self.project.contract.policy.gate.model_copy(update=changes)
        policy = self.project.contract.policy.model_copy(update={"gate": gate})
        self.project = replace(self.project, contract=self.project.contract.model_copy(update={"policy": policy}))


@pytest.fixture
def desk(workspace: Workspace, store: Store, project: Project) -> Desk:
    return Desk(workspace, store, project)


def roles(deployment: Deployment | None) -> dict[str, tuple[int, float]]:
    return {slot.role: (slot.version, slot.weight) for slot in deployment.slots} if deployment else {}


def failed(verdict: Verdict) -> list[str]:
    return [name for name, passed in verdict.evidence["clauses"].items() if not passed]


def flip(desk: Desk, digest: str) -> None:
    path = desk.workspace.bundle_dir / digest / "model.onnx"
    content = bytearray(path.read_bytes())
    content[200] ^= 1
    path.write_bytes(content)


def test_a_good_first_version_passes_and_is_promoted(desk: Desk, shelf: Shelf) -> None:
    verdict = desk.gate(shelf.register())
    assert (verdict.passed, failed(verdict), verdict.kind, verdict.at) == (True, [], "gate", 1.0)
    assert verdict.policy_digest == desk.project.contract.policy.digest
    with desk.store.read() as conn:
        assert verdicts.get(conn, verdict.id) == verdict
    deployed = desk.promote(1, verdict)
    assert deployed == desk.present()
    assert deployed.slots == (Slot("champion", 1, verdict.digest, 1.0),)
    assert (deployed.generation, deployed.verdict, deployed.at) == (1, verdict.id, 2.0)
    assert desk.kinds() == ["verdict.recorded", "deployment.changed"]


def test_a_version_that_does_not_exist_cannot_be_gated(desk: Desk) -> None:
    with pytest.raises(VersionNotFound, match="iris has no version 5"):
        desk.gate(5)


def test_the_next_champion_keeps_the_old_one_as_fallback(desk: Desk, shelf: Shelf) -> None:
    shelf.snapshot()
    desk.promote(shelf.register())
    second = shelf.register(seed=42, code_digest="e" * 64)
    verdict = desk.gate(second)
    assert verdict.passed
    assert verdict.evidence["measured"]["comparison"]["rows"] == "holdout"
    assert "On the same 30 holdout rows f1_macro is the same as that of champion version 1" in " ".join(verdict.reasons)
    assert roles(desk.promote(second, verdict)) == {"champion": (2, 1.0), "fallback": (1, 0.0)}


def test_a_worse_version_is_refused_by_the_champion_clause_whatever_its_card_says(desk: Desk, shelf: Shelf) -> None:
    desk.with_gate(minimum={})
    shelf.snapshot()
    desk.promote(shelf.register())
    verdict = desk.gate(shelf.register(WORSE))
    assert failed(verdict) == ["champion"]
    assert len(verdict.reasons) == 1
    assert "worse than that of champion version 1" in verdict.reasons[0]
    for give_a_role in (desk.promote, desk.canary):
        with pytest.raises(NotPermitted, match=r"the gate refused it\. On the same 30 holdout rows"):
            give_a_role(2, verdict)
    assert roles(desk.present()) == {"champion": (1, 1.0)}


def test_a_slow_version_is_refused_by_the_latency_clause(desk: Desk, shelf: Shelf) -> None:
    desk.with_gate(latency=0.001)
    verdict = desk.gate(shelf.register(graph(slow=True)))
    assert failed(verdict) == ["latency"]
    assert "at most 1 ms is allowed" in verdict.reasons[0]


@pytest.mark.parametrize(
    ("card", "clauses"),
    [
        ({**GOOD, "metrics": {"accuracy": 0.84, "f1_macro": 0.93}}, ["minimum accuracy"]),
        ({**GOOD, "baseline": {"f1_macro": 0.8}}, ["baseline"]),
        ({**GOOD, "parity": {"rows": 100, "share_beyond": 0.01}}, ["parity"]),
    ],
)
def test_a_sealed_card_that_shows_too_little_is_refused_by_its_clause(
    desk: Desk, shelf: Shelf, card: dict[str, object], clauses: list[str]
) -> None:
    assert failed(desk.gate(shelf.register(card=card))) == clauses


def test_a_card_made_by_hand_does_not_make_a_version_better(desk: Desk, shelf: Shelf) -> None:
    verdict = desk.gate(shelf.register(WORSE, card={**GOOD, "baseline": {"f1_macro": 0.0}}))
    assert failed(verdict) == ["minimum accuracy", "minimum f1_macro"]
    guessing = desk.gate(shelf.register(graph(SPECIES * 0), card={**GOOD, "baseline": {"f1_macro": 0.0}}))
    assert "baseline" in failed(guessing)
    measured = verdict.evidence["measured"]
    assert measured["metrics"]["accuracy"] < GOOD["metrics"]["accuracy"]
    assert measured["baseline"]["f1_macro"] == pytest.approx(1 / 6)
    with pytest.raises(NotPermitted):
        desk.promote(1, verdict)


def test_a_lineage_that_names_other_rows_than_its_snapshot_gives_is_refused(desk: Desk, shelf: Shelf) -> None:
    verdict = desk.gate(shelf.register(holdout_digest="i" * 64))
    assert failed(verdict) == ["holdout"]
    assert "gives other held-out rows than its lineage names" in verdict.reasons[0]


def test_without_fair_rows_the_gate_refuses_and_says_what_to_do(desk: Desk, shelf: Shelf) -> None:
    desk.with_gate(minimum={})
    desk.promote(shelf.register())
    verdict = desk.gate(shelf.register(seed=7))
    assert failed(verdict) == ["champion"]
    assert "No rows are fair to both it and champion version 1" in verdict.reasons[0]
    assert "`treadle train iris --seed N`" in verdict.reasons[0]


@pytest.mark.parametrize("judge", ["holdout", "logged"])
def test_a_version_whose_snapshot_is_gone_is_refused(desk: Desk, shelf: Shelf, judge: str) -> None:
    desk.promote(shelf.register())
    rows = {"jury": Jury(shelf.logged(since=1000.0), ())} if judge == "logged" else {}
    verdict = desk.gate(shelf.register(snapshot="feedbeef", cut=1000.0), **rows)
    assert failed(verdict) == ["holdout"]
    assert "cannot be found again, so that nothing can be measured. iris has no snapshot 'feedbeef'" in verdict.reasons[0]


def test_logged_rows_later_than_the_cut_judge_both(desk: Desk, shelf: Shelf) -> None:
    desk.with_gate(minimum={})
    desk.promote(shelf.register())
    better = desk.gate(shelf.register(cut=1000.0, holdout_digest=""), jury=Jury(shelf.logged(since=1000.0), ()))
    assert better.passed
    assert better.evidence["measured"]["comparison"]["rows"] == "logged"
    assert "On the same 150 logged rows" in " ".join(better.reasons)
    worse = desk.gate(shelf.register(WORSE, cut=1000.0), jury=Jury(shelf.logged(since=1000.0), ()))
    assert failed(worse) == ["champion"]


def test_too_few_logged_rows_prove_nothing(desk: Desk, shelf: Shelf) -> None:
    desk.promote(shelf.register())
    rows = shelf.logged(since=1000.0).take(np.arange(29))
    verdict = desk.gate(shelf.register(cut=1000.0), jury=Jury(rows, ()))
    assert verdict.reasons == ("Only 29 logged rows compare it with champion version 1; at least 30 are asked.",)


def test_rows_from_before_the_cut_are_refused(desk: Desk, shelf: Shelf) -> None:
    version = shelf.register(cut=1003.0)
    with pytest.raises(RowsOverlap, match="3 of 150 rows were predicted at or before its training cut"):
        desk.gate(version, jury=Jury(shelf.logged(since=1000.0), ()))
    assert desk.kinds() == []


class TestWithEntities:
    @pytest.fixture
    def project(self, project: Project) -> Project:
        interface = project.contract.interface.model_copy(update={"entity": "flower"})
        return replace(project, contract=project.contract.model_copy(update={"interface": interface}))

    @pytest.fixture
    def version(self, shelf: Shelf) -> int:
        shelf.snapshot(shelf.frame.assign(flower=[f"f{index}" for index in range(len(shelf.frame))]))
        return shelf.register(cut=1000.0)

    def test_rows_of_entities_that_were_trained_on_are_refused(self, desk: Desk, shelf: Shelf, version: int) -> None:
        names = [f"g{index}" for index in range(148)] + ["f7", "f149"]
        with pytest.raises(RowsOverlap, match="2 entities are among its training rows: f149, f7"):
            desk.gate(version, jury=Jury(shelf.logged(since=1000.0, entities=names), ()))

    def test_rows_of_other_entities_judge_and_those_without_one_are_counted(self, desk: Desk, shelf: Shelf, version: int) -> None:
        desk.promote(version, desk.gate(version))
        names = [f"g{index}" for index in range(140)] + [None] * 10
        verdict = desk.gate(shelf.register(code_digest="e" * 64, cut=1000.0), jury=Jury(shelf.logged(since=1000.0, entities=names), ()))
        assert verdict.passed
        assert "10 of the rows name no entity." in " ".join(verdict.reasons)


def test_versions_with_other_classes_cannot_be_compared(desk: Desk, shelf: Shelf) -> None:
    desk.promote(shelf.register())
    target = shelf.project.contract.interface.target.model_copy(update={"classes": ("virginica", "versicolor", "setosa")})
    interface = shelf.project.contract.interface.model_copy(update={"target": target})
    shelf.project = replace(shelf.project, contract=shelf.project.contract.model_copy(update={"interface": interface}))
    verdict = desk.gate(shelf.register())
    assert "champion" in failed(verdict)
    said = verdict.reasons[-1]
    assert "The target is species (multiclass of virginica, versicolor, setosa) and no longer species" in said
    assert yaml.safe_load(edit_in(said))["interface"]["target"] == {"name": "species", "classes": ["setosa", "versicolor", "virginica"]}


class TestAContractThatChanges:
    """The champion is sealed with four measurements; the challenger with what the contract says now."""

    PLACE = NumberFeature(name="height", type="number", min=0, max=3000, required=False)

    def follow(self, shelf: Shelf, *features: Feature) -> None:
        """Write other features into the contract that the next versions are sealed with."""
        interface = shelf.project.contract.interface.model_copy(update={"features": features})
        shelf.project = replace(shelf.project, contract=shelf.project.contract.model_copy(update={"interface": interface}))

    def wider(self, shelf: Shelf) -> np.ndarray:
        """Let the contract grow: the columns turned round, and one more; return the graph's weights for it."""
        old = shelf.project.contract.interface.features
        heights = np.where(np.arange(len(shelf.frame)) % 2, 100.0, np.nan)
        shelf.frame = shelf.frame.assign(height=heights)
        self.follow(shelf, self.PLACE, *reversed(old))
        shelf.snapshot()
        return np.concatenate([np.zeros((1, 3), dtype=np.float32), SPECIES[::-1]])

    def test_a_grown_version_is_compared_on_the_holdout_that_both_have_and_promoted(self, desk: Desk, shelf: Shelf) -> None:
        desk.promote(shelf.register())
        verdict = desk.gate(shelf.register(graph(self.wider(shelf), missing=0.0)))
        assert "On the same 30 holdout rows f1_macro is the same as that of champion version 1" in " ".join(verdict.reasons)
        assert roles(desk.promote(2, verdict)) == {"champion": (2, 1.0), "fallback": (1, 0.0)}

    def test_and_on_logged_rows_of_its_own_interface(self, desk: Desk, shelf: Shelf) -> None:
        desk.promote(shelf.register())
        version = shelf.register(graph(self.wider(shelf), missing=0.0), cut=1000.0)
        verdict = desk.gate(version, jury=Jury(shelf.logged(since=1000.0), ("3 rows were left out.",)))
        assert verdict.passed
        comparison = verdict.evidence["measured"]["comparison"]
        assert (comparison["rows"], comparison["paired"]["n"], comparison["paired"]["difference"]) == ("logged", 150, 0.0)
        assert "3 rows were left out." in " ".join(verdict.reasons)

    def test_one_without_a_column_is_refused_and_the_edit_printed(self, desk: Desk, shelf: Shelf) -> None:
        desk.promote(shelf.register())
        first, *others = shelf.project.contract.interface.features
        self.follow(shelf, *others)
        verdict = desk.gate(shelf.register(graph(SPECIES[1:])))
        assert "champion" in failed(verdict)
        said = verdict.reasons[-1]
        assert f"The column {first.name} is gone, but callers send it" in said
        assert yaml.safe_load(edit_in(said))["interface"]["features"][0]["name"] == first.name
        assert "copy projects/iris to projects/iris_2" in said


def edit_in(reason: str) -> str:
    """Return the YAML that a reason holds."""
    return reason.partition("\n\n")[2].partition("\n\n")[0]


def test_a_verdict_that_is_not_recorded_permits_nothing(desk: Desk, shelf: Shelf) -> None:
    verdict = replace(desk.gate(shelf.register()), id="made up")
    with pytest.raises(NotPermitted, match="iris version 1 may not have a role: the verdict is not in the record"):
        desk.promote(1, verdict)
    assert desk.present() is None


def test_a_verdict_that_was_edited_counts_as_it_was_recorded(desk: Desk, shelf: Shelf) -> None:
    verdict = desk.gate(shelf.register(card={**GOOD, "parity": {"rows": 100, "share_beyond": 1.0}}))
    with pytest.raises(NotPermitted, match="the gate refused it"):
        desk.promote(1, replace(verdict, passed=True))


def test_a_verdict_about_another_version_permits_nothing(desk: Desk, shelf: Shelf) -> None:
    verdict = desk.gate(shelf.register())
    with pytest.raises(NotPermitted, match="the verdict is about iris version 1"):
        desk.promote(shelf.register(seed=1), verdict)


def test_a_verdict_counts_only_under_its_policy_and_beside_its_champion(desk: Desk, shelf: Shelf) -> None:
    shelf.snapshot()
    first, second = desk.gate(shelf.register()), desk.gate(shelf.register(code_digest="e" * 64))
    desk.promote(1, first)
    with pytest.raises(NotPermitted, match="the champion has changed since the verdict"):
        desk.promote(2, second)
    again = desk.gate(2)
    desk.with_gate(min_rows=29)
    with pytest.raises(NotPermitted, match="the policy has changed since the verdict"):
        desk.promote(2, again)


def test_a_flipped_byte_is_refused_before_any_role_and_the_champion_stays(desk: Desk, shelf: Shelf) -> None:
    shelf.snapshot()
    desk.promote(shelf.register())
    verdict = desk.gate(shelf.register(code_digest="e" * 64))
    flip(desk, verdict.digest)
    for refused in (desk.promote, desk.canary):
        with pytest.raises(BundleCorrupt, match=r"model\.onnx"):
            refused(2, verdict)
    with pytest.raises(BundleCorrupt, match=r"model\.onnx"):
        desk.gate(2)
    assert roles(desk.present()) == {"champion": (1, 1.0)}


def test_the_bundle_of_another_model_is_refused(desk: Desk, shelf: Shelf) -> None:
    interface = desk.project.contract.interface
    foreign = shelf.bundles.put(files(interface, graph(), GOOD), "tulips", lineage(interface))
    shelf.register()
    with shelf.tracking.client() as client:
        client.set_model_version_tag("iris", "1", "treadle.digest", foreign.digest)
    with pytest.raises(BundleInvalid, match="is of tulips, not of iris"):
        desk.gate(1)


def test_a_canary_takes_its_share_and_then_all_traffic(desk: Desk, shelf: Shelf) -> None:
    shelf.snapshot()
    desk.promote(shelf.register())
    verdict = desk.gate(shelf.register(code_digest="e" * 64))
    assert roles(desk.canary(2, verdict)) == {"champion": (1, 0.8), "canary": (2, 0.2)}
    with pytest.raises(NotPermitted, match="as canary it has not passed"):
        promotion.promote_canary(desk.workspace, desk.store, desk.project, verdict, Decision("continue"), at=4.0)
    done = promotion.promote_canary(desk.workspace, desk.store, desk.project, verdict, Decision("pass"), at=4.0)
    assert roles(done) == {"champion": (2, 1.0), "fallback": (1, 0.0)}
    with desk.store.read() as conn:
        seen = verdicts.latest(conn, "iris", 2, "canary")
    assert seen is not None
    assert (seen.id, seen.passed, seen.reasons) == (done.verdict, True, ("So it was seen.",))


def test_a_canary_that_does_harm_is_taken_out_by_its_clause(desk: Desk, shelf: Shelf) -> None:
    shelf.snapshot()
    desk.promote(shelf.register())
    verdict = desk.gate(shelf.register(code_digest="e" * 64))
    desk.canary(2, verdict)
    after = promotion.abort_canary(desk.store, desk.project, Decision("abort", "errors"), at=4.0)
    assert roles(after) == {"champion": (1, 1.0)}
    with desk.store.read() as conn:
        seen = verdicts.latest(conn, "iris", 2, "canary")
    assert seen is not None
    assert (seen.passed, seen.evidence) == (False, {"clause": "errors"})
    with pytest.raises(NoCanary, match="iris has no canary"):
        promotion.abort_canary(desk.store, desk.project, Decision("abort"), at=5.0)
    with pytest.raises(NoCanary, match="iris version 2 is not the canary"):
        promotion.promote_canary(desk.workspace, desk.store, desk.project, verdict, Decision("pass"), at=5.0)


def test_a_canary_needs_a_champion(desk: Desk, shelf: Shelf) -> None:
    with pytest.raises(NotPermitted, match="there is no champion that a canary could be compared with"):
        desk.canary(shelf.register())


def test_a_rollback_brings_the_old_roles_back_if_they_can_be_served(desk: Desk, shelf: Shelf) -> None:
    shelf.snapshot()
    first = desk.promote(shelf.register())
    desk.promote(shelf.register(code_digest="e" * 64))
    champion = first.slots[0].digest
    path = desk.workspace.bundle_dir / champion
    path.rename(path.with_name("away"))
    with pytest.raises(BundleNotFound, match=champion):
        promotion.rollback(desk.workspace, desk.store, "iris", reason="it is worse", at=5.0)
    assert roles(desk.present()) == {"champion": (2, 1.0), "fallback": (1, 0.0)}
    path.with_name("away").rename(path)
    back = promotion.rollback(desk.workspace, desk.store, "iris", reason="it is worse", at=6.0, actor="ada")
    assert (roles(back), back.generation, back.actor) == ({"champion": (1, 1.0)}, 3, "ada")
