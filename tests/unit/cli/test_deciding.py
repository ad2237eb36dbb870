"""approve, reject, pause, resume, key and events, as a person types them, around a version that the gate has let pass."""

import json
import threading
from dataclasses import replace

import pytest

import treadle as api
from tests.shell import failed, treadle
from treadle.errors import MomentInvalid, ProjectNotFound
from treadle.identity import Keys, os_user
from treadle.projects import find
from treadle.settings import Workspace
from treadle.state import consents, deployments, events, heads, pauses, turns, verdicts
from treadle.state.deployments import Slot
from treadle.state.heads import heads_file
from treadle.state.store import Store, open_store
from treadle.state.verdicts import Verdict

FOUR_EYES = "approval: {people: 2}\n"
NAMED = "approval: {people: 1, of: [ada]}\n"


@pytest.fixture
def place(workspace: Workspace, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """Return a workspace whose policy of iris asks for two people."""
    (workspace.projects_dir / "iris" / "policy.four.yaml").write_text(FOUR_EYES)
    (workspace.projects_dir / "iris" / "policy.named.yaml").write_text(NAMED)
    monkeypatch.setenv("TREADLE_OVERLAY", "four")
    monkeypatch.setenv("COLUMNS", "300")
    return Workspace.find()


@pytest.fixture
def store(place: Workspace) -> Store:
    """Return its store, in which the gate has let version 3 pass."""
    store = open_store(place.store_url)
    judge(place, store)
    return store


def judge(place: Workspace, store: Store, name: str = "v1", at: float = 100.0, *, passed: bool = True) -> Verdict:
    policy = find(place, "iris").contract.policy.digest
    verdict = Verdict(name, "iris", 3, "d" * 64, "gate", passed, ("It is worse.",) * (not passed), policy, {"champion": None}, at)
    with store.write() as conn:
        return verdicts.record(conn, verdict)


def by(monkeypatch: pytest.MonkeyPatch, place: Workspace, name: str, *roles: str) -> None:
    monkeypatch.setenv("TREADLE_KEY", Keys(place.home).create(name, roles or ("operate", "approve")))


def told(store: Store, kind: str, model: str = "iris", **facts: object) -> None:
    with store.write() as conn:
        events.append(conn, kind, at=50.0, model=model, data=facts)


def deploy(store: Store, *versions: int) -> None:
    """Give all traffic to one version after the other; version 3 is the one that was judged."""
    with store.write() as conn:
        for version in versions:
            present = deployments.current(conn, "iris")
            slots = deployments.promoted(present, Slot("champion", version, "d" * 64 if version == 3 else "e" * 64, 1.0))
            deployments.insert(conn, "iris", expected=present.generation if present else 0, slots=slots, reason="a test", at=60.0)


def said(store: Store) -> list[tuple[str, str, str]]:
    with store.read() as conn:
        return [(one.actor, one.source, one.decision) for one in consents.on(conn, "v1")]


def test_two_people_agree(place: Workspace, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    first = treadle("approve", "iris", "--reason", "Looked at the errors.")
    assert first.code == 0
    assert f"Version 3 is approved by {os_user()}; the policy asks for 2 (approval.people), 1 missing." in first.out
    assert 'Next: a second person types `treadle approve iris --version 3 --reason "..."`.' in first.out
    by(monkeypatch, place, "ada")
    second = treadle("approve", "iris", "--version", 3, "--reason", "So did I.", "--json")
    assert second.json == {
        "model": "iris",
        "version": 3,
        "people": 2,
        "approved": [os_user(), "ada"],
        "refused": [],
        "missing": 0,
        "given": True,
        "awaited": False,
    }
    assert said(store) == [(os_user(), "os", "approve"), ("ada", "key", "approve")]
    assert "`treadle promote iris --version 3`" in treadle("approve", "iris", "--reason", "Again.").out


def test_the_same_person_by_key_and_by_the_machine_is_one(place: Workspace, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    treadle("approve", "iris", "--reason", "Once.")
    by(monkeypatch, place, os_user())
    assert treadle("approve", "iris", "--reason", "Twice.", "--json").json["missing"] == 1


def test_a_turn_that_waits_goes_on_by_itself(place: Workspace, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    with store.write() as conn:
        turn = turns.open_turn(conn, "iris", cause="a test", episode=None, step="judge", at=1.0)
        turns.advance(conn, turn, step="consent", at=2.0, data={"version": 3})
    assert "1 missing. Next: a second person types" in treadle("approve", "iris", "--reason", "Fine.").out
    by(monkeypatch, place, "ada")
    assert "The loop waits for it and goes on by itself." in treadle("approve", "iris", "--reason", "Fine.").out
    assert "The loop's turn ends." in treadle("reject", "iris", "--reason", "No.").out


def test_a_refusal_is_told(store: Store) -> None:
    done = treadle("reject", "iris", "--reason", "Worse for the small ones.")
    assert done.code == 0
    assert f"{os_user()} has refused version 3 on" in done.out
    assert ": Worse for the small ones. It stands until" in done.out


def test_a_refused_champion_goes_on_and_is_told_how_it_goes(store: Store) -> None:
    deploy(store, 3)
    first = treadle("reject", "iris", "--reason", "Worse for the small ones.")
    assert first.code == 0
    assert "It is the champion, and goes on answering: `treadle train iris` makes another one." in first.out
    deploy(store, 2, 3)
    second = treadle("reject", "iris", "--reason", "Still.")
    assert "goes on answering: `treadle rollback iris` brings the one before it back." in second.out
    lifted = treadle("approve", "iris", "--reason", "After all.")
    assert lifted.out.endswith("It is the champion, so that nothing is left to do.\n")


@pytest.mark.parametrize("command", ["approve", "reject", "pause"])
def test_a_decision_needs_a_reason(store: Store, command: str) -> None:
    assert treadle(command, "iris").code == 2
    failed(treadle(command, "iris", "--reason", " "), "needs a reason")
    assert said(store) == []


def test_those_are_named_who_are_missing(place: Workspace, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    (place.projects_dir / "iris" / "policy.pair.yaml").write_text("approval: {people: 2, of: [ada, grace]}\n")
    monkeypatch.setenv("TREADLE_OVERLAY", "pair")
    judge(Workspace.find(), store, "v2", 200.0)
    by(monkeypatch, place, "Ada")
    assert "1 missing. Next: grace types `treadle approve iris" in treadle("approve", "iris", "--reason", "Fine.").out


class TestNothingToSay:
    @pytest.mark.parametrize("command", ["approve", "reject"])
    def test_about_a_version_that_does_not_exist(self, store: Store, command: str) -> None:
        failed(treadle(command, "churn", "--reason", "a"), "churn has no version: there are none yet.", "`treadle train churn`")
        told(store, "version.registered", version=3)
        told(store, "version.registered", version=4)
        said = failed(treadle(command, "iris", "--version", 9, "--reason", "a"), "`treadle train iris` makes one.")
        assert "iris has no version 9: choose from 3, 4." in said

    @pytest.mark.parametrize("command", ["approve", "reject"])
    def test_about_one_that_was_removed(self, store: Store, command: str) -> None:
        for version in (3, 4):
            told(store, "version.registered", version=version)
        told(store, "gc.removed", what="log", count=5)
        told(store, "gc.removed", what="version", names=["3"])
        failed(treadle(command, "iris", "--reason", "a"), "iris has no version 3: choose from 4.")
        told(store, "model.reset", rows=9)
        failed(treadle(command, "iris", "--version", 4, "--reason", "a"), "iris has no version 4: there are none yet.")

    @pytest.mark.parametrize("command", ["approve", "reject"])
    def test_about_one_that_was_never_judged(self, store: Store, command: str) -> None:
        told(store, "version.registered", version=9)
        failed(
            treadle(command, "iris", "--version", 9, "--reason", "a"), "iris version 9: the gate has not judged it", "`treadle gate iris"
        )
        told(store, "version.registered", model="churn", version=1)
        failed(treadle(command, "churn", "--reason", "a"), "churn: the gate has not judged it", "`treadle gate churn`")

    def test_for_the_champion(self, store: Store) -> None:
        deploy(store, 3)
        failed(
            treadle("approve", "iris", "--reason", "a"), "iris version 3 is the champion already.", "`treadle train iris` makes a newer one"
        )
        assert said(store) == []

    def test_about_one_that_the_gate_has_refused_since(self, place: Workspace, store: Store) -> None:
        judge(place, store, "v2", 200.0, passed=False)
        failed(treadle("approve", "iris", "--reason", "a"), "iris version 3", "the gate refused it. It is worse.")
        assert treadle("reject", "iris", "--reason", "a").code == 0

    def test_about_one_that_was_judged_under_another_policy(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TREADLE_OVERLAY", "named")
        failed(treadle("reject", "iris", "--reason", "a"), "has no say about iris: choose from ada")
        by(monkeypatch, Workspace.find(), "Ada")
        failed(treadle("approve", "iris", "--reason", "a"), "the policy has changed since the verdict")


class TestKeys:
    def test_a_key_is_given_shown_in_the_list_and_taken_back(self, place: Workspace, store: Store) -> None:
        done = treadle("keys", "create", "ada", "--role", "label", "--role", "predict", "--rate", "5", "--json").json
        assert done["key"].startswith("tk_")
        out = treadle("keys", "create", "grace", "--role", "admin").out
        assert "This is the key of grace, with the role admin." in out
        assert "the only one" not in out
        listed = [(one["name"], one["roles"], one["rate"], one["burst"]) for one in treadle("keys", "list", "--json").json]
        assert listed == [("ada", ["predict", "label"], 5, 5), ("grace", ["predict", "label", "operate", "approve", "admin"], None, None)]
        table = treadle("keys", "list").out
        assert "grace" in table
        assert "5/s, 5 at once" in table
        assert treadle("keys", "rotate", "ada").code == 0
        assert treadle("keys", "revoke", "ada").out == "The key of ada is taken back.\n"
        assert [one["name"] for one in treadle("keys", "list", "--json").json] == ["grace"]
        with store.read() as conn:
            told = [(one.kind, one.data["name"], one.actor) for one in events.newest(conn, 9, kind="key")]
        kinds = [("key.added", "ada"), ("key.added", "grace"), ("key.rotated", "ada"), ("key.removed", "ada")]
        assert told == [(*one, os_user()) for one in kinds]
        assert done["key"] not in heads_file(place.home).read_text() + (place.home / "keys.json").read_text()

    def test_the_first_and_the_last_key_are_told_with_what_they_change(self, place: Workspace, store: Store) -> None:
        assert "Nobody has a key." in treadle("keys", "list").out
        assert "from now on the API asks for a key" in treadle("keys", "create", "ada").out
        done = treadle("keys", "rotate", "ada", "--overlap", "60")
        assert done.out.startswith("tk_")
        assert "good for 60 s more" in done.out
        assert "The API goes on to ask for a key" in treadle("keys", "revoke", "ada").out

    @pytest.mark.parametrize(
        ("options", "what"),
        [
            (("--rate", "0"), "0.0 requests per second"),
            (("--burst", "3"), "there is none without a rate"),
            (("--rate", "1", "--burst", "0"), "a burst of 0"),
            (("--role", "boss"), "The roles boss are not all roles: choose from predict, label, operate, approve, admin"),
        ],
    )
    def test_a_role_or_a_limit_that_is_none_is_refused(self, place: Workspace, store: Store, options: tuple[str, ...], what: str) -> None:
        failed(treadle("keys", "create", "ada", *options), what)

    def test_who_comes_by_a_key_needs_that_of_an_admin(self, place: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
        by(monkeypatch, place, "ada")
        failed(treadle("keys", "create", "eve"), "ada has the roles operate, approve; this needs the role admin")
        failed(treadle("keys", "revoke", "ada"), "needs the role admin")
        failed(treadle("keys", "rotate", "ada"), "needs the role admin")
        by(monkeypatch, place, "root-of-all", "admin")
        assert treadle("keys", "create", "eve").code == 0

    @pytest.mark.parametrize(
        "command",
        [
            ("approve", "iris", "--reason", "a"),
            ("reject", "iris", "--reason", "a"),
            ("pause", "iris", "--reason", "a"),
            ("resume", "iris"),
            ("rollback", "iris"),
        ],
    )
    def test_one_who_may_only_ask_decides_nothing(
        self, place: Workspace, store: Store, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
    ) -> None:
        by(monkeypatch, place, "eve", "predict")
        needed = "approve" if command[0] in {"approve", "reject"} else "operate"
        failed(treadle(*command), f"eve has the role predict; this needs the role {needed}")

    def test_a_key_that_nobody_has_is_refused(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TREADLE_KEY", "tk_made_up_by_myself")
        told = failed(treadle("approve", "iris", "--reason", "a"), "begins with tk_made", "`treadle keys list`")
        assert "by_myself" not in told

    @pytest.mark.parametrize(
        "command",
        [
            ("status",),
            ("events",),
            ("why", "iris"),
            ("keys", "list"),
            ("gc", "--dry-run"),
            ("serve",),
            ("predict", "iris"),
            ("loop", "--once"),
        ],
        ids=lambda command: command[0],
    )
    def test_it_is_refused_where_no_key_is_asked_for_too(
        self, store: Store, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
    ) -> None:
        monkeypatch.setenv("TREADLE_KEY", "tk_made_up_by_myself")
        failed(treadle(*command), "begins with tk_made")


def test_a_loop_is_paused_and_goes_on(store: Store) -> None:
    assert treadle("resume", "iris").out == "iris is not paused.\n"
    paused = treadle("pause", "iris", "--reason", "The data move house.")
    assert f"by {os_user()}: The data move house. `treadle resume iris` lets it go on." in paused.out
    again = treadle("pause", "iris", "--reason", "Another reason.", "--json").json
    assert (again["number"], again["paused"], again["reason"]) == (1, True, "The data move house.")
    assert "iris goes on since" in treadle("resume", "iris", "--reason", "They have moved.").out
    with store.read() as conn:
        assert pauses.current(conn, "iris") is None
    failed(treadle("pause", "tulip", "--reason", "a"), "tulip")


class TestEvents:
    @pytest.fixture
    def told(self, store: Store) -> Store:
        """Return the store after a few days."""
        with store.write() as conn:
            for day in (1, 1, 2):
                events.append(conn, "loop.paused", at=86400.0 * day, model="churn", actor="ada", data={"reason": f"[red]Day[/red] {day}."})
        return store

    def test_a_diary_names_each_day_once_and_who_acted(self, told: Store) -> None:
        done = treadle("events")
        assert done.code == 0
        lines = done.out.splitlines()
        assert [line for line in lines if "1970" in line] == [
            "Thursday, 01 January 1970",
            "Friday, 02 January 1970",
            "Saturday, 03 January 1970",
        ]
        assert lines[-1].endswith("churn: the loop is paused: [red]Day[/red] 2. (ada)")
        assert any("iris: version 3 passes the gate" in line for line in lines)

    @pytest.mark.parametrize(
        ("arguments", "numbers"),
        [
            ((), [1, 2, 3, 4]),
            (("churn",), [2, 3, 4]),
            (("--limit", 2), [3, 4]),
            (("--kind", "verdict"), [1]),
            (("--kind", "loop.paused", "--limit", 1), [4]),
            (("--kind", "loop.pause"), []),
            (("--since", "1970-01-03"), [4]),
            (("--since", "1970-01-02T00:00:00+00:00"), [2, 3, 4]),
            (("--since", "2h"), []),
        ],
    )
    def test_it_shows_what_is_asked_for(
        self, told: Store, monkeypatch: pytest.MonkeyPatch, arguments: tuple[object, ...], numbers: list[int]
    ) -> None:
        assert [one["seq"] for one in treadle("events", *arguments, "--json").json] == numbers

    def test_what_cannot_be_asked_is_told(self, told: Store) -> None:
        failed(treadle("events", "--since", "soon"), "'soon' is no moment")
        failed(treadle("events", "tulip"), "tulip")
        assert treadle("events", "house").code == 1
        assert treadle("events", "iris", "--kind", "moon").out == "Nothing of this has happened.\n"
        with pytest.raises(MomentInvalid):
            api.events(since="-2h")
        with pytest.raises(ProjectNotFound):
            api.events("tulip")

    def test_it_follows(self, told: Store) -> None:
        stop = threading.Event()
        following = api.events_follow("churn", after=1, kind="loop", stop=stop)
        assert [next(following).seq for _ in range(3)] == [2, 3, 4]
        with told.write() as conn:
            events.append(conn, "loop.resumed", at=1.0, model="iris", data={"reason": "a"})
            events.append(conn, "loop.resumed", at=1.0, model="churn", data={"reason": "a"})
        assert next(following).seq == 6
        stop.set()
        assert list(following) == []

    def test_to_read_signs_nothing(self, place: Workspace, told: Store) -> None:
        treadle("events")
        assert not heads_file(place.home).exists()


class TestVerify:
    @pytest.fixture
    def signed(self, place: Workspace, store: Store) -> Workspace:
        """Return a workspace in which commands have signed what they did, from the first on."""
        heads.sign(store, place.home, at=1.0, before=0)
        treadle("pause", "iris", "--reason", "a")
        treadle("resume", "iris")
        return place

    def test_it_says_what_was_checked(self, signed: Workspace, store: Store) -> None:
        done = treadle("events", "--verify")
        assert done.code == 0
        assert "3 events checked: each follows from the one before it." in done.out
        assert "They pass through 3 signed heads, the last one at number 3, signed on " in done.out
        assert "Nothing has happened since." in done.out
        judge(signed, store, "v2")
        found = treadle("events", "--verify", "--json").json
        assert (found["events"], found["heads"], found["last"]["seq"], found["unsigned"]) == (4, 3, 3, 1)
        assert "1 event after it is not signed yet." in treadle("events", "--verify").out

    def test_a_break_ends_with_exit_code_3(self, signed: Workspace) -> None:
        lines = heads_file(signed.home).read_text().splitlines()
        heads_file(signed.home).write_text(json.dumps({**json.loads(lines[-1]), "seq": 1}) + "\n")
        done = treadle("events", "--verify")
        assert (done.code, done.out) == (3, "")
        assert "Line 1 of" in done.err
        heads_file(signed.home).unlink()
        assert treadle("events", "--verify").code == 3

    def test_where_nothing_has_happened_there_is_nothing_to_check(self, workspace: Workspace) -> None:
        done = treadle("events", "--verify")
        assert (done.code, done.out) == (0, "Nothing has happened here yet, so there is nothing to check.\n")


def test_status_and_why_say_that_a_loop_is_paused(place: Workspace, store: Store) -> None:
    from treadle.retraining.decide import Situation, decide
    from treadle.spec import RetrainPolicy

    treadle("pause", "iris", "--reason", "The data move house.")
    with store.read() as conn:
        pause = pauses.current(conn, "iris")
    assert pause is not None
    situation = Situation([], None, [], 0, 1.0, replace(pause, at=0.0))
    sentence = decide(situation, RetrainPolicy()).reason
    assert sentence.startswith(f"Paused by {os_user()} on ")
    assert sentence.endswith(": The data move house. `treadle resume iris` lets it go on.")
