"""Two people promote two versions of one model at the same moment: one wins, the other is told, and what to do."""

import shutil
import threading
import time
from pathlib import Path

import pytest

from tests.integration.hosts import promoters
from tests.integration.registry.conftest import Shelf
from tests.integration.state.writers import Pair
from treadle.errors import ConsentMissing, TreadleError
from treadle.projects import find
from treadle.registry import promotion
from treadle.settings import MARKER, Workspace
from treadle.state import consents, deployments, events
from treadle.state.consents import Word
from treadle.state.store import open_store

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]


def test_of_two_promotions_at_once_one_wins_and_the_other_is_told_what_to_do(
    workspace: Workspace, store_url: str, empty_mlflow: Path
) -> None:
    with (workspace.root / MARKER).open("a", encoding="utf-8") as marker:
        marker.write(f'store_url = "{store_url}"\n')
    workspace = Workspace.find(workspace.root)
    workspace.home.mkdir()
    shutil.copy(empty_mlflow, workspace.home)
    shelf = Shelf(workspace, find(workspace, "iris"))
    assert [shelf.register(code_digest=digit * 64) for digit in "12"] == [1, 2]
    store = open_store(store_url)
    for version in (1, 2):
        assert promotion.gate_version(workspace, store, shelf.project, version, at=time.time()).passed
    store.close()

    pair = Pair()
    try:
        said = pair.run(promoters.promote, str(workspace.root), seconds=150)
    finally:
        pair.close()

    won = said.index("generation 1")
    told = said[1 - won]
    # Whether the loser sees the new champion before it writes or only then depends on the database.
    void = (
        f"NotPermitted: iris version {2 - won} may not have a role: the champion has changed since the verdict. "
        f"`treadle gate iris --version {2 - won}` judges it anew."
    )
    second = (
        "GenerationConflict: The deployment of iris is at generation 1, not 0: it was changed meanwhile. "
        "Look at it again with `treadle status`, then decide anew."
    )
    assert told in {void, second}
    store = open_store(store_url)
    with store.read() as conn:
        (present,) = deployments.history(conn, "iris")
        assert present.champion is not None
        assert (present.champion.version, present.generation) == (won + 1, 1)
        changed = [event for event in events.after(conn, 0) if event.kind == "deployment.changed"]
        assert [event.actor for event in changed] == [f"promoter {won}"]
        events.verify(conn)
    store.close()


def test_a_refusal_that_comes_while_a_promotion_waits_its_turn_is_heard(workspace: Workspace, store_url: str, empty_mlflow: Path) -> None:
    with (workspace.root / MARKER).open("a", encoding="utf-8") as marker:
        marker.write(f'store_url = "{store_url}"\n')
    workspace = Workspace.find(workspace.root)
    workspace.home.mkdir()
    shutil.copy(empty_mlflow, workspace.home)
    shelf = Shelf(workspace, find(workspace, "iris"))
    version, store = shelf.register(), open_store(store_url)
    verdict = promotion.gate_version(workspace, store, shelf.project, version, at=time.time())
    said: list[object] = []

    def promote() -> None:
        try:
            said.append(promotion.promote(workspace, store, shelf.project, version, verdict, at=time.time()))
        except TreadleError as error:
            said.append(error)

    promoting = threading.Thread(target=promote)
    with store.write() as conn:
        events.lock(conn)
        promoting.start()
        promoting.join(2)  # long enough to read whatever it reads without the lock
        assert said == []
        consents.give(conn, Word("reject", "Too slow.", "ada", "key", time.time(), "a-word").on(verdict))
    promoting.join(60)
    (told,) = said
    assert isinstance(told, ConsentMissing)
    assert "ada has refused version 1" in str(told)
    store.close()
