"""events --accept-restart, as a person types it, in a workspace whose signed heads were lost."""

import shutil

import pytest

from tests.shell import treadle
from treadle.identity import Keys, os_user
from treadle.settings import Workspace
from treadle.state.heads import heads_file


@pytest.fixture
def lost(workspace: Workspace) -> Workspace:
    """Return a workspace in which three events were signed, the heads then removed, and the next command has signed anew."""
    treadle("pause", "iris", "--reason", "a")
    treadle("resume", "iris")
    assert treadle("events", "--verify").code == 0
    shutil.rmtree(heads_file(workspace.home).parent)
    treadle("pause", "iris", "--reason", "a")
    return workspace


def test_a_loss_of_the_heads_is_accepted_by_number_and_with_a_reason(lost: Workspace) -> None:
    done = treadle("events", "--verify")
    assert done.code == 3
    assert '`treadle events --accept-restart 5 --reason "..."`' in done.err
    assert "needs a reason" in treadle("events", "--accept-restart", 5).err
    assert "that is event 5" in treadle("events", "--accept-restart", 4, "--reason", "a").err
    done = treadle("events", "--accept-restart", 5, "--reason", "The disk was new.")
    assert done.code == 0
    assert "no head vouches for the 4 events before number 5" in done.out
    assert f"by {os_user()}: The disk was new." in done.out
    found = treadle("events", "--verify", "--json").json
    assert (found["unsigned"], found["restart"]["seq"], found["restart"]["unsigned"]) == (0, 5, 4)
    assert f"The disk was new. ({os_user()})" in treadle("events", "--kind", "audit").out
    assert treadle("events", "--reason", "a").code == 2


def test_only_an_admin_key_accepts_a_loss(lost: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    keys = Keys(lost.home)
    monkeypatch.setenv("TREADLE_KEY", keys.create("eve", ["operate", "approve"]))
    assert "eve" in treadle("events", "--accept-restart", 5, "--reason", "a").err
    monkeypatch.setenv("TREADLE_KEY", keys.create("ada", ["admin"]))
    assert "by ada: a." in treadle("events", "--accept-restart", 5, "--reason", "a").out
