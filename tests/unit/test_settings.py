import os
from pathlib import Path

import pytest

from treadle.errors import SettingsInvalid, WorkspaceNotFound
from treadle.settings import MARKER, Settings, Workspace


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "workspace"
    (root / "projects" / "churn").mkdir(parents=True)
    (root / MARKER).write_text("")
    return root


def load(root: Path, content: str = "") -> Settings:
    (root / MARKER).write_text(content)
    return Workspace.find(root).settings


class TestFind:
    def test_the_nearest_folder_above_with_a_marker_is_the_workspace(self, root: Path) -> None:
        assert Workspace.find(root / "projects" / "churn").root == root

    def test_it_starts_at_the_current_folder(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(root / "projects")
        assert Workspace.find().root == root

    def test_a_variable_names_it_from_anywhere(self, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("TREADLE_WORKSPACE", str(root))
        assert Workspace.find().root == root

    def test_a_folder_that_is_asked_for_wins_over_the_variable(self, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        other = tmp_path / "other"
        other.mkdir()
        (other / MARKER).write_text("")
        monkeypatch.setenv("TREADLE_WORKSPACE", str(root))
        assert Workspace.find(other).root == other

    def test_without_a_marker_the_error_names_the_start_and_the_way_out(self, tmp_path: Path) -> None:
        with pytest.raises(WorkspaceNotFound, match=r"make one: `treadle init.* or an empty treadle\.toml") as caught:
            Workspace.find(tmp_path)
        assert str(tmp_path) in caught.value.what


class TestPlaces:
    def test_all_state_lies_under_home(self, root: Path) -> None:
        workspace = Workspace.find(root)
        home = root / ".treadle"
        assert workspace.home == home
        assert workspace.store_url == f"sqlite:///{home / 'state.db'}"
        assert workspace.tracking_url == f"sqlite:///{home / 'mlflow.db'}"
        assert {workspace.bundle_dir, workspace.spool_dir, workspace.snapshot_dir} == {home / "bundles", home / "spool", home / "data"}
        assert workspace.projects_dir == root / "projects"
        assert workspace.data_mirror is None

    def test_a_relative_folder_starts_at_the_workspace(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir("/")
        load(root, 'home = "state"\nbundle_dir = "../bundles"\ndata_mirror = "mirror"')
        workspace = Workspace.find(root)
        assert workspace.home == root / "state"
        assert workspace.bundle_dir == root.parent / "bundles"
        assert workspace.data_mirror == root / "mirror"

    def test_a_tilde_is_the_home_of_the_user(self, root: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        load(root, 'data_mirror = "~/mirror"')
        assert Workspace.find(root).data_mirror == tmp_path / "mirror"

    def test_urls_can_be_given(self, root: Path) -> None:
        load(root, 'store_url = "postgresql+psycopg://db/treadle"\ntracking_url = "http://mlflow:5000"')
        workspace = Workspace.find(root)
        assert (workspace.store_url, workspace.tracking_url) == ("postgresql+psycopg://db/treadle", "http://mlflow:5000")


class TestSettings:
    def test_a_variable_wins_over_the_file(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TREADLE_PORT", "9001")
        settings = load(root, "port = 9000\nworkers = 3")
        assert (settings.port, settings.workers) == (9001, 3)

    @pytest.mark.parametrize("content", ["", "data_mirror = ''"])
    def test_an_empty_value_counts_as_not_given(self, root: Path, monkeypatch: pytest.MonkeyPatch, content: str) -> None:
        monkeypatch.setenv("TREADLE_DATA_MIRROR", "")
        monkeypatch.setenv("TREADLE_PORT", "")
        settings = load(root, content)
        assert (settings.data_mirror, settings.port) == (None, 8000)

    def test_an_empty_variable_leaves_the_value_of_the_file(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TREADLE_PORT", "")
        assert load(root, "port = 9000").port == 9000

    def test_an_unknown_key_names_the_nearest_one(self, root: Path) -> None:
        with pytest.raises(SettingsInvalid, match="unknown setting porte: choose from port") as caught:
            load(root, "porte = 1")
        assert str(root / MARKER) in caught.value.what

    def test_an_unknown_variable_is_refused(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TREADLE_XYZZY", "1")
        with pytest.raises(SettingsInvalid, match="unknown setting xyzzy: choose from access, bundle_dir, ") as caught:
            load(root)
        assert "the environment" in caught.value.what

    def test_the_variables_of_the_tests_are_no_settings(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TREADLE_TEST_DATA_MIRROR", "/nowhere")
        assert load(root).data_mirror is None

    @pytest.mark.parametrize(
        ("content", "problem"),
        [
            ("port = 70000", "port = 70000: Input should be less than or equal to 65535"),
            ("workers = 0", "workers = 0: Input should be greater than or equal to 1"),
            ('durability = "none"', "durability = 'none': Input should be 'process' or 'host'"),
            ("poll_seconds = inf", "poll_seconds = inf: Input should be a finite number"),
            ("[port]\nnumber = 1", "port = {'number': 1}: Input should be a valid integer"),
            ("port = ", "not TOML"),
        ],
    )
    def test_a_value_that_is_not_allowed_is_named(self, root: Path, content: str, problem: str) -> None:
        with pytest.raises(SettingsInvalid) as caught:
            load(root, content)
        assert problem in str(caught.value)

    def test_a_certificate_and_its_key_belong_together(self, root: Path) -> None:
        with pytest.raises(SettingsInvalid, match="tls_cert and tls_key belong together") as caught:
            load(root, 'tls_cert = "cert.pem"')
        assert "store_url" not in str(caught.value)
        load(root, 'tls_cert = "cert.pem"\ntls_key = "/etc/key.pem"')
        place = Workspace.find(root)
        assert place.tls == (root / "cert.pem", Path("/etc/key.pem"))
        assert place.api_url(9000) == "https://127.0.0.1:9000"

    @pytest.mark.parametrize(
        ("named", "roles"),
        [
            ("predict", {"predict"}),
            (" label , approve,", {"label", "approve"}),
            ("admin", {"predict", "label", "operate", "approve", "admin"}),
            (",", set()),
        ],
    )
    def test_the_roles_of_a_proxy_are_a_list(self, root: Path, named: str, roles: set[str]) -> None:
        assert load(root, f'proxy_roles = "{named}"').roles_by_proxy == roles

    def test_one_that_is_none_is_refused(self, root: Path) -> None:
        with pytest.raises(SettingsInvalid, match="viewer is no role: choose from predict, label, operate, approve, admin"):
            load(root, 'proxy_roles = "predict, viewer"')

    def test_every_problem_is_listed(self, root: Path) -> None:
        with pytest.raises(SettingsInvalid) as caught:
            load(root, "port = -1\nworkers = 0")
        assert len(caught.value.problems) == 2


class TestFixtures:
    def test_nothing_of_the_callers_settings_reaches_a_test(self) -> None:
        assert [name for name in os.environ if name.startswith("TREADLE_") and not name.startswith("TREADLE_TEST_")] == []

    def test_the_workspace_fixture_is_the_one_that_is_found(self, workspace: Workspace, tmp_path: Path) -> None:
        assert Workspace.find().root == workspace.root
        assert workspace.home.is_relative_to(tmp_path)
        assert workspace.settings.offline


class TestSharedPlace:
    @pytest.mark.parametrize(
        ("named", "url"),
        [("s3://bucket/prefix/", "s3://bucket/prefix"), ("file:///mnt/treadle", "file:///mnt/treadle"), ("", "")],
    )
    def test_it_is_a_url(self, named: str, url: str, root: Path) -> None:
        assert load(root, f'remote_url = "{named}"').remote_url == url

    @pytest.mark.parametrize(
        "named", ["bucket/prefix", "/mnt/treadle", "s3:bucket", "s3://", "s3://key:secret@bucket/x", "https://a/b?token=c"]
    )
    def test_a_path_or_a_secret_is_refused(self, named: str, root: Path) -> None:
        with pytest.raises(SettingsInvalid, match="belong to the environment"):
            load(root, f'remote_url = "{named}"')
