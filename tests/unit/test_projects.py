import shutil
import sys
from pathlib import Path

import pytest

from treadle.errors import ContractInvalid, ProjectCodeInvalid, ProjectNotFound, SettingsInvalid
from treadle.projects import Project, discover, find, names
from treadle.settings import MARKER, Workspace

SMALLEST = Path(__file__).parent / "contracts" / "valid" / "smallest.yaml"


@pytest.fixture
def empty(tmp_path: Path) -> Workspace:
    root = tmp_path / "workspace"
    (root / "projects").mkdir(parents=True)
    (root / MARKER).write_text("")
    return Workspace.find(root)


def put(folder: Path, name: str, code: str | None = "") -> Path:
    folder.mkdir(parents=True)
    (folder / "model.yaml").write_text(SMALLEST.read_text().replace("smallest", name))
    if code is not None:
        (folder / "model.py").write_text(code)
    return folder


def install(site: Path, package: str, *, entry: str | None = None) -> None:
    """Write what an installed distribution leaves behind: its metadata with an entry point."""
    metadata = site / f"{package}-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[treadle.projects]\n{package} = {entry or package}\n")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return folder


class TestDiscover:
    def test_every_folder_with_a_contract_is_a_project(self, workspace: Workspace) -> None:
        assert {"churn", "iris"} <= set(discover(workspace))

    def test_a_folder_without_a_contract_is_none(self, empty: Workspace) -> None:
        (empty.projects_dir / "notes").mkdir()
        assert discover(empty) == {}

    def test_no_code_is_run_for_it(self, empty: Workspace) -> None:
        put(empty.projects_dir / "broken", "broken", "raise SystemExit")
        assert set(discover(empty)) == {"broken"}

    def test_a_model_bears_the_name_of_its_folder(self, empty: Workspace) -> None:
        put(empty.projects_dir / "copy", "original")
        with pytest.raises(ContractInvalid, match="name: it is 'original', but the folder is called 'copy'"):
            discover(empty)

    def test_the_overlay_of_the_settings_is_laid_over(self, empty: Workspace) -> None:
        folder = put(empty.projects_dir / "prices", "prices")
        (folder / "policy.demo.yaml").write_text("owner: demo")
        (empty.root / MARKER).write_text('overlay = "demo"')
        assert discover(Workspace.find(empty.root))["prices"].contract.policy.owner == "demo"


class TestInstalled:
    def test_a_package_can_bring_a_project(self, empty: Workspace, site: Path) -> None:
        (put(site / "prices_project", "prices", "def build(seed): return seed") / "__init__.py").touch()
        install(site, "prices_project")
        project = find(empty, "prices")
        assert project.folder == site / "prices_project"
        assert project.hook("build")(3) == 3

    def test_the_workspace_comes_first(self, empty: Workspace, site: Path) -> None:
        put(site / "prices_project", "prices")
        install(site, "prices_project")
        own = put(empty.projects_dir / "prices", "prices")
        assert discover(empty)["prices"].folder == own
        assert find(empty, "prices").folder == own

    @pytest.mark.parametrize("entry", ["no_such_package", "no_such_package.inner", "json.decoder"])
    def test_an_entry_point_that_names_no_package_is_told(self, empty: Workspace, site: Path, entry: str) -> None:
        install(site, "prices_project", entry=entry)
        with pytest.raises(ProjectCodeInvalid, match="the entry point prices_project names it, but there is no such package"):
            discover(empty)


class TestFind:
    def test_a_broken_neighbour_is_not_read(self, empty: Workspace) -> None:
        put(empty.projects_dir / "prices", "prices")
        put(empty.projects_dir / "broken", "Broken")
        assert find(empty, "prices").name == "prices"

    def test_an_unknown_name_lists_those_that_exist(self, workspace: Workspace) -> None:
        with pytest.raises(ProjectNotFound, match="There is no project 'wine': choose from churn, house_prices, iris"):
            find(workspace, "wine")

    def test_a_workspace_without_projects_says_so(self, empty: Workspace) -> None:
        with pytest.raises(ProjectNotFound, match="there are none yet"):
            find(empty, "wine")


class TestCode:
    def project(self, workspace: Workspace, code: str | None) -> Project:
        put(workspace.projects_dir / "prices", "prices", code)
        return find(workspace, "prices")

    def test_a_function_is_found_by_name(self, empty: Workspace) -> None:
        project = self.project(empty, "def load(path): return [path]\nbuild = None\n")
        assert project.hook("load")("rows.csv") == ["rows.csv"]
        assert project.has("load")
        assert not project.has("build")
        assert not project.has("simulate")

    def test_a_missing_function_is_named(self, empty: Workspace) -> None:
        with pytest.raises(ProjectCodeInvalid, match=r"it has no function synthesize\(\)"):
            self.project(empty, "").hook("synthesize")

    def test_a_missing_file_is_named(self, empty: Workspace) -> None:
        with pytest.raises(ProjectCodeInvalid, match=r"model\.py, cannot be used: there is no such file"):
            self.project(empty, None).hook("load")

    def test_a_failing_import_is_told_and_leaves_nothing_behind(self, empty: Workspace) -> None:
        with pytest.raises(ProjectCodeInvalid, match="it fails on import with ZeroDivisionError: division by zero"):
            self.project(empty, "1 / 0").hook("load")
        assert "treadle_project_prices" not in sys.modules

    def test_it_is_run_once(self, empty: Workspace) -> None:
        project = self.project(empty, "calls = []\ndef load(path): calls.append(path); return len(calls)\n")
        assert [project.hook("load")(None), project.hook("load")(None)] == [1, 2]

    def test_two_workspaces_keep_their_own_code(self, empty: Workspace, tmp_path: Path) -> None:
        first = self.project(empty, "def load(path): return 1")
        shutil.copytree(empty.root, tmp_path / "second")
        (tmp_path / "second" / "projects" / "prices" / "model.py").write_text("def load(path): return 2")
        second = find(Workspace.find(tmp_path / "second"), "prices")
        assert (second.hook("load")(None), first.hook("load")(None)) == (2, 1)


def test_an_overlay_that_no_project_has_is_refused_and_those_there_are_are_named(workspace: Workspace) -> None:
    mistyped = Workspace(workspace.root, workspace.settings.model_copy(update={"overlay": "dmeo"}))
    with pytest.raises(SettingsInvalid, match=r"policy\.dmeo\.yaml; choose from demo"):
        find(mistyped, "iris")
    with pytest.raises(SettingsInvalid, match="choose from demo"):
        discover(mistyped)


def test_a_project_with_a_broken_contract_keeps_its_name(workspace: Workspace) -> None:
    (workspace.projects_dir / "iris" / "model.yaml").write_text("b: [", encoding="utf-8")
    assert names(workspace) == ["churn", "house_prices", "iris"]
