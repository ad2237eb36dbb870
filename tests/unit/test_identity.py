"""Who acts: a table of what is given and who that is, and the file of keys."""

import json
import os
import pwd
from pathlib import Path
from typing import Any

import pytest

from treadle import identity
from treadle.errors import (
    KeyLimitInvalid,
    KeyNameInvalid,
    KeyNotFound,
    KeysInvalid,
    KeyTaken,
    KeyUnknown,
    NobodyNamed,
    RoleMissing,
    RolesInvalid,
)
from treadle.identity import Given, Identity, Key, Keyring, Keys, acting, hash_of, key_header, resolve
from treadle.serving.supervisor import environment
from treadle.settings import ROLES, Role, Settings, Workspace

ADA = Key("ada", ROLES, hash_of("tk_ada"), 1.0)
EVE = Key("eve", ("predict",), hash_of("tk_eve"), 2.0)
RING = Keyring([ADA, EVE], made=True)
BEHIND = Settings(trusted_proxies="10.0.0.0/8, ::1, 192.168.1.7", proxy_roles="predict, label")


def who(name: str, source: identity.who.Source, *roles: Role) -> Identity:
    return Identity(name, source, frozenset(roles))


BY_PROXY = who("eve", "proxy", "predict", "label")


@pytest.mark.parametrize(
    ("given", "settings", "found"),
    [
        (Given(key="tk_ada"), Settings(), who("ada", "key", *ROLES)),
        (Given(key="tk_eve", os_user="root"), Settings(), who("eve", "key", "predict")),
        (Given(key="tk_ada", header="eve", address="10.1.2.3"), BEHIND, who("ada", "key", *ROLES)),
        (Given(os_user="joan"), Settings(), who("joan", "os", *ROLES)),
        (Given(header="eve@example.com", address="10.1.2.3"), BEHIND, who("eve@example.com", "proxy", "predict", "label")),
        (Given(header="eve", address="192.168.1.7"), BEHIND, BY_PROXY),
        (Given(header="eve", address="::ffff:10.1.2.3"), BEHIND, BY_PROXY),
        (Given(header="eve", address="::1"), BEHIND, BY_PROXY),
    ],
)
def test_who_that_is(given: Given, settings: Settings, found: Identity) -> None:
    assert resolve(given, RING, settings, at=5.0) == found


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
        resolve(given, RING, settings, at=5.0)


def test_an_unknown_key_is_refused_even_where_another_way_names_somebody() -> None:
    with pytest.raises(KeyUnknown, match="begins with tk_nobo") as caught:
        resolve(Given(key="tk_nobody", os_user="joan"), RING, Settings(), at=5.0)
    assert "tk_nobody" not in str(caught.value)


def test_a_role_must_be_had() -> None:
    assert who("ada", "key", "label").require("label").name == "ada"
    with pytest.raises(RoleMissing, match="eve has the roles predict, label; this needs the role approve"):
        who("eve", "key", "label", "predict").require("approve")


def test_a_key_is_shown_once_and_only_its_hash_is_kept(tmp_path: Path) -> None:
    token = Keys(tmp_path).create("ada", ["approve", "label", "label"])
    kept = tmp_path / "keys.json"
    assert token.startswith("tk_")
    assert len(token) >= 45  # 256 bits
    assert token.removeprefix("tk_") not in kept.read_text()
    assert kept.stat().st_mode & 0o777 == 0o600
    assert resolve(Given(key=token), Keys(tmp_path).ring(), Settings(), at=5.0) == who("ada", "key", "label", "approve")


def test_a_revoked_key_is_refused_by_those_who_have_read_it_before(tmp_path: Path) -> None:
    keys, reader = Keys(tmp_path), Keys(tmp_path)
    token = keys.create("ada", ["approve"])
    keys.create("grace", ["predict"])
    assert [key.name for key in reader.known()] == ["ada", "grace"]
    assert reader.ring() is reader.ring()
    keys.revoke("Ada")
    with pytest.raises(KeyUnknown):
        resolve(Given(key=token), reader.ring(), Settings(), at=5.0)


def test_whether_anybody_ever_made_a_key_is_known_when_the_last_one_is_gone(tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    assert not keys.ring().made
    keys.create("ada", ["predict"])
    keys.revoke("ada")
    assert (keys.known(), keys.ring().made) == ((), True)
    (tmp_path / "keys.json").unlink()
    assert not keys.ring().made


class TestRotation:
    def test_the_token_before_is_refused_at_once(self, tmp_path: Path) -> None:
        keys = Keys(tmp_path)
        old = keys.create("ada", ["label"], rate=5)
        new = keys.rotate("ADA")
        (key,) = keys.known()
        assert (key.roles, key.rate, key.slot, key.previous) == (("label",), 5, 0, "")
        assert key.rotated_at is not None
        assert keys.ring().find(old.encode()) is None
        found = keys.ring().find(new.encode())
        assert found is not None
        assert found.identity == who("ada", "key", "label")

    def test_or_after_the_overlap(self, tmp_path: Path) -> None:
        keys = Keys(tmp_path)
        tokens = [keys.create("ada", ["label"]), keys.rotate("ada", overlap=60), keys.rotate("ada", overlap=60)]
        until = keys.known()[0].previous_until

        def good(at: float) -> list[bool]:
            return [keys.ring().find(token.encode(), lambda: at) is not None for token in tokens]

        assert good(until - 0.001) == [False, True, True]
        assert good(until) == [False, False, True]


def test_a_name_has_one_key(tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    keys.create("ada", ["predict"])
    with pytest.raises(KeyTaken, match=r"ADA has a key already"):
        keys.create("ADA", ["approve"])
    for change in (keys.revoke, keys.rotate):
        with pytest.raises(KeyNotFound, match="choose from ada"):
            change("grace")


@pytest.mark.parametrize("name", ["", "a b", "ada\n", "\u0430da", "-ada", "a" * 101, "ada,grace"])
def test_a_name_that_could_be_taken_for_another_bears_no_key(tmp_path: Path, name: str) -> None:
    with pytest.raises(KeyNameInvalid):
        Keys(tmp_path).create(name, ["predict"])


@pytest.mark.parametrize("roles", [[], ["god"], ["predict", "viewer"]])
def test_a_role_that_is_none_is_not_given(tmp_path: Path, roles: list[str]) -> None:
    with pytest.raises(RolesInvalid, match="choose from predict, label, operate, approve, admin"):
        Keys(tmp_path).create("ada", roles)
    assert not (tmp_path / "keys.json").exists()


@pytest.mark.parametrize(
    ("rate", "burst"), [(0, None), (-1, None), (float("nan"), None), (float("inf"), None), (None, 5), (5, 0), (1e6, None)]
)
def test_a_limit_that_is_none_is_not_given(tmp_path: Path, rate: float | None, burst: int | None) -> None:
    with pytest.raises(KeyLimitInvalid):
        Keys(tmp_path).create("ada", ["predict"], rate=rate, burst=burst)


def test_each_key_with_a_limit_has_a_bucket_of_its_own(tmp_path: Path) -> None:
    keys = Keys(tmp_path)
    for name, rate in (("a", 0.5), ("b", None), ("c", 7.9), ("d", 2)):
        keys.create(name, ["predict"], rate=rate)
    keys.revoke("c")
    keys.create("e", ["predict"], rate=3, burst=9)
    assert [(key.name, key.slot, key.burst) for key in keys.known()] == [("a", 0, 1), ("b", None, None), ("d", 2, 2), ("e", 1, 9)]


@pytest.mark.parametrize(
    ("role", "roles"),
    [("viewer", ("predict", "label")), ("approver", ("predict", "label", "operate", "approve")), ("admin", ROLES)],
)
def test_a_key_of_an_older_treadle_may_what_it_might(tmp_path: Path, role: str, roles: tuple[str, ...]) -> None:
    path = tmp_path / "keys.json"
    path.write_text(json.dumps([{"name": "ada", "role": role, "hash": hash_of("tk_old"), "added_at": 12.5}]))
    keys = Keys(tmp_path)
    assert keys.known() == (Key("ada", roles, hash_of("tk_old"), 12.5),)  # type: ignore[arg-type]
    keys.create("grace", ["label"])
    assert keys.ring().find(b"tk_old") is not None
    assert "role" not in json.loads(path.read_text())[0]
    assert Keys(tmp_path).known()[0].roles == roles


def entry(**changed: object) -> list[dict[str, Any]]:
    return [{"name": "a", "roles": ["label"], "hash": "00" * 32, "added_at": 1.0} | changed]


SPOILT: list[dict[str, Any]] = [
    {"roles": []},
    {"hash": ""},
    {"hash": "00"},
    {"hash": "zz" * 32},
    {"added_at": "now"},
    {"expires": 5.0},
    {"rate": 5.0, "burst": 5},
    {"slot": 0},
    {"rate": 5.0, "burst": 5, "slot": -1},
    {"rate": 5.0, "burst": 5, "slot": 10**12},
    {"rate": -5.0, "burst": 5, "slot": 1},
    {"previous": "00"},
]


def test_the_entry_that_the_next_test_spoils_is_a_good_one(tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text(json.dumps(entry()))
    assert len(Keys(tmp_path).known()) == 1


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[1]",
        '{"keys": []}',
        "[" * 100_000,
        "7",
        '[{"name": "ada"}]',
        json.dumps([{"name": "a", "role": "god", "hash": "00" * 32, "added_at": 1}]),
        *(json.dumps(entry(**changed)) for changed in SPOILT),
    ],
)
def test_a_file_of_keys_that_cannot_be_read_lets_nobody_in(tmp_path: Path, content: str) -> None:
    (tmp_path / "keys.json").write_text(content)
    with pytest.raises(KeysInvalid, match=r"cannot be read: .+\.\n"):
        Keys(tmp_path).known()


def test_nor_does_one_that_is_a_folder(tmp_path: Path) -> None:
    (tmp_path / "keys.json").mkdir()
    with pytest.raises(KeysInvalid):
        Keys(tmp_path).known()
    (tmp_path / "file").touch()
    with pytest.raises(KeysInvalid, match="Not a directory"):
        Keys(tmp_path / "file").known()


class TestActing:
    def test_the_user_of_the_machine_is_the_one_of_the_process(self, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
            monkeypatch.setenv(name, "mallory")
        assert acting(workspace) == who(pwd.getpwuid(os.getuid()).pw_name, "os", *ROLES)
        assert key_header() == {}

    def test_a_user_without_a_name_is_told_by_number(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("os.getuid", lambda: 4_000_000_000)
        assert identity.os_user() == "uid 4000000000"

    def test_a_key_in_the_environment_wins(self, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
        token = Keys(workspace.home).create("ada", ["label"])
        monkeypatch.setenv("TREADLE_KEY", token)
        assert acting(Workspace.find()) == who("ada", "key", "label")
        assert key_header() == {"authorization": f"Bearer {token}"}

    def test_the_key_reaches_no_other_process(self, workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TREADLE_KEY", "tk_secret")
        assert {**os.environ, **environment(Workspace.find())}["TREADLE_KEY"] == ""
