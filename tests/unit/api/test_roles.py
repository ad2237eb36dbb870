"""What changes a workspace for good, or records a judgement, needs the role for it: a key that may only look changes nothing."""

from collections.abc import Callable
from typing import Any

import pytest

from treadle import api
from treadle.errors import RoleMissing
from treadle.identity import Keys
from treadle.settings import Workspace


@pytest.mark.parametrize(
    "command",
    [api.gc, api.reset, lambda: api.reset("churn"), lambda: api.gate("churn")],
    ids=["gc", "reset", "reset-model", "gate"],
)
def test_a_key_that_may_only_look_does_not(workspace: Workspace, monkeypatch: pytest.MonkeyPatch, command: Callable[[], Any]) -> None:
    monkeypatch.setenv("TREADLE_KEY", Keys(workspace.home).create("eve", ["predict", "label"]))
    mine = workspace.home / "reports" / "mine.txt"
    mine.parent.mkdir(parents=True)
    mine.touch()
    with pytest.raises(RoleMissing, match="eve has the roles predict, label; this needs the role operate"):
        command()
    assert mine.exists()


def test_a_plan_of_what_would_go_may_be_seen_by_all(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TREADLE_KEY", Keys(workspace.home).create("eve", ["predict", "label"]))
    api.gc(dry_run=True)
