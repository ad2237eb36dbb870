"""Who acts: a table of what is given and who that is, and the file of keys."""

import json
import os
import pwd
from pathlib import Path

import pytest

from treadle import identity
from treadle.errors import KeyNameInvalid, KeyNotFound, KeysInvalid, KeyTaken, KeyUnknown, NobodyNamed, RoleMissing
from treadle.identity import Given, Identity, Key, Keys, acting, hash_of, resolve
from treadle.serving.supervisor import environment
from treadle.settings import Settings, Workspace

ADA = Key("ada", "admin", hash_of("tk_ada"), 1.0)
EVE = Key("eve", "viewer", hash_of("tk_eve"), 2.0)
BEHIND = Settings(trusted_proxies="10.0.0.0/8, ::1, 192.168.1.7", proxy_role="viewer")


@pytest.mark.parametrize(
    ("given", "settings", "found"),
    [
        (Given(key="tk_ada"), Settings(), Identity("ada", "key", "admin")),
        (Given(key="tk_eve", os_user="root"), Settings(), Identity("eve", "key", "viewer")),
        (Given(key="tk_ada", header="eve", address="10.1.2.3"), BEHIND, Identity("ada", "key", "admin")),
        (Given(os_user="joan"), Settings(), Identity("joan", "os", "approver")),
        (Given(header="eve@example.com", address="10.1.2.3"), BEHIND, Identity("eve@example.com", "proxy", "viewer")),
        (Given(header="eve", address="192.168.1.7"), BEHIND, Identity("eve", "proxy", "viewer")),
        (Given(header="eve", address="::ffff:10.1.2.3"), BEHIND, Identity("eve", "proxy", "viewer")),
        (Given(header="eve", address="::1"), BEHIND, Identity("eve", "proxy", "viewer")),
    ],
)
def test_who_that_is(given: Given, settings: Settings, found: Identity) -> None:
    assert resolve(given, [ADA, EVE], settings) == found


@pytest.mark.parametrize(
    ("given", "settings"),
    [
        (Given(), Settings()),
        (Given(key=""), Settings()),
        (Given(header="eve", address="10.1.2.3"), Settings()),
        (Given(header="eve", address="11.1.2.3"), BEHIND),
        (Given(header="eve", address=None), BEHIND),
        (Given(header="eve", address="testclient"), BEHIND),
        (Given(header="", address="10.1.2.3"), BEHIND),
        (Given(header="eve\u0430", address="10.1.2.3"), BEHIND),
        (Given(header="eve,mallory", address="10.1.2.3"), BEHIND),
    ],
)
def test_what_names_nobody_is_told_with_the_ways_there_are(given: Given, settings: Settings) -> None:
    with pytest.raises(NobodyNamed, match=r"Bearer tk_.*X-API-Key.*X-Forwarded-User"):
        resolve(given, [ADA, EVE], settings)


def test_an_unknown_key_is_refused_even_where_another_way_names_somebody() -> None:
    with pytest.raises(KeyUnknown, match="begins with tk_nobo") as caught:
        resolve(Given(key="tk_nobody", os_user="joan"), [ADA], Settings())
    assert "tk_nobody" not in str(caught.value)


def test_a_role_may_what_those_below_it_may() -> None:
    assert [
        one.may("approver") for one in (Identity("a", "os", "viewer"), Identity("b", "os", "approver"), Identity("c", "os", "admin"))
    ] == [
        False,
        True,
        True,
    ]
    with pytest.raises(RoleMissing, match="eve has the role viewer; this needs the role approver"):
        Identity("eve", "key", "viewer").require("approver")


def test_a_key_is_shown_once_and_only_its_hash_is_kept(tmp_path: Path) -> None:
    token = Keys(tmp_path).add("ada", "approver")
    kept = tmp_path / "keys.json"
    assert token.startswith("tk_")
    assert len(token) >= 45  # 256 bits
    assert token.removeprefix("tk_") not in kept.read_text()
    assert kept.stat().st_mode & 0o777 == 0o600
    assert resolve(Given(key=token), Keys(tmp_path).known(), Settings()) == Identity("ada", "key", "approver")


def test_a_removed_key_is_refused_by_those_who_have_read_it_before(tmp_path: Path) -> None:
    keys, reader = Keys(tmp_path), Keys(tmp_path)
    token = keys.add("ada", "approver")
    keys.add("grace", "viewer")
    assert [key.name for key in reader.known()] == ["ada", "grace"]
    keys.remove("Ada")
    with pytest.raises(KeyUnknown):
        resolve(Given(key=token), reader.known(), Settings())


def test_a_name_has_one_key(tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    keys.add("ada", "viewer")
    with pytest.raises(KeyTaken):
        keys.add("ADA", "approver")
    with pytest.raises(KeyNotFound, match="choose from ada"):
        keys.remove("grace")


@pytest.mark.parametrize("name", ["", "a b", "ada\n", "\u0430da", "-ada", "a" * 101, "ada,grace"])
def test_a_name_that_could_be_taken_for_another_bears_no_key(tmp_path: Path, name: str) -> None:
    with pytest.raises(KeyNameInvalid):
        Keys(tmp_path).add(name, "viewer")


@pytest.mark.parametrize(
    "content", ["{", "[1]", '[{"name": "ada"}]', json.dumps([{"name": "a", "role": "god", "hash": "", "added_at": 1}])]
)
def test_a_file_of_keys_that_cannot_be_read_lets_nobody_in(tmp_path: Path, content: str) -> None:
    (tmp_path / "keys.json").write_text(content)
    with pytest.raises(KeysInvalid):
        Keys(tmp_path).known()


class TestActing:
    def test_the_user_of_the_machine_is_the_one_of_the_process(self, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
            monkeypatch.setenv(name, "mallory")
        assert acting(workspace) == Identity(pwd.getpwuid(os.getuid()).pw_name, "os", "approver")

    def test_a_user_without_a_name_is_told_by_number(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("os.getuid", lambda: 4_000_000_000)
        assert identity.os_user() == "uid 4000000000"

    def test_a_key_in_the_environment_wins(self, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TREADLE_KEY", Keys(workspace.home).add("ada", "viewer"))
        assert acting(Workspace.find()) == Identity("ada", "key", "viewer")

    def test_the_key_reaches_no_other_process(self, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TREADLE_KEY", "tk_secret")
        assert {**os.environ, **environment(Workspace.find())}["TREADLE_KEY"] == ""
