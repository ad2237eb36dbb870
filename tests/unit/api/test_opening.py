from pathlib import Path

import pytest

from treadle.api import opening
from treadle.errors import RoleMissing, SettingsInvalid
from treadle.identity import Keys
from treadle.settings import Workspace
from treadle.state import events
from treadle.state.heads import heads_file


def test_options_of_the_command_line_win_over_the_settings(workspace: Workspace) -> None:
    assert opening.found(port=None, workers=None).settings == workspace.settings
    changed = opening.found(port=8123, workers=None)
    assert (changed.settings.port, changed.settings.workers, changed.root) == (8123, 2, workspace.root)
    with pytest.raises(SettingsInvalid, match="the command line"):
        opening.found(port=70000)


def test_the_store_is_closed_after_a_command(workspace: Workspace) -> None:
    with opening.opened() as (place, store):
        assert place.root == workspace.root
        assert Path(place.home / "state.db").is_file()
    with opening.opened() as (_, again), again.read():
        assert again is not store


def test_what_happens_in_a_workspace_is_signed(workspace: Workspace) -> None:
    with opening.opened() as (_, store), store.write() as conn:
        events.append(conn, "thing.happened", at=1.0, data={})
    with opening.opened():
        pass
    assert len(heads_file(workspace.home).read_text().splitlines()) == 2  # where the record begins, and what happened


def test_one_whose_key_does_not_let_him_does_not_act(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    assert opening.acting(workspace, "admin").source == "os"
    monkeypatch.setenv("TREADLE_KEY", Keys(workspace.home).create("eve", ["predict"]))
    assert opening.acting(workspace, "predict").name == "eve"
    with pytest.raises(RoleMissing):
        opening.acting(workspace, "operate")


def test_a_workspace_can_be_named_by_its_folder(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "treadle.toml").touch()
    assert opening.found(workspace) is workspace
    assert opening.found(tmp_path / "other").root == opening.found(str(tmp_path / "other")).root == tmp_path / "other"
    assert opening.found().root == workspace.root
