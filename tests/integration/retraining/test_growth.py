"""A model whose contract grows while it is served: trained, gated, canaried, promoted and rolled back, and nobody is refused for it."""

import json
from typing import Any

import pytest
import yaml

from tests.integration.retraining.conftest import CUT, POLICY, Night
from tests.shipping import ship_all
from treadle.errors import ContractBroken
from treadle.loop import Loop
from treadle.registry.tracking import Registered
from treadle.registry.versions import train_and_register
from treadle.retraining import steps
from treadle.retraining.steps import End, Next
from treadle.state import joins, turns
from treadle.state.turns import Turn

pytestmark = [pytest.mark.integration, pytest.mark.timeout(300)]

TENURE = {"name": "tenure", "type": "integer", "min": 0, "max": 100}
SPEND = {"name": "spend", "type": "number", "min": 0, "max": 1000}
PLAN = {"name": "plan", "type": "category", "categories": ["basic", "plus"]}
VISITS = {"name": "visits", "type": "integer", "min": 0, "max": 9, "required": False}

Features = list[dict[str, Any]]

BEFORE: Features = [TENURE, SPEND, PLAN]
AFTER: Features = [{**PLAN, "categories": ["pro", "basic", "plus"]}, TENURE, {**SPEND, "max": 2000}, VISITS]

CODE = """
import numpy as np
from pandas import DataFrame
from sklearn.linear_model import LogisticRegression

def build(seed):
    return LogisticRegression()

def synthesize(rows, seed):
    random = np.random.default_rng(seed)
    tenure, spend = random.integers(0, 100, rows), random.uniform(0, 1000, rows).round(2)
    plan = np.where(random.uniform(size=rows) < 0.5, "basic", "plus")
    stays = tenure * 10 + spend + 200 * (plan == "plus") + random.normal(0, 100, rows) > 1100
    who = [f"trained{row}" for row in range(rows)]
    return DataFrame({"tenure": tenure, "spend": spend, "plan": plan, "customer": who, "left": np.where(stays, "no", "yes")})
"""


class Grown:
    """A night in which callers send rows of a made-up world, and tell how each ended."""

    def __init__(self, night: Night) -> None:
        self.night = night
        self.loop = Loop(night.workspace, night.store, clock=night.clock)
        self.draws = 0

    def write(self, features: Features) -> None:
        folder = self.night.workspace.projects_dir / "churn"
        target = {"name": "left", "classes": ["no", "yes"], "positive": "yes"}
        interface = {"task": "binary", "target": target, "features": features, "entity": "customer", "preprocessing": {"scale": True}}
        policy = {**POLICY, "gate": {**POLICY["gate"], "champion_margin": 0.1}}
        data = [{"kind": "simulated", "rows": 300}]
        (folder / "model.yaml").write_text(json.dumps({"name": "churn", "data": data, "interface": interface, "policy": policy}))
        (folder / "model.py").write_text(CODE)

    def train(self, **how: Any) -> Registered:
        night = self.night
        return train_and_register(night.workspace, night.store, night.project, seed=1, clock=night.clock, **how)

    def serve(self, count: int, **more: Any) -> list[dict[str, Any]]:
        """Answer ``count`` rows, each with ``more`` fields, tell their labels, and let both mature; return the answers."""
        night, service = self.night, self.night.service
        self.draws += 1
        frame = night.project.hook("synthesize")(count, self.draws + 100)
        night.now += 1
        service.now = night.now
        service.follower.look()
        rows = [
            {**{str(name): value for name, value in row.items()}, "customer": f"live{self.draws}-{index}", **more}
            for index, row in enumerate(frame.drop(columns=["left"]).to_dict("records"))
        ]
        answers = service.predict_batch(rows)
        labels = [{"prediction_id": answer["prediction_id"], "value": label} for answer, label in zip(answers, frame["left"], strict=True)]
        assert service.ask("POST", "/labels/churn", json={"labels": labels}).status_code == 202
        ship_all(night.store, night.workspace.spool_dir, night.bundles, clock=night.clock)
        with night.store.write() as conn:
            joins.resolve_labels(conn, now=night.now, expire={})
        night.now += 20
        return answers

    def status(self, **fields: Any) -> int:
        """Ask for one answer over HTTP, as the deployment is now."""
        self.night.service.follower.look()
        return self.night.service.ask("POST", "/predict/churn", json={"tenure": 5, "spend": 50, "plan": "basic", **fields}).status_code

    def step(self, turn: Turn, done: Any) -> Turn:
        """Record what a step says, as the controller would."""
        assert isinstance(done, Next), done
        with self.night.store.write() as conn:
            return turns.advance(conn, turn, step=done.step, at=self.night.now, data=done.data)


@pytest.fixture
def grown(night: Night) -> Grown:
    return Grown(night)


def test_a_contract_that_grows_is_trained_gated_canaried_promoted_and_rolled_back(grown: Grown) -> None:
    night = grown.night
    grown.write(BEFORE)
    grown.train()
    verdict, _ = grown.loop.promote(night.project)
    assert verdict.passed, verdict.reasons
    assert {answer["version"] for answer in grown.serve(250)} == {1}
    assert grown.status(visits=3) == 422

    grown.write(AFTER)
    desk = night.desk
    turn = night.open_turn(onset=CUT, champion=1)
    collected = steps.collect(desk, night.project, turn)
    turn = grown.step(turn, collected)
    frame, _ = night.snapshots.load("churn", turn.data["snapshot"])
    assert len(frame) == 250
    assert frame["visits"].isna().all()
    assert set(frame["plan"]) == {"basic", "plus"}
    made = grown.train(turn_id=turn.id, snapshot=turn.data["snapshot"], cut=turn.data["cut"])
    assert made.version == 2
    assert night.bundles.interface(made.digest).feature_names == ("plan", "tenure", "spend", "visits")

    grown.serve(150)
    turn = grown.step(turn, Next("judge", {"version": made.version, "digest": made.digest}))
    turn = grown.step(turn, steps.judge(desk, night.project, turn))
    gate = night.verdict(2, "gate")
    assert (gate.passed, gate.evidence["measured"]["comparison"]["rows"]) == (True, "logged")
    assert gate.evidence["measured"]["comparison"]["paired"]["n"] == 150
    assert night.roles() == {"champion": 1, "canary": 2}

    answers = grown.serve(150, visits=3)
    assert {answer["version"] for answer in answers} == {1, 2}
    assert not any(answer["fallback"] for answer in answers)
    assert (grown.status(), grown.status(visits=3), grown.status(visits=99), grown.status(spend=1500)) == (200, 200, 422, 422)
    ended = steps.watch_canary(desk, night.project, turn)
    assert isinstance(ended, End)
    assert ended.outcome == "promoted", ended.reason

    assert {answer["version"] for answer in grown.serve(20, visits=3, plan="pro", spend=1500.0)} == {2}
    assert (grown.status(), grown.status(visits=3)) == (200, 200)
    grown.loop.rollback(night.project, reason="a test", actor="ada")
    assert night.roles() == {"champion": 1}
    assert {answer["version"] for answer in grown.serve(20, visits=3)} == {1}
    assert (grown.status(visits=3), grown.status(plan="pro")) == (200, 422)
    assert grown.loop.gate(night.project, 2).passed


def test_a_contract_that_loses_a_column_is_neither_trained_nor_collected_for(grown: Grown) -> None:
    night = grown.night
    grown.write(BEFORE)
    grown.train()
    grown.loop.promote(night.project)
    fewer: Features = [{**TENURE, "name": "months_with_us"}, SPEND, {**PLAN, "categories": ["basic"]}]
    grown.write(fewer)
    code = night.workspace.projects_dir / "churn" / "model.py"
    code.write_text(CODE.replace('"tenure": tenure', '"months_with_us": tenure'))
    with pytest.raises(ContractBroken) as error:
        grown.train()
    said = str(error.value)
    # No name gives it away: the values of both columns do.
    assert "The column tenure seems to be called months_with_us now" in said
    assert "The column plan has lost the category plus" in said
    edit = yaml.safe_load(said.partition("model.yaml:\n\n")[2].partition("\n\n")[0])
    assert edit == {"interface": {"features": [TENURE, PLAN]}}
    assert [version.version for version in night.tracking.versions("churn")] == [1]
    ended = steps.collect(night.desk, night.project, night.open_turn(champion=1))
    assert isinstance(ended, End)
    assert ended.outcome == "refused"
    assert "The column tenure is gone" in ended.reason
